"""PCD, the point-cloud format of PCL: a text header, then rows as text, as bytes, or as compressed columns.

The compression is LZF, which the library python-neo-lzf decodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, PointCloud, Shape
from pointkit.formats import numbers, records
from pointkit.formats.columns import coordinates

_DATA = re.compile(rb"^[ \t]*DATA[ \t]+(\w+)[ \t]*\r?(?:\n|\Z)", re.IGNORECASE | re.MULTILINE)
_SIZES = {"F": (4, 8), "I": (1, 2, 4, 8), "U": (1, 2, 4, 8)}
_LZF_GROWTH = 264 / 3  # three bytes of LZF give 264 at most
_LONGEST_HEADER = 1 << 16


@dataclass(frozen=True)
class _Header:
    """Columns as (name, type, count), the number of points, how the rows are stored, and where they begin."""

    columns: tuple[tuple[str, np.dtype[np.generic], int], ...]
    num_points: int
    storage: str
    start: int

    @property
    def axes(self) -> list[str]:
        """The names of the columns that are x, y and z."""
        names = [name for name, _, _ in self.columns]
        return [names[index] for index in coordinates(names)]

    @property
    def row_bytes(self) -> int:
        return sum(kind.itemsize * count for _, kind, count in self.columns)


def read(data: bytes) -> PointCloud:
    """The points of a PCD file, with all other columns as fields in their own types."""
    return _cloud(data, _header(data))


def _cloud(data: bytes, header: _Header) -> PointCloud:
    columns = _columns(data, header)
    xyz = np.stack([columns.pop(axis)[:, 0] for axis in header.axes], 1)
    fields = {name: array[:, 0] if array.shape[1] == 1 else array for name, array in columns.items() if name != "_"}
    return records.cloud(xyz, fields)


def write(path: disk.Path, shape: Shape, notes: Sequence[str] = ()) -> None:
    """Write a cloud as binary PCD; labels become the field ``label``."""
    if not isinstance(shape, PointCloud):
        raise ValueError("a .pcd file holds a cloud of points, got a mesh")
    count = len(shape.points)
    rows, entries = _packed(dict(zip("xyz", records.coordinates(shape).T, strict=True)) | records.columns(shape))
    lines = [
        "# .PCD v0.7 - Point Cloud Data file format",
        *(f"# {note}" for note in notes),
        "VERSION 0.7",
        *(" ".join([key, *words]) for key, words in entries.items()),
        f"WIDTH {count}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {count}",
        "DATA binary",
    ]
    with disk.replacing(path) as file:
        file.write("".join(line + "\n" for line in lines).encode())
        file.write(rows.tobytes())


def annotate(data: bytes, fields: Mapping[str, Array], notes: Sequence[str]) -> list[bytes]:
    """The pieces of a file with further fields of its points, in the same storage and grid.

    ``fields``: name -> an array with a row for each point of the cloud that ``read`` gives. Rows without an echo are
    filled (``records.spread``). Compressed columns stay as they are. Ours follow them as literal bytes of the same
    stream, uncompressed.
    """
    header = _header(data)
    points, count = records.rows_of(_cloud(data, header))
    ours = records.added(fields, len(points), ["_"])
    rows, entries = _packed(records.spread(ours, points, count))
    names = records.renamed([name for name, _, _ in header.columns], ours)
    head = _longer_header(data[: header.start], names, entries, notes)
    if header.storage == "ascii":
        lines = re.findall(rb"[^\n]*\n|[^\n]+", data[header.start :])
        some = [i for i, line in enumerate(lines) if line.strip()]
        columns = records.flat({name: rows[name] for name in entries["FIELDS"]}).values()
        longer = records.longer_lines([lines[i] for i in some], [len(lines[i].rstrip()) for i in some], columns)
        for i, line in zip(some, longer, strict=True):
            lines[i] = line
        return [head, *lines]
    if header.storage == "binary":
        theirs = np.frombuffer(data, np.uint8, header.num_points * header.row_bytes, header.start)
        return [head, records.beside(theirs, np.full(header.num_points, header.row_bytes), rows)]
    packed, size = (int(number) for number in np.frombuffer(data, "<u4", 2, header.start))
    more = b"".join(rows[name].tobytes() for name in entries["FIELDS"])
    stream = [data[header.start + 8 : header.start + 8 + packed], _literals(more)]
    sizes = [sum(map(len, stream)), size + len(more)]
    if max(sizes) >= 2**32:
        raise ValueError(f"compressed points must take less than 4 GiB, got {max(sizes)} bytes")
    return [head, np.array(sizes, "<u4").tobytes(), *stream]


def _packed(columns: Mapping[str, Array]) -> tuple[Array, dict[str, list[str]]]:
    """Columns as one structured array, and the header's words for them."""
    arrays = {name: records.storable(name, array, 8) for name, array in columns.items()}
    arrays = {name: array.reshape(len(array), -1) for name, array in arrays.items()}
    rows = np.empty(
        len(next(iter(arrays.values()))), [(n, array.dtype, array.shape[1:]) for n, array in arrays.items()]
    )
    for name, array in arrays.items():
        rows[name] = array
    return rows, {
        "FIELDS": list(arrays),
        "SIZE": [str(array.dtype.itemsize) for array in arrays.values()],
        "TYPE": [array.dtype.kind.upper() for array in arrays.values()],
        "COUNT": [str(array.shape[1]) for array in arrays.values()],
    }


