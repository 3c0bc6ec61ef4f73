"""A store's shapes as questions to a network, by the same code as a user's files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit import preprocess
from pointkit.asking import Query
from pointkit.cloud import Float32
from pointkit.predict import Predictor
from pointkit.store import Store

TURNED = 5  # times that every shape is turned
TURNS = {"up": "about the up axis", "any": "in any direction"}


class Asked(NamedTuple):
    """A shape of a store as a question, without its stray points: the query, and each point's index in the store."""

    query: Query
    order: NDArray[np.int64]


def asked(
    predictor: Predictor,
    opened: Store,
    chosen: Sequence[int] | NDArray[np.int64],
    draw: int = 0,
    vary: bool = False,
    turn: str = "",
) -> Iterator[Asked]:
    """The shapes ``chosen``, in order.

    ``draw`` > 0 puts the points into another random order. ``vary`` also turns and stretches each shape, no more than
    training did. With a ``turn``, one of ``TURNS``, a draw leaves the points in their order, and turns each shape by an
    angle of its own.
    """
    columns = opened.columns(predictor.task.features)
    for number, index in enumerate(chosen):
        predictor.waiting.done(number, len(chosen))
        opened.check_uncut()
        span = opened.seen(index)
        rng = np.random.default_rng([draw, index])
        mixed = draw and not turn
        order = rng.permutation(span.stop - span.start) if mixed else np.arange(span.stop - span.start)
        points = opened.points[span][order]
        numbers = opened.features[span][order][:, columns] if columns and opened.features is not None else None
        if vary:
            points, numbers = _varied(points, numbers, predictor, rng)
        if turn:
            points, numbers = _turned(points, numbers, predictor, rotation(turn, rng))
        yield Asked(Query(points, numbers, int(opened.labels[index])), order)
    predictor.waiting.done(len(chosen), len(chosen))


def outside(predictor: Predictor, opened: Store, chosen: Iterable[int]) -> list[dict[str, Any]]:
    """What lies outside of what the run was trained on: for each kind the files, and a line; the commonest first."""
    files: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for index in chosen:
        columns, span = opened.columns(predictor.task.features), opened.seen(index)
        numbers = opened.features[span][:, columns] if columns and opened.features is not None else None
        for warned in predictor.checks.of_points(opened.points[span], numbers):
            files.setdefault(warned.kind, []).append(opened.rows[index].file)
            texts.setdefault(warned.kind, warned.text)
    return [
        {"kind": kind, "files": some, "text": f"{len(some):,} of the shapes, such as {some[0]}: {texts[kind]}"}
        for kind, some in sorted(files.items(), key=lambda item: -len(item[1]))
    ]


def _varied(
    points: Float32, numbers: Float32 | None, predictor: Predictor, rng: np.random.Generator
) -> tuple[Float32, Float32 | None]:
    """A shape turned about the up axis and stretched along it, no more than in training; its normals turn with it."""
    settings = predictor.facts["settings"]
    angle = math.radians(rng.uniform(-1, 1) * settings["rotate"])
    size = math.exp(rng.uniform(-1, 1) * math.log1p(settings["scale"]))
    points, numbers = _turned(points, numbers, predictor, _about_up(angle))
    return points * np.array([1, 1, size], np.float32), numbers


def _about_up(angle: float) -> Float32:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)


def rotation(turn: str, rng: np.random.Generator) -> Float32:
    """A random matrix (3, 3) that turns rows of points: about z, or, for "any", uniform over all rotations."""
    if turn == "up":
        return _about_up(rng.uniform(0, 2 * math.pi))
    w, x, y, z = (quaternion := rng.normal(size=4)) / np.linalg.norm(quaternion)
    matrix = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(matrix, np.float32)


def _turned(
    points: Float32, numbers: Float32 | None, predictor: Predictor, matrix: Float32
) -> tuple[Float32, Float32 | None]:
    """The points of a shape, turned. Its normals, which stand first among the numbers, turn with them."""
    if numbers is not None and "normals" in predictor.kinds:
        numbers = np.concatenate([numbers[:, :3] @ matrix, numbers[:, 3:]], 1)
    return points @ matrix, numbers


def pictured(opened: Store, index: int, num_points: int | None = None) -> Float32:
    """The points of a shape in the unit sphere, for a picture: all, or the ``num_points`` that a network sees first.

    Stray points, the last of a shape, are left out.
    """
    cloud = opened.points[opened.seen(index)]
    if num_points is not None:
        cloud = cloud[preprocess.window(len(cloud), num_points)]
    return preprocess.normalise(cloud)[0]
