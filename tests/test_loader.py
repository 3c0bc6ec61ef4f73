"""Batches: which shapes, which points, which weights; and that they depend on seed, epoch and batch number alone."""

import shutil
import time

import numpy as np
import pytest

from pointkit import preprocess, store
from pointkit.errors import StoreError
from pointkit.loader import WORKERS, Batches, ahead, class_weights
from tests import shapes

POINTS = 64


def batches(opened, split="train", **settings):
    return Batches(opened, split, **{"num_points": POINTS, "batch_size": 8, **settings})


def everything(loader):
    """All batches of an epoch, one array each."""
    return [np.concatenate(parts) for parts in zip(*(loader[b] for b in range(loader.num_batches)), strict=True)]


def windows(opened, shape):
    """All that training may see of a shape (T, N, 3): a window from each of its points on, normalised."""
    return windows_of(opened.cloud(shape))


@pytest.fixture(scope="module")
def owners(tiny_store):
    """From the content of a normalised cloud (N, 3), as bytes, to the shape of the store that it shows."""
    known = {}
    for shape in range(len(tiny_store.rows)):
        known |= dict.fromkeys((cloud.tobytes() for cloud in windows(tiny_store, shape)), shape)
    assert len(known) == len(tiny_store.rows) * shapes.POINTS
    return known


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_shapes_and_types(tiny_store):
    loader = batches(tiny_store, training=True)
    points, labels, weights = loader[0]
    assert (points.shape, points.dtype) == ((8, POINTS, 3), np.float32)
    assert (labels.shape, labels.dtype) == ((8,), np.int32)
    assert (weights.shape, weights.dtype) == ((8,), np.float32)
    assert loader.num_batches == 4
    assert len(list(loader)) == 4


@pytest.mark.parametrize("split", store.SPLITS)
def test_a_split_gives_its_own_shapes_and_no_others(tiny_store, owners, split):
    points, labels, weights = everything(batches(tiny_store, split, training=split == "train", seed=3))
    seen = np.array([owners[cloud.tobytes()] for cloud in points])
    assert (tiny_store.labels[seen] == labels).all()
    assert set(seen) == set(tiny_store.select(split))
    assert sorted(seen[weights > 0]) == sorted(tiny_store.select(split))


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_each_training_shape_counts_once_an_epoch(tiny_store, epoch):
    loader = batches(tiny_store, training=True, seed=5)
    loader.epoch = epoch
    chosen = np.concatenate([loader.shapes(b) for b in range(loader.num_batches)])
    weights = everything(loader)[2]
    assert sorted(chosen[weights > 0]) == sorted(tiny_store.select("train"))
    assert weights.tolist() == [1] * 25 + [0] * 7
    assert set(chosen[weights == 0]) <= set(tiny_store.select("train"))


def test_a_batch_depends_on_seed_epoch_and_number_alone(tiny_store):
    loader = batches(tiny_store, training=True, seed=1)
    first = [loader[b] for b in range(4)]
    loader.on_epoch_end()
    second = [loader[b] for b in range(4)]
    fresh = batches(tiny_store, training=True, seed=1)
    fresh.epoch = 1
    np.random.seed(4)  # noqa: NPY002 - the global state must not matter
    assert same(fresh[2], second[2])
    fresh.epoch = 0
    for b in (3, 0, 2):
        assert same(fresh[b], first[b])
    assert not same(first[0], second[0])
    assert not same(first[0], first[1])
    assert not same(first[0], batches(tiny_store, training=True, seed=2)[0])


def test_training_points_start_anywhere_and_are_a_window(tiny_store):
    starts = set()
    loader = batches(tiny_store, training=True)
    for epoch in range(6):
        loader.epoch = epoch
        for shape, points in zip(loader.shapes(0), loader[0][0], strict=True):
            fits = np.flatnonzero((windows(tiny_store, shape) == points).all((1, 2)))
            assert len(fits) == 1
            starts.add(int(fits[0]))
    assert len(starts) > 20
    assert max(starts) > 96 - POINTS  # round the end, too


@pytest.mark.parametrize("split", ["val", "test", "train"])
def test_batches_that_are_not_for_training_are_fixed(tiny_store, split):
    loader = batches(tiny_store, split)
    first = everything(loader)
    loader.on_epoch_end()
    assert same(first, everything(loader))
    assert same(first, everything(batches(tiny_store, split, seed=9)))
    own = tiny_store.select(split)
    alone = np.stack([preprocess.normalise(tiny_store.cloud(shape)[:POINTS])[0] for shape in own])
    assert np.array_equal(first[0][: len(own)], alone)
    assert np.array_equal(first[1][: len(own)], tiny_store.labels[own])


