"""TensorFlow's form: custom gradients, and running sums and maxima over the neighbours' rows of all clouds at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pointkit.nn.forms import tensorflow as pooled
from pointkit.nn.forms.tensorflow import _flat as flat
from pointkit.nn.forms.tensorflow import wide

Tensor = Any


def _columns(index: Tensor, n: Tensor) -> list[Tensor]:
    """For each of the M neighbours in index (B, Q, M) the rows (B * Q,) of all clouds' points, n a cloud."""
    start = tf.range(tf.shape(index)[0])[:, None, None] * n
    return tf.unstack(tf.reshape(index + start, (-1, index.shape[2])), axis=1)


def _top(y: Tensor, columns: list[Tensor]) -> Tensor:
    """The maximum of the rows of y (B * N, C) that each centre names, (B * Q, C)."""
    top = tf.gather(y, columns[0])
    for rows in columns[1:]:
        top = tf.maximum(top, tf.gather(y, rows))
    return top


def _to_winners(y: Tensor, columns: list[Tensor], top: Tensor, g: Tensor) -> Tensor:
    """The gradient g (B * Q, C) of the maxima, handed to the first row that reached each: (B * N, C), >= float32."""
    channels = tf.shape(y)[1]
    won = tf.broadcast_to(columns[-1][:, None], tf.shape(top))
    for rows in reversed(columns[:-1]):
        won = tf.where(tf.gather(y, rows) == top, rows[:, None], won)
    place = won * channels + tf.range(channels)
    total = tf.math.unsorted_segment_sum(tf.reshape(wide(g), (-1,)), tf.reshape(place, (-1,)), tf.size(y))
    return tf.reshape(total, tf.shape(y))


def _clouds(rows: Tensor, like: Tensor) -> Tensor:
    """rows (B * Q, C) as clouds (B, Q, C), as many as ``like`` has."""
    return tf.reshape(rows, (tf.shape(like)[0], -1, rows.shape[-1]))


@tf.custom_gradient
def maximum(y: Tensor, index: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, None]]]:
    columns = _columns(index, tf.shape(y)[1])
    top = _top(flat(y), columns)

    def backward(g: Tensor) -> tuple[Tensor, None]:
        return tf.cast(_clouds(_to_winners(flat(y), columns, top, flat(g)), y), y.dtype), None

    return _clouds(top, y), backward


@tf.custom_gradient
def weighted_sum(
    y: Tensor, index: Tensor, weights: Tensor
) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, None, None]]]:
    columns = _columns(index, tf.shape(y)[1])
    shares = tf.unstack(tf.reshape(weights, (-1, index.shape[2], 1)), axis=1)
    total = tf.add_n([tf.gather(flat(y), rows) * share for rows, share in zip(columns, shares, strict=True)])

    def backward(g: Tensor) -> tuple[Tensor, None, None]:
        parts = [wide(flat(g)) * wide(share) for share in shares]
        dy = tf.math.unsorted_segment_sum(tf.concat(parts, 0), tf.concat(columns, 0), tf.shape(flat(y))[0])
        return tf.cast(_clouds(dy, y), y.dtype), None, None

    return _clouds(total, y), backward


