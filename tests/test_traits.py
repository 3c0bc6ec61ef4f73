"""The traits of shapes: against a slow twin, and cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit import synthetic, traits
from pointkit.sampling import surface


def shape(style="dining", seed=1, count=2048):
    return surface(synthetic.make("table", style, seed), count, np.random.default_rng(seed)).points


def turn(points, degrees):
    angle = np.radians(degrees)
    return points @ np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def quantile(values, share):
    return sorted(values)[round(share * (len(values) - 1))]


def test_against_a_slow_twin():
    points = shape()[:1024].astype(float)
    found = traits.of(points.astype(np.float32))
    center = [quantile(points[:, axis], 0.5) for axis in range(3)]
    assert found.center == pytest.approx(center)
    extent = 2 * quantile([np.linalg.norm(point - center) for point in points], 0.98)
    assert found.extent == pytest.approx(extent)
    for axis in range(3):
        low, high = (quantile(points[:, axis], share) for share in (0.02, 0.98))
        assert found.sides[axis] == pytest.approx(high - low, rel=1e-5)
        levels = [quantile(points[:, axis], share) for share in np.linspace(0.02, 0.98, 16)]
        assert found.profiles[axis] == pytest.approx((np.array(levels) - (low + high) / 2) / extent, abs=1e-5)
    near = [
        min(np.linalg.norm(a - b) for j, b in enumerate(points[:128]) if i != j) for i, a in enumerate(points[:128])
    ]
    assert found.spacing == pytest.approx(quantile(near, 0.5) / extent, rel=1e-3)
    assert found.rank == 3


def test_a_shape_among_others_has_the_traits_it_has_alone():
    clouds = np.stack([shape(style, seed) for style in ("dining", "desk") for seed in range(3)])
    together = traits.of(clouds.reshape(2, 3, -1, 3))
    for i, cloud in enumerate(clouds):
        for among, alone in zip(together, traits.of(cloud), strict=True):
            assert np.array_equal(among[i // 3, i % 3], alone)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 1000), st.floats(-180, 180), st.tuples(*[st.floats(-5, 5)] * 3))
def test_what_stays_when_a_shape_is_scaled_turned_and_moved(scale, degrees, shift):
    before, after = traits.of(shape()), traits.of((turn(shape(), degrees) + shift) * scale)
    assert after.extent == pytest.approx(before.extent * scale, rel=0.1)  # the medians of x and y are others
    assert after.sides[2] == pytest.approx(before.sides[2] * scale, rel=1e-3)
    assert after.spacing == pytest.approx(before.spacing, rel=0.15)
    assert after.profiles[2] * after.extent == pytest.approx(before.profiles[2] * before.extent * scale, rel=0.1)
    assert after.rank == before.rank == 3


@pytest.mark.parametrize("scale", [2.0**100, 2.0**-100, 2.0**-10])
@pytest.mark.filterwarnings("error")
def test_the_size_changes_nothing_however_large_or_small(scale):
    before, after = traits.of(shape()), traits.of(shape() * np.float32(scale))
    assert after.extent == before.extent * scale
    for name in ("profiles", "spacing", "rank"):
        assert np.array_equal(getattr(after, name), getattr(before, name))


def test_one_point_in_a_hundred_may_lie_anywhere():
    points = shape()
    away = np.random.default_rng(0).normal(size=(len(points) // 100, 3)) * 20
    spoiled = points.copy()
    spoiled[5 : len(points) : 103][: len(away)] = away[: len(spoiled[5 : len(points) : 103])]
    clean, found = traits.of(points), traits.of(spoiled)
    assert found.extent == pytest.approx(clean.extent, rel=0.05)
    assert found.sides == pytest.approx(clean.sides, rel=0.05)
    assert found.spacing == pytest.approx(clean.spacing, rel=0.1)
    assert found.profiles == pytest.approx(clean.profiles, abs=0.05)


@pytest.mark.parametrize(
    ("points", "rank"),
    [
        (np.zeros((1, 3)), 0),
        (np.full((50, 3), 7.25), 0),
        (np.outer(np.arange(50.0), [1, 2, -3]) + 500, 1),
        (np.c_[np.random.default_rng(0).normal(size=(50, 2)), np.zeros(50)], 2),
        (np.random.default_rng(0).normal(size=(50, 3)), 3),
        (np.eye(3)[:2], 1),
    ],
)
def test_points_without_thickness(points, rank):
    found = traits.of(points.astype(np.float32))
    assert found.rank == rank
    assert np.isfinite(found.spacing)
    assert np.isfinite(found.profiles).all()
    assert (found.extent > 0) == (rank > 0)


def test_crowded_points_have_a_low_spacing():
    even, crowded = shape(), shape()
    crowded[::2] = crowded[0] + (crowded[::2] - crowded[0]) * 0.01
    assert traits.of(crowded).spacing < 0.5 * traits.of(even).spacing


@pytest.mark.parametrize("number", range(6))
def test_the_axis_that_is_up_is_found(number):
    axes = np.r_[np.eye(3), -np.eye(3)]
    up = axes[number]
    other = axes[(number + 1) % 3]
    place = np.c_[other, np.cross(up, other), up]  # x, y and z of the upright shape go along these axes
    upright = traits.of(turn(shape(seed=2), 40)).profiles[2]
    found = traits.turned(traits.of(shape() @ place.T).profiles, upright)
    assert traits.AXES[int(found.argmin())] == traits.AXES[number]
    assert found.min() < 0.05 < np.delete(found, number).min()


def test_ranges_of_features():
    values = np.c_[np.arange(256.0), np.ones(256)]
    values[7, 1] = 900
    found = traits.ranges(np.stack([values, 2 * values])[..., np.random.default_rng(0).permutation(256), :])
    assert found[0].tolist() == [[5, 1], [128, 1], [250, 1]]
    assert found[1].tolist() == [[10, 2], [256, 2], [500, 2]]


@pytest.mark.parametrize(
    ("count", "seen"), [(1, 1), (15, 15), (16, 16), (31, 16), (1023, 512), (1024, 1024), (9999, 1024)]
)
def test_how_many_points_are_looked_at(count, seen):
    assert traits.looked_at(count) == seen


def test_groups_hold_each_shape_once():
    counts = [2048, 5, 1024, 600, 700, 512, 1, 4000]
    found = list(traits.groups(counts, at_once=2))
    assert sorted(i for members, _ in found for i in members.tolist()) == list(range(8))
    assert all(len(members) <= 2 and size == traits.looked_at(counts[i]) for members, size in found for i in members)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((4, 2)), np.zeros(3)])
def test_what_is_no_cloud_is_refused(points):
    with pytest.raises(ValueError, match=r"points must be \(..., N, 3\)"):
        traits.of(points)
