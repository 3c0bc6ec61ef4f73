"""Losses that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from pointkit.nn.category import IMPOSSIBLE


@keras.saving.register_keras_serializable("pointkit")
class SmoothedCrossentropy(keras.losses.CategoricalCrossentropy):
    """Cross entropy of logits (..., C) with class ids (...); a share of each label's certainty goes to all classes.

    Classes that ``OwnParts`` has ruled out get none of it. Szegedy et al.: Rethinking the Inception
    Architecture, CVPR 2016, section 7.
    """

    def __init__(self, label_smoothing: float, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "from_logits": True})
        self.share = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.cast(y_true, "int32")  # Keras hands them over as floats
        certain = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
        possible = ops.cast(y_pred > IMPOSSIBLE / 2, y_pred.dtype)
        alike = possible / ops.sum(possible, -1, keepdims=True)
        return super().call((1 - self.share) * certain + self.share * alike, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.share}
