"""Reading, writing and annotating files of shapes: one format a file, chosen by the suffix.

A reader compares every count with the file's size before it uses it. The arrays that it gives are checked: finite,
indices in range, at least one point, exactly as many rows as promised. A new format is one file here, and lines in the
tables of ``tables``.

Formats work on bytes: a reader makes a shape of them, an annotator makes the pieces of a longer file. Files are opened,
and named in errors, only here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TypeVar

from numpy.typing import ArrayLike

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape, as_shape
from pointkit.disk import Path, printable, replacing, shown
from pointkit.errors import FormatError
from pointkit.formats import asprs, columns, e57_laz, gltf, hdf5, ply, records
from pointkit.formats import files as _files
from pointkit.formats.columns import NOTHING_SAID, Meaning
from pointkit.formats.files import beside, load
from pointkit.formats.streams import ROWS, Opened, Piece, sliced
from pointkit.formats.tables import (
    ACCOMPANIED,
    ANNOTATED,
    ANNOTATORS,
    COPIES,
    FACTS,
    INTO,
    LARGEST,
    NAMED,
    NOTED,
    NOTING,
    ONE_FIELD,
    OPENED,
    PIECES,
    READERS,
    STACKS,
    SUFFIXES,
    WRITERS,
)

T = TypeVar("T")
Other = TypeVar("Other")
Source = str | os.PathLike[str] | os.PathLike[bytes] | bytes | BinaryIO

__all__ = [
    "ANNOTATED",
    "ANNOTATORS",
    "ONE_FIELD",
    "READERS",
    "STACKS",
    "SUFFIXES",
    "WRITERS",
    "about_copy",
    "all_files",
    "annotate",
    "annotated",
    "code_name",
    "columns",
    "digest",
    "facts",
    "largest_code",
    "pieces",
    "read",
    "stack",
    "stamps",
    "stamps_beside",
    "takes_columns",
    "takes_notes",
    "within",
    "write",
]


def read(source: Source, suffix: str | None = None, *, meaning: Meaning = NOTHING_SAID) -> Shape:
    """The mesh or cloud of points in a file, whose suffix (in any case) names the format.

    ``source`` is a path, the bytes of a file, or a file open for bytes, which is read from its current position.
    ``suffix``, such as ``.ply``, names the format where no path does so, or where a path names a wrong one.
    ``meaning`` is the user's word about the columns of texts and arrays.

    Raises FormatError, one line that begins with the path, where the file is not what its suffix says or holds no
    shape. Raises OSError where it is missing or may not be read.
    """
    name, kind = _kind(source, suffix)
    with _named(name):
        return _shape(kind, source, name, meaning)


def _shape(kind: str, source: Source, name: str, meaning: Meaning) -> Shape:
    reader = READERS[kind]
    if reader in OPENED:
        file, number = within(source) if isinstance(source, str | os.PathLike) else (source, None)
        with _opened(file, name) as opened:
            said = {"meaning": meaning} if reader in NAMED else {}
            return reader(opened, **said) if number is None else reader(opened, number=number, **said)
    data = _bytes(source, name)
    if reader in ACCOMPANIED:
        return reader(data, functools.partial(beside, _path(source)))
    return reader(data, meaning) if reader in NAMED else reader(data)


def pieces(
    source: Source, suffix: str | None = None, *, rows: int = ROWS, meaning: Meaning = NOTHING_SAID
) -> Iterator[Piece]:
    """The points of a file in pieces of ``rows`` rows, in the file's order: for files larger than the memory.

    ``source``, ``suffix`` and ``meaning`` are what ``read`` takes, and the same errors are raised. Formats in
    ``PIECES`` are read piece by piece. Others are read whole first. A row without coordinates is nan there.
    """
    name, kind = _kind(source, suffix)
    with _named(name):
        if kind in PIECES:
            with _opened(source, name) as opened:
                yield from PIECES[kind](opened, rows)
        else:
            yield from sliced(_shape(kind, source, name, meaning), rows)


def write(path: Path, shape: Shape | ArrayLike, notes: Sequence[str] = ()) -> None:
    """Write a shape in the coordinates that its file had, in the format that the suffix names.

    An array of points (N, 3) is a cloud. ``notes`` are lines for people, kept as comments where the format has them.
    The file appears whole under its name, or not at all. Raises FormatError where the format cannot hold the shape.
    """
    writer = WRITERS[_known(shown(path), _suffix(path), "write")]
    with _named(shown(path)):
        shape = as_shape(shape)
        if notes and writer in NOTING:
            writer(path, shape, _lines(notes))
        else:
            writer(path, shape)


def annotate(
    source: Source,
    target: Path,
    fields: Mapping[str, Array],
    notes: Sequence[str] = (),
    suffix: str | None = None,
    *,
    meaning: Meaning = NOTHING_SAID,
) -> None:
    """Write ``source`` with further fields into ``target``. What it holds already stays as it was, bit for bit.

    ``source``, ``suffix`` and ``meaning`` are what ``read`` takes; the source may be the target. ``fields``: name -> an
    array with a row for each point of the cloud, or each triangle of the mesh, that ``read`` gives. A polygon gets the
    numbers of its first triangle. Records that ``read`` leaves out (rows without coordinates, polygons without a
    triangle) get nan, -1, or 0 where the type has neither. A field of the source with the name of a new one is
    renamed to ``source_NAME``. ``notes`` become comments, as in ``write``. Files of ``ONE_FIELD`` take the field
    ``label`` alone, or the first. In .las and .laz ``label`` becomes the classification, and others extra dimensions.

    The target's suffix must be ``ANNOTATED[suffix of the source]``. It is the same suffix, or another where the format
    has no room for fields; .ply is then taken, too. The target appears whole under its name, or not at all. Raises
    FormatError and OSError as ``read`` does, and FormatError where the format cannot hold the fields.
    """
    name, kind = _kind(source, suffix)
    ending = _suffix(target).lower()
    if ending != ANNOTATED[kind] and (ending != ".ply" or ANNOTATED[kind] == kind):
        raise FormatError(f"{shown(target)}: a {kind} file with further fields must be named {ANNOTATED[kind]}")
    with _named(name):
        if kind in INTO and ending == ANNOTATED[kind]:
            with _opened(source, name) as opened, replacing(target) as file:
                INTO[kind](opened, file, fields)
            return
        if kind in ANNOTATORS:
            said = {"meaning": meaning} if READERS[kind] in NAMED else {}
            parts = ANNOTATORS[kind](_bytes(source, name), fields, _lines(notes), **said)
        else:
            parts = ply.encoded(_with(_shape(kind, source, name, meaning), fields), _lines(notes), all_rows=True)
    with replacing(target) as file:
        file.writelines(parts)


def annotated(suffix: str) -> str:
    """The suffix of the file with further fields, for one of ``suffix``: as it is, where the format has room for them.

    It is that of ``ANNOTATED``, or .ply where what writes the other is not installed. An unknown suffix stays.
    """
    ending = ANNOTATED.get(suffix.lower(), suffix)
    if ending == suffix.lower():
        return suffix
    return ending if ending != ".laz" or e57_laz.available() else ".ply"


def _with(shape: Shape, ours: Mapping[str, Array]) -> Shape:
    """A shape with further fields of its faces, or of its points."""
    if isinstance(shape, Mesh):
        return dataclasses.replace(shape, face_fields=_together(shape.face_fields, ours, len(shape.faces)))
    return dataclasses.replace(shape, fields=_together(shape.fields, ours, len(shape.points)))


def _together(theirs: Mapping[str, Array], ours: Mapping[str, Array], count: int) -> dict[str, Array]:
    names = records.renamed(theirs, ours)
    return {names.get(name, name): array for name, array in theirs.items()} | records.added(ours, count)


def largest_code(path: Path) -> int | None:
    """The largest label that the copy of a file holds as the class of a point; None where any label has a place.

    Raises FormatError and OSError as ``read`` does.
    """
    return _asked(LARGEST, path, None)


def about_copy(path: Path) -> str:
    """What the user should know of a file's copy; "" for nothing. Raises FormatError and OSError as ``read`` does."""
    return _asked(COPIES, path, "")


