"""Each backend's fast operations against plain twins."""

import keras
import numpy as np
import pytest
from keras import ops

from pointkit.nn import forms
from tests import twins
from tests.gradients import numpy, training_call

pytestmark = pytest.mark.usefixtures("device")

# B, N, K, C: one point, one cloud, points that fill no block, more than are held at once, many features, many clouds.
SIZES = [
    (1, 1, 3, 5), (3, 7, 4, 6), (2, 16, 3, 8), (1, 100, 5, 7), (2, 4500, 2, 3), (3, 20, 300, 4), (2, 30, 400, 9),
    (4, 8, 3, 16),
]  # fmt: skip


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [ops.convert_to_tensor(rng.standard_normal(shape).astype("float32")) for shape in shapes]


@pytest.mark.parametrize(("b", "n", "k", "c"), SIZES)
def test_moments_are_their_twins(b, n, k, c):
    (x,) = arrays((b, n, k))
    same, mean, covariance = forms.moments(x)
    np.testing.assert_array_equal(numpy(same), numpy(x))
    wanted = twins.moments(numpy(x))
    np.testing.assert_allclose(numpy(mean), wanted[0], atol=1e-5)
    np.testing.assert_allclose(numpy(covariance), wanted[1], atol=1e-5)


@pytest.mark.parametrize(("b", "n", "k", "c"), SIZES)
def test_maximum_is_that_of_the_whole_product(b, n, k, c):
    x, w = arrays((b, n, k), (k, c))
    wanted = (numpy(x).astype("float64") @ numpy(w)).max(1)
    np.testing.assert_allclose(numpy(forms.maximum(x, w)), wanted, rtol=1e-4, atol=1e-5)
    mean, covariance, top = forms.moments_and_maximum(x, w)
    np.testing.assert_allclose(numpy(mean), twins.moments(numpy(x))[0], atol=1e-5)
    np.testing.assert_allclose(numpy(top), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy(covariance), twins.moments(numpy(x))[1], atol=1e-5)


@pytest.mark.parametrize(("size", "k", "c"), [(3, 4, 6), (3, 130, 5), (4, 5, 130)])
@pytest.mark.parametrize("own", [False, True])
def test_affine_relu_takes_one_kernel_or_one_for_each_cloud(own, size, k, c):
    x, w, b = arrays((size, 7, k), (size, k, c) if own else (k, c), (c,))
    y = numpy(x) @ numpy(w) + numpy(b)
    np.testing.assert_allclose(numpy(forms.affine_relu(x, w, b)), np.maximum(y, 0), atol=1e-4)
    np.testing.assert_allclose(numpy(forms.affine_relu(x, w, b, 0.2)), np.maximum(y, 0.2 * y), atol=1e-4)


@pytest.mark.parametrize(("size", "k"), [(3, 4), (1, 130), (3, 130), (4, 130)])
def test_sum_of_products_adds_the_start_at_every_point(size, k):
    start, x1, w1, x2, w2 = arrays((size, 6), (size, 7, k), (k, 6), (size, 7, 5), (size, 5, 6))
    wanted = numpy(start)[:, None] + numpy(x1) @ numpy(w1) + numpy(x2) @ numpy(w2)
    np.testing.assert_allclose(numpy(forms.sum_of_products(start, [(x1, w1), (x2, w2)])), wanted, atol=1e-4)


def test_half_precision_keeps_its_statistics_in_float32():
    x = ops.cast(arrays((2, 40, 3))[0] + 10, "bfloat16")
    same, mean, covariance = forms.moments(x)
    types = [keras.backend.standardize_dtype(t.dtype) for t in (same, mean, covariance)]
    assert types == ["bfloat16", "float32", "float32"]
    np.testing.assert_allclose(numpy(covariance), twins.moments(numpy(ops.cast(x, "float32")))[1], atol=1e-4)


@pytest.mark.parametrize("size", [1, 3, 4])  # on a GPU two clouds at a time, and what is left over
def test_the_maximum_hands_its_gradient_to_winners_alone(size):
    rng = np.random.default_rng(0)
    x, w, g = (rng.standard_normal(shape).astype("float32") for shape in ((size, 20, 8), (8, 16), (size, 16)))

    class Top(keras.layers.Layer):
        def call(self, both):
            return forms.moments_and_maximum(*both)[2]

        def compute_output_shape(self, shapes):
            return (shapes[0][0], 16)

    symbols = [keras.Input((None, 8)), keras.Input(batch_shape=(8, 16))]
    model = keras.Model(symbols, Top()(symbols))
    result = training_call(model, [x, w], lambda y: ops.sum(y * ops.convert_to_tensor(g)))
    winners = (x @ w).argmax(1)  # (B, 16)
    into, weights = np.zeros_like(x), np.zeros_like(w)
    for b, c in np.ndindex(winners.shape):
        into[b, winners[b, c]] += g[b, c] * w[:, c]
        weights[:, c] += g[b, c] * x[b, winners[b, c]]
    np.testing.assert_allclose(result["inputs"][0], into, atol=1e-4)
    np.testing.assert_allclose(result["inputs"][1], weights, atol=1e-4)


def test_half_precision_sums_what_a_point_wins_in_float32():
    # The first point wins every channel: its gradient is a sum of ones, which in bfloat16 ends at 256.
    x = np.zeros((2, 20, 3), "float32")
    x[:, 0] = 1
    w = ops.ones((3, 1000), "bfloat16")

    class Top(keras.layers.Layer):
        def call(self, x):
            return forms.maximum(x, w) + forms.moments_and_maximum(x, w)[2]

        def compute_output_shape(self, shape):
            return (shape[0], 1000)

    points = keras.Input((None, 3), dtype="bfloat16")
    model = keras.Model(points, Top(dtype="bfloat16")(points))
    result = training_call(model, [ops.cast(x, "bfloat16")], lambda y: ops.sum(ops.cast(y, "float32")))
    (gradient,) = result["inputs"]
    np.testing.assert_allclose(gradient[:, 0].astype("float32"), 2000, rtol=0.01)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's own check of gradients")
@pytest.mark.parametrize("own", [False, True])
def test_gradients_in_float64_by_finite_differences(own):
    import torch

    rng = np.random.default_rng(0)

    def leaf(*shape):
        return torch.tensor(rng.standard_normal(shape), requires_grad=True)

    x, w, b = leaf(2, 7, 3), leaf(2, 3, 4) if own else leaf(3, 4), leaf(4)
    assert torch.autograd.gradcheck(forms.moments, x)
    for slope in (0.0, 0.2):
        assert torch.autograd.gradcheck(forms.affine_relu, (x, w, b, slope))
    start, other, v = leaf(2, 4), leaf(2, 7, 5), leaf(5, 4)

    def summed(start, x, w, y, v):
        return forms.sum_of_products(start, [(x, w), (y, v)])

    assert torch.autograd.gradcheck(summed, (start, x, w, other, v))
    if not own:
        assert torch.autograd.gradcheck(forms.moments_and_maximum, (x, w))
