"""The same linear map at every point; and linear map, batch norm and ReLU on each cloud's features.

PointNet (Qi et al., CVPR 2017, section 4.2) calls a stack of pointwise blocks a shared multi-layer perceptron. Keras's
``Dense`` on (B, N, K) is 2.4 times slower on JAX's CPU than one product over all points, and ``Conv1D`` transposes on
PyTorch. So the clouds are flattened to (B * N, K) for the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("pointkit")
class Pointwise(layers.Layer):
    """Linear map of each point: (B, N, K) -> (B, N, units). Weights ``kernel`` (K, units) and ``bias`` (units,)."""

    def __init__(
        self, units: int, kernel_initializer: Any = "glorot_uniform", use_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be at least 1, got {units}")
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.use_bias = use_bias

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias") if self.use_bias else None

    def call(self, x: Any) -> Any:
        shape = ops.shape(x)
        flat = ops.matmul(ops.reshape(x, (-1, shape[-1])), self.kernel)  # (B * N, units)
        if self.bias is not None:
            flat = flat + self.bias
        return ops.reshape(flat, (*shape[:-1], self.units))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"units": self.units, "kernel_initializer": initializer, "use_bias": self.use_bias}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("pointkit")
class MaximumAndMean(layers.Layer):
    """The maximum of each feature over the points, and its mean, side by side: (B, N, C) -> (B, 2 C).

    Where points tie, the first one gets the maximum's gradient.
    """

    def call(self, x: Any) -> Any:
        top = ops.take_along_axis(x, ops.argmax(x, 1, keepdims=True), 1)[:, 0]  # not ops.max: see first_of_the_highest
        return ops.concatenate([top, ops.mean(x, 1)], 1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], 2 * input_shape[2])  # type: ignore[operator]


def glorot(seeds: Iterator[int]) -> keras.initializers.Initializer:
    """Glorot's initializer with the next seed; zeros where there is no seed, for weights that get loaded.

    JAX compiles the random numbers of each shape: 3 seconds for a whole PointNet, wasted where weights get loaded.
    """
    seed = next(seeds, None)
    return keras.initializers.Zeros() if seed is None else keras.initializers.GlorotUniform(seed=seed)


def scaled(seeds: Iterator[int], gain: float = 1.0) -> keras.initializers.Initializer:
    """Normal numbers with the deviation gain / sqrt(K) for K inputs, by the next seed; zeros where there is no seed."""
    seed = next(seeds, None)
    if seed is None:
        return keras.initializers.Zeros()
    return keras.initializers.VarianceScaling(gain**2, "fan_in", "untruncated_normal", seed=seed)


def dense_block(
    x: Any, units: int, name: str, *, seeds: Iterator[int], momentum: float, negative_slope: float = 0.0
) -> Any:
    """Linear + batch norm + (leaky) ReLU on each cloud: (B, K) -> (B, units)."""
    x = layers.Dense(units, kernel_initializer=glorot(seeds), name=name)(x)
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
    return layers.ReLU(negative_slope=negative_slope, name=f"{name}_relu")(x)
