"""Losses that Keras has not."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("pointkit")
class SmoothedCrossentropy(keras.losses.CategoricalCrossentropy):
    """Cross entropy of logits (..., C) with class ids (...), of whose certainty a share goes to all classes alike.

    Szegedy et al.: Rethinking the Inception Architecture, CVPR 2016, section 7.
    """

    def __init__(self, label_smoothing: float, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "from_logits": True}, label_smoothing=label_smoothing)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.cast(y_true, "int32")  # Keras hands them over as floats
        return super().call(ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype), y_pred)
