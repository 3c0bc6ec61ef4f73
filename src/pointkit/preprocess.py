"""The one way from a shape to the network's points: training, evaluation and prediction all take it.

A shape is drawn once (``draw``): a mesh's surface is sampled, a cloud is thinned at random. The order is random, and
the seed comes from the shape's content. What the network sees is a ``window`` of N consecutive drawn points,
``normalise``d: centred on their mean and divided by the largest distance from it (unit sphere). Evaluation and
prediction take the window at 0. Training takes one at random, which is a fresh uniform subset because the order is
random.

A network's ``Contract`` says how all this is done for it. The run keeps it, and every later answer reads it back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit import features, sampling, stray
from pointkit.cloud import Array, Float32, Float64, Mesh, Shape, as_shape
from pointkit.formats import columns
from pointkit.formats.columns import NOTHING_SAID, Meaning
from pointkit.size import Size
from pointkit.traits import AXES
from pointkit.upright import UP

Inputs = Float32 | dict[str, Array]


SCALED = features.SCALED
STRAY = ("kept", "left out")  # what becomes of stray points; older stores and runs keep them


class Warned(NamedTuple):
    """What the user should know about a shape: the ``kind`` is a word for programs, the ``text`` a line for people."""

    kind: str
    text: str


@dataclass(frozen=True)
class Drawn:
    """What ``draw`` took from a shape.

    ``points`` (T, 3) float32 are in random order. ``index`` (T,) has the point of a cloud, or the face of a mesh, that
    each came from. ``warnings`` are what the user should know about the shape. ``features``: kind -> (T, C) float32,
    for the kinds (``features.KINDS``) that were asked for and that the shape has: a cloud's fields, the normals of a
    mesh's faces, and the colours and intensities of its vertices, or else of its faces. ``scales``: kind -> the full
    scale that the shape's own numbers seem to have (``steady_scale``). ``left_out`` counts the file's rows without
    coordinates, ``strays`` the drawn points that are stray (``strays_last``).
    """

    points: Float32
    index: NDArray[np.int64]
    warnings: tuple[Warned, ...] = ()
    features: Mapping[str, Float32] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    left_out: int = 0
    strays: int = 0

    def first(self, count: int) -> Drawn:
        """The first ``count`` of these points, or all where they are fewer."""
        return self._some(slice(count))

    def strays_last(self) -> Drawn:
        """The same points, with those that are stray (``stray.find``) at the end, and counted.

        What is before them is in random order still.
        """
        marks = stray.find(self.points)
        some = self._some(np.argsort(marks, kind="stable")) if marks.any() else self
        return dataclasses.replace(some, strays=int(marks.sum()))

    def without_strays(self) -> Drawn:
        """The points that ``strays_last`` put first: all but the stray ones."""
        return self.first(len(self.points) - self.strays)

    def _some(self, chosen: Any) -> Drawn:
        cut = {kind: numbers[chosen] for kind, numbers in self.features.items()}
        return dataclasses.replace(self, points=self.points[chosen], index=self.index[chosen], features=cut)

    def warned(self, *warnings: Warned) -> Drawn:
        """The same points with further warnings."""
        return dataclasses.replace(self, warnings=(*self.warnings, *warnings))


def draw(
    shape: Shape | ArrayLike,
    count: int,
    seed: int = 0,
    *,
    whole: bool = False,
    kinds: Sequence[str] = (),
    scales: Mapping[str, float] | None = None,
) -> Drawn:
    """Up to ``count`` points of a shape in random order, decided by ``seed`` and the shape's content alone.

    An array of points (N, 3) is a cloud. A mesh gives exactly ``count``. A cloud, or a mesh without faces (its
    vertices), gives at most that many, each once, or all with ``whole``. The features of ``kinds`` come along, as far
    as the shape has them. Colours and intensities are shares of the full scale in ``scales``, or of the shape's own
    where that names none.
    Raises ValueError where the shape holds no point, or faces without any area, and for what is no shape.
    """
    shape = as_shape(shape)
    rng = np.random.default_rng([seed, sampling.content_seed(shape)])
    if isinstance(shape, Mesh) and len(shape.faces):
        sample = sampling.surface(shape, count, rng)
        found, scaled = _on_surface(shape, sample, kinds, scales or {})
        faces = sample.faces.astype(np.int64)
        return Drawn(sample.points, faces, _left_out(shape, kinds, found), features=found, scales=scaled)
    points = shape.vertices if isinstance(shape, Mesh) else shape.points
    if not len(points):
        raise ValueError("a shape needs at least one point, got none")
    index = sampling.random_subset(len(points), len(points) if whole else count, rng)
    bare = (
        (Warned("no-faces", "mesh without faces: its vertices are taken as a cloud"),)
        if isinstance(shape, Mesh)
        else tuple(Warned("doubt", doubt) for doubt in shape.doubts)
    )
    taken: dict[str, Float32] = {}
    own: dict[str, float] = {}
    fields = shape.vertex_fields if isinstance(shape, Mesh) else shape.fields
    for kind in kinds:
        if (values := numbers(fields, kind)) is not None:
            own |= {kind: steady_scale(values)} if kind in SCALED else {}
            full = (scales or {}).get(kind) or (full_scale(values) if kind in SCALED else 1)
            taken[kind] = _shares(values[index], full)
    warnings = (*bare, *_left_out(shape, kinds, taken))
    return Drawn(points[index], index, warnings, taken, own, 0 if isinstance(shape, Mesh) else shape.left_out)


def _left_out(shape: Shape, kinds: Sequence[str], found: Mapping[str, Float32]) -> tuple[Warned, ...]:
    """Warnings about features that only some vertices or faces have."""
    lost = [kind for kind in kinds if kind in shape.partial and kind not in found]
    return tuple(Warned("features", f"{kind} of some vertices or faces alone is left out") for kind in lost)


def _on_surface(
    mesh: Mesh, sample: sampling.SurfaceSample, kinds: Sequence[str], scales: Mapping[str, float]
) -> tuple[dict[str, Float32], dict[str, float]]:
    """The features of points on a mesh's surface, as far as it has them, and the full scales of its own numbers.

    The numbers of the three corners count by the points' ``weights``. The normals are those of the faces.
    """
    found: dict[str, Float32] = {}
    own: dict[str, float] = {}
    for kind in kinds:
        if kind == "normals":
            found[kind] = sample.normals
        elif (values := numbers(mesh.vertex_fields, kind)) is not None:
            own[kind] = steady_scale(values)
            corners = _finite(values)[mesh.faces[sample.faces]]
            full = scales.get(kind) or full_scale(values)
            found[kind] = _shares(np.einsum("nkc,nk->nc", corners, sample.weights), full)
        elif (values := numbers(mesh.face_fields, kind)) is not None:
            own[kind] = steady_scale(values)
            found[kind] = _shares(values[sample.faces], scales.get(kind) or full_scale(values))
    return found, own


def numbers(fields: Mapping[str, Array], kind: str) -> Array | None:
    """The numbers (N, C) of a kind of features in the file's own type; None where no fields hold it.

    These have one of the usual names (``formats.columns``). Colours may be packed into 32 bits, as PCD has them.
    """
    names = columns.feature(fields, kind)
    if names is None:
        return None
    chosen = [fields[name] for name in names]
    width = len(features.KINDS[kind])
    if len(chosen) == width:
        return np.stack([field.reshape(len(field)) for field in chosen], 1)
    if chosen[0].size > len(chosen[0]):
        return chosen[0][:, :width]
    bits = np.ascontiguousarray(chosen[0]).reshape(-1).view(np.uint32)
    return np.stack([bits >> shift & 255 for shift in (16, 8, 0)], 1)


def full_scale(values: Array) -> float:
    """The full scale that numbers seem to have: the least of 1, 255 and 65,535 that holds all, else the largest number.

    For whole numbers 1 is left out.
    """
    return _full(float(np.abs(_finite(values)).max(initial=0)), values.dtype)


def steady_scale(values: Array) -> float:
    """The full scale that numbers seem to have, which a few outliers do not decide.

    It is 255 for numbers of 8 bits. For others it is ``full_scale``, unless that is more than twice the full scale that
    holds 99 in 100 of the numbers other than 0: then it is the latter.
    """
    if values.dtype == np.uint8:
        return 255.0
    sizes = np.sort(np.abs(_finite(values)), axis=None)
    sizes = sizes[np.searchsorted(sizes, 0, side="right") :]
    if not len(sizes):
        return full_scale(values)
    return steadied(_full(float(sizes[int(np.ceil(0.99 * len(sizes))) - 1]), values.dtype), full_scale(values))


def steadied(common: float, largest: float) -> float:
    """The ``largest`` of full scales, or the ``common`` one, if the largest is more than twice that: an outlier."""
    return largest if largest <= 2 * common else common


def _full(largest: float, kind: np.dtype[Any]) -> float:
    scales = (255, 65535) if kind.kind in "iu" else (1, 255, 65535)
    return float(next((scale for scale in scales if largest <= scale), largest))


def colors(fields: Mapping[str, Array]) -> Float32 | None:
    """RGB (N, 3) float32 for a picture, 0 to 1 by the numbers' own full scale; None where no fields hold colours."""
    values = numbers(fields, "color")
    return None if values is None else _shares(values, full_scale(values)).clip(0, 1)


