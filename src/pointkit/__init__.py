"""pointkit: 3D files in, trained and honestly measured Keras models out, and labelled files back.

Importing this package is cheap: it loads NumPy at most. Submodules load on first use. Keras is told to run on JAX
unless ``KERAS_BACKEND`` names another backend or Keras is already imported. (Its file ``keras.json`` is ignored: Keras
itself writes "tensorflow" there at the first import, whatever is installed.)
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointkit.cloud import Mesh as Mesh
    from pointkit.cloud import Placement as Placement
    from pointkit.cloud import PointCloud as PointCloud
    from pointkit.predict import Predictor as Predictor

__version__ = "0.1.0"

_NAMES = {"Mesh": "cloud", "Placement": "cloud", "PointCloud": "cloud", "Predictor": "predict"}
_MODULES = ("datasets", "formats", "metrics", "models", "neighbours", "nn", "sampling", "preprocess", "store")

__all__ = [
    "Mesh",
    "Placement",
    "PointCloud",
    "Predictor",
    "datasets",
    "formats",
    "metrics",
    "models",
    "neighbours",
    "nn",
    "preprocess",
    "sampling",
    "store",
]


if "keras" not in sys.modules:
    os.environ.setdefault("KERAS_BACKEND", "jax")


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pointkit.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"pointkit.{name}")
    raise AttributeError(f"module 'pointkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
