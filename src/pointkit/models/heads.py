"""The features that a backbone gives, and the heads that turn them into answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from pointkit.nn import Pointwise, PointwiseBlock, SplitBlock
from pointkit.nn.pointwise import dense_block, glorot

SIZE_UNITS = 32


@dataclass(frozen=True)
class Features:
    """A backbone's symbolic tensors, the inputs of a head. Tensors that the head does not use stay out of the model."""

    inputs: dict[
        str, Any
    ]  # "points" (B, N, 3), and "features" (B, N, C), "size", "category" where the model takes them
    pooled: Any  # of each cloud (B, D)
    local: list[Any]  # of each point, several (B, N, E)
    transformed: int | None = None  # index in ``local`` of the features that ``matrix`` has yet to turn
    matrix: Any = None  # (B, E, E)
    negative_slope: float = 0.0  # of the head's ReLUs
    category_units: int = 0  # that the head makes of a category; 0 takes it as one-hot
    drops_pooled: bool = False  # whether the head drops pooled and last hidden features, not all hidden ones
    back: Any = None  # where each point went (B, N), if the backbone brought the points into another order


def taken(num_features: int) -> dict[str, Any]:
    """The inputs of a backbone: points (B, N, 3), and features (B, N, num_features) where there are any."""
    inputs = {"points": keras.Input((None, 3), name="points")}
    if num_features:
        inputs["features"] = keras.Input((None, num_features), name="features")
    return inputs


def with_pooled_dropped(features: Features, dropout: float, seeds: Iterator[int]) -> Features:
    """The features with a share of the pooled ones dropped in training."""
    drop = layers.Dropout(dropout, seed=next(seeds, None), name="pooled_dropout")
    return dataclasses.replace(features, pooled=drop(features.pooled))


def with_size(features: Features, *, momentum: float, seeds: Iterator[int]) -> Features:
    """The features with the shape's size, a further input (B,) float32, after the pooled features.

    A dense block makes ``SIZE_UNITS`` numbers of it first. A single number among hundreds is learned slowly.
    """
    size = keras.Input((), name="size")
    column = layers.Reshape((1,), name="size_column")(size)
    arguments = {"momentum": momentum, "negative_slope": features.negative_slope}
    code = dense_block(column, SIZE_UNITS, "size_dense", seeds=seeds, **arguments)
    pooled = layers.Concatenate(name="pooled_and_size")([features.pooled, code])
    return dataclasses.replace(features, inputs={**features.inputs, "size": size}, pooled=pooled)


def with_category(features: Features, num_categories: int, *, momentum: float, seeds: Iterator[int]) -> Features:
    """The features with the category, a further input (B,) int32, after the pooled features.

    It is one-hot, or what a dense block makes of that where the features say so.
    """
    category = keras.Input((), dtype="int32", name="category")
    code = ops.one_hot(category, num_categories, dtype=features.pooled.dtype)
    if features.category_units:
        arguments = {"momentum": momentum, "negative_slope": features.negative_slope}
        code = dense_block(code, features.category_units, "category_dense", seeds=seeds, **arguments)
    pooled = layers.Concatenate(name="pooled_and_category")([features.pooled, code])
    return dataclasses.replace(features, inputs={**features.inputs, "category": category}, pooled=pooled)


def pooled(model: keras.Model) -> Any:
    """The tensor (B, D) that a network's backbone pooled of each cloud, before size and category came to it."""
    first = model.get_layer("head_dense_1" if len(model.output.shape) == 2 else "head_pointwise_1")
    tensor = first.input[-1] if isinstance(first.input, list) else first.input
    while (layer := tensor._keras_history.operation).name in (
        "pooled_dropout",
        "pooled_and_size",
        "pooled_and_category",
    ):
        tensor = layer.input[0] if isinstance(layer.input, list) else layer.input
    return tensor


def _dtype() -> str:
    """The dtype of the logits: at least float32, also in mixed precision."""
    return "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"


def classification_head(
    features: Features, num_classes: int, *, units: Sequence[int], dropout: float, momentum: float, seeds: Iterator[int]
) -> Any:
    """Logits (B, num_classes) from the pooled features: dense blocks with dropout after each, then a linear layer.

    PointNet (Qi et al., CVPR 2017, section 4.2 and supplement C).
    """
    x = features.pooled
    arguments = {"momentum": momentum, "negative_slope": features.negative_slope}
    for i, width in enumerate(units, 1):
        x = dense_block(x, width, f"head_dense_{i}", seeds=seeds, **arguments)
        x = layers.Dropout(dropout, seed=next(seeds, None), name=f"head_dropout_{i}")(x)
    return layers.Dense(num_classes, kernel_initializer=glorot(seeds), dtype=_dtype(), name="logits")(x)


def segmentation_head(
    features: Features,
    num_classes: int,
    *,
    units: Sequence[int],
    dropout: float,
    momentum: float,
    exact: bool,
    seeds: Iterator[int],
) -> Any:
    """Logits (B, N, num_classes) from local and pooled features side by side: pointwise blocks, then a linear map.

    PointNet (Qi et al., CVPR 2017, section 4.2 and supplement C).
    """
    matrix = [] if features.matrix is None else [features.matrix]
    x = [*features.local, *matrix, features.pooled]
    shared = {"momentum": momentum, "exact": exact, "negative_slope": features.negative_slope}
    for i, width in enumerate(units, 1):
        arguments = {**shared, "kernel_initializer": glorot(seeds)}
        if i == 1:
            x = SplitBlock(width, transformed=features.transformed, name="head_pointwise_1", **arguments)(x)
        else:
            x = PointwiseBlock(width, name=f"head_pointwise_{i}", **arguments)(x)
        if dropout and (i == len(units) or not features.drops_pooled):
            x = layers.Dropout(dropout, seed=next(seeds, None), name=f"head_dropout_{i}")(x)
    return Pointwise(num_classes, kernel_initializer=glorot(seeds), dtype=_dtype(), name="logits")(x)
