"""Models on points, each a function that returns a Keras model: a backbone, and a head on its features.

A backbone maps points (B, N, 3) to ``heads.Features`` of each cloud and of each point. A new network is one file here
and one entry in ``families.FAMILIES``. Names load on first use, so that the families can be asked without Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pointkit.models.families import FAMILIES

if TYPE_CHECKING:
    from pointkit.models.critical import CriticalPoints
    from pointkit.models.heads import pooled
    from pointkit.models.inference import answering, looking
    from pointkit.models.influence import Influence
    from pointkit.models.neighbourhoods import listed, lists
    from pointkit.models.networks import build, classifier, describe, segmenter
    from pointkit.models.piecewise import InParts

_NAMES = {
    "CriticalPoints": "critical",
    "InParts": "piecewise",
    "Influence": "influence",
    "answering": "inference",
    "build": "networks",
    "classifier": "networks",
    "describe": "networks",
    "listed": "neighbourhoods",
    "lists": "neighbourhoods",
    "looking": "inference",
    "pooled": "heads",
    "segmenter": "networks",
}

__all__ = [
    "FAMILIES",
    "CriticalPoints",
    "InParts",
    "Influence",
    "answering",
    "build",
    "classifier",
    "describe",
    "listed",
    "lists",
    "looking",
    "pooled",
    "segmenter",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pointkit.models.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pointkit.models' has no attribute {name!r}")
