"""Models on points, each a function that returns a Keras model: a backbone, and a head on its features.

A backbone maps points (B, N, 3) to ``Features``: of each cloud, and of each point. A new model is one file here and one
line in ``BACKBONES``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pointkit.models import pointnet
from pointkit.models.critical import CriticalPoints
from pointkit.models.heads import Features, classification_head, segmentation_head, with_category
from pointkit.models.inference import answering
from pointkit.models.piecewise import InParts
from pointkit.nn import OwnParts


@dataclass(frozen=True)
class Backbone:
    """A family's backbone, and its named sets of layer widths for each task; each set has the widths of its head."""

    features: Callable[..., Features]
    classification: Mapping[str, Any]
    segmentation: Mapping[str, Any]


BACKBONES = {"pointnet": Backbone(pointnet.backbone, pointnet.CLASSIFICATION, pointnet.SEGMENTATION)}

__all__ = ["BACKBONES", "CriticalPoints", "InParts", "answering", "build", "classifier", "describe", "segmenter"]


def seed_stream(seed: int | None) -> Iterator[int]:
    """Different 32-bit seeds without end, for one initializer or dropout each; another stream each time for None."""
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(2**31))


def _checked(name: str, task: str, widths: str, num_classes: int) -> tuple[Backbone, Any]:
    if name not in BACKBONES:
        raise ValueError(f"model must be one of {', '.join(BACKBONES)}, got {name!r}")
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")
    known = getattr(BACKBONES[name], task)
    if widths not in known:
        raise ValueError(f"widths must be one of {', '.join(known)}, got {widths!r}")
    return BACKBONES[name], known[widths]


def _inputs(features: Features) -> Any:
    """What a model takes: the points as they are, or the dict of all where there is more."""
    return features.inputs if len(features.inputs) > 1 else features.inputs["points"]


def classifier(
    name: str,
    num_classes: int,
    *,
    widths: str = "reference",
    transforms: str = "both",
    dropout: float = 0.3,
    penalty: float = 0.001,
    momentum: float = 0.9,
    exact: bool = True,
    seed: int | None = None,
    blank: bool = False,
    num_features: int = 0,
) -> keras.Model:
    """A Keras model from points (B, N, 3), or the dict ``{"points": ...}``, to logits (B, num_classes), for any N.

    ``widths`` is one of the model's named sets of layer widths ("reference", "half" or "paper" for PointNet);
    ``transforms`` is "both", for a T-Net on points and one on features, or "none"; ``penalty`` weighs the T-Nets'
    orthogonality loss; ``momentum`` is batch norm's; ``exact=False`` computes layer by layer what the default computes
    without wide activations, several times faster (docs/exact-pooling.md), with the same weights; ``seed`` fixes
    initial weights and dropout; ``blank`` leaves the kernels zero, quicker where weights get loaded; with
    ``num_features``, such as 3 for normals, the model takes ``{"points": ..., "features": (B, N, num_features)}``, and
    its first layers see both. Raises ValueError for a name that is not in ``BACKBONES``, and for widths and transforms
    that the model does not have.
    """
    family, w = _checked(name, "classification", widths, num_classes)
    seeds = iter(()) if blank else seed_stream(seed)
    features = family.features(
        w,
        transforms=transforms,
        penalty=penalty,
        momentum=momentum,
        exact=exact,
        seeds=seeds,
        num_features=num_features,
    )
    logits = classification_head(features, num_classes, units=w.head, dropout=dropout, momentum=momentum, seeds=seeds)
    return keras.Model(_inputs(features), logits, name=f"{name}_classifier")


def segmenter(
    name: str,
    num_classes: int,
    *,
    widths: str = "reference",
    transforms: str = "both",
    dropout: float = 0.0,
    penalty: float = 0.001,
    momentum: float = 0.9,
    exact: bool = True,
    seed: int | None = None,
    blank: bool = False,
    num_features: int = 0,
    parts: Sequence[int] = (),
) -> keras.Model:
    """A Keras model from points (B, N, 3), or the dict ``{"points": ...}``, to logits (B, N, num_classes), for any N.

    With ``parts``, the number of parts of each of several categories, one network serves them all: it takes
    ``{"points": ..., "category": ids (B,) int32}``, the head sees the category as one-hot beside the pooled features
    (Qi et al., CVPR 2017, supplement C), and the logits of other categories' parts are far below all others
    (``nn.OwnParts``); ``num_classes`` must be the sum of the parts. The other arguments are those of ``classifier``.
    Raises ValueError too where it is not.
    """
    if parts and sum(parts) != num_classes:
        raise ValueError(f"num_classes must be the sum of parts, {sum(parts)}, got {num_classes}")
    family, w = _checked(name, "segmentation", widths, num_classes)
    seeds = iter(()) if blank else seed_stream(seed)
    features = family.features(
        w,
        transforms=transforms,
        penalty=penalty,
        momentum=momentum,
        exact=exact,
        seeds=seeds,
        num_features=num_features,
    )
    if parts:
        features = with_category(features, len(parts))
    logits = segmentation_head(
        features, num_classes, units=w.head, dropout=dropout, momentum=momentum, exact=exact, seeds=seeds
    )
    if parts:
        logits = OwnParts(parts, name="own_parts", dtype=logits.dtype)([logits, features.inputs["category"]])
    return keras.Model(_inputs(features), logits, name=f"{name}_segmenter")


def build(
    settings: Mapping[str, Any],
    num_classes: int,
    *,
    per_point: bool = False,
    parts: Sequence[int] = (),
    num_features: int = 0,
    blank: bool = False,
) -> keras.Model:
    """The network that a training's settings describe, with the initial weights of its seed, or ``blank``.

    A classifier, or, ``per_point``, a segmenter.
    """
    make = functools.partial(segmenter, parts=parts) if per_point else classifier
    return make(
        settings["model"],
        num_classes,
        num_features=num_features,
        widths=settings["widths"],
        transforms=settings.get("transforms", "both"),  # runs that are older have both
        dropout=settings["dropout"],
        penalty=settings["penalty"],
        momentum=settings["momentum"],
        seed=settings["seed"],
        blank=blank,
    )


def describe(model: keras.Model) -> dict[str, Any]:
    """The layer table: each layer's name, type, output shape, parameters and inputs, and the totals."""
    layers = []
    for layer in model.layers:
        inputs = [t._keras_history[0].name for node in layer._inbound_nodes for t in node.input_tensors]
        shape = list(layer.output.shape)
        layers.append(
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "shape": shape,
                "parameters": layer.count_params(),
                "inputs": inputs,
            }
        )
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    return {"parameters": model.count_params(), "trainable_parameters": trainable, "layers": layers}
