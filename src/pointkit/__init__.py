"""pointkit: 3D files in, trained and honestly measured Keras models out, and labelled files back.

Importing this package is cheap: it loads NumPy at most. Submodules load on first use. Keras is told to run on JAX
unless ``KERAS_BACKEND`` or the user's own ``keras.json`` says otherwise, or Keras is already there.
"""

from __future__ import annotations

import importlib
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointkit.cloud import Mesh as Mesh
    from pointkit.cloud import Placement as Placement
    from pointkit.cloud import PointCloud as PointCloud
    from pointkit.predict import Predictor as Predictor

__version__ = "0.1.0"

_NAMES = {"Mesh": "cloud", "Placement": "cloud", "PointCloud": "cloud", "Predictor": "predict"}
_MODULES = ("datasets", "formats", "metrics", "models", "nn", "sampling", "preprocess", "store")

__all__ = [
    "Mesh", "Placement", "PointCloud", "Predictor",
    "datasets", "formats", "metrics", "models", "nn", "preprocess", "sampling", "store",
]


def _default_backend() -> None:
    """Name JAX as Keras's backend where nobody has chosen one: without a name Keras looks for TensorFlow."""
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ and not (home / "keras.json").is_file():
        os.environ["KERAS_BACKEND"] = "jax"


_default_backend()


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module holds is of any type
    if name in _NAMES:
        return getattr(importlib.import_module(f"pointkit.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"pointkit.{name}")
    raise AttributeError(f"module 'pointkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
