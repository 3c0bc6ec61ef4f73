"""OFF, the Object File Format: a header with counts, a line for each vertex, a line for each face.

The reader is our own because others fail on common files: ModelNet writes its counts right behind the keyword (``OFF490
518 0``), comments and blank lines stand inside the sections, and faces have zero to four colour numbers, which differs
from line to line. Normals, colours and texture coordinates of vertices are ignored.
"""

from __future__ import annotations

import re

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.formats import numbers, records
from pointkit.formats.records import Int64

_HEADER = re.compile(rb"\s*(?:ST)?C?N?(?:OFF|off)(?![A-Za-z])[ \t]*(?P<rest>[^\n]*)\n?|\s*(?=\d+[ \t]+\d)")
_COUNTS = re.compile(rb"\s*(\d{1,18})[ \t]+(\d{1,18})(?:[ \t]+\d+)?[ \t]*(?:\n|$)")
_VERTEX_BYTES, _FACE_BYTES = len("0 0 0\n"), len("1 0\n")  # the shortest lines that can be


def read(text: bytes) -> Mesh:
    """The mesh of an OFF file: polygons as triangles, with the field ``color`` (RGB) where every face has a colour."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)
    num_vertices, num_faces, start = _counts(text)
    vertices, counts, rest = _vertices(text[start:], num_vertices)
    face_values, face_counts = numbers.parse(rest)
    if len(face_counts) != num_faces:
        raise ValueError(f"the header promises {num_faces} faces, got {len(face_counts)} lines for them")
    points, placement = records.placed("vertices", vertices.reshape(num_vertices, counts)[:, :3])
    faces, polygons, face_fields = _faces(face_values, face_counts)
    return Mesh(points, faces, face_fields, placement, polygons)


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


def _counts(text: bytes) -> tuple[int, int, int]:
    """The numbers of vertices and faces, and the offset at which their lines begin."""
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
    return num_vertices, num_faces, found.end()


def _vertices(body: bytes, num_vertices: int) -> tuple[Array, int, bytes]:
    """The numbers in the vertices' lines, how many each line has, and the text after these lines."""
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
    return values, int(counts[0]), body[end:]


def _faces(values: Array, counts: Int64) -> tuple[Array, Int64 | None, dict[str, Array]]:
    """Triangles (F, 3), the polygons that they came from (``records.fan``), and their fields.

    A line has a count, so many indices, and colours.
    """
    if len(counts) and counts.min() == counts.max() == 4:
        rows = values.reshape(-1, 4)
        if (rows[:, 0] == 3).all():
            return records.whole("indices of vertices", rows[:, 1:]), None, {}
    begin = np.cumsum(counts) - counts
    corners = records.whole("the first number of a face", values[begin])
    wrong = (corners < 1) | (corners >= counts)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"face {row} must have {corners[row]} indices, got a line of {counts[row]} numbers")
    column = np.arange(len(values)) - np.repeat(begin, counts)
    last = np.repeat(corners, counts)
    indices = records.whole("indices of vertices", values[(column > 0) & (column <= last)])
    triangles, polygons = records.fan(indices, corners)
    extra = counts - corners - 1
    if not len(counts) or extra.min() < 3:
        return triangles, polygons, {}
    color = np.stack([values[begin + corners + channel] for channel in (1, 2, 3)], 1)
    if color.min() < 0 or color.max() > 255:
        return triangles, polygons, {}
    color = color.astype(np.uint8) if (color == color.round()).all() and color.max() > 1 else color.astype(np.float32)
    return triangles, polygons, {"color": color if polygons is None else color[polygons]}
