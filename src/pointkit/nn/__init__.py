"""Layers for points, on JAX, PyTorch and TensorFlow alike. Channels last: (B, N, C)."""

from pointkit.nn.augment import Jitter, Rotate, Scale
from pointkit.nn.exact import PointwiseBlock, PooledBlock, SplitBlock
from pointkit.nn.pointwise import Pointwise
from pointkit.nn.tnet import TransformMatrix, orthogonality, tnet

__all__ = [
    "Jitter",
    "Pointwise",
    "PointwiseBlock",
    "PooledBlock",
    "Rotate",
    "Scale",
    "SplitBlock",
    "TransformMatrix",
    "orthogonality",
    "tnet",
]
