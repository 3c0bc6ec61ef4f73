"""THE path from a shape to the network's points: one for training, evaluation and prediction.

A shape is drawn once (``draw``): a mesh's surface is sampled, a cloud is thinned at random, both in random order and
seeded by the shape's content. What the network sees is a ``window`` of N consecutive drawn points, ``normalise``d:
centred on their mean and divided by the largest distance from it (unit sphere). Evaluation and prediction take the
window at 0. Training takes one at random, which is a fresh uniform subset because the order is random.

How all this is done for a network is its ``Contract``. It is kept in the run, and read back for every later answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit import features, sampling
from pointkit.cloud import Array, Float32, Float64, Mesh, PointCloud, Shape

Inputs = Float32 | dict[str, Array]


SCALED = ("color", "intensity")  # features that come in many units


@dataclass(frozen=True)
class Drawn:
    """What ``draw`` took from a shape.

    ``points`` (T, 3) float32 in random order; ``index`` (T,): the point of a cloud, or the face of a mesh, that each
    came from; ``warnings``: what the user should know about the shape; ``features``: kind -> (T, C) float32, of those
    asked for (``features.KINDS``) the ones that the shape has: a cloud's fields, the normals of a mesh's faces;
    ``scales``: kind -> full scale that the shape's own numbers of it seem to have (``full_scale``).
    """

    points: Float32
    index: NDArray[np.int64]
    warnings: tuple[str, ...] = ()
    features: Mapping[str, Float32] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)

    def first(self, count: int) -> Drawn:
        """The first ``count`` of these points, or all where they are fewer."""
        some = {kind: numbers[:count] for kind, numbers in self.features.items()}
        return Drawn(self.points[:count], self.index[:count], self.warnings, some, self.scales)

    def warned(self, *said: str) -> Drawn:
        """The same points with further warnings."""
        return dataclasses.replace(self, warnings=(*self.warnings, *said))


def draw(
    shape: Shape,
    count: int,
    seed: int = 0,
    *,
    whole: bool = False,
    kinds: Sequence[str] = (),
    scales: Mapping[str, float] | None = None,
) -> Drawn:
    """Up to ``count`` points of a shape in random order, decided by ``seed`` and the shape's content alone.

    A mesh gives exactly ``count``. A cloud, or a mesh without faces (its vertices), gives at most that many, each once,
    or all, where ``whole``. ``kinds`` of features come along, as far as the shape has them; colours and intensities as
    shares of the full scale in ``scales``, or, where it names none, of the shape's own.
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
    some: dict[str, Float32] = {}
    own: dict[str, float] = {}
    for kind in kinds:
        if isinstance(shape, PointCloud) and (values := numbers(shape, kind)) is not None:
            own |= {kind: full_scale(values)} if kind in SCALED else {}
            some[kind] = _shares(values[index], (scales or {}).get(kind, own.get(kind, 1)))
    return Drawn(points[index], index, warnings, some, own)


def numbers(cloud: PointCloud, kind: str) -> Array | None:
    """The numbers (N, C) of a kind of features in the file's own type; None where the cloud does not hold it.

    Colours are the fields red, green and blue, or PCD's packed rgb.
    """
    values = _together(cloud, features.KINDS[kind])
    packed = cloud.fields.get("rgb") if kind == "color" and values is None else None
    if packed is None or packed.shape != (len(cloud.points),) or packed.dtype.itemsize != 4:
        return values
    bits = np.ascontiguousarray(packed).view(np.uint32)
    return np.stack([bits >> shift & 255 for shift in (16, 8, 0)], 1)


def full_scale(values: Array) -> float:
    """The full scale that numbers seem to have: the least of 1, 255 and 65,535 that holds all, else the largest number.

    Whole numbers have no scale of 1.
    """
    scales = (255, 65535) if values.dtype.kind in "iu" else (1, 255, 65535)
    largest = float(np.abs(_finite(values)).max(initial=0))
    return float(next((scale for scale in scales if largest <= scale), largest))


def colors(cloud: PointCloud) -> Float32 | None:
    """RGB (N, 3) float32, 0 to 1 of the cloud's own full scale, for a picture of it; None where it has no colours."""
    values = numbers(cloud, "color")
    return None if values is None else _shares(values, full_scale(values)).clip(0, 1)


