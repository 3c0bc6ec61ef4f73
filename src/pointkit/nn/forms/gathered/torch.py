"""PyTorch's form: autograd functions with their gradients written out, working in place.

A processor goes cloud by cloud, so that a cloud's rows and the running maximum stay in the cache. A GPU takes all at
once.
"""

from __future__ import annotations

from collections.abc import Callable
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


def _sums(y: Tensor, start: Tensor, columns: Tensor, clouds: int) -> tuple[Tensor, Tensor, Tensor]:
    """For e = y_j + start_i: the sum over each centre's neighbours, that of squares over all edges, and y's maximum.

    y (B * N, C), start (B * Q, C) at least float32; the answers (B * Q, C), (C,), (B * Q, C).
    """
    total, top = torch.empty_like(start), y.new_empty(start.shape)
    squares = torch.zeros_like(start[0])
    for some, rows in _pieces(columns, clouds):
        own, best, sums = start[some], top[some], total[some].zero_()
        row, square = torch.empty_like(best), torch.zeros_like(own)
        for m in range(len(rows)):
            torch.index_select(y, 0, rows[m], out=best if m == 0 else row)
            if m == 0:
                edge = wide(best) + own
            else:
                torch.maximum(best, row, out=best)
                torch.add(row, own, out=edge)
            sums += edge
            square.addcmul_(edge, edge)
        squares += square.sum(0)
    return total, squares, top


def _reversed_sum(c: Tensor, columns: Tensor, count: int) -> Tensor:
    """For each of ``count`` points the sum of the rows c (B * Q, C) of those centres that it is a neighbour of."""
    total = c.new_zeros(count, c.shape[1])
    for rows in columns:
        total.index_add_(0, rows, c)
    return total


def _through_product(x: Tensor, w: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of x (B, N, K) and w (K, C), from dy (B * N, C) of their product."""
    return (dy @ w.T).view(x.shape), torch.bmm(x.mT, dy.view(*x.shape[:2], -1)).sum(0)


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
        about = wide(y).mean(0) + wide(a).mean(0)  # close to the edges' mean: squares about it lose no digits
        total, squares, best = _sums(y, wide(a) - about, columns, size)
        off = total.sum(0) / columns.numel()
        variance = (squares / columns.numel() - off**2).clamp_(min=0)
        ctx.relative = relative
        ctx.save_for_backward(x, w, c, u, columns, y, a, total, best, about + off, off)
        return (best + a).view(size, queries, -1), about + off, variance

    @staticmethod
    def backward(ctx: Any, g: Tensor, dmean: Tensor, dvariance: Tensor) -> tuple[Tensor | None, ...]:
        x, w, c, u, columns, y, a, total, best, mean, off = ctx.saved_tensors
        queries, relative, dtype = g.shape[1], ctx.relative, g.dtype
        g = g.reshape(-1, g.shape[2])
        dmean, slope = dmean / columns.numel(), 2 * dvariance / columns.numel()
        degrees = torch.bincount(columns.view(-1), minlength=len(y)).to(mean.dtype)[:, None]
        deviation = (wide(y) - mean).mul_(degrees).add_(_reversed_sum(wide(a), columns, len(y)))
        dy = _to_winners(y, columns, best, g, len(x)).addcmul_(slope, deviation).addcmul_(degrees, dmean)
        da = torch.addcmul(wide(g), slope, total - len(columns) * off).add_(len(columns) * dmean)
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
