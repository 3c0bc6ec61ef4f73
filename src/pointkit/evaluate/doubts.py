"""What a report shows beside its figures: the two answers most mixed up, and the labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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


def suspects(truth: Int64, probabilities: Array, neighbours: Int64, classes: Sequence[str], files: Sequence[str]) -> Any:
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
    clouds: Mapping[int, Float32] | Any,
) -> tuple[dict[str, Any], bytes] | None:
    """The two classes most mixed up, for a report, and their picture: a row of each, the shapes taken for the other
    first, then some that were right. ``clouds(i)`` gives the points of a shape. None where all is right.
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
        [clouds(i) for i in shown],
        [f"{classes[answer[i]]}\ntruth: {classes[truth[i]]}" for i in shown],
        [bool(answer[i] != truth[i]) for i in shown],
        columns=columns,
    )
    names = [classes[mixed.first], classes[mixed.second]]
    return {"names": names, "counts": [mixed.there, mixed.back], "picture": "mixed_up"}, plots.png(figure)
