import numpy as np
import pytest

from pointkit import models
from tests.models.test_maxima import branched

BUILD = {"classifier": models.classifier, "segmenter": models.segmenter}
OWN = {"pointnet": {"widths": "half"}, "small": {"units": 8}}


def trained(kind, name, **arguments):
    """A network whose norms and T-Nets do something, as after a training."""
    rng = np.random.default_rng(0)
    model = BUILD[kind](name, 4, seed=0, **OWN[name], **arguments)
    for weight in model.weights:
        weight.assign(weight + 0.05 * rng.random(weight.shape))
    return model


def assert_same(answer, whole):
    assert answer.shape == whole.shape
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize(
    ("name", "kind", "size", "n", "rows"),
    [
        ("small", "classifier", 3, 7, 1),
        ("pointnet", "segmenter", 2, 100, 30),
        ("small", "segmenter", 1, 5, 1000),
    ],
)
def test_pieces_give_the_logits_of_the_whole(name, kind, size, n, rows):
    model = trained(kind, name)
    points = np.random.default_rng(1).standard_normal((size, n, 3)).astype("float32")
    points.flags.writeable = False
    assert_same(models.InParts(model, rows=rows)(points), model.predict_on_batch(points))


def test_pieces_of_a_network_for_several_categories_that_sees_features():
    rng = np.random.default_rng(0)
    model = trained("segmenter", "small", parts=[1, 3], num_features=2)
    given = {
        "points": rng.standard_normal((2, 70, 3)).astype("float32"),
        "features": rng.standard_normal((2, 70, 2)).astype("float32"),
        "category": np.array([1, 0], "int32"),
    }
    in_parts = models.InParts(model, rows=50)
    assert_same(in_parts(**given), model.predict_on_batch(given))
    for left_out in ("features", "category"):
        with pytest.raises(ValueError, match="beside points the model takes features, category, got"):
            in_parts(**{name: array for name, array in given.items() if name != left_out})


def test_pieces_of_a_network_whose_maxima_stand_side_by_side():
    model = branched()
    points = np.random.default_rng(0).standard_normal((1, 100, 3)).astype("float32")
    assert_same(models.InParts(model, rows=50)(points), model.predict_on_batch(points))


def test_needs_at_least_a_point_at_a_time():
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        models.InParts(models.classifier("small", 2, blank=True), rows=0)
