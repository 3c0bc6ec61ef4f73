"""glTF 2.0 (.gltf, .glb): a tree of nodes that place meshes, which are triangles, points or lines.

The shape is all that the default scene shows, each node where its matrices lead to. Materials, textures, poses and
animations are left out. Coordinates stay as the file has them: y points up in glTF.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

import numpy as np

from pointkit.cloud import Array, Float64, Shape
from pointkit.formats import polygons, records
from pointkit.formats.gltf_buffers import Document, Near, Numbers, Table, finite, whole
from pointkit.formats.records import Int64

_POINTS, _TRIANGLES, _STRIP, _FAN = 0, 4, 5, 6
_KNOWN = {"NORMAL": "normals", "COLOR_0": "color"}  # attribute -> the kind of features that it is
_NAMES = {"NORMAL": ("nx", "ny", "nz"), "COLOR_0": ("red", "green", "blue", "alpha")}
_INSTANCES = "EXT_mesh_gpu_instancing"
_IDENTITY = np.eye(4)


class _Block(NamedTuple):
    """Vertices (V, 3), their attributes, the triangles among them, and those that are points."""

    xyz: Array
    attributes: Mapping[str, Numbers]
    faces: Int64
    points: Int64


def read(data: bytes, near: Near) -> Shape:
    """A mesh where there are triangles, with all vertices of the scene; else the cloud of its points.

    Colours are the fields red, green and blue of the vertices, normals nx, ny and nz. An attribute of a name that
    begins with "_" is a field of that name. What only some of the vertices have is left out. ``near`` gives the bytes
    of a file beside, by its name in the JSON.
    """
    document = Document(data, near)
    known: dict[int, list[_Block]] = {}
    blocks = []
    for node, matrix in _placed_nodes(document):
        index, mesh = node["mesh"], document.one("meshes", node["mesh"])
        if index not in known:
            known[index] = list(_blocks(document, mesh))
        for block in known[index]:
            document.take(block.xyz.nbytes + block.faces.nbytes + block.points.nbytes)
            blocks.append(_moved(block, matrix))
    if not any(len(block.faces) or len(block.points) for block in blocks):
        raise ValueError("no triangles and no points")
    return _shape(blocks)


def names_beside(file: BinaryIO) -> list[str]:
    """The names of the files that the JSON of a file names as its buffers; none where it cannot be read."""
    head = file.read(20)
    text = file.read(int.from_bytes(head[12:16], "little")) if head[:4] == b"glTF" else head + file.read()
    try:
        uris = [buffer.get("uri") for buffer in json.loads(text)["buffers"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    return [uri for uri in uris if isinstance(uri, str) and not uri.startswith("data:")]


def _shape(blocks: list[_Block]) -> Shape:
    starts = np.cumsum([0, *(len(block.xyz) for block in blocks)])
    xyz = np.concatenate([block.xyz for block in blocks])
    faces = np.concatenate([block.faces + start for block, start in zip(blocks, starts, strict=False)])
    fields = _fields(blocks)
    partial = tuple(kind for name, kind in _KNOWN.items() if _NAMES[name][0] not in fields and _some(blocks, name))
    if len(faces):
        corners = faces.reshape(-1)
        mesh = polygons.mesh(xyz, corners, np.full(len(faces), 3), vertex_fields=fields)
        return dataclasses.replace(mesh, partial=partial)
    points = np.concatenate([block.points + start for block, start in zip(blocks, starts, strict=False)])
    cloud = records.cloud(xyz[points], {name: array[points] for name, array in fields.items()})
    return dataclasses.replace(cloud, partial=partial)


def _some(blocks: list[_Block], name: str) -> bool:
    return any(name in block.attributes for block in blocks)


def _fields(blocks: list[_Block]) -> dict[str, Array]:
    """The attributes that all vertices have, in their own type; shares of different types become floats."""
    fields: dict[str, Array] = {}
    for name in blocks[0].attributes:
        if not all(name in block.attributes for block in blocks):
            continue
        found = [block.attributes[name] for block in blocks]
        alike = len({(numbers.array.dtype, numbers.normalized) for numbers in found}) == 1
        width = min(numbers.array.shape[1] for numbers in found)
        array = np.concatenate([(each.array if alike else each.shares())[:, :width] for each in found])
        if name in _NAMES:
            fields |= records.channels(_NAMES[name][:width], array)
        else:
            fields[re.sub(r"[^!-~]", "_", name)] = array[:, 0] if width == 1 else array
    return fields


# ---- the tree of nodes


def _placed_nodes(document: Document) -> Iterator[tuple[Table, Float64]]:
    """The nodes of the default scene that hold a mesh, each with the matrix that leads from it to the scene."""
    nodes, scenes = document.all("nodes"), document.all("scenes")
    if not nodes:
        yield from (({"mesh": index}, _IDENTITY) for index in range(len(document.all("meshes"))))
        return
    children = {child for node in nodes for child in _children(node, "children")}
    roots = [index for index in range(len(nodes)) if index not in children]
    if scenes:
        roots = _children(document.one("scenes", document.tree.get("scene", 0)), "nodes")
    seen: set[int] = set()
    waiting = [(index, _IDENTITY) for index in reversed(roots)]
    while waiting:
        index, above = waiting.pop()
        node = document.one("nodes", index)
        if index in seen:
            raise ValueError(f"node {index} must have one place in the tree of nodes, got two")
        seen.add(index)
        if _INSTANCES in str(node.get("extensions")):
            raise ValueError(f"node {index} has {_INSTANCES}, which is not read; save it without instances")
        matrix = above @ _matrix(node)
        if not np.isfinite(matrix).all():
            raise ValueError(f"the matrix of node {index} must be finite numbers")
        waiting += [(child, matrix) for child in reversed(_children(node, "children"))]
        if "mesh" in node:
            yield node, matrix


def _children(thing: Table, key: str) -> list[int]:
    value = thing.get(key, [])
    if not isinstance(value, list) or not all(type(one) is int for one in value):
        raise ValueError(f"{key} must be a list of indices, got {value!r:.40}")
    return value


def _matrix(node: Table) -> Float64:
    """The matrix (4, 4) of a node: its own, or scaling, then turning, then moving."""
    if "matrix" in node:
        matrix = finite(node, "matrix", [0.0] * 16).reshape(4, 4).T  # the file has it column after column
        if matrix[3].tolist() != [0, 0, 0, 1]:
            raise ValueError(f"the last row of a matrix must be 0 0 0 1, got {matrix[3].tolist()}")
        return matrix
    x, y, z, w = quaternion = finite(node, "rotation", [0, 0, 0, 1])
    if not quaternion.any():
        raise ValueError("rotation must not be 0 0 0 0")
    x, y, z, w = quaternion / np.sqrt((quaternion**2).sum())
    turned = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(turned) * finite(node, "scale", [1, 1, 1])
    matrix[:3, 3] = finite(node, "translation", [0, 0, 0])
    return matrix


def _moved(block: _Block, matrix: Float64) -> _Block:
    """A block's vertices where a node places them. A node that mirrors turns its triangles round."""
    if np.array_equal(matrix, _IDENTITY):
        return block
    linear = matrix[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is refused when all is placed
        mirrored = np.linalg.det(linear) < 0
        xyz = block.xyz @ linear.T + matrix[:3, 3]
    attributes = dict(block.attributes)
    if "NORMAL" in attributes:
        attributes["NORMAL"] = Numbers(_turned(attributes["NORMAL"].shares(), linear), False)
    return _Block(xyz, attributes, block.faces[:, ::-1] if mirrored else block.faces, block.points)


def _turned(normals: Array, linear: Float64) -> Array:
    """Normals (V, 3) of a surface that a matrix (3, 3) changes: of length 1, and 0 0 0 where there is no direction."""
    one, two, three = linear
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        cofactors = np.stack([np.cross(two, three), np.cross(three, one), np.cross(one, two)])
        turned = normals @ cofactors.T * np.sign(np.linalg.det(linear))
        lengths = np.sqrt((turned**2).sum(1, keepdims=True))
        turned = np.where(lengths > 0, turned / lengths, 0)
    return turned.astype(np.float32)


# ---- meshes


def _blocks(document: Document, mesh: Table) -> Iterator[_Block]:
    """The primitives of a mesh. Those with the same attributes share one block of vertices."""
    primitives = mesh.get("primitives")
    if not isinstance(primitives, list) or not all(isinstance(one, dict) for one in primitives):
        raise ValueError(f"primitives must be a list of objects, got {primitives!r:.40}")
    groups: dict[str, list[Table]] = {}
    for primitive in primitives:
        groups.setdefault(repr(primitive.get("attributes")), []).append(primitive)
    for some in groups.values():
        yield _block(document, some)


def _block(document: Document, primitives: list[Table]) -> _Block:
    attributes = primitives[0].get("attributes")
    if not isinstance(attributes, dict) or "POSITION" not in attributes:
        raise ValueError(f"a primitive must have the attribute POSITION, got {attributes!r:.80}")
    positions = document.numbers(attributes["POSITION"], "POSITION", (3,))
    held = {}
    for name, index in attributes.items():
        if name in _NAMES or name[:1] == "_":
            held[name] = document.numbers(index, name, {"NORMAL": (3,), "COLOR_0": (3, 4)}.get(name, (1, 2, 3, 4)))
            if len(held[name].array) != len(positions.array):
                raise ValueError(f"{name} must have {len(positions.array)} rows, got {len(held[name].array)}")
    faces, points = [np.empty((0, 3), np.int64)], [np.empty(0, np.int64)]
    for primitive in primitives:
        mode = whole(primitive, "mode", _TRIANGLES)
        if mode not in (_POINTS, _TRIANGLES, _STRIP, _FAN):
            continue  # lines
        indices = _indices(document, primitive, len(positions.array))
        if mode == _POINTS:
            points.append(indices)
        else:
            faces.append(_triangles(indices, mode))
    return _Block(positions.shares(), held, np.concatenate(faces), np.concatenate(points))


def _indices(document: Document, primitive: Table, count: int) -> Int64:
    """The indices of a primitive's vertices in the order in which it draws them."""
    if "indices" not in primitive:
        return np.arange(count)
    found = document.numbers(primitive["indices"], "indices", (1,)).array[:, 0]
    if found.dtype.kind != "u" or found.max() >= count:
        raise ValueError(f"faces must index the {count} vertices, got {found.dtype} up to {found.max()}")
    return found.astype(np.int64)


def _triangles(indices: Int64, mode: int) -> Int64:
    """Triangles (F, 3) out of a list, a strip, or a fan. Those of two equal corners only join strips."""
    if mode == _TRIANGLES:
        if len(indices) % 3:
            raise ValueError(f"triangles have three corners each, got {len(indices)} indices: is the file cut?")
        return indices.reshape(-1, 3)
    if len(indices) < 3:
        raise ValueError(f"a strip or fan has three corners or more, got {len(indices)}")
    one, two, three = indices[:-2], indices[1:-1], indices[2:]
    if mode == _FAN:
        return np.stack([two, three, np.full(len(two), indices[0])], 1)
    odd = np.arange(len(one)) % 2 == 1
    triangles = np.stack([one, np.where(odd, three, two), np.where(odd, two, three)], 1)
    proper: Int64 = triangles[(one != two) & (two != three) & (three != one)]
    return proper
