"""Reading and writing files of shapes: one format a file, chosen by the suffix.

A reader believes no count before it is compared with the file's size, and hands on arrays that are checked: finite,
indices in range, at least one point, exactly as many rows as promised. A new format is one file here and one line in
``READERS`` and in ``WRITERS``; these bring the round-trip tests.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

from pointkit.cloud import Shape
from pointkit.errors import FormatError
from pointkit.formats import npy, obj, off, pcd, ply, stl, text
from pointkit.formats.files import Path, printable, shown

READERS: dict[str, Callable[[Path], Shape]] = {
    ".asc": text.read,
    ".npy": npy.read,
    ".obj": obj.read,
    ".off": off.read,
    ".pcd": pcd.read,
    ".ply": ply.read,
    ".pts": text.read,
    ".stl": stl.read,
    ".txt": text.read,
    ".xyz": text.read,
}

WRITERS: dict[str, Callable[..., None]] = {
    ".asc": text.write,
    ".npy": npy.write,
    ".obj": obj.write,
    ".off": off.write,
    ".pcd": pcd.write,
    ".ply": ply.write,
    ".pts": text.write,
    ".stl": stl.write,
    ".txt": text.write,
    ".xyz": text.write,
}

NOTING = (pcd.write, ply.write, text.write)

SUFFIXES = tuple(READERS)

__all__ = ["READERS", "SUFFIXES", "WRITERS", "read", "write"]


def read(path: Path) -> Shape:
    """The mesh or cloud of points in a file, whose suffix (in any case) names the format.

    Raises FormatError, one line that begins with the path, where the file is not what its suffix says or holds no
    shape; OSError where it is missing or may not be read.
    """
    reader = READERS[_suffix(path, READERS, "read")]
    try:
        return reader(path)
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{shown(path)}: {printable(str(error))}") from error


def write(path: Path, shape: Shape, notes: Sequence[str] = ()) -> None:
    """Write a shape in the coordinates that its file had, in the format that the suffix names.

    ``notes`` are lines for people, kept as comments where the format has them. The file appears whole under its name,
    or not at all. Raises FormatError where the format cannot hold the shape.
    """
    writer = WRITERS[_suffix(path, WRITERS, "write")]
    try:
        if notes and writer in NOTING:
            writer(path, shape, [" ".join(note.split()) for note in notes])
        else:
            writer(path, shape)
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{shown(path)}: {printable(str(error))}") from error


def _suffix(path: Path, formats: Mapping[str, Callable[..., object]], verb: str) -> str:
    suffix = pathlib.Path(os.fsdecode(path)).suffix.lower()
    if suffix not in formats:
        raise FormatError(f"{shown(path)}: cannot {verb} the suffix {suffix!r}, only {' '.join(formats)}")
    return suffix