def _longer_header(
    head: bytes, names: Mapping[str, str], entries: Mapping[str, Sequence[str]], notes: Sequence[str]
) -> bytes:
    """A header with further words in its ``entries``, some of its own ``names`` changed, and ``notes``."""
    lines = head.splitlines(keepends=True)
    ending = lines[0][len(lines[0].rstrip(b"\r\n")) :]
    contents = [line.split(b"#")[0].rstrip() for line in lines]
    place = {content.split()[0].upper(): i for i, content in enumerate(contents) if content}  # the last one counts
    for key, words in entries.items():
        at = place.get(key.encode(), place.get(b"COLUMNS", -1) if key == "FIELDS" else -1)
        if at < 0:  # COUNT may be left out, where all are one
            continue
        content, rest = contents[at], lines[at][len(contents[at]) :]
        if key == "FIELDS":
            content = re.sub(
                rb"(?<=\s)\S+",
                lambda m: names.get(m[0].decode("ascii", "backslashreplace"), "").encode() or m[0],
                content,
            )
        lines[at] = b" ".join([content, *(word.encode() for word in words)]) + rest
    if b"COUNT" not in place and set(entries["COUNT"]) != {"1"}:
        ones = ["1"] * (len(contents[place[b"TYPE"]].split()) - 1)
        lines[place[b"TYPE"]] += b" ".join(word.encode() for word in ["COUNT", *ones, *entries["COUNT"]]) + ending
    first = next(i for i, content in enumerate(contents) if content)
    return b"".join([*lines[:first], *(f"# {note}".encode() + ending for note in notes), *lines[first:]])


def _literals(data: bytes) -> bytes:
    """Bytes as LZF holds them uncompressed: runs of at most 32, each after a byte that is its length minus one."""
    whole = len(data) - len(data) % 32
    runs = np.frombuffer(data, np.uint8, whole).reshape(-1, 32)
    rest = data[whole:]
    return np.insert(runs, 0, 31, 1).tobytes() + (bytes([len(rest) - 1]) + rest if rest else b"")


def _columns(data: bytes, header: _Header) -> dict[str, Array]:
    """The columns (N, count) by their names; "_" is padding."""
    body = memoryview(data)[header.start :]
    arrays = {"ascii": _text, "binary": _rows, "binary_compressed": _compressed}[header.storage](header, body)
    return dict(zip((name for name, _, _ in header.columns), arrays, strict=True))


def _header(data: bytes) -> _Header:
    end = _DATA.search(data, 0, _LONGEST_HEADER)
    if not end:
        raise ValueError("a PCD file has a header that ends with DATA, got none")
    entries: dict[str, list[str]] = {}
    for line in data[: end.start()].splitlines():
        words = line.decode("ascii", "backslashreplace").split("#")[0].split()
        if words:
            entries[words[0].upper()] = words[1:]
    names = entries.get("FIELDS") or entries.get("COLUMNS") or []
    sizes, counts = _whole(entries, "SIZE"), _whole(entries, "COUNT") if "COUNT" in entries else [1] * len(names)
    kinds = [word.upper() for word in entries.get("TYPE", [])]
    if not len(names) == len(sizes) == len(kinds) == len(counts):
        lengths = f"{len(names)}, {len(sizes)}, {len(kinds)}, {len(counts)}"
        raise ValueError(f"FIELDS, SIZE, TYPE and COUNT must be equally long, got {lengths}")
    for name, kind, size, count in zip(names, kinds, sizes, counts, strict=True):
        if size not in _SIZES.get(kind, ()) and name != "_":
            raise ValueError(f"the field {name} must be F 4 8, I 1 2 4 8 or U 1 2 4 8, got {kind} {size}")
        if count < 1:
            raise ValueError(f"COUNT must be 1 or more, got {count} for {name}")
    named = [name for name in names if name != "_"]
    if len(set(named)) != len(named):
        raise ValueError(f"FIELDS must hold none twice, got {' '.join(names)}")
    for axis in (names[index] for index in coordinates(names)):
        if counts[names.index(axis)] != 1:
            raise ValueError(f"COUNT must be 1 for coordinates, got {counts[names.index(axis)]} for {axis}")
    columns = tuple(
        (name, np.dtype(f"<{kind.lower()}{size}") if name != "_" else np.dtype(f"V{size}"), count)
        for name, kind, size, count in zip(names, kinds, sizes, counts, strict=True)
    )
    return _sized(
        _Header(columns, _num_points(entries), end[1].decode().lower(), end.end()), memoryview(data)[end.end() :]
    )


