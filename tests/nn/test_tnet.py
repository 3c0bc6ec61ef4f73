import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit.models.networks import seed_stream
from pointkit.nn import TransformMatrix, orthogonality, tnet
from tests import twins


def orthogonal(rng, batch, size):
    """Random orthogonal matrices (batch, size, size), reflections among them."""
    return np.linalg.qr(rng.standard_normal((batch, size, size)))[0].astype("float32")


def penalty(matrices):
    return float(keras.ops.convert_to_numpy(orthogonality(keras.ops.convert_to_tensor(matrices))))


@pytest.mark.parametrize("size", [1, 3, 32])
@pytest.mark.parametrize("batch", [1, 2, 32])
def test_penalty_is_zero_at_every_orthogonal_matrix_for_every_batch_size(batch, size):
    # The reference multiplies matrices of different samples: 63,500 at a batch of 32 identities of 32x32.
    rng = np.random.default_rng([batch, size])
    assert penalty(np.stack([np.eye(size, dtype="float32")] * batch)) == 0
    assert penalty(orthogonal(rng, batch, size)) < 1e-9 * size**2


@given(st.sampled_from([1, 2, 5]), st.sampled_from([1, 3, 6]), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_penalty_agrees_with_the_plain_twin(batch, size, seed):
    matrices = np.random.default_rng(seed).standard_normal((batch, size, size)).astype("float32")
    np.testing.assert_allclose(penalty(matrices), twins.orthogonality(matrices), rtol=1e-4, atol=1e-5)


def test_penalty_does_not_grow_with_the_batch():
    one = np.random.default_rng(0).standard_normal((1, 3, 3)).astype("float32")
    np.testing.assert_allclose(penalty(np.repeat(one, 64, 0)), penalty(one), rtol=1e-5)


def test_penalty_grows_away_from_orthogonal_matrices_in_both_directions():
    identity = np.eye(3, dtype="float32")[None]
    assert penalty(0 * identity) > penalty(0.5 * identity) > penalty(identity) == 0 < penalty(1.5 * identity)


def test_matrix_starts_at_the_identity_and_adds_its_penalty():
    layer = TransformMatrix(3, penalty=0.5)
    x = np.random.default_rng(0).standard_normal((4, 7)).astype("float32")
    matrix = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_array_equal(matrix, np.broadcast_to(np.eye(3), (4, 3, 3)))
    assert [float(loss) for loss in layer.losses] == [0.0]
    layer.kernel.assign(np.random.default_rng(1).standard_normal((7, 9)))
    matrix = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(float(layer.losses[0]), 0.5 * twins.orthogonality(matrix), rtol=1e-4)


def test_tnet_starts_at_the_identity():
    points = keras.Input((None, 3))
    arguments = {"pointwise": (8, 16), "dense": (8,), "penalty": 0.001, "momentum": 0.9, "seeds": seed_stream(0)}
    x = np.random.default_rng(0).standard_normal((2, 9, 3)).astype("float32")
    for exact in (True, False):
        matrix = keras.Model(points, tnet(points, "t", exact=exact, **arguments)).predict_on_batch(x)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(matrix), np.broadcast_to(np.eye(3), (2, 3, 3)))
