"""JAX's form: loops over clouds, each of which gathers and reduces one thing.

On a processor XLA joins a chain of gathers with the reduction, norm or scatter that follows. It then goes number by
number, ten times as slow. It cannot look through the end of a loop, so each maximum and each sum has a loop of its own:
together they take 6 ms where one loop for all takes 14 (16 clouds of 1,024 points, 20 neighbours, 64 channels).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from pointkit.nn.forms import jax as pooled
from pointkit.nn.forms.jax import wide

Array = Any


def _each(function: Callable[..., Array], *arrays: Array) -> Array:
    """``function`` of every cloud's part of the arrays: one cloud after another, on a GPU all at once."""
    if pooled._on_gpu():
        return jax.vmap(function)(*arrays)
    return jax.lax.map(lambda cloud: function(*cloud), arrays)


def _rows(y: Array, index: Array) -> Array:
    return y.at[index].get(mode="promise_in_bounds")


def _over(join: Callable[[Array, Array], Array], each: Callable[[int], Array], count: int) -> Array:
    """``each(0)``, joined with ``each(1)``, and so on to the last of ``count`` neighbours."""
    total = each(0)
    for m in range(1, count):
        total = join(total, each(m))
    return total


def _top(y: Array, index: Array) -> Array:
    def one(y: Array, index: Array) -> Array:
        return _over(jnp.maximum, lambda m: _rows(y, index[:, m]), index.shape[1])

    return _each(one, y, index)


def _sum(y: Array, index: Array) -> Array:
    """The sum of each centre's neighbours' rows, (B, Q, C), at least float32."""

    def one(y: Array, index: Array) -> Array:
        return _over(jnp.add, lambda m: wide(_rows(y, index[:, m])), index.shape[1])

    return _each(one, y, index)


def _sum_of_squares(y: Array, start: Array, index: Array) -> Array:
    """The sum over each centre's neighbours of (y_j + start_i) ** 2, (B, Q, C); start is (B, Q, C)."""

    def one(y: Array, start: Array, index: Array) -> Array:
        return _over(jnp.add, lambda m: (wide(_rows(y, index[:, m])) + start) ** 2, index.shape[1])

    return _each(one, y, start, index)


def _reversed_sum(c: Array, index: Array, n: int) -> Array:
    """For each of n points the sum of the rows of those centres that it is a neighbour of, (B, n, C)."""

    def one(c: Array, index: Array) -> Array:
        start = jnp.zeros((n, c.shape[1]), c.dtype)
        add = lambda m, total: total.at[index[:, m]].add(c, mode="promise_in_bounds")  # noqa: E731
        return jax.lax.fori_loop(0, index.shape[1], add, start)

    return _each(one, wide(c), index)


def _degrees(index: Array, n: int, dtype: Any) -> Array:
    """How often each of n points is named as a neighbour, (B, n)."""
    return _each(lambda i: jnp.zeros(n, dtype).at[i.reshape(-1)].add(1, mode="promise_in_bounds"), index)


def _winners(y: Array, index: Array, top: Array) -> Array:
    """The row that reached the maximum, the first of equals, (B, Q, C)."""

    def one(y: Array, index: Array, top: Array) -> Array:
        won = jnp.broadcast_to(index[:, -1:], top.shape)
        for m in range(index.shape[1] - 2, -1, -1):
            won = jnp.where(_rows(y, index[:, m]) == top, index[:, m, None], won)
        return won

    return _each(one, y, index, top)


def _to_winners(won: Array, g: Array, n: int) -> Array:
    """The gradient (B, Q, C) of the maxima, handed to the rows that won them, (B, n, C), at least float32."""

    def one(won: Array, g: Array) -> Array:
        channels = g.shape[1]
        place = won * channels + jnp.arange(channels, dtype=won.dtype)
        rows = jnp.zeros(n * channels, g.dtype).at[place.reshape(-1)].add(g.reshape(-1), mode="promise_in_bounds")
        return rows.reshape(n, channels)

    return _each(one, won, wide(g))


@jax.custom_vjp
def maximum(y: Array, index: Array) -> Array:
    return _top(y, index)


