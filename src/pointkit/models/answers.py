"""A network at inference: a function from arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pointkit.nn import forms


def answering(model: keras.Model) -> Callable[[Any], NDArray[np.float32]]:
    """A function that gives what the model answers at inference, with the weights that it has at that time.

    It takes what the model takes, arrays or a dict of them, and is compiled once for each shape of it. Keras's
    ``predict_on_batch`` answers the same, on JAX later.
    """
    answer = forms.compiled(model)
    return lambda inputs: np.asarray(keras.ops.convert_to_numpy(answer(inputs)))
