"""NPZ: NumPy's zip of several named arrays, here one cloud or mesh.

    points (N, 3 or more)        coordinates; also called xyz, pos, coords, vertices, data ...; or x, y and z (N,)
    faces (F, 3 or more)         triangles or other polygons, which make a mesh of them
    labels, colors, normals ...  (N, ...) or (F, ...): fields of the points, vertices or faces under their own names

Other arrays are left out. A zip may promise far more than it holds, so the sizes are compared with its own size before
memory is taken. Pickled objects stay closed.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.formats import columns, files, npy, polygons, records
from pointkit.formats.columns import NOTHING_SAID, Meaning
from pointkit.formats.npy import Fields, Header

_FACES = ("faces", "face", "triangles", "tris", "simplices")
_UNHARMED = 1 << 28  # bytes that any zip may expand to
_GROWTH = 100  # times its own size that a larger one may


@dataclass(frozen=True)
class _Zip:
    """The entries of a zip, and the headers of those that are arrays, by their names without ".npy"."""

    file: zipfile.ZipFile
    size: int
    entries: Mapping[str, zipfile.ZipInfo]
    headers: Mapping[str, Header]

    def bytes_of(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of some entries."""
        names = list(names)
        needed = sum(self.entries[name].file_size for name in names)
        if needed > max(_UNHARMED, _GROWTH * self.size):
            raise ValueError(
                f"its arrays take {needed:,} bytes, more than {_GROWTH} times the file's {self.size:,}: "
                "it may be made to fill the memory; save it without compression"
            )
        with files.foreign("zipfile"):
            return {name: self.file.read(self.entries[name]) for name in names}

    def arrays(self, names: Iterable[str]) -> dict[str, Array]:
        return {name: npy.array_in(data, self.headers[name]) for name, data in self.bytes_of(names).items()}

    def __str__(self) -> str:
        some = [f"{disk.printable(name)} {header}" for name, header in list(self.headers.items())[:16]]
        return ", ".join(some) + (f" and {len(self.headers) - 16} more" if len(self.headers) > 16 else "") or "no array"


def read(data: bytes, meaning: Meaning = NOTHING_SAID) -> Shape:
    """The cloud or mesh in the arrays of a file. ``meaning`` may name the columns of an array of more than three."""
    return _shape(_opened(data), meaning)


def write(path: disk.Path, shape: Shape) -> None:
    """Write a cloud or mesh with its fields and labels, each an array in its own type."""
    if isinstance(shape, Mesh):
        arrays = {"vertices": records.coordinates(shape), "faces": shape.faces}
        fields = [*records.worded(shape.vertex_fields).items(), *records.worded(shape.face_fields).items()]
        if fields and len(shape.vertices) == len(shape.faces):
            raise ValueError("an .npz file cannot tell the fields of vertices from those of as many faces")
    else:
        arrays = {"points": records.coordinates(shape)}
        fields = [*records.columns(shape).items()]
    for name, array in fields:
        if name in arrays or columns.plain(name) in (*columns.PLACES, *_FACES) or array.dtype.kind not in "biuf":
            raise ValueError(f"an .npz file holds fields of numbers with names of their own, got {name!r}")
        arrays[name] = array
    with disk.replacing(path) as file:
        file.write(_packed((zipfile.ZipInfo(f"{name}.npy"), npy.encoded(array)) for name, array in arrays.items()))


def annotate(
    data: bytes, fields: Mapping[str, Array], notes: Sequence[str], meaning: Meaning = NOTHING_SAID
) -> list[bytes]:
    """A file with further arrays. All others stay bit for bit. It has no room for ``notes``.

    ``fields``: name -> an array with a row for each point of the cloud, or each face of the mesh.
    """
    theirs = _opened(data)
    shape = _shape(theirs, meaning)
    if isinstance(shape, Mesh):
        ours = records.added(fields, len(shape.faces))
        if shape.polygons is not None:  # each takes the numbers of its first triangle
            first = np.unique(shape.polygons, return_index=True)[1]
            ours = {name: array[first] for name, array in ours.items()}
    else:
        points, count = records.rows_of(shape)
        ours = records.spread(records.added(fields, len(points)), points, count)
    names = records.renamed(theirs.headers, ours)
    entries = []
    for name, raw in theirs.bytes_of(theirs.entries).items():
        old = theirs.entries[name]
        new = zipfile.ZipInfo(f"{names[name]}.npy" if name in names else old.filename, old.date_time)
        new.compress_type, new.external_attr = old.compress_type, old.external_attr
        entries.append((new, raw))
    for name, array in ours.items():
        new = zipfile.ZipInfo(f"{name}.npy")
        new.compress_type = entries[0][0].compress_type
        entries.append((new, npy.encoded(array)))
    return [_packed(entries)]


def _packed(entries: Iterable[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for entry, data in entries:
            file.writestr(entry, data)
    return stream.getvalue()


def _opened(data: bytes) -> _Zip:
    """The entries of a file. Only the beginnings of its arrays are read."""
    with files.foreign("zipfile"):
        file = zipfile.ZipFile(io.BytesIO(data))
    entries: dict[str, zipfile.ZipInfo] = {}
    headers = {}
    for entry in file.infolist():
        name = entry.filename.removesuffix(".npy")
        if name in entries:
            raise ValueError(f"two arrays have the name {disk.printable(name)!r}")
        entries[name] = entry
        if entry.filename.endswith(".npy"):
            with files.foreign("zipfile"), file.open(entry) as stream:
                beginning = io.BytesIO(stream.read(npy.LONGEST_HEADER))
            try:
                headers[name] = npy.header(beginning, entry.file_size)
            except ValueError as error:
                raise ValueError(f"the array {disk.printable(name)!r}: {error}") from None
    return _Zip(file, len(data), entries, headers)


def _shape(theirs: _Zip, meaning: Meaning) -> Shape:
    place = _place(theirs)
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


def _place(theirs: _Zip) -> str | None:
    """The name of the array that holds the coordinates; None where x, y and z have one each."""
    named = {name: header for name, header in theirs.headers.items() if columns.plain(name) in columns.PLACES}
    found = [name for name, header in named.items() if _is_table(header)]
    if any(columns.plain(name) in _FACES for name in theirs.headers):
        found = [name for name in found if columns.plain(name) in ("vertices", "verts")] or found
    if len(found) > 1:
        raise ValueError(f"which array holds the points, {' or '.join(found)}? found {theirs}; leave one in the file")
    if not found:
        for header in (*named.values(), *theirs.headers.values()):
            if how := npy.several(header):
                raise ValueError(f"found {theirs}: {how}")
    return found[0] if found else None


def _axes(theirs: _Zip) -> list[str]:
    """The names of the arrays (N,) of x, y and z."""
    single = [name for name, header in theirs.headers.items() if len(header.shape) == 1 and header.kind.kind in "fiu"]
    found = columns.axes(single)
    if found is None or len({theirs.headers[single[index]].shape for index in found}) > 1:
        raise ValueError(f"which array holds the points? found {theirs}; save it under the name points, (N, 3)")
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
