"""HDF5: arrays by their names, of one cloud or mesh, or of many shapes of as many points each.

    points (N, 3 or more) ...                   one shape, in the same arrays as in an .npz file (``named_arrays``)
    data (S, N, 3 or more), label (S,) ...      S shapes and their classes, as the resampled ModelNet is published;
                                                further arrays have S entries, too: normal (S, N, 3), pid (S, N)

An array in a group is called by its last name. The library h5py decodes them in a process of its own, as HDF5 may end
the process that reads a damaged file, or keep it at work. Links are not followed, and no other file is opened.
"""

from __future__ import annotations

import contextlib
import io
import math
import pathlib
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Shape
from pointkit.errors import MissingExtraError, PointkitError
from pointkit.formats import columns, decoding, files, named_arrays, records
from pointkit.formats.columns import NOTHING_SAID, Meaning
from pointkit.formats.npy import Header
from pointkit.formats.records import Int64
from pointkit.formats.streams import Opened

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CACHE = 1 << 26  # bytes of an array that stay decompressed between its shapes
_MOST = 10_000  # arrays in a file
_POINT_LABELS = ("pid", "seg", "segment", *columns.PARTS)


@dataclass(frozen=True)
class Stack:
    """A file of ``count`` shapes of ``points`` points each.

    ``classes`` (S,) are the codes of the shapes' classes, None where the file has none. ``labelled`` says whether the
    points of the shapes have labels.
    """

    count: int
    points: int
    classes: Int64 | None
    labelled: bool


@dataclass(frozen=True)
class _File:
    """The arrays of a file, or the entry ``number`` of those that have one for each shape."""

    opened: Opened
    headers: Mapping[str, Header]
    number: int | None = None

    def arrays(self, names: Iterable[str]) -> dict[str, Array]:
        names = list(names)
        files.refuse_bomb(sum(self.headers[name].size for name in names), self.opened.size)
        found = decoding.apart(decoded, self.opened, names, self.number)
        return dict(zip(names, found, strict=True))


def read(opened: Opened, meaning: Meaning = NOTHING_SAID, number: int | None = None) -> Shape:
    """The cloud or mesh in a file, or the shape ``number`` of several. ``meaning`` may name the columns of a table."""
    theirs = _opened(opened)
    place = _stacked(theirs)
    if place is None and number is not None:
        raise ValueError(f"holds one shape, so none has the number {number}; found {named_arrays.listed(theirs)}")
    if place is None or number is None:
        if place is not None:
            count, points, _ = theirs.headers[place].shape
            raise ValueError(
                f"{count:,} shapes of {points:,} points in one file: FILE/0 to FILE/{count - 1} names one of them, and "
                "prepare takes the folder with all"
            )
        return named_arrays.shape(theirs, meaning)
    count = theirs.headers[place].shape[0]
    if number >= count:
        raise ValueError(f"holds {count:,} shapes, 0 to {count - 1}, got the number {number}")
    rows = {name: header for name, header in theirs.headers.items() if header.shape[:1] == (count,)}
    headers = {name: Header(header.shape[1:], False, header.kind, 0) for name, header in rows.items()}
    return named_arrays.shape(_File(opened, headers, number), meaning)


def stack(opened: Opened) -> Stack | None:
    """What a file of many shapes holds; None for a file of one."""
    theirs = _opened(opened)
    place = _stacked(theirs)
    if place is None:
        return None
    count, points, _ = theirs.headers[place].shape
    shapes = {columns.plain(name): (name, header) for name, header in theirs.headers.items()}
    one_each = [shapes[name] for name in (*columns.LABELS, "y", "target") if name in shapes]
    name = next((name for name, header in one_each if math.prod(header.shape) == count), None)
    labelled = any(shapes[name][1].shape == (count, points) for name in _POINT_LABELS if name in shapes)
    classes = None if name is None else theirs.arrays([name])[name].reshape(count)
    return Stack(count, points, None if classes is None else records.whole("labels", classes), labelled)


def _stacked(theirs: _File) -> str | None:
    """The name of the array (S, N, 3 or more) that holds the points of many shapes; None where there is none."""
    for name, header in theirs.headers.items():
        stacked = len(header.shape) == 3 and header.shape[2] >= 3 and header.kind.kind in "fiu"
        if stacked and columns.plain(name) in columns.PLACES:
            return name
    return None


