"""A whole network: a family's backbone, the head for its task, and the Keras model of both."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from pointkit.models.families import find, own_settings
from pointkit.models.heads import classification_head, segmentation_head, with_category, with_pooled_dropped, with_size
from pointkit.nn import GivenOrder, OwnParts


def seed_stream(seed: int | None) -> Iterator[int]:
    """An endless stream of different 32-bit seeds, one for each initializer or dropout; with None a random one."""
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(2**31))


def classifier(
    name: str,
    num_classes: int,
    *,
    dropout: float = 0.3,
    momentum: float = 0.9,
    exact: bool = True,
    seed: int | None = None,
    blank: bool = False,
    num_features: int = 0,
    sees_size: bool = False,
    **own: Any,
) -> keras.Model:
    """A Keras model from points (B, N, 3), or the dict ``{"points": ...}``, to logits (B, num_classes), for any N.

    ``name`` is that of a family; ``own`` are the family's own settings (``families.FAMILIES``). PointNet's are
    ``widths`` ("reference", "half" or "paper"), ``transforms`` ("both", for a T-Net on points and one on features, or
    "none") and ``penalty``, which weighs the T-Nets' orthogonality loss. ``momentum`` is batch norm's. The default
    computes without wide activations, several times faster (docs/exact-pooling.md) than layer by layer; ``exact=False``
    does the latter, with the same weights. ``seed`` fixes initial weights and dropout. ``blank`` leaves the kernels
    zero, which is quicker where weights get loaded. With ``num_features``, such as 3 for normals, the model takes
    ``{"points": ..., "features": (B, N, num_features)}``, and its first layers see both. With ``sees_size`` it takes
    ``"size"`` (B,), a number that the head sees beside the pooled features (``pointkit.size``). Raises ValueError for a
    name that is no family's, and for settings that the family does not have.
    """
    return _network(
        name,
        num_classes,
        kind="classifier",
        dropout=dropout,
        momentum=momentum,
        exact=exact,
        seed=seed,
        blank=blank,
        num_features=num_features,
        sees_size=sees_size,
        own=own,
    )


def segmenter(
    name: str,
    num_classes: int,
    *,
    dropout: float = 0.0,
    momentum: float = 0.9,
    exact: bool = True,
    seed: int | None = None,
    blank: bool = False,
    num_features: int = 0,
    sees_size: bool = False,
    parts: Sequence[int] = (),
    **own: Any,
) -> keras.Model:
    """A Keras model from points (B, N, 3), or the dict ``{"points": ...}``, to logits (B, N, num_classes), for any N.

    ``parts`` are the numbers of parts of several categories, for which one network serves. It then takes
    ``{"points": ..., "category": ids (B,) int32}``. The head sees the category as one-hot beside the pooled features
    (Qi et al., CVPR 2017, supplement C). The logits of other categories' parts are far below all others
    (``nn.OwnParts``). ``num_classes`` must be the sum of the parts. The other arguments and errors are those of
    ``classifier``. Raises ValueError also where the sum is wrong.
    """
    if parts and sum(parts) != num_classes:
        raise ValueError(f"num_classes must be the sum of parts, {sum(parts)}, got {num_classes}")
    return _network(
        name,
        num_classes,
        kind="segmenter",
        dropout=dropout,
        momentum=momentum,
        exact=exact,
        seed=seed,
        blank=blank,
        num_features=num_features,
        sees_size=sees_size,
        parts=parts,
        own=own,
    )


def _network(
    name: str,
    num_classes: int,
    *,
    kind: str,
    dropout: float,
    momentum: float,
    exact: bool,
    seed: int | None,
    blank: bool,
    num_features: int,
    sees_size: bool,
    own: Mapping[str, Any],
    parts: Sequence[int] = (),
) -> keras.Model:
    own = own_settings(name, own)
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")
    backbone = importlib.import_module(find(name).module).backbone
    seeds = iter(()) if blank else seed_stream(seed)
    shared: dict[str, Any] = {"momentum": momentum, "seeds": seeds}
    features, units = backbone(kind, exact=exact, num_features=num_features, **shared, **own)
    if features.drops_pooled:
        features = with_pooled_dropped(features, dropout, seeds)
    if sees_size:
        features = with_size(features, **shared)
    if parts:
        features = with_category(features, len(parts), **shared)
    head = {"units": units, "dropout": dropout, **shared}
    if kind == "segmenter":
        logits = segmentation_head(features, num_classes, exact=exact, **head)
    else:
        logits = classification_head(features, num_classes, **head)
    if parts:
        logits = OwnParts(parts, name="own_parts", dtype=logits.dtype)([logits, features.inputs["category"]])
    if kind == "segmenter" and features.back is not None:
        logits = GivenOrder(name="given_order", dtype=logits.dtype)([logits, features.back])
    inputs = features.inputs if len(features.inputs) > 1 else features.inputs["points"]
    return keras.Model(inputs, logits, name=f"{name}_{kind}")


def build(
    settings: Mapping[str, Any],
    num_classes: int,
    *,
    kind: str = "classifier",
    parts: Sequence[int] = (),
    num_features: int = 0,
    blank: bool = False,
    exact: bool = True,
) -> keras.Model:
    """The network that a training's flat settings describe, with the initial weights of its seed, or ``blank``.

    ``kind`` is "classifier" or "segmenter"; the other arguments are theirs.
    """
    name = settings["model"]
    return _network(
        name,
        num_classes,
        kind=kind,
        dropout=settings["dropout"],
        momentum=settings["momentum"],
        exact=exact,
        seed=settings["seed"],
        blank=blank,
        num_features=num_features,
        sees_size="size" in settings.get("features", "").split(","),
        parts=parts,
        own={key: settings[key] for key in find(name).settings if key in settings},  # older runs may lack some
    )


def describe(model: keras.Model) -> dict[str, Any]:
    """The layer table: each layer's name, type, shape of its (first) output, parameters and inputs, and the totals."""
    layers = []
    for layer in model.layers:
        inputs = [t._keras_history[0].name for node in layer._inbound_nodes for t in node.input_tensors]
        shape = list(keras.tree.flatten(layer.output)[0].shape)
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
