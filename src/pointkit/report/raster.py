"""Triangles to pixels: a shaded picture of a mesh, by a depth buffer, in NumPy alone.

Plotting libraries sort whole triangles by their middle. In CAD models a table top may be two triangles, and the legs
then show through it. Here each pixel keeps the nearest surface. Pixels where depth or direction jumps are drawn darker,
like pencil lines. 100,000 faces take about a second.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit.cloud import Float64, Mesh

AZIMUTH, ELEVATION = -137.0, 24.0  # degrees: where the eye stands, the same for all pictures; ModelNet faces it
LIGHT = np.array([-0.45, 0.55, 0.7])  # in the picture's frame: from the left, from above, from the eye
FILL = 0.94  # the shape's share of the picture's side
FRAGMENTS = 4_000_000  # pixels of triangles in memory at a time


def project(points: ArrayLike, azimuth: float = AZIMUTH, elevation: float = ELEVATION) -> Float64:
    """Points (..., 3), z up, in the eye's frame: right, up, and towards the eye, by a parallel projection."""
    a, e = np.radians(azimuth), np.radians(elevation)
    right = [-np.sin(a), np.cos(a), 0]
    up = [-np.cos(a) * np.sin(e), -np.sin(a) * np.sin(e), np.cos(e)]
    near = [np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)]
    eye: Float64 = np.asarray(points, np.float64) @ np.array([right, up, near]).T
    return eye


def shade(mesh: Mesh, size: int, color: ArrayLike, smooth: int = 2) -> Float64:
    """A picture (size, size, 4) of a mesh, RGBA 0 to 1, transparent around it.

    ``color`` is the surface's own: RGB (3,), or (F, 3) for each face. A pixel is the mean of ``smooth`` x ``smooth``.
    """
    if not len(mesh.faces):
        return np.zeros((size, size, 4))
    side = size * smooth  # in pixels
    nearest, face = _buffers(mesh, side)
    corners = project(mesh.vertices)[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)
    normal *= np.where(normal[:, 2:] < 0, -1, 1)  # faces of CAD models may have either side out
    seen = face >= 0
    direction = np.where(seen[..., None], normal[face], 0)
    light = 0.5 + 0.5 * np.clip(direction @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    light = np.where(_edges(nearest, direction, seen), 0.45 * light, light)
    own = np.broadcast_to(color, (len(mesh.faces), 3))[face]
    pixels = np.concatenate([light[..., None] * own, np.ones((side, side, 1))], 2) * seen[..., None]
    picture: Float64 = pixels.reshape(size, smooth, size, smooth, 4).mean((1, 3))
    alpha = picture[..., 3:]
    picture[..., :3] = np.divide(picture[..., :3], alpha, out=np.zeros_like(picture[..., :3]), where=alpha > 0)
    return picture.clip(0, 1)


def to_square(eye: Float64) -> Float64:
    """Points (N, 3) in the eye's frame, moved and scaled so that their picture just fills the square from -1 to 1."""
    low, high = eye.min(0), eye.max(0)
    half = float((high - low)[:2].max()) / 2
    scaled: Float64 = (eye - (low + high) / 2) / (half or 1.0)
    return scaled


def _buffers(mesh: Mesh, size: int) -> tuple[Float64, NDArray[np.int64]]:
    """For each pixel (size, size), row 0 on top: the nearest surface's depth, and its face, or -1."""
    used, index = np.unique(mesh.faces, return_inverse=True)  # vertices of no face do not count
    eye = to_square(project(mesh.vertices[used])) * [FILL, -FILL, 1] + [1, 1, 0]
    corners = (eye * [size / 2, size / 2, 1])[index.reshape(-1, 3)]
    depth, owner = np.full(size * size, -np.inf), np.full(size * size, -1)
    for faces in _batches(corners):
        place, near, face = _fragments(corners, faces, size)
        # A later assignment wins, so the nearest of this batch comes last. Then it is compared with earlier batches.
        order = np.argsort(near, kind="stable")
        place, near, face = place[order], near[order], face[order]
        batch_depth, batch_owner = np.full(size * size, -np.inf), np.full(size * size, -1)
        batch_depth[place], batch_owner[place] = near, face
        nearer = batch_depth > depth
        depth[nearer], owner[nearer] = batch_depth[nearer], batch_owner[nearer]
    return depth.reshape(size, size), owner.reshape(size, size)


def _batches(corners: Float64) -> Iterator[NDArray[np.int64]]:
    """Faces in batches whose boxes have about FRAGMENTS pixels together; ``corners`` (F, 3, 3) are in pixels."""
    extent = np.ceil(np.ptp(corners[..., :2], axis=1)) + 1
    batch = np.cumsum(extent[:, 0] * extent[:, 1]) // FRAGMENTS
    yield from np.split(np.arange(len(corners)), np.flatnonzero(np.diff(batch)) + 1)


def _fragments(
    corners: Float64, faces: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], Float64, NDArray[np.int64]]:
    """The pixels whose middle lies in each of ``faces``: index in the flat picture, depth and face, all (M,)."""
    triangle = corners[faces]
    top = np.ceil(triangle[..., 1].min(1) - 0.5).astype(np.int64)
    bottom = np.floor(triangle[..., 1].max(1) - 0.5).astype(np.int64)
    owner, y = _runs(top, bottom)
    # In each row, the triangle reaches from where one of its sides crosses the row's middle to where another does.
    a, b = triangle[owner], np.roll(triangle[owner], -1, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = ((y + 0.5)[:, None] - a[..., 1]) / (b[..., 1] - a[..., 1])
    crosses = (t >= 0) & (t <= 1)
    t = np.where(crosses, t, 0)
    x, z = (a[..., i] + t * (b[..., i] - a[..., i]) for i in (0, 2))
    first = np.where(crosses, x, np.inf).argmin(1)[:, None]
    last = np.where(crosses, x, -np.inf).argmax(1)[:, None]
    (x0, x1), (z0, z1) = ((np.take_along_axis(v, first, 1)[:, 0], np.take_along_axis(v, last, 1)[:, 0]) for v in (x, z))
    hit = crosses.any(1)
    left = np.where(hit, np.ceil(x0 - 0.5), 0).astype(np.int64)
    right = np.where(hit, np.floor(x1 - 0.5), -1).astype(np.int64)
    row, column = _runs(left, right)
    width = (x1 - x0)[row]
    share = np.divide(column + 0.5 - x0[row], width, out=np.zeros(len(row)), where=width > 0)
    return y[row] * size + column, z0[row] + share * (z1 - z0)[row], faces[owner[row]]


def _runs(first: NDArray[np.int64], last: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All whole numbers from ``first`` to ``last`` (n,), run after run: which run and which number, both (M,)."""
    counts = np.maximum(last - first + 1, 0)
    run = np.repeat(np.arange(len(counts)), counts)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts) + first[run]


def _edges(depth: Float64, direction: Float64, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels (size, size) next to which the surface ends, turns by more than 40 degrees, or lies behind."""
    edge = np.zeros_like(seen)
    near = np.where(seen, depth, -10.0)
    for axis in (0, 1):
        for step in (1, -1):
            turned = (direction * np.roll(direction, step, axis)).sum(-1) < np.cos(np.radians(40))
            behind = near - np.roll(near, step, axis) > 0.05
            edge |= behind | (turned & np.roll(seen, step, axis) & (step > 0))
    return edge & seen
