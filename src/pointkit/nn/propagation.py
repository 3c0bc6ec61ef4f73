"""Features that come up from fewer points: carried to more by interpolation, and joined with their own."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from pointkit.nn import forms
from pointkit.nn.exact import Shape, _Block
from pointkit.nn.forms import gathered
from pointkit.nn.grouped import _product


@keras.saving.register_keras_serializable("pointkit")
class CarriedBlock(_Block):
    """Linear + batch norm + ReLU of a point's own features and of those carried up to it: -> (B, Q, units).

    It takes ``[x, y, index, weights]``: x (B, N, K), of whose first Q rows it makes use, y (B, P, L) features of fewer
    points, and lists and weights (B, Q, 3), as ``NearestThree`` gives them. Features g (B, D) of whole clouds may
    follow. It is the first layer of PointNet++'s feature propagation (Qi et al., NeurIPS 2017, section 3.4): the
    result is as if y were interpolated, g repeated, and all concatenated. But the kernel is split instead. y is
    multiplied where it has few points, and interpolated then.
    """

    def build(self, input_shape: Any) -> None:
        x, y, _, _, *shared = input_shape
        self.add_weights(x[-1] + y[-1] + sum(shape[-1] for shape in shared))

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, y, index, weights, *shared = inputs
        index = ops.cast(index, "int32")
        weights = ops.stop_gradient(ops.cast(weights, y.dtype))
        count = ops.shape(index)[1]
        x = x[:, :count]
        if not self.exact:
            repeated = [ops.repeat(g[:, None], count, 1) for g in shared]
            whole = ops.concatenate([x, gathered.weighted_sum(y, index, weights), *repeated], -1)
            return self.layer_by_layer(whole, None, training)
        folded = not (training and self.trainable)
        kernel, bias = self.weights_of(folded)
        kernel = ops.cast(kernel, x.dtype)
        rows = x.shape[-1], x.shape[-1] + y.shape[-1]
        start = ops.broadcast_to(ops.cast(bias, x.dtype), (ops.shape(x)[0], self.units))
        if shared:
            start = start + ops.matmul(ops.concatenate(shared, -1), kernel[rows[1] :])
        z = forms.sum_of_products(start, [(x, kernel[: rows[0]])])
        z = z + gathered.weighted_sum(_product(y, kernel[rows[0] : rows[1]]), index, weights)
        return self.rectified(z) if folded else self.norm_relu(z, training)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[2][:2], self.units)
