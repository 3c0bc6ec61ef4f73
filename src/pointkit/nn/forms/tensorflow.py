"""TensorFlow's form: custom gradients, and loops over clouds so that the wide product never leaves the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Tensor = Any
ROWS = 2048  # of the wide product that are held at once
BLOCK = 16  # rows whose maximum is taken first


def wide(x: Tensor) -> Tensor:
    """x in at least float32: half precision is for products, not for sums over points."""
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    x = wide(x)
    mean = tf.reduce_mean(x, 1)
    centred = x - mean[:, None]
    n = tf.cast(tf.shape(x)[1], x.dtype)
    return mean, tf.matmul(centred, centred, transpose_a=True) / n


def _through_moments(x: Tensor, mean: Tensor, dmean: Tensor, dcovariance: Tensor) -> Tensor:
    """The gradient of clouds x (B, N, K) from those of their means and covariances, at least float32."""
    n = tf.cast(tf.shape(x)[1], mean.dtype)
    both = (dcovariance + tf.linalg.matrix_transpose(dcovariance)) / n
    constant = dmean[:, None] / n - tf.matmul(mean[:, None], both)
    return tf.matmul(wide(x), both) + constant


@tf.custom_gradient
def moments(x: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Callable[..., Tensor]]:
    mean, covariance = _moments(x)

    def backward(dx: Tensor, dmean: Tensor, dcovariance: Tensor) -> Tensor:
        return tf.cast(wide(dx) + _through_moments(x, mean, dmean, dcovariance), x.dtype)

    return (tf.identity(x), mean, covariance), backward


def _flat(x: Tensor) -> Tensor:
    return tf.reshape(x, (-1, x.shape[-1]))


def affine_relu(x: Tensor, w: Tensor, b: Tensor, slope: float = 0.0) -> Tensor:
    own = len(w.shape) == 3

    @tf.custom_gradient
    def of(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Callable[..., tuple[Tensor, Tensor, Tensor]]]:
        y = tf.matmul(x, w) if own else tf.reshape(tf.matmul(_flat(x), w), (*_sizes(x), w.shape[-1]))
        y = tf.nn.bias_add(y, b)
        z = tf.nn.leaky_relu(y, slope) if slope else tf.nn.relu(y)

        def backward(dz: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            if slope:
                dy = tf.raw_ops.LeakyReluGrad(gradients=dz, features=z, alpha=slope)
            else:
                dy = tf.raw_ops.ReluGrad(gradients=dz, features=z)
            db = tf.reduce_sum(dy, (0, 1))
            if own:
                return tf.matmul(dy, w, transpose_b=True), tf.matmul(x, dy, transpose_a=True), db
            dx = tf.reshape(tf.matmul(_flat(dy), w, transpose_b=True), tf.shape(x))
            return dx, tf.matmul(_flat(x), _flat(dy), transpose_a=True), db

        return z, backward

    return of(x, w, b)


def _sizes(x: Tensor) -> tuple[Tensor, Tensor]:
    shape = tf.shape(x)
    return shape[0], shape[1]


def _in_parts(x: Tensor, function: Callable[[Tensor], Any], answers: Any) -> tuple[Tensor, ...]:
    """``function`` of up to ``ROWS`` points at a time: x (B, N, K) -> tensors (B, parts, C) of types ``answers``."""
    size, n = _sizes(x)
    rows = tf.minimum(ROWS, -(-n // BLOCK) * BLOCK)
    parts = -(-n // rows)
    x = tf.concat([x, tf.repeat(x[:, -1:], parts * rows - n, 1)], 1)  # repeated points win nothing
    flat = tf.reshape(x, (size * parts, rows, x.shape[-1]))
    found = tf.map_fn(function, flat, fn_output_signature=answers, parallel_iterations=1)
    return tuple(tf.reshape(each, (size, parts, each.shape[-1])) for each in found)


def _winners(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum over N of x w (B, C), and the index of one point that reaches it."""
    c = w.shape[-1]

    def part(rows: Tensor) -> tuple[Tensor, Tensor]:
        y = tf.reshape(tf.matmul(rows, w), (-1, BLOCK, c))
        tops = tf.reduce_max(y, 1)
        top = tf.reduce_max(tops, 0)
        block = tf.argmax(tops, 0, tf.int32)  # (C,)
        inside = tf.gather_nd(
            y,
            tf.stack(
                [
                    tf.repeat(block[:, None], BLOCK, 1),
                    tf.repeat(tf.range(BLOCK)[None], c, 0),
                    tf.repeat(tf.range(c)[:, None], BLOCK, 1),
                ],
                -1,
            ),
        )
        return top, block * BLOCK + tf.argmax(inside, 1, tf.int32)

    value, index = _in_parts(x, part, (x.dtype, tf.int32))
    best = tf.argmax(value, 1, tf.int32)[:, None]
    index = index + tf.range(tf.shape(index)[1])[None, :, None] * ROWS
    chosen = tf.gather(tf.transpose(index, (0, 2, 1)), best[:, 0], batch_dims=2)
    return tf.reduce_max(value, 1), tf.minimum(chosen, tf.shape(x)[1] - 1)


@tf.custom_gradient
def moments_and_maximum(x: Tensor, w: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Callable[..., Any]]:
    mean, covariance = _moments(x)
    value, index = _winners(x, w)

    def backward(dmean: Tensor, dcovariance: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        size, n = _sizes(x)
        columns = wide(tf.transpose(w))  # many channels may have one winner: too long a sum for half precision
        flat = index + tf.range(size)[:, None] * n  # (B, C)
        through = _flat(_through_moments(x, mean, dmean, dcovariance))

        def one(b: Tensor, dw: Tensor, dx: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            part = wide(g[b])[:, None]
            dw = dw + wide(tf.gather(_flat(x), flat[b])) * part
            return b + 1, dw, tf.tensor_scatter_nd_add(dx, flat[b][:, None], columns * part)

        _, dw, dx = tf.while_loop(
            lambda b, dw, dx: b < size, one, (0, tf.zeros_like(columns), through), parallel_iterations=1
        )
        return tf.cast(tf.reshape(dx, tf.shape(x)), x.dtype), tf.cast(tf.transpose(dw), w.dtype)

    return (mean, covariance, value), backward


def maximum(x: Tensor, w: Tensor) -> Tensor:
    (top,) = _in_parts(x, lambda rows: (tf.reduce_max(tf.matmul(rows, w), 0),), (x.dtype,))
    return tf.reduce_max(top, 1)


def sum_of_products(start: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    y = start[:, None]
    for x, w in pairs:
        own = len(w.shape) == 3
        y = y + (tf.matmul(x, w) if own else tf.reshape(tf.matmul(_flat(x), w), (*_sizes(x), w.shape[-1])))
    return y


def streams() -> int:
    return 1  # two are faster, but then equal clouds in one batch get answers that differ in the last bits


def compiled(model: Any) -> Callable[[Any], Tensor]:
    return model.predict_on_batch


def gradient(model: Any, score: Callable[[Any], Tensor], name: str) -> Callable[[Any], tuple[Tensor, Any]]:
    @tf.function
    def slope(inputs: dict[str, Tensor]) -> tuple[Tensor, Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs[name])
            outputs = model(inputs, training=False)
            total = score(outputs)
        return tape.gradient(total, inputs[name], unconnected_gradients=tf.UnconnectedGradients.ZERO), outputs

    return lambda inputs: slope({key: tf.convert_to_tensor(array) for key, array in inputs.items()})