def _opened(opened: Opened) -> _File:
    if opened.at(0, min(8, opened.size)) != _SIGNATURE:
        raise ValueError("an HDF5 file begins with \\x89HDF, got other bytes")
    library()
    (found,) = decoding.apart(listed, opened)
    return _File(opened, {name: Header(shape, False, np.dtype(kind), 0) for name, shape, kind in found})


def library() -> Any:
    """The library that decodes. Raises MissingExtraError where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("HDF5 files need the extra hdf5: pip install 'pointkit[hdf5]'") from None
    return h5py


# ---- in the process that decodes


def listed(source: str | bytes) -> Generator[list[tuple[str, tuple[int, ...], Any]], None, None]:
    """The arrays of numbers in a file: name, shape and type."""
    with decoding.foreign("h5py"), _file(source) as file:
        yield [(name, array.shape, _described(array.dtype)) for name, array in _arrays(file).items()]


def decoded(source: str | bytes, names: list[str], number: int | None) -> Generator[Array, None, None]:
    """Some arrays of a file, or the entry ``number`` of each."""
    with decoding.foreign("h5py"), _file(source) as file:
        arrays = _arrays(file)
        for name in names:
            array = arrays[name]
            _refuse_unwritten(name, array)
            yield np.asarray(array[()] if number is None else array[number])


@contextlib.contextmanager
def _file(source: str | bytes) -> Iterator[Any]:
    """The file, open. That of a path is kept for the next shape in it, with what was decompressed beside the last."""
    if isinstance(source, str):
        yield _kept(source)
        return
    with library().File(io.BytesIO(source), "r") as file:
        yield file


_last: dict[tuple[str, tuple[int, int]], Any] = {}  # the file that is kept, by its path and stamp


def _kept(path: str) -> Any:
    """The file of a path, open. HDF5 takes a file that was written anew for the one that is still open."""
    key = path, disk.stamp(pathlib.Path(path))
    if key not in _last:
        while _last:
            _last.popitem()[1].close()
        _last[key] = library().File(path, "r", rdcc_nbytes=_CACHE, rdcc_nslots=10_007)
    return _last[key]


def _described(kind: np.dtype[Any]) -> Any:
    """A type as it goes to another process. That of an array of records is the list of its fields."""
    return kind.descr if kind.names else kind.str


def _arrays(file: Any) -> dict[str, Any]:
    """Name -> array of numbers, of those that are in the file itself. Groups are entered once each."""
    h5py = library()
    found: dict[str, Any] = {}
    waiting, seen = [("", file)], set()
    while waiting:
        path, group = waiting.pop(0)
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:
            continue
        seen.add(place)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            thing = group[name]
            if isinstance(thing, h5py.Group):
                waiting.append((f"{path}{name}/", thing))
            elif thing.shape is not None and (thing.dtype.kind in "biuf" or _is_plain(thing.dtype)):
                found[f"{path}{name}"] = thing
            if len(found) + len(waiting) > _MOST:
                raise PointkitError(f"more than {_MOST:,} arrays and groups")
    names = {path: _word(path.rpartition("/")[2]) for path in found}
    many = Counter(names.values())
    return {names[path] if many[names[path]] == 1 else path: array for path, array in found.items()}


def _is_plain(kind: np.dtype[Any]) -> bool:
    """Whether a type is one of records whose fields are all numbers, one each."""
    return kind.names is not None and all(kind[name].kind in "biuf" for name in kind.names)


def _word(name: str) -> str:
    """A name as one word, as a PLY file wants it."""
    return re.sub(r"[^!-~]", "_", name)


def _refuse_unwritten(name: str, array: Any) -> None:
    """Raise PointkitError for an array whose numbers are not all in the file: HDF5 would give zeros for them."""
    if array.is_virtual or array.external:
        raise PointkitError(f"the array {name} lies in other files, which are not opened")
    if array.chunks is None:
        there, all_of_it = array.id.get_storage_size(), array.nbytes
    else:
        there = array.id.get_num_chunks()
        all_of_it = math.prod(-(-size // chunk) for size, chunk in zip(array.shape, array.chunks, strict=True))
    if there < all_of_it:
        what = "bytes" if array.chunks is None else "chunks"
        raise PointkitError(f"the array {name} promises {all_of_it:,} {what}, got {there:,}: it was not written whole")
