import keras
import numpy as np
import pytest

from pointkit.nn import Pointwise
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
