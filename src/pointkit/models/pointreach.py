"""PointReach: what lies around each point, by moments, by how far it reaches, and by maxima of neighbours' features.

It is built like DeLA (Chen et al., "Decoupled local aggregation for point cloud learning", 2023): what is found of the
places of neighbours is found once, at the beginning of a stage, and later layers only pass on the largest features of
neighbours. DeLA puts a small network on the edges for the former. Here no layer works on edges. docs/pointreach.md
explains the network with a figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras import layers

from pointkit import nn
from pointkit.listed import WEIGHTS, Listed
from pointkit.models.heads import Features, taken
from pointkit.nn.pointwise import scaled

EXPANSION = 2  # hidden features of a pointwise pair, for each of its own
DROPPED = 0.1  # chance that the deepest branch is left out for a cloud (Huang et al., ECCV 2016)


@dataclass(frozen=True)
class Stage:
    """Blocks on the first ``points``, all where that is None, each with its nearest ``neighbours`` among them.

    ``scales`` are the numbers of neighbours whose moments are taken, ``radius`` about how far the last of these lies.
    """

    points: int | None
    features: int
    depth: int
    scales: tuple[int, ...]
    radius: float
    neighbours: int = 16


@dataclass(frozen=True)
class Widths:
    """The stages, the units of the pooled features, and of the head. ``carried``: features that stages hand up."""

    stages: tuple[Stage, ...]
    pooled: int
    head: tuple[int, ...]
    carried: int = 0


CLASSIFICATION = {
    "small": Widths((Stage(32, 16, 1, (8,), 0.3, 8), Stage(8, 16, 1, (4,), 0.6, 4)), 32, (16,)),
    "standard": Widths((Stage(256, 64, 2, (8, 24), 0.16), Stage(64, 128, 2, (16,), 0.5)), 512, (256,)),
}
SEGMENTATION = {
    "small": Widths((Stage(None, 16, 1, (8,), 0.3, 8), Stage(16, 16, 1, (4,), 0.6, 4)), 32, (16,), 16),
    "standard": Widths(
        (Stage(None, 48, 2, (8, 24), 0.08), Stage(256, 96, 2, (16,), 0.22), Stage(64, 192, 2, (16,), 0.48)),
        256,
        (128, 128),
        128,
    ),
}
WIDTHS = {"classifier": CLASSIFICATION, "segmenter": SEGMENTATION}


def backbone(
    kind: str, *, widths: str, context: int, momentum: float, exact: bool, seeds: Iterator[int], num_features: int = 0
) -> tuple[Features, tuple[int, ...]]:
    """PointReach up to its maximum over points, and the units of its head.

    It takes points (B, N, 3), and features (B, N, num_features) where there are any. ``context`` changes what it is
    given, not the network.
    """
    sizes = WIDTHS[kind][widths]
    inputs = taken(num_features)
    found = nn.Neighbourhoods(_lists(sizes, kind), name="neighbourhoods")(inputs)
    build = _Builder(momentum, exact, seeds, sum(stage.depth for stage in sizes.stages))
    reached = [build.stage(found, sizes.stages[0], None)]
    for number, stage in enumerate(sizes.stages[1:], 1):
        reached.append(build.stage(found, stage, reached[-1], number))
    arguments = {"momentum": momentum, "exact": exact, "kernel_initializer": scaled(seeds)}
    pooled = nn.PooledBlock(sizes.pooled, name="pooled", **arguments)(reached[-1])
    local = reached[:1]
    for number, x in enumerate(reached[1:], 1) if kind == "segmenter" else ():
        carried = build.linear(x, sizes.carried, f"carried_{number}")
        up = [found[f"up_{number}"], found[f"up_{number}{WEIGHTS}"]]
        local.append(nn.Interpolation(name=f"up_{number}_carried")([carried, *up]))
    return Features(inputs, pooled, local, drops_pooled=True, back=found["back"]), sizes.head


def _lists(sizes: Widths, kind: str) -> dict[str, Listed]:
    """Around each point of the first stage its neighbours among all points, and those of each stage within it."""
    first = sizes.stages[0]
    lists = {"around": Listed(max(first.scales), centres=first.points, context=True)}
    for number, stage in enumerate(sizes.stages):
        lists[f"near_{number}"] = Listed(stage.neighbours, centres=stage.points, among=stage.points)
        if number and kind == "segmenter":
            lists[f"up_{number}"] = Listed(3, centres=first.points, among=stage.points, weighted=True)
    return lists


class _Builder:
    """Makes the layers of the stages. Branches that lie deeper are left out more often in training."""

    def __init__(self, momentum: float, exact: bool, seeds: Iterator[int], depth: int) -> None:
        self.arguments: dict[str, Any] = {"momentum": momentum, "exact": exact}
        self.exact, self.seeds, self.depth = exact, seeds, depth
        self.passed = 0

    def linear(self, x: Any, units: int, name: str, gain: float = 1.0) -> Any:
        return nn.Pointwise(units, use_bias=False, kernel_initializer=scaled(self.seeds, gain), name=name)(x)

    def reach(self, x: Any, index: Any, units: int, name: str, gain: float) -> Any:
        initializer = scaled(self.seeds, gain)
        return nn.Reach(units, exact=self.exact, kernel_initializer=initializer, name=name)([x, index])

    def pair(self, x: Any, units: int, hidden: int, name: str, gain: float) -> Any:
        """Two layers at each point."""
        initializer = scaled(self.seeds)
        x = nn.PointwiseBlock(hidden, kernel_initializer=initializer, name=f"{name}_1", **self.arguments)(x)
        return self.linear(x, units, f"{name}_2", gain)

    def added(self, x: Any, branch: Any, name: str) -> Any:
        """x plus a branch, which is left out now and then for a whole cloud."""
        rate = DROPPED * self.passed / max(1, self.depth - 1)
        if rate:
            drop = layers.Dropout(rate, noise_shape=(None, 1, 1), seed=next(self.seeds, None), name=f"{name}_path")
            branch = drop(branch)
        return layers.Add(name=f"{name}_added")([x, branch])

    def stage(self, found: dict[str, Any], stage: Stage, x: Any, number: int = 0) -> Any:
        """The features (B, Q, C) of a stage's points, from those of the stage before."""
        name, units, near = f"stage_{number}", stage.features, found[f"near_{number}"]
        gain = 0.3 if number else 1.0
        index = near if number else found["around"]
        points = found["points"]
        source = nn.Centres(name=f"{name}_points")([points, near]) if number else points
        centres = nn.Centres(name=f"{name}_centres")([source, index])
        features = [found["features"]] if "features" in found and not number else []
        moments = nn.NeighbourhoodMoments(stage.scales, stage.radius, name=f"{name}_moments")
        own = [nn.Centres(name=f"{name}_features")([each, index]) for each in features]
        raw = layers.Concatenate(name=f"{name}_raw")([centres, *own, moments([source, index, *features])])
        h = self.pair(raw, units, units, f"{name}_encoded", gain)
        seen = layers.Concatenate(name=f"{name}_seen")([source, *features]) if features else source
        encoded = [h, self.reach(seen, index, units, f"{name}_reach", gain / stage.radius)]
        if x is not None:
            before = nn.Centres(name=f"{name}_before")([found[f"near_{number - 1}"], index])
            encoded.append(self.linear(nn.Centres(name=f"{name}_kept")([x, index]), units, f"{name}_own", 0.7))
            encoded.append(self.reach(x, before, units, f"{name}_down", 0.7))
        x = layers.Add(name=f"{name}_begun")(encoded)
        x = self.added(x, self.pair(x, units, EXPANSION * units, f"{name}_mlp_0", 0.3), f"{name}_mlp_0")
        for block in range(1, stage.depth + 1):
            x = self.added(x, self.reach(x, near, units, f"{name}_near_{block}", 0.2), f"{name}_near_{block}")
            if block % 2 == 0:
                mlp = f"{name}_mlp_{block // 2}"
                x = self.added(x, self.pair(x, units, EXPANSION * units, mlp, 0.3), mlp)
            self.passed += 1
        return x
