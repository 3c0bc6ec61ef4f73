"""JAX's form: custom gradients, and a scan over clouds so that the wide product never leaves the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

Array = Any
ROWS = 2048  # of the wide product that are held at once
BLOCK = 8  # rows whose maximum is taken first
NARROW = 128  # features up to which all clouds at once are faster than some that stay in the cache
WIDE = 256  # features from which on it pays to leave out half of a symmetric matrix


def wide(x: Array) -> Array:
    """At least float32: half precision is for products, not for sums over points."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _grouped(x: Array | None, features: int) -> Array | None:
    """(B, ...) -> (B / 2, 2, ...): two clouds at a time stay in the cache, and keep two cores busy.

    Of few features all clouds are one group: (1, B, ...).
    """
    if x is None:
        return None
    group = len(x) if features <= NARROW else 2 - len(x) % 2
    return x.reshape(-1, group, *x.shape[1:])


def _ungrouped(x: Array) -> Array:
    return x.reshape(-1, *x.shape[2:])


def _gram(x: Array) -> Array:
    """x^T x (B, K, K) of x (B, N, K); it is symmetric, so three quarters of a wide one suffice."""
    k = x.shape[2]
    if k < WIDE:
        return jnp.einsum("bnk,bnl->bkl", x, x)
    left, right = x[..., : k // 2], x[..., k // 2 :]
    top = jnp.einsum("bnk,bnl->bkl", left, x)
    corner = jnp.swapaxes(top[..., k // 2 :], 1, 2)
    return jnp.concatenate([top, jnp.concatenate([corner, jnp.einsum("bnk,bnl->bkl", right, right)], 2)], 1)


def _moments(x: Array) -> tuple[Array, Array]:
    def some(x: Array) -> tuple[Array, Array]:
        x = wide(x)
        mean = x.mean(1)
        return mean, _gram(x - mean[:, None]) / x.shape[1]

    mean, covariance = jax.lax.map(some, _grouped(x, x.shape[2]))
    return _ungrouped(mean), _ungrouped(covariance)


def _through_moments(x: Array, mean: Array, dmean: Array, dcovariance: Array) -> Array:
    """What clouds x (B, N, K) get of the gradients of their means and covariances."""
    n = x.shape[1]
    both = (dcovariance + jnp.swapaxes(dcovariance, 1, 2)) / n
    return (wide(x) @ both + (dmean[:, None] / n - mean[:, None] @ both)).astype(x.dtype)


@jax.custom_vjp
def moments(x: Array) -> tuple[Array, Array, Array]:
    return x, *_moments(x)


def _moments_forward(x: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
    mean, covariance = _moments(x)
    return (x, mean, covariance), (x, mean)


def _moments_backward(saved: tuple[Array, Array], grads: tuple[Array, Array, Array]) -> tuple[Array]:
    dx, dmean, dcovariance = grads
    return (dx + _through_moments(*saved, dmean, dcovariance),)


moments.defvjp(_moments_forward, _moments_backward)


@jax.custom_vjp
def affine_relu(x: Array, w: Array, b: Array) -> Array:
    return jax.nn.relu(x @ w + b)


def _affine_relu_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    z = affine_relu(x, w, b)
    return z, (x, w, b, z)


def _affine_relu_backward(saved: tuple[Array, Array, Array, Array], dz: Array) -> tuple[Array, Array, Array]:
    x, w, b, z = saved
    own = w if w.ndim == 3 else None
    features = max(w.shape[-2:])
    if own is None and features <= NARROW:
        dy = jnp.where(z > 0, dz, 0).reshape(-1, z.shape[2])
        dw = jnp.matmul(x.reshape(-1, x.shape[2]).T, dy, preferred_element_type=wide(dy[:0]).dtype)
        return (dy @ w.T).reshape(x.shape), dw.astype(w.dtype), wide(dy).sum(0).astype(b.dtype)

    def some(sums: tuple[Array, Array], clouds: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        x, own, z, dz = clouds
        dy = jnp.where(z > 0, dz, 0)
        dx = dy @ jnp.swapaxes(w if own is None else own, -1, -2)
        dw = wide(jnp.einsum("bnk,bnc->bkc", x, dy))
        db = sums[1] + wide(dy).sum((0, 1))
        return ((sums[0] + dw.sum(0), db), (dx, None)) if own is None else ((sums[0], db), (dx, dw))

    start = (jnp.zeros_like(wide(w if own is None else b)), jnp.zeros_like(wide(b)))
    (dw, db), (dx, dws) = jax.lax.scan(some, start, tuple(_grouped(each, features) for each in (x, own, z, dz)))
    return _ungrouped(dx), (dw if own is None else _ungrouped(dws)).astype(w.dtype), db.astype(b.dtype)


affine_relu.defvjp(_affine_relu_forward, _affine_relu_backward)


def _smallest_equal(y: Array, top: Array, axis: int) -> Array:
    places = jax.lax.broadcasted_iota(jnp.int32, y.shape, axis)
    return jnp.minimum(jnp.where(y == top, places, y.shape[axis]).min(axis), y.shape[axis] - 1)


def winners(x: Array, w: Array) -> tuple[Array, Array]:
    """Maximum over N of x w and the index of one point that reaches it, (B, C) each."""
    size, n, k = x.shape
    c = w.shape[1]
    rows = min(ROWS, -(-n // BLOCK) * BLOCK)
    parts = -(-n // rows)
    x = jnp.pad(x, ((0, 0), (0, parts * rows - n), (0, 0)), mode="edge")  # repeated points win nothing

    def part(cloud: Array) -> tuple[Array, Array]:
        y = (cloud @ w).reshape(rows // BLOCK, BLOCK, c)
        tops = y.max(1)
        top = tops.max(0)
        block = _smallest_equal(tops, top, 0)
        inside = y[block, :, jnp.arange(c)]  # (C, BLOCK)
        return top, block * BLOCK + _smallest_equal(inside, top[:, None], 1)

    value, index = jax.lax.map(part, x.reshape(size * parts, rows, k))
    if parts > 1:
        value, index = value.reshape(size, parts, c), index.reshape(size, parts, c)
        best = jnp.argmax(value, 1, keepdims=True).astype(index.dtype)
        value = jnp.take_along_axis(value, best, 1)[:, 0]
        index = jnp.take_along_axis(index, best, 1)[:, 0] + best[:, 0] * rows
    return value, jnp.minimum(index, n - 1)


@jax.custom_vjp
def moments_and_maximum(x: Array, w: Array) -> tuple[Array, Array, Array]:
    return *_moments(x), winners(x, w)[0]


def _maximum_forward(x: Array, w: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    mean, covariance = _moments(x)
    value, index = winners(x, w)
    return (mean, covariance, value), (x, w, mean, index)


def _maximum_backward(saved: tuple[Array, ...], grads: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    x, w, mean, index = saved
    dmean, dcovariance, g = grads
    columns = w.T

    def scattered(through: Array, index: Array, g: Array) -> Array:
        return through.at[index].add((columns * g[:, None]).astype(x.dtype))

    def some(dw: Array, clouds: tuple[Array, ...]) -> tuple[Array, Array | None]:
        x, index, through, g = clouds
        return dw + x[index] * g[:, None], None if narrow else scattered(through, index, g)

    narrow = x.shape[2] <= NARROW
    through = _through_moments(x, mean, dmean, dcovariance)
    dw, dx = jax.lax.scan(some, jnp.zeros_like(wide(columns)), (x, index, through, g))
    return jax.vmap(scattered)(through, index, g) if narrow else dx, dw.T.astype(w.dtype)


moments_and_maximum.defvjp(_maximum_forward, _maximum_backward)


def maximum(x: Array, w: Array) -> Array:
    return winners(x, w)[0]


def sum_of_products(start: Array, pairs: Sequence[tuple[Array, Array]]) -> Array:
    return sum((x @ w for x, w in pairs), start[:, None])
