"""Named arrays that are one cloud or mesh, as files of arrays hold them (``npz``, ``hdf5``).

    points (N, 3 or more)        coordinates; also called xyz, pos, coords, vertices, data ...; or x, y and z (N,)
    faces (F, 3 or more)         triangles or other polygons, which make a mesh of them
    labels, colors, normals ...  (N, ...) or (F, ...): fields of the points, vertices or faces under their own names

Other arrays are left out. An array of records (N,) with the fields x, y and z may stand alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Shape
from pointkit.formats import columns, npy, polygons, records
from pointkit.formats.columns import NOTHING_SAID, Meaning
from pointkit.formats.npy import Fields, Header

_FACES = ("faces", "face", "triangles", "tris", "simplices")
TAKEN = (*columns.PLACES, *_FACES)  # names that are no fields'


class NamedArrays(Protocol):
    """A file of arrays, of which only the headers are read so far."""

    @property
    def headers(self) -> Mapping[str, Header]:
        """Name -> shape and type."""

    def arrays(self, names: Iterable[str]) -> dict[str, Array]:
        """Some of the arrays."""


def listed(theirs: NamedArrays) -> str:
    """The names, types and shapes of the arrays of a file, in words."""
    some = [f"{disk.printable(name)} {header}" for name, header in list(theirs.headers.items())[:16]]
    more = f" and {len(theirs.headers) - 16} more" if len(theirs.headers) > 16 else ""
    return ", ".join(some) + more or "no array"


def shape(theirs: NamedArrays, meaning: Meaning) -> Shape:
    """The cloud or mesh. ``meaning`` may name the columns of an array of more than three, and the fields of records."""
    place = _place(theirs)
    if not place and (table := _records(theirs)):
        return records.cloud(*npy.of_records(theirs.arrays([table])[table], meaning))
    axes = [place] if place else _axes(theirs)
    count = theirs.headers[axes[0]].shape[0]
    others = {name: header for name, header in theirs.headers.items() if name not in axes}
    face = None if not place else next((name for name in others if columns.plain(name) in _FACES), None)
    num_faces = others[face].shape[0] if face and others[face].shape else None
    kept = [name for name, header in others.items() if _has_rows(name, header, count, num_faces)]
    arrays = {name: npy.one_each(npy.native(array)) for name, array in theirs.arrays([*axes, *kept]).items()}
    if not place:
        return records.cloud(np.stack([arrays.pop(axis) for axis in axes], 1), arrays)
    xyz, fields = npy.of_table(arrays.pop(place), meaning if theirs.headers[place].shape[1] > 3 else NOTHING_SAID)
    fields |= {f"array_{name}" if name in ("x", "y", "z") else name: array for name, array in arrays.items()}
    return _mesh(xyz, fields, fields.pop(face)) if face else records.cloud(xyz, fields)


def _mesh(xyz: Array, fields: Fields, faces: Array) -> Shape:
    if faces.ndim != 2 or faces.shape[1] < 3 or faces.dtype.kind not in "iu":
        raise ValueError(f"faces must be whole numbers (F, 3 or more), got {faces.dtype} {faces.shape}")
    if not len(faces):
        return records.cloud(xyz, fields)
    if 3 == len(faces) < faces.shape[1]:
        raise ValueError(f"faces must be whole numbers (F, 3 or more), got {faces.shape}: is the array transposed?")
    if fields and len(faces) == len(xyz):
        raise ValueError(f"are {', '.join(fields)} of the vertices or of the faces? there are {len(xyz):,} of both")
    of_faces = {name: array for name, array in fields.items() if len(array) == len(faces)}
    of_vertices = {name: array for name, array in fields.items() if name not in of_faces}
    corners = faces.astype(np.int64).reshape(-1)
    return polygons.mesh(xyz, corners, np.full(len(faces), faces.shape[1]), of_faces, of_vertices)


def _place(theirs: NamedArrays) -> str | None:
    """The name of the array that holds the coordinates; None where x, y and z have one each."""
    named = {name: header for name, header in theirs.headers.items() if columns.plain(name) in columns.PLACES}
    found = [name for name, header in named.items() if _is_table(header)]
    if any(columns.plain(name) in _FACES for name in theirs.headers):
        found = [name for name in found if columns.plain(name) in ("vertices", "verts")] or found
    if len(found) > 1:
        raise ValueError(
            f"which array holds the points, {' or '.join(found)}? found {listed(theirs)}; leave one in the file"
        )
    if not found:
        for header in (*named.values(), *theirs.headers.values()):
            if how := npy.several(header):
                raise ValueError(f"found {listed(theirs)}: {how}")
    return found[0] if found else None


def _records(theirs: NamedArrays) -> str | None:
    """The name of the only array, where it is one of records (N,)."""
    names = list(theirs.headers)
    one = len(names) == 1 and bool(theirs.headers[names[0]].kind.names) and len(theirs.headers[names[0]].shape) == 1
    return names[0] if one else None


def _axes(theirs: NamedArrays) -> list[str]:
    """The names of the arrays (N,) of x, y and z."""
    single = [name for name, header in theirs.headers.items() if len(header.shape) == 1 and header.kind.kind in "fiu"]
    found = columns.axes(single)
    if found is None or len({theirs.headers[single[index]].shape for index in found}) > 1:
        raise ValueError(f"which array holds the points? found {listed(theirs)}; save it under the name points, (N, 3)")
    return [single[index] for index in found]


def _is_table(header: Header) -> bool:
    return len(header.shape) == 2 and header.shape[1] >= 3 and header.kind.kind in "fiu"


def _has_rows(name: str, header: Header, count: int, num_faces: int | None) -> bool:
    """Whether an array has a row for each point or face; ValueError where its name says that it should."""
    rows = header.shape[0] if header.shape else 1
    if header.kind.kind not in "biufU" or not header.shape:
        return False
    if rows in (count, num_faces):
        return True
    if rows > 1 and columns.is_usual(name):
        of_faces = "" if num_faces is None else f" and {num_faces:,} faces"
        raise ValueError(f"the array {disk.printable(name)} has {rows:,} rows, for {count:,} points{of_faces}")
    return False
