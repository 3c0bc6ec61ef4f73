"""What is said of the points of an explained file, as fields beside its own fields and as a picture.

PointNet's answer depends on the points that win a maximum (``models.CriticalPoints``). Where points meet elsewhere, no
points can be named that decided. How much each could change the answer is said instead (``models.Influence``). Here
both are mapped back to the points of the user's file.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointkit import disk
from pointkit.asking import Seen
from pointkit.cloud import Array, Float32
from pointkit.marking import CRITICAL, INFLUENCE
from pointkit.models.families import DECIDES, IDLE, TURNS

NOTES = (
    f"{CRITICAL} {DECIDES}: won a channel of the global feature",
    f"{CRITICAL} {TURNS}: won channels of the T-Nets alone",
    f"{CRITICAL} {IDLE}: won nothing",
)
MEANING = "how much the answer would change if the point moved, not what decided it"
INFLUENCE_NOTES = (f"{INFLUENCE}: length of the answer's gradient by the point's place, 1 is the largest: {MEANING}",)
WINNERS_NOTES = (
    f"{CRITICAL} {DECIDES}: its neighbourhood won a channel of the global feature",
    f"{CRITICAL} {IDLE}: it did not, or the point is the centre of none",
)
PICTURED = 20_000  # points of a large cloud that its picture shows


@dataclass(frozen=True)
class Explanation:
    """How many points decided, how many only turned the cloud, how many won nothing; ``picture`` shows them."""

    picture: pathlib.Path
    decided: int
    turned: int
    others: int


@dataclass(frozen=True)
class Influences:
    """How many of all ``points`` hold ``half`` of the influence; ``picture`` shows them.

    ``won`` are those whose neighbourhoods won a channel of the global feature, or None where no maximum makes it.
    """

    picture: pathlib.Path
    points: int
    half: int
    won: int | None


def notes(marks: Mapping[str, Array]) -> tuple[str, ...]:
    """What the fields of an explained file mean."""
    if INFLUENCE not in marks:
        return NOTES
    return INFLUENCE_NOTES + (WINNERS_NOTES if CRITICAL in marks else ())


def fields(seen: Seen, marks: Mapping[str, Array]) -> dict[str, Array]:
    """What is said of drawn points (T,), as fields of all points or faces; those that were not seen have 0."""
    found = {}
    for name, array in marks.items():
        whole = np.zeros(seen.size, array.dtype)
        np.maximum.at(whole, seen.drawn.index, array)
        found[name] = whole
    return found


def draw(
    target: pathlib.Path, points: Float32, marks: Mapping[str, Array], heading: str = ""
) -> Explanation | Influences:
    """Write the picture of points (T, 3), in random order, with what is said of them (T,): all, and some alone.

    These are the critical ones, or those that hold half of the influence. The ``heading`` says what the picture shows:
    the file, and its answer.
    """
    from pointkit.report import plots  # matplotlib takes half a second

    figure, explanation = (_of_influence if INFLUENCE in marks else _of_critical)(target, points, marks, heading)
    with disk.replacing(target) as file:
        file.write(plots.png(figure, dpi=160))
    return explanation


def _of_critical(
    target: pathlib.Path, points: Float32, said: Mapping[str, Array], heading: str
) -> tuple[Any, Explanation]:
    from pointkit.report import plots

    marks = said[CRITICAL]
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
    return figure, Explanation(target, decided, turned, others)


def _of_influence(
    target: pathlib.Path, points: Float32, marks: Mapping[str, Array], heading: str
) -> tuple[Any, Influences]:
    from pointkit.report import plots

    shares, winners = marks[INFLUENCE], marks.get(CRITICAL)
    falling = np.sort(shares.astype(np.float64))[::-1].cumsum()
    half = int(np.searchsorted(falling, falling[-1] / 2)) + 1
    chosen, title = shares >= np.partition(shares, -half)[-half], "half of the influence"
    won = None
    if winners is not None:
        won = int((winners == DECIDES).sum())
        chosen, title = winners == DECIDES, "neighbourhood won a channel"
    shown = [np.arange(len(points))[:PICTURED], np.flatnonzero(chosen)[:PICTURED]]
    figure = plots.graded_clouds(
        [points[rows] for rows in shown],
        [shares[rows] for rows in shown],
        [f"all points ({len(points):,})", f"{title} ({int(chosen.sum()):,})"],
        heading=f"{heading}\ncolour: {MEANING}",
    )
    return figure, Influences(target, len(points), half, won)
