"""What turns a backbone's features into answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from keras import layers

from pointkit.nn.pointwise import dense_block, glorot


def classification_head(
    features: Any, num_classes: int, *, units: Sequence[int], dropout: float, momentum: float, seeds: Iterator[int]
) -> Any:
    """Global features (B, D) -> logits (B, num_classes): dense blocks with dropout after each, then a linear layer.

    PointNet (Qi et al., CVPR 2017, section 4.2 and supplement C).
    """
    x = features
    for i, width in enumerate(units, 1):
        x = dense_block(x, width, f"head_dense_{i}", seeds=seeds, momentum=momentum)
        x = layers.Dropout(dropout, seed=next(seeds, None), name=f"head_dropout_{i}")(x)
    return layers.Dense(num_classes, kernel_initializer=glorot(seeds), dtype="float32", name="logits")(x)
