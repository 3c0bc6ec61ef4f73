"""Layers for points, on JAX, PyTorch and TensorFlow alike. Channels last: (B, N, C)."""

from pointkit.nn.augment import Drop, Jitter, Mirror, Rotate, Scale, Shift, Tilt
from pointkit.nn.category import OwnParts
from pointkit.nn.exact import PointwiseBlock, PooledBlock, SplitBlock
from pointkit.nn.grouped import EdgeBlock, EdgewiseBlock, PooledEdgesBlock, Reach, edge_layers
from pointkit.nn.losses import SmoothedCrossentropy
from pointkit.nn.neighbourhoods import Centres, GivenOrder, Neighbourhoods
from pointkit.nn.neighbours import GatheredMaximum, Interpolation, Nearest, NearestThree, NeighbourhoodMoments
from pointkit.nn.pointwise import MaximumAndMean, Pointwise
from pointkit.nn.propagation import CarriedBlock
from pointkit.nn.tnet import TransformMatrix, orthogonality, tnet

__all__ = [
    "CarriedBlock",
    "Centres",
    "Drop",
    "EdgeBlock",
    "EdgewiseBlock",
    "GatheredMaximum",
    "GivenOrder",
    "Interpolation",
    "Jitter",
    "MaximumAndMean",
    "Mirror",
    "Nearest",
    "NearestThree",
    "NeighbourhoodMoments",
    "Neighbourhoods",
    "OwnParts",
    "Pointwise",
    "PointwiseBlock",
    "PooledBlock",
    "PooledEdgesBlock",
    "Reach",
    "Rotate",
    "Scale",
    "Shift",
    "SmoothedCrossentropy",
    "SplitBlock",
    "Tilt",
    "TransformMatrix",
    "edge_layers",
    "orthogonality",
    "tnet",
]
