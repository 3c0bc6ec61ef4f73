"""pointkit: 3D files in, trained and honestly measured Keras models out, and labelled files back.

``learn``, ``prepare``, ``train``, ``evaluate``, ``predict`` and ``view`` are the commands, with the same words as their
flags. Importing this package is cheap: it loads NumPy at most. Submodules load on first use. Keras is told to run on
JAX unless ``KERAS_BACKEND`` names another backend or Keras is already imported. (Its file ``keras.json`` is ignored:
Keras itself writes "tensorflow" there at the first import, whatever is installed.) Keras knows the layers of
``pointkit.nn`` as soon as both are imported, so it loads saved models that hold them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from pointkit.called import COMMANDS, Package
from pointkit.registered import register

if TYPE_CHECKING:
    from pointkit.api import evaluate as evaluate
    from pointkit.api import learn as learn
    from pointkit.api import predict as predict
    from pointkit.api import prepare as prepare
    from pointkit.api import train as train
    from pointkit.api import view as view
    from pointkit.cloud import Mesh as Mesh
    from pointkit.cloud import Placement as Placement
    from pointkit.cloud import PointCloud as PointCloud
    from pointkit.predict import Predictor as Predictor

__version__ = "0.1.0"

_NAMES = {"Mesh": "cloud", "Placement": "cloud", "PointCloud": "cloud", "Predictor": "predict"}
_MODULES = (
    "datasets",
    "formats",
    "metrics",
    "models",
    "neighbours",
    "nn",
    "sampling",
    "preprocess",
    "store",
    "synthetic",
    *COMMANDS,
)

__all__ = [
    "Mesh",
    "Placement",
    "PointCloud",
    "Predictor",
    "datasets",
    "evaluate",
    "formats",
    "learn",
    "metrics",
    "models",
    "neighbours",
    "nn",
    "predict",
    "prepare",
    "preprocess",
    "sampling",
    "store",
    "synthetic",
    "train",
    "view",
]


if "keras" not in sys.modules:
    os.environ.setdefault("KERAS_BACKEND", "jax")
sys.modules[__name__].__class__ = Package


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pointkit.{_NAMES[name]}"), name)
    if name in _MODULES and importlib.util.find_spec(f"pointkit.{name}"):
        return importlib.import_module(f"pointkit.{name}")
    raise AttributeError(f"module 'pointkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


register()  # Keras, where it is already imported, now; else when it will be
