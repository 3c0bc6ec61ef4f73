"""NPY: NumPy's own file of one array, here (N, 3 or more); a column beyond the third becomes a field."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, PointCloud, Shape
from pointkit.formats import files, records
from pointkit.formats.columns import LEFT_OUT, NOTHING_SAID, Meaning, asked_for, coordinates

_TYPES = ("u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8")  # by their size


def read(data: bytes, meaning: Meaning = NOTHING_SAID) -> PointCloud:
    """The cloud in an array of numbers; columns from the fourth on are the fields ``column3``, ``column4`` ...

    ``meaning`` may name the columns.
    """
    array = _checked(data)
    long = array.dtype.kind == "f" and array.dtype.itemsize > 8
    array = array.astype(np.float64 if long else array.dtype.newbyteorder("="), copy=False)
    width = array.shape[1]
    names = meaning.names(width) or ["x", "y", "z", *(f"column{index}" for index in range(3, width))]
    xyz = coordinates(names, asked_for(width))
    fields = {name: array[:, i] for i, name in enumerate(names) if i not in xyz and name != LEFT_OUT}
    return records.cloud(array[:, xyz], fields)


def write(path: disk.Path, shape: Shape) -> None:
    """Write a cloud as one array, in a type that holds its coordinates, fields and labels. Names are lost."""
    if not isinstance(shape, PointCloud):
        raise ValueError("an .npy file holds a cloud of points, got a mesh")
    columns = [*records.coordinates(shape).T, *records.flat(records.columns(shape)).values()]
    if any(column.dtype.kind not in "biuf" for column in columns):
        raise ValueError("an .npy file holds numbers, got a field of another type")
    array = np.stack(columns, 1)
    for index, column in enumerate(columns[3:], 3):
        if not np.array_equal(array[:, index], column, equal_nan=column.dtype.kind == "f"):
            raise ValueError(f"column {index} of the type {column.dtype} does not fit {array.dtype}")
    with disk.replacing(path) as file:
        np.save(file, array, allow_pickle=False)


def annotate(
    data: bytes, fields: Mapping[str, Array], notes: Sequence[str], meaning: Meaning = NOTHING_SAID
) -> list[bytes]:
    """An array with further columns, in its own type and order. It has no room for names and ``notes``.

    ``fields``: name -> an array with a row for each point. Where the array's type does not hold their numbers, the new
    type is the smallest of NumPy that holds all numbers, in the same byte order. Floats stay floats.
    """
    theirs = _checked(data)
    points, count = records.rows_of(read(data, meaning))
    columns = list(records.flat(records.spread(records.added(fields, len(points)), points, count)).values())
    others = [np.dtype(code).newbyteorder(theirs.dtype.byteorder) for code in _TYPES]
    for kind in (theirs.dtype, *(other for other in others if other.kind == "f" or theirs.dtype.kind != "f")):
        if all(_holds(kind, column) for column in (theirs, *columns)):
            break
    else:
        raise ValueError("no type of number holds both the array and the fields")
    whole = np.empty(
        (len(theirs), theirs.shape[1] + len(columns)), kind, order="C" if theirs.flags.c_contiguous else "F"
    )
    whole[:, : theirs.shape[1]] = theirs
    for index, column in enumerate(columns, theirs.shape[1]):
        whole[:, index] = column
    stream = io.BytesIO()
    np.save(stream, whole, allow_pickle=False)
    return [stream.getvalue()]


def _holds(kind: np.dtype[Any], array: Array) -> bool:
    """Whether a type holds all numbers of an array."""
    if kind == array.dtype:
        return True
    with np.errstate(all="ignore"):
        other = array.astype(kind)
    same = np.array_equal(other, array, equal_nan=array.dtype.kind == "f" and kind.kind == "f")
    return same and np.array_equal(other.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")


def _checked(data: bytes) -> Array:
    """The array (N, 3 or more) of an NPY file. Its shape is compared with the bytes before memory is taken."""
    stream = io.BytesIO(data)
    with files.foreign("NumPy"):
        version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"the version of an NPY file must be 1.0 or 2.0, got {version}")
    with files.foreign("NumPy"):
        shape, _, kind = readers[version](stream)
    if len(shape) != 2 or shape[1] < 3 or kind.kind not in "fiu":
        raise ValueError(f"an array of numbers (N, 3 or more) is expected, got {kind} {shape}")
    if not shape[0]:
        raise ValueError("no points")
    promised, there = math.prod(shape) * kind.itemsize, len(data) - stream.tell()
    if min(shape) < 0 or promised != there:
        raise ValueError(f"the header promises {shape}, which is {promised} bytes, got {there}")
    stream.seek(0)
    array: Array = np.load(stream, allow_pickle=False)
    return array