def stacked(found: Mapping[str, Float32], some: Iterable[str]) -> Float32 | None:
    """Some kinds side by side, (N, C); None for none. Raises KeyError for one that is not there."""
    arrays = [found[kind] for kind in some]
    return np.concatenate(arrays, 1) if arrays else None


def _together(cloud: PointCloud, names: Sequence[str]) -> Array | None:
    """Fields of one number a point side by side, (N, C); None where one is missing."""
    fields = [cloud.fields.get(name) for name in names]
    there = [field.reshape(len(cloud.points)) for field in fields if field is not None and field.size == len(field)]
    return np.stack(there, 1) if len(there) == len(names) else None


def _shares(values: Array, full: float) -> Float32:
    """Values as float32 shares of a full scale, those that are not finite as 0."""
    return (_finite(values).astype(np.float32).astype(np.float64) / full).astype(np.float32)


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


@dataclass(frozen=True)
class Contract:
    """How a shape becomes what a network sees: kept in a run's ``run.json`` under "input", and read back.

    ``num_points`` are seen at once, ``drawn`` are drawn of a mesh or kept of a cloud before, from ``seed``; ``scales``:
    kind of feature -> its full scale, decided once for a set; empty in older runs, whose clouds have each their own.
    The rules are named so that a later version can tell: the ``scale`` that points are brought to, the axis that is
    ``up``, and which points a ``window`` holds. Raises ValueError for a rule that this version does not know.
    """

    num_points: int
    drawn: int
    seed: int = 0
    scale: str = "unit sphere"
    up: str = "z"
    window: str = "random points"
    scales: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("num_points", 1), ("drawn", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{name} must be a whole number, found {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, found {value}")
        for rule in dataclasses.fields(self)[3:6]:
            if getattr(self, rule.name) != rule.default:
                known = f"this version knows {rule.default!r} alone"
                raise ValueError(f"{rule.name} is {getattr(self, rule.name)!r}, {known}; install a newer one")
        if not isinstance(self.scales, Mapping) or not all(
            kind in SCALED and isinstance(full, int | float) and full > 0 for kind, full in self.scales.items()
        ):
            raise ValueError(f"scales must be positive numbers of {', '.join(SCALED)}, found {self.scales!r}")

    @classmethod
    def of_store(cls, manifest: Mapping[str, Any], num_points: int) -> Contract:
        """The contract of a network that sees ``num_points`` of each shape of a store, from the store's manifest."""
        drawn, seed = manifest.get("num_points_drawn", num_points), manifest.get("seed", 0)
        return cls(num_points, drawn, seed, scales=manifest.get("scales", {}))

    @classmethod
    def of_run(cls, given: Mapping[str, Any]) -> Contract:
        """The contract in a run's facts; what older runs do not say are the defaults. Raises ValueError for others."""
        if unknown := given.keys() - {rule.name for rule in dataclasses.fields(cls)}:
            raise ValueError(f"{min(unknown)} is not known to this version; install a newer one")
        return cls(**given)

    def facts(self) -> dict[str, Any]:
        """What stands in a run."""
        return dataclasses.asdict(self)

    def draw(self, shape: Shape, *, count: int | None = None, whole: bool = False, kinds: Sequence[str] = ()) -> Drawn:
        """``draw`` by this contract, which warns of colours and intensities that seem to be of another full scale."""
        drawn = draw(shape, count or self.drawn, self.seed, whole=whole, kinds=kinds, scales=self.scales)
        said = [
            f"its {kind} seems to be of the full scale {own:,g}, that of the training set was {full:,g}"
            for kind, own in drawn.scales.items()
            if own > (full := self.scales.get(kind, own)) or own == 1 < full
        ]
        return drawn.warned(*said)

    def inputs(
        self, points: ArrayLike, numbers: Float32 | None = None, category: NDArray[np.int32] | None = None
    ) -> Inputs:
        """What a network is called with: the windows' points (B, N, 3), normalised, or a dict where there is more.

        ``numbers`` (B, N, C) are the points' features, ``category`` (B,) those of the shapes.
        """
        return named_inputs(normalise(points)[0], numbers, category)


def named_inputs(points: Float32, features: Float32 | None = None, category: NDArray[np.int32] | None = None) -> Inputs:
    """The points alone, or a dict of all that there is."""
    named = {"points": points, "features": features, "category": category}
    given = {name: array for name, array in named.items() if array is not None}
    return given if len(given) > 1 else points
