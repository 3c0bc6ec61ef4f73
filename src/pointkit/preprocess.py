"""THE path from a shape to the network's points: one for training, evaluation and prediction.

A shape is drawn once (``draw``): a mesh's surface is sampled, a cloud is thinned at random, both in random order and
seeded by the shape's content. What the network sees is a ``window`` of N consecutive drawn points, ``normalise``d:
centred on their mean and divided by the largest distance from it (unit sphere). Evaluation and prediction take the
window at 0; training takes one at random, which is a fresh uniform subset because the order is random.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit import features, sampling
from pointkit.cloud import Array, Float32, Float64, Mesh, PointCloud, Shape


@dataclass(frozen=True)
class Drawn:
    """What ``draw`` took from a shape.

    ``points`` (T, 3) float32 in random order; ``index`` (T,): the point of a cloud, or the face of a mesh, that each
    came from; ``warnings``: what the user should know about the shape; ``features``: kind -> (T, C) float32, of those
    asked for (``features.KINDS``) the ones that the shape has: a cloud's fields, the normals of a mesh's faces.
    """

    points: Float32
    index: NDArray[np.int64]
    warnings: tuple[str, ...] = ()
    features: Mapping[str, Float32] = field(default_factory=dict)

    def first(self, count: int) -> Drawn:
        """The first ``count`` of these points, or all where they are fewer."""
        some = {kind: numbers[:count] for kind, numbers in self.features.items()}
        return Drawn(self.points[:count], self.index[:count], self.warnings, some)


def draw(shape: Shape, count: int, seed: int = 0, *, whole: bool = False, kinds: Sequence[str] = ()) -> Drawn:
    """Up to ``count`` points of a shape in random order, decided by ``seed`` and the shape's content alone.

    A mesh gives exactly ``count``. A cloud, or a mesh without faces (its vertices), gives at most that many, each once,
    or all, where ``whole``. ``kinds`` of features come along, as far as the shape has them.
    Raises ValueError where the shape holds no point, or faces without any area.
    """
    rng = np.random.default_rng([seed, sampling.content_seed(shape)])
    if isinstance(shape, Mesh) and len(shape.faces):
        sample = sampling.surface(shape, count, rng)
        normals = {"normals": sample.normals} if "normals" in kinds else {}
        return Drawn(sample.points, sample.faces.astype(np.int64), features=normals)
    points = shape.vertices if isinstance(shape, Mesh) else shape.points
    if not len(points):
        raise ValueError("a shape needs at least one point, got none")
    index = sampling.random_subset(len(points), len(points) if whole else count, rng)
    warnings = ("mesh without faces: its vertices are taken as a cloud",) if isinstance(shape, Mesh) else ()
    held = {kind: known(shape, kind) for kind in kinds} if isinstance(shape, PointCloud) else {}
    some = {kind: numbers[index] for kind, numbers in held.items() if numbers is not None}
    return Drawn(points[index], index, warnings, some)


def known(cloud: PointCloud, kind: str) -> Float32 | None:
    """Numbers (N, C) float32 of a kind of features, 0 for those not finite; None where the cloud does not hold it.

    Colours and intensities, which come in many units, are shares of the full scale: of 1, 255 or 65,535, the least that
    holds all values of the cloud, or of the largest where none does (whole numbers have no scale of 1).
    """
    if kind == "color":
        return colors(cloud)
    values = _together(cloud, features.KINDS[kind])
    if values is None:
        return None
    return _finite(values).astype(np.float32) if kind == "normals" else _shares(values)


def colors(cloud: PointCloud) -> Float32 | None:
    """RGB (N, 3) float32, 0 to 1, of the fields red, green, blue, or of PCD's packed rgb; None where there is none."""
    channels = _together(cloud, features.KINDS["color"])
    if channels is not None:
        return _shares(channels).clip(0, 1)
    packed = cloud.fields.get("rgb")
    if packed is None or packed.shape != (len(cloud.points),) or packed.dtype.itemsize != 4:
        return None
    bits = np.ascontiguousarray(packed).view(np.uint32)
    return (np.stack([bits >> shift & 255 for shift in (16, 8, 0)], 1) / 255).astype(np.float32)


def stacked(found: Mapping[str, Float32], some: Iterable[str]) -> Float32 | None:
    """Some kinds side by side, (N, C); None for none. Raises KeyError for one that is not there."""
    arrays = [found[kind] for kind in some]
    return np.concatenate(arrays, 1) if arrays else None


def _together(cloud: PointCloud, names: Sequence[str]) -> Array | None:
    """Fields of one number a point side by side, (N, C); None where one is missing."""
    fields = [cloud.fields.get(name) for name in names]
    there = [field.reshape(len(cloud.points)) for field in fields if field is not None and field.size == len(field)]
    return np.stack(there, 1) if len(there) == len(names) else None


def _shares(values: Array) -> Float32:
    """Values as shares of the full scale."""
    scales = (255, 65535) if values.dtype.kind in "iu" else (1, 255, 65535)
    values = _finite(values)
    largest = float(np.abs(values).max(initial=0))
    full = next((scale for scale in scales if largest <= scale), largest)
    return (values / full).astype(np.float32)


def _finite(values: Array) -> Float64:
    return np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)


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
