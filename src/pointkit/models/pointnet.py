"""PointNet: a function of a set of points that no order of them changes.

Qi, Su, Mo, Guibas: PointNet: Deep Learning on Point Sets for 3D Classification and Segmentation, CVPR 2017. Every point
goes through the same layers alone; a maximum over points is the only place where they meet, and it does not know their
order. Two T-Nets turn the cloud, and its features, into a pose of the network's own choice.

``WIDTHS["reference"]`` are the widths of the common Keras teaching version (748,979 parameters with 10 classes),
``WIDTHS["paper"]`` the published ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
from keras import layers

from pointkit.nn.pointwise import pointwise_block
from pointkit.nn.tnet import tnet


@dataclass(frozen=True)
class Widths:
    """Output channels, layer by layer."""

    tnet_pointwise: tuple[int, ...]
    tnet_dense: tuple[int, ...]
    first: tuple[int, ...]  # between the two T-Nets
    second: tuple[int, ...]  # after them, up to the maximum
    head: tuple[int, ...]


WIDTHS = {
    "reference": Widths((32, 64, 512), (256, 128), (32, 32), (32, 64, 512), (256, 128)),
    "paper": Widths((64, 128, 1024), (512, 256), (64, 64), (64, 128, 1024), (512, 256)),
}


def backbone(*, widths: str, penalty: float, momentum: float, seeds: Iterator[int]) -> keras.Model:
    """Points (B, N, 3) -> {"global": (B, D), "local": (B, N, E)}: the maximum over points, the features before it."""
    if widths not in WIDTHS:
        raise ValueError(f"widths must be one of {', '.join(WIDTHS)}, got {widths!r}")
    w = WIDTHS[widths]
    points = keras.Input((None, 3), name="points")
    x = tnet(
        points,
        "input_tnet",
        pointwise=w.tnet_pointwise,
        dense=w.tnet_dense,
        penalty=penalty,
        seeds=seeds,
        momentum=momentum,
    )
    for i, units in enumerate(w.first, 1):
        x = pointwise_block(x, units, f"pointwise_{i}", seeds=seeds, momentum=momentum)
    x = tnet(
        x,
        "feature_tnet",
        pointwise=w.tnet_pointwise,
        dense=w.tnet_dense,
        penalty=penalty,
        seeds=seeds,
        momentum=momentum,
    )
    local = x
    for i, units in enumerate(w.second, len(w.first) + 1):
        x = pointwise_block(x, units, f"pointwise_{i}", seeds=seeds, momentum=momentum)
    pooled = layers.GlobalMaxPooling1D(name="max")(x)
    return keras.Model(points, {"global": pooled, "local": local}, name="pointnet")
