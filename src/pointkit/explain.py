"""What decided an answer: the critical points of a shape, as a field beside its own fields and as a picture.

PointNet's answer depends on the points that win a maximum (``models.CriticalPoints``). Here they are mapped back to the
points of the user's file.
"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointkit import disk
from pointkit.asking import Seen
from pointkit.cloud import Array, Float32
from pointkit.models.families import DECIDES, IDLE, TURNS

FIELD = "critical"
NOTES = (
    f"{FIELD} {DECIDES}: won a channel of the global feature",
    f"{FIELD} {TURNS}: won channels of the T-Nets alone",
    f"{FIELD} {IDLE}: won nothing",
)
PICTURED = 20_000  # points of a large cloud that its picture shows


@dataclass(frozen=True)
class Explanation:
    """How many points decided, how many only turned the cloud, how many won nothing; ``picture`` shows them."""

    picture: pathlib.Path
    decided: int
    turned: int
    others: int


def fields(seen: Seen, marks: NDArray[np.uint8]) -> dict[str, Array]:
    """The marks (T,) of drawn points, as a field of all points or faces; those that the network did not see have 0."""
    whole = np.zeros(seen.size, np.uint8)
    np.maximum.at(whole, seen.drawn.index, marks)
    return {FIELD: whole}


def draw(target: pathlib.Path, points: Float32, marks: NDArray[np.uint8], heading: str = "") -> Explanation:
    """Write the picture of points (T, 3), in random order, with their marks (T,): all, and the critical ones alone.

    The ``heading`` says what the picture shows: the file, and its answer.
    """
    from pointkit.report import plots  # matplotlib takes half a second

    decided, turned, others = (int((marks == mark).sum()) for mark in (DECIDES, TURNS, IDLE))
    points, marks = points[:PICTURED], marks[:PICTURED]
    critical = marks != IDLE
    ranks = np.select([marks == DECIDES, marks == TURNS], [0, 1], -1)
    figure = plots.labelled_clouds(
        [points, points[critical]],
        [ranks, ranks[critical]],
        ["all points", "those that decided"],
        [f"decided the answer ({decided:,})", f"turned the cloud ({turned:,})"],
        rest=f"won nothing ({others:,})",
        heading=heading,
    )
    with disk.replacing(target) as file:
        file.write(plots.png(figure, dpi=160))
    return Explanation(target, decided, turned, others)
