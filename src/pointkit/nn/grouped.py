"""Blocks on neighbourhoods without an array of edges: linear + batch norm + ReLU + maximum over the neighbours.

An edge leads from a centre i to one of its neighbours j. Networks of this kind apply one linear map to every edge, take
the norm over all edges, and then the maximum over each centre's neighbours. Edge by edge that is M products a point for
M neighbours, and arrays of B * Q * M * C numbers. Neither is needed. The map of x_j - x_i is that of x_j less that of
x_i, so there is one product a *point*. Norm and ReLU are monotone, so the maximum may be taken first, as a running
maximum over the neighbours' rows. The norm's statistics are sums over such rows. docs/neighbourhoods.md derives this;
``exact=False`` computes edge by edge with the same weights, and agrees.

What has several layers on edges, as PointNet++ has, needs one array of edges for each layer but the last. There, too,
the first layer has one product a point, and the last stores no array (``edge_layers``).

Blocks take ``[x, index]``: x (B, N, K) features of N points, index (B, Q, M) integers, the neighbours of the first
Q of them. ``pointkit.neighbours`` finds them on the host, ``nn.Nearest`` in the network. One may be listed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers, ops

from pointkit.nn.exact import PointwiseBlock, Shape, _Block, _over_batch, wide
from pointkit.nn.forms import gathered
from pointkit.nn.neighbours import neighbours

EDGES = ("pair", "difference", "neighbour")


def first_of_the_highest(z: Any) -> Any:
    """The maximum of z (B, Q, M, C) over M. Among equals the first one gets the gradient.

    Not ops.max: its gradient looks for values equal to the maximum. A compiler may compute z once more for that, round
    it differently, and find none (seen on JAX 0.12).
    """
    return ops.take_along_axis(z, ops.argmax(z, 2, keepdims=True), 2)[:, :, 0]


class _OnEdges(_Block):
    """What blocks on edges share: what an edge has for features, and their map as terms of its two ends."""

    def __init__(self, units: int, edge: str = "pair", **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if edge not in EDGES:
            raise ValueError(f"edge must be one of {', '.join(EDGES)}, got {edge!r}")
        self.edge = edge

    def build(self, input_shape: Any) -> None:
        x, _, *positions = input_shape
        rows = x[-1] * (2 if self.edge == "pair" else 1)
        self.add_weights(rows + sum(shape[-1] for shape in positions))

    def _split(self, x: Any, sign: Any = None) -> tuple[Any, Any, int]:
        """The kernel's rows for the neighbour, positions before the features; for x_i, or None; how many are relative.

        ``sign`` (C,) is a factor of both.
        """
        k = x.shape[-1]
        w, u = ops.convert_to_tensor(self.kernel), None
        if self.edge == "pair":
            offset, u, difference = w[: -2 * k], w[-2 * k : -k], w[-k:]
            w = ops.concatenate([offset, difference]) if offset.shape[0] else difference
        relative = w.shape[0] - k if self.edge == "neighbour" else w.shape[0]
        if sign is not None:
            w, u = w * sign, None if u is None else u * sign
        return ops.cast(w, x.dtype), None if u is None else ops.cast(u, x.dtype), relative

    def _terms(self, x: Any, points: Any, count: Any, w: Any, u: Any, relative: int) -> tuple[Any, Any]:
        """The map of an edge as y_j + a_i: y (B, N, units), and a (B, Q, units), or None where it is 0."""
        y, a = _product(points, w), None if u is None else _product(x[:, :count], u)
        if relative:
            whole = relative == w.shape[0]
            own = y[:, :count] if whole else _product(points[:, :count, :relative], w[:relative])
            a = -own if a is None else a - own
        return y, a

    def edge_by_edge(self, x: Any, index: Any, positions: list[Any], training: bool) -> Any:
        """The block before any maximum by its definition, with an array of all edges: (B, Q * M, units)."""
        count, m = ops.shape(index)[1:]
        other = neighbours(x, index)
        centre = ops.broadcast_to(x[:, :count, None], ops.shape(other))
        own = {"pair": [centre, other - centre], "difference": [other - centre], "neighbour": [other]}[self.edge]
        apart = [neighbours(p, index) - p[:, :count, None] for p in positions]
        edges = ops.concatenate([*apart, *own], -1)
        return self.layer_by_layer(ops.reshape(edges, (-1, count * m, edges.shape[-1])), None, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "edge": self.edge}


@keras.saving.register_keras_serializable("pointkit")
class EdgeBlock(_OnEdges):
    """Linear + batch norm over all edges + ReLU + maximum over the neighbours: [x, index] -> (B, Q, units).

    ``edge`` says what an edge from i to j has for features:

    - ``"pair"``: (x_i, x_j - x_i), EdgeConv of DGCNN (Wang et al., TOG 2019, section 3.1); kernel (2 K, units);
    - ``"difference"``: x_j - x_i; kernel (K, units);
    - ``"neighbour"``: x_j; kernel (K, units).

    With ``[x, index, positions]``, positions (B, N, D), the edge's features begin with p_j - p_i, and the kernel with D
    rows. ``"neighbour"`` is then a set abstraction of one layer (PointNet++, Qi et al., NeurIPS 2017, section 3.2;
    PointNeXt, Qian et al., NeurIPS 2022, section 3.2). ``edge_layers`` makes those of several.

    ``negative_slope`` is that of a leaky ReLU (DGCNN's public code: 0.2), 1 for none at all. Where gamma is exactly 0
    all neighbours tie. Gamma's gradient is then that of one of them. Raises ValueError for an unknown ``edge`` and for
    less than one unit.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, index, *positions = inputs
        index = ops.cast(index, "int32")
        if not self.exact:
            z = self.edge_by_edge(x, index, positions, training)
            return first_of_the_highest(ops.reshape(z, (-1, *ops.shape(index)[1:], self.units)))
        gamma = ops.convert_to_tensor(self.gamma)
        sign = ops.cast(ops.stop_gradient(ops.where(gamma >= 0, 1.0, -1.0)), gamma.dtype)
        points = ops.concatenate([*positions, x], -1) if positions else x
        w, u, relative = self._split(x, sign)
        count = ops.shape(index)[1]
        bias = self.own_bias()
        statistics = None
        if training and self.trainable:
            centres = None if u is None else x[:, :count]
            top, mean, variance = gathered.edges(points, w, centres, u, index, relative)
            statistics = sign * mean + bias, variance
        else:
            y, a = self._terms(x, points, count, w, u, relative)
            top = gathered.maximum(y, index)
            top = top if a is None else top + a
        factor, addend = self.normal(bias, statistics)
        return ops.cast(self.rectified(wide(top) * (factor * sign) + addend), x.dtype)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[1][:2], self.units)


