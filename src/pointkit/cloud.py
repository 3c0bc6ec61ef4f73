"""Shapes as they come from a file: a mesh, or a cloud of points, and where it stood there.

Coordinates are float32 about a float64 ``origin``. A survey in UTM metres has eastings near 500,000 and northings near
5,000,000, where float32 resolves half a metre. The origin is subtracted in float64 first, so millimetres survive.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit.cards import Card, Carded
from pointkit.errors import PointkitError

Array = NDArray[Any]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


_BLOCK = 1 << 14  # rows


def _frozen(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _set(instance: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(instance, name, value)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a shape stood in its file: file coordinate = point * scale + center + origin, in float64.

    ``origin`` (3,) is what the reader subtracted; ``center`` (3,) and ``scale`` are what normalisation did. ``exact``
    (N, 3) float64 are the file's coordinates where the points have lost some of their digits; None where they have not.
    """

    origin: Float64 = field(default_factory=lambda: np.zeros(3))
    center: Float64 = field(default_factory=lambda: np.zeros(3))
    scale: float = 1.0
    exact: Float64 | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("origin", "center"):
            value = np.array(getattr(self, name), np.float64)
            if value.shape != (3,) or not np.isfinite(value).all():
                raise ValueError(f"{name} must be three finite numbers, got {getattr(self, name)!r}")
            _set(self, **{name: _frozen(value)})
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be positive, got {self.scale!r}")
        _set(self, scale=float(self.scale))

    def restore(self, points: ArrayLike) -> Float64:
        """Points (..., 3) in the file's own coordinates, float64."""
        return np.asarray(points, np.float64) * self.scale + (self.center + self.origin)

    def coordinates(self, points: Float32) -> Array:
        """Points (N, 3) of a shape as its file had them: float32 where nothing was moved or rounded, else float64."""
        moved = self.scale != 1 or self.origin.any() or self.center.any()
        # The points may be others than those read, such as a selection of them.
        if self.exact is not None and np.array_equal((self.exact - self.origin).astype(np.float32), points):
            return self.exact
        return self.restore(points) if moved else points


def place(coordinates: Array, ends: tuple[Array, Array] | None = None) -> tuple[Float32, Placement]:
    """Coordinates (N, 3) of a file as float32 points, and the origin that was subtracted from them.

    ``ends`` are their ``bounds``, where these are known.

    The origin is zero where float32 loses nothing, or where the shape lies no farther from zero than it is large (the
    rounding is then below 1e-7 of its size). Else it is the middle of the bounding box, rounded to whole units.
    """
    if coordinates.dtype != np.float64 or not len(coordinates):
        return np.ascontiguousarray(coordinates, np.float32), Placement()
    low, high = ends or bounds(coordinates)
    middle, extent = (low + high) / 2, float((high - low).max())
    if all(np.array_equal(some.astype(np.float32), some) for some in _blocks(coordinates)):
        return coordinates.astype(np.float32, order="C"), Placement()
    origin = np.zeros(3) if np.abs(middle).max() <= extent else np.round(middle)
    points = np.empty(coordinates.shape, np.float32)
    same = True
    for some, near in zip(_blocks(coordinates), _blocks(points), strict=True):
        near[...] = some - origin
        same = same and np.array_equal(near.astype(np.float64) + origin, some)
    return points, Placement(origin=origin, exact=None if same else _frozen(coordinates))


def bounds(coordinates: Array) -> tuple[Array, Array]:
    """The least and the largest numbers of the columns of coordinates (N, 3); nan where a column has one."""
    # NumPy takes the minimum of a row twenty times faster than that of a column.
    columns = (np.ascontiguousarray(some.T) for some in _blocks(coordinates))
    ends = [(some.min(1), some.max(1)) for some in columns]
    lows, highs = zip(*ends, strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _blocks(coordinates: Array) -> Iterator[Array]:
    """Consecutive rows that fit a processor's cache: large arrays are then not gone through time after time."""
    return (coordinates[start : start + _BLOCK] for start in range(0, len(coordinates), _BLOCK))


def _points(name: str, value: ArrayLike) -> Float32:
    points = np.asarray(value, np.float32)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"{name} must have the shape (N, 3), got {points.shape}")
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
        raise ValueError(f"{name} must be finite, got {points[row].tolist()} in row {row}")
    return _frozen(points)


