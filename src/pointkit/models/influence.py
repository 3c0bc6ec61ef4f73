"""How much each point could change an answer: the gradient of its score, for networks of any kind.

Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, ICLR workshop 2014, section 3: the score of the class
is differentiated by the input, and what has a long gradient is salient. For points, that is by the place of each (Zheng
et al., PointCloud Saliency Maps, ICCV 2019, which moves points towards the centre alone). A gradient says what a small
move would do. It does not say what decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from pointkit.models.critical import Winners
from pointkit.models.families import DECIDES
from pointkit.models.heads import pooled
from pointkit.models.neighbourhoods import listed
from pointkit.nn import PooledBlock, forms


class Influence:
    """``Influence(model)(inputs)``: the gradient of each cloud's score by the places of its points, (B, N, 3) float32.

    The score is the winning class's logit. For parts it is the sum of each answered point's winning logit. ``inputs``
    is what ``models.listed(model)`` takes, points or a dict; lists of neighbours are held fixed. Where the network's
    pooled features are the maximum of a ``PooledBlock``, there is a fourth column. It is ``DECIDES`` (2) for the points
    around whose place the winners of that maximum were computed, else 0. Among equals, any may have won.
    """

    def __init__(self, model: keras.Model) -> None:
        block = pooled(model)._keras_history.operation
        winners = [Winners(block)(block.input)] if isinstance(block, PooledBlock) else []
        seeing = listed(keras.Model(model.inputs, [model.output, *winners]))
        named = keras.Model({tensor.name: tensor for tensor in seeing.inputs}, seeing.outputs)
        self.gradient = forms.gradient(named, _score, "points")

    def __call__(self, inputs: Any) -> NDArray[np.float32]:
        given = dict(inputs) if isinstance(inputs, Mapping) else {"points": inputs}
        slope, outputs = self.gradient(given)
        _, *winners = keras.tree.flatten(outputs)
        columns = [ops.convert_to_numpy(slope).astype(np.float32)]
        for won in map(ops.convert_to_numpy, winners):
            marks = np.zeros((*given["points"].shape[:2], 1), np.float32)
            cloud, channel = np.nonzero(won >= 0)
            marks[cloud, won[cloud, channel]] = DECIDES
            columns.append(marks)
        return np.concatenate(columns, 2)


def _score(outputs: Any) -> Any:
    """The winning logit of each answer, summed; not ops.max, whose gradient is shared among equals."""
    logits, *_ = keras.tree.flatten(outputs)  # Keras gives a single output without a list
    return ops.sum(ops.take_along_axis(logits, ops.argmax(logits, -1, keepdims=True), -1))
