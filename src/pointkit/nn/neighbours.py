"""What is found and gathered in neighbourhoods: nearest points in the network, maxima, interpolation, moments.

index (B, Q, M) holds, for each of Q centres, row numbers of M neighbours among N points. It comes from
``pointkit.neighbours`` on the host, or from ``Nearest`` in the network. The centres are the first Q of the points,
where a layer needs to know. No gradient goes through the choice of neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from pointkit.nn.exact import Shape, wide
from pointkit.nn.forms import gathered

_FEW = 3  # up to so many coordinates, differences are squared one by one: as precise as on the host


def neighbours(x: Any, index: Any) -> Any:
    """The rows of x (B, N, K) that index (B, Q, M) names: (B, Q, M, K). An array of all edges: for narrow x."""
    size, n, k = ops.shape(x)
    start = ops.reshape(ops.arange(size, dtype=index.dtype) * n, (-1, 1, 1))
    return ops.take(ops.reshape(x, (-1, k)), index + start, axis=0)


def squared_distances(queries: Any, points: Any) -> Any:
    """Squared distances of queries (B, Q, K) and points (B, N, K), (B, Q, N), at least float32; no gradient.

    For more than three features they come from one product, about the points' mean, and may be off by rounding.
    """
    queries, points = (wide(ops.stop_gradient(each)) for each in (queries, points))
    if points.shape[2] <= _FEW:
        axes = range(points.shape[2])
        return sum(ops.square(queries[:, :, None, k] - points[:, None, :, k]) for k in axes)
    middle = ops.mean(points, 1, keepdims=True)
    queries, points = queries - middle, points - middle
    product = ops.matmul(queries, ops.transpose(points, (0, 2, 1)))
    lengths = [ops.sum(ops.square(each), 2) for each in (queries, points)]
    return ops.maximum(lengths[0][:, :, None] + lengths[1][:, None] - 2 * product, 0)


def _nearest(queries: Any, points: Any, count: int) -> tuple[Any, Any]:
    """Squared distances and rows of the nearest points, nearest first, (B, Q, count) each; see ``Nearest``."""
    n = points.shape[1]
    different = count if n is None else min(count, n)
    near, rows = gathered.nearest(lambda q, p: -squared_distances(q, p), queries, points, different)
    far = -near
    if different == count:
        return far, rows
    again = [m % different for m in range(count)]
    return tuple(ops.take(each, ops.convert_to_tensor(again, "int32"), axis=2) for each in (far, rows))


def shares(squared: Any, different: Any) -> Any:
    """Weights (B, Q, M) by inverse squared distance, which add up to 1.

    Of so many ``different`` points, those that are listed again get none.
    """
    least = ops.maximum(1e-10 * ops.max(squared, 2, keepdims=True), 1e-37)
    closeness = 1 / ops.maximum(squared, least)
    count = squared.shape[2]
    if not isinstance(different, int) or different < count:
        closeness *= ops.cast(ops.arange(count) < different, closeness.dtype)
    return closeness / ops.sum(closeness, 2, keepdims=True)


def _both(inputs: Any) -> tuple[Any, Any]:
    """Queries and points of a layer's inputs: [queries, points], or points, which are then their own queries."""
    return tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs, inputs)


