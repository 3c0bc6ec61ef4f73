"""A network at inference: a function from arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pointkit.nn import forms


def at_once(function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
    """``function`` of each part in order; at the same time, of as many as is fastest on the backend."""
    threads = min(forms.streams(), len(parts))
    if threads == 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))


def answering(model: keras.Model) -> Callable[[Any], NDArray[np.float32]]:
    """A function that answers as the model does at inference, with the weights that it has now.

    It takes the model's inputs, arrays or a dict of them, and is compiled once for each of their shapes. Keras's
    ``predict_on_batch`` gives the same, but slower on JAX, where this computes the halves of a batch at the same time.
    """
    compiled = forms.compiled(model)

    def answer(inputs: Any) -> NDArray[np.float32]:
        return np.asarray(keras.ops.convert_to_numpy(compiled(inputs)))

    def in_shares(inputs: Any) -> NDArray[np.float32]:
        streams, size = forms.streams(), len(keras.tree.flatten(inputs)[0])
        if streams == 1 or not size or size % streams:  # shares of different sizes would each be compiled
            return answer(inputs)
        share = size // streams

        def part(i: int) -> NDArray[np.float32]:
            return answer(keras.tree.map_structure(lambda array: array[i * share : (i + 1) * share], inputs))

        return np.concatenate(at_once(part, range(streams)))

    return in_shares
