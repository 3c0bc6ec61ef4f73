"""PointNet: a function of a set of points that does not depend on their order.

Qi, Su, Mo, Guibas: PointNet: Deep Learning on Point Sets for 3D Classification and Segmentation, CVPR 2017. Every point
goes through the same layers alone. The points meet only in a maximum over them, which does not depend on their order.
Two T-Nets turn the cloud, and later its features, into a pose that the network chooses. The paper also measures a
network without T-Nets (section 5.2, table 5).

``"reference"`` are the widths of the common Keras teaching versions (748,979 parameters with 10 classes for
classification, 7,370,062 with 5 for segmentation), ``"half"`` half of those, ``"paper"`` the published ones (section
4.2; supplement C).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from pointkit.models.heads import Features, taken
from pointkit.nn import PointwiseBlock, PooledBlock, tnet
from pointkit.nn.pointwise import glorot


@dataclass(frozen=True)
class Widths:
    """Output channels, layer by layer."""

    tnet_pointwise: tuple[int, ...]
    tnet_dense: tuple[int, ...]
    first: tuple[int, ...]  # between the two T-Nets
    second: tuple[int, ...]  # after them, up to the maximum
    head: tuple[int, ...]


CLASSIFICATION = {
    "half": Widths((16, 32, 256), (128, 64), (16, 16), (16, 32, 256), (128, 64)),
    "reference": Widths((32, 64, 512), (256, 128), (32, 32), (32, 64, 512), (256, 128)),
    "paper": Widths((64, 128, 1024), (512, 256), (64, 64), (64, 128, 1024), (512, 256)),
}
SEGMENTATION = {
    "half": Widths((32, 64, 512), (256, 128), (32, 64, 64), (256, 1024), (64,)),
    "reference": Widths((64, 128, 1024), (512, 256), (64, 128, 128), (512, 2048), (128,)),
    "paper": Widths((64, 128, 1024), (512, 256), (64, 128, 128), (512, 2048), (256, 256, 128)),
}


WIDTHS = {"classifier": CLASSIFICATION, "segmenter": SEGMENTATION}


def backbone(
    kind: str,
    *,
    widths: str,
    transforms: str,
    penalty: float,
    momentum: float,
    exact: bool,
    seeds: Iterator[int],
    num_features: int = 0,
) -> tuple[Features, tuple[int, ...]]:
    """PointNet up to its maximum over points, and the units of the head that the paper puts on it.

    It takes points (B, N, 3), and features (B, N, num_features) where there are any. The first T-Net sees both and
    turns only the points. With ``transforms`` "none" there are no T-Nets.
    """
    sizes = WIDTHS[kind][widths]
    turning = transforms == "both"

    def block(kind: Callable[..., Any], units: int, number: int) -> Any:
        return kind(units, momentum=momentum, exact=exact, kernel_initializer=glorot(seeds), name=f"pointwise_{number}")

    def matrix_of(x: Any, name: str, untouched: int = 0) -> Any:
        return tnet(
            x,
            name,
            pointwise=sizes.tnet_pointwise,
            dense=sizes.tnet_dense,
            penalty=penalty,
            momentum=momentum,
            exact=exact,
            seeds=seeds,
            untouched=untouched,
        )

    inputs = taken(num_features)
    x: Any = inputs["points"]
    if num_features:
        x = keras.layers.Concatenate(name="points_and_features")(list(inputs.values()))
    if turning:
        x = [x, matrix_of(x, "input_tnet", num_features)]
    local = []
    for number, units in enumerate(sizes.first, 1):
        x = block(PointwiseBlock, units, number)(x)
        local.append(x)
    matrix = matrix_of(x, "feature_tnet") if turning else None
    transformed = len(local) if turning else None
    if turning:
        local.append(x)
        x = [x, matrix]
    for number, units in enumerate(sizes.second[:-1], len(sizes.first) + 1):
        x = block(PointwiseBlock, units, number)(x)
        local.append(x)
    pooled = block(PooledBlock, sizes.second[-1], len(sizes.first) + len(sizes.second))(x)
    return Features(inputs, pooled, local, transformed, matrix), sizes.head
