"""Findings about files that are unlike the others: in size, stance, density or features; empty ones; stray points.

"Unlike" is measured by the set itself: against the median of the file's class, in units of the class's own spread (the
median distance from the median). Where sizes differ from file to file, no size is odd.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pointkit import features, stray, traits
from pointkit.audit.finding import Finding, counted, names
from pointkit.audit.looked import Int64, Looked
from pointkit.cloud import Float64
from pointkit.disk import csv_rows

LEAST = 6  # shapes of a class by which one of them can be judged
SPREADS = 8.0  # of a class, from its median: nearer, a file is not odd
SIZE, DENSITY, FEATURE = 3.0, 2.0, 3.0  # factors from the median: smaller ones are not odd
FEW, COMMON = 3, 0.06  # files, or the share of a class, that may be odd: where more differ, the class varies
FEWER = 4.0  # times fewer points than others
LYING = 5.0  # spreads from the class's profile, and as near as its own when turned
PLAIN = 0.02  # of a shape's extent: profiles that differ by less are the same
CLEARLY = 3.0  # times farther as it stands than when turned
REACH = 1.3  # halves of the extent: shapes within have no stray points
NO_POINTS = (
    "at least one point",
    "no points",
    "no vertices",
    "the file is empty",
    "face of positive area",
)  # reasons why unread


def _classes(looked: Looked) -> Iterator[Int64]:
    """The shapes of each class that has enough to judge by, of those that are no single point."""
    for label in range(len(looked.store.classes)):
        shapes = np.flatnonzero((looked.labels == label) & (looked.traits.extent > 0))
        if len(shapes) >= LEAST:
            yield shapes


def _spreads(values: Float64) -> Float64:
    """Distances (S,) from the median, in spreads: a spread is what the standard deviation would be without outliers."""
    apart = values - np.median(values)
    spread = 1.4826 * np.median(np.abs(apart))
    return apart / max(float(spread), 0.05)


def _odd(values: Float64, factor: float) -> NDArray[np.float64]:
    """By which factor each of positive numbers (S,) differs from the median where it is odd; else 0."""
    logs = np.log(np.maximum(values, 1e-30))
    apart = np.exp(logs - np.median(logs))
    far = np.maximum(apart, 1 / apart) > factor
    if far.sum() > max(FEW, COMMON * len(values)):
        return np.zeros(len(values))
    return np.where(far & (np.abs(_spreads(logs)) > SPREADS), apart, 0.0)


def _unlike(looked: Looked, values: Float64, factor: float) -> dict[int, float]:
    """Shape -> the factor by which its value differs from its class's median, for those that are odd."""
    found: dict[int, float] = {}
    for shapes in _classes(looked):
        odd = _odd(values[shapes], factor)
        found |= {int(shapes[i]): float(odd[i]) for i in np.flatnonzero(odd)}
    return found


def _farthest(found: dict[int, float]) -> list[int]:
    """Shapes, those that differ most first."""
    return sorted(found, key=lambda shape: -abs(np.log(found[shape])))


def _times(factor: float) -> str:
    """A factor in words."""
    larger = factor > 1
    return f"{factor if larger else 1 / factor:,.3g} times {'larger' if larger else 'smaller'}"


def sizes(looked: Looked) -> Iterator[Finding]:
    """Files of another size than the others of their class, such as one in metres among millimetres."""
    found = _unlike(looked, looked.traits.extent, SIZE)
    if found:
        order = _farthest(found)
        yield Finding(
            "size",
            tuple(looked.files(order)),
            f"{counted(len(found), 'file')} of another size than the rest of the class (the first is "
            f"{_times(found[order[0]])}): perhaps in another unit, or with more or less than the shape in it; "
            "check the unit, or take it out",
        )


def lying(looked: Looked) -> Iterator[Finding]:
    """Files that stand on another axis than the others of their class."""
    found: dict[int, str] = {}
    for shapes in _classes(looked):
        profiles = looked.traits.profiles[shapes]
        upright = np.median(profiles[:, 2], 0)
        apart = traits.turned(profiles, upright)
        own = apart[:, 2].astype(np.float64)
        middle = np.median(own)
        spread = max(1.4826 * float(np.median(np.abs(own - middle))), PLAIN)
        best = apart.argmin(1)
        fits = apart.min(1) < middle + spread
        odd = (own > middle + LYING * spread) & (own > CLEARLY * apart.min(1)) & fits & (best != 2)
        found |= {int(shapes[i]): traits.AXES[best[i]] for i in np.flatnonzero(odd)}
    if found:
        first = next(iter(found))
        yield Finding(
            "up-axis",
            tuple(looked.files(list(found))),
            f"{counted(len(found), 'file')} standing on another axis than the rest of the class (in the first, "
            f"{found[first]} is up): a network answers such a shape wrongly; turn the file, or take it out",
        )


