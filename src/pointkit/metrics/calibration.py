"""Whether a network's probabilities can be believed: softmax, cross-entropy, expected calibration error.

Of the shapes answered with a confidence near 0.8, eight in ten should be right. Shapes are put into bins of equal width
by the probability of their answer; the error is the mean gap between confidence and accuracy, weighted by the counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit.cloud import Float64


@dataclass(frozen=True)
class Bin:
    """One bar of the calibration diagram: the shapes whose answer has a probability in (low, high].

    ``confidence`` is their mean probability, ``accuracy`` the share of right answers; both None where ``count`` is 0.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


class Calibration(NamedTuple):
    """The expected calibration error, 0 to 1, and the bins it was computed from, lowest first."""

    error: float
    bins: tuple[Bin, ...]


def class_ids(name: str, values: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Class ids (S,) as int64. Raises ValueError where they are no whole numbers in 0 ... num_classes - 1."""
    ids = np.asarray(values)
    if ids.ndim != 1 or not (np.issubdtype(ids.dtype, np.integer) or not ids.size):
        raise ValueError(f"{name} must be whole numbers of the shape (S,), got {ids.dtype} {ids.shape}")
    if ids.size and not (ids.min() >= 0 and ids.max() < num_classes):
        bad = ids[(ids < 0) | (ids >= num_classes)][0]
        raise ValueError(f"{name} must lie in 0 ... {num_classes - 1}, got {int(bad)}")
    return ids.astype(np.int64)


def _scores(name: str, values: ArrayLike) -> Float64:
    scores = np.asarray(values, np.float64)
    if scores.ndim != 2 or not scores.shape[1]:
        raise ValueError(f"{name} must have the shape (S, K), got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} must be finite, got {scores[~np.isfinite(scores)][0]}")
    return scores


def _scores_and_truth(name: str, values: ArrayLike, truth: ArrayLike) -> tuple[Float64, NDArray[np.int64]]:
    scores = _scores(name, values)
    ids = class_ids("truth", truth, scores.shape[1])
    if len(ids) != len(scores) or not len(ids):
        raise ValueError(f"{name} and truth must name the same shapes, at least one, got {len(scores)} and {len(ids)}")
    return scores, ids


def log_softmax(logits: ArrayLike) -> Float64:
    """Log-probabilities (S, K) float64 of logits (S, K); nothing overflows, however large the logits."""
    scores = _scores("logits", logits)
    shifted = scores - scores.max(1, keepdims=True)
    normaliser: Float64 = np.log(np.exp(shifted).sum(1, keepdims=True))
    result: Float64 = shifted - normaliser
    return result


def softmax(logits: ArrayLike) -> Float64:
    """Probabilities (S, K) float64 of logits (S, K); every row adds up to 1."""
    probabilities: Float64 = np.exp(log_softmax(logits))
    return probabilities


def cross_entropy(logits: ArrayLike, truth: ArrayLike, label_smoothing: float = 0.0) -> float:
    """The mean over shapes of -log p(true class), in nats, from logits (S, K) and true ids (S,).

    With ``label_smoothing`` that share of each label's certainty goes to all classes alike, as in training. Classes
    with a logit below -1e8 are ruled out and get none of it.
    """
    scores, ids = _scores_and_truth("logits", logits, truth)
    logs = log_softmax(scores)
    loss = -logs[np.arange(len(ids)), ids].mean()
    if not label_smoothing:
        return float(loss)
    possible = scores > -1e8
    alike = -(np.where(possible, logs, 0).sum(1) / possible.sum(1)).mean()
    return float((1 - label_smoothing) * loss + label_smoothing * alike)


def expected_calibration_error(probabilities: ArrayLike, truth: ArrayLike, bins: int = 15) -> Calibration:
    """Calibration of probabilities (S, K) against true ids (S,) in ``bins`` bins of equal width.

    The answer is the most probable class. Raises ValueError where rows do not add up to 1 (logits, for example).
    """
    scores, ids = _scores_and_truth("probabilities", probabilities, truth)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    off = np.abs(scores.sum(1) - 1)
    if scores.min() < 0 or off.max() > 1e-3:
        raise ValueError(f"probabilities must be at least 0 and add up to 1, got {scores[off.argmax()].tolist()}")
    confidence = scores.max(1)
    right = scores.argmax(1) == ids
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    # Sums, not means: an empty bin then adds 0 and never divides by 0.
    confidence_sum = np.bincount(place, confidence, bins)
    right_sum = np.bincount(place, right, bins)
    table = tuple(
        Bin(float(low), float(high), int(n), float(c / n) if n else None, float(r / n) if n else None)
        for low, high, n, c, r in zip(edges[:-1], edges[1:], counts, confidence_sum, right_sum, strict=True)
    )
    return Calibration(float(np.abs(confidence_sum - right_sum).sum() / len(ids)), table)
