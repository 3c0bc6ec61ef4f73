"""Run -> report: the figures of a trained network on shapes that had no part in training or in choosing its weights.

Rules: the test points are fixed (the first N of each stored shape); nothing is drawn at random unless asked for
(``draws``); and nothing here touches the training's random state.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from pointkit import config, metrics, preprocess, report, run_folder, store
from pointkit.cloud import Array, Float32
from pointkit.errors import RunError, StoreError
from pointkit.evaluate import parts
from pointkit.evaluate.parts import Measured
from pointkit.loader import Batches
from pointkit.predict import Predictor
from pointkit.report import plots
from pointkit.store import Store

NUM_MISTAKES = 8
NUM_PICTURES = 8


def open_store(predictor: Predictor, path: pathlib.Path | None = None) -> Store:
    """The store that a run was trained on, where it was or at ``path``. Raises RunError where it is another one."""
    facts = predictor.facts["store"]
    try:
        opened = store.open(path or facts["path"])
    except StoreError as error:
        raise error if path else RunError(f"{error}; --store says where it is now") from None
    if opened.checksum != facts["checksum"]:
        raise RunError(f"{opened.path}: not the store that {predictor.path} was trained on (its checksum differs)")
    return opened


def split_logits(predictor: Predictor, opened: Store, split: str, draw: int = 0) -> Float32:
    """Logits (S, classes) float32 of a split's shapes, in its order, on their fixed points or on a draw of its own."""
    batches = Batches(
        opened, split, num_points=predictor.num_points, batch_size=32, draw=draw, features=predictor.task.features
    )
    answers = [predictor.logits(batches[b][0]) for b in range(batches.num_batches)]
    return np.concatenate(answers)[: len(batches.indices)]


def evaluate(
    path: pathlib.Path,
    *,
    store_path: pathlib.Path | None = None,
    split: str = "test",
    draws: int = 0,
    votes: int = 0,
    protocol: str = "",
) -> dict[str, Any]:
    """Measure a run on a split of its store; write report.json, report.html, predictions.csv and pictures into it.

    Those of another split than the test shapes go into a folder of the split's name there. ``draws`` > 0 repeats the
    measurement on so many fresh draws of the points. Of parts, ``votes`` > 0 adds the mean of so many turned, scaled
    and freshly drawn answers, and ``protocol`` "reference-b" that system's own figure. Returns the report. Raises
    RunError and StoreError.
    """
    predictor = Predictor(path)
    opened = open_store(predictor, store_path)
    if not len(opened.select(split)):
        raise RunError(f"{opened.path}: has no shapes in the split {split!r} to evaluate {path} on")
    if not predictor.task.parts and (votes or protocol):
        raise RunError(f"{path}: {'votes are' if votes else 'reference-b is'} for parts, this run tells classes apart")
    measured = (
        parts.measure(predictor, opened, split, draws=draws, votes=votes, protocol=protocol)
        if predictor.task.parts
        else _classes(predictor, opened, split, draws)
    )
    whole = {
        "task": predictor.task.name,
        "split": split,
        **measured.figures,
        "run": _run_facts(predictor),
        "command": shlex.join(_command(path, store_path, split, draws=draws, votes=votes, protocol=protocol)),
        "store": {"name": opened.path.resolve().name, "checksum": opened.checksum},
        "history": predictor.progress.history,
    }
    place = _place(path, split)
    _write(place, "predictions.csv", measured.predictions)
    _write(place, "report.json", json.dumps(whole, indent=1) + "\n")
    for pattern in ("mistake_*.png", "category_*.png"):  # an earlier report may have shown more
        for stale in place.glob(pattern):
            stale.unlink()
    pictures = measured.pictures | {
        "curves": plots.png(plots.curves(whole["history"], whole["run"]["best_epoch"])),
        "learning_rate": plots.png(plots.learning_rate([row["learning_rate"] for row in whole["history"]])),
    }
    for name, data in pictures.items():
        run_folder.replace(place / f"{name}.png", data)
    _write(place, "report.html", report.render(whole, pictures))
    return whole


def _classes(predictor: Predictor, opened: Store, split: str, draws: int) -> Measured:
    """What is to be said of a classifier."""
    chosen = opened.select(split)
    truth = opened.labels[chosen]
    answers = split_logits(predictor, opened, split)
    figures = metrics.classification_report(answers, truth, predictor.classes)
    probabilities = metrics.softmax(answers)
    first = {key: figures[key] for key in ("num_shapes", "oa", "oa_interval", "macc", "ece", "loss")}
    drawn = {"num_points": predictor.num_points, "drawn": "the first stored points of each shape, drawn once"}
    whole = {**first, **figures, "points": drawn}
    if draws:
        whole["draws"] = _draws(predictor, opened, split, draws)
    pictures = _pictures(predictor, opened, chosen, truth, probabilities, whole)
    return Measured(whole, _predictions(predictor, opened, chosen, truth, probabilities), pictures)


def _place(path: pathlib.Path, split: str) -> pathlib.Path:
    """Where the report on a split goes, in the folder of a run or of several seeds."""
    place = path if split == "test" else path / split
    run_folder.make(place)
    return place


def _write(path: pathlib.Path, name: str, text: str) -> None:
    run_folder.replace(path / name, text.encode())


def _command(path: pathlib.Path, store_path: pathlib.Path | None, split: str, **given: object) -> list[str]:
    """What to type for the same report."""
    command = ["pointkit", "evaluate", str(path), *(["--store", str(store_path)] if store_path else [])]
    command += ["--split", split] if split != "test" else []
    return command + [word for name, value in given.items() if value for word in (f"--{name}", str(value))]


