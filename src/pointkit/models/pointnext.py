"""PointNeXt-S: PointNet++ made over, with shortcuts around its set abstractions and places measured by their radius.

Qian, Li, Peng, Mai, Hammoud, Elhoseiny, Ghanem: PointNeXt: Revisiting PointNet++ with Improved Training and Scaling
Strategies, NeurIPS 2022 (section 3.2, figure 2), with 32 channels at the start. Every point is mapped to these first.
Each of four set abstractions halves the number of centres and doubles the channels. The places of neighbours relative
to the centre are divided by the radius. There is no ReLU before the maximum. It comes after the centre's own features,
mapped linearly, have been added.

What is exact, against the same network edge by edge: all of it, up to rounding. What is saved: for classes a set
abstraction has two layers. The first has one product a point, and keeps the only array of all edges. The last holds the
numbers of all edges for one cloud at a time. For parts there are three layers, and two arrays of all edges.

What differs from the authors' code: centres are the first points in progressive order (``nn.Neighbourhoods``), not
those of farthest point sampling. Of the points in a ball, the nearest 32 are taken, not any. Numbers of centres are
those for clouds of 1,024 points (classes) and 2,048 (parts), whatever a cloud has. A point's height is a feature only
where the run has it as one. For parts the category enters in the head, not before it. The head's first layers have a
bias before the norm, which takes it away.

``"paper"`` are the published widths, ``"small"`` are for tests and trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras import layers, ops

from pointkit import nn
from pointkit.listed import WEIGHTS, Listed
from pointkit.models.heads import Features, taken
from pointkit.nn.pointwise import glorot


@dataclass(frozen=True)
class Widths:
    """Channels of the first map, centres of each set abstraction, and the units of the head.

    The first radius, and the factor to the next; layers of a set abstraction; neighbours in a ball. For parts,
    ``pooled`` are the features of the whole that the last propagation sees of the last two set abstractions.
    """

    channels: int
    centres: tuple[int, ...]
    radius: float
    growth: float
    depth: int
    head: tuple[int, ...] = ()
    neighbours: int = 32
    pooled: tuple[int, ...] = ()


CLASSIFICATION = {
    "paper": Widths(32, (512, 256, 128, 64), 0.15, 1.5, 2, (512, 256)),
    "small": Widths(4, (16, 8), 0.6, 1.5, 2, (16,), 8),
}
SEGMENTATION = {
    "paper": Widths(32, (1024, 512, 256, 128), 0.1, 2.5, 3, (96,), pooled=(64, 128)),
    "small": Widths(4, (16, 8), 0.6, 1.5, 3, (12,), 8, (4, 4)),
}
WIDTHS = {"classifier": CLASSIFICATION, "segmenter": SEGMENTATION}


def backbone(
    kind: str, *, widths: str, momentum: float, exact: bool, seeds: Iterator[int], num_features: int = 0
) -> tuple[Features, tuple[int, ...]]:
    """PointNeXt-S up to the features that its head sees, and the units of its head.

    It takes points (B, N, 3), and features (B, N, num_features) where there are any.
    """
    sizes = WIDTHS[kind][widths]
    inputs = taken(num_features)
    found = nn.Neighbourhoods(_lists(sizes), name="neighbourhoods")(inputs)
    build = _Builder(found, seeds, {"momentum": momentum, "exact": exact, "use_bias": False})
    x = found["points"]
    if num_features:
        x = layers.Concatenate(name="points_and_features")([x, found["features"]])
    reached = [build.linear(x, sizes.channels, "start")]
    points, radius = found["points"], sizes.radius
    for number in range(len(sizes.centres)):
        points, x = build.stage(points, reached[-1], number, radius, sizes.depth)
        reached.append(x)
        radius *= sizes.growth
    if kind == "classifier":
        whole = layers.Concatenate(name="places_and_features")([points, x])
        whole = build.block(nn.PointwiseBlock, x.shape[-1], "whole_1")(whole)
        pooled = build.block(nn.PooledBlock, x.shape[-1], "whole_2")(whole)
        return Features(inputs, pooled, [], back=found["back"]), sizes.head
    shared = [
        _highest(layers.ReLU(name=f"pooled_{i}_relu")(build.linear(each, units, f"pooled_{i}")))
        for i, (each, units) in enumerate(zip(reached[-2:], sizes.pooled, strict=True), 1)
    ]
    for number in reversed(range(len(sizes.centres))):
        x = build.back(reached[number], x, number, [] if number else shared)
    return Features(inputs, nn.MaximumAndMean(name="pooled")(x), [x], back=found["back"]), sizes.head


def _lists(sizes: Widths) -> dict[str, Listed]:
    """The points within the radius of each stage's centres, and for parts the way back up."""
    lists: dict[str, Listed] = {}
    among, radius = None, sizes.radius
    for number, centres in enumerate(sizes.centres):
        lists[f"around_{number}"] = Listed(sizes.neighbours, centres, among, within=radius)
        if sizes.pooled:
            lists[f"up_{number}"] = Listed(3, among, centres, weighted=True)
        among, radius = centres, radius * sizes.growth
    return lists


def _highest(x: Any) -> Any:
    """The maximum of x (B, N, C) over points. Among equals the first one gets the gradient."""
    return ops.take_along_axis(x, ops.argmax(x, 1, keepdims=True), 1)[:, 0]


@dataclass(frozen=True)
class _Builder:
    """Makes the layers: those that all of a network's share are in ``found`` and ``arguments``."""

    found: dict[str, Any]
    seeds: Iterator[int]
    arguments: dict[str, Any]

    def block(self, kind: Any, units: int, name: str) -> Any:
        return kind(units, kernel_initializer=glorot(self.seeds), name=name, **self.arguments)

    def linear(self, x: Any, units: int, name: str) -> Any:
        return nn.Pointwise(units, kernel_initializer=glorot(self.seeds), name=name)(x)

    def stage(self, points: Any, x: Any, number: int, radius: float, depth: int) -> tuple[Any, Any]:
        """The places and features of a set abstraction's centres, from those of the points before."""
        index, name = self.found[f"around_{number}"], f"stage_{number}"
        units = 2 * x.shape[-1]
        scaled = layers.Rescaling(1 / radius, name=f"{name}_places")(points)
        widths = (units // 2,) * (depth - 1) + (units,)
        edges = {"initializer": lambda: glorot(self.seeds), "last_slope": 1.0, **self.arguments}
        highest = nn.edge_layers([x, index, scaled], widths, name, **edges)
        own = self.linear(nn.Centres(name=f"{name}_own")([x, index]), units, f"{name}_shortcut")
        x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_added")([highest, own]))
        return nn.Centres(name=f"{name}_centres")([points, index]), x

    def back(self, own: Any, x: Any, number: int, shared: list[Any]) -> Any:
        """The features of more points, from their own and from those of fewer, with those of the whole beside them."""
        up = [self.found[f"up_{number}"], self.found[f"up_{number}{WEIGHTS}"]]
        x = self.block(nn.CarriedBlock, own.shape[-1], f"back_{number}_1")([own, x, *up, *shared])
        return self.block(nn.PointwiseBlock, own.shape[-1], f"back_{number}_2")(x)
