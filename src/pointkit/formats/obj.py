"""OBJ, Wavefront's text of vertices and polygons.

The reader is our own. The library trimesh gives faces in another order, splits vertices at their textures, fails on a
comment after a face, and takes the index 0, which is not allowed, for the last vertex.
"""

from __future__ import annotations

import re

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.formats import numbers, records
from pointkit.formats.records import Int64

_COMMENT_OR_JOINT = re.compile(rb"#[^\n]*|\\\n")
_VERTEX = re.compile(rb"^[ \t]*v[ \t]+([^\n]*)", re.MULTILINE)
_FACE = re.compile(rb"^[ \t]*f[ \t]+([^\n]*)", re.MULTILINE)
_EITHER = re.compile(rb"^[ \t]*([vf])[ \t]", re.MULTILINE)
_TEXTURE_AND_NORMAL = re.compile(rb"/\S*")


def read(text: bytes) -> Mesh:
    """The polygons of an OBJ file as triangles, its vertices in their order. Groups, materials, colours are ignored."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = _COMMENT_OR_JOINT.sub(b"", text)
    vertices = _vertices(b"\n".join(_VERTEX.findall(text)))
    points, placement = records.placed("vertices", vertices)
    corners, counts = _corners(text, len(vertices))
    faces, polygons = records.fan(corners, counts)
    return Mesh(points, faces, placement=placement, polygons=polygons)


def write(path: disk.Path, shape: Shape) -> None:
    """Write a mesh. The format has no room for its face fields."""
    if not isinstance(shape, Mesh):
        raise ValueError("an .obj file holds a mesh, got a cloud of points")
    vertices = records.text_rows(list(records.text_coordinates(shape).T), "v ")
    with disk.replacing(path) as file:
        file.write(vertices)
        file.write(records.text_rows(list(shape.faces.T.astype(np.int64) + 1), "f "))


def _vertices(text: bytes) -> Array:
    """The first three numbers of each line. A weight or a colour may follow them."""
    values, counts = numbers.parse(text)
    if len(counts) and counts.min() < 3:
        row = int(np.argmin(counts))
        raise ValueError(f"vertices must have three or more numbers, got {counts[row]} in row {row}")
    begin = np.cumsum(counts) - counts
    return values.take(begin[:, None] + np.arange(3))


def _corners(text: bytes, num_vertices: int) -> tuple[Int64, Int64]:
    """The vertex indices of all faces one after another, from 0 on, and how many each has."""
    lines = _FACE.findall(text)
    values, counts = numbers.parse(_TEXTURE_AND_NORMAL.sub(b"", b"\n".join(lines)))
    if len(counts) != len(lines) or (counts < 3).any():
        raise ValueError(
            f"a face must be three or more indices, got {counts.min() if len(counts) == len(lines) else 0}"
        )
    corners = records.whole("indices of vertices", values)
    wrong = (corners == 0) | (np.abs(corners) > num_vertices)
    if (corners < 0).any():  # counted back from the vertices above the face
        order = np.frombuffer(b"".join(_EITHER.findall(text)), np.uint8)
        above = np.repeat(np.cumsum(order == ord("v"))[order == ord("f")], counts)
        wrong |= -corners > above
        corners = np.where(corners < 0, corners + above, corners - 1)
    else:
        corners = corners - 1
    if wrong.any():
        raise ValueError(f"indices must be 1 to {num_vertices}, or negative to count back, got {values[wrong][0]:.0f}")
    return corners, counts
