"""The operations on neighbourhoods: one interface, and for each backend the form that is fastest there.

y (B, N, C) are rows of N points. index (B, Q, M) int32 names M of them, its neighbours, for each of Q centres; a row
may be named twice. The first three store no array of all edges, (B, Q, M, C).

``maximum(y, index)``
    The maximum of each centre's named rows, (B, Q, C). Only the winners, one row for each centre and channel, get a
    gradient. Where rows tie, it is the one that is named first.
``weighted_sum(y, index, weights)``
    The sum of each centre's named rows, times weights (B, Q, M), (B, Q, C). The weights get no gradient.
``nearest(closeness, queries, points, count)``
    For each of the queries (B, Q, K) the ``count`` points of (B, N, K) for which ``closeness(queries, points)``, a
    function from any number of clouds to (B, Q, N), is highest, in falling order: its values, and rows as int32,
    (B, Q, count) each. Among equals, any may come first. ``count`` is at most N, where N is known.
``edges(x, w, c, u, index, relative)``
    For every edge, from a centre i to its neighbour j, the numbers e = x_j w - x_i[:r] w[:r] + c_i u, r = ``relative``:
    the first r features of x are taken relative to the centre's, which are the first Q rows of x. Gives the maximum
    over each centre's neighbours (B, Q, C), and the mean and variance over all edges, (C,) each, at least float32.
    x (B, N, K), w (K, C), c (B, Q, L), u (L, C); c and u may be None. Gradients are those of the same, edge by edge.

``spread(y, a, index, slope)``
    For every edge (leaky) ReLU of y_j + a_i, (B, Q * M, C), a centre's edges one after another; a (B, Q, C).
``spread_moments(y, a, index)``
    Mean and variance of y_j + a_i over all edges, (C,) each, at least float32.
``moments_and_maximum_of_groups(x, w, count)``
    x (B, Q * M, K), a row for each edge, M = ``count`` for each centre. Mean and covariance over a cloud's rows,
    (B, K) and (B, K, K), at least float32, and the maximum of each centre's rows of x w, (B, Q, C). The product is
    whole for one cloud at a time. Where rows tie, one of them gets the gradient.
``maximum_of_groups(x, w, count)``
    The maximum alone, for inference.

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
maximum_of_groups = _form.maximum_of_groups
moments_and_maximum_of_groups = _form.moments_and_maximum_of_groups
nearest = _form.nearest
spread = _form.spread
spread_moments = _form.spread_moments
weighted_sum = _form.weighted_sum

__all__ = [
    "edges",
    "maximum",
    "maximum_of_groups",
    "moments_and_maximum_of_groups",
    "nearest",
    "spread",
    "spread_moments",
    "weighted_sum",
]
