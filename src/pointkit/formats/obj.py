"""OBJ, Wavefront's text of vertices and polygons.

The reader is our own. The library trimesh gives faces in another order, splits vertices at their textures, fails on a
comment after a face, and takes the index 0, which is not allowed, for the last vertex.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Float64, Mesh, Shape
from pointkit.features import KINDS
from pointkit.formats import layout, numbers, polygons, records
from pointkit.formats.records import Int64

_COMMENT_OR_JOINT = re.compile(rb"#[^\n]*|\\\n")
_VERTEX = re.compile(rb"^[ \t]*v(?=[ \t\n]|\Z)([^\n]*)", re.MULTILINE | re.IGNORECASE)
_FACE = re.compile(rb"^[ \t]*f(?=[ \t\n]|\Z)([^\n]*)", re.MULTILINE | re.IGNORECASE)
_EITHER = re.compile(rb"^[ \t]*([vf])(?=[ \t])", re.MULTILINE | re.IGNORECASE)
_TEXTURE_AND_NORMAL = re.compile(rb"/-?\d*(?:/-?\d*)?(?=\s|\Z)")
_COLORED = (6, 7)  # numbers of a vertex with a colour; the seventh says how much of it is seen


def read(text: bytes) -> Shape:
    """The polygons of an OBJ file as triangles, its vertices in their order. A file without faces is a cloud.

    Vertices have the fields red, green, blue where each has a colour. Colours of some alone are left out (``partial``).
    Groups, materials and lines are ignored.
    """
    text = _COMMENT_OR_JOINT.sub(b"", layout.lines(text))
    xyz, fields, partial = _vertices(text)
    lines = _FACE.findall(text)
    shape: Shape
    if lines:
        shape = polygons.mesh(xyz, *_corners(text, lines, len(xyz)), vertex_fields=fields)
    else:
        shape = records.cloud(xyz, fields)
    return dataclasses.replace(shape, partial=("color",)) if partial else shape


def write(path: disk.Path, shape: Shape) -> None:
    """Write a mesh. The format has no room for its face fields."""
    if not isinstance(shape, Mesh):
        raise ValueError("an .obj file holds a mesh, got a cloud of points")
    vertices = records.text_rows(list(records.text_coordinates(shape).T), "v ")
    with disk.replacing(path) as file:
        file.write(vertices)
        file.write(records.text_rows(list(shape.faces.T.astype(np.int64) + 1), "f "))


def _vertices(text: bytes) -> tuple[Float64, dict[str, Array], bool]:
    """The coordinates (V, 3), the fields of the vertices, and whether some of them alone have a colour.

    A weight or a colour may follow a vertex's place.
    """
    lines = _VERTEX.findall(text)
    if not lines:
        raise ValueError("no vertices: no line begins with v")
    values, counts = numbers.parse(b"\n".join(lines))
    if len(counts) != len(lines):
        row = next(row for row, line in enumerate(lines) if not line.strip())
        raise ValueError(f"vertices must have three or more numbers, got none in row {row}")
    if counts.min() < 3:
        row = int(np.argmin(counts))
        raise ValueError(f"vertices must have three or more numbers, got {counts[row]} in row {row}")
    begin = np.cumsum(counts) - counts
    xyz = values.take(begin[:, None] + np.arange(3))
    colored = np.isin(counts, _COLORED)
    if not colored.all():
        return xyz, {}, bool(colored.any())
    return xyz, records.channels(KINDS["color"], records.colors(values.take(begin[:, None] + np.arange(3, 6)))), False


def _corners(text: bytes, lines: Sequence[bytes], num_vertices: int) -> tuple[Int64, Int64]:
    """The vertex indices of all faces one after another, from 0 on, and how many each has."""
    values, counts = numbers.parse(_TEXTURE_AND_NORMAL.sub(b"", b"\n".join(lines)))
    if len(counts) != len(lines):
        row = next(row for row, line in enumerate(lines) if not line.strip())
        raise ValueError(f"a face must hold indices of vertices, got none in face {row}")
    corners = records.whole("indices of vertices", values)
    wrong = (corners == 0) | (np.abs(corners) > num_vertices)
    if (corners < 0).any():  # counted back from the vertices above the face
        order = np.frombuffer(b"".join(_EITHER.findall(text)), np.uint8)
        above = np.repeat(np.cumsum(order | 32 == ord("v"))[order | 32 == ord("f")], counts)
        wrong |= -corners > above
        corners = np.where(corners < 0, corners + above, corners - 1)
    else:
        corners = corners - 1
    if wrong.any():
        raise ValueError(f"indices must be 1 to {num_vertices}, or negative to count back, got {values[wrong][0]:.0f}")
    return corners, counts
