"""Stray points: the few points of a cloud that lie far from all others, such as a scanner's hits through a window.

One of them decides the size of the whole cloud, if the cloud is brought to a size by its outermost point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST = 20  # points; in a smaller cloud nothing is far from all others
BODY = 0.9  # share of the points that a cloud's radius holds
BEYOND = 1.5  # radii from the middle: nearer points are never stray
STEP = 0.3  # radii that a step may bridge in a cloud of DENSE points or more, else more: points then lie farther apart
DENSE = 2048
CLUMP = 0.02  # share of the points from which on a clump is a part of the shape, however far away
NEAREST = 8  # points that a point of a clump is joined to


def find(points: ArrayLike) -> NDArray[np.bool_]:
    """Which points (T, 3) are stray, (T,) bool. The same points give the same answer, in any order, place and size.

    The middle of a cloud is the median of its coordinates. Its radius holds nine tenths of the points. A point is stray
    where it lies beyond 1.5 radii from the middle, no chain of short steps from point to point leads to it from there,
    and such steps join it to less than a fiftieth of the points.

    So a tenth of the points can be stray at most. A thin rod, and a large part that stands apart, are not. In fewer
    than 20 points, and where nine tenths of the points coincide, none is.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    none = np.zeros(len(points), bool)
    if len(points) < FEWEST:
        return none
    apart = points - np.median(points, 0)
    distance = np.sqrt(np.einsum("nd,nd->n", apart, apart))
    radius = float(np.quantile(distance, BODY))
    far = np.flatnonzero(distance > BEYOND * radius)
    if not radius or not len(far):  # as in almost every clean cloud
        return none
    step = STEP * radius * max(1.0, (DENSE / len(points)) ** 0.5)
    rim = apart[(distance <= BEYOND * radius) & (distance > BEYOND * radius - step)]
    alone = far[~_reached(rim, apart[far], step)]
    none[alone[_clumps(apart[alone], step) < max(3, CLUMP * len(points))]] = True
    return none


def _reached(start: NDArray[np.float64], points: NDArray[np.float64], step: float) -> NDArray[np.bool_]:
    """Which points (N, 3) can be reached from those of ``start`` (S, 3), over other points, by steps no longer."""
    from scipy.spatial import cKDTree  # takes 0.3 seconds, and few clouds need it

    reached = np.zeros(len(points), bool)
    while len(start) and not reached.all():
        waiting = np.flatnonzero(~reached)
        near = waiting[np.isfinite(cKDTree(start).query(points[waiting], distance_upper_bound=step)[0])]
        reached[near] = True
        start = points[near]
    return reached


def _clumps(points: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    """How large a clump each point (N, 3) is in, (N,): points joined by steps, each to its nearest ones."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if not len(points):
        return np.empty(0, np.int64)
    near = cKDTree(points).query(points, NEAREST + 1, distance_upper_bound=step)[1]
    owner, place = np.nonzero(near < len(points))
    pairs = owner, near[owner, place]
    clump = connected_components(coo_array((np.ones(len(owner)), pairs), (len(points), len(points))), directed=False)[1]
    sizes: NDArray[np.int64] = np.bincount(clump)[clump]
    return sizes
