"""Features carried up from fewer points: with the kernel split, and as the definition has it."""

import keras
import numpy as np
import pytest
from keras import ops

from pointkit import neighbours
from pointkit.nn import CarriedBlock
from tests.gradients import numpy
from tests.nn.test_grouped import compared, weighed


class Carried(keras.Layer):
    """The block with the lists as its second input, as ``compared`` gives them."""

    def __init__(self, exact, dtype):
        super().__init__(dtype=dtype, name="carried")
        self.units = 7
        self.block = CarriedBlock(7, momentum=0.9, exact=exact, dtype=dtype, name="block")

    def build(self, shapes):
        x, index, y, weights, *shared = shapes
        self.block.build([x, y, index, weights, *shared])

    def call(self, inputs, training=False):
        x, index, y, weights, *shared = inputs
        return self.block([x, y, index, weights, *shared], training=training)


def case(points=20, few=6):
    rng = np.random.default_rng(0)
    places = rng.standard_normal((3, points, 3))
    index, weights = neighbours.interpolation(places[:, :few], places[:, :12])
    x, y = rng.standard_normal((3, points, 4)), rng.standard_normal((3, few, 5))
    return x, index, y, weights, rng.standard_normal((3, 2))


@pytest.mark.parametrize("shared", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_agrees_with_interpolating_first(shared):
    x, index, y, weights, whole = case()
    found, limit = compared(lambda **a: Carried(**a), x, index, [y, weights, whole][: 2 + shared])
    found.pop("positions")  # the second of these is that of the weights, which get none
    assert {part: error for part, error in found.items() if not error < limit} == {}


def test_is_what_the_definition_says():
    x, index, y, weights, whole = (a.astype("float32") for a in case())
    index = index.astype("int32")
    block = weighed(CarriedBlock(7, momentum=0.5), [a.shape for a in (x, y, index, weights, whole)])
    kernel, bias, gamma, beta, *_ = (numpy(weight) for weight in block.weights)
    carried = (y[np.arange(3)[:, None, None], index] * weights[..., None]).sum(2)
    z = np.concatenate([x[:, :12], carried, np.repeat(whole[:, None], 12, 1)], -1) @ kernel + bias
    wanted = np.maximum(0, (z - z.mean((0, 1))) / np.sqrt(z.var((0, 1)) + 0.001) * gamma + beta)
    given = [ops.convert_to_tensor(a) for a in (x, y, index, weights, whole)]
    np.testing.assert_allclose(numpy(block(given, training=True)), wanted, atol=1e-4)


def test_a_frozen_block_and_one_at_inference_use_what_it_remembers():
    x, index, y, weights, whole = (a.astype("float32") for a in case())
    given = [ops.convert_to_tensor(a) for a in (x, y, index.astype("int32"), weights, whole)]
    block = weighed(CarriedBlock(7), [a.shape for a in (x, y, index, weights, whole)])
    answer = numpy(block(given))
    block.exact = False
    np.testing.assert_allclose(answer, numpy(block(given)), atol=1e-4)
    block.trainable = False
    before = block.get_weights()
    np.testing.assert_allclose(answer, numpy(block(given, training=True)), atol=1e-4)
    for a, b in zip(block.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