def _whole(entries: dict[str, list[str]], key: str) -> list[int]:
    words = entries.get(key, [])
    if not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        raise ValueError(f"{key} must be whole numbers, got {' '.join(words)[:80]}")
    return [int(word) for word in words]


def _num_points(entries: dict[str, list[str]]) -> int:
    width, height, points = (_whole(entries, key) for key in ("WIDTH", "HEIGHT", "POINTS"))
    grid = width[0] * (height[0] if height else 1) if width else None
    if grid is not None and points and points[0] != grid:
        raise ValueError(f"POINTS must be WIDTH times HEIGHT, got {points[0]} and {grid}")
    count = points[0] if points else grid
    if not count:
        raise ValueError("no points")
    return count


def _sized(header: _Header, body: memoryview) -> _Header:
    """The header, once its counts are checked against the bytes after it."""
    there = len(body)
    rows = header.num_points * header.row_bytes
    if header.storage == "ascii":
        needed = header.num_points * 2 * sum(count for _, _, count in header.columns) - 1
        wrong = there < needed
    elif header.storage == "binary":
        needed, wrong = rows, there < rows or not _is_padding(body[rows:])
    elif header.storage == "binary_compressed":
        needed = int(rows / _LZF_GROWTH)
        wrong = there < needed + 8
    else:
        raise ValueError(f"DATA must be ascii, binary or binary_compressed, got {header.storage[:40]}")
    if wrong:
        raise ValueError(f"the header promises {header.num_points} points in {needed} bytes, got {there} bytes")
    return header


def _text(header: _Header, body: memoryview) -> list[Array]:
    table = numbers.table(bytes(body))
    width = sum(count for _, _, count in header.columns)
    if table.shape != (header.num_points, width):
        promised = f"{header.num_points} points of {width} numbers"
        raise ValueError(f"the header promises {promised}, got {table.shape[0]} lines of {table.shape[1]}")
    arrays: list[Array] = []
    start = 0
    axes = header.axes
    for name, kind, count in header.columns:
        array = table[:, start : start + count]
        kept = name in (*axes, "_")  # text may hold more digits of a coordinate than its type
        arrays.append(array if kept else records.as_type(name, array, kind))
        start += count
    return arrays


def _is_padding(rest: memoryview) -> bool:
    """Whether the bytes behind the points are nothing: PCL fills its last page with zeros."""
    return not np.frombuffer(rest, np.uint8).any()


def _rows(header: _Header, body: memoryview) -> list[Array]:
    kinds = [(f"f{i}", kind, (count,)) for i, (_, kind, count) in enumerate(header.columns)]
    rows = np.frombuffer(body, kinds, header.num_points)
    return [np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()]


def _compressed(header: _Header, body: memoryview) -> list[Array]:
    packed, size = (int(number) for number in np.frombuffer(body, "<u4", 2))
    expected = header.num_points * header.row_bytes
    if size != expected or packed > len(body) - 8 or not _is_padding(body[8 + packed :]):
        raise ValueError(
            f"the header promises {expected} bytes of points in {len(body) - 8} compressed, got {size} in {packed}"
        )
    data = _lzf(bytes(body[8 : 8 + packed]), size)
    arrays: list[Array] = []
    start = 0
    for _, kind, count in header.columns:  # column after column
        array = np.frombuffer(data, kind, header.num_points * count, start)
        arrays.append(array.reshape(header.num_points, count))
        start += array.nbytes
    return arrays


def _lzf(data: bytes, size: int) -> bytes:
    """``size`` bytes out of LZF."""
    import lzf

    try:
        result: bytes | None = lzf.decompress(data, size)
    except ValueError:
        raise ValueError("compressed points are damaged") from None
    if result is None or len(result) != size:
        found = "more" if result is None else len(result)
        raise ValueError(f"compressed points must give {size} bytes, got {found}")
    return result
