"""PLY, the Polygon File Format: a header that describes elements and their properties, then rows as text or bytes.

The reader is our own. The library plyfile goes row by row through Python, and reads the text of a ``float`` property in
32 bits, which costs a survey its millimetres. Here rows are one structured array wherever their lists are equally long.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.formats import numbers, records
from pointkit.formats.columns import coordinates
from pointkit.formats.records import Int64

_NAMES = {
    "i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float",
    "f8": "double",
}  # fmt: skip
_SIZED_NAMES = {
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8",
}  # fmt: skip
_TYPES = {name: kind for kind, name in _NAMES.items()} | _SIZED_NAMES
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_HEADER = re.compile(rb"\Aply[ \t]*\r?\n(.*?^[ \t]*end_header[ \t]*\r?(?:\n|\Z))", re.DOTALL | re.MULTILINE)
_CORNERS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class _Property:
    """A number of the type ``kind``, or a list of such numbers after its length, which has the type ``length``."""

    name: str
    kind: str
    length: str = ""


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: list[_Property]

    @property
    def axes(self) -> list[str]:
        """The names of the properties that are x, y and z; empty for other elements than vertices."""
        names = [each.name for each in self.properties if not each.length]
        return [names[index] for index in coordinates(names)] if self.name == "vertex" else []


class _Lists(NamedTuple):
    """The lists of all rows one after another, and how long each is."""

    values: Array
    counts: Int64


Columns = dict[str, "Array | _Lists"]


def read(data: bytes) -> Shape:
    """A mesh where the file has faces, with their other properties as face fields; else the cloud of its vertices.

    A list property is kept where all lists are equally long, as (rows, length). Elements other than ``vertex`` and
    ``face`` are checked and left out.
    """
    elements, order, start = _header(data)
    tables = _tables(data, elements, order, start)
    face = tables.get("face", {})
    xyz, fields = _vertices(elements, tables)
    if any(element.name == "face" and element.count for element in elements):
        corners = _corners(face)
        triangles, polygons = records.fan(corners.values.astype(np.int64), corners.counts)
        of_faces = {name: array for name, array in _fields(face).items() if name not in _CORNERS}
        if polygons is not None:
            of_faces = {name: array[polygons] for name, array in of_faces.items()}
        points, placement = records.placed("vertices", xyz)
        return Mesh(points, triangles, of_faces, placement, polygons, fields)
    return records.cloud(xyz, fields)


def _vertices(elements: list[_Element], tables: Mapping[str, Columns]) -> tuple[Array, dict[str, Array]]:
    """The coordinates (V, 3) of the vertices, and their other fields."""
    axes = next(element.axes for element in elements if element.name == "vertex")
    vertex = tables["vertex"]
    xyz = np.stack([_numbers(vertex, axis) for axis in axes], 1)
    return xyz, {name: array for name, array in _fields(vertex).items() if name not in axes}


def write(path: disk.Path, shape: Shape, notes: Sequence[str] = ()) -> None:
    """Write a mesh with its face fields, or a cloud with its fields and labels, as little-endian bytes."""
    pieces = encoded(shape, notes)
    with disk.replacing(path) as file:
        file.writelines(pieces)


def encoded(shape: Shape, notes: Sequence[str] = ()) -> list[bytes]:
    """The pieces of the file that ``write`` writes."""
    vertex: Columns = dict(zip("xyz", records.coordinates(shape).T, strict=True))
    elements = [("vertex", vertex)]
    if isinstance(shape, Mesh):
        corners = _Lists(shape.faces.reshape(-1), np.full(len(shape.faces), 3))
        elements.append(("face", {"vertex_indices": corners} | records.worded(shape.face_fields)))
        vertex |= records.worded(shape.vertex_fields)
    else:
        vertex |= records.columns(shape)
    counts = (len(vertex["x"]), len(shape.faces) if isinstance(shape, Mesh) else 0)
    lines, blocks = ["ply", "format binary_little_endian 1.0", *(f"comment {note}" for note in notes)], []
    for (name, columns), count in zip(elements, counts, strict=False):
        rows, properties = _packed(columns, count)
        lines += [f"element {name} {count}", *properties]
        blocks.append(rows.tobytes())
    return ["".join(line + "\n" for line in [*lines, "end_header"]).encode(), *blocks]


def annotate(data: bytes, fields: Mapping[str, Array], notes: Sequence[str]) -> list[bytes]:
    """The pieces of a file with further properties: of its faces where it is a mesh, else of its vertices.

    ``fields``: name -> an array with a row for each triangle or point of the shape that ``read`` gives.
    """
    elements, order, start = _header(data)
    tables = _tables(data, elements, order, start)
    place = next((i for i, each in enumerate(elements) if each.name == "face" and each.count), None)
    if place is None:
        place = [each.name for each in elements].index("vertex")
        points, count = records.rows_of(records.cloud(*_vertices(elements, tables)))
        ours = records.spread(records.added(fields, len(points)), points, count)
    else:
        ours = _of_polygons(_corners(tables["face"]).counts, fields)
    element = elements[place]
    rows, properties = _packed(dict(ours), element.count)
    names = records.renamed([each.name for each in element.properties], ours)
    head = _longer_header(data[:start], element.name, names, properties, notes)
    if not order:
        before = sum(each.count for each in elements[:place])
        return [head, *_longer_rows(data[start:], before, rows)]
    if order == ">":
        rows = rows.astype(rows.dtype.newbyteorder(">"))
    sizes = [_row_sizes(each, tables[each.name]) for each in elements]
    first = start + sum(int(each.sum()) for each in sizes[:place])
    end = first + int(sizes[place].sum())
    theirs = np.frombuffer(data, np.uint8, end - first, first)
    return [head, data[start:first], records.beside(theirs, sizes[place], rows), data[end:]]


def _of_polygons(counts: Int64, fields: Mapping[str, Array]) -> dict[str, Array]:
    """Fields of triangles as fields of their polygons, of ``counts`` corners: each takes its first triangle's."""
    triangles = np.maximum(counts - 2, 0)
    ours = records.added(fields, int(triangles.sum()), _CORNERS)
    polygons = np.flatnonzero(triangles)
    first = (np.cumsum(triangles) - triangles)[polygons]
    return records.spread({name: array[first] for name, array in ours.items()}, polygons, len(counts))


