"""The T-Net: a small PointNet that predicts a matrix for each cloud.

PointNet (Qi et al., CVPR 2017, section 4.2 and supplement C). The matrix starts at the identity. A penalty keeps it
near the orthogonal ones: ||A A^T - I||^2 (equation 2). It is computed for each cloud and averaged over the batch. So it
is zero for orthogonal matrices and does not grow with the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pointkit.nn.exact import PointwiseBlock, PooledBlock, wide
from pointkit.nn.pointwise import dense_block, glorot


def orthogonality(matrix: Any) -> Any:
    """||A A^T - I||^2 (squared Frobenius norm) of each A in (B, k, k), averaged over the batch; a scalar."""
    matrix = wide(matrix)
    gram = ops.matmul(matrix, ops.transpose(matrix, (0, 2, 1)))
    return ops.mean(ops.sum(ops.square(gram - ops.eye(matrix.shape[-1], dtype=matrix.dtype)), (1, 2)))


@keras.saving.register_keras_serializable("pointkit")
class TransformMatrix(layers.Layer):
    """A matrix for each cloud from its features: (B, K) -> (B, size, size), the identity before training.

    Adds ``penalty * orthogonality(matrix)`` to the model's loss. With ``untouched`` further channels the matrix is that
    much larger, and leaves them as they are.
    """

    def __init__(self, size: int, penalty: float = 0.001, untouched: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.penalty = penalty
        self.untouched = untouched

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        cells = self.size * self.size
        self.kernel = self.add_weight(shape=(input_shape[-1], cells), initializer="zeros", name="kernel")
        identity = np.eye(self.size, dtype="float32").ravel()
        self.bias = self.add_weight(shape=(cells,), initializer=lambda shape, dtype=None: identity, name="bias")

    def call(self, x: Any) -> Any:
        matrix = ops.reshape(ops.matmul(x, self.kernel) + self.bias, (-1, self.size, self.size))
        if self.penalty:
            self.add_loss(self.penalty * orthogonality(matrix))
        if self.untouched:
            matrix = ops.pad(matrix, [[0, 0], [0, self.untouched], [0, self.untouched]])
            through = np.diag([0.0] * self.size + [1.0] * self.untouched)
            matrix = matrix + ops.convert_to_tensor(through, matrix.dtype)
        return matrix

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        whole = self.size + self.untouched
        return (input_shape[0], whole, whole)

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "penalty": self.penalty, "untouched": self.untouched}
        return {**super().get_config(), **own}


def tnet(
    x: Any,
    name: str,
    *,
    pointwise: Sequence[int],
    dense: Sequence[int],
    penalty: float,
    momentum: float,
    exact: bool,
    seeds: Iterator[int],
    untouched: int = 0,
    size: int | None = None,
    negative_slope: float = 0.0,
) -> Any:
    """Each cloud's matrix, predicted from its points: (B, N, k) -> (B, k, k). Blocks apply it to ``[x, matrix]``.

    ``pointwise`` are the widths up to the maximum over points, ``dense`` those after it. The last ``untouched`` of the
    k channels help to predict the matrix, which leaves them as they are. ``size`` is the matrix's where it is not k.
    ``negative_slope`` is that of leaky ReLUs.
    """
    h = x
    for i, units in enumerate(pointwise, 1):
        kind = PointwiseBlock if i < len(pointwise) else PooledBlock
        own = {"kernel_initializer": glorot(seeds), "name": f"{name}_pointwise_{i}"}
        h = kind(units, momentum, exact=exact, negative_slope=negative_slope, **own)(h)
    for i, units in enumerate(dense, 1):
        h = dense_block(h, units, f"{name}_dense_{i}", seeds=seeds, momentum=momentum, negative_slope=negative_slope)
    turned = (size or x.shape[-1]) - untouched
    return TransformMatrix(turned, penalty=penalty, untouched=untouched, name=f"{name}_matrix")(h)
