"""Augmentation of normalised clouds as Keras layers: compiled into the step, seeded, absent from the saved model.

Lengths are in units of the unit sphere, z is up. Outside training each layer hands its input through.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops


class _Augmentation(layers.Layer):
    """What they share: a seed state of their own, and nothing but a pass outside training."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.augment(x) if training else x

    def augment(self, x: Any) -> Any:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("pointkit")
class Jitter(_Augmentation):
    """Uniform noise within ±``amount`` on every coordinate of every point."""

    def __init__(self, amount: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amount = amount

    def augment(self, x: Any) -> Any:
        return x + keras.random.uniform(ops.shape(x), -self.amount, self.amount, dtype=x.dtype, seed=self.random)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amount": self.amount}


@keras.saving.register_keras_serializable("pointkit")
class Scale(_Augmentation):
    """Each axis of each cloud times a factor, log-uniform between 1 / (1 + ``amount``) and 1 + ``amount``."""

    def __init__(self, amount: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amount = amount

    def augment(self, x: Any) -> Any:
        limit = math.log1p(self.amount)
        factor = keras.random.uniform((ops.shape(x)[0], 1, 3), -limit, limit, dtype=x.dtype, seed=self.random)
        return x * ops.exp(factor)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amount": self.amount}


@keras.saving.register_keras_serializable("pointkit")
class Rotate(_Augmentation):
    """Each cloud about the up axis z, by an angle uniform within ±``degrees``."""

    def __init__(self, degrees: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.degrees = degrees

    def augment(self, x: Any) -> Any:
        limit = math.radians(self.degrees)
        angle = keras.random.uniform((ops.shape(x)[0], 1), -limit, limit, dtype=x.dtype, seed=self.random)
        cos, sin = ops.cos(angle), ops.sin(angle)
        east, north = x[..., 0], x[..., 1]
        return ops.stack([cos * east - sin * north, sin * east + cos * north, x[..., 2]], -1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "degrees": self.degrees}


@keras.saving.register_keras_serializable("pointkit")
class Mirror(_Augmentation):
    """Each cloud mirrored in x and, by another throw, in y, with the chance ``chance`` each."""

    def __init__(self, chance: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chance = chance

    def augment(self, x: Any) -> Any:
        thrown = keras.random.uniform((ops.shape(x)[0], 1, 2), dtype=x.dtype, seed=self.random)
        signs = ops.where(thrown < self.chance, -1.0, 1.0)
        return x * ops.cast(ops.concatenate([signs, ops.ones_like(signs[..., :1])], -1), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "chance": self.chance}


@keras.saving.register_keras_serializable("pointkit")
class Shift(_Augmentation):
    """Each cloud moved along each axis by a length uniform within ±``amount``."""

    def __init__(self, amount: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amount = amount

    def augment(self, x: Any) -> Any:
        size = (ops.shape(x)[0], 1, 3)
        return x + keras.random.uniform(size, -self.amount, self.amount, dtype=x.dtype, seed=self.random)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amount": self.amount}


@keras.saving.register_keras_serializable("pointkit")
class Drop(_Augmentation):
    """Each cloud without a share of its points, uniform between 0 and ``share``; those that stay fill their places.

    The last points go and the first are repeated in turn: a random choice where, as in a store, points lie in random
    order. So the number of points stays, as compilers need it, and no point counts for many in a mean.
    """

    def __init__(self, share: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share = share

    def augment(self, x: Any) -> Any:
        n = ops.shape(x)[1]
        kept = 1 - keras.random.uniform((ops.shape(x)[0], 1), 0, self.share, dtype="float32", seed=self.random)
        number = ops.maximum(ops.cast(ops.ceil(kept * n), "int32"), 1)
        return ops.take_along_axis(x, (ops.arange(n, dtype="int32")[None] % number)[..., None], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "share": self.share}
