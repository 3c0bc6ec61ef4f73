"""Copies and near copies planted in the built-in shapes, and what is none."""

import numpy as np
import pytest

from pointkit.audit import copies
from pointkit.audit.laying import Cloud, Motion
from tests.audit import sets


def prints(clouds):
    return copies.Prints(*map(np.concatenate, zip(*(copies.prints(cloud[None]) for cloud in clouds), strict=True)))


def found(clouds):
    return copies.find(prints(clouds), lambda i: clouds[i])


def noisy(points, rng):
    radius = np.linalg.norm(points - points.mean(0), axis=1).max()
    return points + rng.normal(0, 0.01 * radius, points.shape)


PLANTED = {
    "turned": lambda one, points, rng: sets.turned(points, rng.uniform(0, 2 * np.pi)),
    "scaled": lambda one, points, rng: points * np.exp(rng.uniform(-2, 2)),
    "resampled": lambda one, points, rng: sets.drawn(one, rng),
    "noise": lambda one, points, rng: noisy(points, rng),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PLANTED)
def test_planted_copies_are_found_and_nothing_else(kind):
    rng = np.random.default_rng(7)
    planned = sets.plan(20)
    clouds = [sets.drawn(one, rng) for one in planned]
    chosen = rng.permutation(len(planned))[:40]
    planted = [PLANTED[kind](planned[i], clouds[i], rng).astype(np.float32) for i in chosen]
    planted = [rng.permutation(points) for points in planted]
    groups = found(clouds + planted)
    pairs = {(one, other) for group in groups for n, one in enumerate(group) for other in group[n + 1 :]}
    wanted = {(int(i), len(clouds) + n) for n, i in enumerate(chosen)}
    assert len(pairs & wanted) >= 0.9 * len(wanted)
    assert len(pairs & wanted) >= 0.9 * len(pairs)


def test_copies_of_all_kinds_among_a_few_shapes():
    rng = np.random.default_rng(3)
    planned = sets.plan(10, ["airplane", "chair", "guitar"])[::3]
    clouds = [sets.drawn(one, rng) for one in planned]
    assert found(clouds) == []
    planted = [make(planned[i], clouds[i], rng) for i, make in enumerate(PLANTED.values())]
    groups = found([*clouds, *(rng.permutation(points).astype(np.float32) for points in planted)])
    assert groups == [[i, len(clouds) + i] for i in range(len(PLANTED))]


def test_many_copies_of_one_shape_are_one_group():
    rng = np.random.default_rng(4)
    planned = sets.plan(10, ["chair", "guitar"])[::4]
    clouds = [sets.drawn(one, rng) for one in planned]
    assert found(clouds + [clouds[1]] * 6) == [[1, *range(len(clouds), len(clouds) + 6)]]


def test_one_shape_has_no_copy():
    assert found([sets.built_in(10, ["mug"])[0][2]]) == []


def test_prints_are_those_of_a_slow_twin():
    points = sets.built_in(10, ["lamp"])[0][2][:300].astype(float)
    centred = points - points.mean(0)
    centred /= np.sqrt((centred**2).sum(1).mean())
    waves = np.zeros((copies.RINGS, copies.LAYERS, copies.WAVES), complex)
    for x, y, z in centred:
        for ring in range(copies.RINGS):
            place = min(np.hypot(x, y) / copies.RADIUS * (copies.RINGS - 1), copies.RINGS - 1)
            for layer in range(copies.LAYERS):
                height = (z + copies.HEIGHT) / (2 * copies.HEIGHT) * (copies.LAYERS - 1)
                weight = max(0, 1 - abs(place - ring)) * max(0, 1 - abs(min(max(height, 0), copies.LAYERS - 1) - layer))
                for wave in range(copies.WAVES):
                    waves[ring, layer, wave] += weight * np.exp(1j * wave * np.arctan2(y, x)) / len(points)
    one = copies.prints(points[None].astype(np.float32))
    np.testing.assert_allclose(one.waves[0], waves.reshape(-1, copies.WAVES), atol=1e-5)


def test_a_turn_is_found_by_the_prints():
    points = sets.built_in(10, ["chair"])[0][2]
    both = prints([points, sets.turned(points, 1.0).astype(np.float32)])
    apart, angles = copies.likeness(both, np.array([0]), np.array([1]))
    assert apart[0] < 0.05
    assert np.degrees(angles[0, 0]) == pytest.approx(np.degrees(1.0), abs=1.5)


def test_a_motion_and_its_inverse():
    motion = Motion(0.7)
    one = Cloud(sets.built_in(10, ["chair"])[0][2])
    other = Cloud(sets.turned(one.points, 0.6) * 1.1 + [0.1, 0, 0])
    motion.onto_points(one, other, 512, 30)
    motion.onto_planes(one, other, 512)
    np.testing.assert_allclose(motion(one.points), other.points, atol=5e-3)
    np.testing.assert_allclose(motion.back(motion(one.points)), one.points, atol=1e-9)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([], []),
        ([[3]], []),
        ([[4, 1], [2, 3]], [[1, 4], [2, 3]]),
        ([[4, 1], [2, 3], [3, 4]], [[1, 2, 3, 4]]),
    ],
)
def test_groups_that_share_a_shape_are_one(groups, expected):
    assert copies.joined(5, groups) == expected
