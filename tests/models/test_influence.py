import keras
import numpy as np
import pytest

from pointkit import models, neighbours
from pointkit.models.families import DECIDES
from tests.models.test_critical import trained

CATEGORY = {"category": np.array([1, 0], "int32")}


def clouds(size=2, count=60, seed=1):
    return np.random.default_rng(seed).standard_normal((size, count, 3)).astype("float32")


def scores(model, given, moved, answers=None):
    """The score of the first cloud in each of its ``moved`` versions (V, N, 3): that of the answer to the cloud."""
    many = {name: np.repeat(array[:1], len(moved) + 1, 0) for name, array in given.items()}
    many["points"] = np.concatenate([given["points"][:1], moved])
    logits = models.answering(model)(many if len(many) > 1 else many["points"]).astype(np.float64)
    best = logits[:1].argmax(-1)
    return (
        np.take_along_axis(logits, np.broadcast_to(best[..., None], (*logits.shape[:-1], 1)), -1)
        .reshape(len(logits), -1)
        .sum(1)[1:]
    )


def assert_is_the_gradient(model, given, found, places=(0, 5, 31), step=2e-3):
    """Small moves of some points change the score as the gradient says."""
    points = given["points"][0]
    moves = [(place, axis, way) for place in places for axis in range(3) for way in (step, -step)]
    moved = np.repeat(points[None], len(moves), 0)
    for row, (place, axis, way) in zip(moved, moves, strict=True):
        row[place, axis] += way
    up, down = scores(model, given, moved).reshape(-1, 2).T
    slopes = ((up - down) / (2 * step)).reshape(-1, 3)
    np.testing.assert_allclose(found[0, list(places), :3], slopes, rtol=0.1, atol=0.02 * np.abs(found[0, :, :3]).max())


def test_only_points_that_decide_have_an_influence_where_they_are_known():
    """In this network points meet in one maximum alone, so the answer hangs on its few winners."""
    model = trained("classifier", "small", units=6)
    given = {"points": clouds()}
    found = models.Influence(model)(given)
    marks = models.CriticalPoints(model)(given["points"])
    assert found.shape == (2, 60, 4)
    np.testing.assert_array_equal(found[..., 3], np.where(marks == DECIDES, DECIDES, 0))
    has = np.abs(found[..., :3]).max(2) > 0
    assert not has[marks != DECIDES].any()
    for cloud in range(2):
        assert 0 < has[cloud].sum() <= 6
    assert_is_the_gradient(model, given, found, places=(int(np.flatnonzero(has[0])[0]), 5, 31), step=1e-3)


def test_the_score_of_parts_is_that_of_all_points():
    model = trained("segmenter", "small", units=6, parts=[1, 3])
    given = {"points": clouds(), **CATEGORY}
    assert_is_the_gradient(model, given, models.Influence(model)(given))


@pytest.mark.parametrize("kind", [pytest.param("classifier", marks=pytest.mark.slow), "segmenter"])
def test_in_neighbourhoods_it_is_the_gradient_with_the_lists_held_fixed(kind):
    model = trained(kind, "pointreach", widths="small")
    given, _ = neighbours.with_lists(clouds(), models.lists(model), np.random.default_rng(0))
    found = models.Influence(model)(given)
    assert_is_the_gradient(models.listed(model), given, found)
    won = found[..., 3] == DECIDES
    assert won.sum() > 0
    centres = {"classifier": 8, "segmenter": 16}[kind]  # of the last stage
    assert not won[:, centres:].any()


def test_every_point_of_a_mean_has_the_same_gradient():
    """The logits are a linear map of the points' mean. No maximum stands at the top, so no winners are named."""
    points = keras.Input((None, 3), name="points")
    hidden = keras.layers.Dense(3, use_bias=False, kernel_initializer="identity", name="head_dense_1")
    logits = keras.layers.Dense(2, name="logits")
    model = keras.Model(points, logits(hidden(keras.layers.GlobalAveragePooling1D(name="mean")(points))))
    given = clouds()
    found = models.Influence(model)(given)
    kernel, best = np.array(logits.kernel), np.array(model.predict_on_batch(given)).argmax(1)
    wanted = kernel.T[best][:, None] / 60
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), rtol=1e-5)


@pytest.mark.slow
def test_without_a_maximum_at_the_top_there_is_a_gradient_alone():
    model = trained("classifier", "dgcnn", widths="small", neighbours=8)
    found = models.Influence(model)({"points": clouds()})
    assert found.shape == (2, 60, 3)
    assert (np.abs(found).max(2) > 0).all()
