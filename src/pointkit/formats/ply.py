"""PLY, the Polygon File Format: a header that describes elements and their properties, then rows as text or bytes.

The reader is our own. The library plyfile goes row by row through Python, and reads the text of a ``float`` property in
32 bits, which costs a survey its millimetres. Here rows are one structured array wherever their lists are equally long.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.formats import numbers, ply_header, polygons, records
from pointkit.formats.ply_header import NAMES, Element
from pointkit.formats.records import Int64

_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"}  # of the lengths of lists
_CORNERS = ("vertex_indices", "vertex_index")
_STRIPS = "tristrips"  # an element whose lists of vertices are strips of triangles, parted by -1


class _Lists(NamedTuple):
    """The lists of all rows one after another, and how long each is."""

    values: Array
    counts: Int64


Columns = dict[str, "Array | _Lists"]


def read(data: bytes) -> Shape:
    """A mesh where the file has faces, with their other properties as face fields; else the cloud of its vertices.

    Without faces, strips of triangles are taken. A list property is kept where all lists are equally long, as (rows,
    length). Other elements are checked and left out.
    """
    elements, order, start = ply_header.parsed(data)
    tables = _tables(data, elements, order, start)
    xyz, fields = _vertices(elements, tables)
    if any(element.name == "face" and element.count for element in elements):
        corners = _corners(tables["face"])
        of_faces = {name: array for name, array in _fields(tables["face"]).items() if name not in _CORNERS}
        return polygons.mesh(xyz, corners.values.astype(np.int64), corners.counts, of_faces, fields)
    if _is_of_strips(elements):
        triangles = _of_strips(_corners(tables[_STRIPS]))
        return polygons.mesh(xyz, triangles.reshape(-1), np.full(len(triangles), 3), vertex_fields=fields)
    return records.cloud(xyz, fields)


def _vertices(elements: list[Element], tables: Mapping[str, Columns]) -> tuple[Array, dict[str, Array]]:
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


def encoded(shape: Shape, notes: Sequence[str] = (), all_rows: bool = False) -> list[bytes]:
    """The pieces of the file that ``write`` writes; with ``all_rows`` rows without coordinates are rows again."""
    places: dict[str, Array] = dict(zip("xyz", records.coordinates(shape).T, strict=True))
    if isinstance(shape, Mesh):
        vertex: Columns = {**places, **records.worded(shape.vertex_fields)}
        corners = _Lists(shape.faces.reshape(-1), np.full(len(shape.faces), 3))
        face: Columns = {"vertex_indices": corners} | records.worded(shape.face_fields)
        elements = [("vertex", vertex), ("face", face)]
    else:
        points = places | records.columns(shape)
        vertex = {**(records.spread(points, *records.rows_of(shape)) if all_rows else points)}
        elements = [("vertex", vertex)]
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
    elements, order, start = ply_header.parsed(data)
    tables = _tables(data, elements, order, start)
    if _is_of_strips(elements):
        strips = read(data)
        assert isinstance(strips, Mesh)
        return encoded(dataclasses.replace(strips, face_fields=records.added(fields, len(strips.faces))), notes)
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
    head = ply_header.longer(data[:start], element.name, names, properties, notes)
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


def _longer_rows(body: bytes, before: int, rows: Array) -> list[bytes]:
    """Lines of numbers, with ``rows`` added to those of one element, which begin after ``before`` others."""
    lines = body.splitlines(keepends=True)
    own = [i for i, line in enumerate(lines) if line.strip()][before : before + len(rows)]
    columns = records.flat({name: rows[name] for name in rows.dtype.names or ()})
    ends = [len(lines[i].rstrip()) for i in own]
    for i, line in zip(own, records.longer_lines([lines[i] for i in own], ends, columns.values()), strict=True):
        lines[i] = line
    return lines


def _row_sizes(element: Element, columns: Columns) -> Int64:
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
            lines.append(f"property {NAMES[kind]} {name}")
        else:
            array = array.reshape(count, -1) if count else array.reshape(0, int(np.prod(array.shape[1:])))
            length = "u1" if array.shape[1] < 256 else "i4"
            lines.append(f"property list {NAMES[length]} {NAMES[kind]} {name}")
            kinds.append((f"{name}\0length", f"<{length}", ()))
            values[f"{name}\0length"] = np.full(count, array.shape[1])
        kinds.append((name, array.dtype.str, array.shape[1:]))
        values[name] = array
    rows = np.empty(count, kinds)
    for name, array in values.items():
        rows[name] = array
    return rows, lines


def _tables(data: bytes, elements: list[Element], order: str, start: int) -> dict[str, Columns]:
    """The columns of each element, from the rows, which begin at ``start``."""
    return _binary(data, start, elements, order) if order else _text(data[start:], elements)


def _corners(face: Columns) -> _Lists:
    corners = next((face[name] for name in _CORNERS if name in face), None)
    if not isinstance(corners, _Lists):
        raise ValueError(f"faces must have a list vertex_indices, got {' '.join(face)}")
    return corners


def _is_of_strips(elements: list[Element]) -> bool:
    """Whether a file's triangles are in strips, not in faces."""
    counts = {element.name: element.count for element in elements}
    return not counts.get("face") and bool(counts.get(_STRIPS))


