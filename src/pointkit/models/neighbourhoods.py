"""A network that sees neighbourhoods, with their lists as inputs, as the host finds them faster than the network."""

from __future__ import annotations

from typing import Any

import keras

from pointkit.listed import Lists
from pointkit.nn import GivenOrder, Neighbourhoods


def lists(model: keras.Model) -> Lists:
    """The lists of neighbours that a network wants, by name; none of a network without ``nn.Neighbourhoods``."""
    layer = _finder(model)
    return layer.lists if layer else {}


def listed(model: keras.Model) -> keras.Model:
    """The same network, with the same weights, on points in progressive order and lists of their neighbours.

    Its inputs are a dict: those of the model, and an array for each list, as ``neighbours.arranged`` gives them.
    Answers of points are for the points that are centres, in their order. A model without ``nn.Neighbourhoods`` is
    given back as it is.
    """
    layer = _finder(model)
    if layer is None:
        return model
    found = {tensor.name: tensor for tensor in layer.output if tensor.name != "back"}
    cut = {tensor.name: tensor for tensor in model.inputs} | found
    behind = keras.Model(cut, keras.tree.map_structure(_as_found, model.output), name=model.name)
    given = {name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name) for name, tensor in cut.items()}
    return keras.Model(given, behind(given), name=f"{model.name}_listed")  # the cut has other names for its inputs


def _finder(model: keras.Model) -> Neighbourhoods | None:
    return next((layer for layer in model.layers if isinstance(layer, Neighbourhoods)), None)


def _as_found(output: Any) -> Any:
    """An output before it was brought back into the order of the given points."""
    operation = output._keras_history.operation
    return operation.input[0] if isinstance(operation, GivenOrder) else output
