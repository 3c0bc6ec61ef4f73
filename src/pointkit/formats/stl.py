"""STL: only triangles, each with three vertices of its own. A file is a count and 50 bytes for each, or text."""

from __future__ import annotations

import re

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.formats import numbers, records

_HEADER = 84  # 80 bytes of anything and the count
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_FACET = re.compile(
    rb"\s*facet\s+normal(?:\s+\S+){3}\s+outer\s+loop((?:\s+vertex(?:\s+[^\s]+){3}){3})\s+endloop\s+endfacet\b",
    re.IGNORECASE,
)
_SOLID = re.compile(rb"\s*(?:end)?solid\b[^\n]*(?:\n|\Z)", re.IGNORECASE)
_VERTEX = re.compile(rb"\bvertex\b", re.IGNORECASE)


def read(data: bytes) -> Mesh:
    """The triangles of an STL file in their order, unmerged: each has three vertices of its own, (3 F, 3)."""
    count = int(np.frombuffer(data, "<u4", 1, _HEADER - 4)[0]) if len(data) >= _HEADER else None
    if (
        count is not None and len(data) == _HEADER + count * _TRIANGLE.itemsize
    ):  # a binary file may begin with "solid", too
        vertices = np.frombuffer(data, _TRIANGLE, count, _HEADER)["corners"].reshape(-1, 3)
    elif _SOLID.match(data) and b"\0" not in data:
        vertices = _text(data)
    else:
        raise ValueError(f"the count of a binary STL file must fit its {len(data)} bytes, got {count}")
    if not len(vertices):
        raise ValueError("no triangles")
    points, placement = records.placed("vertices", np.ascontiguousarray(vertices))
    return Mesh(points, np.arange(len(points), dtype=np.int32).reshape(-1, 3), placement=placement)


def write(path: disk.Path, shape: Shape) -> None:
    """Write a mesh's triangles in binary. The format has 32 bits for a coordinate, and no room for face fields."""
    if not isinstance(shape, Mesh):
        raise ValueError("an .stl file holds a mesh, got a cloud of points")
    if not len(shape.faces):
        raise ValueError("an .stl file holds faces, got none")
    corners = records.coordinates(shape)[shape.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.sqrt((normals**2).sum(1, keepdims=True))
    rows = np.zeros(len(corners), _TRIANGLE)
    rows["corners"] = corners
    rows["normal"] = normals / np.where(lengths > 0, lengths, 1)
    with disk.replacing(path) as file:
        file.write(b"pointkit".ljust(_HEADER - 4) + np.array(len(rows), "<u4").tobytes() + rows.tobytes())


def _text(data: bytes) -> Array:
    """The corners (3 F, 3) of a text of facets in one or more solids. Nothing else may stand in it."""
    found: list[bytes] = []
    at = _SOLID.match(data).end()  # type: ignore[union-attr] # the caller saw it
    while True:
        if facet := _FACET.match(data, at):
            found.append(facet[1].strip())
            at = facet.end()
        elif solid := _SOLID.match(data, at):
            at = solid.end()
        else:
            break
    if data[at:].strip():
        raise ValueError(
            f"a facet of three vertices is expected, got {data[at : at + 40].decode('ascii', 'replace').strip()!r}"
        )
    if not re.search(rb"endsolid\b[^\n]*\s*\Z", data, re.IGNORECASE):
        raise ValueError(f"a text must end with endsolid, got {len(found)} facets and then nothing")
    return numbers.table(_VERTEX.sub(b"\n", b"\n".join(found)))
