"""NPY: NumPy's own file of one array, here (N, 3 or more) of numbers, or (N,) of records with the fields x, y and z.

A column beyond the third, or another field of the records, becomes a field of the cloud.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, PointCloud, Shape
from pointkit.formats import cells, files, records
from pointkit.formats.columns import LEFT_OUT, NOTHING_SAID, Meaning, coordinates, place_in

_TYPES = ("u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8")  # by their size
SEVERAL = "in one file"  # in a message about an array of many shapes
LONGEST_HEADER = 1 << 16

Fields = dict[str, Array]


def read(data: bytes, meaning: Meaning = NOTHING_SAID) -> PointCloud:
    """The cloud in an array; columns from the fourth on are the fields ``column3``, ``column4`` ...

    ``meaning`` may name the columns. The fields of records have their own names and types.
    """
    array = _checked(data)
    return records.cloud(*(of_records(array, meaning) if array.dtype.names else of_table(array, meaning)))


def of_table(array: Array, meaning: Meaning) -> tuple[Array, Fields]:
    """The coordinates (N, 3) in an array (N, 3 or more), and its other columns as fields."""
    said = meaning.names(array.shape[1])
    cells.check_shape(len(array), array.shape[1], said is not None)
    array, width = native(array), array.shape[1]
    if said is None:
        cells.refuse_numbered(array[:, 0], width)
    names = said or ["x", "y", "z", *(f"column{index}" for index in range(3, width))]
    xyz = coordinates(names)
    return array[:, xyz], {name: array[:, i] for i, name in enumerate(names) if i not in xyz and name != LEFT_OUT}


def of_records(array: Array, meaning: Meaning) -> tuple[Array, Fields]:
    """The coordinates (N, 3) in records (N,) with the fields x, y and z, or with one field for all three."""
    theirs = [name for name in array.dtype.names or () if array.dtype[name].base.kind in "biufU"]
    names = meaning.names(len(theirs)) or theirs
    fields = {name: one_each(native(array[own])) for name, own in zip(names, theirs, strict=True) if name != LEFT_OUT}
    if not len(array):
        raise ValueError("no points")
    place = place_in(fields)
    if place:
        return fields.pop(place)[:, :3], fields
    single = [name for name, field in fields.items() if field.ndim == 1]
    axes = [single[index] for index in coordinates(single, values=[fields[name] for name in single])]
    return np.stack([fields.pop(axis) for axis in axes], 1), fields


def native(array: Array) -> Array:
    """An array in the machine's byte order, and in 64 bits where its floats have more."""
    long = array.dtype.kind == "f" and array.dtype.itemsize > 8
    return array.astype(np.float64 if long else array.dtype.newbyteorder("="), copy=False)


