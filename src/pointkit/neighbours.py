"""Which points come first, and which lie near: orders and lists of neighbours, found on the host.

A network that looks at neighbourhoods needs three things that hang on the coordinates alone. Its later stages work on
fewer points, so the points come in an order of which every prefix spreads over the cloud. Each of these points has a
list of neighbours, nearest first, so a shorter list is a prefix of a longer one. And what a later stage found is
carried up to all points by interpolation. Layers that use the lists are in ``pointkit.nn``. Lists hold row numbers in
int32.

A network says with ``listed.Listed`` which lists it wants. ``arranged`` brings clouds into order and finds the lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array
from pointkit.listed import WEIGHTS, Lists
from pointkit.preprocess import Inputs

Floats = NDArray[np.floating]
Rows = NDArray[np.int32]
ORDERED = ("points", "features")  # inputs that have a row for each point


def progressive(points: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """An order (B, N) of each cloud's rows, so that every prefix spreads over the cloud; points are (B, N, D).

    A cloud is halved at the median of its longer side, each half again, and so on. For each power of two up to N, so
    many points at the head of the order are one from each of that many equal parts. The one is drawn at random. Which
    points come first depends on the coordinates and on ``rng`` alone, not on the order in which the points were given.
    Raises ValueError where there is no point.
    """
    if points.ndim != 3 or not points.shape[1]:
        raise ValueError(f"points must be (B, N, D) with N of at least 1, got {points.shape}")
    n = points.shape[1]
    leaf = np.lexsort(np.moveaxis(points, 2, 0)[::-1], axis=-1)  # no trace of the given order, where points tie either
    placed = np.take_along_axis(np.moveaxis(points, 2, 0), leaf[None], 2)  # the points in the order of ``leaf``
    rank, parts = np.zeros(1, np.int64), 1
    while 2 * parts <= n:
        order = _sorted_parts(placed, n * np.arange(parts + 1) // parts)
        leaf, placed = np.take_along_axis(leaf, order, 1), np.take_along_axis(placed, order[None], 2)
        flips = rng.integers(0, 2, parts)  # which half has its turn first
        rank = np.stack([rank + parts * flips, rank + parts * (1 - flips)], -1).reshape(-1)
        parts *= 2
    start = n * np.arange(parts + 1) // parts
    two = np.diff(start) == 2  # the others hold one point
    late = rng.integers(0, 2, parts) * two
    turn = np.argsort(rank)
    first, second = (start[:-1] + late)[turn], (start[:-1] + two - late)[turn][two[turn]]
    return leaf[:, np.concatenate([first, second])]


def _sorted_parts(placed: Floats, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order (B, N) that sorts each part of each cloud along the part's longest side.

    Points are (D, B, N), and part i is those from ``bounds[i]`` up to ``bounds[i + 1]``.
    """
    start, lengths = bounds[:-1], np.diff(bounds)
    sides = np.maximum.reduceat(placed, start, -1) - np.minimum.reduceat(placed, start, -1)  # (D, B, parts)
    axis = np.repeat(sides.argmax(0), lengths, -1)
    along = np.take_along_axis(placed, axis[None], 0)[0]
    slots = np.arange(lengths.max())
    real = slots < lengths[:, None]
    places = np.where(real, start[:, None] + slots, start[:, None])  # shorter parts repeat a point, at the end
    order = np.argsort(np.where(real, along[:, places], np.inf), -1, kind="stable")
    sorted_: NDArray[np.int64] = (start[:, None] + order)[:, real]
    return sorted_


def arranged(
    points: Floats, lists: Lists, rng: np.random.Generator, answered: int | None = None, chosen: bool = False
) -> tuple[NDArray[np.int64], dict[str, Array]]:
    """An order (B, N) of each cloud's rows, and the ``lists`` of the points (B, N, 3) in that order, by name.

    So many points are ``answered``, all by default: they come in progressive order. Those after them are context:
    neighbours are found among them, too. The answered ones are the first that are given. With ``chosen`` they are any
    that spread over the cloud. Where a cloud begins again from its first point, as small clouds do that fill an array,
    no neighbour is listed twice for it. Weights are under the list's name and ``WEIGHTS``. A cloud's result does not
    depend on the others. Errors as for ``progressive`` and ``nearest``.
    """
    size, n, _ = points.shape
    answered = answered or n
    moved = n if chosen else answered
    seed = rng.integers(2**63)
    different = _different(points)
    order = np.broadcast_to(np.arange(n), (size, n)).copy()
    for number in np.unique(different.clip(max=moved)):
        alike = different.clip(max=moved) == number
        own = progressive(points[alike, :number], np.random.default_rng(seed))
        blocks = np.arange(0, moved, number)[:, None] + own[:, None]
        for rows, block in zip(np.flatnonzero(alike), blocks.reshape(len(own), -1), strict=True):
            order[rows, :moved] = block[block < moved]
    points = np.take_along_axis(points, order[..., None], 1)
    each = [_found(cloud, lists, answered, number) for cloud, number in zip(points, different, strict=True)]
    return order, {name: np.stack([one[name] for one in each]) for name in each[0]}


