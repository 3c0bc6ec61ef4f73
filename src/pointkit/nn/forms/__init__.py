"""The operations that make PointNet fast: one interface, and for each backend the form that is fastest there.

``moments(x)``
    x (B, N, K) -> x itself, and mean (B, K) and covariance (B, K, K) of each cloud over its points, at least float32.
    A caller that goes on with the returned x saves a pass, as its gradient and the moments' are added in one place.
``affine_relu(x, w, b, slope)``
    relu(x w + b), (B, N, C); w (K, C), or one for each cloud (B, K, C); b (C,). The ReLU is a leaky one with a
    ``slope`` that is not 0, its default.
``moments_and_maximum(x, w)``
    mean and covariance of x as above, and the maximum over N of x w, (B, C); w (K, C). Neither the product nor its
    gradient is ever stored whole: only the winners, one point for each cloud and channel, get a gradient. Where points
    tie, one of them wins.
``maximum(x, w)``
    The maximum alone, for inference.
``sum_of_products(start, pairs)``
    start (B, C), repeated for each point, plus the sum of x w over the pairs, (B, N, C); w (K, C) or (B, K, C).
``compiled(model)``
    A function that answers as a Keras model does at inference, with the weights that the model has now.
``gradient(model, score, name)``
    A function from the model's inputs, a dict, to the gradient of ``score(outputs)``, a number, with respect to the
    input ``name``, at inference, with the weights that the model has now. It also gives the outputs.
``streams()``
    How many such calls are best made at the same time, each with a share of the batch. On a processor, JAX's threads
    wait for each other after each operation. While one call waits, the other computes.

docs/exact-pooling.md derives them. ``tests/nn/test_forms.py`` holds each against a plain twin.
"""

import importlib
from typing import Any

import keras

if keras.backend.backend() not in ("jax", "torch", "tensorflow"):
    raise ImportError(f"pointkit runs on the Keras backends jax, torch and tensorflow, not {keras.backend.backend()}")

_form: Any = importlib.import_module(f"{__name__}.{keras.backend.backend()}")
affine_relu = _form.affine_relu
compiled = _form.compiled
gradient = _form.gradient
maximum = _form.maximum
moments = _form.moments
moments_and_maximum = _form.moments_and_maximum
streams = _form.streams
sum_of_products = _form.sum_of_products

__all__ = [
    "affine_relu",
    "compiled",
    "gradient",
    "maximum",
    "moments",
    "moments_and_maximum",
    "streams",
    "sum_of_products",
]