def _of_strips(strips: _Lists) -> Int64:
    """The triangles (F, 3) of strips: three vertices in a row, every second time turned round."""
    values = strips.values.astype(np.int64)
    ends = values == -1
    begins = ends.copy()
    begins[(np.cumsum(strips.counts) - strips.counts)[strips.counts > 0]] = True
    run = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)
    first += ends[first]
    at = np.arange(max(len(values) - 2, 0))
    at = at[~ends[at] & (run[at] == run[at + 2])]
    turned = (at - first[run[at]]) % 2
    triangles = np.stack([values[at + turned], values[at + 1 - turned], values[at + 2]], 1)
    one, two, three = triangles.T
    proper: Int64 = triangles[(one != two) & (two != three) & (three != one)]  # the others only join strips
    return proper


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


def _text(body: bytes, elements: list[Element]) -> dict[str, Columns]:
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


def _walk(element: Element, values: Array, counts: Int64) -> Columns:
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


def _all_rows(element: Element, fine: Array, otherwise: str) -> None:
    if not fine.all():
        raise ValueError(f"{element.name} {int(np.flatnonzero(~fine)[0])} {otherwise}")


def _binary(data: bytes, start: int, elements: list[Element], order: str) -> dict[str, Columns]:
    tables: dict[str, Columns] = {}
    end = start
    for element in elements:
        columns, end = _even(data, end, element, order) or _uneven(data, end, element, order)
        tables[element.name] = columns
    if end != len(data):
        raise ValueError(f"the header promises {end - start} bytes, got {len(data) - start}")
    return tables


def _even(data: bytes, start: int, element: Element, order: str) -> tuple[Columns, int] | None:
    """Columns of rows, and where they end; None unless all lists are as long as the first row's."""
    first = _uneven(data, start, Element(element.name, min(element.count, 1), element.properties), order)[0]
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


def _uneven(data: bytes, start: int, element: Element, order: str) -> tuple[Columns, int]:
    """Columns of any rows, and where they end. Each step takes one property of all rows."""
    cursor, end = _row_starts(data, start, element, order)
    columns: Columns = {}
    for each in element.properties:
        size = np.dtype(each.kind).itemsize
        if not each.length:
            columns[each.name] = _gathered(data, cursor, order + each.kind)
            cursor = cursor + size
            continue
        counts = _gathered(data, cursor, order + each.length).astype(np.int64)
        cursor = cursor + np.dtype(each.length).itemsize
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        values = _gathered(data, np.repeat(cursor, counts) + size * within, order + each.kind)
        columns[each.name] = _Lists(values, counts)
        cursor = cursor + size * counts
    return columns, end


def _row_starts(data: bytes, start: int, element: Element, order: str) -> tuple[Int64, int]:
    """Where each row begins, and where the last one ends. Rows follow one another, so plain Python walks over them."""
    steps: list[tuple[int, Callable[[bytes, int], tuple[int]], int, int]] = []
    plain = 0  # bytes since the last list
    for each in element.properties:
        size = np.dtype(each.kind).itemsize
        if each.length:
            length = struct.Struct(order + _CODES[each.length])
            steps.append((plain, length.unpack_from, length.size, size))
        plain = 0 if each.length else plain + size
    starts, at, limit = [], start, len(data)
    try:
        for _ in range(element.count):
            starts.append(at)
            for before, unpack, width, size in steps:
                at += before
                (number,) = unpack(data, at)
                at += width + size * number
                if number < 0 or at > limit:
                    found = f"of {element.name} {len(starts) - 1} must fit the file, got {number} numbers"
                    raise ValueError(f"a list {found}")
            at += plain
    except struct.error:
        at = limit + 1
    if at > limit:
        raise ValueError(f"the file ends in {element.name} {len(starts) - 1} of {element.count}")
    return np.array(starts, np.int64), at


def _gathered(data: bytes, places: Int64, kind: str) -> Array:
    """The numbers of a type that begin at these bytes."""
    size = np.dtype(kind).itemsize
    if not len(places):
        return np.empty(0, kind[1:])
    every = np.ndarray(len(data) - size + 1, kind, data, strides=(1,))
    return every[places].astype(kind[1:])
