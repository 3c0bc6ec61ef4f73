"""Which points come first, and which lie near: orders and lists of neighbours, found on the host.

A network that looks at neighbourhoods needs three things that hang on the coordinates alone. Its later stages work on
fewer points, so the points come in an order of which every prefix spreads over the cloud. Each of these points has a
list of neighbours, nearest first, so a shorter list is a prefix of a longer one. And what a later stage found is
carried up to all points by interpolation. Layers that use the lists are in ``pointkit.nn``. Lists hold row numbers in
int32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Rows = NDArray[np.int32]


def progressive(points: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """An order (B, N) of each cloud's rows, so that every prefix spreads over the cloud; points are (B, N, D).

    A cloud is halved at the median of its longer side, each half again, and so on. For each power of two up to N, so
    many points at the head of the order are one from each of that many equal parts. The one is drawn at random. Which
    points come first depends on the coordinates and on ``rng`` alone, not on the order in which the points were given.
    Raises ValueError where there is no point.
    """
    if points.ndim != 3 or not points.shape[1]:
        raise ValueError(f"points must be (B, N, D) with N of at least 1, got {points.shape}")
    size, n, _ = points.shape
    leaf = np.lexsort(np.moveaxis(points, 2, 0)[::-1], axis=-1)  # no trace of the given order, where points tie either
    rank, parts = np.zeros((size, 1), np.int64), 1
    while 2 * parts <= n:
        _sort_parts(points, leaf, parts)
        flips = rng.integers(0, 2, rank.shape)  # which half has its turn first
        rank = np.stack([rank + parts * flips, rank + parts * (1 - flips)], -1).reshape(size, -1)
        parts *= 2
    start = n * np.arange(parts + 1) // parts
    two = np.diff(start) == 2  # the others hold one point
    late = rng.integers(0, 2, rank.shape) * two
    turn = np.argsort(rank, 1)
    first = np.take_along_axis(leaf, np.take_along_axis(start[:-1] + late, turn, 1), 1)
    second = np.take_along_axis(start[:-1] + two - late, turn, 1)[two[turn]].reshape(size, -1)
    return np.concatenate([first, np.take_along_axis(leaf, second, 1)], 1)


def _sort_parts(points: Floats, leaf: NDArray[np.int64], parts: int) -> None:
    """Sort each of a cloud's equal parts, stretches of ``leaf`` (B, N), along the part's longest side, in place."""
    n = leaf.shape[1]
    start = n * np.arange(parts + 1) // parts
    slots = start[:-1, None] + np.arange(np.diff(start).max())
    real = slots < start[1:, None]
    rows = leaf[:, np.where(real, slots, start[:-1, None])]  # (B, parts, longest); shorter parts repeat a point
    found = points[np.arange(len(points))[:, None, None], rows]
    axis = (found.max(2) - found.min(2)).argmax(-1)
    along = np.take_along_axis(found, axis[..., None, None], 3)[..., 0]
    order = np.argsort(np.where(real, along, np.inf), -1, kind="stable")
    leaf[:, slots[real]] = np.take_along_axis(rows, order, 2)[:, real]


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
    different = min(count, points.shape[1])
    again = np.arange(count) % different
    index = np.empty((*queries.shape[:2], count), np.int32)
    distances = np.empty(index.shape, np.float64)
    for i, cloud in enumerate(points):
        far, rows = cKDTree(cloud).query(queries[i], np.arange(1, different + 1))
        distances[i], index[i] = far[:, again], rows[:, again]
    return index, distances


def interpolation(points: Floats, queries: Floats, count: int = 3) -> tuple[Rows, NDArray[np.float32]]:
    """For each query its ``count`` nearest points and their weights by inverse squared distance, (B, Q, count) each.

    PointNet++ carries features to more points so (Qi et al., NeurIPS 2017, equation 2). Weights add up to 1. Points at
    the query's own place share all of it. Errors as for ``nearest``.
    """
    index, distances = _nearest(points, queries, count)
    squared = distances**2
    closeness = 1 / np.maximum(squared, np.maximum(1e-10 * squared.max(-1, keepdims=True), np.finfo(float).tiny))
    closeness[..., points.shape[1] :] = 0  # a point that is listed again
    return index, (closeness / closeness.sum(-1, keepdims=True)).astype(np.float32)
