"""Run -> report: the figures of a trained network on shapes that had no part in training or in choosing its weights.

The test points are fixed: the first N of each stored shape. Nothing is drawn at random unless it is asked for
(``draws``). Nothing here touches the training's random state.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from pointkit import checks, config, disk, report, run_folder, verdict
from pointkit.errors import RunError
from pointkit.evaluate import classes, parts, shapes
from pointkit.predict import Predictor
from pointkit.report import Measured, charts, plots
from pointkit.store import Store
from pointkit.watching import Waiting

MEASURES: Mapping[str, Callable[..., Measured]] = {"classification": classes.measure, "parts": parts.measure}


# Pictures of an earlier report, which may have shown more.
STALE = ("mistake_*.png", "category_*.png", "mixed_up.png", "curves.png", "learning_rate.png")


def open_store(predictor: Predictor, path: str | os.PathLike[str] | None = None) -> Store:
    """The store that a run was trained on, where it was or at ``path``. Raises RunError where it is another one."""
    return checks.store_of(predictor.path, predictor.facts, None if path is None else pathlib.Path(path))


def evaluate(
    path: str | os.PathLike[str],
    *,
    store_path: str | os.PathLike[str] | None = None,
    split: str = "test",
    draws: int = 0,
    votes: int = 0,
    protocol: str = "",
    rotate: str = "",
    foreign: pathlib.Path | None = None,
    waiting: Waiting | None = None,
) -> dict[str, Any]:
    """Measure a run on a split of its store; write report.json, report.html, predictions.csv and pictures into it.

    Files about another split than the test shapes go into a folder with the split's name there. ``draws`` > 0 repeats
    the measurement on so many fresh draws of the points. ``votes`` > 0 adds the figures of the mean of so many
    answers, each on points drawn anew, and for parts of shapes turned and stretched. For parts, ``protocol``
    "reference-b" adds that system's own figure.
    ``rotate`` "up" or "any" adds the figures with every shape turned, about the up axis or in any direction
    (``shapes.TURNED`` times). ``foreign`` is a store or a folder of shapes of other kinds: how well are they marked?
    Returns the report. Raises RunError and StoreError.
    """
    path = pathlib.Path(path)
    predictor = Predictor(path, waiting)
    predictor.waiting.begin(f"measuring {path}")
    opened = open_store(predictor, store_path)
    checks.shapes_of(opened, path, split)
    how: dict[str, Any] = {"draws": draws, "votes": votes, "protocol": protocol, "rotate": rotate, "foreign": foreign}
    measured = MEASURES[predictor.task.name](predictor, opened, split, **how)
    outside = shapes.outside(predictor, opened, opened.select(split))
    whole = {
        "task": predictor.task.name,
        "split": split,
        **measured.figures,
        "outside": outside,
        "warnings": [*measured.figures.get("warnings", ()), *(one["text"] for one in outside)],
        "run": _run_facts(predictor),
        "command": shlex.join(_command(path, store_path, split, **how)),
        "store": {"name": opened.path.resolve().name, "checksum": opened.checksum, **_source(path)},
        "history": predictor.progress.history,
        "findings": opened.manifest.get("findings", []),
    }
    whole["verdict"] = verdict.of(whole)
    predictor.waiting.begin(f"writing the report of {path}")
    place = folder_of(path, split)
    _write(place, "predictions.csv", measured.predictions)
    _write(place, "report.json", json.dumps(whole, indent=1) + "\n")
    for pattern in STALE:
        for stale in place.glob(pattern):
            stale.unlink()
    curves = charts.curves(whole["history"], whole["run"]["best_epoch"])
    pictures = measured.pictures | {name: plots.png(figure) for name, figure in curves.items()}
    for name, data in pictures.items():
        disk.replace(place / f"{name}.png", data)
    _write(place, "report.html", report.render(whole, pictures))
    return whole


def _source(path: pathlib.Path) -> dict[str, str]:
    """The folder that the shapes came from, which runs of ``learn`` know."""
    try:
        return {"folder": str(json.loads((path / run_folder.LEARN).read_bytes())["folder"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def folder_of(path: pathlib.Path, split: str) -> pathlib.Path:
    """Where the report on a split goes, in the folder of a run or of several seeds."""
    place = path if split == "test" else path / split
    disk.make(place, RunError)
    return place


def _write(path: pathlib.Path, name: str, text: str) -> None:
    disk.replace(path / name, text.encode())


def _command(path: pathlib.Path, store_path: str | os.PathLike[str] | None, split: str, **given: object) -> list[str]:
    """The command that makes this report."""
    command = ["pointkit", "evaluate", str(path), *(["--store", str(store_path)] if store_path else [])]
    command += ["--split", split] if split != "test" else []
    return command + [word for name, value in given.items() if value for word in (f"--{name}", str(value))]


def _run_facts(predictor: Predictor) -> dict[str, Any]:
    facts = predictor.facts
    settings, trained_on = facts["settings"], facts["store"]
    settings_of = config.combine(settings)
    store_task = dataclasses.replace(predictor.task, features=tuple(trained_on.get("features", ())))
    imbalanced = trained_on.get("imbalanced", False)
    flags = config.flags(settings_of, store_task, trained_on["shapes"].get("train", 0), imbalanced)
    command = ["pointkit", "train", trained_on["path"], "-o", str(predictor.path), "--backend", facts["backend"]]
    command += ["--init", facts["init"]["path"]] if "init" in facts else []
    return {
        "name": predictor.path.resolve().name,
        "path": str(predictor.path),
        "settings": settings,
        "seed": settings["seed"],
        "shapes": trained_on["shapes"],
        "parameters": facts["parameters"],
        "trained_epochs": predictor.progress.epoch,
        "best_epoch": predictor.progress.best_epoch,
        "selected_by": predictor.task.choices[settings["select"]].words,
        "backend": facts["backend"],
        "versions": facts.get("versions", {}),
        "command": shlex.join(command + flags),
    }