def windows(points: Floats, answered: int, context: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Windows (W, context) that go through points (T, 3): the first ``answered`` of each are asked about.

    Points are taken by so many as ``context``. Each such cloud is asked about in several windows, whose answered points
    spread over it. So each is answered in the midst of all. Clouds of fewer points begin again. The order of the points
    must be random where they are more than ``context``.
    """
    total, found = len(points), []
    for start in range(0, total, context):
        rows = (start + np.arange(min(context, total))) % total
        rows = rows[progressive(points[None, rows], rng)[0]]
        found += [np.resize(np.roll(rows, -first), context) for first in range(0, len(rows), answered)]
    return np.stack(found)


def with_lists(
    given: Inputs,
    lists: Lists,
    rng: np.random.Generator,
    answered: int | None = None,
    chosen: bool = False,
) -> tuple[dict[str, Array], NDArray[np.int64]]:
    """A network's inputs with points and features in order and with the lists, as ``models.listed`` takes them.

    Also the order (B, N), and errors, as for ``arranged``.
    """
    named = dict(given) if isinstance(given, Mapping) else {"points": given}
    order, found = arranged(named["points"], lists, rng, answered, chosen)
    moved = {name: np.take_along_axis(named[name], order[..., None], 1) for name in ORDERED if name in named}
    return {**named, **moved, **found}, order


def _different(points: Floats) -> NDArray[np.int64]:
    """How many points each cloud has before it begins again from its first, (B,)."""
    n = points.shape[1]
    found = np.full(len(points), n)
    for i, again in enumerate((points[:, 1:] == points[:, :1]).all(2)):
        for start in np.flatnonzero(again) + 1:
            if (points[i, start:] == points[i, : n - start]).all():
                found[i] = start
                break
    return found


def _found(cloud: Floats, lists: Lists, answered: int, different: int) -> dict[str, Array]:
    """The lists of one cloud (N, 3), which is in order and has so many different points before it begins again."""
    from scipy.spatial import cKDTree

    trees: dict[int, cKDTree] = {}
    found: dict[str, Array] = {}
    for name, listed in lists.items():
        among = min(different, len(cloud) if listed.context else min(listed.among or answered, answered))
        if among not in trees:
            trees[among] = cKDTree(cloud[:among])
        queries = cloud[: min(listed.centres or answered, answered)]
        rows, distances = _of_tree(trees[among], queries, listed.count)
        if listed.within is not None:
            rows = np.where(distances <= listed.within, rows, rows[:, :1])
        found[name] = rows
        if listed.weighted:
            found[name + WEIGHTS] = _shares(distances, among)
    return found


def nearest(points: Floats, queries: Floats, count: int) -> Rows:
    """For each query its ``count`` nearest points, nearest first: (B, N, D) and (B, Q, D) -> (B, Q, count) int32.

    A query that is one of the points is its own nearest, unless others lie at the same place. Where a cloud has fewer
    points than ``count``, its list begins again from the nearest. Raises ValueError where there is no point, for a
    coordinate that is not finite, and for a ``count`` below 1.
    """
    return _nearest(points, queries, count)[0]


def _nearest(points: Floats, queries: Floats, count: int) -> tuple[Rows, NDArray[np.float64]]:
    """Lists as above and the distances, (B, Q, count) each."""
    from scipy.spatial import cKDTree

    if len(points) != len(queries):
        raise ValueError(f"points and queries must be of as many clouds, got {len(points)} and {len(queries)}")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if not points.shape[1]:
        raise ValueError("a query needs a point to be near to, got none")
    index = np.empty((*queries.shape[:2], count), np.int32)
    distances = np.empty(index.shape, np.float64)
    for i, cloud in enumerate(points):
        index[i], distances[i] = _of_tree(cKDTree(cloud), queries[i], count)
    return index, distances


def _of_tree(tree: Any, queries: Floats, count: int) -> tuple[Rows, NDArray[np.float64]]:
    """Rows of the nearest points in a tree, and their distances, (Q, count) each. Short lists begin again."""
    different = min(count, tree.n)
    far, rows = tree.query(queries, np.arange(1, different + 1))
    if different < count:
        again = np.arange(count) % different
        far, rows = far[:, again], rows[:, again]
    return rows.astype(np.int32), far


def interpolation(points: Floats, queries: Floats, count: int = 3) -> tuple[Rows, NDArray[np.float32]]:
    """For each query its ``count`` nearest points and their weights by inverse squared distance, (B, Q, count) each.

    PointNet++ carries features to more points so (Qi et al., NeurIPS 2017, equation 2). Weights add up to 1. Points at
    the query's own place share all of it. Errors as for ``nearest``.
    """
    index, distances = _nearest(points, queries, count)
    return index, _shares(distances, points.shape[1])


def _shares(distances: NDArray[np.float64], different: int) -> NDArray[np.float32]:
    """Weights (..., count) by inverse squared distance; of so many ``different`` points, the repeated get none."""
    squared = distances**2
    closeness = 1 / np.maximum(squared, np.maximum(1e-10 * squared.max(-1, keepdims=True), np.finfo(float).tiny))
    closeness[..., different:] = 0
    weights: NDArray[np.float32] = (closeness / closeness.sum(-1, keepdims=True)).astype(np.float32)
    return weights
