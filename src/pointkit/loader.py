"""Store -> batches: what the network takes, what it should answer, and what each answer counts.

Inputs are the points (B, N, 3) float32, or, where the network takes more, a dict of them with ``features`` (B, N, C)
float32 and ``category`` (B,) int32. Labels and weights are (B,) of shapes, or (B, N) of their points: int32, float32.

A ``keras.utils.PyDataset`` over the memory-mapped store, so that it feeds ``fit`` on every backend (with
``shuffle=False``). What a batch holds depends on seed, epoch and batch number alone: training can stop after any batch
and go on as if it had not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pointkit import preprocess
from pointkit.cloud import Array, Float32
from pointkit.errors import StoreError
from pointkit.store import Store

Inputs = Float32 | dict[str, Array]
Batch = tuple[Inputs, NDArray[np.int32], Float32]


def inputs(points: Float32, features: Float32 | None = None, category: NDArray[np.int32] | None = None) -> Inputs:
    """What a network is called with: the points alone, or a dict where there is more."""
    named = {"points": points, "features": features, "category": category}
    given = {name: array for name, array in named.items() if array is not None}
    return given if len(given) > 1 else points


def class_weights(labels: NDArray[np.int32], num_classes: int, mode: str) -> Float32:
    """A weight for each class: 1 ("none"), or inversely proportional to its count ("balanced").

    Either way the mean over what has a label is 1.
    """
    if mode == "none":
        return np.ones(num_classes, np.float32)
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * np.maximum(counts, 1))).astype(np.float32)


class Batches(keras.utils.PyDataset):
    """Batches of one split of a store, all of the same size.

    In training the shapes are shuffled anew each epoch and each shape's N points start at a random place; otherwise
    order and points are fixed: the first N points of each shape, or, for ``draw`` > 0, the draw of that number. The
    last batch is filled up with further shapes of weight 0, so that every shape counts once and a compiler sees one
    size. In a store of parts a point without label has the label 0 and the weight 0; "balanced" weights the parts of a
    category alike. ``features`` names columns of the store's features. Raises StoreError where the store lacks one, and
    where it is cut while it is in use: reading on would end the process.
    """

    def __init__(
        self,
        store: Store,
        split: str,
        *,
        num_points: int,
        batch_size: int,
        training: bool = False,
        seed: int = 0,
        class_weight: str = "none",
        draw: int = 0,
        features: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.store = store
        self.indices = store.select(split)
        self.num_points = num_points
        self.batch_size = batch_size
        self.training = training
        self.seed = seed
        self.draw = draw
        self.epoch = 0
        self.features = store.columns(features)
        self.weights = self._weights(class_weight)
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self._file = store.path / "points.npy"
        self._size = self._file.stat().st_size

    def _weights(self, mode: str) -> Float32:
        """Of each class, or of each part."""
        if self.store.point_labels is None:
            return class_weights(self.store.labels[self.indices], len(self.store.classes), mode)
        weights: list[Float32] = []
        for category, ids in enumerate(self.store.part_ids.values()):
            chosen = [i for i in self.indices if self.store.labels[i] == category]
            labels = np.concatenate(
                [self.store.point_labels[self.store.span(i)] for i in chosen] or [np.empty(0, "i4")]
            )
            weights.append(class_weights(labels[labels >= 0] - ids.start, len(ids), mode))
        return np.concatenate(weights)

    @property
    def num_batches(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def order(self) -> NDArray[np.int64]:
        """The shapes of the current epoch, in order."""
        if not self.training:
            return self.indices
        if self._order is None or self._order[0] != self.epoch:
            self._order = self.epoch, np.random.default_rng([self.seed, self.epoch]).permutation(self.indices)
        return self._order[1]

    def shapes(self, batch: int) -> NDArray[np.int64]:
        """Indices of the shapes in a batch (B,), those that only fill it up included."""
        places = np.arange(batch * self.batch_size, (batch + 1) * self.batch_size)
        return self.order()[places % len(self.indices)]

    def __getitem__(self, batch: int) -> Batch:
        self._check_size()
        chosen = self.shapes(batch)
        rng = np.random.default_rng([self.seed, self.epoch, batch]) if self.training else None
        places = np.stack([self.places(shape, rng) for shape in chosen])
        points = preprocess.normalise(self.store.points[places])[0]
        real = np.arange(batch * self.batch_size, (batch + 1) * self.batch_size) < len(self.indices)
        kept = self.store.features
        features = kept[places][..., self.features] if kept is not None and self.features else None
        classes = self.store.labels[chosen]
        if self.store.point_labels is None:
            return inputs(points, features), classes, (self.weights[classes] * real).astype(np.float32)
        labels = self.store.point_labels[places]
        known = (labels >= 0) & real[:, None]
        labels = np.maximum(labels, 0)
        category = classes if len(self.store.classes) > 1 else None
        return inputs(points, features, category), labels, (self.weights[labels] * known).astype(np.float32)

    def _check_size(self) -> None:
        try:
            size = self._file.stat().st_size
        except OSError:  # removed, or just being replaced: what is mapped stays
            return
        if size < self._size:
            raise StoreError(f"{self._file}: was cut from {self._size} to {size} bytes while in use")

    def places(self, shape: int, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Which of the store's points (N,) stand for a shape: at random with a generator, else fixed."""
        span = self.store.span(shape)
        total = span.stop - span.start
        start = int(rng.integers(total)) if rng is not None else 0
        index = preprocess.window(total, self.num_points, start)
        if self.draw and rng is None:
            index = np.random.default_rng([self.draw, shape]).permutation(total)[index]
        places: NDArray[np.int64] = span.start + index
        return places
