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
    """``function`` of each part in order, of as many at the same time as the backend likes best."""
    threads = min(forms.streams(), len(parts))
    if threads == 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))


def answering(model: keras.Model) -> Callable[[Any], NDArray[np.float32]]:
    """A function that gives what the model answers at inference, with the weights that it has at that time.

    It takes what the model takes, arrays or a dict of them, and is compiled once for each shape of it. Keras's
    ``predict_on_batch`` answers the same, on JAX later: there the halves of a batch are answered at the same time.
    """
    compiled = forms.compiled(model)

    def answer(inputs: Any) -> NDArray[np.float32]:
        return np.asarray(keras.ops.convert_to_numpy(compiled(inputs)))

    def in_shares(inputs: Any) -> NDArray[np.float32]:
        streams, size = forms.streams(), len(keras.tree.flatten(inputs)[0])
        if streams == 1 or not size or size % streams:  # shares of different sizes would have to be compiled each
            return answer(inputs)
        share = size // streams

        def part(i: int) -> NDArray[np.float32]:
            return answer(keras.tree.map_structure(lambda array: array[i * share : (i + 1) * share], inputs))

        return np.concatenate(at_once(part, range(streams)))

    return in_shares
