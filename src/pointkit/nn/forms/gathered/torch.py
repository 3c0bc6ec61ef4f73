"""PyTorch's form: autograd functions with their gradients written out, working in place.

A processor goes cloud by cloud, so that a cloud's rows and the running maximum stay in the cache. A GPU takes all at
once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from pointkit.nn.forms import torch as pooled
from pointkit.nn.forms.torch import wide

Tensor = Any


def _columns(index: Tensor, n: int) -> Tensor:
    """index (B, Q, M) into clouds of n points as (M, B * Q) rows of all clouds' points."""
    start = torch.arange(len(index), device=index.device)[:, None, None] * n
    return (index.long() + start).reshape(-1, index.shape[2]).T.contiguous()


def _pieces(columns: Tensor, clouds: int) -> list[tuple[slice, Tensor]]:
    """Centres that are taken at once, as a slice of all of them, and their part of ``columns``."""
    count = columns.shape[1]
    size = count if pooled._on_gpu(columns) else max(1, count // clouds)
    return [(slice(i, i + size), columns[:, i : i + size]) for i in range(0, count, size)]


def _top(y: Tensor, columns: Tensor, clouds: int) -> Tensor:
    """The maximum of the rows of y (B * N, C) that each centre names, (B * Q, C)."""
    top = y.new_empty(columns.shape[1], y.shape[1])
    for some, rows in _pieces(columns, clouds):
        best = torch.index_select(y, 0, rows[0], out=top[some])
        row = torch.empty_like(best)
        for m in range(1, len(rows)):
            torch.maximum(best, torch.index_select(y, 0, rows[m], out=row), out=best)
    return top


def _to_winners(y: Tensor, columns: Tensor, top: Tensor, g: Tensor, clouds: int) -> Tensor:
    """The gradient g (B * Q, C) of the maxima, handed to the first row that reached each: (B * N, C), >= float32."""
    total = torch.zeros(y.shape, dtype=wide(g[:0]).dtype, device=y.device)
    for some, rows in _pieces(columns, clouds):
        best = top[some]
        won = rows[-1][:, None].expand(-1, y.shape[1]).contiguous()
        row = torch.empty_like(best)
        for m in range(len(rows) - 2, -1, -1):
            hit = torch.index_select(y, 0, rows[m], out=row) == best
            torch.where(hit, rows[m][:, None], won, out=won)
        total.scatter_add_(0, won, wide(g[some]))
    return total


class _Maximum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, index: Tensor) -> Tensor:
        size, n, channels = y.shape
        columns = _columns(index, n)
        top = _top(y.reshape(-1, channels), columns, size)
        ctx.save_for_backward(y, columns, top)
        return top.view(size, -1, channels)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        y, columns, top = ctx.saved_tensors
        size, _, channels = y.shape
        dy = _to_winners(y.reshape(-1, channels), columns, top, g.reshape(-1, channels), size)
        return dy.view(y.shape).to(y.dtype), None


def maximum(y: Tensor, index: Tensor) -> Tensor:
    return _Maximum.apply(y, index)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        size, n, channels = y.shape
        columns, shares = _columns(index, n), weights.reshape(-1, weights.shape[2]).T.unsqueeze(2)
        ctx.save_for_backward(columns, shares)
        ctx.shape = y.shape
        rows = y.reshape(-1, channels)
        total = rows.index_select(0, columns[0]) * shares[0]
        for m in range(1, len(columns)):
            total.addcmul_(rows.index_select(0, columns[m]), shares[m])
        return total.view(size, -1, channels)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        columns, shares = ctx.saved_tensors
        flat = wide(g).reshape(-1, g.shape[2])
        total = flat.new_zeros(ctx.shape[0] * ctx.shape[1], g.shape[2])
        for rows, share in zip(columns, shares, strict=True):
            total.index_add_(0, rows, flat * share)
        return total.view(ctx.shape).to(g.dtype), None, None


