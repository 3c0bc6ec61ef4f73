"""Several runs side by side: figures of each, mean and standard deviation of each group, and differences."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointkit import checks, disk, report, run_folder, verdict
from pointkit.cards import Card, Carded
from pointkit.evaluate import evaluate, folder_of
from pointkit.task import TASKS
from pointkit.watching import Waiting

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
    waiting: Waiting | None = None,
    **how: Any,
) -> Evaluated:
    """Measure several runs, in groups.

    A folder of seeds of the same settings is a group, of which the mean is taken. Every other run is a group of its
    own. The groups are compared, those in ``against`` last. Each run gets its own report. Several runs get a common
    page, too: report.json and report.html in a folder of seeds, or comparison.json and comparison.html in the first
    run. ``how`` goes to ``evaluate``. Raises RunError where the tasks or test inputs differ.
    """
    paths, against = ([pathlib.Path(path) for path in some] for some in (paths, against))
    store_path = None if store_path is None else pathlib.Path(store_path)
    checks.to_evaluate(paths, against, store_path, split, **how)
    grouped, warnings = _grouped([*paths, *against])
    groups = {
        name: [evaluate(run, store_path=store_path, split=split, waiting=waiting, **how) for run in runs]
        for name, runs in grouped.items()
    }
    reports = [one for group in groups.values() for one in group]
    if len(reports) == 1:
        return Evaluated(groups, folder_of(run_folder.find_runs(paths[0])[0], split) / "report.html")
    summary = report.summarise_groups(groups)
    summary["warnings"] = [*warnings, *summary["warnings"]]
    first = next(iter(summary["groups"].values()))
    task = reports[0]["task"]
    top = {"num_shapes": reports[0]["num_shapes"]}
    top |= {key: first[key] and first[key][0] for key, *_ in TASKS[task].figures}
    together = {"task": task, "split": split, **top, "summary": summary, "groups": groups}
    together["verdict"] = verdict.of_groups(groups)
    place = folder_of(paths[0], split)
    name = "comparison" if (paths[0] / "run.json").is_file() else "report"
    disk.replace(place / f"{name}.json", (json.dumps(together, indent=1) + "\n").encode())
    disk.replace(place / f"{name}.html", report.render_groups(groups).encode())
    return Evaluated(groups, place / f"{name}.html", together)


def _grouped(paths: Sequence[pathlib.Path]) -> tuple[dict[str, list[pathlib.Path]], list[str]]:
    """The runs in groups, and why a folder's runs form no group: a folder of seeds of the same settings is one."""
    groups: dict[str, list[pathlib.Path]] = {}
    warnings = []
    for path in paths:
        runs = run_folder.find_runs(path)
        if differing := _differing(runs):
            warnings.append(f"{path}: its runs differ in {', '.join(differing)}: they are compared, not averaged")
        groups |= {str(run): [run] for run in runs} if differing else {str(path): runs}
    return groups, warnings


def _differing(runs: Sequence[pathlib.Path]) -> list[str]:
    """The settings in which runs differ, beside the seed."""
    settings = [run_folder.read_facts(run)["settings"] for run in runs]
    return sorted({key for one in settings for key in one if key != "seed" and one[key] != settings[0].get(key)})
