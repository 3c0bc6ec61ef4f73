"""The figures of a run that names the class of each shape."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from pointkit import checks, metrics
from pointkit.asking import OfClasses
from pointkit.cloud import Array, Float32
from pointkit.evaluate.shapes import asked, pictured
from pointkit.predict import Predictor
from pointkit.report import Measured, plots
from pointkit.store import Store

NUM_MISTAKES = 8
NUM_PICTURES = 8


def split_logits(predictor: Predictor, opened: Store, split: str, draw: int = 0) -> Float32:
    """Logits (S, classes) float32 of a split's shapes in order, on their fixed points or on another ``draw``."""
    queries = (shape.query for shape in asked(predictor, opened, opened.select(split), draw))
    return np.concatenate(list(OfClasses(predictor).logits(queries)))


def measure(
    predictor: Predictor, opened: Store, split: str, *, draws: int = 0, votes: int = 0, protocol: str = ""
) -> Measured:
    """The figures of a split, predictions and pictures. Raises RunError and StoreError."""
    checks.suits(predictor.path, predictor.task, votes, protocol)
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


def _pictures(
    predictor: Predictor, opened: Store, chosen: Array, truth: Array, probabilities: Array, whole: dict[str, Any]
) -> dict[str, bytes]:
    """PNG by file name; the mistakes are entered into the report too."""
    answer, confidence = probabilities.argmax(1), probabilities.max(1)
    shown = np.random.default_rng(0).permutation(len(chosen))[:NUM_PICTURES]
    grid = plots.cloud_grid(
        [pictured(opened, chosen[i], predictor.num_points) for i in shown],
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
        pictures[name] = plots.png(plots.cloud(pictured(opened, chosen[i], predictor.num_points)))
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
