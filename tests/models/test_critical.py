import keras
import numpy as np
import pytest

from pointkit import models
from pointkit.models.families import DECIDES, IDLE, TURNS
from pointkit.nn import PooledBlock
from tests.models.test_maxima import branched

BUILD = {"classifier": models.classifier, "segmenter": models.segmenter}


def trained(kind, name="pointnet", **arguments):
    """A network whose norms and T-Nets do something, some of them with a negative gamma."""
    rng = np.random.default_rng(0)
    own = {"widths": "half"} if name == "pointnet" else {}
    model = BUILD[kind](name, 4, seed=0, **own, **arguments)
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight) + 0.02 * rng.standard_normal(weight.shape).astype("float32")
        weight.assign(np.where(rng.random(value.shape) < 0.3, -value, value) if weight.name == "gamma" else value)
    return model


def global_feature_of(model, given):
    """A function of inputs named ``given``: what the network knows of whole clouds."""
    *_, last = (layer for layer in model.layers if isinstance(layer, PooledBlock))
    taken = [tensor for tensor in model.inputs if tensor.name in given]
    answer = models.answering(keras.Model(taken, last.output))
    return lambda inputs: answer([inputs[tensor.name] for tensor in taken])


def keeping(cloud, stays):
    """The points of a cloud that stay, the first of them in the place of each other (so that one shape is compiled)."""
    return {name: np.where(stays[:, None], array, array[np.argmax(stays)])[None] for name, array in cloud.items()}


@pytest.mark.parametrize(
    ("kind", "features", "transforms"),
    [("classifier", 0, "both"), ("classifier", 0, "none"), ("segmenter", 3, "both")],
)
def test_the_critical_points_alone_give_the_same_global_feature(kind, features, transforms):
    rng = np.random.default_rng(1)
    model = trained(kind, num_features=features, transforms=transforms)
    clouds = {"points": rng.standard_normal((3, 400, 3)).astype("float32")}
    if features:
        clouds["features"] = rng.standard_normal((3, 400, features)).astype("float32")
    marks = models.CriticalPoints(model)(clouds)
    assert marks.shape == (3, 400)
    assert set(np.unique(marks)) == {IDLE, DECIDES, *([TURNS] if transforms == "both" else [])}
    global_feature = global_feature_of(model, clouds)
    for i, mark in enumerate(marks):
        cloud = {name: array[i] for name, array in clouds.items()}
        whole = global_feature({name: array[None] for name, array in cloud.items()})
        some = global_feature(keeping(cloud, mark != IDLE))
        np.testing.assert_allclose(some, whole, rtol=1e-6, atol=1e-6 * np.abs(whole).max())
        others = global_feature(keeping(cloud, mark != DECIDES))
        assert np.abs(others - whole).max() > 1e-3


def test_points_keep_their_marks_in_another_order_and_category():
    rng = np.random.default_rng(2)
    model = trained("segmenter", "small", parts=[1, 3])
    points, order = rng.standard_normal((1, 300, 3)).astype("float32"), rng.permutation(300)
    critical = models.CriticalPoints(model)
    marks = critical({"points": points, "category": np.array([0], "int32")})
    np.testing.assert_array_equal(critical(points[:, order]), marks[:, order])


def test_a_maximum_decides_wherever_it_stands_in_the_order():
    """Of three maxima the first and the last are the network's features of the cloud, the second turns the last's."""
    model = branched()
    rng = np.random.default_rng(4)
    points = rng.standard_normal((2, 200, 3)).astype("float32")
    marks = models.CriticalPoints(model)(points)
    blocks = {layer.name: layer for layer in model.layers if isinstance(layer, PooledBlock)}
    feature = models.answering(keras.Model(model.inputs, [block.output for block in blocks.values()]))
    kernel, bias, gamma, beta, mean, variance = (np.array(weight) for weight in blocks["aside"].weights)
    z = (points @ kernel + bias - mean) / np.sqrt(variance + blocks["aside"].epsilon) * gamma + beta
    for i, mark in enumerate(marks):
        own = {int(z[i, :, channel].argmax()) for channel in range(6) if z[i, :, channel].max() > 0}
        assert own
        assert (mark[list(own)] == DECIDES).all()
        assert (mark == TURNS).any()
        aside, _, last = feature(points[i : i + 1])
        for some in (keeping({"points": points[i]}, mark != IDLE), keeping({"points": points[i]}, mark == DECIDES)):
            np.testing.assert_allclose(feature(some["points"])[0], aside, rtol=1e-5, atol=1e-6)
        some = feature(keeping({"points": points[i]}, mark != IDLE)["points"])
        np.testing.assert_allclose(some[2], last, rtol=1e-5, atol=1e-5)


def test_a_point_that_coincides_with_the_winner_adds_nothing():
    """Which of equal points wins is the backend's choice, but one of them does."""
    model = trained("classifier", "small")
    rng = np.random.default_rng(3)
    once = rng.standard_normal((1, 50, 3)).astype("float32")
    critical = models.CriticalPoints(model)
    twice = critical(np.concatenate([once, once], 1))
    np.testing.assert_array_equal(np.maximum(twice[:, :50], twice[:, 50:]), critical(once))