@keras.saving.register_keras_serializable("pointkit")
class EdgewiseBlock(_OnEdges):
    """Linear + batch norm + ReLU on every edge, with no maximum: [x, index] -> (B, Q * M, units), a centre's in turn.

    The first of several layers on edges, such as those of PointNet++. Its arguments and weights are those of
    ``EdgeBlock``. There is one product a point, and the norm's statistics are sums over points. So the output is the
    only array of all edges. ``PointwiseBlock`` goes on with it, ``PooledEdgesBlock`` ends with the maximum.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, index, *positions = inputs
        index = ops.cast(index, "int32")
        if not self.exact:
            return self.edge_by_edge(x, index, positions, training)
        points = ops.concatenate([*positions, x], -1) if positions else x
        count, bias = ops.shape(index)[1], self.own_bias()
        y, a = self._terms(x, points, count, *self._split(x))
        a = ops.zeros_like(x[:, :count, :1]) if a is None else a
        a = ops.broadcast_to(a, (ops.shape(x)[0], count, self.units))
        statistics = None
        if training and self.trainable:
            mean, variance = gathered.spread_moments(y, a, index)
            statistics = mean + bias, variance
        factor, addend = self.normal(bias, statistics)
        y, a = ops.cast(wide(y) * factor, x.dtype), ops.cast(wide(a) * factor + addend, x.dtype)
        return gathered.spread(y, a, index, self.negative_slope)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return _edge_rows(input_shape[1], self.units)


@keras.saving.register_keras_serializable("pointkit")
class PooledEdgesBlock(_Block):
    """Linear + batch norm + ReLU on every edge and the maximum over the neighbours: [x, index] -> (B, Q, units).

    x (B, Q * M, K) are features of edges, a centre's one after another, index (B, Q, M) their lists, of which only the
    shape is used. This is exact pooling in groups: the product is whole for one cloud at a time, and only winners get a
    gradient.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, index = inputs
        count = index.shape[2]
        if not self.exact:
            z = self.layer_by_layer(x, None, training)
            return first_of_the_highest(ops.reshape(z, (-1, *ops.shape(index)[1:], self.units)))
        gamma = ops.convert_to_tensor(self.gamma)
        sign = ops.cast(ops.stop_gradient(ops.where(gamma >= 0, 1.0, -1.0)), gamma.dtype)
        w = ops.cast(self.kernel * sign, x.dtype)
        if training and self.trainable:
            mean, covariance, top = gathered.moments_and_maximum_of_groups(x, w, count)
            over = _over_batch(mean, covariance)
        else:
            over, top = None, gathered.maximum_of_groups(x, w, count)
        factor, addend = self.fold(over)
        return ops.cast(self.rectified(wide(top) * (factor * sign) + addend), x.dtype)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[1][:2], self.units)