def weighted_sum(y: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    return _WeightedSum.apply(y, index, weights)


GROUP = 8  # rows whose highest number is taken first, in a search for the highest of all


def _highest(near: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest of each row's numbers (B, Q, N) in falling order, and where they stand.

    Numbers are put into groups. Those sought stand in the ``count`` groups with the highest maxima.
    """
    n = near.shape[2]
    size = min(GROUP, n // (2 * count))
    if size < 4:
        return tuple(near.topk(count))
    groups = -(-n // size)
    near = functional.pad(near, (0, size * groups - n), value=-torch.inf)
    best = near.view(*near.shape[:2], size, groups).amax(2).topk(count, sorted=False).indices
    members = groups * torch.arange(size, device=near.device)
    places = (best[:, :, None] + members[:, None]).view(*near.shape[:2], -1)
    tops, won = near.gather(2, places).topk(count)
    return tops, places.gather(2, won)


def nearest(
    closeness: Callable[[Tensor, Tensor], Tensor], queries: Tensor, points: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    size = len(queries) if pooled._on_gpu(queries) else 1
    pairs = zip(queries.split(size), points.split(size), strict=True)
    near, rows = zip(*(_highest(closeness(q, p), count) for q, p in pairs), strict=True)
    return torch.cat(near), torch.cat(rows).int()


def _sums(y: Tensor, start: Tensor, columns: Tensor, clouds: int, top: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """For e = y_j + start_i: the sum over each centre's neighbours, (B * Q, C); the squares' over all edges, (C,).

    y (B * N, C), start (B * Q, C) at least float32. The maximum of y_j goes into ``top`` (B * Q, C) where it is given.
    """
    total = torch.empty_like(start)
    squares = torch.zeros_like(start[0])
    for some, rows in _pieces(columns, clouds):
        own, sums = start[some], total[some].zero_()
        row, edge, square = y.new_empty(own.shape), torch.empty_like(own), torch.zeros_like(own)
        for m in range(len(rows)):
            torch.index_select(y, 0, rows[m], out=row)
            if top is not None and m == 0:
                top[some] = row
            elif top is not None:
                torch.maximum(top[some], row, out=top[some])
            torch.add(row, own, out=edge)
            sums += edge
            square.addcmul_(edge, edge)
        squares += square.sum(0)
    return total, squares


def _reversed_sum(c: Tensor, columns: Tensor, count: int) -> Tensor:
    """For each of ``count`` points the sum of the rows c (B * Q, C) of those centres that it is a neighbour of."""
    total = c.new_zeros(count, c.shape[1])
    for rows in columns:
        total.index_add_(0, rows, c)
    return total


def _through_product(x: Tensor, w: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of x (B, N, K) and w (K, C), from dy (B * N, C) of their product."""
    return (dy @ w.T).view(x.shape), torch.bmm(x.mT, dy.view(*x.shape[:2], -1)).sum(0)


def _statistics(
    y: Tensor, a: Tensor, columns: Tensor, clouds: int, top: Tensor | None = None
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Mean and variance (C,) of y_j + a_i over all edges, and what their gradient needs."""
    about = wide(y).mean(0) + wide(a).mean(0)  # close to the edges' mean: squares about it lose no digits
    total, squares = _sums(y, wide(a) - about, columns, clouds, top)
    off = total.sum(0) / columns.numel()
    variance = (squares / columns.numel() - off**2).clamp_(min=0)
    return about + off, variance, (y, a, columns, total, about + off, off)


def _through_statistics(saved: Sequence[Tensor], dmean: Tensor, dvariance: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of y and a from those of mean and variance, at least float32."""
    y, a, columns, total, mean, off = saved
    dmean, slope = dmean / columns.numel(), 2 * dvariance / columns.numel()
    degrees = torch.bincount(columns.view(-1), minlength=len(y)).to(mean.dtype)[:, None]
    deviation = (wide(y) - mean).mul_(degrees).add_(_reversed_sum(wide(a), columns, len(y)))
    dy = deviation.mul_(slope).addcmul_(degrees, dmean)
    return dy, (total - len(columns) * off).mul_(slope).add_(len(columns) * dmean)


class _Edges(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, c: Any, u: Any, index: Tensor, relative: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        size, n, k = x.shape
        queries = index.shape[1]
        columns = _columns(index, n)
        y = x.reshape(-1, k) @ w
        a = y.new_zeros(size * queries, y.shape[1]) if c is None else c.reshape(-1, c.shape[2]) @ u
        if relative == k:
            a = a - y.view(size, n, -1)[:, :queries].reshape(a.shape)
        elif relative:
            a = a - x[:, :queries, :relative].reshape(-1, relative) @ w[:relative]
        best = torch.empty_like(a)
        mean, variance, saved = _statistics(y, a, columns, size, best)
        ctx.relative = relative
        ctx.save_for_backward(x, w, c, u, best, *saved)
        return (best + a).view(size, queries, -1), mean, variance

    @staticmethod
    def backward(ctx: Any, g: Tensor, dmean: Tensor, dvariance: Tensor) -> tuple[Tensor | None, ...]:
        x, w, c, u, best, *saved = ctx.saved_tensors
        y, _, columns, *_ = saved
        queries, relative, dtype = g.shape[1], ctx.relative, g.dtype
        g = g.reshape(-1, g.shape[2])
        dy, da = _through_statistics(saved, dmean, dvariance)
        dy += _to_winners(y, columns, best, g, len(x))
        da += wide(g)
        dc, du = (None, None) if c is None else _through_product(c, u, da.to(dtype))
        if relative == len(w):  # before the product, where what cancels is still apart
            dy.view(*x.shape[:2], -1)[:, :queries] -= da.view(len(x), queries, -1)
        dx, dw = _through_product(x, w, dy.to(dtype))
        if 0 < relative < len(w):
            some, dsome = _through_product(x[:, :queries, :relative], w[:relative], da.to(dtype))
            dx[:, :queries, :relative] -= some
            dw[:relative] -= dsome
        return dx, dw, dc, du, None, None


def edges(
    x: Tensor, w: Tensor, c: Tensor | None, u: Tensor | None, index: Tensor, relative: int
) -> tuple[Tensor, Tensor, Tensor]:
    return _Edges.apply(x, w, c, u, index, relative)


class _SpreadMoments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, a: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        size, n, channels = y.shape
        mean, variance, saved = _statistics(y.reshape(-1, channels), a.reshape(-1, channels), _columns(index, n), size)
        ctx.save_for_backward(*saved)
        ctx.shapes = y.shape, a.shape
        return mean, variance

    @staticmethod
    def backward(ctx: Any, dmean: Tensor, dvariance: Tensor) -> tuple[Tensor, Tensor, None]:
        both = zip(_through_statistics(ctx.saved_tensors, dmean, dvariance), ctx.shapes, strict=True)
        dy, da = (each.view(shape).to(ctx.saved_tensors[0].dtype) for each, shape in both)
        return dy, da, None


def spread_moments(y: Tensor, a: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    return _SpreadMoments.apply(y, a, index)


def _named(index: Tensor) -> Tensor:
    """index (B, Q, M) as the rows of each cloud's points that its edges lead to, (B, Q * M)."""
    return index.reshape(len(index), -1).long()


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, a: Tensor, index: Tensor, slope: float) -> Tensor:
        rows = _named(index)
        z = y.new_empty(*rows.shape, y.shape[2])
        for cloud, own, named, edges in zip(y, a, rows, z, strict=True):
            torch.index_select(cloud, 0, named, out=edges)
            edges.view(*index.shape[1:], -1).add_(own[:, None])
            functional.leaky_relu_(edges, slope)
        ctx.save_for_backward(z, rows)
        ctx.shape, ctx.slope, ctx.points = index.shape, slope, y.shape[1]
        return z

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor, Tensor, None, None]:
        z, rows = ctx.saved_tensors
        size, queries, _ = ctx.shape
        dy = torch.zeros(size, ctx.points, dz.shape[2], dtype=wide(dz[:0]).dtype, device=dz.device)
        da = dy.new_empty(size, queries, dz.shape[2])
        for cloud, edges, named, to_points, to_centres in zip(dz, z, rows, dy, da, strict=True):
            through = wide(torch.where(edges > 0, cloud, ctx.slope * cloud))
            to_points.index_add_(0, named, through)
            torch.sum(through.view(*ctx.shape[1:], -1), 1, out=to_centres)
        return dy.to(dz.dtype), da.to(dz.dtype), None, None


def spread(y: Tensor, a: Tensor, index: Tensor, slope: float) -> Tensor:
    return _Spread.apply(y, a, index, slope)


def _top_of_groups(x: Tensor, w: Tensor, count: int, with_place: bool) -> tuple[Tensor, Any]:
    """The maximum of each group's rows of x w, and the place in the group of one that reached it, (B, Q, C)."""
    top = x.new_empty(len(x), x.shape[1] // count, w.shape[1])
    place = torch.empty(top.shape, dtype=torch.int64, device=x.device) if with_place else None
    held = x.new_empty(x.shape[1], w.shape[1])
    for i, cloud in enumerate(x):
        y = torch.mm(cloud, w, out=held).view(-1, count, w.shape[1])
        if place is None:
            torch.amax(y, 1, out=top[i])
        else:
            torch.max(y, 1, out=(top[i], place[i]))
    return top, place


class _OfGroups(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        mean, covariance = pooled._moments(x)
        top, place = _top_of_groups(x, w, count, with_place=True)
        ctx.save_for_backward(x, w, mean, place)
        ctx.count = count
        return mean, covariance, top

    @staticmethod
    def backward(ctx: Any, dmean: Tensor, dcovariance: Tensor, g: Tensor) -> tuple[Tensor, Tensor, None]:
        x, w, mean, place = ctx.saved_tensors
        dx = pooled._through_moments(x, mean, dmean, dcovariance)
        dw = torch.zeros_like(wide(w))
        for cloud, out, won, to_top in zip(x, dx, place, g, strict=True):
            dy = to_top.new_zeros(len(won), ctx.count, w.shape[1]).scatter_(1, won[:, None], to_top[:, None])
            dy = dy.view(len(cloud), -1)
            out += dy @ w.T
            dw += cloud.T @ dy
        return dx.to(x.dtype), dw.to(w.dtype), None


def moments_and_maximum_of_groups(x: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    return _OfGroups.apply(x, w, count)


def maximum_of_groups(x: Tensor, w: Tensor, count: int) -> Tensor:
    if torch.is_grad_enabled() and (x.requires_grad or w.requires_grad):
        return moments_and_maximum_of_groups(x, w, count)[2]
    return _top_of_groups(x, w, count, with_place=False)[0]
