"""Which points decide: the critical set of a network that pools by maxima.

What PointNet knows of a whole cloud depends on a few of its points, those that win a maximum in at least one channel;
without all the others, the places of these kept, it is the same (Qi et al., CVPR 2017, section 4.3, theorem 2). Its
T-Nets pool too, so their winners belong to the set: they decide how the cloud is turned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from pointkit.models.maxima import pooled_blocks
from pointkit.nn import PooledBlock

IDLE, TURNS, DECIDES = 0, 1, 2


class CriticalPoints:
    """``CriticalPoints(model)(inputs)``: what each point of clouds (B, N, 3) did, (B, N) uint8.

    ``DECIDES`` (2): it won a channel of the global feature. ``TURNS`` (1): it won only channels of maxima that lead to
    another maximum; such are the T-Nets', which turn the cloud. ``IDLE`` (0): it won nothing. ``inputs`` is what the
    model takes, points or a dict. Of points that coincide, any may have won. Raises ValueError for a model without a
    ``PooledBlock``, and for one whose points meet elsewhere than in pooled maxima.
    """

    def __init__(self, model: keras.Model) -> None:
        blocks = pooled_blocks(model)
        if not blocks:
            raise ValueError("no maximum over points decides in this network, so no points can be named")
        inputs = [tensor for tensor in model.inputs if tensor.ndim == 3]  # a category meets no maximum
        self.names = [tensor.name for tensor in inputs]
        before = {block.name for later in blocks for block in _behind(inputs, later) if block is not later}
        self.marks = [TURNS if block.name in before else DECIDES for block in blocks]
        self.model = keras.Model(inputs, [_Winners(block)(block.input) for block in blocks])

    def __call__(self, inputs: Any) -> NDArray[np.uint8]:
        given = inputs if isinstance(inputs, Mapping) else {"points": inputs}
        answers = self.model.predict_on_batch([given[name] for name in self.names])
        marks = np.zeros(given["points"].shape[:2], np.uint8)
        for answer, mark in sorted(zip(keras.tree.flatten(answers), self.marks, strict=True), key=lambda pair: pair[1]):
            winners = keras.ops.convert_to_numpy(answer)
            cloud, channel = np.nonzero(winners >= 0)
            marks[cloud, winners[cloud, channel]] = mark
        return marks


def _behind(inputs: list[Any], block: PooledBlock) -> list[PooledBlock]:
    """The pooled maxima that what a block takes was computed from, and the block itself."""
    return [layer for layer in keras.Model(inputs, block.output).layers if isinstance(layer, PooledBlock)]


class _Winners(layers.Layer):
    """A pooled block's winners, from the same inputs as the block's."""

    def __init__(self, block: PooledBlock) -> None:
        super().__init__(name=f"{block.name}_winners")
        self.block = block

    def call(self, inputs: Any) -> Any:
        return self.block.winners(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.block.compute_output_shape(input_shape)
