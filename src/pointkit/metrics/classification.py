"""How well shapes are named: accuracies, scores of each class, an interval, and the report that holds them all.

Everything is computed from one confusion matrix, row = truth. A figure that is not defined (the recall of a class
without test shapes) is None, never 0 and never a warning; means leave such classes out, and the report names them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit.metrics.calibration import class_ids, cross_entropy, expected_calibration_error, softmax


class PerClass(NamedTuple):
    """Scores of each class in id order, 0 to 1 or None where not defined, and the number of its test shapes."""

    precision: list[float | None]
    recall: list[float | None]
    f1: list[float | None]
    support: list[int]


def confusion(truth: ArrayLike, answer: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Counts (K, K) int64: row = true class, column = answer. ``truth`` and ``answer`` are ids (S,)."""
    true_ids, answer_ids = class_ids("truth", truth, num_classes), class_ids("answer", answer, num_classes)
    if len(true_ids) != len(answer_ids):
        raise ValueError(f"truth and answer must be equally long, got {len(true_ids)} and {len(answer_ids)}")
    pairs = np.bincount(true_ids * num_classes + answer_ids, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def _checked(matrix: ArrayLike) -> NDArray[np.int64]:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"a confusion matrix must be (K, K) whole numbers, got {counts.dtype} {counts.shape}")
    return counts.astype(np.int64)


def _ratios(part: ArrayLike, whole: ArrayLike) -> list[float | None]:
    pairs = zip(np.asarray(part).tolist(), np.asarray(whole).tolist(), strict=True)
    return [p / w if w else None for p, w in pairs]


def overall_accuracy(matrix: ArrayLike) -> float | None:
    """The share of shapes answered rightly, from a confusion matrix (K, K); None without any shape."""
    counts = _checked(matrix)
    return _ratios([np.trace(counts)], [counts.sum()])[0]


def mean_class_accuracy(matrix: ArrayLike) -> float | None:
    """The mean recall of the classes that have test shapes, from a confusion matrix (K, K); None without any shape."""
    recalls = [recall for recall in per_class(matrix).recall if recall is not None]
    return math.fsum(recalls) / len(recalls) if recalls else None


def per_class(matrix: ArrayLike) -> PerClass:
    """Precision, recall, F1 and support of each class, from a confusion matrix (K, K).

    Precision is None for a class that was never answered, recall for one without test shapes. F1 is
    2 TP / (2 TP + FP + FN), and None only where both are: a class answered but absent has F1 = 0.
    """
    counts = _checked(matrix)
    right, support, answered = counts.diagonal(), counts.sum(1), counts.sum(0)
    return PerClass(
        precision=_ratios(right, answered),
        recall=_ratios(right, support),
        f1=_ratios(2 * right, support + answered),
        support=support.tolist(),
    )


def wilson_interval(correct: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """The interval in which the true share lies with probability ``level``, when ``correct`` of ``total`` were right.

    Wilson's score interval stays within 0 ... 1, and has a width also where all or none were right.
    """
    if not 0 <= correct <= total or not total:
        raise ValueError(f"an interval needs 0 <= correct <= total and total > 0, got {correct} of {total}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, shrink = correct / total, 1 + z**2 / total
    middle = (share + z**2 / (2 * total)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    # At the ends the formula gives exactly 0 and 1; rounding must not leave the truth outside.
    low = 0.0 if correct == 0 else middle - half
    high = 1.0 if correct == total else middle + half
    return low, high


def mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean and the sample standard deviation (n - 1) of figures; the deviation of a single one is None."""
    if not len(values):
        raise ValueError("a mean needs at least one value, got none")
    numbers = np.asarray(values, np.float64)
    return float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else None


def classification_report(logits: ArrayLike, truth: ArrayLike, classes: Sequence[str]) -> dict[str, Any]:
    """The figures of a report, ready for JSON, from logits (S, K), true ids (S,) and the K class names in id order.

    The answer is the class of the largest logit. Raises ValueError for no shapes or for arrays that do not fit.
    """
    probabilities = softmax(logits)
    if probabilities.shape[1] != len(classes):
        raise ValueError(f"logits must have a column for each of {len(classes)} classes, got {probabilities.shape[1]}")
    loss = cross_entropy(logits, truth)
    matrix = confusion(truth, np.argmax(np.asarray(logits), 1), len(classes))
    scores = per_class(matrix)
    calibration = expected_calibration_error(probabilities, truth)
    absent = [name for name, support in zip(classes, scores.support, strict=True) if not support]
    total = int(matrix.sum())
    return {
        "num_shapes": total,
        "oa": overall_accuracy(matrix),
        "oa_interval": list(wilson_interval(int(np.trace(matrix)), total)),
        "macc": mean_class_accuracy(matrix),
        "ece": calibration.error,
        "loss": loss,
        "classes": [
            {"name": name, "precision": precision, "recall": recall, "f1": f1, "support": support}
            for name, precision, recall, f1, support in zip(classes, *scores, strict=True)
        ],
        "confusion": matrix.tolist(),
        "calibration": [asdict(row) for row in calibration.bins],
        "absent_classes": absent,
        "warnings": [],
    }
