"""A network on clouds of any size, computed piece by piece, in memory that does not grow with the cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pointkit.models.inference import answering, at_once
from pointkit.models.maxima import pooled_blocks


class InParts:
    """``InParts(model)(points)``: logits of clouds (B, N, 3), as the model gives them at inference, for any N.

    The model's other inputs, features (B, N, C) or categories (B,), are given by name.

    At inference the points of a cloud meet only in the maxima, and a maximum is the maximum of its pieces' maxima. So
    all points are computed once for each maximum, with the earlier maxima as inputs, and once more for logits of each
    point. ``rows`` points are computed at a time, with JAX on a processor twice as many. Answers (B, N, ...) are put
    together in main memory. Raises ValueError for a model whose points meet anywhere but in a pooled maximum.
    """

    def __init__(self, model: keras.Model, rows: int = 2**14) -> None:
        if rows < 1:
            raise ValueError(f"rows must be at least 1, got {rows}")
        self.rows = rows
        self.for_points = len(model.output.shape) == 3
        maxima = [block.output for block in pooled_blocks(model)]
        given = {tensor.name: tensor for tensor in model.inputs}
        self.cut = ["points", *(name for name, tensor in given.items() if name != "points" and tensor.ndim > 1)]
        self.others = [name for name in given if name not in self.cut]
        # A maximum depends on points and their features alone, and Keras refuses inputs that lead nowhere.
        cut, others = ([given[name] for name in names] for names in (self.cut, self.others))
        self.stages = [answering(keras.Model([*cut, *maxima[:i]], top)) for i, top in enumerate(maxima)]
        self.last: Callable[[Any], NDArray[np.float32]] = answering(keras.Model([*cut, *others, *maxima], model.output))
        self.classes = int(model.output.shape[-1])

    def __call__(self, points: NDArray[np.float32], **others: NDArray[Any]) -> NDArray[np.float32]:
        """Logits float32: (B, classes), or (B, N, classes) of a segmenter."""
        wanted = [*self.cut[1:], *self.others]
        if sorted(others) != sorted(wanted):
            raise ValueError(f"beside points the model takes {', '.join(wanted) or 'nothing'}, got {sorted(others)}")
        size, n, _ = points.shape
        rows = min(n, max(self.rows // size, 1))
        whole = [points, *(others[name] for name in self.cut[1:])]
        parts = [[array[:, start : start + rows] for array in whole] for start in range(0, n, rows)]
        short = rows - parts[-1][0].shape[1]
        parts[-1] = [np.concatenate([a, np.repeat(a[:, -1:], short, 1)], 1) for a in parts[-1]]  # they win no maximum
        maxima: list[NDArray[np.float32]] = []
        for stage in self.stages:
            tops = at_once(stage, [[*part, *maxima] for part in parts])
            maxima.append(np.max(tops, 0))
        rest = [*(np.asarray(others[name]) for name in self.others), *maxima]
        if not self.for_points:
            return self.last([*parts[0], *rest])
        answer = np.empty((size, n, self.classes), np.float32)

        def put(i: int) -> None:
            answer[:, i * rows : (i + 1) * rows] = self.last([*parts[i], *rest])[:, : n - i * rows]

        at_once(put, range(len(parts)))
        return answer
