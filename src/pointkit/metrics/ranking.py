"""How well a number tells two kinds apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def auroc(ordinary: ArrayLike, others: ArrayLike) -> float:
    """The area under the ROC curve: the share of pairs in which the other's number is the larger; a tie counts half.

    ``ordinary`` (N,) and ``others`` (M,) are numbers of either kind. Raises ValueError where one is empty or not
    finite. Hanley and McNeil, Radiology 143, 1982.
    """
    first, second = np.sort(np.asarray(ordinary, np.float64)), np.asarray(others, np.float64)
    if not first.size or not second.size or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("both kinds must have numbers, and finite ones")
    below = np.searchsorted(first, second, "left") + np.searchsorted(first, second, "right")
    return float(below.mean() / (2 * first.size))
