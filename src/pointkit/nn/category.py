"""What a shape's category says about its points' parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

IMPOSSIBLE = -1e9  # added to the logits of other categories' parts; finite, so that 0 times it is 0


@keras.saving.register_keras_serializable("pointkit")
class OwnParts(layers.Layer):
    """Logits (B, N, K) and categories (B,) -> logits that rule out the parts of other categories.

    ``parts``: how many parts each category has; their ids run on over the categories. So the best logit is always of
    the shape's own category, and the network need not learn what is known.
    """

    def __init__(self, parts: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = list(parts)
        owner = np.repeat(np.arange(len(parts)), parts)
        self.table = np.where(owner == np.arange(len(parts))[:, None], 0.0, IMPOSSIBLE)

    def call(self, inputs: Sequence[Any]) -> Any:
        logits, category = inputs
        table = ops.convert_to_tensor(self.table, logits.dtype)
        return logits + ops.take(table, ops.cast(category, "int32"), axis=0)[:, None]

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "parts": self.parts}
