"""Classes that size alone tells apart: their sizes hardly overlap, while their shapes do."""

from __future__ import annotations

import itertools

import numpy as np

from pointkit.audit.looked import Int64, Looked
from pointkit.cloud import Array

LEAST = 4  # shapes of a class
MOST = 60  # of a class that are compared
APART = 0.97  # of all pairs of shapes of two classes, the larger is of the larger class
ALIKE = 0.72  # of the shapes' nearest prints at most are of the own class; chance gives a half


def pairs(looked: Looked) -> list[tuple[int, int]]:
    """Pairs of classes, by their ids, that size tells apart and shape does not. None in a store of parts."""
    store = looked.store
    if store.task.labels_points:
        return []
    members = {label: np.flatnonzero(looked.labels == label)[:MOST] for label in range(len(store.classes))}
    members = {label: some[looked.traits.extent[some] > 0] for label, some in members.items()}
    there = [label for label, some in members.items() if len(some) >= LEAST]
    found = []
    for one, other in itertools.combinations(there, 2):
        sizes = [looked.traits.extent[members[label]] for label in (one, other)]
        if _apart(*sizes) and not _told(looked, members[one], members[other]):
            found.append((one, other))
    return found


def _apart(one: Array, other: Array) -> bool:
    """Whether nearly all sizes of one class are larger than those of another."""
    larger = (one[:, None] > other[None]).mean()
    return bool(max(larger, 1 - larger) >= APART)


def _told(looked: Looked, one: Int64, other: Int64) -> bool:
    """Whether prints tell two classes apart: the nearest of most shapes is of the same class."""
    count = min(len(one), len(other))  # of equally many, so that chance is a half
    waves = np.abs(looked.prints.waves[np.r_[one[:count], other[:count]]]).reshape(2 * count, -1)
    own = np.repeat([0, 1], count)
    squares = np.einsum("sa,sa->s", waves, waves)
    apart = squares[:, None] + squares - 2 * waves @ waves.T
    np.fill_diagonal(apart, np.inf)
    right = (own[apart.argsort(1)[:, :3]] == own[:, None]).mean(1) > 0.5
    return bool(right.mean() > ALIKE)
