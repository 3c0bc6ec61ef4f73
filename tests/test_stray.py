"""Stray points: those that are planted are found, and almost never a point of a clean shape."""

import os
import pathlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit import formats, preprocess, store, stray, synthetic
from pointkit.cloud import PointCloud
from pointkit.errors import StoreError
from pointkit.prepare import prepare
from tests import shapes
from tests.runs import changed

CLEAN = [  # one style of every class of the built-in set
    synthetic.make(name, style, number)
    for name, about in synthetic.CLASSES.items()
    for number, style in enumerate((*about.styles, *about.test_styles)[::2])
]


def drawn(mesh, count):
    return preprocess.draw(mesh, count).points


def plant(points, share, nearest, farthest, rng):
    """The points and a share more of them in random directions, so many radii from their middle."""
    radius = np.linalg.norm(points - points.mean(0), axis=1).max()
    away = rng.normal(size=(max(1, round(share * len(points))), 3))
    away *= radius * rng.uniform(nearest, farthest, (len(away), 1)) / np.linalg.norm(away, axis=1, keepdims=True)
    return np.concatenate([points, points.mean(0) + away])


def slow_find(points):
    """The definition: walk from the points near the middle by short steps, then walk through what is left over."""
    points = np.asarray(points, np.float64)
    from_middle = np.linalg.norm(points - np.median(points, 0), axis=1)
    radius = np.quantile(from_middle, 0.9)
    if len(points) < 20 or radius == 0:
        return np.zeros(len(points), bool)
    step = 0.3 * radius * max(1, (2048 / len(points)) ** 0.5)
    near = np.linalg.norm(points[:, None] - points[None], axis=2) <= step

    def walked(begun):
        known, waiting = set(begun), list(begun)
        while waiting:
            fresh = set(np.flatnonzero(near[waiting.pop()]).tolist()) - known
            known |= fresh
            waiting += fresh
        return known

    body = walked(np.flatnonzero(from_middle <= 1.5 * radius).tolist())
    found = [i not in body and len(walked([i])) < max(3, 0.02 * len(points)) for i in range(len(points))]
    return np.array(found)


@pytest.mark.parametrize("count", [2048, 1024, 256])
def test_a_clean_shape_has_none(count):
    assert len(CLEAN) > 40
    assert [i for i, mesh in enumerate(CLEAN) if stray.find(drawn(mesh, count)).any()] == []


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="needs the real files: set POINTKIT_DATA to their folder")
@pytest.mark.parametrize("pattern", ["off_sample/**/*.off", "parts_sample16/*/points/*", "mn10_points/*/test/*9.pcd"])
def test_real_shapes_have_none(pattern):
    files = sorted(pathlib.Path(os.environ["POINTKIT_DATA"]).glob(pattern))
    assert len(files) > 12
    assert [file for file in files if stray.find(drawn(formats.read(file), 2048)).any()] == []


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
@pytest.mark.parametrize(("nearest", "farthest"), [(5, 15), (2, 10)])
def test_planted_points_are_found_and_no_others(share, nearest, farthest):
    rng = np.random.default_rng(3)
    right = total = 0
    for mesh in CLEAN[::3]:
        clean = drawn(mesh, 1024)
        found = stray.find(plant(clean, share, nearest, farthest, rng))
        assert not found[: len(clean)].any()
        right, total = right + found[len(clean) :].sum(), total + len(found) - len(clean)
    assert right >= 0.99 * total


def test_a_clump_is_stray_where_it_is_small():
    rng = np.random.default_rng(0)
    body = rng.uniform(-1, 1, (2000, 3))
    for number, found in ((20, True), (39, True), (60, False), (190, False)):
        clump = rng.normal((9, 0, 0), 0.02, (number, 3))
        answer = stray.find(np.concatenate([body, clump]))
        assert not answer[:2000].any()
        assert answer[2000:].all() == answer[2000:].any() == found


