"""Augmentation of normalised clouds as Keras layers: compiled into the step, seeded, absent from the saved model.

Lengths are in units of the unit sphere, z is up. A layer takes points (B, N, 3), or a list of points and their unit
normals (B, N, 3), which turn with them. Outside training each layer gives its input unchanged.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops


class _Augmentation(layers.Layer):
    """The base of all augmentations: an amount, a seed state of its own, and no change outside training."""

    def __init__(self, amount: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amount = amount
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        points, normals = self.augment(*x) if isinstance(x, list) else self.augment(x, None)
        return [points, normals] if isinstance(x, list) else points

    def augment(self, x: Any, normals: Any) -> tuple[Any, Any]:
        """Points and normals, changed; normals may be None."""
        raise NotImplementedError

    def uniform(self, shape: tuple[Any, ...], limit: float, dtype: Any) -> Any:
        """Random numbers within ±``limit``."""
        return keras.random.uniform(shape, -limit, limit, dtype=dtype, seed=self.random)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amount": self.amount, "seed": self.seed}


@keras.saving.register_keras_serializable("pointkit")
class Rotate(_Augmentation):
    """Turns each cloud about the up axis z, by an angle uniform within ±``amount`` degrees."""

    axes: tuple[int, ...] = (2,)

    def augment(self, x: Any, normals: Any) -> tuple[Any, Any]:
        for axis in self.axes:
            angle = self.uniform((ops.shape(x)[0], 1), math.radians(self.amount), x.dtype)
            x, normals = _turned(x, angle, axis), None if normals is None else _turned(normals, angle, axis)
        return x, normals


@keras.saving.register_keras_serializable("pointkit")
class Tilt(Rotate):
    """Turns each cloud about x and then about y, by angles uniform within ±``amount`` degrees."""

    axes = (0, 1)


def _turned(x: Any, angle: Any, axis: int) -> Any:
    cos, sin = ops.cos(angle), ops.sin(angle)
    one, two = x[..., (axis + 1) % 3], x[..., (axis + 2) % 3]
    turned = {axis: x[..., axis], (axis + 1) % 3: cos * one - sin * two, (axis + 2) % 3: sin * one + cos * two}
    return ops.stack([turned[i] for i in range(3)], -1)


@keras.saving.register_keras_serializable("pointkit")
class Scale(_Augmentation):
    """Stretches each axis of each cloud by a factor, log-uniform between 1 / (1 + ``amount``) and 1 + ``amount``."""

    def augment(self, x: Any, normals: Any) -> tuple[Any, Any]:
        factor = ops.exp(self.uniform((ops.shape(x)[0], 1, 3), math.log1p(self.amount), x.dtype))
        return x * factor, None if normals is None else _unit(normals / factor)


def _unit(normals: Any) -> Any:
    """Normals with length 1; zero vectors stay zero."""
    squares = ops.sum(normals * normals, -1, keepdims=True)
    return normals * ops.rsqrt(ops.where(squares > 0, squares, 1.0))


@keras.saving.register_keras_serializable("pointkit")
class Jitter(_Augmentation):
    """Adds uniform noise within ±``amount`` to every coordinate of every point."""

    def augment(self, x: Any, normals: Any) -> tuple[Any, Any]:
        return x + self.uniform(ops.shape(x), self.amount, x.dtype), normals


@keras.saving.register_keras_serializable("pointkit")
class Shift(_Augmentation):
    """Moves each cloud along each axis by a length uniform within ±``amount``."""

    def augment(self, x: Any, normals: Any) -> tuple[Any, Any]:
        return x + self.uniform((ops.shape(x)[0], 1, 3), self.amount, x.dtype), normals


@keras.saving.register_keras_serializable("pointkit")
class Mirror(_Augmentation):
    """Mirrors each cloud in x, and independently in y, each with the probability ``amount``."""

    def augment(self, x: Any, normals: Any) -> tuple[Any, Any]:
        thrown = keras.random.uniform((ops.shape(x)[0], 1, 2), dtype=x.dtype, seed=self.random)
        signs = ops.where(thrown < self.amount, -1.0, 1.0)
        signs = ops.cast(ops.concatenate([signs, ops.ones_like(signs[..., :1])], -1), x.dtype)
        return x * signs, None if normals is None else normals * signs


@keras.saving.register_keras_serializable("pointkit")
class Drop(_Augmentation):
    """Drops a share of each cloud's points, uniform between 0 and ``amount``, and repeats others in their place.

    The last points are dropped and the first are repeated in turn. This is a random choice where points lie in random
    order, as in a store. The number of points stays, as compilers need it, and no point counts for many in a mean.
    """

    def augment(self, x: Any, normals: Any) -> tuple[Any, Any]:
        n = ops.shape(x)[1]
        kept = 1 - keras.random.uniform((ops.shape(x)[0], 1), 0, self.amount, dtype="float32", seed=self.random)
        number = ops.maximum(ops.cast(ops.ceil(kept * n), "int32"), 1)
        places = (ops.arange(n, dtype="int32")[None] % number)[..., None]
        taken = ops.take_along_axis(x, places, 1)
        return taken, None if normals is None else ops.take_along_axis(normals, places, 1)
