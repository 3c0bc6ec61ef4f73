"""Blocks on neighbourhoods without an array of edges: linear + batch norm + ReLU + maximum over the neighbours.

An edge leads from a centre i to one of its neighbours j. Networks of this kind apply one linear map to every edge, take
the norm over all edges, and then the maximum over each centre's neighbours. Edge by edge that is M products a point for
M neighbours, and arrays of B * Q * M * C numbers. Neither is needed. The map of x_j - x_i is that of x_j less that of
x_i, so there is one product a *point*. Norm and ReLU are monotone, so the maximum may be taken first, as a running
maximum over the neighbours' rows. The norm's statistics are sums over such rows. docs/neighbourhoods.md derives this;
``exact=False`` computes edge by edge with the same weights, and agrees.

All blocks take ``[x, index]``: x (B, N, K) features of N points, index (B, Q, M) integers, the neighbours of the first
Q of them. ``pointkit.neighbours`` finds them on the host, ``nn.Nearest`` in the network. One may be listed twice.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from pointkit.nn.exact import Shape, _Block, wide
from pointkit.nn.forms import gathered
from pointkit.nn.neighbours import neighbours

EDGES = ("pair", "difference", "neighbour")


def first_of_the_highest(z: Any) -> Any:
    """The maximum of z (B, Q, M, C) over M. Among equals the first one gets the gradient.

    Not ops.max: its gradient looks for values equal to the maximum. A compiler may compute z once more for that, round
    it differently, and find none (seen on JAX 0.12).
    """
    return ops.take_along_axis(z, ops.argmax(z, 2, keepdims=True), 2)[:, :, 0]


@keras.saving.register_keras_serializable("pointkit")
class EdgeBlock(_Block):
    """Linear + batch norm over all edges + ReLU + maximum over the neighbours: [x, index] -> (B, Q, units).

    ``edge`` says what an edge from i to j has for features:

    - ``"pair"``: (x_i, x_j - x_i), EdgeConv of DGCNN (Wang et al., TOG 2019, section 3.1); kernel (2 K, units);
    - ``"difference"``: x_j - x_i; kernel (K, units);
    - ``"neighbour"``: x_j; kernel (K, units).

    With ``[x, index, positions]``, positions (B, N, D), the edge's features begin with p_j - p_i, and the kernel with D
    rows. ``"neighbour"`` is then a set abstraction of one layer (PointNet++, Qi et al., NeurIPS 2017, section 3.2;
    PointNeXt-S, Qian et al., NeurIPS 2022, section 3.2).

    ``negative_slope`` is that of a leaky ReLU (DGCNN's public code: 0.2), ``use_bias`` whether the linear map has a
    bias, which the norm takes away again in training. Where gamma is exactly 0 all neighbours tie. Gamma's gradient is
    then that of one of them. Raises ValueError for an unknown ``edge`` and for less than one unit.
    """

    def __init__(
        self,
        units: int,
        edge: str = "pair",
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, **kwargs)
        if edge not in EDGES:
            raise ValueError(f"edge must be one of {', '.join(EDGES)}, got {edge!r}")
        self.edge = edge
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        x, _, *positions = input_shape
        rows = x[-1] * (2 if self.edge == "pair" else 1)
        self.add_weights(rows + sum(shape[-1] for shape in positions))

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, index, *positions = inputs
        index = ops.cast(index, "int32")
        if not self.exact:
            return self.edge_by_edge(x, index, positions, training)
        gamma = ops.convert_to_tensor(self.gamma)
        sign = ops.cast(ops.stop_gradient(ops.where(gamma >= 0, 1.0, -1.0)), gamma.dtype)
        points = ops.concatenate([*positions, x], -1) if positions else x
        w, u = self._split(x.shape[-1])
        w, u = ops.cast(w * sign, x.dtype), None if u is None else ops.cast(u * sign, x.dtype)
        count = ops.shape(index)[1]
        centres = None if u is None else x[:, :count]
        relative = w.shape[0] - x.shape[-1] if self.edge == "neighbour" else w.shape[0]
        bias = ops.zeros_like(gamma) if self.bias is None else ops.convert_to_tensor(self.bias)
        statistics = None
        if training and self.trainable:
            top, mean, variance = gathered.edges(points, w, centres, u, index, relative)
            statistics = sign * mean + bias, variance
        else:
            y = _product(points, w)
            top = gathered.maximum(y, index)
            top = top if centres is None else top + _product(centres, u)
            if relative:
                whole = relative == w.shape[0]
                top = top - (y[:, :count] if whole else _product(points[:, :count, :relative], w[:relative]))
        factor, addend = self.normal(bias, statistics)
        return ops.cast(self.rectified(wide(top) * (factor * sign) + addend), x.dtype)

    def _split(self, k: int) -> tuple[Any, Any]:
        """The kernel's rows for what hangs on the neighbour, positions before the k features, and for x_i, or None."""
        kernel = ops.convert_to_tensor(self.kernel)
        if self.edge != "pair":
            return kernel, None
        offset, own, difference = kernel[: -2 * k], kernel[-2 * k : -k], kernel[-k:]
        return ops.concatenate([offset, difference]) if offset.shape[0] else difference, own

    def edge_by_edge(self, x: Any, index: Any, positions: list[Any], training: bool) -> Any:
        """The block by its definition, with an array of all edges: (B, Q, units)."""
        count, m = ops.shape(index)[1:]
        other = neighbours(x, index)
        centre = ops.broadcast_to(x[:, :count, None], ops.shape(other))
        own = {"pair": [centre, other - centre], "difference": [other - centre], "neighbour": [other]}[self.edge]
        apart = [neighbours(p, index) - p[:, :count, None] for p in positions]
        edges = ops.concatenate([*apart, *own], -1)
        z = self.layer_by_layer(ops.reshape(edges, (-1, count * m, edges.shape[-1])), None, training)
        return first_of_the_highest(ops.reshape(z, (-1, count, m, self.units)))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[1][:2], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "edge": self.edge, "use_bias": self.use_bias}


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
    flat = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), w)
    return ops.reshape(flat, (*ops.shape(x)[:-1], w.shape[-1]))
