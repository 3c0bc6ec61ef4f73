"""Store -> batches: (points (B, N, 3) float32, labels (B,) int32, weights (B,) float32).

A ``keras.utils.PyDataset`` over the memory-mapped store, so that it feeds ``fit`` on every backend (with
``shuffle=False``). What a batch holds depends on seed, epoch and batch number alone: training can stop after any batch
and go on as if it had not.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pointkit import preprocess
from pointkit.cloud import Float32
from pointkit.errors import StoreError
from pointkit.store import Store

Batch = tuple[Float32, NDArray[np.int32], Float32]


def class_weights(labels: NDArray[np.int32], num_classes: int, mode: str) -> Float32:
    """A weight for each class: 1 ("none"), or inversely proportional to its count ("balanced").

    Either way the mean over shapes is 1.
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
    size. Raises StoreError where the store is cut while it is in use: reading on would end the process.
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
        self.weights = class_weights(store.labels[self.indices], len(store.classes), class_weight)
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self._file = store.path / "points.npy"
        self._size = self._file.stat().st_size

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
        points = np.stack([self._window(shape, rng) for shape in chosen])
        labels = self.store.labels[chosen]
        real = np.arange(batch * self.batch_size, (batch + 1) * self.batch_size) < len(self.indices)
        return preprocess.normalise(points)[0], labels, (self.weights[labels] * real).astype(np.float32)

    def _check_size(self) -> None:
        try:
            size = self._file.stat().st_size
        except OSError:  # removed, or just being replaced: what is mapped stays
            return
        if size < self._size:
            raise StoreError(f"{self._file}: was cut from {self._size} to {size} bytes while in use")

    def _window(self, shape: int, rng: np.random.Generator | None) -> Float32:
        cloud = self.store.cloud(shape)
        if rng is not None:
            return cloud[preprocess.window(len(cloud), self.num_points, int(rng.integers(len(cloud))))]
        if self.draw:
            cloud = np.random.default_rng([self.draw, shape]).permutation(cloud)
        return cloud[preprocess.window(len(cloud), self.num_points)]
