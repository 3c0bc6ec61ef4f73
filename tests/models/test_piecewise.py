import keras
import numpy as np
import pytest

from pointkit import models

BUILD = {"classifier": models.classifier, "segmenter": models.segmenter}


@pytest.mark.parametrize(
    ("kind", "size", "n", "rows"),
    [
        ("classifier", 3, 7, 1),
        ("classifier", 1, 100, 50),
        ("segmenter", 2, 100, 30),
        ("segmenter", 1, 5, 1000),
    ],
)
def test_parts_give_the_logits_of_the_whole(kind, size, n, rows):
    rng = np.random.default_rng(0)
    model = BUILD[kind]("pointnet", 4, seed=0)
    for weight in model.weights:  # as after a training: norms and T-Nets do something
        weight.assign(weight + 0.05 * rng.random(weight.shape))
    points = rng.standard_normal((size, n, 3)).astype("float32")
    whole = keras.ops.convert_to_numpy(model.predict_on_batch(points))
    answer = models.InParts(model, rows=rows)(points)
    assert answer.shape == whole.shape
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())


def test_parts_of_a_network_for_several_categories():
    rng = np.random.default_rng(0)
    model = models.segmenter("pointnet", 4, seed=0, parts=[1, 3])
    for weight in model.weights:
        weight.assign(weight + 0.05 * rng.random(weight.shape))
    points, category = rng.standard_normal((2, 70, 3)).astype("float32"), np.array([1, 0], "int32")
    whole = keras.ops.convert_to_numpy(model.predict_on_batch({"points": points, "category": category}))
    in_parts = models.InParts(model, rows=50)
    answer = in_parts(points, category=category)
    np.testing.assert_allclose(answer, whole, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="beside points the model takes"):
        in_parts(points)


def test_needs_at_least_a_point_at_a_time():
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        models.InParts(models.classifier("pointnet", 2, blank=True), rows=0)
