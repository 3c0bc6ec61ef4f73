"""What a report shows beside its figures: the two answers most mixed up, and the labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array, Float32
from pointkit.metrics.chance import most_mixed_up
from pointkit.report import plots

SURE = 0.9  # probability of a wrong answer whose label is doubted
LEARNED = 0.5  # accuracy of a network whose doubts mean something
MOST = 8  # doubted labels that are listed
SIDE = 4  # shapes of each of the two classes that are pictured

Int64 = NDArray[np.int64]


def suspects(
    truth: Int64, probabilities: Array, neighbours: Int64, classes: Sequence[str], files: Sequence[str]
) -> list[dict[str, Any]]:
    """Shapes (S,) whose label is probably wrong, the surest first, ready for JSON.

    The network answers another class with ``SURE``, and the most similar training shape is of that class, too. A
    network that is seldom right doubts nothing.
    """
    answer, confidence = probabilities.argmax(1), probabilities.max(1)
    if not len(truth) or (answer == truth).mean() < LEARNED:
        return []
    doubted = np.flatnonzero((answer != truth) & (confidence >= SURE) & (neighbours == answer))
    return [
        {
            "file": files[i],
            "truth": classes[truth[i]],
            "answer": classes[answer[i]],
            "probability": float(confidence[i]),
        }
        for i in doubted[np.argsort(-confidence[doubted], kind="stable")][:MOST]
    ]


def mixed_classes(
    matrix: Sequence[Sequence[int]],
    truth: Int64,
    probabilities: Array,
    classes: Sequence[str],
    cloud: Callable[[int], Float32],
) -> tuple[dict[str, Any], bytes] | None:
    """The two classes most mixed up, for a report, and their picture: a row of each, the shapes taken for the other
    first, then some that were right. ``cloud`` gives the points of a shape by its place among them. None where all is
    right.
    """
    mixed = most_mixed_up(matrix)
    if mixed is None:
        return None
    answer, confidence = probabilities.argmax(1), probabilities.max(1)
    rows: list[list[int]] = []
    for own, other in ((mixed.first, mixed.second), (mixed.second, mixed.first)):
        taken, right = (np.flatnonzero((truth == own) & (answer == said)) for said in (other, own))
        wrong = taken[np.argsort(-confidence[taken], kind="stable")][:SIDE]
        rows.append([int(i) for i in (*wrong[: SIDE - min(1, len(right))], *right)][:SIDE])
    shown = [i for row in rows for i in row]
    columns = max(len(row) for row in rows) if len(rows[0]) == len(rows[1]) else SIDE
    figure = plots.cloud_grid(
        [cloud(i) for i in shown],
        [f"{classes[answer[i]]}\ntruth: {classes[truth[i]]}" for i in shown],
        [bool(answer[i] != truth[i]) for i in shown],
        columns=columns,
    )
    names = [classes[mixed.first], classes[mixed.second]]
    return {"names": names, "counts": [mixed.there, mixed.back], "picture": "mixed_up"}, plots.png(figure)


class Labelled(Protocol):
    """A shape with its true parts and answers (T,), from 0 within its category; ``place`` is its index."""

    @property
    def place(self) -> int: ...
    @property
    def category(self) -> str: ...
    @property
    def truth(self) -> Int64: ...
    @property
    def answer(self) -> Int64: ...


def mixed_parts(
    rows: Sequence[Mapping[str, Any]],
    shapes: Sequence[Labelled],
    parts: Mapping[str, Sequence[str]],
    cloud: Callable[[int], Float32],
) -> tuple[dict[str, Any], bytes] | None:
    """The two parts most mixed up, for a report, and the picture of the shapes where it is worst, truth beside answer.

    ``rows`` are the report's categories, ``cloud`` gives the points of a shape by its ``place``. None where all is
    right.
    """
    found = [
        (mixed.there + mixed.back, row["name"], mixed) for row in rows if (mixed := most_mixed_up(row["confusion"]))
    ]
    if not found:
        return None
    _, category, mixed = max(found, key=lambda each: each[0])
    pair = {mixed.first, mixed.second}

    def wrong(shape: Labelled) -> int:
        return int(
            ((shape.truth != shape.answer) & np.isin(shape.truth, [*pair]) & np.isin(shape.answer, [*pair])).sum()
        )

    worst = sorted((shape for shape in shapes if shape.category == category), key=wrong, reverse=True)[:2]
    names = parts[category]
    figure = plots.parts_pairs(
        [cloud(shape.place) for shape in worst],
        [shape.truth for shape in worst],
        [shape.answer for shape in worst],
        [f"answer: {wrong(shape):,} points mixed up" for shape in worst],
        names,
    )
    about = {"category": category, "names": [names[mixed.first], names[mixed.second]]}
    return {**about, "counts": [mixed.there, mixed.back], "picture": "mixed_up"}, plots.png(figure)
