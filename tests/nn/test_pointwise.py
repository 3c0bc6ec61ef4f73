import keras
import numpy as np
import pytest

from pointkit.models import seed_stream
from pointkit.nn import Pointwise, pointwise_block
from tests import twins


@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 1, 4), (3, 1, 2)])
def test_is_the_same_linear_map_at_every_point(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    layer = Pointwise(6)
    y = keras.ops.convert_to_numpy(layer(x))
    kernel, bias = (np.array(keras.ops.convert_to_numpy(w)) for w in layer.weights)
    np.testing.assert_allclose(y, twins.pointwise(x, kernel, bias + 0.0), rtol=1e-5, atol=1e-6)


def test_adds_its_bias():
    layer = Pointwise(2)
    layer.build((None, None, 3))
    layer.bias.assign([1.0, -2.0])
    y = keras.ops.convert_to_numpy(layer(np.zeros((1, 4, 3), "float32")))
    np.testing.assert_array_equal(y, np.broadcast_to([1.0, -2.0], (1, 4, 2)))


def test_refuses_no_units():
    with pytest.raises(ValueError, match="units must be at least 1, got 0"):
        Pointwise(0)


def test_block_normalises_and_cuts_below_zero():
    points = keras.Input((None, 3))
    model = keras.Model(points, pointwise_block(points, 8, "block", seeds=seed_stream(0), momentum=0.9))
    x = np.random.default_rng(1).standard_normal((4, 16, 3)).astype("float32")
    y = keras.ops.convert_to_numpy(model(x, training=True))
    assert y.min() == 0
    before = keras.ops.convert_to_numpy(model.get_layer("block")(x)).reshape(-1, 8).astype("float64")
    normal = (before - before.mean(0)) / np.sqrt(before.var(0) + 1e-3)
    np.testing.assert_allclose(y.reshape(-1, 8), np.maximum(normal, 0), atol=1e-4)


def test_block_names_its_weights_in_the_terms_of_the_field():
    points = keras.Input((None, 3))
    model = keras.Model(points, pointwise_block(points, 8, "block", seeds=seed_stream(0), momentum=0.9))
    paths = [weight.path for weight in model.weights]
    assert paths == [
        "block/kernel", "block/bias",
        "block_norm/gamma", "block_norm/beta", "block_norm/moving_mean", "block_norm/moving_variance",
    ]  # fmt: skip


def test_moving_statistics_follow_with_the_momentum_given():
    points = keras.Input((None, 3))
    model = keras.Model(points, pointwise_block(points, 4, "block", seeds=seed_stream(0), momentum=0.75))
    x = np.random.default_rng(2).standard_normal((8, 32, 3)).astype("float32")
    model(x, training=True)
    before = keras.ops.convert_to_numpy(model.get_layer("block")(x)).reshape(-1, 4)
    moving = keras.ops.convert_to_numpy(model.get_layer("block_norm").moving_mean)
    np.testing.assert_allclose(moving, 0.25 * before.mean(0), atol=1e-5)
