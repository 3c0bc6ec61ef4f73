"""THE path from a shape to the network's points: one for training, evaluation and prediction.

A shape is drawn once (``draw``): a mesh's surface is sampled, a cloud is thinned at random, both in random order and
seeded by the shape's content. What the network sees is a ``window`` of N consecutive drawn points, ``normalise``d:
centred on their mean and divided by the largest distance from it (unit sphere). Evaluation and prediction take the
window at 0; training takes one at random, which is a fresh uniform subset because the order is random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit import sampling
from pointkit.cloud import Float32, Float64, Mesh, PointCloud, Shape

LABELS = ("label", "part", "classification")  # fields that may hold the part of each point or face
NORMALS = ("nx", "ny", "nz")


@dataclass(frozen=True)
class Drawn:
    """What ``draw`` took from a shape.

    ``points`` (T, 3) float32 in random order; ``index`` (T,): the point of a cloud, or the face of a mesh, that each
    came from; ``warnings``: what the user should know about the shape; ``normals`` (T, 3) float32: of a mesh's faces,
    or a cloud's fields nx, ny and nz, None where it has none.
    """

    points: Float32
    index: NDArray[np.int64]
    warnings: tuple[str, ...] = ()
    normals: Float32 | None = None

    def first(self, count: int) -> Drawn:
        """The first ``count`` of these points, or all where they are fewer."""
        normals = None if self.normals is None else self.normals[:count]
        return Drawn(self.points[:count], self.index[:count], self.warnings, normals)


def draw(shape: Shape, count: int, seed: int = 0, *, whole: bool = False) -> Drawn:
    """Up to ``count`` points of a shape in random order, decided by ``seed`` and the shape's content alone.

    A mesh gives exactly ``count``. A cloud, or a mesh without faces (its vertices), gives at most that many, each once,
    or all, where ``whole``.
    Raises ValueError where the shape holds no point, or faces without any area.
    """
    rng = np.random.default_rng([seed, sampling.content_seed(shape)])
    if isinstance(shape, Mesh) and len(shape.faces):
        sample = sampling.surface(shape, count, rng)
        return Drawn(sample.points, sample.faces.astype(np.int64), normals=sample.normals)
    points = shape.vertices if isinstance(shape, Mesh) else shape.points
    if not len(points):
        raise ValueError("a shape needs at least one point, got none")
    index = sampling.random_subset(len(points), len(points) if whole else count, rng)
    warnings = ("mesh without faces: its vertices are taken as a cloud",) if isinstance(shape, Mesh) else ()
    return Drawn(points[index], index, warnings, _normals(shape, index))


def _normals(shape: Shape, index: NDArray[np.int64]) -> Float32 | None:
    fields = shape.fields if isinstance(shape, PointCloud) else {}
    if not set(NORMALS) <= fields.keys():
        return None
    return np.stack([fields[name][index].astype(np.float32) for name in NORMALS], 1)


def labels(shape: Shape) -> NDArray[np.int32] | None:
    """The label of each point of a cloud (N,), or of each face of a mesh (F,), int32; None where it has none.

    They are a cloud's ``labels``, else a field of whole numbers named as in ``LABELS``. Raises ValueError where they do
    not fit 32 bits.
    """
    if isinstance(shape, PointCloud) and shape.labels is not None:
        return shape.labels
    fields = shape.fields if isinstance(shape, PointCloud) else shape.face_fields
    for name in LABELS:
        field = fields.get(name)
        if field is not None and field.ndim == 1 and field.dtype.kind in "iu":
            if field.size and (field.min() < -(2**31) or field.max() >= 2**31):
                raise ValueError(f"the field {name} must fit 32 bits, got {field.max()}")
            return field.astype(np.int32)
    return None


def window(total: int, count: int, start: int = 0) -> NDArray[np.int64]:
    """Indices of ``count`` consecutive points out of ``total``, from ``start`` on and round the end.

    Where ``total`` is smaller, points repeat: a maximum over points does not see repetition.
    """
    return (start + np.arange(count)) % total


def windows(total: int, count: int) -> NDArray[np.int64]:
    """Windows (W, count) that hold each of ``total`` points once; the last goes round the end where they do not divide.

    So every point of a cloud in random order is answered among a fresh uniform subset of it, like those in training.
    """
    starts = range(0, total, count)
    return np.stack([window(total, count, start) for start in starts])


def normalise(points: ArrayLike) -> tuple[Float32, Float64, Float64]:
    """Points (..., N, 3) centred on their mean, in the unit sphere; with the centers (..., 3) and scales (...).

    Each cloud's result is the same alone and in a batch. Points that all coincide go to zero, with the scale 1.
    """
    points = np.asarray(points, np.float64)
    center = points.mean(-2)
    centred = points - center[..., None, :]
    scale = np.sqrt(np.einsum("...d,...d->...", centred, centred).max(-1))
    scale = np.where(scale > 0, scale, 1.0)
    return (centred / scale[..., None, None]).astype(np.float32), center, scale
