"""What a training measures on its validation shapes after each epoch, batch by batch, by the rules of its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Float32
from pointkit.metrics.segmentation import ShapeScore, mean_iou, restricted_answer, score_shape

Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]


class Scores(Protocol):
    """Counts the answers of batches, and gives the figures of all."""

    def add(self, logits: Float32, truth: Int32, known: Bool, classes: Int32) -> None:
        """Count a batch: logits (B, ..., K), the right ids, and whether each of these counts.

        ``classes`` (B,) are the class, or category, of each shape.
        """

    def figures(self, total: float) -> dict[str, float]:
        """The columns of the history except the loss; ``total`` is the number of answers that counted."""


class ClassScores:
    """For classes: the share of shapes that are answered rightly."""

    def __init__(self) -> None:
        self.right = 0

    def add(self, logits: Float32, truth: Int32, known: Bool, classes: Int32) -> None:
        self.right += int((logits.argmax(1) == truth)[known].sum())

    def figures(self, total: float) -> dict[str, float]:
        return {"val_accuracy": float(self.right / total)}


class PartScores:
    """For parts: the share of points that are answered rightly, and instance mIoU.

    A point's answer is the best part of its shape's category. ``part_ids``: category -> the ids of its parts. A part
    that no validation shape has is left out of every mean: it would count as found where it is never answered.
    """

    def __init__(self, part_ids: Mapping[str, range]) -> None:
        self.spans = list(part_ids.items())
        self.scores: list[ShapeScore] = []

    def add(self, logits: Float32, truth: Int32, known: Bool, classes: Int32) -> None:
        for number, rows, ids, seen in zip(classes, logits, truth, known, strict=True):
            category, span = self.spans[number]
            answer = restricted_answer(rows, span)
            score = score_shape(category, np.where(seen, ids - span.start, -1), answer, len(span))
            self.scores += [score] if score else []

    def figures(self, total: float) -> dict[str, float]:
        right = sum(int(np.trace(score.confusion)) for score in self.scores)
        figures = {"val_accuracy": float(right / total)}
        return figures | ({"val_miou": mean_iou(self.scores)} if self.scores else {})
