"""The figures of a run that tells parts apart, on all original points. An answer is one of the category's own parts.

The network itself answers every point, in a window of others as in training (``asking.OfParts``).
"""

from __future__ import annotations

import csv
import functools
import io
import math
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit import metrics, preprocess
from pointkit.asking import Query, to_all
from pointkit.cloud import Float32, Float64
from pointkit.evaluate import baselines, doubts, foreigners
from pointkit.evaluate.shapes import TURNED, asked, pictured
from pointkit.metrics import ShapeScore
from pointkit.predict import Predictor
from pointkit.report import Measured, plots
from pointkit.store import Store
from pointkit.task import Parts

REFERENCE_POINTS = 1024  # what reference system B draws of each cloud


class _Shape(NamedTuple):
    """A shape of the store: its index there, its true parts and answers (T,) from 0 within its category, its score."""

    place: int
    category: str
    truth: NDArray[np.int64]
    answer: NDArray[np.int64]
    score: ShapeScore | None


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
    chosen = opened.select(split)
    pooled: list[Float32] = []
    probabilities = _probabilities(predictor, opened, chosen, pooled=pooled)
    shapes = list(_answered(predictor, opened, chosen, probabilities))
    parts = predictor.task.parts
    figures = metrics.segmentation_report([shape.score for shape in shapes], parts)
    drawn = f"all original points of each shape, answered in windows of {predictor.num_points}"
    whole = figures | {"points": {"num_points": predictor.num_points, "drawn": drawn}}
    whole["baselines"] = _beside(opened, chosen, whole["categories"])
    if draws:
        whole["draws"] = _spread(predictor, opened, chosen, draws)
    if rotate:
        whole["rotated"] = {"about": rotate, **_spread(predictor, opened, chosen, TURNED, rotate)}
    whole["foreign"] = foreigners.measure(predictor, np.stack(pooled), foreign)
    if votes:
        whole["votes"] = _votes(predictor, opened, chosen, votes)
    if protocol:
        whole["protocol"] = _reference(opened, shapes)
    pictures = {"sampling": _sampling(predictor, opened, shapes)} | _pictures(opened, shapes, parts, whole)
    if mixed := doubts.mixed_parts(whole["categories"], shapes, parts, functools.partial(pictured, opened)):
        whole["mixed_up"], pictures["mixed_up"] = mixed
    return Measured(whole, _predictions(opened, shapes), pictures)