def _maximum_forward(y: Array, index: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    top = _top(y, index)
    return top, (y, index, top)


def _maximum_backward(saved: tuple[Array, Array, Array], g: Array) -> tuple[Array, None]:
    y, index, top = saved
    return _to_winners(_winners(y, index, top), g, y.shape[1]).astype(y.dtype), None


maximum.defvjp(_maximum_forward, _maximum_backward)


@jax.custom_vjp
def weighted_sum(y: Array, index: Array, weights: Array) -> Array:
    def one(y: Array, index: Array, weights: Array) -> Array:
        return _over(jnp.add, lambda m: weights[:, m, None] * _rows(y, index[:, m]), index.shape[1])

    return _each(one, y, index, weights)


def _weighted_sum_forward(y: Array, index: Array, weights: Array) -> tuple[Array, tuple[Array, ...]]:
    return weighted_sum(y, index, weights), (index, weights, y[:, :, :0])


def _weighted_sum_backward(saved: tuple[Array, ...], g: Array) -> tuple[Array, None, None]:
    index, weights, shape = saved

    def one(index: Array, weights: Array, g: Array) -> Array:
        total = jnp.zeros((shape.shape[1], g.shape[1]), wide(g[:0]).dtype)
        for m in range(index.shape[1]):
            total = total.at[index[:, m]].add(weights[:, m, None] * g, mode="promise_in_bounds")
        return total

    return _each(one, index, weights, g).astype(shape.dtype), None, None


weighted_sum.defvjp(_weighted_sum_forward, _weighted_sum_backward)


GROUPS = (16, 8, 4)  # rows whose highest number is taken first, in a search for the highest of all


def _highest(near: Array, count: int) -> tuple[Array, Array]:
    """The ``count`` highest of each row's numbers (Q, N) in falling order, and where they stand, (Q, count) each.

    Numbers are put into groups. Those sought stand in the ``count`` groups with the highest maxima. XLA keeps a heap of
    the best so far, and is slow where it must often be mended. Given the groups' maxima first, it seldom must.
    """
    queries, n = near.shape
    size = next((size for size in GROUPS if n >= 2 * count * size), 1)
    if size == 1:
        return jax.lax.top_k(near, count)
    groups = -(-n // size)
    near = jnp.pad(near, ((0, 0), (0, size * groups - n)), constant_values=-jnp.inf)
    tops, best = jax.lax.top_k(near.reshape(queries, size, groups).max(1), count)
    places = best[:, :, None] + groups * jnp.arange(size)
    found = _columns(near, places.reshape(queries, -1)).reshape(places.shape)
    member = jax.lax.broadcasted_iota(jnp.int32, found.shape, 2)
    first = jnp.where(found == tops[:, :, None], member, size).min(2)
    others = jnp.where(member == first[:, :, None], -jnp.inf, found)
    tops = jnp.where(first < size, tops, -jnp.inf)  # XLA may compute a number once more, and round it differently
    firsts = best + groups * jnp.minimum(first, size - 1)
    places = jnp.concatenate([firsts, places.reshape(queries, -1)], 1)
    near, won = jax.lax.top_k(jnp.concatenate([tops, others.reshape(queries, -1)], 1), count)
    return near, _columns(places, won)


def _columns(rows: Array, places: Array) -> Array:
    return jnp.take_along_axis(rows, places, 1, mode="promise_in_bounds")


def nearest(closeness: Callable[[Array, Array], Array], queries: Array, points: Array, count: int) -> Any:
    return _each(lambda q, p: _highest(closeness(q[None], p[None])[0], count), queries, points)


def _product(x: Array, w: Array) -> Array:
    return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])


def _mean(rows: Array) -> Array:
    return wide(rows).mean((0, 1))


def _centre_terms(x: Array, w: Array, y: Array, c: Array, u: Array, queries: int, relative: int) -> Array:
    """What the edges of each centre share, c_i u less the map of the first ``relative`` features of x_i, (B, Q, C)."""
    a = jnp.zeros((len(x), queries, w.shape[1]), y.dtype) if c is None else _product(c, u)
    if not relative:
        return a
    whole = relative == len(w)
    return a - (y[:, :queries] if whole else _product(x[:, :queries, :relative], w[:relative]))


