"""PointNet's blocks without their wide activations: linear + batch norm + ReLU at each point, and the maximum of it.

Layer by layer, such a block stores several (B, N, C) arrays. None is needed. The batch statistics of y = x W + b follow
from the moments of x: the mean is mean(x) W + b, and the variance is the diagonal of W^T S W, where S is the covariance
of x. So the norm folds into W and b before the product. Norm and ReLU are monotone, so the maximum may be taken first.
Only the points that win it need a gradient. docs/exact-pooling.md derives this; ``exact=False`` computes layer by layer
with the same weights, and agrees.

Where a T-Net has predicted a matrix T for each cloud, blocks take ``[x, T]`` instead of x: (x T) W = x (T W), so the
transformed cloud is not stored either.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from pointkit.nn import forms

Shape = tuple[int | None, ...]


def wide(x: Any) -> Any:
    """x in at least float32, as statistics need. (Keras's ``result_type`` knows float64 on TensorFlow alone.)"""
    return x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")


def _over_batch(mean: Any, covariance: Any) -> tuple[Any, Any]:
    """Mean (K,) and covariance (K, K) over all clouds' points, from those of each cloud, (B, K) and (B, K, K)."""
    share = ops.ones_like(mean[:, :1])
    share = share / ops.sum(share)  # the points of one cloud, as a share of all
    grand = ops.sum(share * mean, 0)
    between = mean - grand
    flat = ops.reshape(covariance, (-1, covariance.shape[1] * covariance.shape[2]))
    within = ops.reshape(
        ops.matmul(ops.transpose(share), flat), covariance.shape[1:]
    )  # 20 times as fast as a sum on JAX
    return grand, within + ops.matmul(ops.transpose(share * between), between)


def _turned(mean: Any, covariance: Any, matrix: Any) -> tuple[Any, Any]:
    """The moments of clouds after their matrices (B, K, K) were applied, from those before."""
    matrix = ops.cast(matrix, mean.dtype)
    mean = ops.matmul(mean[:, None], matrix)[:, 0]
    return mean, ops.matmul(ops.transpose(matrix, (0, 2, 1)), ops.matmul(covariance, matrix))


class _Block(layers.Layer):
    """What the blocks share: weights ``kernel``, ``bias``, ``gamma``, ``beta``, and batch norm's moving statistics.

    The linear map is followed by batch norm and ReLU, a leaky one where ``negative_slope`` is not 0.
    Without ``use_bias`` there is no bias, which the norm takes away again in training.
    The statistics move as in ``keras.layers.BatchNormalization``: new = momentum * old + (1 - momentum) * batch's.
    """

    def __init__(
        self,
        units: int,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        exact: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        use_bias: bool = True,
        negative_slope: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be at least 1, got {units}")
        self.negative_slope = negative_slope
        self.units = units
        self.momentum = momentum
        self.epsilon = epsilon
        self.exact = exact
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.use_bias = use_bias

    def add_weights(self, features: int) -> None:
        def weight(name: str, shape: tuple[int, ...], start: Any, trainable: bool = True) -> Any:
            return self.add_weight(shape=shape, initializer=start, trainable=trainable, autocast=False, name=name)

        self.kernel = weight("kernel", (features, self.units), self.kernel_initializer)
        self.bias = weight("bias", (self.units,), "zeros") if self.use_bias else None
        self.gamma = weight("gamma", (self.units,), "ones")
        self.beta = weight("beta", (self.units,), "zeros")
        self.moving_mean = weight("moving_mean", (self.units,), "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", (self.units,), "ones", trainable=False)

    def build(self, input_shape: Any) -> None:
        self.add_weights(_first(input_shape)[-1])

    def own_bias(self) -> Any:
        """The bias (C,), zeros where the block has none."""
        return ops.zeros(self.units, self.gamma.dtype) if self.bias is None else ops.convert_to_tensor(self.bias)

    def remember(self, mean: Any, variance: Any) -> None:
        """Move the moving statistics towards a batch's."""
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            new = ops.cast(ops.stop_gradient(new), moving.dtype)
            moving.assign(moving * self.momentum + new * (1 - self.momentum))

    def fold(self, moments: tuple[Any, Any] | None) -> tuple[Any, Any]:
        """The norm of x W + b as a factor and an addend, (C,) each: factor * (x W) + addend.

        It uses the moments of x over the batch, or the moving statistics where ``moments`` is None.
        """
        kernel, bias = ops.convert_to_tensor(self.kernel), self.own_bias()
        statistics = None
        if moments is not None:
            mean = ops.matmul(moments[0][None], kernel)[0] + bias
            variance = ops.sum(kernel * ops.matmul(moments[1], kernel), 0)
            statistics = mean, ops.maximum(variance, 0)  # rounding may go below
        return self.normal(bias, statistics)

    def weights_of(self, folded: bool) -> tuple[Any, Any]:
        """Kernel and bias; ``folded`` with the norm by its moving statistics, so that only the ReLU is left to do."""
        kernel = ops.convert_to_tensor(self.kernel)
        if not folded:
            return kernel, self.own_bias()
        factor, addend = self.fold(None)
        return kernel * factor, addend

    def normal(self, bias: Any, statistics: tuple[Any, Any] | None) -> tuple[Any, Any]:
        """The norm of y = z + bias as a factor and an addend, (C,) each: factor * z + addend.

        ``statistics`` are mean and variance of y over the batch, which are remembered. None takes the moving ones.
        """
        gamma, beta = map(ops.convert_to_tensor, (self.gamma, self.beta))
        if statistics is None:
            mean, variance = ops.convert_to_tensor(self.moving_mean), ops.convert_to_tensor(self.moving_variance)
        else:
            mean, variance = statistics
            self.remember(mean, variance)
        factor = gamma * ops.rsqrt(variance + self.epsilon)
        return factor, beta + factor * (bias - mean)

    def rectified(self, y: Any) -> Any:
        return ops.leaky_relu(y, self.negative_slope) if self.negative_slope else ops.relu(y)

    def norm_relu(self, y: Any, training: bool) -> Any:
        """Batch norm and ReLU of y (B, N, C), layer by layer."""
        x = wide(y)
        if training and self.trainable:
            mean, variance = ops.moments(x, axes=(0, 1))
            self.remember(mean, variance)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        normal = ops.batch_normalization(x, mean, variance, -1, self.beta, self.gamma, self.epsilon)
        return ops.cast(self.rectified(normal), y.dtype)

    def layer_by_layer(self, x: Any, matrix: Any, training: bool) -> Any:
        """The block by its definition, one layer after another: (B, N, units)."""
        if matrix is not None:
            x = ops.matmul(x, matrix)
        flat = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), ops.cast(self.kernel, x.dtype))
        y = ops.reshape(flat, (*ops.shape(x)[:-1], self.units))
        if self.bias is not None:
            y = y + ops.cast(self.bias, x.dtype)
        return self.norm_relu(y, training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "exact": self.exact,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "use_bias": self.use_bias,
            "negative_slope": self.negative_slope,
        }


