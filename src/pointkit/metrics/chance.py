"""Whether answers hang on the truth at all, from a confusion matrix (K, K) of counts, row = truth.

An accuracy says little by itself: 80 % is much with ten classes alike, and nothing where 80 % of the shapes are chairs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

DOMINATES = 0.5  # share of the other classes' shapes that one class draws to itself
FEW = 5  # shapes: fewer prove nothing


class Guessing(NamedTuple):
    """How many would be right if the same answers were given to the shapes at random: the mean of it, and how many
    standard deviations the true number lies above (0 where there is no deviation, as with one answer for all)."""

    expected: float
    above: float


class Dominating(NamedTuple):
    """A class that draws the others' shapes: ``wrong`` of ``others`` shapes of other classes are answered as it."""

    top: int
    wrong: int
    others: int


class Mixed(NamedTuple):
    """Two classes that are taken for each other: ``there`` of the first for the second, ``back`` the other way."""

    first: int
    second: int
    there: int
    back: int


def guessing(matrix: ArrayLike) -> Guessing:
    """What the right answers are compared with: the same answers, shuffled (Cohen's kappa rests on this, too)."""
    counts = np.asarray(matrix, np.float64)
    total, truth, answers = counts.sum(), counts.sum(1), counts.sum(0)
    if total < 2:
        return Guessing(float(total), 0.0)
    both = truth * answers
    alone = (both * (total - truth) * (total - answers)).sum()
    together = both.sum() ** 2 - (both**2).sum()
    variance = (alone + together) / (total**2 * (total - 1))
    expected = both.sum() / total
    above = (np.trace(counts) - expected) / math.sqrt(variance) if variance > 1e-9 else 0.0
    return Guessing(float(expected), float(above))


def kappa(matrix: ArrayLike) -> float | None:
    """Cohen's kappa: 1 where all is right, 0 where as many are right as by guessing; None where it is not defined."""
    counts = np.asarray(matrix, np.float64)
    total = counts.sum()
    expected = (counts.sum(0) * counts.sum(1)).sum() / max(total, 1)
    return float((np.trace(counts) - expected) / (total - expected)) if total > expected else None


def dominating(matrix: ArrayLike) -> Dominating | None:
    """The class as which more than ``DOMINATES`` of all other classes' shapes are answered, at least ``FEW``; or None.

    So it hangs on the test set's own shares: 94 answers of 100 are fine where 94 shapes are of that class.
    """
    counts = np.asarray(matrix)
    if not counts.size:
        return None
    wrong, others = counts.sum(0) - counts.diagonal(), counts.sum() - counts.sum(1)
    top = int(wrong.argmax())
    if wrong[top] < FEW or wrong[top] <= DOMINATES * others[top]:
        return None
    return Dominating(top, int(wrong[top]), int(others[top]))


def most_mixed_up(matrix: ArrayLike) -> Mixed | None:
    """The two classes most often taken for each other, or None where all is right."""
    counts = np.asarray(matrix)
    either = np.triu(counts + counts.T, 1)
    if not either.any():
        return None
    first, second = (int(i) for i in np.unravel_index(either.argmax(), either.shape))
    return Mixed(first, second, int(counts[first, second]), int(counts[second, first]))