def stacked(found: Mapping[str, Float32], some: Iterable[str]) -> Float32 | None:
    """The features of some kinds side by side, (N, C); None for no kinds. Raises KeyError for one that is missing."""
    arrays = [found[kind] for kind in some]
    return np.concatenate(arrays, 1) if arrays else None


def _shares(values: Array, full: float) -> Float32:
    """Values as float32 shares of a full scale; those that are not finite become 0."""
    return (_finite(values).astype(np.float32).astype(np.float64) / full).astype(np.float32)


def _finite(values: Array) -> Float64:
    return np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)


def window(total: int, count: int, start: int = 0) -> NDArray[np.int64]:
    """Indices of ``count`` consecutive points out of ``total``, from ``start`` on and round the end.

    Where ``total`` is smaller, points repeat: a maximum over points does not see repetition.
    """
    return (start + np.arange(count)) % total


def windows(total: int, count: int) -> NDArray[np.int64]:
    """Windows (W, count) that go through ``total`` points; the last goes on at the beginning to be full.

    The points are in random order. So each is answered among a uniform subset of its cloud, as in training.
    """
    starts = range(0, total, count)
    return np.stack([window(total, count, start) for start in starts])


def normalise(points: ArrayLike) -> tuple[Float32, Float64, Float64]:
    """Points (..., N, 3) centred on their mean, in the unit sphere; with the centers (..., 3) and scales (...).

    A cloud's result is the same alone and in a batch. Points that all coincide go to zero, with the scale 1.
    """
    points = np.asarray(points, np.float64)
    center = points.mean(-2)
    centred = points - center[..., None, :]
    scale = np.sqrt(np.einsum("...d,...d->...", centred, centred).max(-1))
    scale = np.where(scale > 0, scale, 1.0)
    return (centred / scale[..., None, None]).astype(np.float32), center, scale


