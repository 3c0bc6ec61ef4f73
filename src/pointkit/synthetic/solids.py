"""Triangle meshes of simple solids, of which the built-in shapes are made.

Nearly everything is a ``loft``: rings of K points, one after another, joined by triangles. A cylinder, a lathed bottle,
a bent tube and a wing differ only in their rings. Caps are fans about the ring's mean, so a capped ring must be
star-shaped about it.

All numbers are float64; x looks forward, y to the left, z up.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit.cloud import Float64

AXES = {"x": 0, "y": 1, "z": 2}
ROUND = 16  # points of a ring where nothing else is asked for: smooth to the eye, few faces


class Solid(NamedTuple):
    """Vertices (V, 3) float64 and faces (F, 3) int64, none of them of zero area."""

    vertices: Float64
    faces: NDArray[np.int64]


def face_areas(vertices: Float64, faces: NDArray[np.integer]) -> Float64:
    """Areas (F,) of the faces."""
    first, second, third = (vertices[faces[:, k]] for k in range(3))
    areas: Float64 = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 2
    return areas


def join(*solids: Solid) -> Solid:
    """One solid of several, in their order."""
    starts = np.cumsum([0, *(len(solid.vertices) for solid in solids[:-1])])
    faces = [solid.faces + start for solid, start in zip(solids, starts, strict=True)]
    return Solid(np.concatenate([solid.vertices for solid in solids]), np.concatenate(faces))


def move(solid: Solid, offset: ArrayLike) -> Solid:
    return Solid(solid.vertices + np.asarray(offset, np.float64), solid.faces)


def turn(solid: Solid, axis: str, degrees: float, about: ArrayLike = (0, 0, 0)) -> Solid:
    """The solid turned about an axis through a point, counter-clockwise when seen from the axis's tip."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    centre = np.asarray(about, np.float64)
    vertices = solid.vertices - centre
    a, b = vertices[:, i].copy(), vertices[:, j].copy()
    vertices[:, i], vertices[:, j] = c * a - s * b, s * a + c * b
    return Solid(vertices + centre, solid.faces)


def mirror(solid: Solid, axis: str = "y") -> Solid:
    """The mirror image in the plane through 0 across an axis; faces still look outward."""
    signs = np.ones(3)
    signs[AXES[axis]] = -1
    return Solid(solid.vertices * signs, solid.faces[:, ::-1])


def both(solid: Solid, axis: str = "y") -> Solid:
    """A solid and its mirror image."""
    return join(solid, mirror(solid, axis))


def loft(rings: ArrayLike, *, caps: bool = True, loop: bool = False) -> Solid:
    """Rings (R, K, 3) joined by triangles; a ring may shrink to a point.

    ``caps`` closes the first and the last ring; ``loop`` joins the last to the first instead. Faces look outward where
    the result is closed.
    """
    points = np.asarray(rings, np.float64)
    capped = caps and not loop
    vertices = points.reshape(-1, 3)
    if capped:
        vertices = np.concatenate([vertices, points[[0, -1]].mean(1)])
    solid = _tidy(vertices, _lofted(len(points), points.shape[1], capped, loop))
    centred = solid.vertices - solid.vertices.mean(0)
    first, second, third = (centred[solid.faces[:, k]] for k in range(3))
    inside_out = np.einsum("fd,fd->", first, np.cross(second, third)) < 0  # six times the volume
    return Solid(solid.vertices, solid.faces[:, ::-1]) if inside_out else solid


@functools.cache
def _lofted(count: int, size: int, capped: bool, loop: bool) -> NDArray[np.int64]:
    """The faces of ``loft`` for ``count`` rings of ``size`` points, followed by the middles of the two caps."""
    grid = np.arange(count * size).reshape(count, size)
    lower, upper = (grid, np.roll(grid, -1, 0)) if loop else (grid[:-1], grid[1:])
    faces = [_band(lower, np.roll(lower, -1, 1), upper, np.roll(upper, -1, 1))]
    if capped:
        for middle, ends in ((count * size, grid[0]), (count * size + 1, grid[-1, ::-1])):
            faces.append(np.stack([np.roll(ends, -1), ends, np.full(size, middle)], -1))
    result = np.concatenate(faces)
    result.flags.writeable = False  # many solids share it
    return result


def sheet(rows: ArrayLike) -> Solid:
    """An open surface over a grid of points (R, K, 3): cloth."""
    points = np.asarray(rows, np.float64)
    grid = np.arange(points[..., 0].size).reshape(points.shape[:2])
    return _tidy(points.reshape(-1, 3), _band(grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]))


