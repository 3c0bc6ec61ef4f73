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
from pointkit.cloud import Float32, Float64, Mesh, Shape


@dataclass(frozen=True)
class Drawn:
    """What ``draw`` took from a shape.

    ``points`` (T, 3) float32 in random order; ``index`` (T,): the point of a cloud, or the face of a mesh, that each
    came from; ``warnings``: what the user should know about the shape.
    """

    points: Float32
    index: NDArray[np.int64]
    warnings: tuple[str, ...] = ()


def draw(shape: Shape, count: int, seed: int = 0) -> Drawn:
    """Up to ``count`` points of a shape in random order, decided by ``seed`` and the shape's content alone.

    A mesh gives exactly ``count``. A cloud, or a mesh without faces (its vertices), gives at most that many, each once.
    Raises ValueError where the shape holds no point, or faces without any area.
    """
    rng = np.random.default_rng([seed, sampling.content_seed(shape)])
    if isinstance(shape, Mesh) and len(shape.faces):
        sample = sampling.surface(shape, count, rng)
        return Drawn(sample.points, sample.faces.astype(np.int64))
    points = shape.vertices if isinstance(shape, Mesh) else shape.points
    if not len(points):
        raise ValueError("a shape needs at least one point, got none")
    index = sampling.random_subset(len(points), count, rng)
    warnings = ("mesh without faces: its vertices are taken as a cloud",) if isinstance(shape, Mesh) else ()
    return Drawn(points[index], index, warnings)


def window(total: int, count: int, start: int = 0) -> NDArray[np.int64]:
    """Indices of ``count`` consecutive points out of ``total``, from ``start`` on and round the end.

    Where ``total`` is smaller, points repeat: a maximum over points does not see repetition.
    """
    return (start + np.arange(count)) % total


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
