"""Which points: uniformly by area on a mesh's surface, or a random subset of a cloud.

Every draw takes a generator. Draws that must not depend on the order of the files, the number of workers or the file's
place are seeded by ``content_seed``: the shape's own arrays.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Float32, Mesh, Shape


class SurfaceSample(NamedTuple):
    """Points (n, 3) float32, unit normals (n, 3) float32, and the face (n,) int32 that each came from."""

    points: Float32
    normals: Float32
    faces: NDArray[np.int32]


def content_seed(shape: Shape) -> int:
    """A 32-bit seed from a shape's coordinates (and faces): the same file draws the same points wherever it lies."""
    if isinstance(shape, Mesh):
        return zlib.crc32(np.ascontiguousarray(shape.faces), zlib.crc32(np.ascontiguousarray(shape.vertices)))
    return zlib.crc32(np.ascontiguousarray(shape.points))


def surface(mesh: Mesh, count: int, rng: np.random.Generator) -> SurfaceSample:
    """Draw ``count`` points independently and uniformly by area from a mesh's surface.

    Raises ValueError where the mesh has no face of positive area. The order of the points is random, so any stretch of
    them is again a uniform sample.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    # Corner by corner: a (F, 3, 3) gather takes three times as long.
    first = mesh.vertices[mesh.faces[:, 0]].astype(np.float64)
    edge1 = mesh.vertices[mesh.faces[:, 1]] - first
    edge2 = mesh.vertices[mesh.faces[:, 2]] - first
    cross = np.empty_like(first)
    cross[:, 0] = edge1[:, 1] * edge2[:, 2] - edge1[:, 2] * edge2[:, 1]
    cross[:, 1] = edge1[:, 2] * edge2[:, 0] - edge1[:, 0] * edge2[:, 2]
    cross[:, 2] = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]
    double_area = np.sqrt(np.einsum("fd,fd->f", cross, cross))
    edges = np.cumsum(double_area)
    if not len(edges) or not edges[-1] > 0:
        raise ValueError(f"a surface needs a face of positive area, got {len(edges)} faces without any")
    # side="right" steps over faces of zero area; the clip guards the last bit of u * total == total.
    face = np.searchsorted(edges, rng.random(count) * edges[-1], side="right")
    face = np.minimum(face, np.flatnonzero(double_area)[-1]).astype(np.int32)
    u, v = rng.random((2, count, 1))
    outside = u + v > 1  # the far half of the parallelogram, folded back onto the triangle
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    points = first[face] + u * edge1[face] + v * edge2[face]
    normals = cross[face] / double_area[face, None]
    return SurfaceSample(points.astype(np.float32), normals.astype(np.float32), face)


def random_subset(total: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of ``min(count, total)`` different points out of ``total``, in random order."""
    return rng.permutation(total)[:count]