def _run_facts(predictor: Predictor) -> dict[str, Any]:
    facts = predictor.facts
    settings, trained_on = facts["settings"], facts["store"]
    settings_of = config.Settings(**settings)
    store_task = dataclasses.replace(predictor.task, features=tuple(trained_on.get("features", ())))
    flags = config.flags(settings_of, store_task, trained_on["shapes"].get("train", 0))
    command = ["pointkit", "train", trained_on["path"], "-o", str(predictor.path), "--backend", facts["backend"]]
    return {
        "name": predictor.path.resolve().name,
        "path": str(predictor.path),
        "settings": settings,
        "seed": settings["seed"],
        "parameters": facts["parameters"],
        "trained_epochs": predictor.progress.epoch,
        "best_epoch": predictor.progress.best_epoch,
        "selected_by": {"loss": "validation loss", "miou": "validation mIoU"}[settings["select"]],
        "backend": facts["backend"],
        "versions": facts.get("versions", {}),
        "command": shlex.join(command + flags),
    }


def _draws(predictor: Predictor, opened: Store, split: str, draws: int) -> dict[str, Any]:
    truth = opened.labels[opened.select(split)]
    figures = [
        metrics.classification_report(split_logits(predictor, opened, split, draw), truth, predictor.classes)
        for draw in range(1, draws + 1)
    ]
    oa_mean, oa_sd = metrics.mean_sd([f["oa"] for f in figures])
    macc_mean, macc_sd = metrics.mean_sd([f["macc"] for f in figures])
    fresh = bool((opened.counts[opened.select(split)] > predictor.num_points).any())
    return {
        "k": draws,
        "oa_mean": oa_mean,
        "oa_sd": oa_sd,
        "macc_mean": macc_mean,
        "macc_sd": macc_sd,
        "note": ""
        if fresh
        else f"no shape holds more than the {predictor.num_points} points taken: all draws are the same",
    }


def _predictions(predictor: Predictor, opened: Store, chosen: Array, truth: Array, probabilities: Array) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "truth", "answer", "probability"))
    for index, label, row in zip(chosen, truth, probabilities, strict=True):
        answer = int(row.argmax())
        table.writerow(
            (opened.rows[index].file, predictor.classes[label], predictor.classes[answer], f"{row[answer]:.6f}")
        )
    return text.getvalue()


def _seen(predictor: Predictor, opened: Store, index: int) -> Float32:
    """A shape as the network saw it, (N, 3)."""
    cloud = opened.cloud(index)
    return preprocess.normalise(cloud[preprocess.window(len(cloud), predictor.num_points)])[0]


def _pictures(
    predictor: Predictor, opened: Store, chosen: Array, truth: Array, probabilities: Array, whole: dict[str, Any]
) -> dict[str, bytes]:
    """PNG by file name; the mistakes are entered into the report too."""
    answer, confidence = probabilities.argmax(1), probabilities.max(1)
    shown = np.random.default_rng(0).permutation(len(chosen))[:NUM_PICTURES]
    grid = plots.cloud_grid(
        [_seen(predictor, opened, chosen[i]) for i in shown],
        [f"{predictor.classes[answer[i]]}\ntruth: {predictor.classes[truth[i]]}" for i in shown],
        [bool(answer[i] != truth[i]) for i in shown],
    )
    pictures = {
        "grid": plots.png(grid),
        "confusion": plots.png(plots.confusion_matrix(whole["confusion"], predictor.classes)),
        "calibration": plots.png(plots.calibration_diagram(whole["calibration"])),
    }
    wrong = np.flatnonzero(answer != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:NUM_MISTAKES]
    whole["mistakes"] = []
    for place, i in enumerate(worst, 1):
        name = f"mistake_{place}"
        pictures[name] = plots.png(plots.cloud(_seen(predictor, opened, chosen[i])))
        whole["mistakes"].append(
            {
                "file": opened.rows[chosen[i]].file,
                "truth": predictor.classes[truth[i]],
                "answer": predictor.classes[answer[i]],
                "probability": float(confidence[i]),
                "picture": name,
            }
        )
    return pictures


def evaluate_groups(
    paths: Sequence[pathlib.Path],
    against: Sequence[pathlib.Path] = (),
    *,
    store_path: pathlib.Path | None = None,
    split: str = "test",
    **how: Any,
) -> dict[str, Any]:
    """Measure several runs, in groups: figures of each, mean and standard deviation of each group, and differences.

    A folder of seeds is a group of its own; single runs in ``paths`` form one, those in ``against`` another. Each run
    gets its own report. Over several runs there is a page besides: report.json and report.html of a folder of seeds, or
    comparison.json and comparison.html in the first run. ``how`` is handed to ``evaluate``. Raises RunError where the
    tasks or test inputs differ.
    """
    groups = {
        name: [evaluate(run, store_path=store_path, split=split, **how) for run in runs]
        for name, runs in _grouped(paths, against).items()
    }
    reports = [report for group in groups.values() for report in group]
    _same_inputs(reports)
    place = _place(paths[0], split)
    if len(reports) == 1:
        return {"groups": groups, "page": str(_place(run_folder.find_runs(paths[0])[0], split) / "report.html")}
    summary = report.summarise_groups(groups)
    first = next(iter(summary["groups"].values()))
    task = reports[0]["task"]
    top = {"num_shapes": reports[0]["num_shapes"]}
    top |= {key: first[key] and first[key][0] for key in report.FIGURES[task]}
    result = {"task": task, "split": split, **top, "summary": summary, "groups": groups}
    name = "comparison" if (paths[0] / "run.json").is_file() else "report"
    _write(place, f"{name}.json", json.dumps(result, indent=1) + "\n")
    _write(place, f"{name}.html", report.render_groups(groups))
    return result | {"page": str(place / f"{name}.html")}


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
