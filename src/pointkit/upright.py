"""Which axis of a file points up, and how its points are turned so that up is z, as networks and pictures have it.

A turn is by quarters: coordinates change places and signs, and lose no digit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from pointkit.cloud import Array, Mesh, Placement, Shape
from pointkit.errors import PointkitError
from pointkit.traits import AXES

UP = "z"  # what networks and pictures have
# The axis that is up -> the axes of the file that become x, y and z, each with its sign. All are turns, none a mirror.
_TURNS: Mapping[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "x": ((1, 1), (2, 1), (0, 1)),
    "y": ((0, 1), (2, -1), (1, 1)),
    "z": ((0, 1), (1, 1), (2, 1)),
    "-x": ((2, 1), (1, 1), (0, -1)),
    "-y": ((0, 1), (2, 1), (1, -1)),
    "-z": ((0, 1), (1, -1), (2, -1)),
}


def check(up: str) -> str:
    """The axis that is up. Raises PointkitError where it is none of AXES."""
    if up not in AXES:
        raise PointkitError(f"--up must be one of {', '.join(AXES)}, the axis of the files that points up, got {up!r}")
    return up


def turned(vectors: Array, up: str) -> Array:
    """Points or normals (..., 3) of a file in which the axis ``up`` points up, turned so that this is z."""
    if up == UP:
        return vectors
    places, signs = zip(*_TURNS[up], strict=True)
    answer: Array = vectors[..., list(places)] * np.array(signs, vectors.dtype)
    return answer


def opposite(axis: str) -> str:
    """The axis that points the other way."""
    return axis.removeprefix("-") if axis.startswith("-") else f"-{axis}"


def turned_features(features: Mapping[str, Any], up: str) -> dict[str, Any]:
    """Features by kind, of which the normals turn with the points."""
    return {kind: turned(numbers, up) if kind == "normals" else numbers for kind, numbers in features.items()}


def turned_shape(shape: Shape, up: str) -> Shape:
    """A shape turned so that ``up`` is z, for a picture: its fields, normals too, stay as they are."""
    if up == UP:
        return shape
    if isinstance(shape, Mesh):
        return dataclasses.replace(shape, vertices=turned(shape.vertices, up), placement=Placement())
    return dataclasses.replace(shape, points=turned(shape.points, up), placement=Placement())
