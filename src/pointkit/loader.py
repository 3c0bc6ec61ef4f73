"""Store -> batches: the network's inputs, the labels, and the weight of each label in the loss.

Inputs are the points (B, N, 3) float32. Where the network takes more, they are a dict: ``points``, ``features`` (B, N,
C) float32, ``category`` (B,) int32 and ``size`` (B,) float32. A network that sees neighbourhoods also gets lists of
neighbours, and its points in progressive order (``neighbours.arranged``). Labels, int32, and weights, float32, are (B,)
of shapes or (B, N) of points.

``Batches`` is a ``keras.utils.PyDataset`` over the memory-mapped store, so it feeds ``fit`` on every backend (with
``shuffle=False``). What a batch holds depends on seed, epoch and batch number alone. So a training can stop after any
batch and go on as if it had not.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pointkit import neighbours, preprocess
from pointkit.cloud import Float32, Float64
from pointkit.listed import Lists
from pointkit.preprocess import Contract, Inputs
from pointkit.size import Size
from pointkit.store import Store

WORKERS = 2  # threads that make batches; lists of neighbours may take longer than a step

Batch = tuple[Inputs, NDArray[np.int32], Float32]


def class_weights(labels: NDArray[np.int32], num_classes: int, mode: str) -> Float32:
    """A weight for each class: 1 ("none"), or inversely proportional to its count ("balanced").

    Either way the mean over all labels is 1.
    """
    if mode == "none":
        return np.ones(num_classes, np.float32)
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * np.maximum(counts, 1))).astype(np.float32)


def radii(store: Store, split: str, num_points: int) -> Float64:
    """By how much the shapes of a split are divided for the unit sphere, (S,), on the first points of each."""
    clouds = (store.points[store.seen(index)] for index in store.select(split))
    seen = (cloud[preprocess.window(len(cloud), num_points)] for cloud in clouds)
    return np.array([preprocess.normalise(points)[2] for points in seen])


class Batches(keras.utils.PyDataset):
    """Batches of one split of a store, all of the same size.

    In training the shapes are shuffled anew each epoch, and each shape's N points start at a random one. Otherwise the
    order is fixed, and so are the points: the first N of each shape. Stray points are left out. The last batch is
    filled up with further shapes of weight 0, so that every shape counts once and a compiler sees one size. In a store
    of parts a point without label has the label 0 and the weight 0. "balanced" lets the parts of a category count
    alike. ``features`` names columns of the store's features, ``size`` says how a shape's size is seen. With ``lists``
    (``models.lists``) a batch is for ``models.listed``; its points are then ``context`` points of each shape, where
    that is more than N; N of them, spread over the shape, come first and have labels. Raises
    StoreError where the store lacks a column, and where it is cut while it is in use, as reading on would end the
    process.
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
        features: Sequence[str] = (),
        size: Size | None = None,
        lists: Lists | None = None,
        context: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**({"workers": 2} if lists else {}) | kwargs)  # with two, Keras makes batches beside the steps
        self.store = store
        self.indices = store.select(split)
        contract = Contract.of_store(store.manifest, num_points)
        self.contract = dataclasses.replace(contract, size=size, context=context)
        self.lists = lists or {}
        self.batch_size = batch_size
        self.training = training
        self.seed = seed
        self.epoch = 0
        self.features = store.columns(features)
        self.weights = np.concatenate(
            [
                class_weights(np.concatenate([*labels, np.empty(0, np.int32)]), len(ids), class_weight)
                for labels, ids in store.task.strata(store, self.indices)
            ]
        )
        self._order: tuple[int, NDArray[np.int64]] | None = None

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
        """Indices of the shapes in a batch (B,), including those that only fill it up."""
        places = np.arange(batch * self.batch_size, (batch + 1) * self.batch_size)
        return self.order()[places % len(self.indices)]

    def __getitem__(self, batch: int) -> Batch:
        self.store.check_uncut()
        chosen = self.shapes(batch)
        rng = np.random.default_rng([self.seed, self.epoch, batch]) if self.training else None
        seen = np.stack([self.places(shape, rng) for shape in chosen])
        kept = self.store.features
        features = kept[seen][..., self.features] if kept is not None and self.features else None
        task, classes = self.store.task, self.store.labels[chosen]
        category = classes if task.takes_category else None
        given = self.contract.inputs(self.store.points[seen], features, category, rng)
        if self.lists:
            asked = self.contract.num_points
            order = np.random.default_rng([self.seed, self.epoch, batch] if self.training else 0)
            given, rows = neighbours.with_lists(given, self.lists, order, asked, chosen=True)
            seen = np.take_along_axis(seen, rows, 1)
        places = seen[:, : self.contract.num_points]
        labels, known = task.labels(self.store, chosen, places)
        real = np.arange(batch * self.batch_size, (batch + 1) * self.batch_size) < len(self.indices)
        counted = known & real.reshape(-1, *[1] * (known.ndim - 1))
        return given, labels.astype(np.int32, copy=False), (self.weights[labels] * counted).astype(np.float32)

    def places(self, shape: int, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Which of the store's points (N,) a shape is seen by: at random with a generator, else fixed."""
        span = self.store.seen(shape)
        total = span.stop - span.start
        start = int(rng.integers(total)) if rng is not None else 0
        index = preprocess.window(total, self.contract.seen, start)
        places: NDArray[np.int64] = span.start + index
        return places


def ahead(batches: Batches, first: int = 0, last: int | None = None) -> Iterator[Batch]:
    """The batches from ``first`` on, up to ``last``; the next ones are made while one is in use."""
    numbers = iter(range(first, batches.num_batches if last is None else last))
    with ThreadPoolExecutor(WORKERS) as pool:
        coming = deque(pool.submit(batches.__getitem__, number) for number in itertools.islice(numbers, WORKERS))
        while coming:
            batch = coming.popleft().result()
            coming.extend(pool.submit(batches.__getitem__, number) for number in itertools.islice(numbers, 1))
            yield batch
