"""PointNet++: a small PointNet in the neighbourhood of each of fewer and fewer points, and at last in the whole.

Qi, Yi, Su, Guibas: PointNet++: Deep Hierarchical Feature Learning on Point Sets in a Metric Space, NeurIPS 2017, with
grouping at a single scale (SSG; section 3.2, supplement B.1). A *set abstraction* takes 512, then 128 points as
centres. It maps what lies within a radius of each, features and places relative to the centre, by three layers, and
takes the maximum. For parts, features are carried back by interpolation (section 3.4).

What is exact, against the same network edge by edge: all of it, up to rounding. What is saved: the first of three
layers has one product a point. The last holds the numbers of all edges for one cloud at a time. The first two layers
keep an array of all edges each.

What differs from the paper: centres are the first points in progressive order (``nn.Neighbourhoods``), not those of
farthest point sampling. Of the points in a ball, the nearest 32 or 64 are taken, not any. For parts the head also sees
the pooled features, as all heads here do, and beside them the category, which the authors' code gives to the last
propagation.

``"paper"`` are the published widths, ``"small"`` are for tests and trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras import layers

from pointkit import nn
from pointkit.listed import WEIGHTS, Listed
from pointkit.models.heads import Features, taken
from pointkit.nn.pointwise import glorot


@dataclass(frozen=True)
class Abstraction:
    """A set abstraction: so many centres, up to so many ``neighbours`` within a radius, the units of its layers."""

    centres: int
    radius: float
    neighbours: int
    units: tuple[int, ...]


@dataclass(frozen=True)
class Widths:
    """Set abstractions, the units of the layers on the whole, of each propagation back from there, and of the head."""

    stages: tuple[Abstraction, ...]
    whole: tuple[int, ...]
    head: tuple[int, ...]
    back: tuple[tuple[int, ...], ...] = ()


STAGES = Abstraction(512, 0.2, 32, (64, 64, 128)), Abstraction(128, 0.4, 64, (128, 128, 256))
SMALL = Abstraction(16, 0.8, 8, (8, 8, 16)), Abstraction(4, 1.6, 4, (16, 16))
CLASSIFICATION = {
    "paper": Widths(STAGES, (256, 512, 1024), (512, 256)),
    "small": Widths(SMALL, (16, 32), (16,)),
}
SEGMENTATION = {
    "paper": Widths(STAGES, (256, 512, 1024), (128,), ((256, 256), (256, 128), (128, 128, 128))),
    "small": Widths(SMALL, (16, 32), (16,), ((16,), (16,), (16, 16))),
}
WIDTHS = {"classifier": CLASSIFICATION, "segmenter": SEGMENTATION}


def backbone(
    kind: str, *, widths: str, momentum: float, exact: bool, seeds: Iterator[int], num_features: int = 0
) -> tuple[Features, tuple[int, ...]]:
    """PointNet++ up to its maximum over the whole, and the units of its head.

    It takes points (B, N, 3), and features (B, N, num_features) where there are any.
    """
    sizes = WIDTHS[kind][widths]
    inputs = taken(num_features)
    found = nn.Neighbourhoods(_lists(sizes), name="neighbourhoods")(inputs)
    arguments: dict[str, Any] = {"momentum": momentum, "exact": exact}
    points, x = found["points"], found.get("features")
    reached = [points if x is None else layers.Concatenate(name="points_and_features")([points, x])]
    for number, stage in enumerate(sizes.stages):
        index = found[f"around_{number}"]
        given, edge = ([points, index], "difference") if x is None else ([x, index, points], "neighbour")
        x = nn.edge_layers(
            given, stage.units, f"stage_{number}", initializer=lambda: glorot(seeds), edge=edge, **arguments
        )
        points = nn.Centres(name=f"centres_{number}")([points, index])
        reached.append(x)
    x = layers.Concatenate(name="places_and_features")([points, x])
    block: Any
    for number, units in enumerate(sizes.whole, 1):
        block = nn.PooledBlock if number == len(sizes.whole) else nn.PointwiseBlock
        x = block(units, kernel_initializer=glorot(seeds), name=f"whole_{number}", **arguments)(x)
    pooled = x
    for number, widths_back in zip(reversed(range(len(sizes.back))), sizes.back, strict=True):
        block, given = nn.SplitBlock, [reached[number], x]
        if number < len(sizes.stages):
            block, given = nn.CarriedBlock, [*given, found[f"up_{number}"], found[f"up_{number}{WEIGHTS}"]]
        for layer, units in enumerate(widths_back, 1):
            x = block(units, kernel_initializer=glorot(seeds), name=f"back_{number}_{layer}", **arguments)(given)
            block, given = nn.PointwiseBlock, x
    return Features(inputs, pooled, [x], back=found["back"]), sizes.head


def _lists(sizes: Widths) -> dict[str, Listed]:
    """The points within the radius of each stage's centres, and for parts the way back up."""
    lists: dict[str, Listed] = {}
    among = None
    for number, stage in enumerate(sizes.stages):
        lists[f"around_{number}"] = Listed(stage.neighbours, stage.centres, among, within=stage.radius)
        if sizes.back:
            lists[f"up_{number}"] = Listed(3, among, stage.centres, weighted=True)
        among = stage.centres
    return lists