def _longer_header(
    head: bytes, element: str, names: Mapping[str, str], properties: Sequence[str], notes: Sequence[str]
) -> bytes:
    """A header with further ``properties`` of an element, some of its own ``names`` changed, and ``notes``."""
    lines: list[bytes] = []
    ending = b"\r\n" if head.split(b"\n", 1)[0].endswith(b"\r") else b"\n"
    within = ""
    for line in head.splitlines(keepends=True):
        words = line.decode("utf-8", "backslashreplace").split()
        if words[:1] in (["element"], ["end_header"]):
            if not within:
                lines += [f"comment {note}".encode() + ending for note in notes]
            if within == element:
                lines += [each.encode() + ending for each in properties]
            within = words[-1] if words[0] == "end_header" else words[1]
        elif words[:1] == ["property"] and within == element and words[-1] in names:
            end = len(line.rstrip())
            begin = line.rfind(line.split()[-1], 0, end)
            line = line[:begin] + names[words[-1]].encode() + line[end:]
        lines.append(line)
    return b"".join(lines)


def _longer_rows(body: bytes, before: int, rows: Array) -> list[bytes]:
    """Lines of numbers, with ``rows`` added to those of one element, which begin after ``before`` others."""
    lines = body.splitlines(keepends=True)
    own = [i for i, line in enumerate(lines) if line.strip()][before : before + len(rows)]
    columns = records.flat({name: rows[name] for name in rows.dtype.names or ()})
    ends = [len(lines[i].rstrip()) for i in own]
    for i, line in zip(own, records.longer_lines([lines[i] for i in own], ends, columns.values()), strict=True):
        lines[i] = line
    return lines


def _row_sizes(element: _Element, columns: Columns) -> Int64:
    """The bytes of each row of an element."""
    sizes = np.zeros(element.count, np.int64)
    for each in element.properties:
        column, size = columns[each.name], np.dtype(each.kind).itemsize
        sizes += np.dtype(each.length).itemsize + size * column.counts if isinstance(column, _Lists) else size
    return sizes