def _statistics(y: Array, a: Array, index: Array) -> tuple[Array, Array, Array]:
    """Mean and variance (C,) of y_j + a_i over all edges, and how often each point is named, (B, N)."""
    middles = _mean(y), _mean(a)
    about = middles[0] + middles[1]  # close to the edges' mean: squares about it lose no digits
    degrees = _degrees(index, y.shape[1], about.dtype)
    off = (degrees[..., None] * (wide(y) - middles[0])).sum((0, 1)) / index.size + _mean(wide(a) - middles[1])
    squares = _sum_of_squares(y, wide(a) - about, index).sum(1).sum(0) / index.size
    return about + off, jnp.maximum(squares - off**2, 0), degrees


def _through_statistics(
    y: Array, a: Array, index: Array, degrees: Array, mean: Array, dmean: Array, dvariance: Array
) -> tuple[Array, Array]:
    """The gradients of y and a from those of mean and variance, at least float32."""
    neighbours = index.shape[2]
    dmean, slope = dmean / index.size, 2 * dvariance / index.size
    deviation = degrees[..., None] * (wide(y) - mean) + _reversed_sum(a, index, y.shape[1])
    dy = degrees[..., None] * dmean + slope * deviation
    return dy, neighbours * dmean + slope * (_sum(y, index) + neighbours * (wide(a) - mean))


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def edges(x: Array, w: Array, c: Array, u: Array, index: Array, relative: int) -> tuple[Array, Array, Array]:
    return _edges_forward(x, w, c, u, index, relative)[0]


