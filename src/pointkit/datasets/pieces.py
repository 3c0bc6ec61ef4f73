"""Shapes whose parts are files: a folder for each shape, in it a file for each part, named after the part.

    room_0/wall_1.ply  room_0/wall_2.ply  room_0/floor_1.ply        the shape room_0 with the parts floor and wall
    office_0/Annotations/chair_1.txt      office_0/office_0.txt     the shape office_0; the second file is the whole

The number behind a part's name tells objects of one part from each other, and is passed over.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from pointkit.cloud import Array, Mesh, Placement, PointCloud, Shape
from pointkit.formats import records
from pointkit.formats.columns import LABEL, plain

Parts = tuple[str, ...]  # the folders of a path and its name

INNER = ("annotations", "annotation", "parts", "segments", "pieces", "objects", "instances", "components")
_NUMBER = re.compile(r"[\s_.(-]*\d+\)?$")


@dataclass(frozen=True)
class Pieces:
    """Folder of a shape -> its files with their parts; and the files ``whole``, which hold the same points again."""

    shapes: dict[Parts, list[tuple[Parts, str]]] = field(default_factory=dict)
    whole: frozenset[Parts] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The parts of all shapes, sorted."""
        return tuple(sorted({part for files in self.shapes.values() for _, part in files}))

    def __bool__(self) -> bool:
        return bool(self.shapes)


def find(paths: Collection[Parts]) -> Pieces:
    """The shapes in pieces among files to read, below one folder; none where the files do not look like pieces.

    They do where several folders hold files of several parts each, and folders share the names of their parts.
    """
    folders: dict[Parts, list[tuple[Parts, str]]] = defaultdict(list)
    for path in sorted(paths):
        folders[path[:-1]].append((path, part_of(path[-1])))
    inner = {folder for folder in folders if len(folder) > 1 and folder[-1].lower() in INNER}
    if inner:
        folders = {folder: folders[folder] for folder in sorted(inner)}
    shared = Counter(part for files in folders.values() for part in {part for _, part in files})
    found = {
        folder: files
        for folder, files in folders.items()
        if all(part for _, part in files) and len({part for _, part in files if shared[part] > 1}) > 1
    }
    names = {part for files in found.values() for _, part in files}
    if len(found) < 2 or sum(shared[part] > 1 for part in names) * 2 <= len(names):
        return Pieces()
    shapes = {folder[:-1] if folder in inner else folder: files for folder, files in found.items()}
    beside = {path for path in paths if path[:-1] in shapes} if inner else set()
    return Pieces(shapes, frozenset(beside))


def part_of(name: str) -> str:
    """The part that a file is named after; "" where its name is a number alone."""
    return _NUMBER.sub("", os.path.splitext(name)[0]).strip(" _.-")


def join(pieces: Sequence[Shape], parts: Sequence[int]) -> Shape:
    """One shape of several, all clouds or all meshes: each point, or face, has the number of its piece's part as label.

    Fields that all pieces have are kept. Coordinates are joined as their files have them. Raises ValueError where
    clouds and meshes lie together.
    """
    meshes = [piece for piece in pieces if isinstance(piece, Mesh) and len(piece.faces)]
    if meshes and len(meshes) < len(pieces):
        raise ValueError("pieces of one shape must be all clouds or all meshes, found both")
    exact = np.concatenate([records.coordinates(piece).astype(np.float64) for piece in pieces])
    points, placement = records.placed("points", exact)
    if meshes:
        return _joined_meshes(meshes, parts, points, placement)
    sizes = [len(records.coordinates(piece)) for piece in pieces]
    fields = _shared([piece.vertex_fields if isinstance(piece, Mesh) else piece.fields for piece in pieces])
    return PointCloud(points, fields, np.repeat(parts, sizes).astype(np.int32), placement)


def _joined_meshes(meshes: Sequence[Mesh], parts: Sequence[int], points: Array, placement: Placement) -> Mesh:
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, first, strict=False)])
    labels = np.repeat(parts, [len(mesh.faces) for mesh in meshes]).astype(np.int32)
    vertex_fields = _shared([mesh.vertex_fields for mesh in meshes])
    return Mesh(points, faces, {LABEL: labels}, placement, vertex_fields=vertex_fields)


def _shared(fields: Sequence[object]) -> dict[str, Array]:
    """The fields that all have, of one width, without labels: those of the pieces are in their names."""
    maps = [dict(some) for some in fields]  # type: ignore[call-overload]
    names = [name for name in maps[0] if all(name in some and some[name].ndim == maps[0][name].ndim for some in maps)]
    kept = [name for name in names if len({some[name].shape[1:] for some in maps}) == 1 and plain(name) != LABEL]
    return {name: np.concatenate([some[name] for some in maps]) for name in kept}