def test_a_thin_rod_and_a_part_that_stands_apart_are_no_strays():
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(1000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    rod = np.c_[np.zeros((60, 2)), np.linspace(1, 9, 60)]
    assert not stray.find(np.concatenate([ball, rod])).any()
    assert stray.find(np.concatenate([ball, rod[-2:]]))[-2:].all()
    twin = 0.5 * ball[:90] + np.array([0, 0, 20])
    assert not stray.find(np.concatenate([ball, twin])).any()


@pytest.mark.parametrize(
    "points",
    [np.empty((0, 3)), np.zeros((1, 3)), np.eye(3), np.zeros((50, 3)), np.r_[np.zeros((50, 3)), [[9, 9, 9]]]],
    ids=["nothing", "one", "three", "all in one place", "almost all in one place"],
)
def test_clouds_without_a_size_have_none(points):
    assert stray.find(points).tolist() == [False] * len(points)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(15, 90), st.integers(0, 7), st.floats(0.5, 20))
def test_it_is_the_definition(seed, size, more, far):
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.normal(size=(size, 3)) * rng.uniform(0.1, 1, 3), rng.normal(0, far, (more, 3))])
    np.testing.assert_array_equal(stray.find(points), slow_find(points))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([2.0**-12, 1.0, 2.0**12]))
def test_order_place_and_size_change_nothing(seed, size):
    rng = np.random.default_rng(seed)
    points = plant(rng.normal(size=(300, 3)), 0.02, 1.2, 9, rng)
    order = rng.permutation(len(points))
    before = points.copy()
    moved = stray.find(points[order] * size + 64 * size)
    np.testing.assert_array_equal(moved, stray.find(points)[order])
    np.testing.assert_array_equal(points, before)


def test_large_clouds_take_no_time():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (100_000, 3))
    points[:1000] *= rng.uniform(5, 15, (1000, 1))
    stray.find(points[:5000])  # SciPy is loaded
    began = time.process_time()
    found = stray.find(points)
    assert time.process_time() - began < 1  # 0.03 seconds when nothing else runs
    assert not found[1000:].any()
    assert found[:1000].mean() > 0.95


# ---- on the way from a file to an answer


def folder_with_strays(folder, count=8):
    """Labelled sticks and boxes; every second file has three more points far away."""
    rng = np.random.default_rng(0)
    for name in ("box", "stick"):
        for number in range(count):
            points = shapes.MAKERS[name](rng, 90)
            if number % 2:
                points = np.concatenate([points, points[:3] + np.float32([[40, 0, 9], [0, -60, 0], [30, 30, 80]])])
            label = (points[:, 2] > 0).astype(np.int32)
            path = folder / name / f"{number}.ply"
            path.parent.mkdir(parents=True, exist_ok=True)
            order = rng.permutation(len(points))
            formats.write(path, PointCloud(points[order], {"label": label[order], "nx": points[order, 0]}))
    return folder


@pytest.mark.parametrize("task", ["classification", "parts"])
def test_a_store_has_them_last_and_says_so(tmp_path, task):
    folder = folder_with_strays(tmp_path / "set")
    made = prepare(folder, tmp_path / "store", task=task, workers=1)
    opened = made.store
    assert opened.manifest["stray"] == "left out"
    [finding] = [one for one in opened.manifest["findings"] if one["kind"] == "stray-points"]
    assert finding["text"].startswith("8 files with a few points far from all others (3 in the first): left out")
    assert sorted(finding["files"]) == [f"{name}/{i}.ply" for name in ("box", "stick") for i in (1, 3, 5, 7)]
    for i, row in enumerate(opened.rows):
        number = int(row.ident[-1])
        assert (row.strays, row.count) == ((3, 93) if number % 2 else (0, 90))
        assert opened.seen(i).stop == opened.span(i).stop - row.strays
        far = np.abs(opened.cloud(i)).max(1) > 5
        assert far.tolist() == [False] * (row.count - row.strays) + [True] * row.strays
        if task == "parts":
            source = formats.read(folder / row.file)
            labels = dict(zip(map(tuple, source.points.tolist()), source.fields["label"].tolist(), strict=True))
            ids = opened.part_ids[row.class_name].start + np.array(
                [labels[tuple(point)] for point in opened.cloud(i).tolist()]
            )
            np.testing.assert_array_equal(opened.point_labels[opened.span(i)], ids)
    assert opened.counts.tolist() == [90] * len(opened.rows)
    again = store.open(tmp_path / "store")
    assert [row.strays for row in again.rows] == [row.strays for row in opened.rows]


