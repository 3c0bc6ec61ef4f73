"""OBJ and STL, read and written by trimesh, with the checks that it leaves out."""

from __future__ import annotations

import io
import os
import re

import numpy as np

from pointkit.cloud import Mesh, Shape
from pointkit.formats import files, records

_STL_HEADER, _STL_FACE = 84, 50
_CORNER = re.compile(rb"-?\d+")


def read(path: files.Path) -> Mesh:
    """The triangles of an OBJ or STL file as one mesh, vertices in the file's order and unmerged."""
    data = files.load(path)
    kind = _kind(path)
    promised = _stl_faces(data) if kind == "stl" else _obj_faces(data)
    import trimesh

    options = {"skip_materials": True, "maintain_order": True} if kind == "obj" else {}
    try:
        loaded = trimesh.load(io.BytesIO(data), file_type=kind, force="mesh", process=False, **options)
        vertices, faces = np.asarray(loaded.vertices), np.asarray(loaded.faces).reshape(-1, 3)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # trimesh raises whatever its parsers do
        raise ValueError(f"trimesh cannot read it: {' '.join(str(error).split())[:200]}") from error
    if len(faces) != promised:
        raise ValueError(f"the file holds {promised} triangles, got {len(faces)} read")
    points, placement = records.placed("vertices", vertices.reshape(-1, 3))
    return Mesh(points, faces, placement=placement)


def write(path: files.Path, shape: Shape) -> None:
    """Write a mesh; neither format has room for face fields, and STL keeps 32 bits of a coordinate."""
    if not isinstance(shape, Mesh):
        raise ValueError(f"an .{_kind(path)} file holds a mesh, got a cloud of points")
    import trimesh

    made = trimesh.Trimesh(records.coordinates(shape), shape.faces, process=False)
    options = {"digits": 17, "include_normals": False} if _kind(path) == "obj" else {}
    data = made.export(file_type=_kind(path), **options)
    with files.replacing(path) as file:
        file.write(data if isinstance(data, bytes) else data.encode("utf-8"))


def _kind(path: files.Path) -> str:
    return os.fsdecode(path)[-3:].lower()


def _stl_faces(data: bytes) -> int:
    """How many triangles an STL file holds: by its count, which must fit its size, or by its words."""
    if len(data) >= _STL_HEADER:
        count = int(np.frombuffer(data, "<u4", 1, 80)[0])
        if len(data) == _STL_HEADER + count * _STL_FACE:
            if not count:
                raise ValueError("no triangles")
            return count
    if not re.match(rb"\s*solid\b", data, re.IGNORECASE) or b"\0" in data:
        raise ValueError(f"the count of a binary STL file must fit its {len(data)} bytes, and text begins with solid")
    begun, ended = (len(re.findall(word, data, re.IGNORECASE)) for word in (rb"\bfacet\s+normal\b", rb"\bendfacet\b"))
    corners = len(re.findall(rb"\bvertex\s", data, re.IGNORECASE))
    if not begun or begun != ended or corners != 3 * begun:
        raise ValueError(f"facets must begin, have three vertices and end, got {begun}, {corners} vertices, {ended}")
    return begun


def _obj_faces(data: bytes) -> int:
    """How many triangles an OBJ file's polygons make, once each index is found to name a vertex."""
    data = re.sub(rb"#[^\n]*|\\\r?\n", b"", data)
    num_vertices = len(re.findall(rb"^[ \t]*v[ \t]", data, re.MULTILINE))
    if not num_vertices:
        raise ValueError("no vertices")
    triangles = 0
    for line in re.findall(rb"^[ \t]*f[ \t]([^\n]*)", data, re.MULTILINE):
        corners = [word.split(b"/")[0] for word in line.split()]
        if len(corners) < 3 or not all(_CORNER.fullmatch(corner) for corner in corners):
            raise ValueError(
                f"a face must be three or more indices, got {line[:40].decode('ascii', 'replace').strip()!r}"
            )
        for corner in map(int, corners):
            if not 1 <= abs(corner) <= num_vertices:
                raise ValueError(f"indices must be 1 to {num_vertices}, or negative from the end, got {corner}")
        triangles += len(corners) - 2
    return triangles
