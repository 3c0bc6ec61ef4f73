"""What needs no training: always the commonest answer, and the answer of the most similar training shape.

A network that is no better than these has learned nothing of use. Both take seconds. The most similar shape is the one
whose points fill the unit sphere most alike: a histogram over 8 x 8 x 8 cells of the first points, normalised as the
network sees them. Shapes are compared as they stand in the files, so this is a fair rival only where they stand alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit import metrics, preprocess
from pointkit.cloud import Float32
from pointkit.store import Store

POINTS = 1024  # of each shape
CELLS = 8  # along each axis
MOST = 20_000  # training shapes that are compared
BATCH = 512  # shapes compared at a time
HOW = (
    f"the training shape whose first {POINTS:,} points fill {CELLS} x {CELLS} x {CELLS} cells most alike, as it stands"
)

Int64 = NDArray[np.int64]


def fillings(opened: Store, shapes: Int64) -> Float32:
    """For each shape (S,) the square roots of the shares of its points in each cell, (S, cells) float32.

    So the distance of two shapes is Hellinger's.
    """
    found = np.empty((len(shapes), CELLS**3), np.float32)
    for row, index in enumerate(shapes):
        points = _points(opened, int(index))
        cells = np.clip((points + 1) / 2 * CELLS, 0, CELLS - 1).astype(np.int64) @ [CELLS * CELLS, CELLS, 1]
        found[row] = np.sqrt(np.bincount(cells, minlength=CELLS**3) / len(points))
    return found


def nearest(opened: Store, asked: Int64, within: bool = False) -> Int64:
    """The most similar training shape of each of the shapes ``asked`` (S,), never the shape itself; -1 for none.

    ``within`` compares shapes of one class, or category, alone. Of more than ``MOST`` training shapes only so many
    take part, chosen at random.
    """
    train = opened.select("train")
    if len(train) > MOST:
        train = np.sort(np.random.default_rng(0).choice(train, MOST, replace=False))
    if not len(train):
        return np.full(len(asked), -1)
    known, found = fillings(opened, train), np.empty(len(asked), np.int64)
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        alike = fillings(opened, batch) @ known.T
        alike[batch[:, None] == train] = -np.inf
        if within:
            alike[opened.labels[batch][:, None] != opened.labels[train]] = -np.inf
        best = alike.argmax(1)
        found[start : start + BATCH] = np.where(np.isfinite(alike[np.arange(len(batch)), best]), train[best], -1)
    return found


def of_classes(opened: Store, asked: Int64) -> tuple[dict[str, Any], Int64]:
    """Accuracies of both for a report, and the class that the nearest training shape has, (S,), -1 for none."""
    truth = opened.labels[asked].astype(np.int64)
    train = opened.labels[opened.select("train")]
    if not len(train):
        return {}, np.full(len(asked), -1)
    commonest = int(np.bincount(train, minlength=len(opened.classes)).argmax())
    neighbours = nearest(opened, asked)
    answers = np.where(neighbours < 0, commonest, opened.labels[neighbours])
    found = {
        "commonest": {"name": opened.classes[commonest], **_accuracies(truth, np.full(len(asked), commonest), opened)},
        "nearest": {"how": HOW, **_accuracies(truth, answers, opened)},
    }
    return found, np.where(neighbours < 0, -1, answers)


def _accuracies(truth: Int64, answer: Int64, opened: Store) -> dict[str, float | None]:
    matrix = metrics.confusion(truth, answer, len(opened.classes))
    return {"oa": metrics.overall_accuracy(matrix), "macc": metrics.mean_class_accuracy(matrix)}


def of_parts(opened: Store, asked: Int64, part_counts: Mapping[str, Int64]) -> dict[str, Any]:
    """The figures of both for a report, on up to ``POINTS`` points of each shape.

    The nearest training shape of the category lends each point the part of its nearest point. Points in no part lend
    the category's commonest one. ``part_counts`` are those of the function below.
    """
    points = {name: counts[1] for name, counts in part_counts.items()}
    if not any(counts.any() for counts in points.values()):
        return {}
    top = {name: int(counts.argmax()) for name, counts in points.items()}
    constant, lent = [], []
    for index, neighbour in zip(asked, nearest(opened, asked, within=True), strict=True):
        category = opened.classes[opened.labels[index]]
        parts, truth = len(opened.parts[category]), _parts(opened, int(index))
        same = np.full(len(truth), top[category])
        answer = same if neighbour < 0 else _lent(opened, int(index), int(neighbour), top[category])
        constant.append(metrics.score_shape(category, truth, same, parts))
        lent.append(metrics.score_shape(category, truth, answer, parts))
    how = f"{HOW}, of its category; each point takes the part of the nearest one there; {POINTS:,} points a shape"
    names = {category: opened.parts[category][part] for category, part in top.items()}
    return {
        "commonest": {"names": names, **_figures(constant, opened.parts)},
        "nearest": {"how": how, **_figures(lent, opened.parts)},
    }


def part_counts(opened: Store) -> dict[str, Int64]:
    """Category -> (2, parts): in how many training shapes each of its parts occurs, and its points there."""
    found = {name: np.zeros((2, len(parts)), np.int64) for name, parts in opened.parts.items()}
    assert opened.point_labels is not None
    for index in opened.select("train"):
        opened.check_uncut()
        category = opened.classes[opened.labels[index]]
        labels = opened.point_labels[opened.span(int(index))] - opened.part_ids[category].start
        points = np.bincount(labels[labels >= 0], minlength=found[category].shape[1])
        found[category] += (points > 0, points)
    return found


def _figures(scores: Sequence[metrics.ShapeScore | None], parts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    if not any(scores):
        return {}
    report = metrics.segmentation_report(scores, parts)
    return {key: report[key] for key in ("instance_miou", "class_miou", "point_accuracy")}


def _lent(opened: Store, index: int, neighbour: int, rest: int) -> Int64:
    from scipy.spatial import cKDTree

    labels = _parts(opened, neighbour)
    places = cKDTree(_points(opened, neighbour)).query(_points(opened, index))[1]
    lent: Int64 = np.where(labels < 0, rest, labels)[places]
    return lent


def _parts(opened: Store, index: int) -> Int64:
    """The parts of a shape's first points, from 0 within its category, -1 for none."""
    assert opened.point_labels is not None
    labels = opened.point_labels[opened.seen(index)][:POINTS].astype(np.int64)
    return np.where(labels < 0, -1, labels - opened.part_ids[opened.classes[opened.labels[index]]].start)


def _points(opened: Store, index: int) -> Float32:
    """The first points of a shape in the unit sphere."""
    opened.check_uncut()
    return preprocess.normalise(np.asarray(opened.points[opened.seen(index)][:POINTS]))[0]
