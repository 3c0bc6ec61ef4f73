"""A store's shapes as questions: in order, on their fixed points or a draw, varied as in training; never cut in use."""

import shutil

import numpy as np
import pytest

from pointkit import preprocess, store
from pointkit.errors import StoreError
from pointkit.evaluate import classes, parts
from pointkit.evaluate.shapes import asked, pictured, rotation
from pointkit.predict import Predictor


@pytest.fixture
def of_parts(tiny_parts_run):
    return Predictor(tiny_parts_run)


def seeing(predictor, *columns, **settings):
    """As if it saw these columns, and was trained with these settings."""
    object.__setattr__(predictor.task, "features", columns)
    predictor.facts["settings"] |= settings
    return predictor


def test_fixed_points_are_those_of_the_store(of_parts, tiny_parts):
    chosen = tiny_parts.select("test")[::-1]
    shapes = list(asked(seeing(of_parts, "nz", "nx"), tiny_parts, chosen))
    assert len(shapes) == len(chosen)
    for i, shape in zip(chosen, shapes, strict=True):
        np.testing.assert_array_equal(shape.query.points, tiny_parts.cloud(i))
        np.testing.assert_array_equal(shape.query.features, tiny_parts.features[tiny_parts.span(i)][:, [2, 0]])
        assert shape.query.category == tiny_parts.labels[i]
        assert shape.order.tolist() == list(range(tiny_parts.rows[i].count))


def test_features_that_are_not_seen_stay_out(of_parts, tiny_parts):
    assert next(asked(of_parts, tiny_parts, [0])).query.features is None
    with pytest.raises(StoreError, match="its points have no red"):
        next(asked(seeing(of_parts, "red"), tiny_parts, [0]))


def test_a_draw_is_another_order_of_the_same_points_decided_by_its_number_and_the_shape(of_parts, tiny_parts):
    predictor = seeing(of_parts, "nx", "ny", "nz")
    for draw in (1, 2):
        for chosen in ([3, 4], [4, 3]):
            for i, shape in zip(chosen, asked(predictor, tiny_parts, chosen, draw), strict=True):
                order = np.random.default_rng([draw, i]).permutation(tiny_parts.rows[i].count)
                np.testing.assert_array_equal(shape.order, order)
    shape = next(asked(predictor, tiny_parts, [3], 1))
    np.testing.assert_array_equal(shape.query.points, tiny_parts.cloud(3)[shape.order])
    np.testing.assert_array_equal(shape.query.features, tiny_parts.features[tiny_parts.span(3)][shape.order])


def test_varied_shapes_are_turned_and_stretched_within_what_training_did(of_parts, tiny_parts):
    predictor = seeing(of_parts, "nx", "ny", "nz", rotate=30.0, scale=0.2)
    angles, sizes = [], []
    for draw in range(1, 40):
        shape = next(asked(predictor, tiny_parts, [3], draw, vary=True))
        own, query = tiny_parts.cloud(3)[shape.order].astype(float), shape.query
        size = query.points[0, 2] / own[0, 2]
        np.testing.assert_allclose(query.points[:, 2], own[:, 2] * size, rtol=1e-5)
        turn = np.linalg.lstsq(own[:, :2], query.points[:, :2].astype(float), rcond=None)[0]
        np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=1e-5)
        assert np.linalg.det(turn) == pytest.approx(1, abs=1e-5), "turned, not mirrored"
        normals = tiny_parts.features[tiny_parts.span(3)][shape.order]
        np.testing.assert_allclose(query.features[:, :2], normals[:, :2] @ turn, atol=1e-5)
        np.testing.assert_array_equal(query.features[:, 2], normals[:, 2])
        angles.append(np.degrees(np.arctan2(turn[0, 1], turn[0, 0])))
        sizes.append(size)
    assert max(np.abs(angles)) <= 30 + 1e-3
    assert max(angles) > 15 > -15 > min(angles)
    assert 1 / 1.2 - 1e-6 <= min(sizes) < 0.92 < 1.08 < max(sizes) <= 1.2 + 1e-6
    still = next(asked(seeing(predictor, rotate=0.0, scale=0.0), tiny_parts, [3], 1, vary=True))
    np.testing.assert_array_equal(still.query.points, tiny_parts.cloud(3)[still.order])


@pytest.mark.parametrize("turn", ["up", "any"])
def test_turned_shapes_keep_their_points_order_and_form(of_parts, tiny_parts, turn):
    """Rotations, never mirror images; normals turn with the points; decided by the draw and the shape alone."""
    predictor = seeing(of_parts, "nx", "ny", "nz")
    matrices = []
    for draw in range(1, 30):
        shape = next(asked(predictor, tiny_parts, [3], draw, turn=turn))
        np.testing.assert_array_equal(shape.order, np.arange(tiny_parts.rows[3].count))
        own = tiny_parts.cloud(3).astype(float)
        matrix = np.linalg.lstsq(own, shape.query.points.astype(float), rcond=None)[0]
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-5)
        normals = tiny_parts.features[tiny_parts.span(3)]
        np.testing.assert_allclose(shape.query.features, normals @ matrix, atol=1e-5)
        upright = np.abs(matrix[2] - [0, 0, 1]).max() < 1e-5
        assert upright == (turn == "up")
        matrices.append(matrix)
    *_, again = asked(predictor, tiny_parts, [5, 3], 29, turn=turn)
    np.testing.assert_array_equal(again.query.points, shape.query.points)
    assert np.abs(np.array(matrices)[:, 0].mean(0)).max() < 0.4, "directions are spread over all"


def test_rotations_in_any_direction_are_uniform():
    """A turned axis is uniform on the sphere: its third coordinate is uniform, as Archimedes found."""
    rng = np.random.default_rng(0)
    axes = np.array([rotation("any", rng)[2] for _ in range(2000)])
    heights = np.sort(axes[:, 2])
    assert np.abs(heights - np.linspace(-1, 1, 2000)).max() < 0.08
    assert np.abs(axes.mean(0)).max() < 0.05


def test_pictures_show_what_the_network_sees(tiny_store):
    whole, some = pictured(tiny_store, 5), pictured(tiny_store, 5, 64)
    np.testing.assert_array_equal(whole, preprocess.normalise(tiny_store.cloud(5))[0])
    np.testing.assert_array_equal(some, preprocess.normalise(tiny_store.cloud(5)[:64])[0])
    assert len(pictured(tiny_store, 5, 200)) == 200


@pytest.mark.parametrize("task", ["classification", "parts"])
def test_a_store_that_is_cut_in_use_is_an_error_and_no_crash(
    tiny_run, tiny_store, tiny_parts_run, tiny_parts, tmp_path, task
):
    run, whole = (tiny_parts_run, tiny_parts) if task == "parts" else (tiny_run, tiny_store)
    shutil.copytree(whole.path, tmp_path / "store")
    opened, predictor = store.open(tmp_path / "store"), Predictor(run)
    shapes = asked(predictor, opened, opened.select("test"))
    next(shapes)
    with (tmp_path / "store" / "points.npy").open("r+b") as file:
        file.truncate(1000)
    words = rf"^{tmp_path}/store/points\.npy: was cut from \d+ to 1000 bytes while in use$"
    with pytest.raises(StoreError, match=words):
        next(shapes)
    measure = parts.measure if task == "parts" else classes.measure
    for how in ({}, {"draws": 1}):
        with pytest.raises(StoreError, match=words):
            measure(predictor, opened, "test", **how)