def _rows(what: str, there: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Which of a file's rows are in a shape, checked to be ``count``."""
    rows = np.asarray(there, bool)
    if rows.ndim != 1 or int(rows.sum()) != count:
        raise ValueError(f"there must mark {count} {what}, got {int(rows.sum())} of {rows.shape}")
    return _frozen(rows)


def _fields(name: str, values: Mapping[str, ArrayLike], count: int) -> Mapping[str, Array]:
    arrays = {key: _frozen(np.asarray(value)) for key, value in values.items()}
    for key, array in arrays.items():
        if not array.ndim or len(array) != count:
            raise ValueError(f"{name} {key!r} must have {count} rows, got the shape {array.shape}")
    return MappingProxyType(arrays)


class _Shape(Carded):
    """What meshes and clouds share.

    A shape goes to another process, though its fields are read-only mappings, which ``pickle`` does not take. It shows
    itself in few lines, and with a picture in a notebook.
    """

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_shape(self)  # type: ignore[arg-type]

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        values = (getattr(self, each.name) for each in dataclasses.fields(self))  # type: ignore[arg-type]
        return type(self), tuple(dict(one) if isinstance(one, MappingProxyType) else one for one in values)


@dataclass(frozen=True, eq=False, repr=False)
class Mesh(_Shape):
    """Triangles.

    ``vertices`` (V, 3) float32; ``faces`` (F, 3) int32, indices of vertices; ``face_fields``: name -> (F, ...) array in
    the file's own type; ``polygons`` (F,) int64, ascending: the file's polygon that each triangle was cut from, None
    where each is a polygon of its own; ``vertex_fields``: name -> (V, ...) array; ``there`` (R,) bool: which of the
    file's R vertices are here, as unused ones without coordinates are not, or None where all are; ``partial``: kinds
    of features that the file has for some vertices or faces alone, and that are left out. All arrays are read-only.
    """

    vertices: Float32
    faces: NDArray[np.int32]
    face_fields: Mapping[str, Array] = field(default_factory=dict)
    placement: Placement = field(default_factory=Placement)
    polygons: NDArray[np.int64] | None = None
    vertex_fields: Mapping[str, Array] = field(default_factory=dict)
    there: NDArray[np.bool_] | None = None
    partial: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        vertices = _points("vertices", self.vertices)
        faces = np.asarray(self.faces)
        if faces.ndim != 2 or faces.shape[1] != 3:
            raise ValueError(f"faces must have the shape (F, 3), got {faces.shape}")
        if faces.size and (faces.min() < 0 or faces.max() >= len(vertices)):
            bad = faces.min() if faces.min() < 0 else faces.max()
            raise ValueError(f"faces must index the {len(vertices)} vertices, got {int(bad)}")
        _set(self, vertices=vertices, faces=_frozen(faces.astype(np.int32, copy=False)))
        _set(self, face_fields=_fields("face field", self.face_fields, len(faces)))
        _set(self, vertex_fields=_fields("vertex field", self.vertex_fields, len(vertices)))
        if self.polygons is not None:
            polygons = np.asarray(self.polygons)
            if polygons.shape != (len(faces),) or (np.diff(polygons, prepend=0) < 0).any():
                raise ValueError(f"polygons must be ({len(faces)},) ascending numbers from 0 on, got {polygons.shape}")
            _set(self, polygons=_frozen(polygons.astype(np.int64, copy=False)))
        if self.there is not None:
            _set(self, there=_rows("vertices", self.there, len(vertices)))


@dataclass(frozen=True, eq=False, repr=False)
class PointCloud(_Shape):
    """Points.

    ``points`` (N, 3) float32; ``fields``: name -> (N, ...) array in the file's own type (colour, intensity, normals
    ...); ``labels`` (N,) int32, -1 = unlabelled, or None; ``there`` (R,) bool: which of the file's R rows are points,
    as rows without coordinates are none, or None where all are; ``partial``: kinds of features that the file has for
    some points alone, and that are left out; ``doubts``: why the file may be damaged, each a line. All arrays are
    read-only.
    """

    points: Float32
    fields: Mapping[str, Array] = field(default_factory=dict)
    labels: NDArray[np.int32] | None = None
    placement: Placement = field(default_factory=Placement)
    there: NDArray[np.bool_] | None = None
    partial: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        points = _points("points", self.points)
        _set(self, points=points, fields=_fields("field", self.fields, len(points)))
        if self.labels is not None:
            labels = np.asarray(self.labels)
            if labels.shape != (len(points),):
                raise ValueError(f"labels must have the shape ({len(points)},), got {labels.shape}")
            _set(self, labels=_frozen(labels.astype(np.int32, copy=False)))
        if self.there is not None:
            _set(self, there=_rows("rows", self.there, len(points)))

    @property
    def left_out(self) -> int:
        """How many of the file's rows are no points."""
        return 0 if self.there is None else len(self.there) - len(self.points)


Shape = Mesh | PointCloud


def as_shape(given: Shape | ArrayLike) -> Shape:
    """A shape as it is; an array of points (N, 3) as a ``PointCloud``. Raises PointkitError for anything else."""
    if isinstance(given, Mesh | PointCloud):
        return given
    rule = "a shape must be a Mesh, a PointCloud or an array (N, 3) of points"
    try:
        points = np.asarray(given)
        if points.dtype.kind == "c":
            raise TypeError("complex numbers")
        points = points if points.dtype == np.float32 else points.astype(np.float64)
    except (TypeError, ValueError):
        raise PointkitError(f"{rule}, got {type(given).__name__}") from None
    if points.ndim != 2 or points.shape[1] != 3:
        more = "; further columns are fields: PointCloud(points, {'nx': ...})" if points.ndim == 2 else ""
        raise PointkitError(f"{rule}, got {f'the shape {points.shape}' if points.ndim else type(given).__name__}{more}")
    if not (finite := np.isfinite(points).all(1)).all():
        row = int(np.flatnonzero(~finite)[0])
        raise PointkitError(f"points must be finite, got {points[row].tolist()} in row {row}")
    near, placement = place(points)
    return PointCloud(near, placement=placement)


class Sample(NamedTuple):
    """The points of a shape as a store keeps them.

    ``points`` (N, 3) float32; ``labels`` (N,) int32, the part of each, -1 = unlabelled; ``features`` (N, C) float32,
    such as normals. Both are None where there are none.
    """

    points: Float32
    labels: NDArray[np.int32] | None = None
    features: Float32 | None = None

    @classmethod
    def nothing(cls) -> Sample:
        """No points, of a file that could not be read."""
        return cls(np.empty((0, 3), np.float32))