def _edges_forward(
    x: Array, w: Array, c: Array, u: Array, index: Array, relative: int
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    y = _product(x, w)
    a = _centre_terms(x, w, y, c, u, index.shape[1], relative)
    mean, variance, degrees = _statistics(y, a, index)
    best = _top(y, index)
    return (best + a, mean, variance), (x, w, c, u, index, y, a, best, degrees, mean)


def _edges_backward(relative: int, saved: tuple[Array, ...], grads: tuple[Array, Array, Array]) -> tuple[Array, ...]:
    x, w, c, u, index, y, a, best, degrees, mean = saved
    g, dmean, dvariance = grads
    queries = index.shape[1]
    dy, da = _through_statistics(y, a, index, degrees, mean, dmean, dvariance)
    dy, da = dy + _to_winners(_winners(y, index, best), g, x.shape[1]), da + wide(g)
    dc, du = (None, None) if c is None else _through_product(c, u, da.astype(g.dtype))
    if relative == len(w):
        dy = dy.at[:, :queries].add(-da)  # before the product, where what cancels is still apart
    dx, dw = _through_product(x, w, dy.astype(g.dtype))
    if 0 < relative < len(w):
        some, dsome = _through_product(x[:, :queries, :relative], w[:relative], da.astype(g.dtype))
        dx, dw = dx.at[:, :queries, :relative].add(-some), dw.at[:relative].add(-dsome)
    return dx, dw, dc, du, None


def _through_product(x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
    """The gradients of x and w. The weights' is summed cloud by cloud: half the error in float32, where sums cancel."""
    return _product(dy, w.T), wide(jnp.einsum("bnk,bnc->bkc", x, dy)).sum(0).astype(w.dtype)


edges.defvjp(_edges_forward, _edges_backward)


@jax.custom_vjp
def spread_moments(y: Array, a: Array, index: Array) -> tuple[Array, Array]:
    return _statistics(y, a, index)[:2]


def _spread_moments_forward(y: Array, a: Array, index: Array) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
    mean, variance, degrees = _statistics(y, a, index)
    return (mean, variance), (y, a, index, degrees, mean)


def _spread_moments_backward(saved: tuple[Array, ...], grads: tuple[Array, Array]) -> tuple[Array, Array, None]:
    y, a, index, degrees, mean = saved
    dy, da = _through_statistics(y, a, index, degrees, mean, *grads)
    return dy.astype(y.dtype), da.astype(a.dtype), None


spread_moments.defvjp(_spread_moments_forward, _spread_moments_backward)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def spread(y: Array, a: Array, index: Array, slope: float) -> Array:
    def one(y: Array, a: Array, index: Array) -> Array:
        edges = _rows(y, index) + a[:, None]
        return jnp.maximum(edges, slope * edges).reshape(-1, y.shape[1])

    return _each(one, y, a, index)


def _spread_forward(y: Array, a: Array, index: Array, slope: float) -> tuple[Array, tuple[Array, ...]]:
    z = spread(y, a, index, slope)
    return z, (z, index, y[:, :, :0])


def _spread_backward(slope: float, saved: tuple[Array, ...], dz: Array) -> tuple[Array, Array, None]:
    z, index, shape = saved

    def one(z: Array, dz: Array, index: Array) -> tuple[Array, Array]:
        edges = wide(jnp.where(z > 0, dz, slope * dz)).reshape(*index.shape, -1)
        start = jnp.zeros((shape.shape[1], edges.shape[2]), edges.dtype)
        add = lambda m, total: total.at[index[:, m]].add(edges[:, m], mode="promise_in_bounds")  # noqa: E731
        return jax.lax.fori_loop(0, index.shape[1], add, start), edges.sum(1)

    dy, da = _each(one, z, dz, index)
    return dy.astype(dz.dtype), da.astype(dz.dtype), None


spread.defvjp(_spread_forward, _spread_backward)


def _winners_of_groups(x: Array, w: Array, count: int) -> tuple[Array, Array]:
    """The maximum of each group's rows of x w, and the place in the group of the first that reached it, (B, Q, C)."""

    def one(x: Array) -> tuple[Array, Array]:
        y = (x @ w).reshape(-1, count, w.shape[1])
        top = y.max(1, keepdims=True)
        return top[:, 0], pooled._smallest_equal(y, top, 1)

    return _each(one, x)


def _through_groups(x: Array, w: Array, won: Array, g: Array, moments: tuple[Array, ...]) -> tuple[Array, Array]:
    """The gradients of x and w, from the gradient g (B, Q, C) of the maxima and of the moments, if there are any.

    The gradient of a group's product, which is nearly all zeros, is a whole array for one cloud at a time. Sums over
    the winners alone take longer (a third longer, and twice as long for 64 neighbours and 256 channels).
    """
    count = x.shape[1] // max(1, won.shape[1])

    def one(x: Array, won: Array, g: Array, *moments: Array) -> tuple[Array, Array]:
        place = jax.lax.broadcasted_iota(jnp.int32, (len(won), count, won.shape[1]), 1)
        dy = jnp.where(place == won[:, None], g[:, None], 0).reshape(len(x), -1)
        dx = wide(dy @ w.T)
        if moments:
            dx = dx + pooled._through_moments(x[None], *(each[None] for each in moments))[0]
        return dx.astype(x.dtype), jnp.matmul(x.T, dy, preferred_element_type=wide(w[:0]).dtype)

    dx, dw = _each(one, x, won, g, *moments)
    return dx, dw.sum(0).astype(w.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def moments_and_maximum_of_groups(x: Array, w: Array, count: int) -> tuple[Array, Array, Array]:
    return *pooled._moments(x), maximum_of_groups(x, w, count)


def _of_groups_forward(x: Array, w: Array, count: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    mean, covariance = pooled._moments(x)
    top, won = _winners_of_groups(x, w, count)
    return (mean, covariance, top), (x, w, won, mean)


def _of_groups_backward(count: int, saved: tuple[Array, ...], grads: tuple[Array, ...]) -> tuple[Array, Array]:
    x, w, won, mean = saved
    dmean, dcovariance, g = grads
    return _through_groups(x, w, won, g, (mean, dmean, dcovariance))


moments_and_maximum_of_groups.defvjp(_of_groups_forward, _of_groups_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def maximum_of_groups(x: Array, w: Array, count: int) -> Array:
    return _each(lambda x: (x @ w).reshape(-1, count, w.shape[1]).max(1), x)


def _maximum_of_groups_forward(x: Array, w: Array, count: int) -> tuple[Array, tuple[Array, ...]]:
    top, won = _winners_of_groups(x, w, count)
    return top, (x, w, won)


def _maximum_of_groups_backward(count: int, saved: tuple[Array, ...], g: Array) -> tuple[Array, Array]:
    x, w, won = saved
    return _through_groups(x, w, won, g, ())


maximum_of_groups.defvjp(_maximum_of_groups_forward, _maximum_of_groups_backward)
