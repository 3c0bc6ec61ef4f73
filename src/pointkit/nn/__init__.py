"""Layers for points, on JAX, PyTorch and TensorFlow alike. Channels last: (B, N, C)."""

from pointkit.nn.augment import Drop, Jitter, Mirror, Rotate, Scale, Shift, Tilt
from pointkit.nn.category import OwnParts
from pointkit.nn.exact import PointwiseBlock, PooledBlock, SplitBlock
from pointkit.nn.losses import SmoothedCrossentropy
from pointkit.nn.pointwise import Pointwise
from pointkit.nn.tnet import TransformMatrix, orthogonality, tnet

__all__ = [
    "Drop",
    "Jitter",
    "Mirror",
    "OwnParts",
    "Pointwise",
    "PointwiseBlock",
    "PooledBlock",
    "Rotate",
    "Scale",
    "Shift",
    "SmoothedCrossentropy",
    "SplitBlock",
    "Tilt",
    "TransformMatrix",
    "orthogonality",
    "tnet",
]
