"""Checks that the points of a network meet in its pooled maxima and nowhere else.

Two things depend on that. A maximum over all points is the maximum of its pieces' maxima, so a cloud can be computed
piece by piece (``InParts``). And the points that win a maximum decide the answer, so they can be named
(``CriticalPoints``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from pointkit.nn import OwnParts, Pointwise, PointwiseBlock, PooledBlock, SplitBlock

# Layers that treat each point alone; their subclasses may not. Some others do so along the axis of the features.
ALONE = (
    layers.InputLayer,
    layers.Activation,
    layers.Dense,
    layers.Dropout,
    layers.ReLU,
    OwnParts,
    Pointwise,
    PointwiseBlock,
    SplitBlock,
)
ALONG = (layers.BatchNormalization, layers.Concatenate)


def pooled_blocks(model: keras.Model) -> list[PooledBlock]:
    """The model's pooled maxima in the order in which they are computed; an empty list where it has none.

    Raises ValueError for an operation that is not known to treat each point alone, and names it: points may meet there.
    """
    if fixed := [tensor.name for tensor in model.inputs if tensor.ndim == 3 and tensor.shape[1] is not None]:
        raise ValueError(f"the model must take any number of points, its input {fixed[0]} has a fixed one")
    others = [operation for operation in _on_points(model) if not _alone(operation)]
    meeting = [operation for operation in others if not isinstance(operation, PooledBlock)]
    if meeting:
        names = ", ".join(f"{operation.name} ({type(operation).__name__})" for operation in meeting)
        raise ValueError(f"points must meet in pooled maxima alone, here they may meet in {names}")
    return [block for block in model.operations if isinstance(block, PooledBlock)]


def _on_points(model: keras.Model) -> Iterator[Any]:
    """The operations on numbers of each point, that is on tensors (B, N, C) with any N."""
    for operation in model.operations:
        tensors = [tensor for node in operation._inbound_nodes for tensor in node.input_tensors]
        if any(tensor.ndim == 3 and tensor.shape[1] is None for tensor in tensors):
            yield operation


def _alone(operation: Any) -> bool:
    kind, activation = type(operation), getattr(operation, "activation", None)
    if activation is not None and not activation.__module__.startswith("keras."):
        return False  # the user's own function may do anything
    return kind in ALONE or (kind in ALONG and operation.axis in (-1, 2))