def facts(path: Path) -> dict[str, Any]:
    """What a file says of itself beside its points, for people. Raises FormatError and OSError as ``read`` does."""
    return _asked(FACTS, path, {})


def code_name(path: Path, field: str, code: int) -> str:
    """The name that the format gives to a code in a field; "" where it gives none."""
    return asprs.name(code) if field == asprs.FIELD and _suffix(path).lower() in (".las", ".laz") else ""


def _asked(answers: Mapping[str, Callable[[Opened], T]], path: Path, otherwise: Other) -> T | Other:
    name, kind = _kind(path, None)
    if kind not in answers:
        return otherwise
    with _named(name), _opened(path, name) as opened:
        return answers[kind](opened)


def within(path: Path) -> tuple[str, int | None]:
    """The file that a path leads to, and the number of the shape in it: ``FILE.h5/12`` is FILE.h5 and 12.

    The number is None for all other paths.
    """
    whole = os.fsdecode(path)
    file, _, name = whole.rpartition(os.sep)
    if _suffix(file).lower() in STACKS and name.isascii() and name.isdecimal() and len(name) < 10:
        return file, int(name)
    return whole, None


def stack(path: Path) -> hdf5.Stack | None:
    """What a file of many shapes holds; None for a file of one. Raises FormatError and OSError as ``read`` does."""
    name, kind = _kind(path, None)
    if kind not in STACKS:
        return None
    with _named(name), _opened(path, name) as opened:
        return hdf5.stack(opened)


