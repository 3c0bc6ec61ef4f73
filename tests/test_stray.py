"""Stray points: those that are planted are found, and almost never a point of a clean shape."""

import os
import pathlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit import formats, preprocess, stray, synthetic

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
