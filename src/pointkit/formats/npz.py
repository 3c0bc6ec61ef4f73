"""NPZ: NumPy's zip of several named arrays, here one cloud or mesh (``named_arrays`` says which array is what).

A zip may promise far more than it holds, so the sizes are compared with its own size before memory is taken. Pickled
objects stay closed.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.formats import columns, files, named_arrays, npy, records
from pointkit.formats.columns import NOTHING_SAID, Meaning
from pointkit.formats.npy import Header


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
        files.refuse_bomb(sum(self.entries[name].file_size for name in names), self.size)
        with files.foreign("zipfile"):
            return {name: self.file.read(self.entries[name]) for name in names}

    def arrays(self, names: Iterable[str]) -> dict[str, Array]:
        return {name: npy.array_in(data, self.headers[name]) for name, data in self.bytes_of(names).items()}


def read(data: bytes, meaning: Meaning = NOTHING_SAID) -> Shape:
    """The cloud or mesh in the arrays of a file. ``meaning`` may name the columns of an array of more than three."""
    return named_arrays.shape(_opened(data), meaning)


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
        if name in arrays or columns.plain(name) in named_arrays.TAKEN or array.dtype.kind not in "biuf":
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
    shape = named_arrays.shape(theirs, meaning)
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