def test_the_normalisation_is_that_of_preprocess_alone(tiny_store):
    points = batches(tiny_store, training=True)[1][0]
    assert np.abs(points.mean(1)).max() < 1e-6
    assert np.allclose(np.linalg.norm(points, axis=-1).max(1), 1, atol=1e-6)


def test_what_a_network_sees_is_decided_by_the_stores_own_contract(tiny_parts):
    loader = batches(tiny_parts, "test", features=("nz",))
    assert loader.contract == preprocess.Contract.of_store(tiny_parts.manifest, POINTS)
    shapes_ = loader.shapes(0)
    points = np.stack([tiny_parts.cloud(i)[:POINTS] for i in shapes_])
    normals = np.stack([tiny_parts.features[tiny_parts.span(i)][:POINTS, 2:] for i in shapes_])
    wanted = loader.contract.inputs(points, normals, tiny_parts.labels[shapes_])
    given = loader[0][0]
    assert list(given) == list(wanted) == ["points", "features", "category"]
    for name, array in wanted.items():
        np.testing.assert_array_equal(given[name], array)


def test_a_set_smaller_than_a_batch(tiny_store):
    for split, count in (("val", 6), ("train", 25)):
        points, _, weights = batches(tiny_store, split, batch_size=64, training=split == "train")[0]
        assert points.shape == (64, POINTS, 3)
        assert weights.tolist() == [1] * count + [0] * (64 - count)


def test_fewer_points_than_asked_for_repeat(tiny_store):
    points = batches(tiny_store, "val", num_points=200)[0][0]
    assert points.shape == (8, 200, 3)
    assert np.array_equal(points[:, :96], points[:, 96:192])


def test_class_weights_by_hand():
    labels = np.array([0, 0, 0, 1], np.int32)
    assert class_weights(labels, 2, "none").tolist() == [1, 1]
    assert class_weights(labels, 2, "balanced") == pytest.approx([4 / 6, 2])
    assert class_weights(labels, 3, "balanced").dtype == np.float32
    assert np.isfinite(class_weights(labels, 3, "balanced")).all()


def test_balanced_classes_weigh_alike(tiny_store):
    _, labels, weights = everything(batches(tiny_store, training=True, class_weight="balanced"))
    sums = [weights[labels == c].sum() for c in range(3)]
    assert sums == pytest.approx([25 / 3] * 3)
    assert (weights[25:] == 0).all()


