"""Two clouds laid on each other: whether both may be draws of one surface, or even the same points.

A draw of a surface is as far from another draw as its own points are from each other, and no farther from the planes
through the other's points. Both are compared: the first is sharp for thin parts, the second for large faces.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from pointkit.cloud import Float64

POINTS = 2048  # of each cloud
FEW, SOME, MANY = 128, 512, 1536  # of these for a first try, for a second, and to be measured from planes
FIRST_STEPS, STEPS, PLANE_STEPS = 4, 6, 3  # of the laying
AROUND = 6  # points through which a plane goes
# The distance from the other cloud, as a share of what is to be expected of two draws: above, the shapes are others.
FIRST_TRY, SECOND_TRY, NEAR, ALIKE = 1.25, 1.12, 1.07, 1.058
SAME, ON_TOP = 1.0, 0.6  # of the same, for clouds of the same points: with prints that say so, and without
SAME_PRINTS = 0.3  # of the prints' distance that is to be expected: that of clouds of the same points is smaller
PLANES = 0.18  # the power by which the distance from planes counts beside that from points
LEAST = 1000  # points by which surfaces can be compared: of fewer, only the same points are a copy
RESOLVED = 0.065  # distance to be expected, of the root mean square: where it is larger, surfaces cannot be compared
RANDOM, EVEN = 0.45, 0.62  # of points drawn at random, and evenly: the distance of the nearest to that of the sixth
EVEN_NEAR, EVEN_PRINT = 0.53, 0.12  # what is to be expected of evenly drawn points, as a share of random ones


class Cloud:
    """A cloud, centred and of the root mean square 1, with what is asked of it again and again."""

    def __init__(self, points: ArrayLike) -> None:
        from scipy.spatial import cKDTree

        centred = np.asarray(points, np.float64)[:POINTS]
        centred = centred - centred.mean(0)
        self.points = centred / np.sqrt(np.einsum("nd,nd->n", centred, centred).mean())
        self.tree = cKDTree(self.points, leafsize=24, compact_nodes=False, balanced_tree=False)
        self._expected: dict[int, float] = {}

    @cached_property
    def even(self) -> float:
        """How evenly the points are drawn, from 0 (at random) to 1."""
        around = min(AROUND, len(self.points) - 1)
        distances = self.tree.query(self.points[:FEW], [2, around + 1])[0].mean(0)
        return float(np.clip((distances[0] / max(distances[1], 1e-12) - RANDOM) / (EVEN - RANDOM), 0, 1))

    def expected(self, count: int) -> float:
        """The distance to be expected of the points of another draw, from that of ``count`` own points."""
        if count not in self._expected:
            nearest = float(self.tree.query(self.points[:count], [2])[0].mean())
            self._expected[count] = nearest * (1 - (1 - EVEN_NEAR) * self.even)
        return self._expected[count]

    @cached_property
    def off_planes(self) -> float:
        """The mean distance of the first points from the planes through those around each."""
        return float(np.abs(self.plane_distances(self.points[:MANY], own=True)[0]).mean())

    def plane_distances(self, points: Float64, own: bool = False) -> tuple[Float64, Float64]:
        """Signed distances (N,) of points from the planes through the nearest of the cloud, and the normals (N, 3)."""
        indices = self.tree.query(points, AROUND + own)[1][:, int(own) :]
        around = self.points[indices]
        middle = around.mean(1)
        around = around - middle[:, None]
        normals = np.linalg.eigh(around.swapaxes(1, 2) @ around)[1][..., 0]
        return np.einsum("nd,nd->n", points - middle, normals), normals


class Motion:
    """A turn about z, a scale and a shift: points @ turn * scale + shift."""

    def __init__(self, angle: float) -> None:
        self.turn, self.scale, self.shift = _turn(angle), 1.0, np.zeros(3)

    def __call__(self, points: Float64) -> Float64:
        moved: Float64 = self.scale * (points @ self.turn) + self.shift
        return moved

    def back(self, points: Float64) -> Float64:
        """The inverse."""
        moved: Float64 = ((points - self.shift) / self.scale) @ self.turn.T
        return moved

    def onto_points(self, one: Cloud, other: Cloud, count: int, steps: int) -> None:
        """Lay points of one cloud on the nearest of the other: the least squares of the distances, step by step."""
        points = one.points[:count]
        middle = points.mean(0)
        centred = points - middle
        squares = (centred * centred).sum()
        for _ in range(steps):
            nearest = other.points[other.tree.query(self(points))[1]]
            target = nearest.mean(0)
            aimed = nearest - target
            cross = centred.T @ aimed
            self.turn = _turn(np.arctan2(cross[0, 1] - cross[1, 0], cross[0, 0] + cross[1, 1]))
            self.scale = ((centred @ self.turn) * aimed).sum() / squares
            self.shift = target - self.scale * (middle @ self.turn)

    def onto_planes(self, one: Cloud, other: Cloud, count: int) -> None:
        """A step that lays points of one cloud on planes of the other. Those that are far from them count less."""
        points = self(one.points[:count])
        distances, normals = other.plane_distances(points)
        x, y, _ = points.T
        slopes = np.c_[normals[:, 1] * x - normals[:, 0] * y, np.einsum("nd,nd->n", normals, points), normals]
        weights = 1 / np.sqrt(np.abs(distances) + np.median(np.abs(distances)) + 1e-9)
        step = np.linalg.lstsq(slopes * weights[:, None], -distances * weights, rcond=1e-3)[0]
        turn, scale = _turn(step[0]), 1 + step[1]
        self.turn, self.scale = self.turn @ turn, self.scale * scale
        self.shift = scale * (self.shift @ turn) + step[2:]


def _turn(angle: float) -> Float64:
    """A turn about z by an angle in radians, as points @ turn."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def alike(one: Cloud, other: Cloud, angles: Iterable[float], apart: float) -> bool:
    """Whether two clouds may be draws of one surface when the first is turned by one of the ``angles`` (radians).

    ``apart`` is the distance of their prints, as a share of what is to be expected of two random draws.
    """
    tried = ((motion, near) for angle in angles for motion, near in [_tried(one, other, angle)] if near < FIRST_TRY)
    motion, near = next(tried, (None, 0.0))
    if motion is None or near < ON_TOP:
        return motion is not None
    motion.onto_points(one, other, SOME, STEPS)
    same_prints = apart < SAME_PRINTS * (1 - (1 - EVEN_PRINT) * (one.even + other.even) / 2)
    near = _near(one, other, motion, SOME)
    if near > SECOND_TRY or (near < SAME and same_prints):
        return near < SAME and same_prints
    fewest = min(len(one.points), len(other.points))
    if fewest < LEAST or one.expected(POINTS) + other.expected(POINTS) > 2 * RESOLVED:
        return False
    for _ in range(PLANE_STEPS):
        motion.onto_planes(one, other, SOME)
    near = _near(one, other, motion, POINTS)
    if near > NEAR:
        return False
    off = _off_planes(one, other, motion) / max(one.off_planes + other.off_planes, 1e-9)
    return bool(near * off**PLANES < ALIKE)


def _tried(one: Cloud, other: Cloud, angle: float) -> tuple[Motion, float]:
    """A first motion, by a few points, and how near it brings them."""
    motion = Motion(angle)
    motion.onto_points(one, other, FEW, FIRST_STEPS)
    return motion, _near(one, other, motion, FEW)


def _near(one: Cloud, other: Cloud, motion: Motion, count: int) -> float:
    """The mean distance of points of each cloud from the other, as a share of what is to be expected of two draws."""
    there = other.tree.query(motion(one.points[:count]))[0].mean()
    back = one.tree.query(motion.back(other.points[:count]))[0].mean()
    return float((there + back) / max(one.expected(count) + other.expected(count), 1e-12))


def _off_planes(one: Cloud, other: Cloud, motion: Motion) -> float:
    """The mean distance of the points of each cloud from the planes of the other, both added."""
    there = np.abs(other.plane_distances(motion(one.points[:MANY]))[0]).mean()
    back = np.abs(one.plane_distances(motion.back(other.points[:MANY]))[0]).mean()
    return float(there + back)