def _beside(opened: Store, chosen: NDArray[np.int64], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What needs no network; each row of the categories, and of their parts, gets its number of training shapes."""
    counts = baselines.part_counts(opened)
    train = np.bincount(opened.labels[opened.select("train")], minlength=len(rows)).tolist()
    for row, shapes in zip(rows, train, strict=True):
        row["train"] = shapes
        for part, having in zip(row["parts"], counts[row["name"]][0].tolist(), strict=True):
            part["train"] = having
    return baselines.of_parts(opened, chosen, counts)


def _probabilities(
    predictor: Predictor,
    opened: Store,
    chosen: NDArray[np.int64],
    draw: int = 0,
    vary: bool = False,
    turn: str = "",
    pooled: list[Float32] | None = None,
) -> Iterator[Float64]:
    """For each shape (T, parts), in the store's order of points. ``draw``, ``vary``, ``turn`` are those of ``asked``.

    A stray point has the answer of the point nearest to it. What the network pooled of each shape (D,) goes into
    ``pooled``.
    """
    orders: list[NDArray[np.int64]] = []

    def queries() -> Iterator[Query]:
        for shape in asked(predictor, opened, chosen, draw, vary, turn):
            orders.append(shape.order)
            yield shape.query

    with predictor.sampled(0 if turn else draw):
        for i, rows in enumerate(predictor.asker.rows(queries())):
            if pooled is not None:
                pooled.append(rows.pooled)
            yield to_all(opened.cloud(chosen[i]), orders[i], rows.probabilities)


def _answered(
    predictor: Predictor, opened: Store, chosen: NDArray[np.int64], probabilities: Iterator[Float64]
) -> Iterator[_Shape]:
    spans = opened.part_ids
    assert opened.point_labels is not None
    for index, rows in zip(chosen, probabilities, strict=True):
        category = predictor.classes[opened.labels[index]]
        labels = opened.point_labels[opened.span(index)].astype(np.int64)
        truth = np.where(labels < 0, -1, labels - spans[category].start)
        answer = metrics.restricted_answer(rows, range(rows.shape[1]))
        score = metrics.score_shape(category, truth, answer, rows.shape[1])
        yield _Shape(int(index), category, truth, answer, score)


def _figures(shapes: list[_Shape], predictor: Predictor) -> dict[str, float]:
    report = metrics.segmentation_report([shape.score for shape in shapes], predictor.task.parts)
    return {figure.key: report[figure.key] for figure in Parts.figures}


def _spread(
    predictor: Predictor, opened: Store, chosen: NDArray[np.int64], draws: int, turn: str = ""
) -> dict[str, Any]:
    """Mean and standard deviation of the figures over fresh draws of the windows, or over turns of the shapes."""
    answers = (_probabilities(predictor, opened, chosen, draw, turn=turn) for draw in range(1, draws + 1))
    found = [_figures(list(_answered(predictor, opened, chosen, each)), predictor) for each in answers]
    spreads = {key: metrics.mean_sd([figures[key] for figures in found]) for key in found[0]}
    named = {
        f"{key}_{word}": value
        for key, pair in spreads.items()
        for word, value in zip(("mean", "sd"), pair, strict=True)
    }
    return {"k": draws, **named}


def _votes(predictor: Predictor, opened: Store, chosen: NDArray[np.int64], votes: int) -> dict[str, Any]:
    """The figures of the mean of several answers, each on a draw of its own, turned and stretched."""
    total = [np.zeros(())] * len(chosen)
    for vote in range(1, votes + 1):
        answers = _probabilities(predictor, opened, chosen, vote, vary=True)
        total = [before + rows for before, rows in zip(total, answers, strict=True)]
    return {"k": votes, **_figures(list(_answered(predictor, opened, chosen, iter(total))), predictor)}


def _reference(opened: Store, shapes: list[_Shape]) -> dict[str, Any]:
    """Reference system B's own figure: point accuracy on the first 1,024 points. Points in no part count as a part.

    Shapes with fewer points are left out, and those without a point of some part: there B lacks a file.
    """
    right = total = kept = 0
    for shape in shapes:
        num_parts = len(opened.parts[shape.category])
        if len(shape.truth) < REFERENCE_POINTS or len(set(shape.truth.tolist()) - {-1}) < num_parts:
            continue
        kept += 1
        right += int((shape.truth == shape.answer)[:REFERENCE_POINTS].sum())
        total += REFERENCE_POINTS
    return {
        "name": "reference-b",
        "point_accuracy": right / total if total else None,
        "shapes": kept,
        "left_out": len(shapes) - kept,
        "note": f"as reference system B counts: on {REFERENCE_POINTS:,} points of each shape, a point in no part is of "
        "the part 'none' (which this network never answers), shapes without a point of some part or with fewer points "
        "are left out",
    }


def _predictions(opened: Store, shapes: list[_Shape]) -> str:
    """A line a shape: its category, points with a label, IoU, accuracy."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "category", "points", "iou", "accuracy"))
    for shape in shapes:
        score = shape.score
        known = (score.points, f"{score.iou:.6f}", f"{score.accuracy:.6f}") if score else (0, "", "")
        table.writerow((opened.rows[shape.place].file, shape.category, *known))
    return text.getvalue()


def _pictures(opened: Store, shapes: list[_Shape], parts: Any, whole: dict[str, Any]) -> dict[str, bytes]:
    """The best, median and worst shape of each category, truth beside answer; their names go into the report."""
    pictures: dict[str, bytes] = {}
    for number, (category, names) in enumerate(parts.items()):
        ranked = sorted((s for s in shapes if s.category == category and s.score), key=lambda s: -_iou(s))
        if not ranked:
            continue
        places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
        words = {place: word for word, place in reversed(places.items())}  # of few shapes, each once
        chosen = [(word, ranked[place]) for place, word in sorted(words.items())]
        figure = plots.parts_pairs(
            [pictured(opened, shape.place) for _, shape in chosen],
            [shape.truth for _, shape in chosen],
            [shape.answer for _, shape in chosen],
            [f"{word}: {100 * _iou(shape):.1f} % IoU" for word, shape in chosen],
            names,
        )
        name = f"category_{number}"
        pictures[name] = plots.png(figure)
        files = [opened.rows[shape.place].file for _, shape in chosen]
        whole["categories"][number] |= {"picture": name, "shown": files}
    return pictures


def _sampling(predictor: Predictor, opened: Store, shapes: list[_Shape]) -> bytes:
    """Two shapes with all their points, then the same two as the network takes them, coloured by part."""
    category = shapes[0].category
    chosen = [shape for shape in shapes if shape.category == category][:2]
    clouds = [pictured(opened, shape.place) for shape in chosen]
    drawn = [preprocess.window(len(cloud), predictor.num_points) for cloud in clouds]
    figure = plots.labelled_clouds(
        [*clouds, *(cloud[index] for cloud, index in zip(clouds, drawn, strict=True))],
        [*(s.truth for s in chosen), *(s.truth[index] for s, index in zip(chosen, drawn, strict=True))],
        [f"{len(cloud):,} points" for cloud in clouds] + [f"{len(set(index.tolist())):,} drawn" for index in drawn],
        predictor.task.parts[category],
        columns=2 * len(chosen),
    )
    return plots.png(figure)


def _iou(shape: _Shape) -> float:
    return shape.score.iou if shape.score else math.nan