def _first(inputs: Any) -> Any:
    """The shape of the points x, given the shapes of a block's inputs: x, or [x, matrix]."""
    return inputs[0] if isinstance(inputs, (list, tuple)) and not isinstance(inputs[0], (int, type(None))) else inputs


def _split(inputs: Any) -> tuple[Any, Any]:
    """x and the matrix of a block's inputs: x, or [x, matrix]. The matrix is None where there is none."""
    x, matrix = inputs if isinstance(inputs, (list, tuple)) else (inputs, None)
    return x, matrix


@keras.saving.register_keras_serializable("pointkit")
class PointwiseBlock(_Block):
    """Linear + batch norm + ReLU at each point: x (B, N, K), or [x, matrix (B, K, K)], -> (B, N, units)."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, matrix = _split(inputs)
        if not self.exact:
            return self.layer_by_layer(x, matrix, training)
        over = None
        if training and self.trainable:
            x, mean, covariance = forms.moments(x)
            if matrix is not None:
                mean, covariance = _turned(mean, covariance, matrix)
            over = _over_batch(mean, covariance)
        factor, addend = self.fold(over)
        w = self.kernel * factor
        if matrix is not None:
            w = ops.matmul(ops.cast(matrix, w.dtype), w)
        return forms.affine_relu(x, ops.cast(w, x.dtype), ops.cast(addend, x.dtype), self.negative_slope)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*_first(input_shape)[:-1], self.units)


@keras.saving.register_keras_serializable("pointkit")
class PooledBlock(_Block):
    """Linear + batch norm + ReLU at each point and the maximum over points: x (B, N, K), or [x, matrix], -> (B, units).

    Where gamma is exactly 0 all points tie. Gamma's gradient is then that of one of them, not their mean.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, matrix = _split(inputs)
        if not self.exact:
            z = self.layer_by_layer(x, matrix, training)
            # Not ops.max: its gradient looks for values equal to the maximum. A compiler may compute z once more for
            # that, round it differently, and find none (seen on JAX 0.12).
            return ops.take_along_axis(z, ops.argmax(z, 1, keepdims=True), 1)[:, 0]
        if matrix is not None:
            x = ops.matmul(x, matrix)
        sign = ops.stop_gradient(ops.where(ops.convert_to_tensor(self.gamma) >= 0, 1.0, -1.0))
        sign = ops.cast(sign, self.gamma.dtype)
        w = ops.cast(self.kernel * sign, x.dtype)
        if training and self.trainable:
            mean, covariance, top = forms.moments_and_maximum(x, w)
            over = _over_batch(mean, covariance)
        else:
            over, top = None, forms.maximum(x, w)
        factor, addend = self.fold(over)
        return ops.cast(self.rectified(wide(top) * (factor * sign) + addend), x.dtype)

    def winners(self, inputs: Any) -> Any:
        """The point whose value each channel passes on at inference, (B, units) int32; -1 where it is 0 at all points.

        Among equal points it may be any of them, as backends break ties differently.
        """
        z = self.layer_by_layer(*_split(inputs), training=False)
        return ops.where(ops.max(z, 1) != 0, ops.cast(ops.argmax(z, 1), "int32"), -1)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (_first(input_shape)[0], self.units)


