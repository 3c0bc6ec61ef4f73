"""Which format does what: a new one is a line in ``READERS``, and one in each table of what else it can.

``WRITERS`` are for new files, ``ANNOTATORS`` and ``INTO`` for copies of a file with further fields.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from pointkit.cloud import Array, Shape
from pointkit.formats import (
    e57,
    e57_laz,
    gltf,
    hdf5,
    las,
    las_annotate,
    las_facts,
    las_write,
    npy,
    npz,
    obj,
    off,
    pcd,
    ply,
    ptx,
    stl,
    text,
)
from pointkit.formats.streams import Opened, Piece

READERS: dict[str, Callable[..., Shape]] = {
    ".asc": text.read,
    ".csv": text.read,
    ".e57": e57.read,
    ".glb": gltf.read,
    ".gltf": gltf.read,
    ".h5": hdf5.read,
    ".hdf5": hdf5.read,
    ".las": las.read,
    ".laz": las.read,
    ".npy": npy.read,
    ".npz": npz.read,
    ".obj": obj.read,
    ".off": off.read,
    ".pcd": pcd.read,
    ".ply": ply.read,
    ".ptx": ptx.read,
    ".pts": text.read,
    ".stl": stl.read,
    ".txt": text.read,
    ".xyz": text.read,
}

WRITERS: dict[str, Callable[..., None]] = {
    ".asc": text.write,
    ".csv": text.write,
    ".las": las_write.write,
    ".laz": las_write.write,
    ".npy": npy.write,
    ".npz": npz.write,
    ".obj": obj.write,
    ".off": off.write,
    ".pcd": pcd.write,
    ".ply": ply.write,
    ".pts": text.write,
    ".stl": stl.write,
    ".txt": text.write,
    ".xyz": text.write,
}

ANNOTATORS: dict[str, Callable[..., list[bytes]]] = {
    ".asc": text.annotate,
    ".csv": text.annotate_csv,
    ".npy": npy.annotate,
    ".npz": npz.annotate,
    ".pcd": pcd.annotate,
    ".ply": ply.annotate,
    ".ptx": ptx.annotate,
    ".pts": functools.partial(text.annotate, numbers_alone=True),
    ".txt": text.annotate,
    ".xyz": text.annotate,
}

# Annotators that write into an open file, as such files may be larger than the memory. They have no room for notes.
INTO: dict[str, Callable[[Opened, BinaryIO, Mapping[str, Array]], None]] = {
    ".e57": e57_laz.annotate,
    ".las": las_annotate.annotate,
    ".laz": las_annotate.annotate,
}
# The largest code of a class in a copy of such a file, and what is said of the copy ("" for nothing).
LARGEST: dict[str, Callable[[Opened], int | None]] = {
    ".e57": e57_laz.largest,
    ".las": las_annotate.largest,
    ".laz": las_annotate.largest,
}
FACTS: dict[str, Callable[[Opened], dict[str, Any]]] = {
    ".e57": e57.facts,
    ".las": las_facts.facts,
    ".laz": las_facts.facts,
}
COPIES: dict[str, Callable[[Opened], str]] = {
    ".e57": e57_laz.about_copy,
    ".las": las_annotate.about_copy,
    ".laz": las_annotate.about_copy,
}

NOTING = (pcd.write, ply.write, text.write)
NOTED = (".asc", ".pcd", ".ply", ".txt", ".xyz")  # the files that can hold the notes of ``annotate``
ONE_FIELD = (".ptx",)  # the files with room for the labels alone
OPENED = (e57.read, hdf5.read, las.read)  # readers of an open file (``Opened``), which may be larger than the memory
PIECES: dict[str, Callable[[Opened, int], Iterator[Piece]]] = {
    ".e57": e57.pieces,
    ".las": las.pieces,
    ".laz": las.pieces,
}
NAMED = (hdf5.read, text.read, npy.read, npz.read)  # readers to which the user may name the columns
STACKS = (".h5", ".hdf5")  # the files that may hold many shapes, which have numbers (``within``)
ACCOMPANIED = (gltf.read,)  # readers of files that name others beside them

SUFFIXES = tuple(READERS)
# The suffix of a file -> the suffix of the file with further fields, which is .ply where the format has no room.
ANNOTATED = {suffix: suffix if suffix in (*ANNOTATORS, *INTO) else ".ply" for suffix in SUFFIXES} | {".e57": ".laz"}
