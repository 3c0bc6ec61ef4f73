"""Where a network's neighbourhoods come from: found in the network, or on the host beside it.

A network that sees neighbourhoods takes points alone. Its first layer, ``Neighbourhoods``, brings them into progressive
order and finds the lists that the others use. For training and prediction the host does the same faster, in a tree.
``models.listed`` cuts the network behind this layer, and takes the layer's answers as inputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers, ops

from pointkit.listed import WEIGHTS, Listed, Lists
from pointkit.nn.exact import Shape
from pointkit.nn.neighbours import _nearest, shares


@keras.saving.register_keras_serializable("pointkit")
class Neighbourhoods(layers.Layer):
    """Points in progressive order and lists of their neighbours: the dict ``{"points": (B, N, 3)}`` -> a dict.

    It holds ``points``, and ``features`` (B, N, F) where they are given, in the new order; ``back`` (B, N) int32, where
    each point went; and for each of ``lists`` its index (B, Q, count) int32 under its name. Weights (B, Q, count) are
    under its name and ``_weights``. ``pointkit.neighbours.arranged`` does the same on the host. There the first point
    of a part is drawn at random; here it is the middle one. Equal points aside, the order hangs on the coordinates
    alone.
    """

    def __init__(self, lists: Mapping[str, Listed | Mapping[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lists: Lists = {name: one if isinstance(one, Listed) else Listed(**one) for name, one in lists.items()}

    def call(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        points = inputs["points"]
        first = [number for one in self.lists.values() for number in (one.centres, one.among) if number]
        order = progressive(points, max(first, default=1))
        found = {name: ops.take_along_axis(x, order[..., None], 1) for name, x in inputs.items()}
        found["back"] = ops.cast(ops.argsort(order, 1), "int32")
        points = found["points"]
        for name, one in self.lists.items():
            queries, among = (points if number is None else points[:, :number] for number in (one.centres, one.among))
            squared, rows = _nearest(queries, among, one.count)
            if one.within is not None:
                rows = ops.where(squared <= one.within**2, rows, rows[..., :1])
            found[name] = rows
            if one.weighted:
                found[name + WEIGHTS] = ops.cast(shares(squared, ops.shape(among)[1]), self.compute_dtype)
        return found

    def compute_output_spec(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        size, n, _ = inputs["points"].shape
        spec = {name: keras.KerasTensor(x.shape, self.compute_dtype, name=name) for name, x in inputs.items()}
        spec["back"] = keras.KerasTensor((size, n), "int32", name="back")
        for name, one in self.lists.items():
            # Clouds of fewer points have fewer centres, so nothing is known before the points are.
            shape = (size, n if n is None or one.centres is None else min(one.centres, n), one.count)
            spec[name] = keras.KerasTensor(shape, "int32", name=name)
            if one.weighted:
                spec[name + WEIGHTS] = keras.KerasTensor(shape, self.compute_dtype, name=name + WEIGHTS)
        return spec

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lists": {name: dataclasses.asdict(one) for name, one in self.lists.items()}}


def progressive(points: Any, count: int) -> Any:
    """An order (B, N) int32 of points (B, N, 3), of which each prefix of 2, 4, 8 ... up to ``count`` spreads.

    A cloud is halved across its longest side, each half again, and so on. Each power of two of the first points are one
    from each of so many parts. No gradient.
    """
    points = ops.stop_gradient(points)
    n = ops.shape(points)[1]
    levels = max(count - 1, 0).bit_length()
    parts = 2**levels
    members = (n + parts - 1) // parts
    whole = members * parts  # the first points again, which are dropped later, so that all parts have one size
    order = ops.arange(whole, dtype="int32")
    order = ops.broadcast_to(order[None], (ops.shape(points)[0], whole))
    for level in range(levels):
        order = _halved(points, order, 2**level)
    middle = (ops.arange(members, dtype="int32") + members // 2) % members
    turn = [int(f"{part:0{levels}b}"[::-1], 2) if levels else 0 for part in range(parts)]
    order = ops.reshape(order, (-1, parts, members))
    order = ops.take(ops.take(order, ops.convert_to_tensor(turn, "int32"), 1), middle, 2)
    order = ops.reshape(ops.transpose(order, (0, 2, 1)), (-1, whole))
    late = ops.cast(order >= n, "int32") * whole + ops.arange(whole, dtype="int32")
    return ops.take_along_axis(order, ops.argsort(late, 1), 1)[:, :n]


def _halved(points: Any, order: Any, parts: int) -> Any:
    """Rows (B, W), of so many equal parts, with each part sorted along its longest side."""
    whole = ops.shape(order)[1]
    n = ops.shape(points)[1]
    found = ops.take_along_axis(points, (order % n)[..., None], 1)
    found = ops.reshape(found, (-1, parts, whole // parts, 3))
    sides = ops.max(found, 2) - ops.min(found, 2)
    axis = ops.argmax(sides, -1)
    along = ops.take_along_axis(found, axis[..., None, None], 3)[..., 0]
    rows = ops.reshape(order, (-1, parts, whole // parts))
    return ops.reshape(ops.take_along_axis(rows, ops.argsort(along, -1), 2), (-1, whole))


@keras.saving.register_keras_serializable("pointkit")
class Centres(layers.Layer):
    """The features of the centres of a list, the first Q points: [x (B, N, C), index (B, Q, M)] -> (B, Q, C)."""

    def call(self, inputs: Any) -> Any:
        x, index = inputs
        return x[:, : ops.shape(index)[1]]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[1][:2], input_shape[0][2])


@keras.saving.register_keras_serializable("pointkit")
class GivenOrder(layers.Layer):
    """Answers in the order in which the points were given: [x (B, N, C), back (B, N)] -> (B, N, C)."""

    def call(self, inputs: Any) -> Any:
        x, back = inputs
        return ops.take_along_axis(x, back[..., None], 1)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shape: Shape = input_shape[0]
        return shape
