"""A store's shapes as questions to a network, by the same code as a user's files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit import preprocess
from pointkit.asking import Query
from pointkit.cloud import Float32
from pointkit.predict import Predictor
from pointkit.store import Store


class Asked(NamedTuple):
    """A shape of a store as a question, without its stray points: the query, and each point's index in the store."""

    query: Query
    order: NDArray[np.int64]


def asked(
    predictor: Predictor, opened: Store, chosen: Iterable[int], draw: int = 0, vary: bool = False
) -> Iterator[Asked]:
    """The shapes ``chosen``, in order.

    ``draw`` > 0 puts the points into another random order. ``vary`` also turns and stretches each shape, no more than
    training did.
    """
    columns = opened.columns(predictor.task.features)
    for index in chosen:
        opened.check_uncut()
        span = opened.seen(index)
        rng = np.random.default_rng([draw, index])
        order = rng.permutation(span.stop - span.start) if draw else np.arange(span.stop - span.start)
        points = opened.points[span][order]
        numbers = opened.features[span][order][:, columns] if columns and opened.features is not None else None
        if vary:
            points, numbers = _varied(points, numbers, predictor, rng)
        yield Asked(Query(points, numbers, int(opened.labels[index])), order)


def _varied(
    points: Float32, numbers: Float32 | None, predictor: Predictor, rng: np.random.Generator
) -> tuple[Float32, Float32 | None]:
    """A shape turned about the up axis and stretched along it, no more than in training; its normals turn with it."""
    settings = predictor.facts["settings"]
    angle = math.radians(rng.uniform(-1, 1) * settings["rotate"])
    size = math.exp(rng.uniform(-1, 1) * math.log1p(settings["scale"]))
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
    turned = numbers
    if numbers is not None and "normals" in predictor.kinds:
        turned = np.concatenate([numbers[:, :3] @ turn, numbers[:, 3:]], 1)
    return (points @ turn) * np.array([1, 1, size], np.float32), turned


def pictured(opened: Store, index: int, num_points: int | None = None) -> Float32:
    """The points of a shape in the unit sphere, for a picture: all, or the ``num_points`` that a network sees first.

    Stray points, the last of a shape, are left out.
    """
    cloud = opened.points[opened.seen(index)]
    if num_points is not None:
        cloud = cloud[preprocess.window(len(cloud), num_points)]
    return preprocess.normalise(cloud)[0]
