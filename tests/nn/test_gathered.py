"""Each backend's operations on neighbourhoods against plain twins, and their gradients."""

import keras
import numpy as np
import pytest
from keras import ops

from pointkit.nn.forms import gathered
from tests import twins
from tests.gradients import numpy, training_call

pytestmark = pytest.mark.usefixtures("device")

# B, N, Q, M, C: one of everything, fewer centres than points, as many, more neighbours than points, one centre.
SIZES = [(1, 1, 1, 1, 3), (3, 7, 4, 2, 5), (2, 9, 9, 4, 3), (2, 3, 2, 8, 4), (2, 6, 1, 3, 2)]


def drawn(b, n, q, m, c, seed=0):
    """Numbers (B, N, C) of few values, so that many tie, and lists (B, Q, M), some of them with a row twice."""
    rng = np.random.default_rng(seed)
    y = rng.integers(-3, 4, (b, n, c)).astype("float32")
    return y, rng.integers(0, n, (b, q, m)).astype("int32")


def gradient_of(function, arrays, weights):
    """The gradient, by each of the arrays, of the sum of ``function``'s result times weights."""

    class Operation(keras.Model):
        def call(self, inputs, training=False):
            return function(*inputs) if isinstance(inputs, (list, tuple)) else function(inputs)

    model = Operation()
    model.built = True
    weights = ops.convert_to_tensor(weights.astype("float32"))
    return training_call(model, list(arrays), lambda output: ops.sum(output * weights))["inputs"]


@pytest.mark.parametrize("size", SIZES)
def test_the_maximum_hands_its_gradient_to_the_first_that_reached_it(size):
    y, index = drawn(*size)
    rows = ops.convert_to_tensor(index)
    top, won = twins.gathered_maximum(y, index)
    np.testing.assert_array_equal(numpy(gathered.maximum(ops.convert_to_tensor(y), rows)), top)
    g = np.random.default_rng(1).standard_normal(top.shape)
    wanted = np.zeros(y.shape)
    for b, q, c in np.ndindex(top.shape):
        wanted[b, won[b, q, c], c] += g[b, q, c]
    (gradient,) = gradient_of(lambda y: gathered.maximum(y, rows), [y], g)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_a_weighted_sum_and_its_gradient(size):
    y, index = drawn(*size)
    rng = np.random.default_rng(1)
    weights = rng.random(index.shape).astype("float32")
    g = rng.standard_normal((*index.shape[:2], y.shape[2]))
    wanted, into = np.zeros(g.shape), np.zeros(y.shape)
    for b, q, m in np.ndindex(index.shape):
        wanted[b, q] += weights[b, q, m] * y[b, index[b, q, m]]
        into[b, index[b, q, m]] += weights[b, q, m] * g[b, q]
    rows, shares = ops.convert_to_tensor(index), ops.convert_to_tensor(weights)
    np.testing.assert_allclose(
        numpy(gathered.weighted_sum(ops.convert_to_tensor(y), rows, shares)), wanted, rtol=1e-5, atol=1e-5
    )
    (gradient,) = gradient_of(lambda y: gathered.weighted_sum(y, rows, shares), [y], g)
    np.testing.assert_allclose(gradient, into, rtol=1e-5, atol=1e-5)


def edge_by_edge(x, w, c, u, index, relative):
    """Maximum, mean and variance over edges that are all held, in NumPy's float64."""
    x = x.astype(float)
    e = (x @ w)[np.arange(len(x))[:, None, None], index]
    e = e - (x[:, : index.shape[1], :relative] @ w[:relative])[:, :, None]
    if c is not None:
        e = e + (c.astype(float) @ u)[:, :, None]
    return e.max(2), e.mean((0, 1, 2)), e.var((0, 1, 2))


@pytest.mark.parametrize(("relative", "with_centre"), [(0, False), (1, True), (-1, False), (-1, True)])
@pytest.mark.parametrize("size", SIZES)
def test_edges_are_those_of_their_definition(size, relative, with_centre):
    x, index = drawn(*size)
    relative %= size[4] + 1  # -1: all of them
    rng = np.random.default_rng(1)
    w, u = (rng.standard_normal((k, 6)).astype("float32") for k in (size[4], 2))
    c = rng.standard_normal((*index.shape[:2], 2)).astype("float32")
    given = [x, w, c, u] if with_centre else [x, w, None, None]
    tensors = [None if a is None else ops.convert_to_tensor(a) for a in (*given, index)]
    for ours, wanted in zip(gathered.edges(*tensors, relative), edge_by_edge(*given, index, relative), strict=True):
        np.testing.assert_allclose(numpy(ours), wanted, rtol=1e-5, atol=1e-5)


def test_variance_keeps_its_digits_where_edges_are_short_and_far_from_the_origin():
    rng = np.random.default_rng(0)
    x = (1000 + 0.01 * rng.standard_normal((2, 50, 3))).astype("float32")
    index = rng.integers(0, 50, (2, 50, 8)).astype("int32")
    w = np.eye(3, dtype="float32")
    tensors = [ops.convert_to_tensor(a) for a in (x, w, index)]
    _, mean, variance = gathered.edges(*tensors[:2], None, None, tensors[2], 3)
    wanted = edge_by_edge(x, w, None, None, index, 3)
    np.testing.assert_allclose(numpy(mean), wanted[1], atol=1e-4 * 0.01)
    np.testing.assert_allclose(numpy(variance), wanted[2], rtol=1e-4)


