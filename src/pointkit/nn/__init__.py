"""Layers for points, on Keras and NumPy alone, so on JAX, PyTorch and TensorFlow alike. Channels last: (B, N, C)."""

from pointkit.nn.augment import Jitter, Rotate, Scale
from pointkit.nn.pointwise import Pointwise, pointwise_block
from pointkit.nn.tnet import ApplyTransform, TransformMatrix, orthogonality, tnet

__all__ = [
    "ApplyTransform",
    "Jitter",
    "Pointwise",
    "Rotate",
    "Scale",
    "TransformMatrix",
    "orthogonality",
    "pointwise_block",
    "tnet",
]