def one_each(array: Array) -> Array:
    """An array (N, 1) as (N,)."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def write(path: disk.Path, shape: Shape) -> None:
    """Write a cloud as one array, in a type that holds its coordinates, fields and labels. Names are lost.

    Three points with fields are records, which have names: an array (3, C) may also be C points in columns.
    """
    if not isinstance(shape, PointCloud):
        raise ValueError("an .npy file holds a cloud of points, got a mesh")
    fields = records.flat(records.columns(shape))
    columns = [*records.coordinates(shape).T, *fields.values()]
    if any(column.dtype.kind not in "biuf" for column in columns):
        raise ValueError("an .npy file holds numbers, got a field of another type")
    array = np.stack(columns, 1)
    for index, column in enumerate(columns[3:], 3):
        if not np.array_equal(array[:, index], column, equal_nan=column.dtype.kind == "f"):
            raise ValueError(f"column {index} of the type {column.dtype} does not fit {array.dtype}")
    if len(array) == 3 < len(columns):
        array = _as_records(array, ["x", "y", "z", *fields])
    with disk.replacing(path) as file:
        np.save(file, array, allow_pickle=False)


def annotate(
    data: bytes, fields: Mapping[str, Array], notes: Sequence[str], meaning: Meaning = NOTHING_SAID
) -> list[bytes]:
    """An array with further columns, in its own type and order. It has no room for ``notes``.

    An array (3, 3) becomes records with names: with further columns it may also be so many points in columns.

    ``fields``: name -> an array with a row for each point. Records get further fields. Columns have no names. Where
    the array's type does not hold our numbers, the new type is the smallest of NumPy that holds all, in the same byte
    order. Floats stay floats.
    """
    theirs = _checked(data)
    points, count = records.rows_of(read(data, meaning))
    ours = records.spread(records.added(fields, len(points)), points, count)
    if theirs.shape == (3, 3):
        theirs, ours = _as_records(theirs, meaning.names(3) or list("xyz")), records.flat(dict(ours))
    return [encoded(_longer_records(theirs, ours) if theirs.dtype.names else _wider(theirs, ours))]


def encoded(array: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _as_records(array: Array, names: Sequence[str]) -> Array:
    """The rows of an array as records with a field for each column."""
    records: Array = np.ascontiguousarray(array).view([(name, array.dtype) for name in names])[:, 0]
    return records


def _wider(theirs: Array, ours: Mapping[str, Array]) -> Array:
    columns = list(records.flat(dict(ours)).values())
    others = [np.dtype(code).newbyteorder(theirs.dtype.byteorder) for code in _TYPES]
    for kind in (theirs.dtype, *(other for other in others if other.kind == "f" or theirs.dtype.kind != "f")):
        if all(_holds(kind, column) for column in (theirs, *columns)):
            break
    else:
        raise ValueError("no type of number holds both the array and the fields")
    order = "C" if theirs.flags.c_contiguous else "F"
    shape = (len(theirs), theirs.shape[1] + len(columns))
    whole: Array = np.empty(shape, kind, order=order)  # type: ignore[call-overload]
    whole[:, : theirs.shape[1]] = theirs
    for index, column in enumerate(columns, theirs.shape[1]):
        whole[:, index] = column
    return whole


def _longer_records(theirs: Array, ours: Mapping[str, Array]) -> Array:
    """Records with further fields behind their own bytes."""
    old, names = theirs.dtype, list(theirs.dtype.names or ())
    new = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in ours.items()])
    changed = records.renamed(names, ours)
    layout: Any = {
        "names": [changed.get(name, name) for name in names] + list(ours),
        "formats": [old[name] for name in names] + [new[name] for name in ours],
        "offsets": [old.fields[name][1] for name in names] + [old.itemsize + new.fields[name][1] for name in ours],  # type: ignore[index]
        "itemsize": old.itemsize + new.itemsize,
    }
    whole: Array = np.zeros(len(theirs), np.dtype(layout))
    for name, array in ours.items():
        whole[name] = array
    rows = whole.view(np.uint8).reshape(len(theirs), -1)
    rows[:, : old.itemsize] = np.ascontiguousarray(theirs).view(np.uint8).reshape(len(theirs), -1)
    return whole


def _holds(kind: np.dtype[Any], array: Array) -> bool:
    """Whether a type holds all numbers of an array."""
    if kind == array.dtype:
        return True
    with np.errstate(all="ignore"):
        other = array.astype(kind)
    same = np.array_equal(other, array, equal_nan=array.dtype.kind == "f" and kind.kind == "f")
    return same and np.array_equal(other.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")


class Header(NamedTuple):
    """An array's shape, order and type, and where its numbers begin."""

    shape: tuple[int, ...]
    fortran: bool
    kind: np.dtype[Any]
    start: int

    @property
    def size(self) -> int:
        """The bytes of the file that the header promises."""
        return self.start + math.prod(self.shape) * self.kind.itemsize

    def __str__(self) -> str:
        return f"{'records' if self.kind.names else self.kind} {self.shape}"


def header(stream: IO[bytes], size: int) -> Header:
    """The header of an NPY file of ``size`` bytes; ValueError where it promises others.

    Python's own objects are pickled, which never is opened. So they are not measured.
    """
    stream = io.BytesIO(stream.read(LONGEST_HEADER))
    with files.foreign("NumPy"):
        version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"the version of an NPY file must be 1.0 or 2.0, got {version}")
    with files.foreign("NumPy"):
        shape, fortran, kind = readers[version](stream)
    found = Header(shape, fortran, kind, stream.tell())
    if kind.hasobject:
        return found
    if min(shape, default=0) < 0 or found.size != size:
        raise ValueError(
            f"the header promises {shape}, which is {found.size - found.start} bytes, got {size - found.start}"
        )
    return found


def array_in(data: bytes, found: Header) -> Array:
    """The array of a file, whose header is checked."""
    array = np.frombuffer(data, found.kind, offset=found.start)
    return array.reshape(found.shape[::-1]).T if found.fortran else array.reshape(found.shape)


def several(found: Header) -> str:
    """What to say of an array (S, N, 3 or more), which holds several shapes; "" for others."""
    if len(found.shape) != 3 or found.shape[2] < 3 or found.kind.kind not in "fiu":
        return ""
    count, points, _ = found.shape
    return (
        f"{count} shapes of {points} points {SEVERAL}: write each as a file of its own, numpy.save(path, array[i]), "
        "in a folder named after its class"
    )


def _checked(data: bytes) -> Array:
    """The array (N, 3 or more) of an NPY file, or its records (N,). Nothing is read before its header is checked."""
    found = header(io.BytesIO(data), len(data))
    shape, kind = found.shape, found.kind
    records_of_numbers = kind.names and len(shape) == 1 and not kind.hasobject
    if not records_of_numbers and (len(shape) != 2 or shape[1] < 3 or kind.kind not in "fiu"):
        how = several(found)
        raise ValueError(f"an array of numbers (N, 3 or more) is expected, got {found}{how and ': '}{how}")
    if not shape[0]:
        raise ValueError("no points")
    return array_in(data, found)
