"""The figures of a run that names the class of each shape."""

from __future__ import annotations

import csv
import functools
import io
import pathlib
from typing import Any

import numpy as np

from pointkit import checks, metrics
from pointkit.asking import OfClasses
from pointkit.cloud import Array, Float32
from pointkit.evaluate import baselines, doubts, foreigners
from pointkit.evaluate.shapes import TURNED, asked, pictured
from pointkit.predict import Predictor
from pointkit.report import Measured, charts, plots
from pointkit.store import Store

NUM_MISTAKES = 8
NUM_PICTURES = 8


def split_logits(predictor: Predictor, opened: Store, split: str, draw: int = 0, turn: str = "") -> Float32:
    """Logits (S, classes) float32 of a split's shapes in order; ``draw`` and ``turn`` are those of ``asked``."""
    return _looks(predictor, opened, split, draw, turn)[0]


def _looks(predictor: Predictor, opened: Store, split: str, draw: int = 0, turn: str = "") -> tuple[Float32, Float32]:
    """The logits, and what the network pooled of each shape, (S, D)."""
    queries = (shape.query for shape in asked(predictor, opened, opened.select(split), draw, turn=turn))
    with predictor.sampled(0 if turn else draw):
        looks = zip(*OfClasses(predictor).looks(queries), strict=True)
        logits, pooled = (np.concatenate(arrays) for arrays in looks)
    return logits, pooled


def measure(
    predictor: Predictor,
    opened: Store,
    split: str,
    *,
    draws: int = 0,
    votes: int = 0,
    protocol: str = "",
    rotate: str = "",
    foreign: pathlib.Path | None = None,
) -> Measured:
    """The figures of a split, predictions and pictures. Raises RunError and StoreError."""
    checks.suits(predictor.path, predictor.task, protocol)
    chosen = opened.select(split)
    truth = opened.labels[chosen]
    answers, pooled = _looks(predictor, opened, split)
    figures = metrics.classification_report(answers, truth, predictor.classes)
    probabilities = metrics.softmax(answers)
    first = {key: figures[key] for key in ("num_shapes", "oa", "oa_interval", "macc", "ece", "loss")}
    drawn = {"num_points": predictor.num_points, "drawn": "the first stored points of each shape, drawn once"}
    whole = {**first, **figures, "points": drawn}
    if draws:
        whole["draws"] = {**_spread(predictor, opened, split, draws), "note": _same(predictor, opened, split)}
    if votes:
        whole["votes"] = _votes(predictor, opened, split, votes)
    whole |= _beside(opened, chosen, probabilities, whole["classes"])
    if rotate:
        whole["rotated"] = {"about": rotate, **_spread(predictor, opened, split, TURNED, rotate)}
    whole["foreign"] = foreigners.measure(predictor, pooled, foreign)
    pictures = _pictures(predictor, opened, chosen, truth, probabilities, whole)
    return Measured(whole, _predictions(predictor, opened, chosen, truth, probabilities), pictures)


def _beside(opened: Store, chosen: Array, probabilities: Array, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What needs no network, and the labels in doubt; each row of the classes gets its number of training shapes."""
    train = np.bincount(opened.labels[opened.select("train")], minlength=len(rows))
    for row, count in zip(rows, train.tolist(), strict=True):
        row["train"] = count
    rivals, neighbours = baselines.of_classes(opened, chosen)
    truth, files = opened.labels[chosen].astype(np.int64), [opened.rows[i].file for i in chosen]
    return {
        "baselines": rivals,
        "suspects": doubts.suspects(truth, probabilities, neighbours, opened.classes, files),
    }


def _same(predictor: Predictor, opened: Store, split: str) -> str:
    """Why all draws are the same, or nothing where they are not."""
    if predictor.samples or bool((opened.counts[opened.select(split)] > predictor.num_points).any()):
        return ""
    return f"no shape holds more than the {predictor.num_points} points taken: all draws are the same"


def _votes(predictor: Predictor, opened: Store, split: str, votes: int) -> dict[str, Any]:
    """The figures of the mean probabilities of several answers, each on a draw of its own."""
    draws = (metrics.softmax(split_logits(predictor, opened, split, draw)) for draw in range(1, votes + 1))
    mean = sum(draws, np.zeros(())) / votes
    logits = np.log(np.maximum(mean, np.finfo(float).tiny))
    figures = metrics.classification_report(logits, opened.labels[opened.select(split)], predictor.classes)
    kept = {key: figures[key] for key in ("oa", "oa_interval", "macc", "ece", "loss")}
    return {"k": votes, **kept, "note": _same(predictor, opened, split)}


def _spread(predictor: Predictor, opened: Store, split: str, draws: int, turn: str = "") -> dict[str, Any]:
    """Mean and standard deviation of both accuracies over draws of the points, or over turns of the shapes."""
    truth = opened.labels[opened.select(split)]
    logits = (split_logits(predictor, opened, split, draw, turn) for draw in range(1, draws + 1))
    figures = [metrics.classification_report(each, truth, predictor.classes) for each in logits]
    oa_mean, oa_sd = metrics.mean_sd([f["oa"] for f in figures])
    macc_mean, macc_sd = metrics.mean_sd([f["macc"] for f in figures])
    return {"k": draws, "oa_mean": oa_mean, "oa_sd": oa_sd, "macc_mean": macc_mean, "macc_sd": macc_sd}


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


def _pictures(
    predictor: Predictor, opened: Store, chosen: Array, truth: Array, probabilities: Array, whole: dict[str, Any]
) -> dict[str, bytes]:
    """PNG by file name; the mistakes are entered into the report too."""
    answer, confidence = probabilities.argmax(1), probabilities.max(1)
    shown = np.random.default_rng(0).permutation(len(chosen))[:NUM_PICTURES]
    grid = plots.cloud_grid(
        [_cloud(predictor, opened, chosen, i) for i in shown],
        [f"{predictor.classes[answer[i]]}\ntruth: {predictor.classes[truth[i]]}" for i in shown],
        [bool(answer[i] != truth[i]) for i in shown],
    )
    pictures = {
        "grid": plots.png(grid),
        "confusion": plots.png(charts.confusion_matrix(whole["confusion"], predictor.classes)),
        "calibration": plots.png(charts.calibration_diagram(whole["calibration"])),
    }
    cloud = functools.partial(_cloud, predictor, opened, chosen)
    if mixed := doubts.mixed_classes(whole["confusion"], truth, probabilities, predictor.classes, cloud):
        whole["mixed_up"], pictures["mixed_up"] = mixed
    wrong = np.flatnonzero(answer != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:NUM_MISTAKES]
    whole["mistakes"] = []
    for place, i in enumerate(worst, 1):
        name = f"mistake_{place}"
        pictures[name] = plots.png(plots.cloud(cloud(i)))
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


def _cloud(predictor: Predictor, opened: Store, chosen: Array, i: int) -> Float32:
    """The points of a shape, as the network sees them, for a picture."""
    return pictured(opened, chosen[i], predictor.num_points)
