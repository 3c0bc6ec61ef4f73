"""Which points decide: the critical set of a network that pools by maxima.

What PointNet knows of a whole cloud depends on few of its points: those that win the maximum in at least one channel.
Without all the others the answer is the same, while these keep their coordinates (Qi et al., CVPR 2017, section 4.3,
theorem 2). The T-Nets pool, too. Their winners belong to the set, as they decide how the cloud is turned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from pointkit.models.families import DECIDES, TURNS
from pointkit.models.maxima import pooled_blocks
from pointkit.nn import PooledBlock


class CriticalPoints:
    """``CriticalPoints(model)(inputs)``: what each point of clouds (B, N, 3) did, (B, N) uint8.

    ``DECIDES`` (2): it won a channel of the global feature. ``TURNS`` (1): it won only in maxima that lead to another
    maximum, such as the T-Nets', which turn the cloud. ``IDLE`` (0): it won nothing. ``inputs`` is what the model
    takes, points or a dict. Among points that coincide, any may have won. Raises ValueError for a model without a
    ``PooledBlock``, and for one whose points meet anywhere but in pooled maxima.
    """

    def __init__(self, model: keras.Model) -> None:
        blocks = pooled_blocks(model)
        if not blocks:
            raise ValueError("no maximum over points decides in this network, so no points can be named")
        inputs = [tensor for tensor in model.inputs if tensor.ndim == 3]  # a category does not lead to a maximum
        self.names = [tensor.name for tensor in inputs]
        before = {block.name for later in blocks for block in _behind(inputs, later) if block is not later}
        self.marks = [TURNS if block.name in before else DECIDES for block in blocks]
        self.model = keras.Model(inputs, [Winners(block)(block.input) for block in blocks])

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
    """The pooled maxima from which a block's inputs are computed, and the block itself."""
    return [layer for layer in keras.Model(inputs, block.output).layers if isinstance(layer, PooledBlock)]


class Winners(layers.Layer):
    """A pooled block's winners, from the same inputs as the block's."""

    def __init__(self, block: PooledBlock) -> None:
        super().__init__(name=f"{block.name}_winners")
        self.block = block

    def call(self, inputs: Any) -> Any:
        return self.block.winners(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.block.compute_output_shape(input_shape)
