"""DGCNN: each point is compared with its nearest neighbours, in space at first, then among the features found so far.

Wang, Sun, Liu, Sarma, Bronstein, Solomon: Dynamic Graph CNN for Learning on Point Clouds, ACM Transactions on Graphics
2019. A block (EdgeConv, section 3.1) lists the nearest neighbours of each point, maps every pair (x_i, x_j - x_i)
linearly, and takes norm, leaky ReLU and the maximum over the neighbours. The next block looks for neighbours anew,
among the features that this one gave. So far points that look alike become neighbours (section 3.2).

``"paper"`` are the published widths, ``"small"`` are for tests and trials. The authors' code has no bias before a norm
but in the head's second layer. Here the blocks on pairs have none. The others have one each, which the norm takes away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from pointkit.models.heads import Features
from pointkit.nn import EdgeBlock, MaximumAndMean, Nearest, PointwiseBlock
from pointkit.nn.pointwise import glorot

SLOPE = 0.2  # of every leaky ReLU


@dataclass(frozen=True)
class Widths:
    """Output channels, layer by layer."""

    edges: tuple[int, ...]  # of each block on pairs
    pooled: int
    head: tuple[int, ...]


CLASSIFICATION = {
    "paper": Widths((64, 64, 128, 256), 1024, (512, 256)),
    "small": Widths((8, 16), 32, (16,)),
}


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
    """DGCNN up to its maximum and mean over points, and the units of the head.

    It takes points (B, N, 3), and features (B, N, num_features) where there are any. The first block finds neighbours
    by the points alone, and compares both.
    """
    sizes = CLASSIFICATION[widths]
    arguments: dict[str, Any] = {"momentum": momentum, "exact": exact, "negative_slope": SLOPE}
    inputs = {"points": keras.Input((None, 3), name="points")}
    x: Any = inputs["points"]
    index = Nearest(neighbours, name="neighbours_1")(x)
    if num_features:
        inputs["features"] = keras.Input((None, num_features), name="features")
        x = keras.layers.Concatenate(name="points_and_features")(list(inputs.values()))
    found = []
    for number, units in enumerate(sizes.edges, 1):
        if number > 1:
            index = Nearest(neighbours, name=f"neighbours_{number}")(x)
        block = EdgeBlock(units, use_bias=False, kernel_initializer=glorot(seeds), name=f"edges_{number}", **arguments)
        x = block([x, index])
        found.append(x)
    x = keras.layers.Concatenate(name="all_edges")(found)
    x = PointwiseBlock(sizes.pooled, kernel_initializer=glorot(seeds), name="pointwise", **arguments)(x)
    pooled = MaximumAndMean(name="pooled")(x)
    return Features(inputs, pooled, found, negative_slope=SLOPE), sizes.head