def densities(looked: Looked) -> Iterator[Finding]:
    """Files whose points crowd, or that hold far fewer than others."""
    crowded = {i: f for i, f in _unlike(looked, looked.traits.spacing, DENSITY).items() if f < 1}
    counts = looked.store.counts
    few = np.flatnonzero(counts * FEWER < np.median(counts)) if len(counts) >= LEAST else np.empty(0, np.int64)
    if crowded:
        order = _farthest(crowded)
        yield Finding(
            "density",
            tuple(looked.files(order)),
            f"{counted(len(crowded), 'file')} whose points crowd in places (in the first they are "
            f"{1 / crowded[order[0]]:.1f} times nearer to each other than in its class): the network sees little of "
            "the rest; thin such files evenly, or take them out",
        )
    if len(few):
        order = few[np.argsort(counts[few], kind="stable")].tolist()
        yield Finding(
            "density",
            tuple(looked.files(order)),
            f"{counted(len(few), 'file')} with far fewer points than others ({int(counts[order[0]]):,} in the first, "
            f"{int(np.median(counts)):,} in most): they look coarser to the network; sample them more densely, or take "
            "them out",
        )


def feature_ranges(looked: Looked) -> Iterator[Finding]:
    """Files whose features have another range than those of the others, or none at all."""
    if looked.ranges is None or len(looked.ranges) < LEAST:
        return
    columns = looked.store.task.features
    for kind, own in features.KINDS.items():
        places = [columns.index(name) for name in own if name in columns]
        if not places:
            continue
        most = np.abs(looked.ranges[:, :, places]).max((1, 2))
        blank = np.flatnonzero(most == 0)
        if len(blank):
            so = f"{counted(len(blank), 'file')} whose {kind} is zero everywhere"
            text = f"{so}: the network learns nothing from it; leave {kind} out with --features"
            if len(blank) < len(most):
                text = (
                    f"{so}, unlike the others: the network learns from it what is not there; write it anew, take it "
                    f"out, or leave {kind} out with --features"
                )
            yield Finding("features", tuple(looked.files(blank)), text)
        there = np.flatnonzero(most > 0)
        if len(there) < LEAST:
            continue
        odd = _odd(most[there], FEATURE)
        found = {int(there[i]): float(odd[i]) for i in np.flatnonzero(odd)}
        if found:
            order = _farthest(found)
            yield Finding(
                "features",
                tuple(looked.files(order)),
                f"{counted(len(found), 'file')} with {kind} of another range than the others (in the first "
                f"{_times(found[order[0]])}): perhaps in another unit; write it in one unit, or leave {kind} out with "
                "--features",
            )


def stray_points(looked: Looked) -> Iterator[Finding]:
    """Files of which a few points lie far from all others. Stores have them last in a shape, older ones anywhere."""
    if looked.store.manifest.get("stray") == "left out":
        rows = {shape: row.strays for shape, row in enumerate(looked.store.rows) if row.strays}
        if rows:
            order = sorted(rows, key=lambda shape: -rows[shape])
            yield Finding(
                "stray-points",
                tuple(looked.files(order)),
                f"{counted(len(rows), 'file')} with a few points far from all others ({rows[order[0]]:,} in the first):"
                " left out of what a network sees, so that they do not decide the size; nothing needs to be done",
            )
        return
    found = {
        shape: int(stray.find(looked.store.cloud(shape)).sum())
        for shape in np.flatnonzero(looked.reach > REACH).tolist()
    }
    found = {shape: number for shape, number in found.items() if number}
    if found:
        order = sorted(found, key=lambda shape: -looked.reach[shape])
        yield Finding(
            "stray-points",
            tuple(looked.files(order)),
            f"{counted(len(found), 'file')} with a few points far from all others ({found[order[0]]:,} in the first, "
            f"{looked.reach[order[0]]:.0f} times as far out as the rest): they would decide its size; remove them",
        )


def empty(looked: Looked) -> Iterator[Finding]:
    """Files without points."""
    path = looked.store.path / "unread.csv"
    lost = csv_rows(path) if path.is_file() else []
    found = [row["file"] for row in lost if any(words in row["reason"] for words in NO_POINTS)]
    if found:
        yield Finding(
            "empty",
            tuple(found),
            f"{counted(len(found), 'file')} without a point or a face: left out of the store; export again, or delete",
        )


def degenerate(looked: Looked) -> Iterator[Finding]:
    """Shapes that are a point or a line."""
    for rank, words in ((0, "whose points all coincide"), (1, "whose points lie on a line")):
        shapes = np.flatnonzero(looked.traits.rank == rank)
        if len(shapes):
            yield Finding(
                "degenerate",
                tuple(looked.files(shapes)),
                f"{counted(len(shapes), 'file')} {words}: there is no shape to learn; export again, or take it out",
            )


def told_by_size(looked: Looked) -> Iterator[Finding]:
    """Classes that differ in size and in nothing else, as size is taken away from every shape."""
    from pointkit.audit import bysize

    pairs = bysize.pairs(looked)
    if pairs:
        classes = sorted({label for pair in pairs for label in pair})
        size = {label: float(np.median(looked.traits.extent[looked.labels == label])) for label in classes}
        classes.sort(key=lambda label: size[label])
        ratios = " : ".join(f"{size[label]:.3g}" for label in classes[:6])
        yield Finding(
            "size",
            tuple(looked.files(np.flatnonzero(np.isin(looked.labels, classes)))),
            f"size alone tells {names([looked.store.classes[label] for label in classes], 6)} apart ({ratios}), and "
            "size is taken away from every shape: train with --features size, which lets the network see it",
        )