def _packed(columns: Columns, count: int) -> tuple[Array, list[str]]:
    """Columns as one structured array, and the header's lines for them."""
    kinds: list[tuple[str, str, tuple[int, ...]]] = []
    values: dict[str, Array] = {}
    lines = []
    for name, column in columns.items():
        array = column.values.reshape(count, 3) if isinstance(column, _Lists) else column
        array = records.storable(name, array, 4)
        kind = array.dtype.str[1:]
        if array.ndim == 1:
            lines.append(f"property {_NAMES[kind]} {name}")
        else:
            array = array.reshape(count, -1) if count else array.reshape(0, int(np.prod(array.shape[1:])))
            length = "u1" if array.shape[1] < 256 else "i4"
            lines.append(f"property list {_NAMES[length]} {_NAMES[kind]} {name}")
            kinds.append((f"{name}\0length", f"<{length}", ()))
            values[f"{name}\0length"] = np.full(count, array.shape[1])
        kinds.append((name, array.dtype.str, array.shape[1:]))
        values[name] = array
    rows = np.empty(count, kinds)
    for name, array in values.items():
        rows[name] = array
    return rows, lines


def _header(data: bytes) -> tuple[list[_Element], str, int]:
    """The elements, the byte order (empty for text), and where the rows begin."""
    match = _HEADER.match(data)
    if not match:
        raise ValueError("a PLY file has a header from ply to end_header, got none")
    elements: list[_Element] = []
    order = None
    for line in (line.decode("utf-8", "backslashreplace") for line in match[1].splitlines()[:-1]):
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", name, "1.0"] if name in _ORDERS:
                order = _ORDERS[name]
            case ["element", name, count] if count.isascii() and count.isdigit() and len(count) < 19:
                elements.append(_Element(name, int(count), []))
            case ["property", "list", length, kind, name] if elements and length in _TYPES and kind in _TYPES:
                if _TYPES[length][0] == "f":
                    raise ValueError(f"the length of a list must be a whole number, got {line.strip()[:80]!r}")
                elements[-1].properties.append(_Property(name, _TYPES[kind], _TYPES[length]))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append(_Property(name, _TYPES[kind]))
            case _:
                raise ValueError(f"a line of the header is not understood: {line.strip()[:80]!r}")
    if order is None:
        raise ValueError("the header must name the format ascii or binary_..._endian 1.0, got none")
    _check(elements, order, len(data) - match.end())
    return elements, order, match.end()


def _check(elements: list[_Element], order: str, there: int) -> None:
    """Check that names are unique, vertices are there, and the promised rows fit the bytes after the header."""
    names = [element.name for element in elements]
    if len(set(names)) != len(names) or "vertex" not in names:
        raise ValueError(f"elements must be a vertex and others, none twice, got {' '.join(names) or 'none'}")
    needed = 0
    for element in elements:
        properties = [each.name for each in element.properties]
        if len(set(properties)) != len(properties) or not properties:
            raise ValueError(f"properties of {element.name} must be there and none twice, got {' '.join(properties)!r}")
        if element.name == "vertex":
            coordinates([each.name for each in element.properties if not each.length])  # raises where they are missing
        row = sum(np.dtype(each.length or each.kind).itemsize if order else 2 for each in element.properties)
        needed += element.count * row
    if not next(element.count for element in elements if element.name == "vertex"):
        raise ValueError("no vertices")
    if needed - (not order) > there:
        promised = ", ".join(f"{element.count} {element.name}" for element in elements)
        raise ValueError(f"the header promises {promised}, which need {needed} bytes or more, got {there}")


def _tables(data: bytes, elements: list[_Element], order: str, start: int) -> dict[str, Columns]:
    """The columns of each element, from the rows, which begin at ``start``."""
    return _binary(data, start, elements, order) if order else _text(data[start:], elements)


def _corners(face: Columns) -> _Lists:
    corners = next((face[name] for name in _CORNERS if name in face), None)
    if not isinstance(corners, _Lists):
        raise ValueError(f"faces must have a list vertex_indices, got {' '.join(face)}")
    return corners


def _numbers(columns: Columns, name: str) -> Array:
    column = columns[name]
    assert not isinstance(column, _Lists)  # the header was checked
    return column


def _fields(columns: Columns) -> dict[str, Array]:
    """Columns as arrays, without lists that differ in length."""
    fields: dict[str, Array] = {}
    for name, column in columns.items():
        if not isinstance(column, _Lists):
            fields[name] = column
        elif len(column.counts) and column.counts.min() == column.counts.max():
            fields[name] = column.values.reshape(len(column.counts), -1)
    return fields


def _text(body: bytes, elements: list[_Element]) -> dict[str, Columns]:
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    body = re.sub(rb"\n\s*\n", b"\n", body.lstrip())
    tables: dict[str, Columns] = {}
    for element in elements:
        end = numbers.line_end(body, element.count)
        values, counts = numbers.parse(body[:end])
        if len(counts) != element.count:
            raise ValueError(f"the header promises {element.count} {element.name}, got {len(counts)} lines for them")
        tables[element.name] = _walk(element, values, counts)
        body = body[end:]
    if body.strip():
        raise ValueError(f"the header's rows must be all, got {len(body.strip().splitlines())} lines more")
    return tables


