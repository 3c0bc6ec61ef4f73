"""OFF, the Object File Format: a header with counts, a line for each vertex, a line for each face.

The reader is our own because others fail on common files: ModelNet writes its counts right behind the keyword (``OFF490
518 0``), comments and blank lines stand inside the sections, and faces have zero to four colour numbers, which differs
from line to line. Faces may run over several lines. Texture coordinates of vertices are ignored.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.features import KINDS
from pointkit.formats import layout, numbers, polygons, records
from pointkit.formats.records import Int64

_WORD = rb"(?P<texture>ST)?(?P<color>C)?(?P<normal>N)?(?:OFF|off)(?![A-Za-z])"
_HEADER = re.compile(rb"\s*" + _WORD + rb"[ \t]*(?P<rest>[^\n]*)\n?|\s*(?=\d+[ \t]+\d)")
_COUNTS = re.compile(rb"\s*(\d{1,18})[ \t]+(\d{1,18})(?:[ \t]+\d+)?[ \t]*(?:\n|$)")
_VERTEX_BYTES, _FACE_BYTES = len("0 0 0\n"), len("1 0\n")  # the shortest lines that can be


def read(text: bytes) -> Shape:
    """The mesh of an OFF file, polygons as triangles. A file without faces is a cloud.

    Faces have the field ``color`` (RGB) where every face has a colour; those of some alone are left out (``partial``).
    Vertices have normals and colours (nx, ny, nz, red, green, blue) where the header's word says so.
    """
    text = layout.lines(text)
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)
    header, num_vertices, num_faces, start = _counts(text)
    vertices, rest = _vertices(text[start:], num_vertices)
    fields = _vertex_fields(header, vertices)
    corners, counts, face_fields, partial = _faces(*_face_lines(rest, num_faces))
    if not num_faces:
        return records.cloud(vertices[:, :3], fields)
    mesh = polygons.mesh(vertices[:, :3], corners, counts, face_fields, fields)
    return dataclasses.replace(mesh, partial=("color",)) if partial else mesh


def write(path: disk.Path, shape: Shape) -> None:
    """Write a mesh. Face colours are kept; the format has no room for other face fields."""
    if not isinstance(shape, Mesh):
        raise ValueError("an .off file holds a mesh, got a cloud of points")
    faces = [np.full(len(shape.faces), 3), *shape.faces.T]
    color = shape.face_fields.get("color")
    if color is not None:
        faces += list(np.asarray(color).reshape(len(faces[0]), -1).T)
    with disk.replacing(path) as file:
        file.write(f"OFF\n{len(shape.vertices)} {len(shape.faces)} 0\n".encode())
        file.write(records.text_rows(list(records.text_coordinates(shape).T)))
        file.write(records.text_rows(faces))


def _counts(text: bytes) -> tuple[re.Match[bytes], int, int, int]:
    """The header's word, the numbers of vertices and faces, and the offset at which their lines begin."""
    header = _HEADER.match(text)
    if not header:
        raise ValueError(f"an OFF file begins with OFF or its counts, got {text[:20].decode('ascii', 'replace')!r}")
    rest = header["rest"]
    found = _COUNTS.match(text, header.start("rest") if rest else header.end())
    if not found:
        raise ValueError("the header must count vertices and faces after OFF (text, at most three dimensions)")
    num_vertices, num_faces = int(found[1]), int(found[2])
    if not num_vertices:
        raise ValueError("no vertices")
    needed, there = num_vertices * _VERTEX_BYTES + num_faces * _FACE_BYTES - 1, len(text) - found.end()
    if needed > there:
        raise ValueError(
            f"the header promises {num_vertices} vertices and {num_faces} faces, which need {needed} bytes or more, "
            f"got {there}"
        )
    return header, num_vertices, num_faces, found.end()


def _vertices(body: bytes, num_vertices: int) -> tuple[Array, bytes]:
    """The numbers in the vertices' lines (V, 3 and more), and the text after these lines."""
    end = numbers.line_end(body, num_vertices)
    values, counts = numbers.parse(body[:end])
    if len(counts) < num_vertices and end < len(body):  # blank lines were counted
        body = re.sub(rb"\n\s*\n", b"\n", body.lstrip(b"\n \t"))
        end = numbers.line_end(body, num_vertices)
        values, counts = numbers.parse(body[:end])
    if len(counts) != num_vertices:
        raise ValueError(f"the header promises {num_vertices} vertices, got {len(counts)} lines for them")
    if counts.min() != counts.max() or counts[0] < 3:
        row = int(np.argmax((counts != counts[0]) | (counts < 3)))
        raise ValueError(f"vertices must have three or more numbers, all as many, got {counts[row]} in row {row}")
    return values.reshape(num_vertices, -1), body[end:]


def _vertex_fields(header: re.Match[bytes], vertices: Array) -> dict[str, Array]:
    """Normals and colours of vertices, which follow their places in this order."""
    fields: dict[str, Array] = {}
    width = vertices.shape[1] - 2 * bool(header["texture"])  # two numbers at the end are a place in a picture
    at = 3
    if header["normal"] and width >= 6:
        fields |= records.channels(KINDS["normals"], vertices[:, 3:6].astype(np.float32))
        at = 6
    if header["color"] and width >= at + 3:
        fields |= records.channels(KINDS["color"], records.colors(vertices[:, at : at + 3]))
    return fields


def _face_lines(text: bytes, num_faces: int) -> tuple[Array, Int64]:
    """The numbers of the faces' lines, and how many each face has. A face may go on in the next line."""
    values, counts = numbers.parse(text)
    begin = np.cumsum(counts) - counts
    if (values[begin] >= counts).any() or len(counts) != num_faces:
        joined = _joined(values, counts)
        counts = joined if len(joined) == num_faces else counts
    if len(counts) != num_faces:
        raise ValueError(f"the header promises {num_faces} faces, got {len(counts)} lines for them")
    return values, counts


def _joined(values: Array, counts: Int64) -> Int64:
    """How many numbers each face has, in one line or several: lines are joined until all its indices are there."""
    joined: list[int] = []
    missing = 0.0
    for count, needed in zip(counts.tolist(), values[np.cumsum(counts) - counts].tolist(), strict=True):
        if missing > 0:
            joined[-1] += count
        else:
            joined.append(count)
            missing = needed + 1
        missing -= count
    return np.array(joined, np.int64)


def _faces(values: Array, counts: Int64) -> tuple[Int64, Int64, dict[str, Array], bool]:
    """The faces' indices one after another, how many each has, their fields, and whether some alone have a colour.

    The numbers of a face are a count, so many indices, and a colour.
    """
    if len(counts) and counts.min() == counts.max() == 4:
        rows = values.reshape(-1, 4)
        if (rows[:, 0] == 3).all():
            return records.whole("indices of vertices", rows[:, 1:].reshape(-1)), counts - 1, {}, False
    begin = np.cumsum(counts) - counts
    corners = records.whole("the first number of a face", values[begin])
    wrong = (corners < 1) | (corners >= counts)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"face {row} must have {corners[row]} indices, got a line of {counts[row]} numbers")
    column = np.arange(len(values)) - np.repeat(begin, counts)
    last = np.repeat(corners, counts)
    indices = records.whole("indices of vertices", values[(column > 0) & (column <= last)])
    colored = counts - corners - 1 >= 3
    if not len(counts) or not colored.all():
        return indices, corners, {}, bool(colored.any())
    color = records.colors(np.stack([values[begin + corners + channel] for channel in (1, 2, 3)], 1))
    return indices, corners, {} if color is None else {"color": color}, False