RULES = {"scale": ("unit sphere",), "up": AXES, "window": ("random points",), "stray": STRAY}


@dataclass(frozen=True)
class Contract:
    """How a shape becomes what a network sees. ``run.json`` holds it under "input".

    The network sees ``num_points`` at once. Before that, ``drawn`` points are drawn from a mesh or kept of a cloud, by
    ``seed``. ``scales``: kind of feature -> its full scale, decided once for a set. Older runs have none, and there
    each cloud has a scale of its own. ``meaning`` is the user's word about the columns of files. ``up`` is the axis of
    the files that points up: the network sees shapes turned so that this is z. ``stray`` says what becomes of stray
    points (STRAY). Two rules are named, so that a later version can change them: the ``scale`` to which points are
    brought, and the points that a ``window`` holds. Where the network sees a shape's ``size``, that says how. With a
    ``context``, a window has so many points, and only ``num_points`` of them are answered: neighbours of these are
    found among all. Raises ValueError for a rule that this version does not know.
    """

    num_points: int
    drawn: int
    seed: int = 0
    scale: str = "unit sphere"
    up: str = "z"
    window: str = "random points"
    scales: Mapping[str, float] = field(default_factory=dict)
    meaning: Meaning = NOTHING_SAID
    stray: str = STRAY[0]
    size: Size | None = None
    context: int = 0

    def __post_init__(self) -> None:
        for name, least in (("num_points", 1), ("drawn", 1), ("seed", 0), ("context", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{name} must be a whole number, found {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, found {value}")
        for name, known in RULES.items():
            if getattr(self, name) not in known:
                words = f"this version knows {', '.join(map(repr, known))} alone"
                raise ValueError(f"{name} is {getattr(self, name)!r}, {words}; install a newer one")
        if not isinstance(self.scales, Mapping) or not all(
            kind in SCALED and isinstance(full, int | float) and full > 0 for kind, full in self.scales.items()
        ):
            raise ValueError(f"scales must be positive numbers of {', '.join(SCALED)}, found {self.scales!r}")

    @classmethod
    def of_store(cls, manifest: Mapping[str, Any], num_points: int) -> Contract:
        """The contract of a network that sees ``num_points`` of each shape of a store, from the store's manifest."""
        drawn, seed = manifest.get("num_points_drawn", num_points), manifest.get("seed", 0)
        return cls(
            num_points,
            drawn,
            seed,
            up=manifest.get("up", UP),
            scales=manifest.get("scales", {}),
            meaning=Meaning.of(manifest.get("meaning", {})),
            stray=manifest.get("stray", STRAY[0]),
        )

    @classmethod
    def of_run(cls, given: Mapping[str, Any]) -> Contract:
        """The contract in a run's facts; what older runs lack has its default. Raises ValueError for unknown keys."""
        if unknown := given.keys() - {rule.name for rule in dataclasses.fields(cls)}:
            raise ValueError(f"{min(unknown)} is not known to this version; install a newer one")
        return cls(**{**given, "meaning": Meaning.of(given.get("meaning", {})), "size": Size.of_run(given.get("size"))})

    def facts(self) -> dict[str, Any]:
        """The contract as a run keeps it."""
        given = dataclasses.asdict(self)
        del given["meaning"], given["size"]
        size = {"size": self.size.facts()} if self.size else {}
        if not self.context:
            del given["context"]
        return {**given, **({"meaning": self.meaning.facts()} if self.meaning != NOTHING_SAID else {}), **size}

    @property
    def seen(self) -> int:
        """Points of a window: those that are answered, and the others around them."""
        return max(self.num_points, self.context)

    def draw(
        self, shape: Shape | ArrayLike, *, count: int | None = None, whole: bool = False, kinds: Sequence[str] = ()
    ) -> Drawn:
        """``draw`` by this contract: without stray points, where it leaves them out. They are counted in any case.

        Colours and intensities beyond the set's full scale count as that.
        """
        drawn = draw(shape, count or self.drawn, self.seed, whole=whole, kinds=kinds, scales=self.scales)
        shares = {kind: share.clip(-1, 1) for kind, share in drawn.features.items() if kind in self.scales}
        drawn = dataclasses.replace(drawn, features={**drawn.features, **shares})
        ordered = drawn.strays_last()
        if self.stray == "left out":
            drawn = ordered.without_strays()
        else:
            drawn = dataclasses.replace(drawn, strays=ordered.strays)
        return drawn

    def inputs(
        self,
        points: ArrayLike,
        numbers: Float32 | None = None,
        category: NDArray[np.int32] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Inputs:
        """A network's inputs: the windows' points (B, N, 3), normalised, or a dict where there is more.

        ``numbers`` (B, N, C) are the points' features, ``category`` (B,) has the shapes' categories. ``rng`` varies the
        sizes that the network sees, as training does.
        """
        normal, _, radii = normalise(points)
        return named_inputs(normal, numbers, category, self.size.seen(radii, rng) if self.size else None)


def named_inputs(
    points: Float32,
    features: Float32 | None = None,
    category: NDArray[np.int32] | None = None,
    size: Float32 | None = None,
) -> Inputs:
    """The points alone, or a dict where there is more."""
    named = {"points": points, "features": features, "category": category, "size": size}
    given = {name: array for name, array in named.items() if array is not None}
    return given if len(given) > 1 else points
