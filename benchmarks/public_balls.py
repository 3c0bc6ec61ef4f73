"""PointNet++ SSG and PointNeXt-S for classes as people write them in plain PyTorch. They use nothing of pointkit.

Features come first, (B, K, N). A ball's points are gathered into an array (B, K, M, Q) for Q centres, ``Conv2d`` and
``BatchNorm2d`` work on it, then comes the maximum. Where ``lists`` are given, centres are the first points, and index
(B, Q, M) names their neighbours. Else centres are found by farthest point sampling, and balls by all distances.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional


def take(x, index):
    """The columns of x (B, K, N) that index (B, ...) names, (B, K, ...)."""
    flat = index.flatten(1)
    return x.gather(2, flat[:, None].expand(-1, x.shape[1], -1)).view(*x.shape[:2], *index.shape[1:])


def farthest(p, count):
    """Rows (B, count) of points p (B, 3, N), each the farthest from those before."""
    distance = torch.full((p.shape[0], p.shape[2]), torch.inf, device=p.device)
    chosen = torch.zeros(p.shape[0], count, dtype=torch.long, device=p.device)
    for i in range(1, count):
        last = take(p, chosen[:, i - 1 : i])
        distance = torch.minimum(distance, ((p - last) ** 2).sum(1))
        chosen[:, i] = distance.argmax(1)
    return chosen


def ball(p, centres, radius, count):
    """Rows (B, Q, count) of the first points within the radius, the first of all again where there are fewer."""
    apart = torch.cdist(centres.transpose(1, 2), p.transpose(1, 2))
    rows = torch.arange(p.shape[2], device=p.device).expand(apart.shape).clone()
    rows[apart > radius] = p.shape[2]
    rows = rows.sort(-1).values[..., :count]
    return torch.where(rows == p.shape[2], rows[..., :1], rows)


def layers(widths, convolution, norm, last=True):
    made = []
    for i, (k, c) in enumerate(itertools.pairwise(widths)):
        made += [convolution(k, c, 1, bias=False), norm(c)]
        if last or i < len(widths) - 2:
            made.append(nn.ReLU(inplace=True))
    return nn.Sequential(*made)


class Abstraction(nn.Module):
    """Centres, what lies in a ball around each, layers on every edge, the maximum; a shortcut with ``shortcut``."""

    def __init__(self, widths, centres, radius, count, shortcut=False):
        super().__init__()
        self.centres, self.radius, self.count = centres, radius, count
        self.layers = layers((3 + widths[0], *widths[1:]), nn.Conv2d, nn.BatchNorm2d, last=not shortcut)
        self.shortcut = nn.Conv1d(widths[0], widths[-1], 1) if shortcut else None

    def forward(self, p, f, index=None):
        if index is None:
            chosen = farthest(p, self.centres)
            centres = take(p, chosen)
            index = ball(p, centres, self.radius, self.count)
        else:
            chosen = torch.arange(self.centres, device=p.device).expand(len(p), -1)
            centres = p[:, :, : self.centres]
        index = index.transpose(1, 2)
        apart = take(p, index) - centres[:, :, None]
        if self.shortcut is None:
            edges = apart if f is None else torch.cat((apart, take(f, index)), 1)
            return centres, self.layers(edges).amax(2)
        edges = torch.cat((apart / self.radius, take(f, index)), 1)
        return centres, functional.relu(self.layers(edges).amax(2) + self.shortcut(take(f, chosen)))


class OfBalls(nn.Module):
    def __init__(self, start, stages, whole, classes):
        super().__init__()
        self.start, self.stages = start, nn.ModuleList(stages)
        self.whole = layers(whole, nn.Conv1d, nn.BatchNorm1d)
        self.head = nn.Sequential(
            nn.Linear(whole[-1], 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(256, classes),
        )  # fmt: skip
        self.lists = [None] * len(stages)

    def forward(self, p):
        f = None if self.start is None else self.start(p)
        for stage, index in zip(self.stages, self.lists, strict=True):
            p, f = stage(p, f, index)
        return self.head(self.whole(torch.cat((p, f), 1)).amax(2))


def pointnet2(classes):
    stages = (
        Abstraction((0, 64, 64, 128), 512, 0.2, 32),
        Abstraction((128, 128, 128, 256), 128, 0.4, 64),
    )
    return OfBalls(None, stages, (3 + 256, 256, 512, 1024), classes)


def pointnext(classes):
    stages = [
        Abstraction((32 * 2**i, 32 * 2**i, 64 * 2**i), 512 // 2**i, 0.15 * 1.5**i, 32, shortcut=True) for i in range(4)
    ]
    return OfBalls(nn.Conv1d(3, 32, 1), stages, (3 + 512, 512, 512), classes)
