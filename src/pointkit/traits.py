"""What a shape's points are like: size, how it stands, how its points are spread. Audit and contract ask for it.

All is robust against stray points: up to one point in fifty may lie anywhere. It takes few operations, for many shapes
at once, as a set is looked through in little more time than it takes to read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit.cloud import Float32, Float64

POINTS = 1024  # of a shape that are looked at
NEAR = 128  # of these, whose distances from each other are measured
FEATURES = 256  # of these, whose features are looked at
OUTSIDE = 0.02  # share of the points that may lie anywhere
LEVELS = 16  # of a profile
THIN = 1e-3  # a shape is a line where its second axis is thinner than this share of its first
AXES = ("x", "y", "z", "-x", "-y", "-z")  # the axes that may be up, in the order of ``turned``


class Traits(NamedTuple):
    """The traits of a shape. Of many shapes, each field has their axes (...) in front.

    ``center`` (..., 3) float64: the median of the points. ``extent`` (...) float64: twice the distance from the center
    within which 98 % of the points lie, in the file's units. It does not change when the shape is turned. ``sides``
    (..., 3) float64: the length of the box that holds 96 % of the points along each axis.
    ``profiles`` (..., 3, LEVELS) float32: how the points are spread along x, y and z: quantiles of their distance from
    the middle of the box, in extents. When a shape is turned about z, its profile along z stays.
    ``spacing`` (...) float64: the median distance of a point from the nearest of NEAR points, in extents. It is low
    where points crowd.
    ``rank`` (...) int64: 0 where all points coincide, 1 where they lie on a line, 2 on a plane, else 3.
    """

    center: Float64
    extent: Float64
    sides: Float64
    profiles: Float32
    spacing: Float64
    rank: NDArray[np.int64]


def of(points: ArrayLike) -> Traits:
    """The traits of points (..., N, 3) in random order. Of more than POINTS the first are looked at.

    A shape's traits are the same alone and among others. Raises ValueError where there is no point.
    """
    given = np.asarray(points)
    if given.ndim < 2 or given.shape[-1] != 3 or not given.shape[-2]:
        raise ValueError(f"points must be (..., N, 3) with at least one point, got the shape {given.shape}")
    seen = given[..., : looked_at(given.shape[-2]), :]
    ordered = np.sort(seen.swapaxes(-1, -2), -1)  # (..., 3, N)
    count = ordered.shape[-1]
    low, middle, high = (ordered[..., _place(share, count)] for share in (OUTSIDE, 0.5, 1 - OUTSIDE))
    center = middle.astype(np.float64)
    centred = seen - center[..., None, :]
    power = np.frexp(np.abs(centred).max((-2, -1)))[1]  # without it, squares of 1e30 and of 1e-30 are no float32
    centred = np.ldexp(centred, -power[..., None, None]).astype(np.float32)
    squares = np.sort(np.einsum("...nd,...nd->...n", centred, centred), -1)
    within = 2 * np.sqrt(squares[..., _place(1 - OUTSIDE, count)].astype(np.float64))
    extent = np.ldexp(within, power)
    unit = np.where(extent > 0, extent, 1.0)
    half = (low.astype(np.float64) + high) / 2
    levels = [_place(share, count) for share in np.linspace(OUTSIDE, 1 - OUTSIDE, LEVELS)]
    profiles = ((ordered[..., levels] - half[..., None]) / unit[..., None, None]).astype(np.float32)
    spacing = _spacing(centred) / np.where(within > 0, within, 1.0)
    return Traits(center, extent, high - low.astype(np.float64), profiles, spacing, _rank(centred))


def looked_at(count: int) -> int:
    """How many of ``count`` points are looked at: POINTS, or for fewer a half, a quarter, ... as far as there are.

    Shapes of many sizes then fall into few groups, each of which is measured at once.
    """
    seen = POINTS
    while seen > max(count, 16):
        seen //= 2
    return min(seen, count)


def groups(counts: ArrayLike, at_once: int = 256) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Shapes with ``counts`` points in groups to be measured at once: their indices, and how many points of each."""
    seen = np.array([looked_at(int(count)) for count in np.asarray(counts)], np.int64)
    for size in np.unique(seen).tolist():
        members = np.flatnonzero(seen == size)
        for start in range(0, len(members), at_once):
            yield members[start : start + at_once], size


def ranges(features: ArrayLike) -> Float64:
    """The range of features (..., N, C): (..., 3, C) with what 2 %, half and 98 % of the points lie below."""
    ordered = np.sort(np.asarray(features)[..., :FEATURES, :], -2)
    places = [_place(share, ordered.shape[-2]) for share in (OUTSIDE, 0.5, 1 - OUTSIDE)]
    return ordered[..., places, :].astype(np.float64)


def turned(profiles: Float32, reference: Float32) -> Float32:
    """How far profiles (..., 3, LEVELS) are from that of a ``reference`` (..., LEVELS) along z, for each of AXES.

    (..., 6) float32, in extents. The least is at the axis along which the shape is most like the reference's z. A shape
    on its side is near along x, y, -x, -y or -z and far along z.
    """
    both = np.concatenate([profiles, -profiles[..., ::-1]], -2)
    distances: Float32 = np.abs(both - np.asarray(reference)[..., None, :]).mean(-1)
    return distances


def _place(share: float, count: int) -> int:
    """Where a share of sorted numbers ends."""
    return min(max(round(share * (count - 1)), 0), count - 1)


def _spacing(centred: Float32) -> Float64:
    """The median distance from the nearest of the first NEAR points, as if there were NEAR where there are fewer."""
    some = centred[..., :NEAR, :]
    count = some.shape[-2]
    if count < 2:
        return np.zeros(some.shape[:-2])
    squares = np.einsum("...nd,...nd->...n", some, some)
    apart = squares[..., :, None] + squares[..., None, :] - 2 * (some @ some.swapaxes(-1, -2))
    apart[..., np.arange(count), np.arange(count)] = np.inf
    nearest = np.sqrt(np.sort(apart.min(-1), -1)[..., _place(0.5, count)].clip(0))
    spacing: Float64 = nearest.astype(np.float64) * np.sqrt(count / NEAR)
    return spacing


def _rank(centred: Float32) -> NDArray[np.int64]:
    """How many axes have more than THIN of the greatest's spread; the mean square is taken to be the spread."""
    moved = centred - centred.mean(-2, keepdims=True, dtype=np.float64)
    spread = np.sqrt(np.linalg.eigvalsh(moved.swapaxes(-1, -2) @ moved).clip(0))
    rank: NDArray[np.int64] = ((spread > THIN * spread[..., -1:]) & (spread > 0)).sum(-1)
    return rank
