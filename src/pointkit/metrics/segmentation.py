"""How well the parts of shapes are found: IoU by part, shape and category, as the ShapeNet part benchmark defines them.

IoU is intersection over union. A shape's IoU is the mean over the parts of its category. A part that neither the truth
nor the answer has scores 1, so a category of one part scores 1 everywhere. Means are taken over shapes, never over
batches or points. Points without a label (-1 in the truth) count nowhere.

Source: Qi et al., PointNet, CVPR 2017, section 5.2; Yi et al., SIGGRAPH Asia 2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_CONFUSED = 10  # pairs of parts that a report lists


class ShapeScore(NamedTuple):
    """One shape's answer: its ``category``, and the confusion (P, P) int64 of the category's parts, row = truth."""

    category: str
    confusion: NDArray[np.int64]

    @property
    def ious(self) -> list[float]:
        """IoU of each part of the category; 1 where the part is in neither truth nor answer."""
        right, either = self._right_and_either()
        return [float(r / e) if e else 1.0 for r, e in zip(right.tolist(), either.tolist(), strict=True)]

    @property
    def iou(self) -> float:
        """The mean over the category's parts."""
        return math.fsum(self.ious) / len(self.ious)

    @property
    def points(self) -> int:
        """Labelled points."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share of labelled points whose part is right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    def _right_and_either(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        right = self.confusion.diagonal()
        return right, self.confusion.sum(0) + self.confusion.sum(1) - right


def restricted_answer(scores: ArrayLike, parts: range) -> NDArray[np.int64]:
    """The part of each point (N,), from 0 within the category, from scores (N, all parts): the best of ``parts``.

    ``parts`` are the columns of the category. The scores of other categories' parts are ignored.
    """
    columns = np.asarray(scores)
    if columns.ndim != 2 or not 0 <= parts.start < parts.stop <= columns.shape[1]:
        raise ValueError(f"scores must be (N, all parts) with the columns {parts}, got the shape {columns.shape}")
    answer: NDArray[np.int64] = columns[:, parts.start : parts.stop].argmax(1)
    return answer


def score_shape(category: str, truth: ArrayLike, answer: ArrayLike, num_parts: int) -> ShapeScore | None:
    """Compare a shape's parts (N,), from 0 within its category; None where no point has a label (-1 is none).

    Raises ValueError where the two are not equally long, or hold a number that is no part of the category.
    """
    true_ids, answer_ids = np.asarray(truth), np.asarray(answer)
    if true_ids.ndim != 1 or true_ids.shape != answer_ids.shape:
        raise ValueError(f"truth and answer must be (N,) and equally long, got {true_ids.shape} and {answer_ids.shape}")
    labelled = true_ids != -1
    true_ids, answer_ids = true_ids[labelled], answer_ids[labelled]
    if not len(true_ids):
        return None
    for name, ids in (("truth", true_ids), ("answer", answer_ids)):
        if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= num_parts:
            raise ValueError(f"{name} must be whole numbers from 0 to {num_parts - 1}, got {ids.min()} to {ids.max()}")
    pairs = np.bincount(true_ids.astype(np.int64) * num_parts + answer_ids, minlength=num_parts**2)
    return ShapeScore(category, pairs.reshape(num_parts, num_parts))


def mean_iou(scores: Sequence[ShapeScore]) -> float:
    """The mean over shapes of the mean IoU of the parts that any shape of the category truly has."""
    points: dict[str, NDArray[np.int64]] = {}
    for score in scores:
        points[score.category] = score.confusion.sum(1) + points.get(score.category, 0)
    return float(np.mean([np.mean(np.array(score.ious)[points[score.category] > 0]) for score in scores]))


def segmentation_report(scores: Iterable[ShapeScore | None], parts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The figures of a report, ready for JSON, from the scores of all shapes, and category -> names of its parts.

    ``instance_miou`` is the mean over shapes, ``class_miou`` the mean of the categories' means, ``point_accuracy`` the
    share of all labelled points that are right. A category without a shape has None, and is left out of the mean. A
    part that no shape has is None, too. ``instance_miou_interval`` is the 95 % interval of a mean (Student's t).
    Raises ValueError where no shape has a labelled point.
    """
    given = list(scores)
    labelled = [score for score in given if score is not None]
    if not labelled:
        raise ValueError("a report needs a shape with labelled points, got none")
    by_category = {name: [score for score in labelled if score.category == name] for name in parts}
    categories = [_category(name, by_category[name], names) for name, names in parts.items()]
    present = [category["miou"] for category in categories if category["shapes"]]
    right = sum(int(np.trace(score.confusion)) for score in labelled)
    return {
        "num_shapes": len(labelled),
        "instance_miou": math.fsum(score.iou for score in labelled) / len(labelled),
        "class_miou": math.fsum(present) / len(present),
        "point_accuracy": right / sum(score.points for score in labelled),
        "instance_miou_interval": mean_interval([score.iou for score in labelled]),
        "categories": categories,
        "most_confused": _most_confused(by_category, parts),
        "warnings": _warnings(categories, len(given) - len(labelled)),
    }


def mean_interval(values: Sequence[float], level: float = 0.95) -> list[float]:
    """The interval in which the mean of such shares lies with probability ``level``, by Student's t, within 0 and 1."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return [0.0, 1.0]
    numbers = np.asarray(values, np.float64)
    half = float(stdtrit(len(numbers) - 1, (1 + level) / 2) * numbers.std(ddof=1) / math.sqrt(len(numbers)))
    mean = float(numbers.mean())
    return [max(0.0, mean - half), min(1.0, mean + half)]


def _category(name: str, scores: Sequence[ShapeScore], parts: Sequence[str]) -> dict[str, Any]:
    total = sum((score.confusion for score in scores), np.zeros((len(parts), len(parts)), np.int64))
    by_part = np.array([score.ious for score in scores]).reshape(len(scores), len(parts))
    return {
        "name": name,
        "shapes": len(scores),
        "miou": math.fsum(score.iou for score in scores) / len(scores) if scores else None,
        "confusion": total.tolist(),
        "parts": [
            {
                "name": part,
                "iou": float(by_part[:, i].mean()) if total[i].any() else None,
                "points": int(total[i].sum()),
                "shapes": sum(bool(score.confusion[i].any()) for score in scores),
            }
            for i, part in enumerate(parts)
        ],
    }


def _most_confused(
    by_category: Mapping[str, Sequence[ShapeScore]], parts: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """The pairs of parts that are confused most: by the number of points of one that are answered as the other."""
    pairs: list[dict[str, Any]] = []
    for name, scores in by_category.items():
        for i, truth in enumerate(parts[name]):
            for j, answer in enumerate(parts[name]):
                points = sum(int(score.confusion[i, j]) for score in scores)
                if i != j and points:
                    total = sum(int(score.confusion[i].sum()) for score in scores)
                    pairs.append(
                        {"category": name, "truth": truth, "answer": answer, "points": points, "share": points / total}
                    )
    return sorted(pairs, key=lambda pair: -pair["points"])[:MOST_CONFUSED]


def _warnings(categories: Sequence[Mapping[str, Any]], unlabelled: int) -> list[str]:
    warnings = []
    if single := [category["name"] for category in categories if len(category["parts"]) == 1]:
        warnings.append(f"{', '.join(single)}: of one part, which scores 1 whatever is answered")
    if unlabelled:
        warnings.append(f"{unlabelled} shapes without a labelled point are left out")
    return warnings
