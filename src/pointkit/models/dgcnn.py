"""DGCNN: each point is compared with its nearest neighbours, in space at first, then among the features found so far.

Wang, Sun, Liu, Sarma, Bronstein, Solomon: Dynamic Graph CNN for Learning on Point Clouds, ACM Transactions on Graphics
2019. A block (EdgeConv, section 3.1) lists the nearest neighbours of each point, maps every pair (x_i, x_j - x_i)
linearly, and takes norm, leaky ReLU and the maximum over the neighbours. The next block looks for neighbours anew,
among the features that this one gave. So far points that look alike become neighbours (section 3.2).

For parts the first two blocks have two layers on each pair (section 4.2 of the paper, and its figure 3). The second
works on pairs, so one array of pairs is stored. A T-Net on pairs turns the cloud before. The paper lists 20 neighbours
for classes, and 40 of 2,048 points for parts.

``"paper"`` are the published widths, ``"small"`` are for tests and trials. As in the authors' code, no linear map has a
bias before a norm, but for those of T-Net and head. There the norm takes it away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras import layers

from pointkit.models.heads import Features, taken
from pointkit.nn import MaximumAndMean, Nearest, PointwiseBlock, PooledBlock, tnet
from pointkit.nn.grouped import edge_layers
from pointkit.nn.pointwise import glorot

SLOPE = 0.2  # of every leaky ReLU
CATEGORY = 64  # units that the head makes of a category


@dataclass(frozen=True)
class Widths:
    """Output channels, layer by layer."""

    blocks: tuple[tuple[int, ...], ...]  # of each block, its layers on pairs
    pooled: int
    head: tuple[int, ...]
    tnet_pairs: tuple[int, ...] = ()
    tnet_pointwise: tuple[int, ...] = ()
    tnet_dense: tuple[int, ...] = ()


CLASSIFICATION = {
    "small": Widths(((8,), (16,)), 32, (16,)),
    "paper": Widths(((64,), (64,), (128,), (256,)), 1024, (512, 256)),
}
SEGMENTATION = {
    "small": Widths(((8, 8), (16,)), 32, (16,), (8, 8), (16,), (8,)),
    "paper": Widths(((64, 64), (64, 64), (64,)), 1024, (256, 256, 128), (64, 128), (1024,), (512, 256)),
}
WIDTHS = {"classifier": CLASSIFICATION, "segmenter": SEGMENTATION}


def backbone(
    kind: str,
    *,
    widths: str,
    neighbours: int,
    momentum: float,
    exact: bool,
    seeds: Iterator[int],
    num_features: int = 0,
) -> tuple[Features, tuple[int, ...]]:
    """DGCNN up to what it pools of all points, and the units of the head.

    It takes points (B, N, 3), and features (B, N, num_features) where there are any. The first neighbours are those of
    the points alone. Both are compared. The T-Net sees both and turns only the points.
    """
    sizes = WIDTHS[kind][widths]
    shared: dict[str, Any] = {"momentum": momentum, "exact": exact, "negative_slope": SLOPE}
    unbiased = {**shared, "use_bias": False}

    def block(x: Any, places: Any, units: tuple[int, ...], name: str) -> Any:
        index = Nearest(neighbours, name=f"{name}_neighbours")(places)
        return edge_layers([x, index], units, name, edge="pair", initializer=lambda: glorot(seeds), **unbiased)

    inputs = taken(num_features)
    x: Any = inputs["points"]
    places = x
    if num_features:
        x = layers.Concatenate(name="points_and_features")(list(inputs.values()))
    if sizes.tnet_pairs:
        seen = block(x, places, sizes.tnet_pairs, "tnet_pairs")
        of_tnet: dict[str, Any] = {
            "pointwise": sizes.tnet_pointwise,
            "dense": sizes.tnet_dense,
            "penalty": 0.0,
            "seeds": seeds,
        }
        matrix = tnet(seen, "tnet", size=x.shape[-1], untouched=num_features, **of_tnet, **shared)
        x = layers.Dot((2, 1), name="turned")([x, matrix])
        places = x[..., :3]
    found = []
    for number, units in enumerate(sizes.blocks, 1):
        x = block(x, places if number == 1 else x, units, f"pairs_{number}")
        found.append(x)
    x = layers.Concatenate(name="all_pairs")(found)
    last = {**unbiased, "kernel_initializer": glorot(seeds), "name": "last"}
    if kind == "segmenter":
        pooled = PooledBlock(sizes.pooled, **last)(x)
    else:
        pooled = MaximumAndMean(name="pooled")(PointwiseBlock(sizes.pooled, **last)(x))
    return Features(inputs, pooled, found, negative_slope=SLOPE, category_units=CATEGORY), sizes.head
