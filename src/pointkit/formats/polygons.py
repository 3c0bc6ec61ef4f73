"""Polygons as triangles: fans where these fit, ears cut off where a polygon is concave.

A fan joins one corner with all others. It fits a convex polygon, and many concave ones from the right corner. Fans are
tried for all polygons at once. The few polygons that none of them fits go one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array, Float64, Mesh
from pointkit.formats.records import Int64, placed

_STARTS = 16  # corners from which a fan is tried
_EXCESS = 1e-4  # how much larger than its polygon a fan may be: corners on a side are rounded
_SLACK = 1e-9  # what counts as a straight line, as a share of the polygon's size
_PIECE = 1 << 13  # polygons at once


def mesh(
    xyz: Array,
    corners: Int64,
    counts: Int64,
    polygon_fields: Mapping[str, Array] | None = None,
    vertex_fields: Mapping[str, Array] | None = None,
) -> Mesh:
    """The mesh of a file's vertices (V, 3) and polygons, with fields of both.

    ``corners``: the polygons' vertex indices one after another. ``counts``: how many each has. Polygons of fewer than
    three corners are left out. So are vertices without a place (nan) that no polygon uses. Raises ValueError for
    indices out of range, and for vertices that are not finite.
    """
    if corners.size and (corners.min() < 0 or corners.max() >= len(xyz)):
        bad = corners.min() if corners.min() < 0 else corners.max()
        raise ValueError(f"faces must index the {len(xyz)} vertices, got {int(bad)}")
    fields = dict(vertex_fields or {})
    there = None if xyz.dtype.kind != "f" else np.logical_not(np.isnan(xyz).any(1))
    if there is not None and there.all():
        there = None
    if there is not None:
        if not there[corners].all():
            row = int(corners[~there[corners]][0])
            raise ValueError(f"vertices of faces must be finite numbers, got {xyz[row].tolist()} in row {row}")
        xyz, corners = xyz[there], (np.cumsum(there) - 1)[corners]
        fields = {name: array[there] for name, array in fields.items()}
    points, placement = placed("vertices", xyz, there)
    faces, polygons = triangles(points, corners, counts)
    of_faces = dict(polygon_fields or {})
    if polygons is not None:
        of_faces = {name: array[polygons] for name, array in of_faces.items()}
    return Mesh(points, faces, of_faces, placement, polygons, fields, there)


def triangles(points: Array, corners: Int64, counts: Int64) -> tuple[Array, Int64 | None]:
    """Polygons as triangles (F, 3), and the polygon (F,) that each came from, None where all are triangles.

    A polygon of n corners gives n - 2 triangles, one after another. They share its first corner where that fan fits.
    Polygons of fewer than three corners give none.
    """
    if (counts == 3).all():
        return corners.reshape(-1, 3), None
    begin, many = np.cumsum(counts) - counts, np.maximum(counts - 2, 0)
    first = np.cumsum(many) - many
    result, polygon = _fans(corners, begin, counts, 0), np.repeat(np.arange(len(counts)), many)
    wrong = np.flatnonzero(counts > 3)
    wrong = wrong[~_fit(points, result[_rows(first[wrong], many[wrong])], many[wrong])]
    for start in range(1, _STARTS):
        some = wrong[counts[wrong] > start]
        if not len(some):
            break
        fans = _fans(corners, begin[some], counts[some], start)
        fit = _fit(points, fans, many[some])
        result[_rows(first[some[fit]], many[some[fit]])] = fans[np.repeat(fit, many[some])]
        wrong = np.setdiff1d(wrong, some[fit])
    for each in wrong:
        ring = corners[begin[each] : begin[each] + counts[each]]
        result[first[each] : first[each] + many[each]] = ring[_ears(_flat(points[ring].astype(np.float64)))]
    return result, polygon


def _fans(corners: Int64, begin: Int64, counts: Int64, start: int) -> Array:
    """The triangles (T, 3) of polygons, those of each around its corner ``start``."""
    many = np.maximum(counts - 2, 0)
    within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    begin, counts = np.repeat(begin, many), np.repeat(counts, many)
    if not start:
        return np.stack([corners[begin], corners[begin + within + 1], corners[begin + within + 2]], 1)
    return np.stack([corners[begin + (start + step) % counts] for step in (0, within + 1, within + 2)], 1)


def _rows(first: Int64, many: Int64) -> Int64:
    """The numbers of the rows of several runs, of ``many`` rows each from its ``first`` on."""
    return np.repeat(first - (np.cumsum(many) - many), many) + np.arange(many.sum())


def _fit(points: Array, fans: Array, many: Int64) -> NDArray[np.bool_]:
    """Which polygons are covered by their triangles once: these are no larger together than the polygon.

    ``many`` (P,) is the number of each polygon's triangles.
    """
    columns = np.ascontiguousarray(points.T, np.float64)
    fit = np.empty(len(many), bool)
    ends = np.cumsum(many)
    for at in range(0, len(many), _PIECE):
        piece = slice(at, at + _PIECE)
        first = ends[piece] - many[piece]
        one, two, three = (columns.take(corner, 1) for corner in fans[first[0] : ends[piece][-1]].T)
        (x, y, z), (u, v, w) = two - one, three - one
        cross = np.stack([y * w - z * v, z * u - x * w, x * v - y * u])
        whole = np.add.reduceat(cross, first - first[0], 1)  # twice the polygon's area, along its normal
        shares = np.abs((cross * np.repeat(whole, many[piece], 1)).sum(0))
        fit[piece] = np.add.reduceat(shares, first - first[0]) <= (1 + _EXCESS) * (whole * whole).sum(0)
    return fit


def _flat(ring: Float64) -> Float64:
    """The corners (n, 3) of a polygon in the plane (n, 2) of the two axes that show it largest, counterclockwise."""
    ring = ring - ring[0]
    normal = np.cross(ring, np.roll(ring, -1, 0)).sum(0)
    axis = int(np.abs(normal).argmax())
    pair = [(axis + 1) % 3, (axis + 2) % 3]
    return ring[:, pair if normal[axis] > 0 else pair[::-1]]


def _ears(ring: Float64) -> Int64:
    """The triangles (n - 2, 3) of a counterclockwise polygon (n, 2): its ears, cut off one after another.

    An ear is a corner whose triangle lies within the polygon. Where a damaged polygon has no ear, what is left becomes
    a fan.
    """
    count = len(ring)
    x: list[float]
    y: list[float]
    x, y = ring.T.tolist()
    before, after = [*range(-1, count - 1)], [*range(1, count), 0]
    before[0] = count - 1

    def turn(a: int, b: int, c: int) -> float:
        return (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])

    slack = _SLACK * float(np.ptp(ring, axis=0).max()) ** 2
    hollow = [corner for corner in range(count) if turn(before[corner], corner, after[corner]) < 0]
    row = {corner: place for place, corner in enumerate(hollow)}
    obstacles = np.column_stack([np.ones(len(hollow)), ring[hollow]])
    result: list[tuple[int, int, int]] = []
    at = passed = 0
    while len(result) < count - 3 and passed < count - len(result):
        a, c = before[at], after[at]
        size = turn(a, at, c)
        if size < -slack or (size > slack and _blocked(obstacles, [(x[k], y[k]) for k in (a, at, c)], slack)):
            at, passed = c, passed + 1
            continue
        result.append((a, at, c))
        after[a], before[c] = c, a
        if at in row:
            obstacles[row[at]] = np.nan
        at, passed = a, 0
    second = after[at]
    while len(result) < count - 2:
        third = after[second]
        result.append((at, second, third))
        second = third
    return np.array(result)


def _blocked(obstacles: Float64, corners: Sequence[tuple[float, float]], slack: float) -> bool:
    """Whether one of the obstacles, rows (1, x, y), lies in a triangle or on its border, but at none of its corners.

    A row of nan is none.
    """
    sides = zip(corners, (*corners[1:], corners[0]), strict=True)
    left_of = np.array([((vy - uy) * ux - (vx - ux) * uy, uy - vy, vx - ux) for (ux, uy), (vx, vy) in sides])
    within = (obstacles @ left_of.T >= -slack).all(1)
    return any((x, y) not in corners for _, x, y in obstacles[within].tolist())