def edge_layers(
    inputs: list[Any],
    units: Sequence[int],
    name: str,
    *,
    initializer: Callable[[], Any],
    edge: str = "neighbour",
    negative_slope: float = 0.0,
    last_slope: float | None = None,
    **arguments: Any,
) -> Any:
    """Layers on edges, one after another, and the maximum over the neighbours: (B, Q, units of the last).

    ``inputs`` and ``edge`` are those of ``EdgeBlock``. This is a set abstraction of PointNet++ (Qi et al., NeurIPS
    2017, section 3.2). ``initializer`` makes one for each kernel. ``negative_slope`` is that of a leaky ReLU, and
    ``last_slope`` the last layer's where it differs. ``arguments`` (``momentum``, ``exact``, ``use_bias``) go to every
    layer.
    """

    def options(number: int) -> dict[str, Any]:
        slope = last_slope if number == len(units) and last_slope is not None else negative_slope
        own = {"kernel_initializer": initializer(), "name": f"{name}_{number}"}
        return {**arguments, **own, "negative_slope": slope}

    if len(units) == 1:
        return EdgeBlock(units[0], edge, **options(1))(inputs)
    x = EdgewiseBlock(units[0], edge, **options(1))(inputs)
    for number, width in enumerate(units[1:-1], 2):
        x = PointwiseBlock(width, **options(number))(x)
    return PooledEdgesBlock(units[-1], **options(len(units)))([x, inputs[1]])


def _edge_rows(index: Shape, units: int) -> Shape:
    """The shape (B, Q * M, units) of features of the edges that lists (B, Q, M) name."""
    size, centres, count = index
    return size, None if centres is None or count is None else centres * count, units


@keras.saving.register_keras_serializable("pointkit")
class Reach(layers.Layer):
    """How far a neighbourhood reaches in some directions: [x, index] -> max over j of (x_j - x_i) W, (B, Q, units).

    It is computed as the maximum of x_j W, less x_i W: one product a point. Local feature aggregation of DeLA (Chen et
    al., 2023, "Decoupled local aggregation for point cloud learning", section 3) is this, without the norm that follows
    there. Weight ``kernel`` (K, units). Raises ValueError for less than one unit.
    """

    def __init__(
        self, units: int, exact: bool = True, kernel_initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be at least 1, got {units}")
        self.units = units
        self.exact = exact
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[0][-1], self.units)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")

    def call(self, inputs: Any) -> Any:
        x, index = inputs
        index = ops.cast(index, "int32")
        count = ops.shape(index)[1]
        if not self.exact:
            apart = neighbours(x, index) - x[:, :count, None]
            return first_of_the_highest(_product(apart, self.kernel))
        y = _product(x, self.kernel)
        return gathered.maximum(y, index) - y[:, :count]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[1][:2], self.units)

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"units": self.units, "exact": self.exact, "kernel_initializer": initializer}
        return {**super().get_config(), **own}


def _product(x: Any, w: Any) -> Any:
    """x w for x (..., K), as one product, which is faster on JAX's CPU (see ``Pointwise``)."""
    flat = ops.matmul(ops.reshape(x, (-1, w.shape[0])), w)  # TensorFlow may have forgotten the size of x
    return ops.reshape(flat, (*ops.shape(x)[:-1], w.shape[-1]))
