"""What the audit looks at: each shape of a store once, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit import traits
from pointkit.audit import copies, laying
from pointkit.cloud import Array, Float32, Float64
from pointkit.store import Store
from pointkit.traits import Traits

AT_ONCE = 32  # shapes
Int64 = NDArray[np.int64]


class Held(NamedTuple):
    """Which shapes hold which parts: the shape, the id of the part (-1 for none), the number of points, each (H,)."""

    shape: Int64
    part: Int64
    points: Int64


@dataclass(frozen=True, eq=False)
class Looked:
    """A store as the audit sees it.

    ``splits`` (S,) are the shapes' splits. ``read`` gives the file of a shape as ``formats.read`` does, for findings
    that need more than the store holds, or is None.
    """

    store: Store
    read: Callable[[int], Any] | None = None

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        return np.array([row.split for row in self.store.rows])

    @property
    def labels(self) -> NDArray[np.int32]:
        """The classes' ids (S,)."""
        return self.store.labels

    def files(self, shapes: Array | Sequence[int]) -> list[str]:
        """The files of shapes."""
        return [self.store.rows[int(shape)].file for shape in shapes]

    def _clouds(self, most: int) -> Iterator[tuple[Int64, Float32]]:
        """Shapes of about the same number of points, and their first points (B, N, 3)."""
        seen = np.minimum(self.store.counts, most)
        for count in np.unique(seen).tolist():
            same = np.flatnonzero(seen == count)
            for start in range(0, len(same), AT_ONCE):
                some = same[start : start + AT_ONCE]
                yield some, np.stack([self.store.cloud(i)[:count] for i in some.tolist()])

    @cached_property
    def traits(self) -> Traits:
        """The traits of all shapes."""
        found: list[Traits] = []
        order: list[Int64] = []
        for members, count in traits.groups(self.store.counts, AT_ONCE):
            found.append(traits.of(np.stack([self.store.cloud(i)[:count] for i in members.tolist()])))
            order.append(members)
        return Traits(*(_in_order(order, list(arrays)) for arrays in zip(*found, strict=True)))

    @cached_property
    def reach(self) -> Float64:
        """How far the farthest point of each shape is from its center, in halves of its extent, (S,)."""
        found = np.zeros(len(self.store.rows))
        for some, points in self._clouds(laying.POINTS):
            apart = points - self.traits.center[some][:, None].astype(np.float32)
            found[some] = np.sqrt(np.einsum("snd,snd->sn", apart, apart).max(1))
        half = self.traits.extent / 2
        return found / np.where(half > 0, half, np.inf)

    @cached_property
    def prints(self) -> copies.Prints:
        """The prints of all shapes (``copies``)."""
        waves, noise, order = [], [], []
        for some, points in self._clouds(laying.POINTS):
            found = copies.prints(points)
            waves.append(found.waves)
            noise.append(found.noise)
            order.append(some)
        return copies.Prints(_in_order(order, waves), _in_order(order, noise))

    @cached_property
    def ranges(self) -> Float64 | None:
        """The ranges of the features of each shape (S, 3, C), None where the store holds none."""
        if self.store.features is None:
            return None
        features = self.store.features
        return np.stack([traits.ranges(features[self.store.span(i)]) for i in range(len(self.store.rows))])

    @cached_property
    def held(self) -> Held:
        """Which shapes hold which parts; nothing in a store of classes."""
        found: list[tuple[int, Array, Array]] = []
        if self.store.point_labels is not None:
            for i in range(len(self.store.rows)):
                parts, points = np.unique(self.store.point_labels[self.store.span(i)], return_counts=True)
                found.append((i, parts, points))
        sizes = [len(parts) for _, parts, _ in found]
        whole = np.repeat(np.array([i for i, _, _ in found], np.int64), sizes)
        none = [np.empty(0, np.int64)]
        return Held(
            whole,
            np.concatenate([parts for _, parts, _ in found] or none).astype(np.int64),
            np.concatenate([points for _, _, points in found] or none).astype(np.int64),
        )

    def holding(self, part: int) -> Int64:
        """The shapes that hold a part."""
        shapes: Int64 = self.held.shape[self.held.part == part]
        return shapes


def _in_order(order: Sequence[Int64], arrays: Sequence[Array]) -> Array:
    """Arrays of groups of shapes as one array, in the order of the shapes."""
    whole = np.concatenate(arrays)
    found = np.empty_like(whole)
    found[np.concatenate(order)] = whole
    return found