def nearest(
    closeness: Callable[[Tensor, Tensor], Tensor], queries: Tensor, points: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    near = closeness(queries, points)  # no faster in groups, or cloud by cloud
    if points.shape[1] is not None:
        return tuple(tf.math.top_k(near, count))
    different = tf.minimum(count, tf.shape(near)[2])  # lists begin again where points turn out to be fewer
    again = tf.range(count) % different
    return tuple(tf.gather(each, again, axis=2) for each in tf.math.top_k(near, different))


def _reversed_sum(c: Tensor, columns: list[Tensor], count: Tensor) -> Tensor:
    """For each of ``count`` points the sum of the rows c (B * Q, C) of those centres that it is a neighbour of."""
    total = tf.zeros((count, tf.shape(c)[1]), c.dtype)
    for rows in columns:
        total = tf.tensor_scatter_nd_add(total, rows[:, None], c)
    return total


def _sums(y: Tensor, start: Tensor, columns: list[Tensor]) -> tuple[Tensor, Tensor]:
    """For e = y_j + start_i: the sum over each centre's neighbours, (B * Q, C); the squares' over all edges, (C,)."""
    total, squares = tf.zeros_like(start), tf.zeros_like(start)
    for rows in columns:
        edge = wide(tf.gather(y, rows)) + start
        total, squares = total + edge, squares + tf.square(edge)
    return total, tf.reduce_sum(squares, 0)


def _through_product(x: Tensor, w: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of x (B, N, K) and w (K, C), from dy (B * N, C) of their product."""
    return _clouds(tf.matmul(dy, w, transpose_b=True), x), tf.matmul(flat(x), dy, transpose_a=True)


def _with_zeros(part: Tensor, whole: Tensor) -> Tensor:
    """``part``, the first rows and columns of a tensor in the shape of ``whole``; the others are zero."""
    return tf.pad(part, [[0, size] for size in tf.unstack(tf.shape(whole) - tf.shape(part))])


def _statistics(y: Tensor, a: Tensor, columns: list[Tensor]) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Mean and variance (C,) of y_j + a_i over all edges, and what their gradient needs."""
    about = tf.reduce_mean(wide(y), 0) + tf.reduce_mean(wide(a), 0)  # squares about nearly the mean lose no digits
    total, squares = _sums(y, wide(a) - about, columns)
    count = _edges(columns, about)
    off = tf.reduce_sum(total, 0) / count
    return about + off, tf.maximum(squares / count - tf.square(off), 0), (total, off)


def _edges(columns: list[Tensor], like: Tensor) -> Tensor:
    """How many edges there are."""
    return tf.cast(len(columns) * tf.size(columns[0]), like.dtype)


def _through_statistics(
    y: Tensor, a: Tensor, columns: list[Tensor], mean: Tensor, kept: tuple[Tensor, Tensor], *grads: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of y and a from those of mean and variance, at least float32."""
    total, off = kept
    count, points, neighbours = _edges(columns, mean), tf.shape(y)[0], tf.cast(len(columns), mean.dtype)
    dmean, slope = grads[0] / count, 2 * grads[1] / count
    degrees = tf.cast(tf.math.bincount(tf.concat(columns, 0), minlength=points), mean.dtype)[:, None]
    deviation = (wide(y) - mean) * degrees + _reversed_sum(wide(a), columns, points)
    dy = degrees * dmean + slope * deviation
    return dy, neighbours * dmean + slope * (total - neighbours * off)


def edges(x: Tensor, w: Tensor, c: Any, u: Any, index: Tensor, relative: int) -> tuple[Tensor, Tensor, Tensor]:
    queries = tf.shape(index)[1]

    @tf.custom_gradient
    def of(x: Tensor, w: Tensor, *centre: Tensor) -> tuple[tuple[Tensor, ...], Callable[..., Any]]:
        columns = _columns(index, tf.shape(x)[1])
        y = tf.matmul(flat(x), w)
        a = tf.matmul(flat(centre[0]), centre[1]) if centre else tf.zeros((tf.size(columns[0]), w.shape[1]), y.dtype)
        if relative == w.shape[0]:
            a -= flat(_clouds(y, x)[:, :queries])
        elif relative:
            a -= tf.matmul(flat(x[:, :queries, :relative]), w[:relative])
        mean, variance, kept = _statistics(y, a, columns)
        best = _top(y, columns)

        def backward(g: Tensor, dmean: Tensor, dvariance: Tensor) -> tuple[Tensor, ...]:
            dtype, g = g.dtype, flat(g)
            dy, da = _through_statistics(y, a, columns, mean, kept, dmean, dvariance)
            dy, da = dy + _to_winners(y, columns, best, g), da + wide(g)
            if relative == w.shape[0]:  # before the product, where what cancels is still apart
                dy -= flat(_with_zeros(_clouds(da, x), _clouds(dy, x)))
            dx, dw = _through_product(x, w, tf.cast(dy, dtype))
            if 0 < relative < w.shape[0]:
                some, dsome = _through_product(x[:, :queries, :relative], w[:relative], tf.cast(da, dtype))
                dx, dw = dx - _with_zeros(some, dx), dw - _with_zeros(dsome, dw)
            to_centre = _through_product(centre[0], centre[1], tf.cast(da, dtype)) if centre else ()
            return dx, dw, *to_centre

        return (_clouds(best + a, x), mean, variance), backward

    return of(x, w) if c is None else of(x, w, c, u)


@tf.custom_gradient
def spread_moments(y: Tensor, a: Tensor, index: Tensor) -> tuple[tuple[Tensor, Tensor], Callable[..., Any]]:
    columns = _columns(index, tf.shape(y)[1])
    mean, variance, kept = _statistics(flat(y), flat(a), columns)

    def backward(dmean: Tensor, dvariance: Tensor) -> tuple[Tensor, Tensor, None]:
        both = _through_statistics(flat(y), flat(a), columns, mean, kept, dmean, dvariance)
        dy, da = (tf.cast(_clouds(each, y), y.dtype) for each in both)
        return dy, da, None

    return (mean, variance), backward


def spread(y: Tensor, a: Tensor, index: Tensor, slope: float) -> Tensor:
    @tf.custom_gradient
    def of(y: Tensor, a: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        start = tf.range(tf.shape(index)[0])[:, None, None] * tf.shape(y)[1]
        rows = tf.reshape(index + start, (-1,))
        edges = tf.reshape(tf.gather(flat(y), rows), (-1, index.shape[2], y.shape[2])) + flat(a)[:, None]
        z = tf.nn.leaky_relu(edges, slope)

        def backward(dz: Tensor) -> tuple[Tensor, Tensor]:
            dz = tf.reshape(dz, tf.shape(z))
            through = wide(tf.raw_ops.LeakyReluGrad(gradients=dz, features=z, alpha=slope))
            dy = tf.math.unsorted_segment_sum(tf.reshape(through, (-1, y.shape[2])), rows, tf.shape(flat(y))[0])
            da = tf.reduce_sum(through, 1)
            return tf.cast(_clouds(dy, y), y.dtype), tf.cast(_clouds(da, y), y.dtype)

        return _clouds(tf.reshape(z, (-1, y.shape[2])), y), backward

    return of(y, a)


def _in_groups(x: Tensor, w: Tensor, count: int) -> Tensor:
    """x w of one cloud's groups, (Q, M, C)."""
    return tf.reshape(tf.matmul(x, w), (-1, count, w.shape[1]))


def _each(function: Callable[..., Any], arrays: Any, answers: Any) -> Any:
    """``function`` of every cloud's part of the arrays, one cloud after another."""
    return tf.map_fn(function, arrays, fn_output_signature=answers, parallel_iterations=1)


def moments_and_maximum_of_groups(x: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    @tf.custom_gradient
    def of(x: Tensor, w: Tensor) -> tuple[tuple[Tensor, ...], Callable[..., Any]]:
        def winners(cloud: Tensor) -> tuple[Tensor, Tensor]:
            y = _in_groups(cloud, w, count)
            return tf.reduce_max(y, 1), tf.argmax(y, 1, tf.int32)

        mean, covariance = pooled._moments(x)
        top, won = _each(winners, x, (x.dtype, tf.int32))

        def backward(dmean: Tensor, dcovariance: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
            def one(cloud: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
                rows, won, g = cloud
                hit = tf.range(count)[None, :, None] == won[:, None]
                dy = tf.reshape(tf.where(hit, g[:, None], tf.zeros((), g.dtype)), (-1, w.shape[1]))
                return tf.matmul(dy, w, transpose_b=True), wide(tf.matmul(rows, dy, transpose_a=True))

            dx, dw = _each(one, (x, won, g), (x.dtype, mean.dtype))
            dx = wide(dx) + pooled._through_moments(x, mean, dmean, dcovariance)
            return tf.cast(dx, x.dtype), tf.cast(tf.reduce_sum(dw, 0), w.dtype)

        return (mean, covariance, top), backward

    return of(x, w)


def maximum_of_groups(x: Tensor, w: Tensor, count: int) -> Tensor:
    return _each(lambda cloud: tf.reduce_max(_in_groups(cloud, w, count), 1), x, x.dtype)