def test_it_feeds_fit(tiny_store):
    import keras

    seen = []

    class Spy(Batches):
        def __getitem__(self, batch):
            seen.append((self.split, self.epoch, batch))
            return super().__getitem__(batch)

    def spy(split, training):
        loader = Spy(tiny_store, split, num_points=POINTS, batch_size=8, training=training)
        loader.split = split
        return loader

    points = keras.Input((None, 3))
    model = keras.Model(points, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling1D()(points)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, weighted_metrics=["accuracy"])
    history = model.fit(spy("train", True), validation_data=spy("val", False), epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(history.history["val_loss"]).all()
    trained = [(epoch, batch) for split, epoch, batch in seen if split == "train"]
    # Keras looks at one batch to learn its form, and calls on_epoch_end before the first epoch.
    assert sorted(set(trained) - {(0, 0)}) == [(epoch, batch) for epoch in (1, 2) for batch in range(4)]


@pytest.mark.parametrize("name", ["points.npy", "point_labels.npy", "features.npy"])
def test_a_store_that_is_cut_in_use_is_an_error_and_no_crash(tiny_store, tiny_parts, tmp_path, name):
    shutil.copytree((tiny_store if name == "points.npy" else tiny_parts).path, tmp_path / "store")
    loader = batches(store.open(tmp_path / "store"))
    loader[1]
    with (tmp_path / "store" / name).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(StoreError, match=rf"/{name}: was cut from \d+ to 1000 bytes") as caught:
        loader[1]
    assert "\n" not in str(caught.value)


def test_a_store_that_is_removed_in_use_stays_readable(tmp_path):
    loader = batches(shapes.write_tiny(tmp_path / "store"))
    before = loader[1]
    shutil.rmtree(tmp_path / "store")
    assert same(before, loader[1])


def test_a_batch_of_parts_has_category_and_features_and_a_label_a_point(tiny_parts):
    given, labels, weights = batches(tiny_parts, training=True, features=("nz", "nx"))[0]
    assert {name: (array.shape, array.dtype) for name, array in given.items()} == {
        "points": ((8, POINTS, 3), np.float32),
        "features": ((8, POINTS, 2), np.float32),
        "category": ((8,), np.int32),
    }
    assert (labels.shape, labels.dtype) == ((8, POINTS), np.int32)
    assert (weights.shape, weights.dtype) == ((8, POINTS), np.float32)


def test_labels_and_features_are_those_of_the_points(tiny_parts):
    loader = batches(tiny_parts, training=True, features=("nx", "ny", "nz"), seed=5)
    for b in range(loader.num_batches):
        given, labels, weights = loader[b]
        for row, shape in enumerate(loader.shapes(b)):
            span = tiny_parts.span(shape)
            own = tiny_parts.cloud(shape)
            known = {cloud.tobytes(): i for i, cloud in enumerate(windows_of(own))}
            places = preprocess.window(len(own), POINTS, known[given["points"][row].tobytes()])
            truth = tiny_parts.point_labels[span][places]
            assert given["category"][row] == tiny_parts.labels[shape]
            np.testing.assert_array_equal(given["features"][row], tiny_parts.features[span][places])
            np.testing.assert_array_equal(weights[row], truth >= 0)
            np.testing.assert_array_equal(labels[row], np.maximum(truth, 0))


def windows_of(own):
    return preprocess.normalise(own[np.stack([preprocess.window(len(own), POINTS, i) for i in range(len(own))])])[0]


def test_points_of_parts_are_fresh_each_epoch(tiny_parts):
    loader = batches(tiny_parts, training=True)
    one = loader[0][0]["points"]
    loader.epoch = 1
    assert not np.array_equal(loader[0][0]["points"], one)


def test_what_fills_up_a_batch_of_parts_has_no_weight(tiny_parts):
    loader = Batches(tiny_parts, "val", num_points=POINTS, batch_size=8)
    weights = loader[0][2]
    assert weights[:4].any(1).all()
    assert not weights[4:].any()


def test_balanced_parts_weigh_alike_within_their_category(tiny_parts):
    loader = batches(tiny_parts, class_weight="balanced")
    labels = np.concatenate([tiny_parts.point_labels[tiny_parts.span(i)] for i in tiny_parts.select("train")])
    counts = np.bincount(labels[labels >= 0], minlength=5)
    total = counts * loader.weights
    np.testing.assert_allclose(total[:2], counts[:2].sum() / 2, rtol=1e-5)
    np.testing.assert_allclose(total[2:], counts[2:].sum() / 3, rtol=1e-5)


def test_one_category_is_not_told(tmp_path):
    sticks = [(row, sample) for row, sample in shapes.tiny_labelled() if row.class_name == "stick"]
    sticks = [
        (row, sample._replace(labels=np.where(sample.labels < 0, -1, sample.labels - 2))) for row, sample in sticks
    ]
    whole = {"task": "parts", "num_points_drawn": 96, "seed": 0, "parts": {"stick": shapes.PARTS["stick"]}}
    opened = store.write(tmp_path / "store", sticks, ("stick",), whole | {"features": ["nx", "ny", "nz"]})
    assert isinstance(batches(opened)[0][0], np.ndarray)


def test_a_feature_that_the_store_lacks_is_named(tiny_store, tiny_parts):
    with pytest.raises(StoreError, match="its points have no nx; features kept are none"):
        batches(tiny_store, features=("nx",))
    with pytest.raises(StoreError, match="its points have no red; features kept are nx, ny, nz"):
        batches(tiny_parts, features=("nx", "red"))


class _Slow:
    """Batches of which each takes its own time. ``made`` are the numbers of those that were begun."""

    num_batches = 9

    def __init__(self, fails: int = -1) -> None:
        self.made: list[int] = []
        self.fails = fails

    def __getitem__(self, number: int) -> int:
        self.made.append(number)
        time.sleep(0.002 * (number % 3 == 0))
        if number == self.fails:
            raise StoreError("cut")
        return number


def test_batches_made_beside_the_step_come_in_order_and_few_ahead():
    slow = _Slow()
    for wanted, batch in enumerate(ahead(slow, 2, 8), 2):
        assert batch == wanted
        assert max(slow.made) <= wanted + WORKERS
    assert (sorted(slow.made), batch) == ([2, 3, 4, 5, 6, 7], 7)
    assert list(ahead(_Slow())) == list(range(9))
    assert list(ahead(_Slow(), 9)) == []


def test_a_batch_that_cannot_be_made_is_an_error_at_its_turn():
    coming = ahead(_Slow(fails=4))
    assert [next(coming) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(StoreError, match="cut"):
        next(coming)
