"""PyTorch's form: autograd functions with their gradients written out, working in place and cloud by cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

Tensor = Any
ROWS = 4096  # of the wide product that are held at once
BLOCK = 16  # rows whose maximum is taken first


def wide(x: Tensor) -> Tensor:
    """At least float32: half precision is for products, not for sums over points."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    size, n, k = x.shape
    mean = wide(x).mean(1)
    covariance = mean.new_empty(size, k, k)
    for cloud, middle, out in zip(x, mean, covariance, strict=True):
        centred = wide(cloud) - middle
        torch.mm(centred.T, centred, out=out)
    return mean, covariance.div_(n)


def _through_moments(x: Tensor, mean: Tensor, dmean: Tensor, dcovariance: Tensor) -> Tensor:
    """What x (B, N, K) gets of the gradients of its means and covariances; a new tensor."""
    n = x.shape[1]
    both = (dcovariance + dcovariance.mT) / n
    constant = (dmean / n)[:, None] - torch.bmm(mean[:, None], both)
    return torch.baddbmm(constant, wide(x), both).to(x.dtype)


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, covariance = _moments(x)
        ctx.save_for_backward(x, mean)
        return x.view_as(x), mean, covariance

    @staticmethod
    def backward(ctx: Any, dx: Tensor, dmean: Tensor, dcovariance: Tensor) -> Tensor | None:
        if not ctx.needs_input_grad[0]:
            return None
        x, mean = ctx.saved_tensors
        return _through_moments(x, mean, dmean, dcovariance).add_(dx)


def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _Moments.apply(x)


class _AffineRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        size, n, k = x.shape
        if w.ndim == 3:
            z = torch.baddbmm(b.expand(size, 1, -1), x, w).relu_()
        else:
            z = torch.addmm(b, x.reshape(-1, k), w).relu_().view(size, n, -1)
        ctx.save_for_backward(x, w, z)
        return z

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, w, z = ctx.saved_tensors
        dy = torch.ops.aten.threshold_backward(dz, z, 0)
        flat = dy.view(-1, dy.shape[-1])
        db = torch.mv(flat.T, flat.new_ones(len(flat)))  # a sum over so many rows is slower
        dw = torch.bmm(x.mT, dy)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = torch.bmm(dy, w.mT) if w.ndim == 3 else torch.mm(flat, w.T).view(x.shape)
        return dx, dw if w.ndim == 3 else dw.sum(0), db


def affine_relu(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return _AffineRelu.apply(x, w, b)


def _top(x: Tensor, w: Tensor, with_index: bool) -> tuple[Tensor, Tensor]:
    """Maximum over N of x w (B, C), and the index of one point that reaches it; a part of a cloud at a time."""
    size, n, _ = x.shape
    c = w.shape[1]
    value = x.new_empty(size, c)
    index = torch.empty(size, c, dtype=torch.int64, device=x.device) if with_index else None
    y = x.new_empty(min(n, ROWS), c)
    place: Any = None
    steps = torch.arange(BLOCK, device=x.device)[:, None]
    for b in range(size):
        for start in range(0, n, ROWS):
            rows = x[b, start : start + ROWS]
            product = torch.mm(rows, w, out=y[: len(rows)])
            blocks = len(rows) // BLOCK * BLOCK
            if len(rows) != blocks or not with_index:  # an odd number of rows: no blocks
                top, place = product.max(0) if with_index else (product.amax(0), None)
            else:
                top, first = product.view(-1, BLOCK, c).amax(1).max(0)  # argmax is several times slower
                first.mul_(BLOCK)
                place = first + torch.gather(product, 0, first + steps).max(0).indices
            if start == 0:
                value[b] = top
                if index is not None:
                    index[b] = place
            else:
                better = top > value[b]
                value[b] = torch.where(better, top, value[b])
                if index is not None:
                    index[b] = torch.where(better, place + start, index[b])
    return value, index


class _MomentsAndMaximum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, covariance = _moments(x)
        value, index = _top(x, w, with_index=True)
        ctx.save_for_backward(x, w, mean, index)
        return mean, covariance, value

    @staticmethod
    def backward(ctx: Any, dmean: Tensor, dcovariance: Tensor, g: Tensor) -> tuple[Tensor | None, Tensor]:
        x, w, mean, index = ctx.saved_tensors
        size, n, k = x.shape
        dx = None
        if ctx.needs_input_grad[0]:
            columns = w.T.contiguous()
            dx = _through_moments(x, mean, dmean, dcovariance)
            for b in range(size):
                dx[b].index_add_(0, index[b], columns * g[b][:, None])
        flat = index + torch.arange(size, device=x.device)[:, None] * n
        dw = functional.embedding_bag(
            flat.T.contiguous(), x.reshape(-1, k), per_sample_weights=g.T.contiguous().to(x.dtype), mode="sum"
        )
        return dx, dw.T


def moments_and_maximum(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _MomentsAndMaximum.apply(x, w)


def maximum(x: Tensor, w: Tensor) -> Tensor:
    if torch.is_grad_enabled() and (x.requires_grad or w.requires_grad):
        return moments_and_maximum(x, w)[2]
    return _top(x, w, with_index=False)[0]


class _SumOfProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, start: Tensor, *pairs: Tensor) -> Tensor:
        ctx.save_for_backward(*pairs)
        y = start[:, None].expand(-1, pairs[0].shape[1], -1).contiguous()
        for x, w in zip(pairs[::2], pairs[1::2], strict=True):
            if w.ndim == 3:
                y.baddbmm_(x, w)
            else:
                y.view(-1, y.shape[-1]).addmm_(x.reshape(-1, x.shape[-1]), w)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        pairs, grads = ctx.saved_tensors, []
        flat = dy.reshape(-1, dy.shape[-1])
        for x, w in zip(pairs[::2], pairs[1::2], strict=True):
            if w.ndim == 3:
                grads += [torch.bmm(dy, w.mT), torch.bmm(x.mT, dy)]
            else:
                grads += [torch.mm(flat, w.T).view(x.shape), torch.bmm(x.mT, dy).sum(0)]
        return (dy.sum(1), *grads)


def sum_of_products(start: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    return _SumOfProducts.apply(start, *(tensor for pair in pairs for tensor in pair))