@keras.saving.register_keras_serializable("pointkit")
class Nearest(layers.Layer):
    """The nearest points, nearest first: x (B, N, K), or [queries (B, Q, K), x], -> index (B, Q, count) int32.

    A point is its own nearest, unless others lie at the same place. Where a cloud has fewer points than ``count`` its
    list begins again from the nearest. Every pair is compared. So this is for graphs in feature space (DGCNN, Wang et
    al., TOG 2019, section 3.2) and for networks that take coordinates alone. Raises ValueError for a ``count`` below 1.
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count = count

    def call(self, inputs: Any) -> Any:
        return _nearest(*_both(inputs), self.count)[1]

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = input_shape[0] if isinstance(input_shape[0], (list, tuple)) else input_shape
        return (*shape[:2], self.count)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((*_both(inputs)[0].shape[:2], self.count), "int32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("pointkit")
class NearestThree(layers.Layer):
    """What ``Interpolation`` needs: [queries (B, Q, K), points (B, N, K)] -> index int32 and weights, (B, Q, 3) each.

    Weights are by inverse squared distance and add up to 1 (PointNet++, Qi et al., NeurIPS 2017, equation 2). Points at
    the query's own place share all of it. ``pointkit.neighbours.interpolation`` is the same on the host.
    """

    def call(self, inputs: Any) -> Any:
        queries, points = inputs
        squared, index = _nearest(queries, points, 3)
        weights = shares(squared, ops.shape(points)[1])
        return [index, ops.cast(weights, self.compute_dtype)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = (*input_shape[0][:2], 3)
        return [shape, shape]

    def compute_output_spec(self, inputs: Any) -> Any:
        shape = (*inputs[0].shape[:2], 3)
        return [keras.KerasTensor(shape, "int32"), keras.KerasTensor(shape, self.compute_dtype)]


@keras.saving.register_keras_serializable("pointkit")
class GatheredMaximum(layers.Layer):
    """The maximum of each centre's neighbours' features: [y (B, N, C), index (B, Q, M)] -> (B, Q, C).

    A running maximum over gathered rows: no array (B, Q, M, C), forward or backward. The gradient of a channel goes to
    the neighbour that won it, the first named of equals.
    """

    def call(self, inputs: Any) -> Any:
        y, index = inputs
        return gathered.maximum(y, ops.cast(index, "int32"))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[1][:2], input_shape[0][2])


@keras.saving.register_keras_serializable("pointkit")
class Interpolation(layers.Layer):
    """Sums of neighbours' features by weight: [y (B, N, C), index (B, Q, M), weights (B, Q, M)] -> (B, Q, C).

    With the lists and weights of ``NearestThree`` it carries features from few points to many, as PointNet++ does (Qi
    et al., NeurIPS 2017, section 3.4). A linear map commutes with it, and costs less before it, at the few points.
    Weights get no gradient.
    """

    def call(self, inputs: Any) -> Any:
        y, index, weights = inputs
        weights = ops.stop_gradient(ops.cast(weights, y.dtype))
        return gathered.weighted_sum(y, ops.cast(index, "int32"), weights)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape[1][:2], input_shape[0][2])


@keras.saving.register_keras_serializable("pointkit")
class NeighbourhoodMoments(layers.Layer):
    """How a neighbourhood lies about its centre: [points (B, N, 3), index (B, Q, M)] -> (B, Q, 9 * len(scales)).

    With [points, index, features (B, N, F)] it also gives the means of the neighbours' features, F more for each scale.

    For each of ``scales``, a number of nearest neighbours, the mean of the offsets (x_j - x_i) / ``radius`` and the
    means of their six products xx, xy, xz, yy, yz, zz, as features of the first Q points. They say where the surface
    bends and how it is turned, at little cost: they take the place of a network on edges.
    Offsets within the m nearest are stretched by sqrt(M / m). On a surface they are then of about one size at every
    scale. Features get no gradient. Raises ValueError for a scale below 1 and a radius that is not positive.
    """

    def __init__(self, scales: Sequence[int], radius: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not scales or min(scales) < 1:
            raise ValueError(f"scales must be numbers of neighbours, at least 1, got {scales}")
        if not radius > 0:
            raise ValueError(f"radius must be positive, got {radius}")
        self.scales = tuple(scales)
        self.radius = radius

    def call(self, inputs: Any) -> Any:
        points, index, *more = inputs
        points, index = wide(points), ops.cast(index, "int32")
        features = [neighbours(ops.stop_gradient(each), index) for each in more]
        count, m = index.shape[1] or ops.shape(index)[1], index.shape[2]
        if max(self.scales) > m:
            raise ValueError(f"scales must be at most the {m} neighbours of a list, got {self.scales}")
        offsets = (neighbours(points, index) - points[:, :count, None]) / self.radius
        found = []
        for scale in self.scales:
            x, y, z = ops.unstack(offsets[:, :, :scale] * (m / scale) ** 0.5, axis=3)
            found += [ops.mean(each, 2) for each in (x, y, z, x * x, x * y, x * z, y * y, y * z, z * z)]
        means = [ops.mean(each[:, :, :scale], 2) for each in features for scale in self.scales]
        return ops.cast(ops.concatenate([ops.stack(found, 2), *means], 2), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        more = sum(shape[2] for shape in input_shape[2:])
        return (*input_shape[1][:2], (9 + more) * len(self.scales))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scales": list(self.scales), "radius": self.radius}
