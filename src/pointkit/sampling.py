"""Which points: uniformly by area on a mesh's surface, or a random subset of a cloud.

Every draw takes a generator. Some draws must not depend on the order of the files, the number of workers or a file's
path. Their seed is ``content_seed``, which comes from the shape's own arrays.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Float32, Float64, Mesh, Shape

_PIECE = 1 << 13  # faces at once


class SurfaceSample(NamedTuple):
    """Points (n, 3) float32, unit normals (n, 3) float32, and the face (n,) int32 that each came from.

    ``weights`` (n, 3) say where in its face a point lies: it is the sum of the face's corners by these shares.
    """

    points: Float32
    normals: Float32
    faces: NDArray[np.int32]
    weights: Float64


def content_seed(shape: Shape) -> int:
    """A 32-bit seed from a shape's coordinates (and faces): the same file draws the same points wherever it lies."""
    if isinstance(shape, Mesh):
        return zlib.crc32(np.ascontiguousarray(shape.faces).data, zlib.crc32(np.ascontiguousarray(shape.vertices).data))
    return zlib.crc32(np.ascontiguousarray(shape.points).data)


def surface(mesh: Mesh, count: int, rng: np.random.Generator) -> SurfaceSample:
    """Draw ``count`` points independently and uniformly by area from a mesh's surface.

    Raises ValueError where the mesh has no face of positive area. The order of the points is random, so any stretch of
    them is again a uniform sample.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    coordinates = np.ascontiguousarray(mesh.vertices.T, np.float64)
    double_area = _double_areas(coordinates, mesh.faces)
    edges = np.cumsum(double_area)
    if not len(edges) or not edges[-1] > 0:
        raise ValueError(f"a surface needs a face of positive area, got {len(edges)} faces without any")
    # In ascending order the search walks through memory once. side="right" steps over faces of zero area. Rounding may
    # give u * total == total; the minimum then takes the first face at which the whole area is reached.
    area = rng.random(count) * edges[-1]
    order = np.argsort(area)
    face = np.empty(count, np.int32)
    face[order] = np.minimum(np.searchsorted(edges, area[order], side="right"), np.searchsorted(edges, edges[-1]))
    first, edge1, edge2, cross = _frames(coordinates, mesh.faces.take(face, axis=0))
    u, v = rng.random((2, count))
    outside = u + v > 1  # the far half of the parallelogram, folded back onto the triangle
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    points = first + u * edge1 + v * edge2
    normals = cross / double_area[face]
    return SurfaceSample(_rows(points), _rows(normals), face, np.stack([1 - u - v, u, v], 1))


def _double_areas(coordinates: Float64, faces: NDArray[np.int32]) -> Float64:
    """Twice the area of each face (F,) for coordinates (3, V), worked out in pieces that stay in the cache."""
    double_area = np.empty(len(faces))
    for start in range(0, len(faces), _PIECE):
        x, y, z = _frames(coordinates, faces[start : start + _PIECE])[3]
        double_area[start : start + _PIECE] = np.sqrt(x * x + y * y + z * z)
    return double_area


def _frames(coordinates: Float64, faces: NDArray[np.int32]) -> tuple[Float64, Float64, Float64, Float64]:
    """The first corner of each face, the edges from it and their cross product, (3, F) each; coordinates are (3, V)."""
    corner1, corner2, corner3 = np.ascontiguousarray(faces.T, np.intp)
    first = coordinates.take(corner1, axis=1)
    edge1 = coordinates.take(corner2, axis=1) - first
    edge2 = coordinates.take(corner3, axis=1) - first
    cross = np.empty_like(first)
    for axis, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        cross[axis] = edge1[i] * edge2[j] - edge1[j] * edge2[i]
    return first, edge1, edge2, cross


def _rows(columns: Float64) -> Float32:
    return np.ascontiguousarray(columns.T, np.float32)


def random_subset(total: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of ``min(count, total)`` different points out of ``total``, in random order."""
    return rng.permutation(total)[:count]