@keras.saving.register_keras_serializable("pointkit")
class SplitBlock(_Block):
    """A pointwise block on several features at once, global ones among them: [x1, x2, ..., g] -> (B, N, units).

    The result is as if g (B, D) were repeated for every point and all were concatenated. But the kernel is split
    instead. Each x (B, N, K) is multiplied by its own rows, and g by its rows once for each cloud. ``transformed`` is
    the index of a feature with a matrix, which is then the last input but one: [x1, x2, ..., matrix, g].
    """

    def __init__(self, units: int, transformed: int | None = None, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.transformed = transformed

    def build(self, input_shape: Any) -> None:
        local, _, shared = self._parts(input_shape)
        self.add_weights(sum(shape[-1] for shape in local) + shared[-1])

    def _parts(self, inputs: Any) -> tuple[list[Any], Any, Any]:
        """The inputs as: features of points, the matrix or None, features of clouds."""
        *local, shared = inputs
        return (local, None, shared) if self.transformed is None else (local[:-1], local[-1], shared)

    def call(self, inputs: Any, training: bool = False) -> Any:
        local, matrix, shared = self._parts(inputs)
        if not self.exact:
            if self.transformed is not None:
                local[self.transformed] = ops.matmul(local[self.transformed], matrix)
            n = ops.shape(local[0])[1]
            whole = ops.concatenate([*local, ops.repeat(shared[:, None], n, 1)], -1)
            return self.layer_by_layer(whole, None, training)
        folded = not (training and self.trainable)
        kernel, bias = self.weights_of(folded)
        start = 0
        pairs: dict[int, tuple[Any, Any]] = {}  # each feature once, with its rows of the kernel
        for i, x in enumerate(local):
            w = kernel[start : start + x.shape[-1]]
            start += x.shape[-1]
            if i == self.transformed:
                w = ops.matmul(ops.cast(matrix, w.dtype), w)
            known = pairs.get(id(x))
            pairs[id(x)] = (x, w if known is None else known[1] + w)  # x v + x w = x (v + w)
        once = ops.matmul(shared, ops.cast(kernel[start:], shared.dtype)) + ops.cast(bias, shared.dtype)
        y = forms.sum_of_products(once, [(x, ops.cast(w, x.dtype)) for x, w in pairs.values()])
        return self.rectified(y) if folded else self.norm_relu(y, training)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[0][:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "transformed": self.transformed}