def test_half_precision_has_its_statistics_and_sums_in_float32():
    # Every centre's winner is point 0: its gradient is a sum of 600 ones, which in bfloat16 ends at 256.
    y = np.zeros((1, 3, 1), "float32")
    y[:, 0] = 1
    index = ops.zeros((1, 600, 2), "int32")
    tensor = ops.cast(y, "bfloat16")
    w = ops.ones((1, 1), "bfloat16")
    (gradient,) = gradient_of(
        lambda y: ops.cast(gathered.maximum(ops.cast(y, "bfloat16"), index), "float32"), [y], np.ones((1, 600, 1))
    )
    np.testing.assert_allclose(gradient[0, :, 0], [600, 0, 0], rtol=0.01)
    top, mean, variance = gathered.edges(tensor, w, None, None, index, 0)
    types = [keras.backend.standardize_dtype(each.dtype) for each in (top, mean, variance)]
    assert types == ["bfloat16", "float32", "float32"]


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's own check of gradients")
@pytest.mark.parametrize(("relative", "with_centre"), [(0, False), (2, True), (3, False), (3, True)])
def test_gradients_in_float64_by_finite_differences(relative, with_centre):
    import torch

    rng = np.random.default_rng(0)

    def leaf(*shape):
        return torch.tensor(rng.standard_normal(shape), requires_grad=True)

    index = torch.tensor(rng.integers(0, 6, (2, 5, 4)))
    centre = (leaf(2, 5, 2), leaf(2, 4)) if with_centre else (None, None)
    assert torch.autograd.gradcheck(gathered.edges, (leaf(2, 6, 3), leaf(3, 4), *centre, index, relative))
    assert torch.autograd.gradcheck(gathered.maximum, (leaf(2, 6, 3), index))
    weights = torch.rand(index.shape, dtype=torch.float64)
    assert torch.autograd.gradcheck(gathered.spread_moments, (leaf(2, 6, 3), leaf(2, 5, 3), index))
    assert torch.autograd.gradcheck(gathered.spread, (leaf(2, 6, 3), leaf(2, 5, 3), index, 0.2))
    assert torch.autograd.gradcheck(gathered.moments_and_maximum_of_groups, (leaf(2, 20, 3), leaf(3, 4), 4))
    assert torch.autograd.gradcheck(gathered.weighted_sum, (leaf(2, 6, 3), index, weights))


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("size", SIZES)
def test_every_edge_is_spread_and_its_gradient_comes_back_to_both_ends(size, slope):
    y, index = drawn(*size)
    rng = np.random.default_rng(1)
    y = y + 0.3  # no edge at the bend of ReLU, where either side's gradient is right
    a = rng.integers(-2, 3, (*index.shape[:2], size[4])).astype("float32")
    edges = y[np.arange(len(y))[:, None, None], index] + a[:, :, None]
    rows = ops.convert_to_tensor(index)
    flat = (len(y), -1, size[4])
    found = numpy(gathered.spread(ops.convert_to_tensor(y), ops.convert_to_tensor(a), rows, slope))
    np.testing.assert_allclose(found, np.where(edges > 0, edges, slope * edges).reshape(flat), rtol=1e-5, atol=1e-6)
    g = rng.standard_normal(edges.shape)
    through = np.where(edges > 0, g, slope * g)
    into = np.zeros(y.shape)
    for b, q, m in np.ndindex(index.shape):
        into[b, index[b, q, m]] += through[b, q, m]
    dy, da = gradient_of(lambda y, a: gathered.spread(y, a, rows, slope), [y, a], g.reshape(flat))
    np.testing.assert_allclose(dy, into, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(da, through.sum(2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_moments_of_edges_are_those_of_their_definition(size):
    y, index = drawn(*size)
    a = np.random.default_rng(1).standard_normal((*index.shape[:2], size[4])).astype("float32")
    edges = (y[np.arange(len(y))[:, None, None], index] + a[:, :, None]).astype("float64")
    mean, variance = gathered.spread_moments(*(ops.convert_to_tensor(each) for each in (y, a, index)))
    np.testing.assert_allclose(numpy(mean), edges.mean((0, 1, 2)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(numpy(variance), edges.var((0, 1, 2)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_the_maximum_of_groups_and_its_gradient(size):
    b, _, q, m, k = size
    rng = np.random.default_rng(0)
    x = rng.standard_normal((b, q * m, k)).astype("float32")
    w = rng.standard_normal((k, 6)).astype("float32")
    y = (x.astype(float) @ w).reshape(b, q, m, 6)
    given = [ops.convert_to_tensor(each) for each in (x, w)]
    mean, covariance, top = (numpy(each) for each in gathered.moments_and_maximum_of_groups(*given, m))
    np.testing.assert_allclose(top, y.max(2), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(numpy(gathered.maximum_of_groups(*given, m)), top, rtol=1e-6)
    np.testing.assert_allclose(mean, x.mean(1), atol=1e-5)
    centred = x - x.mean(1, keepdims=True)
    np.testing.assert_allclose(covariance, np.einsum("bnk,bnl->bkl", centred, centred) / (q * m), atol=1e-5)
    g = rng.standard_normal(top.shape)
    dy = np.zeros(y.shape)
    np.put_along_axis(dy, y.argmax(2)[:, :, None], g[:, :, None], 2)
    dy = dy.reshape(b, q * m, 6)
    for function in (
        lambda x, w: gathered.moments_and_maximum_of_groups(x, w, m)[2],
        lambda x, w: gathered.maximum_of_groups(x, w, m),
    ):
        dx, dw = gradient_of(function, [x, w], g)
        np.testing.assert_allclose(dx, dy @ w.T, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(dw, np.einsum("bnk,bnc->kc", x, dy), rtol=1e-4, atol=1e-5)