def all_files(path: Path) -> tuple[pathlib.Path, ...]:
    """The file that a path leads to (``within``) and those that it names beside it, as far as they are there."""
    file = pathlib.Path(within(path)[0])
    return tuple(place for place in (file, *_beside(file)) if place.exists())


def stamps(path: Path) -> tuple[tuple[int, int], ...]:
    """Size and time of change of the file that a path leads to (``within``), and of those that it names beside it.

    Empty where there is nothing.
    """
    file = pathlib.Path(within(path)[0])
    return (disk.stamp(file), *stamps_beside(file)) if file.exists() else ()


def stamps_beside(path: Path) -> tuple[tuple[int, int], ...]:
    """Size and time of change of the files that a file names beside it; (0, 0) for one that cannot be read."""
    found = []
    for place in _beside(path):
        try:
            found.append(disk.stamp(place))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def digest(path: Path) -> str:
    """SHA-256, in hex, of a file and of those that it names beside it. Raises OSError where it cannot be read."""
    file = pathlib.Path(within(path)[0])
    places = [place for place in _beside(file) if place.is_file()]
    if not places:
        return disk.file_digest(file)
    return disk.digest(b"".join(map(load, [file, *places])))


def _beside(path: Path) -> list[pathlib.Path]:
    """The files that a file names beside it. Names that lead elsewhere are left out, as the reader refuses them."""
    found: list[pathlib.Path] = []
    if READERS.get(_suffix(path).lower()) in ACCOMPANIED and os.path.isfile(path):  # a pipe might never end
        with contextlib.suppress(OSError), open(path, "rb") as file:
            for name in gltf.names_beside(file):
                with contextlib.suppress(ValueError):
                    found.append(_files.place_beside(path, name))
    return found


def takes_columns(path: Path) -> bool:
    """Whether the user may name the columns of a file with that suffix."""
    return READERS.get(_suffix(path).lower()) in NAMED


def takes_notes(path: Path) -> bool:
    """Whether a file of that suffix can hold notes. A .pts file can, but has none where its source has none."""
    return _suffix(path).lower() in NOTED


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the name of the file before what a format finds wrong."""
    try:
        yield
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{name}: {printable(str(error))}") from error


def _lines(notes: Sequence[str]) -> list[str]:
    return [" ".join(note.split()) for note in notes]


def _kind(source: Source, suffix: str | None) -> tuple[str, str]:
    """The name of a source in messages, and the suffix that names its format."""
    path = _path(source)
    if path is not None:
        return shown(path), _known(shown(path), suffix or _suffix(within(path)[0]), "read")
    name = "the given bytes" if isinstance(source, bytes) else "the given file"
    if not suffix:
        raise FormatError(f"{name}: of which format? give the suffix of one, {' '.join(READERS)}")
    return name, _known(name, suffix, "read")


def _path(source: Source) -> Path | None:
    """The path of a source; None for bytes, and for an open file that has a number for a name, or none."""
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    return path if isinstance(path, str | bytes | os.PathLike) else None


def _suffix(path: Path) -> str:
    return pathlib.Path(os.fsdecode(path)).suffix


def _known(name: str, suffix: str, verb: str) -> str:
    known = WRITERS if verb == "write" else READERS
    if suffix.lower() not in known:
        raise FormatError(f"{name}: cannot {verb} the suffix {suffix.lower()!r}, only {' '.join(known)}")
    return suffix.lower()


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[Opened]:
    """A source for a reader that seeks in it."""
    if not isinstance(source, str | os.PathLike):
        data = _bytes(source, name)
        yield Opened(io.BytesIO(data), data, len(data))
        return
    if not (size := _files.size(source)):
        raise FormatError(f"{name}: the file is empty")
    with open(source, "rb") as file:
        yield Opened(file, os.path.abspath(os.fsdecode(source)), size)


def _bytes(source: Source, name: str) -> bytes:
    if isinstance(source, str | os.PathLike):
        return load(source)
    data = source if isinstance(source, bytes) else source.read()
    if not isinstance(data, bytes):
        raise FormatError(f"{name}: must be open for bytes (mode 'rb'), got {type(data).__name__}")
    if not data:
        raise FormatError(f"{name}: the file is empty")
    return data