def test_a_clean_store_has_no_word_of_them_in_its_table(tmp_path, tiny_store):
    assert (tiny_store.path / "shapes.csv").read_text().splitlines()[0].endswith("offset,count")
    damaged = tmp_path / "store"
    folder_with_strays(tmp_path / "set")
    prepare(tmp_path / "set", damaged, workers=1)
    table = damaged / "shapes.csv"
    table.write_text(table.read_text().replace(",93,3\n", ",93,93\n", 1))
    with pytest.raises(StoreError, match="93 stray points among 93"):
        store.open(damaged)


def test_training_and_evaluation_see_none(tmp_path):
    from pointkit.loader import Batches

    opened = prepare(folder_with_strays(tmp_path / "set"), tmp_path / "store", workers=1).store
    for training in (True, False):
        batches = Batches(opened, "train", num_points=64, batch_size=4, training=training)
        for epoch in range(3):
            batches.epoch = epoch
            for number in range(batches.num_batches):
                points = batches[number][0]
                assert np.linalg.norm(points, axis=-1).max() <= 1 + 1e-6
                assert np.median(np.linalg.norm(points, axis=-1)) > 0.3, "none of them sets the size"


def plus_strays(points):
    return PointCloud(np.concatenate([points[:40], points[:2] + np.float32([[70, 0, 0], [0, 0, 90]]), points[40:]]))


def test_an_answer_does_not_hang_on_them_and_says_so(tiny_run, tiny_store, tmp_path):
    from pointkit.predict import Predictor

    new = Predictor(changed(tiny_run, tmp_path / "new", **{"input.stray": "left out"}))
    old = Predictor(changed(tiny_run, tmp_path / "old", **{"input.stray": ...}))
    clean = np.array(tiny_store.cloud(0)[:90])
    drawn = new.draw(plus_strays(clean))
    assert sorted(drawn.index.tolist()) == [i for i in range(92) if i not in (40, 41)]
    assert drawn.strays == 2
    [warned] = [one for one in new.answer(plus_strays(clean)).warnings if one.kind == "stray-points"]
    assert warned.text.startswith("2 stray points lie far from all others: left out")
    kept = old.draw(plus_strays(clean))
    assert len(kept.points) == 92
    assert "train anew" in next(one.text for one in kept.warnings if one.kind == "stray-points")
    one, other = (predictor.answer(PointCloud(clean)) for predictor in (new, old))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_each_point_of_a_file_has_an_answer_at_its_place(tiny_parts_run, tiny_store, tmp_path):
    from pointkit.predict import Predictor

    predictor = Predictor(changed(tiny_parts_run, tmp_path / "run", **{"input.stray": "left out"}))
    category = predictor.classes[0]
    clean = np.array(tiny_store.cloud(0))
    shape = plus_strays(clean)
    answer = predictor.answer(shape, category)
    assert answer.probabilities.shape[0] == 98
    others = np.delete(np.arange(98), [40, 41])
    for place in (40, 41):
        nearest = others[np.linalg.norm(shape.points[others] - shape.points[place], axis=1).argmin()]
        np.testing.assert_array_equal(answer.probabilities[place], answer.probabilities[nearest])
    seen = predictor.asker.see(shape, category)
    assert len(seen.query.points) == 96
    assert np.abs(seen.query.points).max() < 5
