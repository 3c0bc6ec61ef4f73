"""A network at inference: a function from arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pointkit.models.heads import pooled
from pointkit.models.neighbourhoods import listed
from pointkit.nn import forms


def at_once(function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
    """``function`` of each part in order; at the same time, of as many as is fastest on the backend."""
    threads = min(forms.streams(), len(parts))
    if threads == 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))


def looking(model: keras.Model) -> Callable[[Any], list[NDArray[np.float32]]]:
    """Like ``answering``: the logits, and what was pooled of each cloud (B, D), in one go.

    Where the network sees neighbourhoods, the function takes their lists, too (``listed``).
    """
    return answering(listed(keras.Model(model.input, [model.output, pooled(model)])))


def answering(model: keras.Model) -> Callable[[Any], Any]:
    """A function that answers as the model does at inference, with the weights that it has now.

    It takes the model's inputs, arrays or a dict of them, and gives its outputs as arrays. It is compiled once for each
    shape of inputs. Keras's ``predict_on_batch`` gives the same, but slower on JAX, where this computes the halves of a
    batch at the same time.
    """
    compiled = forms.compiled(model)

    def answer(inputs: Any) -> Any:
        return keras.tree.map_structure(lambda x: np.asarray(keras.ops.convert_to_numpy(x)), compiled(inputs))

    def in_shares(inputs: Any) -> Any:
        streams, size = forms.streams(), len(keras.tree.flatten(inputs)[0])
        if streams == 1 or not size or size % streams:  # shares of different sizes would each be compiled
            return answer(inputs)
        share = size // streams

        def part(i: int) -> Any:
            return answer(keras.tree.map_structure(lambda array: array[i * share : (i + 1) * share], inputs))

        parts = at_once(part, range(streams))
        return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)

    return in_shares
