"""JAX's form: custom gradients, and a scan over clouds so that the wide product never leaves the cache.

A wide array is one with many columns for each point, such as the (B, N, C) product x w. The scan takes a cloud or two
at a time on a processor, and as many as fill it on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Array = Any
ROWS = 2048  # of the wide product that are held at once
ENTRIES = 2**24  # of the wide product that a GPU holds at once
BLOCK = 8  # rows whose maximum is taken first
NARROW = 128  # up to so many features, all clouds at once are faster than a few that fit the cache
DEEP = 384  # from so many input features on, a maximum in two steps is faster than in one
WIDE = 256  # from so many features on, it pays to compute only a part of a symmetric matrix


def wide(x: Array) -> Array:
    """x in at least float32: half precision is for products, not for sums over points."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _on_gpu() -> bool:
    return jax.default_backend() != "cpu"


def _group(size: int, features: int) -> int:
    """How many clouds out of ``size`` are taken at once: two fit the cache, and keep two cores busy."""
    return size if features <= NARROW or _on_gpu() else 2 - size % 2


def _wide_group(size: int, entries: int) -> int:
    """The same where each cloud has so many ``entries`` in a wide array: one, on a GPU more. It divides ``size``."""
    most = max(1, ENTRIES // entries) if _on_gpu() else 1
    return next(count for count in range(min(size, most), 0, -1) if size % count == 0)


def _reader(x: Array, count: int) -> Callable[[Array], Array]:
    """A function of i: the clouds ``i * count`` to ``(i + 1) * count`` of x (B, N, K).

    All callers take rows of one flat array, because XLA computes x anew for each shape in which it is wanted.
    """
    rows = count * x.shape[1]
    flat = x.reshape(-1, x.shape[2])
    return lambda i: jax.lax.dynamic_slice_in_dim(flat, i * rows, rows).reshape(count, *x.shape[1:])


def _weights(w: Array, count: int) -> Callable[[Array], Array]:
    """The same for weights, shared (K, C) or each cloud's own (B, K, C)."""
    return _reader(w, count) if w.ndim == 3 else lambda i: w


def _ungrouped(x: Array) -> Array:
    return x.reshape(-1, *x.shape[2:])


def _gram(x: Array) -> Array:
    """x^T x (B, K, K) of x (B, N, K); it is symmetric, so only three quarters of a wide one are computed."""
    k = x.shape[2]
    if k < WIDE:
        return jnp.einsum("bnk,bnl->bkl", x, x)
    left, right = x[..., : k // 2], x[..., k // 2 :]
    top = jnp.einsum("bnk,bnl->bkl", left, x)
    corner = jnp.swapaxes(top[..., k // 2 :], 1, 2)
    return jnp.concatenate([top, jnp.concatenate([corner, jnp.einsum("bnk,bnl->bkl", right, right)], 2)], 1)


def _moments(x: Array) -> tuple[Array, Array]:
    def some(i: Array) -> tuple[Array, Array]:
        group = wide(clouds(i))
        mean = group.mean(1)
        return mean, _gram(group - mean[:, None]) / x.shape[1]

    count = _group(len(x), x.shape[2])
    clouds = _reader(x, count)
    mean, covariance = jax.lax.map(some, jnp.arange(len(x) // count))
    return _ungrouped(mean), _ungrouped(covariance)


def _through_moments(x: Array, mean: Array, dmean: Array, dcovariance: Array) -> Array:
    """The gradient of clouds x (B, N, K) from those of their means and covariances, at least float32."""
    n = x.shape[1]
    both = (dcovariance + jnp.swapaxes(dcovariance, 1, 2)) / n
    return wide(x) @ both + (dmean[:, None] / n - mean[:, None] @ both)


@jax.custom_vjp
def moments(x: Array) -> tuple[Array, Array, Array]:
    return x, *_moments(x)


def _moments_forward(x: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
    mean, covariance = _moments(x)
    return (x, mean, covariance), (x, mean)


def _moments_backward(saved: tuple[Array, Array], grads: tuple[Array, Array, Array]) -> tuple[Array]:
    dx, dmean, dcovariance = grads
    return ((dx + _through_moments(*saved, dmean, dcovariance)).astype(dx.dtype),)


moments.defvjp(_moments_forward, _moments_backward)


def _to_weights(x: Array, w: Array, dy: Array) -> Array:
    """The gradient of weights w, shared or each cloud's own, whose products with x have the gradient dy (B, N, C)."""
    if w.ndim == 3:
        return jnp.einsum("bnk,bnc->bkc", x, dy).astype(w.dtype)
    flat, dflat = x.reshape(-1, x.shape[2]), dy.reshape(-1, dy.shape[2])
    return jnp.matmul(flat.T, dflat, preferred_element_type=wide(w[:0]).dtype).astype(w.dtype)


def _rectified(y: Array, slope: float) -> Array:
    return jax.nn.leaky_relu(y, slope) if slope else jax.nn.relu(y)


def _through_rectified(z: Array, dz: Array, slope: float) -> Array:
    return jnp.where(z > 0, dz, slope * dz if slope else 0)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def affine_relu(x: Array, w: Array, b: Array, slope: float = 0.0) -> Array:
    features = max(w.shape[-2:])
    if _group(len(x), features) == len(x):
        return _rectified((x @ w).reshape(-1, w.shape[-1]) + b, slope).reshape(*x.shape[:2], -1)
    count = _group(len(x), features)
    xs, ws = _reader(x, count), _weights(w, count)
    return _ungrouped(jax.lax.map(lambda i: _rectified(xs(i) @ ws(i) + b, slope), jnp.arange(len(x) // count)))


def _affine_relu_forward(x: Array, w: Array, b: Array, slope: float) -> tuple[Array, tuple[Array, ...]]:
    z = affine_relu(x, w, b, slope)
    return z, (x, w, b, z)


def _affine_relu_backward(slope: float, saved: tuple[Array, ...], dz: Array) -> tuple[Array, Array, Array]:
    x, w, b, z = saved
    own = w if w.ndim == 3 else None
    features = max(w.shape[-2:])
    if own is None and _group(len(x), features) == len(x):
        dy = _through_rectified(z, dz, slope)
        return dy @ w.T, _to_weights(x, w, dy), wide(dy).sum((0, 1)).astype(b.dtype)

    def some(sums: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        dy = _through_rectified(zs(i), dzs(i), slope)
        dx = dy @ jnp.swapaxes(ws(i), -1, -2)
        dw = wide(jnp.einsum("bnk,bnc->bkc", xs(i), dy))
        db = sums[1] + wide(dy).sum((0, 1))
        return ((sums[0] + dw.sum(0), db), (dx, None)) if own is None else ((sums[0], db), (dx, dw))

    start = (jnp.zeros_like(wide(w if own is None else b)), jnp.zeros_like(wide(b)))
    count = _group(len(x), features)
    xs, zs, dzs = (_reader(each, count) for each in (x, z, dz))
    ws = _weights(w, count)
    (dw, db), (dx, dws) = jax.lax.scan(some, start, jnp.arange(len(x) // count))
    return _ungrouped(dx), (dw if own is None else _ungrouped(dws)).astype(w.dtype), db.astype(b.dtype)


affine_relu.defvjp(_affine_relu_forward, _affine_relu_backward)


def _smallest_equal(y: Array, top: Array, axis: int) -> Array:
    places = jax.lax.broadcasted_iota(jnp.int32, y.shape, axis)
    return jnp.minimum(jnp.where(y == top, places, y.shape[axis]).min(axis), y.shape[axis] - 1)


def _in_parts(x: Array, features: int, function: Callable[[Array], Any]) -> Any:
    """``function`` of up to ``ROWS`` points at a time: x (B, N, K) -> its answers (B, parts, ...).

    A GPU takes several such parts at once. ``features`` is the width of the widest array that the function makes.
    """
    size, n, k = x.shape
    rows = min(ROWS, -(-n // BLOCK) * BLOCK)
    parts = -(-n // rows)
    if parts * rows > n:
        x = jnp.pad(x, ((0, 0), (0, parts * rows - n), (0, 0)), mode="edge")  # repeated points win nothing
    count = _wide_group(size * parts, rows * features)
    some = _reader(x.reshape(size * parts, rows, k), count)
    if count == 1:  # on the processor an axis of length one made the maximum 7 % slower
        answers = jax.lax.map(lambda i: function(some(i)[0]), jnp.arange(size * parts))
    else:
        answers = jax.lax.map(lambda i: jax.vmap(function)(some(i)), jnp.arange(size * parts // count))
        answers = jax.tree.map(_ungrouped, answers)
    return jax.tree.map(lambda answer: answer.reshape(size, parts, *answer.shape[1:]), answers)


def _winners(x: Array, w: Array) -> tuple[Array, Array]:
    """Maximum over N of x w and the index of one point that reaches it, (B, C) each."""

    def part(rows: Array) -> tuple[Array, Array]:
        y = (rows @ w).reshape(-1, BLOCK, w.shape[1])
        tops = y.max(1)
        top = tops.max(0)
        block = _smallest_equal(tops, top, 0)
        inside = y[block, :, jnp.arange(w.shape[1])]  # (C, BLOCK)
        return top, block * BLOCK + _smallest_equal(inside, top[:, None], 1)

    value, index = _in_parts(x, w.shape[1], part)
    best = jnp.argmax(value, 1, keepdims=True).astype(index.dtype)
    index = jnp.take_along_axis(index, best, 1)[:, 0] + best[:, 0] * ROWS
    return value.max(1), jnp.minimum(index, x.shape[1] - 1)


def _through_winners(dx: Array, x: Array, w: Array, index: Array, g: Array) -> tuple[Array, Array]:
    """The gradients of x, added to dx, and of w, from the gradient g (B, C) of the maxima that points ``index`` won.

    A point may win in many channels, so both are summed in at least float32, as is dx. (A GPU's atomic sums in half
    precision are many times slower, too.)
    """
    columns, g = wide(w.T), wide(g)

    def some(sums: tuple[Array, Array], each: tuple[Array, ...]) -> tuple[tuple[Array, Array], None]:
        dw, dx = sums
        i, index, g = each
        dx = dx.at[i * count + jnp.arange(count)[:, None], index].add(columns * g[..., None])
        won = jnp.take_along_axis(clouds(i), index[..., None], 1)
        return (dw + (won * g[..., None]).sum(0), dx), None

    count = _wide_group(len(x), w.size)
    clouds = _reader(x, count)
    index, g = (each.reshape(-1, count, w.shape[1]) for each in (index, g))
    (dw, dx), _ = jax.lax.scan(some, (jnp.zeros_like(columns), dx), (jnp.arange(len(g)), index, g))
    return dx.astype(x.dtype), dw.T.astype(w.dtype)


@jax.custom_vjp
def moments_and_maximum(x: Array, w: Array) -> tuple[Array, Array, Array]:
    return *_moments(x), maximum(x, w)


def _moments_and_maximum_forward(x: Array, w: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    mean, covariance = _moments(x)
    value, index = _winners(x, w)
    return (mean, covariance, value), (x, w, mean, index)


def _moments_and_maximum_backward(saved: tuple[Array, ...], grads: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    x, w, mean, index = saved
    dmean, dcovariance, g = grads
    return _through_winners(_through_moments(x, mean, dmean, dcovariance), x, w, index, g)


moments_and_maximum.defvjp(_moments_and_maximum_forward, _moments_and_maximum_backward)


@jax.custom_vjp
def maximum(x: Array, w: Array) -> Array:
    def part(rows: Array) -> Array:
        y = rows @ w
        if len(w) >= DEEP and not _on_gpu():
            y = jax.lax.optimization_barrier(y.reshape(-1, BLOCK, w.shape[1]).max(1))
        return y.max(0)

    return _in_parts(x, w.shape[1], part).max(1)


def _maximum_forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    value, index = _winners(x, w)
    return value, (x, w, index)


def _maximum_backward(saved: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array]:
    x, w, index = saved
    return _through_winners(jnp.zeros_like(wide(x)), x, w, index, g)


maximum.defvjp(_maximum_forward, _maximum_backward)


@jax.custom_vjp
def sum_of_products(start: Array, pairs: Sequence[tuple[Array, Array]]) -> Array:
    count = _group(len(start), max(x.shape[2] for x, _ in pairs))
    readers = [(_reader(x, count), _weights(w, count)) for x, w in pairs]
    starts = start.reshape(-1, count, 1, start.shape[1])
    return _ungrouped(
        jax.lax.map(lambda i: sum((xs(i) @ ws(i) for xs, ws in readers), starts[i]), jnp.arange(len(starts)))
    )


def _sum_forward(start: Array, pairs: Sequence[tuple[Array, Array]]) -> tuple[Array, Sequence[tuple[Array, Array]]]:
    return sum_of_products(start, pairs), pairs


def _sum_backward(pairs: Sequence[tuple[Array, Array]], dy: Array) -> tuple[Array, list[tuple[Array, Array]]]:
    to_pairs = [(dy @ jnp.swapaxes(w, -1, -2), _to_weights(x, w, dy)) for x, w in pairs]
    return wide(dy).sum(1).astype(dy.dtype), to_pairs


sum_of_products.defvjp(_sum_forward, _sum_backward)


def streams() -> int:
    return 1 if _on_gpu() else 2


def compiled(model: Any) -> Callable[[Any], Array]:
    # Keras's predict_on_batch passes every weight in and out, which takes a fifth of the time for one cloud.
    answer = jax.jit(lambda *given: model.stateless_call(*given, training=False)[0])
    trainable, others = model.trainable_variables, model.non_trainable_variables
    return lambda inputs: answer([v.value for v in trainable], [v.value for v in others], inputs)


def gradient(model: Any, score: Callable[[Any], Array], name: str) -> Callable[[Any], tuple[Array, Any]]:
    def scored(x: Array, inputs: dict[str, Array], *weights: Any) -> tuple[Array, Any]:
        outputs = model.stateless_call(*weights, {**inputs, name: x}, training=False)[0]
        return score(outputs), outputs

    slope = jax.jit(jax.grad(scored, has_aux=True))
    trainable, others = model.trainable_variables, model.non_trainable_variables
    return lambda inputs: slope(inputs[name], inputs, [v.value for v in trainable], [v.value for v in others])