def _walk(element: _Element, values: Array, counts: Int64) -> Columns:
    """Columns from the numbers in each line; each step takes one property of all lines."""
    ends = np.cumsum(counts)
    cursor = ends - counts
    columns: Columns = {}
    axes = element.axes
    for each in element.properties:
        _all_rows(element, cursor < ends, "ends early")
        head, cursor = values[cursor] if len(values) else values, cursor + 1
        if not each.length:
            kept = each.name in axes  # text may hold more digits than the type
            columns[each.name] = head if kept else records.as_type(each.name, head, np.dtype(each.kind))
            continue
        length = records.whole(f"the length of {each.name}", head)
        _all_rows(element, (length >= 0) & (length <= ends - cursor), "has a list of another length than it says")
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        listed = values[np.repeat(cursor, length) + within]
        columns[each.name] = _Lists(records.as_type(each.name, listed, np.dtype(each.kind)), length)
        cursor = cursor + length
    _all_rows(element, cursor == ends, "has more numbers than properties")
    return columns


def _all_rows(element: _Element, fine: Array, otherwise: str) -> None:
    if not fine.all():
        raise ValueError(f"{element.name} {int(np.flatnonzero(~fine)[0])} {otherwise}")


def _binary(data: bytes, start: int, elements: list[_Element], order: str) -> dict[str, Columns]:
    tables: dict[str, Columns] = {}
    end = start
    for element in elements:
        columns, end = _even(data, end, element, order) or _uneven(data, end, element, order)
        tables[element.name] = columns
    if end != len(data):
        raise ValueError(f"the header promises {end - start} bytes, got {len(data) - start}")
    return tables


def _even(data: bytes, start: int, element: _Element, order: str) -> tuple[Columns, int] | None:
    """Columns of rows, and where they end; None unless all lists are as long as the first row's."""
    first = _uneven(data, start, _Element(element.name, min(element.count, 1), element.properties), order)[0]
    lengths = {each.name: len(column.values) for each in element.properties
               if isinstance(column := first[each.name], _Lists)}  # fmt: skip
    kinds: list[tuple[str, str, tuple[int, ...]]] = []
    for each in element.properties:
        if each.length:
            kinds.append((f"{each.name}\0length", order + each.length, ()))
        kinds.append((each.name, order + each.kind, (lengths[each.name],) if each.length else ()))
    kind = np.dtype(kinds)
    end = start + element.count * kind.itemsize
    if end > len(data):
        return None
    rows = np.frombuffer(data, kind, element.count, start)
    if not all((rows[f"{name}\0length"] == length).all() for name, length in lengths.items()):
        return None
    columns: Columns = {}
    for each in element.properties:
        array = rows[each.name].astype(each.kind)
        length = np.full(element.count, lengths.get(each.name, 0))
        columns[each.name] = _Lists(array.reshape(-1), length) if each.length else array
    return columns, end


def _uneven(data: bytes, start: int, element: _Element, order: str) -> tuple[Columns, int]:
    """Columns of any rows, read one after another in plain Python, and where they end."""
    heads = [struct.Struct(order + _CODES[each.length or each.kind]) for each in element.properties]
    values: list[list[float]] = [[] for _ in heads]
    counts: list[list[int]] = [[] for _ in heads]
    for row in range(element.count):
        for each, head, value, count in zip(element.properties, heads, values, counts, strict=True):
            if start + head.size > len(data):
                raise ValueError(f"the file ends in {element.name} {row} of {element.count}")
            (number,) = head.unpack_from(data, start)
            start += head.size
            if not each.length:
                value.append(number)
                continue
            size = np.dtype(each.kind).itemsize * number
            if number < 0 or start + size > len(data):
                raise ValueError(f"a list of {element.name} {row} must fit the file, got {number} numbers")
            value.extend(struct.unpack_from(f"{order}{number}{_CODES[each.kind]}", data, start))
            count.append(number)
            start += size
    columns: Columns = {}
    for each, value, count in zip(element.properties, values, counts, strict=True):
        array = np.array(value, each.kind)
        columns[each.name] = _Lists(array, np.array(count, np.int64)) if each.length else array
    return columns, start
