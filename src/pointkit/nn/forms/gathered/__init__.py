"""The operations on neighbourhoods: one interface, and for each backend the form that is fastest there.

y (B, N, C) are rows of N points. index (B, Q, M) int32 names M of them, its neighbours, for each of Q centres; a row
may be named twice. No form stores an array of all edges, (B, Q, M, C).

``maximum(y, index)``
    The maximum of each centre's named rows, (B, Q, C). Only the winners, one row for each centre and channel, get a
    gradient. Where rows tie, it is the one that is named first.
``weighted_sum(y, index, weights)``
    The sum of each centre's named rows, times weights (B, Q, M), (B, Q, C). The weights get no gradient.
``edges(x, w, c, v, index)``
    For the numbers e = x_j w + c_i v of every edge from a centre i to its neighbour j: their maximum over each centre's
    neighbours (B, Q, C), their mean and variance over all edges, (C,) each, at least float32. x (B, N, K), w (K, C),
    c (B, Q, L), v (L, C); c and v may be None. Gradients are those of the same numbers edge by edge.

docs/neighbourhoods.md derives them. ``tests/nn/test_gathered.py`` holds each against a plain twin.
"""

import importlib
from typing import Any

import keras

from pointkit.nn import forms

_form: Any = importlib.import_module(f"{__name__}.{keras.backend.backend()}")
assert forms  # which has refused other backends
edges = _form.edges
maximum = _form.maximum
weighted_sum = _form.weighted_sum

__all__ = ["edges", "maximum", "weighted_sum"]
