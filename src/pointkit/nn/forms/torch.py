"""PyTorch's form: autograd functions with their gradients written out, working in place.

A wide array is one with many columns for each point, such as the (B, N, C) product x w. A processor goes cloud by
cloud, so that wide arrays stay in the cache. A GPU takes as many clouds at once as fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
from torch.nn import functional

Tensor = Any
ROWS = 4096  # of the wide product that are held at once
ENTRIES = 2**24  # of the wide product that a GPU holds at once
BLOCK = 16  # rows whose maximum is taken first


def _on_gpu(x: Tensor) -> bool:
    return bool(x.device.type != "cpu")


def wide(x: Tensor) -> Tensor:
    """x in at least float32: half precision is for products, not for sums over points."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    size, n, k = x.shape
    mean = wide(x).mean(1)
    if _on_gpu(x):
        centred = wide(x) - mean[:, None]
        return mean, torch.bmm(centred.mT, centred).div_(n)
    covariance = mean.new_empty(size, k, k)
    for cloud, middle, out in zip(x, mean, covariance, strict=True):
        centred = wide(cloud) - middle
        torch.mm(centred.T, centred, out=out)
    return mean, covariance.div_(n)


def _through_moments(x: Tensor, mean: Tensor, dmean: Tensor, dcovariance: Tensor) -> Tensor:
    """The gradient of x (B, N, K) from those of its means and covariances, at least float32; a new tensor."""
    n = x.shape[1]
    both = (dcovariance + dcovariance.mT) / n
    constant = (dmean / n)[:, None] - torch.bmm(mean[:, None], both)
    return torch.baddbmm(constant, wide(x), both)


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
        return _through_moments(x, mean, dmean, dcovariance).add_(dx).to(x.dtype)


def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _Moments.apply(x)


class _AffineRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, slope: float) -> Tensor:
        size, n, k = x.shape
        if w.ndim == 3:
            z = torch.baddbmm(b.expand(size, 1, -1), x, w)
        else:
            z = torch.addmm(b, x.reshape(-1, k), w).view(size, n, -1)
        z = functional.leaky_relu_(z, slope) if slope else z.relu_()
        ctx.slope = slope
        ctx.save_for_backward(x, w, z)
        return z

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, w, z = ctx.saved_tensors
        aten, slope = torch.ops.aten, ctx.slope
        dy = aten.leaky_relu_backward(dz, z, slope, True) if slope else aten.threshold_backward(dz, z, 0)
        flat = dy.view(-1, dy.shape[-1])
        db = torch.mv(flat.T, flat.new_ones(len(flat)))  # a sum over so many rows is slower
        dw = torch.bmm(x.mT, dy)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = torch.bmm(dy, w.mT) if w.ndim == 3 else torch.mm(flat, w.T).view(x.shape)
        return dx, dw if w.ndim == 3 else dw.sum(0), db, None


def affine_relu(x: Tensor, w: Tensor, b: Tensor, slope: float = 0.0) -> Tensor:
    return _AffineRelu.apply(x, w, b, slope)


def _clouds(x: Tensor, entries: int) -> int:
    """How many clouds are taken at once, where each has so many ``entries`` in a wide array."""
    return max(1, ENTRIES // entries) if _on_gpu(x) else 1


def _highest(y: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum of y (B, N, C) over N, and the index of one point that reaches it."""
    size, n, c = y.shape
    if n % BLOCK or _on_gpu(y):
        return y.max(1)
    top, first = y.view(size, -1, BLOCK, c).amax(2).max(1)  # argmax is several times slower
    inside = first.mul_(BLOCK)[:, None] + torch.arange(BLOCK)[:, None]
    return top, first + torch.gather(y, 1, inside).max(1).indices


def _top(x: Tensor, w: Tensor, with_index: bool) -> tuple[Tensor, Tensor]:
    """Maximum over N of x w (B, C), and the index of one point that reaches it, computed some points at a time."""
    size, n, k = x.shape
    c = w.shape[1]
    value = x.new_empty(size, c)
    index = torch.empty(size, c, dtype=torch.int64, device=x.device) if with_index else None
    clouds = min(size, _clouds(x, n * c))
    rows = min(n, max(1, ENTRIES // c) if _on_gpu(x) else ROWS)
    held = x.new_empty(clouds * rows, c)
    place: Any = None
    for b in range(0, size, clouds):
        for start in range(0, n, rows):
            part = x[b : b + clouds, start : start + rows]
            flat = part.reshape(-1, k)
            y = torch.mm(flat, w, out=held[: len(flat)]).view(*part.shape[:2], c)
            top, place = _highest(y) if with_index else (y.amax(1), None)
            if start == 0:
                value[b : b + clouds] = top
                if index is not None:
                    index[b : b + clouds] = place
            else:
                before = value[b : b + clouds]
                better = top > before
                value[b : b + clouds] = torch.where(better, top, before)
                if index is not None:
                    index[b : b + clouds] = torch.where(better, place + start, index[b : b + clouds])
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
        flat = index + torch.arange(size, device=x.device)[:, None] * n
        dx = None
        if ctx.needs_input_grad[0]:
            columns = wide(w.T.contiguous())  # many channels may have one winner: too long a sum for half precision
            dx = _through_moments(x, mean, dmean, dcovariance)
            clouds = _clouds(x, w.numel())
            for b in range(0, size, clouds):
                some = slice(b, b + clouds)
                won = columns * g[some, :, None]
                dx.view(-1, k).index_add_(0, flat[some].view(-1), won.view(-1, k))
        dw = functional.embedding_bag(
            flat.T.contiguous(), x.reshape(-1, k), per_sample_weights=g.T.contiguous().to(x.dtype), mode="sum"
        )
        return None if dx is None else dx.to(x.dtype), dw.T


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


def streams() -> int:
    return 1  # with two, system A answered 8 % slower and system B 5 % faster


def compiled(model: Any) -> Callable[[Any], Tensor]:
    return model.predict_on_batch


def gradient(model: Any, score: Callable[[Any], Tensor], name: str) -> Callable[[Any], tuple[Tensor, Any]]:
    def slope(inputs: dict[str, Any]) -> tuple[Tensor, Any]:
        given = {key: keras.ops.convert_to_tensor(array).detach() for key, array in inputs.items()}
        x = given[name].requires_grad_()
        with torch.enable_grad():
            outputs = model(given, training=False)
            found = torch.autograd.grad(score(outputs), x, allow_unused=True, materialize_grads=True)
        return found[0], outputs

    return slope
