"""Several runs side by side: figures of each, mean and standard deviation of each group, and differences."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointkit import disk, report, run_folder
from pointkit.cards import Card, Carded
from pointkit.errors import PointkitError, RunError
from pointkit.evaluate import evaluate, folder_of
from pointkit.task import TASKS

Report = Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class Evaluated(Carded):
    """The reports of runs in groups, the ``page`` to open, and, for several runs, their summary."""

    groups: Mapping[str, Sequence[Report]]
    page: pathlib.Path
    together: Mapping[str, Any] | None = None

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_report(self)

    @property
    def reports(self) -> list[Report]:
        """The reports of all runs."""
        return [one for group in self.groups.values() for one in group]

    @property
    def whole(self) -> Mapping[str, Any]:
        """All that was measured, ready for JSON."""
        if self.together is None:
            return self.reports[0]
        return {**self.together, "page": str(self.page)}


def evaluate_groups(
    paths: Sequence[str | os.PathLike[str]],
    against: Sequence[str | os.PathLike[str]] = (),
    *,
    store_path: str | os.PathLike[str] | None = None,
    split: str = "test",
    **how: Any,
) -> Evaluated:
    """Measure several runs, in groups.

    A folder of seeds is a group of its own. Single runs in ``paths`` form one group, those in ``against`` another. Each
    run gets its own report. Several runs get a common page, too: report.json and report.html in a folder of seeds, or
    comparison.json and comparison.html in the first run. ``how`` goes to ``evaluate``. Raises RunError where the
    tasks or test inputs differ.
    """
    paths, against = ([pathlib.Path(path) for path in some] for some in (paths, against))
    if not paths:
        raise PointkitError("evaluate needs a run; train one with: pointkit train STORE -o RUN")
    for name in ("draws", "votes"):
        if how.get(name, 0) < 0:
            raise PointkitError(f"{name} must be at least 0, got {how[name]}")
    groups = {
        name: [evaluate(run, store_path=store_path, split=split, **how) for run in runs]
        for name, runs in _grouped(paths, against).items()
    }
    reports = [one for group in groups.values() for one in group]
    _same_inputs(reports)
    if len(reports) == 1:
        return Evaluated(groups, folder_of(run_folder.find_runs(paths[0])[0], split) / "report.html")
    summary = report.summarise_groups(groups)
    first = next(iter(summary["groups"].values()))
    task = reports[0]["task"]
    top = {"num_shapes": reports[0]["num_shapes"]}
    top |= {key: first[key] and first[key][0] for key, *_ in TASKS[task].figures}
    together = {"task": task, "split": split, **top, "summary": summary, "groups": groups}
    place = folder_of(paths[0], split)
    name = "comparison" if (paths[0] / "run.json").is_file() else "report"
    disk.replace(place / f"{name}.json", (json.dumps(together, indent=1) + "\n").encode())
    disk.replace(place / f"{name}.html", report.render_groups(groups).encode())
    return Evaluated(groups, place / f"{name}.html", together)


def _same_inputs(reports: Sequence[dict[str, Any]]) -> None:
    first = reports[0]
    for other in reports[1:]:
        for what, a, b in (
            ("task", first["task"], other["task"]),
            ("store", first["store"]["checksum"], other["store"]["checksum"]),
            ("number of points", first["points"]["num_points"], other["points"]["num_points"]),
        ):
            if a != b:
                names = f"{other['run']['path']} cannot be compared with {first['run']['path']}"
                raise RunError(f"{names}: it was measured on another {what} ({b}, not {a})")


def _grouped(paths: Sequence[pathlib.Path], against: Sequence[pathlib.Path]) -> dict[str, list[pathlib.Path]]:
    groups: dict[str, list[pathlib.Path]] = {}
    for some in (paths, against):
        single = [path for path in some if run_folder.find_runs(path) == [path]]
        groups |= {str(path): run_folder.find_runs(path) for path in some if path not in single}
        if single:
            groups[" + ".join(map(str, single))] = single
    return groups
