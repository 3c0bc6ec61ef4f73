"""TensorFlow's form: custom gradients, and running sums and maxima over the neighbours' rows of all clouds at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

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
        about = tf.reduce_mean(wide(y), 0) + tf.reduce_mean(wide(a), 0)  # squares about nearly the mean lose no digits
        total, squares = _sums(y, wide(a) - about, columns)
        count, neighbours = tf.cast(tf.size(index), about.dtype), tf.cast(len(columns), about.dtype)
        off = tf.reduce_sum(total, 0) / count
        mean, best = about + off, _top(y, columns)

        def backward(g: Tensor, dmean: Tensor, dvariance: Tensor) -> tuple[Tensor, ...]:
            dtype, points = g.dtype, tf.shape(y)[0]
            g, dmean, slope = flat(g), dmean / count, 2 * dvariance / count
            degrees = tf.cast(tf.math.bincount(tf.concat(columns, 0), minlength=points), about.dtype)[:, None]
            deviation = (wide(y) - mean) * degrees + _reversed_sum(wide(a), columns, points)
            dy = _to_winners(y, columns, best, g) + degrees * dmean + slope * deviation
            da = wide(g) + neighbours * dmean + slope * (total - neighbours * off)
            if relative == w.shape[0]:  # before the product, where what cancels is still apart
                dy -= flat(_with_zeros(_clouds(da, x), _clouds(dy, x)))
            dx, dw = _through_product(x, w, tf.cast(dy, dtype))
            if 0 < relative < w.shape[0]:
                some, dsome = _through_product(x[:, :queries, :relative], w[:relative], tf.cast(da, dtype))
                dx, dw = dx - _with_zeros(some, dx), dw - _with_zeros(dsome, dw)
            to_centre = _through_product(centre[0], centre[1], tf.cast(da, dtype)) if centre else ()
            return dx, dw, *to_centre

        return (_clouds(best + a, x), mean, tf.maximum(squares / count - tf.square(off), 0)), backward

    return of(x, w) if c is None else of(x, w, c, u)