def _band(
    low: NDArray[np.int64], low_next: NDArray[np.int64], high: NDArray[np.int64], high_next: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Two triangles to each quadrangle of a grid; the four arrays are its corners."""
    corners = np.stack([low, low_next, high_next, high], -1).reshape(-1, 4)
    return np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])


def _tidy(vertices: Float64, faces: NDArray[np.int64]) -> Solid:
    """A solid without faces of zero area, as a ring shrunk to a point has, and without vertices that no face uses."""
    extent = np.ptp(vertices, axis=0).max()
    kept = face_areas(vertices, faces) > 1e-9 * extent**2
    if kept.all():
        return Solid(vertices, faces)
    used, inverse = np.unique(faces[kept], return_inverse=True)
    return Solid(vertices[used], inverse.reshape(-1, 3))


def circle(radius: float = 1.0, count: int = ROUND) -> Float64:
    """Outline (count, 2)."""
    return superellipse(radius, radius, 2.0, count)


def superellipse(a: float, b: float, power: float = 2.0, count: int = ROUND) -> Float64:
    """Outline (count, 2) of half-axes a and b: a diamond at power 1, an ellipse at 2, nearly a rectangle at 8."""
    angle = 2 * np.pi * np.arange(count) / count
    waves = np.round(np.stack([np.cos(angle), np.sin(angle)], 1), 12)  # cos 90 degrees: 0, and so its root
    # Powers of the sine and cosine crowd the points at the corners, where the outline bends.
    return np.array([a, b]) * np.sign(waves) * np.abs(waves) ** (2 / power)


def polygon(radius: float, sides: int, start: float = 0.0) -> Float64:
    """Outline (sides, 2) of a regular polygon, its first corner at ``start`` degrees."""
    angle = np.radians(start) + 2 * np.pi * np.arange(sides) / sides
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def prism(outline: ArrayLike, low: float, high: float, axis: str = "z", shrink: float = 1.0) -> Solid:
    """An outline (K, 2) extended along an axis from ``low`` to ``high``, where it is ``shrink`` times as large.

    The outline's two numbers are the two other axes in the order x, y, z.
    """
    flat = np.asarray(outline, np.float64)
    middle = flat.mean(0)
    rings = np.empty((2, len(flat), 3))
    others = [k for k in range(3) if k != AXES[axis]]
    rings[0][:, others], rings[1][:, others] = flat, middle + (flat - middle) * shrink
    rings[0, :, AXES[axis]], rings[1, :, AXES[axis]] = low, high
    return loft(rings)


def box(centre: ArrayLike, size: ArrayLike) -> Solid:
    """A box about ``centre`` with the side lengths ``size``: 8 vertices, 12 faces."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    vertices = np.asarray(centre, np.float64) + corners * np.asarray(size, np.float64)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return Solid(vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


def lathe(
    profile: ArrayLike, centre: ArrayLike = (0, 0, 0), *, outline: Float64 | None = None, caps: bool = True
) -> Solid:
    """A surface of revolution about z: profile (R, 2) of radius and height; ``outline`` (K, 2) instead of a circle."""
    pairs = np.asarray(profile, np.float64)
    flat = circle() if outline is None else outline
    rings = np.empty((len(pairs), len(flat), 3))
    rings[..., :2] = pairs[:, None, :1] * flat
    rings[..., 2] = pairs[:, 1:]
    return loft(rings + np.asarray(centre, np.float64), caps=caps)


def ball(centre: ArrayLike, radii: ArrayLike, rows: int = 8) -> Solid:
    """An ellipsoid; ``radii`` is one number or three."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    sphere = lathe(np.stack([np.cos(angle).clip(0), np.sin(angle)], 1), caps=False)
    return Solid(sphere.vertices * np.asarray(radii, np.float64) + np.asarray(centre, np.float64), sphere.faces)


def tube(path: ArrayLike, radius: ArrayLike, sides: int = 8, *, loop: bool = False, flat: float = 1.0) -> Solid:
    """A bent tube along a path (R, 3), of one radius or one a point (R,).

    ``loop`` joins its ends. ``flat`` scales the cross-section across the plane in which the path first bends (for a
    straight one, across z), so that 0.5 gives a strap.
    """
    points = np.asarray(path, np.float64)
    steps = np.diff(points, axis=0, append=points[:1]) if loop else np.diff(points, axis=0)
    steps = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    ahead, behind = (
        (steps, np.roll(steps, 1, 0)) if loop else (np.vstack([steps, steps[-1:]]), np.vstack([steps[:1], steps]))
    )
    tangents = ahead + behind
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    bends = np.cross(behind, ahead)
    bent = np.flatnonzero(np.linalg.norm(bends, axis=1) > 1e-6)
    side = bends[bent[0]] if len(bent) else np.cross(tangents[0], (0, 0, 1) if abs(tangents[0, 2]) < 0.9 else (1, 0, 0))
    radii = np.broadcast_to(np.asarray(radius, np.float64), len(points))
    ring = circle(1.0, sides)
    across = np.empty_like(points)
    for k, tangent in enumerate(tangents):
        side = side - tangent * (side @ tangent)  # carried along with as little twist as the bend allows
        across[k] = side = side / np.linalg.norm(side)
    along_bend = np.cross(tangents, across)
    rounds = flat * ring[:, :1] * across[:, None] + ring[:, 1:] * along_bend[:, None]
    return loft(points[:, None] + radii[:, None, None] * rounds, loop=loop)


def rod(start: ArrayLike, end: ArrayLike, radius: float, end_radius: float | None = None, sides: int = 8) -> Solid:
    """A straight round bar, or a cone."""
    return tube(np.array([start, end], np.float64), [radius, radius if end_radius is None else end_radius], sides)


def ring(centre: ArrayLike, radius: float, thickness: float, axis: str = "z", count: int = 24, sides: int = 8) -> Solid:
    """A torus about an axis: ``radius`` to the middle of the tube, ``thickness`` the tube's own radius."""
    others = [k for k in range(3) if k != AXES[axis]]
    path = np.zeros((count, 3))
    path[:, others] = circle(radius, count)
    return tube(path + np.asarray(centre, np.float64), thickness, sides, loop=True)


def bezier(controls: ArrayLike, count: int = 9) -> Float64:
    """Points (count, D) on the Bezier curve of control points (C, D)."""
    points = np.broadcast_to(np.asarray(controls, np.float64), (count, *np.shape(controls)))
    t = np.linspace(0, 1, count)[:, None, None]
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - t) + points[:, 1:] * t
    return points[:, 0]
