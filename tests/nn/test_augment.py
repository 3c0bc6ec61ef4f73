import keras
import numpy as np
import pytest

from pointkit.nn import Drop, Jitter, Mirror, Rotate, Scale, Shift, Tilt

LAYERS = [
    (Jitter, {"amount": 0.1}),
    (Scale, {"amount": 0.5}),
    (Rotate, {"amount": 30.0}),
    (Tilt, {"amount": 30.0}),
    (Mirror, {"amount": 0.5}),
    (Shift, {"amount": 0.2}),
    (Drop, {"amount": 0.5}),
]


def clouds(batch=4, n=50):
    x = np.random.default_rng(0).standard_normal((batch, n, 3)).astype("float32")
    x.flags.writeable = False
    return x


def run(layer, x, training=True):
    return np.array(keras.ops.convert_to_numpy(layer(x, training=training)))


@pytest.mark.parametrize(("kind", "arguments"), LAYERS)
def test_hands_its_input_through_outside_training(kind, arguments):
    x = clouds()
    np.testing.assert_array_equal(run(kind(**arguments, seed=0), x, training=False), x)


@pytest.mark.parametrize(("kind", "arguments"), LAYERS)
def test_changes_in_training_differently_each_time_and_alike_for_a_seed(kind, arguments):
    x = clouds()
    layer = kind(**arguments, seed=3)
    first, second = run(layer, x), run(layer, x)
    assert (first != x).any()
    assert (first != second).any()
    np.testing.assert_array_equal(run(kind(**arguments, seed=3), x), first)


def test_jitter_stays_within_its_amount_on_every_coordinate():
    x = clouds(8, 500)
    noise = run(Jitter(0.005, seed=0), x) - x
    assert noise.shape == x.shape
    assert np.abs(noise).max() <= 0.005 * 1.001
    assert np.abs(noise).max(axis=(0, 1)).min() > 0.0049
    assert abs(noise.mean()) < 1e-4


def test_scale_stretches_each_axis_of_each_cloud_alone():
    x = clouds()
    factor = run(Scale(0.5, seed=0), x) / x
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1], factor.shape), rtol=1e-4)
    assert factor.min() >= 1 / 1.5 * 0.999
    assert factor.max() <= 1.5 * 1.001
    assert len(np.unique(factor[:, 0].round(3))) == 12


def test_rotate_turns_about_z_and_keeps_lengths():
    x = clouds()
    y = run(Rotate(30.0, seed=0), x)
    np.testing.assert_array_equal(y[..., 2], x[..., 2])
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)
    turn = np.degrees(np.arctan2(y[..., 1], y[..., 0]) - np.arctan2(x[..., 1], x[..., 0]))
    turn = (turn + 180) % 360 - 180
    np.testing.assert_allclose(turn, np.broadcast_to(turn[:, :1], turn.shape), atol=1e-2)
    assert np.abs(turn).max() <= 30.01


def test_mirror_turns_x_and_y_each_by_its_own_throw():
    x = clouds(200)
    signs = run(Mirror(0.25, seed=0), x) / x
    np.testing.assert_array_equal(signs, np.broadcast_to(signs[:, :1], signs.shape))
    signs = signs[:, 0]
    assert (signs[:, 2] == 1).all()
    assert set(map(tuple, signs[:, :2])) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    np.testing.assert_allclose((signs[:, :2] < 0).mean(0), 0.25, atol=0.08)


def test_shift_moves_each_cloud_as_a_whole():
    x = clouds(100)
    moved = run(Shift(0.2, seed=0), x) - x
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1], moved.shape), atol=1e-6)
    assert np.abs(moved).max() <= 0.2001
    assert np.abs(moved).max(axis=(0, 1)).min() > 0.18


def test_drop_leaves_out_a_share_and_repeats_the_others_evenly():
    x = clouds(100, 64)
    y = run(Drop(0.75, seed=0), x)
    left = []
    for before, after in zip(x, y, strict=True):
        kept, times = np.unique(after, axis=0, return_counts=True)
        left.append(len(kept))
        assert times.max() - times.min() <= 1
        np.testing.assert_array_equal(np.unique(before[: len(kept)], axis=0), kept)
    assert min(left) >= 16
    assert min(left) < 22
    assert max(left) > 58


def ellipsoids(batch=3, n=400):
    """Points of ellipsoids that stand straight, and their unit normals, worked out from the points alone."""
    axes = np.array([1.0, 0.7, 0.4])
    x = np.random.default_rng(1).standard_normal((batch, n, 3))
    x = x / np.linalg.norm(x, axis=-1, keepdims=True) * axes
    return x.astype("float32"), normals_of(x, axes).astype("float32")


def normals_of(x, axes):
    slope = x / np.square(axes)
    return slope / np.linalg.norm(slope, axis=-1, keepdims=True)


@pytest.mark.parametrize(("kind", "arguments"), LAYERS)
def test_points_move_alike_with_and_without_normals(kind, arguments):
    x, normals = ellipsoids()
    moved, _ = kind(**arguments, seed=3)([x, normals], training=True)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(moved), run(kind(**arguments, seed=3), x))


@pytest.mark.parametrize("kind", [Rotate, Tilt, Mirror])
def test_normals_keep_their_angles_to_the_points(kind):
    x, normals = ellipsoids()
    amount = 0.5 if kind is Mirror else 40.0
    moved, turned = (np.array(a) for a in kind(amount, seed=3)([x, normals], training=True))
    assert np.abs(turned - normals).max() > 0.1
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose((moved * turned).sum(-1), (x * normals).sum(-1), atol=1e-5)
    np.testing.assert_allclose(moved @ np.swapaxes(turned, 1, 2), x @ np.swapaxes(normals, 1, 2), atol=1e-5)


def test_stretched_shapes_have_the_normals_of_the_stretched_surface():
    x, normals = ellipsoids()
    moved, turned = (np.array(a) for a in Scale(0.5, seed=0)([x, normals], training=True))
    factor = (moved / x)[:, :1].astype(np.float64)
    np.testing.assert_allclose(turned, normals_of(moved, factor * [1.0, 0.7, 0.4]), atol=1e-4)


def test_dropped_points_take_their_normals_with_them():
    x, normals = ellipsoids()
    kept, theirs = (np.array(a) for a in Drop(0.5, seed=0)([x, normals], training=True))
    of = {point.tobytes(): normal for point, normal in zip(x.reshape(-1, 3), normals.reshape(-1, 3), strict=True)}
    wanted = [of[point.tobytes()] for point in kept.reshape(-1, 3)]
    np.testing.assert_array_equal(theirs.reshape(-1, 3), wanted)


def test_tilt_leaves_lengths_and_tips_the_up_axis():
    up = np.zeros((50, 1, 3), "float32")
    up[..., 2] = 1
    tipped = run(Tilt(20.0, seed=0), up)
    np.testing.assert_allclose(np.linalg.norm(tipped, axis=-1), 1, atol=1e-5)
    angle = np.degrees(np.arccos(np.clip(tipped[..., 2], -1, 1)))
    assert angle.max() <= 20 * 2**0.5
    assert angle.max() > 15
