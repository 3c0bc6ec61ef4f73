"""What the formats share about records: coordinates, colours, columns to write or to add.

Errors here are ValueErrors without a file's name; ``formats.read`` and ``formats.write`` put it in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array, Float32, Float64, Mesh, Placement, PointCloud, bounds, place
from pointkit.formats.columns import own_labels

Int64 = NDArray[np.int64]
_LARGEST = float(np.finfo(np.float32).max) / 4  # differences and the box then stay finite in float32


def placed(what: str, coordinates: Array, there: NDArray[np.bool_] | None = None) -> tuple[Float32, Placement]:
    """Coordinates (N, 3) of a file, checked (at least one, finite, within float32's range) and placed.

    ``there`` (R,) says which of the file's rows they are, for the number of a row in an error.
    """
    if not len(coordinates):
        raise ValueError(f"no {what}")
    if coordinates.dtype not in (np.float32, np.float64):
        coordinates = coordinates.astype(np.float64)
    with np.errstate(invalid="ignore"):
        low, high = bounds(coordinates)
    if not ((low >= -_LARGEST).all() and (high <= _LARGEST).all()):
        row = int(np.flatnonzero(~(np.abs(coordinates) <= _LARGEST).all(1))[0])
        place_of = row if there is None else int(np.flatnonzero(there)[row])
        raise ValueError(f"{what} must be finite float32 numbers, got {coordinates[row].tolist()} in row {place_of}")
    return place(coordinates, (low, high))


def cloud(xyz: Array, fields: Mapping[str, Array]) -> PointCloud:
    """The cloud of a file's rows: coordinates (R, 3), and fields with a row each.

    Rows with a coordinate that is nan have no place, as a scanner writes them where nothing came back. They are left
    out (``PointCloud.there``). Raises ValueError where no row is left, and for infinite coordinates.
    """
    with np.errstate(invalid="ignore"):
        missing = len(xyz) > 0 and xyz.dtype.kind == "f" and np.isnan(bounds(xyz)[0]).any()
    if not missing:
        points, placement = placed("points", xyz)
        return PointCloud(points, fields, own_labels(fields), placement)
    there = np.logical_not(np.isnan(xyz).any(1))
    if not there.any():
        raise ValueError(f"no points: all {len(xyz):,} rows are without coordinates (nan)")
    points, placement = placed("points", xyz[there], there)
    fields = {name: array[there] for name, array in fields.items()}
    return PointCloud(points, fields, own_labels(fields), placement, there)


def rows_of(cloud: PointCloud) -> tuple[Int64, int]:
    """The rows of the file that a cloud's points are, and how many rows the file has."""
    if cloud.there is None:
        return np.arange(len(cloud.points)), len(cloud.points)
    return np.flatnonzero(cloud.there), len(cloud.there)


def whole(what: str, values: Float64) -> Int64:
    """Numbers that must be whole, as int64."""
    with np.errstate(invalid="ignore"):
        result = values.astype(np.int64)
        wrong = result != values
    if values.size and max(values.max(), -values.min()) > 2**53:  # float64 does not hold every whole number there
        wrong |= np.abs(values) > 2**53
    if wrong.any():
        raise ValueError(f"{what} must be whole numbers, got {values[wrong][0]}")
    return result


def as_type(name: str, values: Float64, kind: np.dtype[Any]) -> Array:
    """Numbers from a text in the type that the header gives them; ValueError where they do not fit."""
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(kind)
    numbers, limits = whole(name, values), np.iinfo(kind)
    if numbers.size and (int(numbers.min()) < limits.min or int(numbers.max()) > limits.max):
        raise ValueError(f"{name} must fit {kind}, got {numbers.min()} to {numbers.max()}")
    return numbers.astype(kind)


def storable(name: str, array: Array, widest: int) -> Array:
    """An array in a little-endian type of at most ``widest`` bytes, for a binary format; ValueError otherwise."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return array.astype("u1")
    if kind == "f" and size in (2, 4, 8):
        return array.astype("<f4" if size == 2 else f"<f{size}")
    if kind in "iu" and size <= widest:
        return array.astype(f"<{kind}{size}")
    if kind in "iu":
        limits = np.iinfo(f"{kind}{widest}")
        if not array.size or (int(array.min()) >= limits.min and int(array.max()) <= limits.max):
            return array.astype(f"<{kind}{widest}")
    raise ValueError(f"the field {name} of the type {array.dtype} has no type in this format that holds it")


def colors(values: Float64) -> Array | None:
    """Colours (N, 3) out of a text: 8 bits where they are whole numbers up to 255, float32 where they are 0 to 1.

    None for other numbers.
    """
    if not len(values) or not (values.min() >= 0 and values.max() <= 255):
        return None
    whole = values.max() > 1 and (values == values.round()).all()
    return values.astype(np.uint8 if whole else np.float32)


def channels(names: Sequence[str], values: Array | None) -> dict[str, Array]:
    """The columns of an array (N, k) as fields of these names; none where there is no array."""
    return {} if values is None else {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names)}


def coordinates(shape: Mesh | PointCloud) -> Array:
    """A shape's points or vertices as the file had them: float32 where nothing was moved or rounded, else float64."""
    return shape.placement.coordinates(shape.vertices if isinstance(shape, Mesh) else shape.points)


def text_coordinates(shape: Mesh | PointCloud) -> Array:
    """``coordinates`` for a text: float32 only where its shortest digits give the same values when they are read."""
    points = coordinates(shape)
    moved = points.dtype == np.float32 and place(points.astype(str).astype(np.float64))[1].origin.any()
    return points.astype(np.float64) if moved else points


def columns(cloud: PointCloud) -> dict[str, Array]:
    """A cloud's fields, with its labels as the field ``label`` unless the fields hold them already."""
    result = worded(cloud.fields)
    if cloud.labels is not None and not ("label" in result and np.array_equal(result["label"], cloud.labels)):
        result["label"] = cloud.labels
    for name in result:
        if name in ("x", "y", "z"):
            raise ValueError(f"a field must not be named as a coordinate, got {name!r}")
    return result


def worded(fields: Mapping[str, Array]) -> dict[str, Array]:
    """The fields, if a header can hold their names; ValueError otherwise."""
    for name in fields:
        if not (name.isascii() and name.isprintable() and name and " " not in name):
            raise ValueError(f"a field's name must be one word of ASCII characters, got {name!r}")
    return dict(fields)


def flat(columns: dict[str, Array]) -> dict[str, Array]:
    """Columns of one number a row: a field (N, k) becomes k columns, named after it with _0, _1 ... at the end."""
    result: dict[str, Array] = {}
    for name, array in columns.items():
        if array.ndim == 1:
            result[name] = array
        else:
            rows = array.reshape(len(array), -1)
            result |= {f"{name}_{index}": rows[:, index] for index in range(rows.shape[1])}
    return result


def added(fields: Mapping[str, Array], count: int, reserved: Sequence[str] = ()) -> dict[str, Array]:
    """Fields to add to ``count`` records; ValueError where they do not fit them."""
    if not fields:
        raise ValueError("one field or more must be given to be added, got none")
    for name, array in fields.items():
        if name in ("x", "y", "z", *reserved):
            raise ValueError(f"a field must not have a name that the format uses itself, got {name!r}")
        if not array.ndim or len(array) != count:
            raise ValueError(
                f"the field {name} must have {count} rows, one a point or face, got the shape {array.shape}"
            )
        if array.dtype.kind not in "biuf":
            raise ValueError(f"the field {name} must hold numbers, got the type {array.dtype}")
    return worded(fields)


def renamed(theirs: Iterable[str], ours: Iterable[str]) -> dict[str, str]:
    """New names for a file's own fields: name -> new name, where one of ours has the name."""
    ours = set(ours)
    taken = {*theirs, *ours}
    result = {}
    for name in theirs:
        if name in ours:
            other = f"source_{name}"
            while other in taken:
                other = f"source_{other}"
            result[name] = other
            taken.add(other)
    return result


def spread(fields: Mapping[str, Array], rows: Int64, count: int) -> dict[str, Array]:
    """Fields for all of ``count`` records, from those of ``rows``; the others get nan, -1, or 0, as the type allows."""
    if len(rows) == count:
        return dict(fields)
    result = {}
    for name, array in fields.items():
        nothing = {"f": np.nan, "i": -1}.get(array.dtype.kind, 0)
        result[name] = np.full((count, *array.shape[1:]), nothing, array.dtype)
        result[name][rows] = array
    return result


def beside(theirs: NDArray[np.uint8], sizes: Int64, ours: Array) -> bytes:
    """Records of ``sizes`` bytes each, with the bytes of a row of the structured array ``ours`` after each."""
    added = ours.view(np.uint8).reshape(len(ours), -1)
    if (sizes == sizes[0]).all():
        return np.concatenate([theirs.reshape(len(ours), -1), added], 1).tobytes()
    return np.insert(theirs, np.repeat(np.cumsum(sizes), added.shape[1]), added.reshape(-1)).tobytes()


def longer_lines(
    lines: Sequence[bytes], ends: Iterable[int], columns: Iterable[Array], gap: bytes = b" "
) -> list[bytes]:
    """Lines with further numbers: those of ``columns``, inserted at each line's ``ends``, a ``gap`` before each."""
    parting = gap.decode("ascii")
    words = zip(*map(_words, columns), strict=True)
    return [
        line[:end] + parting.join(("", *row)).encode("ascii") + line[end:]
        for line, end, row in zip(lines, ends, words, strict=True)
    ]


def text_rows(rows: list[Array], start: str = "") -> bytes:
    """Columns as lines of numbers, each after ``start`` and in the fewest digits that give it back in its type."""
    words = [_words(column) for column in rows]
    return "".join(start + " ".join(row) + "\n" for row in zip(*words, strict=True)).encode("ascii")


def _words(column: Array) -> list[str]:
    if column.dtype.kind == "f" and column.dtype.itemsize < 8:
        return [str(word) for word in column.astype(str)]
    return [repr(value) for value in (column.astype(np.int64) if column.dtype.kind == "b" else column).tolist()]
