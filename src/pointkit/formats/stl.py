"""STL: only triangles, each with three vertices of its own. A file is a count and 50 bytes for each, or text."""

from __future__ import annotations

import re

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Mesh, Shape
from pointkit.formats import layout, numbers, records

_HEADER = 84  # 80 bytes of anything and the count
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_FACET = re.compile(
    rb"\s*facet\s+normal(?:\s+\S+){3}\s+outer\s+loop((?:\s+vertex(?:\s+[^\s]+){3}){3})\s+endloop\s+endfacet\b",
    re.IGNORECASE,
)
_SOLID = re.compile(rb"\s*(?:end\s*)?solid\b[^\n]*?(?=\bfacet\s+normal\b|\bend\s*solid\b|\n|\Z)", re.IGNORECASE)
_END = re.compile(rb"\bend\s*solid\b[^\n]*\s*\Z", re.IGNORECASE)
_COMMENT = re.compile(rb"#[^\n]*")
_VERTEX = re.compile(rb"\bvertex\b", re.IGNORECASE)


def read(data: bytes) -> Mesh:
    """The triangles of an STL file in their order, unmerged: each has three vertices of its own, (3 F, 3)."""
    count = int(np.frombuffer(data, "<u4", 1, _HEADER - 4)[0]) if len(data) >= _HEADER else 0
    if _size(count) == len(data):  # a binary file may begin with "solid", too
        vertices = np.frombuffer(data, _TRIANGLE, count, _HEADER)["corners"].reshape(-1, 3)
    else:
        vertices = _text(data, count)
    if not len(vertices):
        raise ValueError("no triangles")
    points, placement = records.placed("vertices", np.ascontiguousarray(vertices))
    return Mesh(points, np.arange(len(points), dtype=np.int32).reshape(-1, 3), placement=placement)


def _size(count: int) -> int:
    """The bytes of a binary file of so many triangles."""
    return _HEADER + count * _TRIANGLE.itemsize


def _misfit(data: bytes, count: int) -> str:
    """Why a file is neither text nor a binary file of ``count`` triangles."""
    if len(data) < _HEADER:
        return f"an STL file begins with solid, or with {_HEADER} bytes before its triangles, got {len(data)} bytes"
    promised = f"the header promises {count:,} triangles in {_size(count):,} bytes"
    if len(data) < _size(count):
        there = (len(data) - _HEADER) // _TRIANGLE.itemsize
        return f"{promised}, got {len(data):,} with {there:,} whole triangles: the file is cut, or no STL"
    extra = len(data) - _size(count)
    return (
        f"{promised}, got {len(data):,}, {extra:,} too many: keep the first {_size(count):,} if no triangle is missing"
    )


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


def _text(data: bytes, count: int) -> Array:
    """The corners (3 F, 3) of a text of facets in one or more solids. Nothing else but comments may stand in it.

    Raises ValueError where the file is none, nor a binary one of ``count`` triangles.
    """
    try:
        text = _COMMENT.sub(b"", layout.lines(data))
    except ValueError:  # bytes that no text holds
        text = b""
    if not _SOLID.match(text):
        raise ValueError(_misfit(data, count))
    found: list[bytes] = []
    at = 0
    while part := _FACET.match(text, at) or _SOLID.match(text, at):
        if part.re is _FACET:
            found.append(part[1].strip())
        at = part.end()
    if text[at:].strip():
        raise ValueError(
            f"a facet of three vertices is expected, got {text[at : at + 40].decode('ascii', 'replace').strip()!r}"
        )
    if not _END.search(text):
        raise ValueError(f"a text must end with endsolid, got {len(found)} facets and then nothing: the file is cut")
    return numbers.table(_VERTEX.sub(b"\n", b"\n".join(found)))
