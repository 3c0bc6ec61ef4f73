"""Orders of which every prefix spreads over the cloud, lists of neighbours, weights of interpolation: on the host."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import neighbours
from pointkit.listed import Listed
from tests import twins


def clouds(size, n, seed=0, dimensions=3):
    return np.random.default_rng(seed).standard_normal((size, n, dimensions)).astype("float32")


@given(st.integers(1, 90), st.integers(0, 99), st.integers(1, 3))
def test_every_power_of_two_of_the_first_points_is_one_from_each_part(n, seed, dimensions):
    points = clouds(2, n, seed, dimensions)
    order = neighbours.progressive(points, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(order, 1), np.broadcast_to(np.arange(n), (2, n)))
    for cloud, rows in zip(points, order, strict=True):
        for level in range(n.bit_length()):
            head = set(rows[: 2**level].tolist())
            assert [len(part & head) for part in twins.halves(cloud, list(range(n)), level)] == [1] * 2**level


@given(st.integers(1, 60), st.integers(0, 99))
def test_the_first_points_are_the_same_in_whatever_order_the_points_came(n, seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (2, n, 3)).astype("float32")  # many of one coordinate, and of one place
    shuffled = points[:, rng.permutation(n)]
    taken = [
        np.take_along_axis(each, neighbours.progressive(each, np.random.default_rng(5))[..., None], 1)
        for each in (points, shuffled)
    ]
    np.testing.assert_array_equal(*taken)


def test_the_order_hangs_on_the_generator_and_leaves_its_input_alone():
    points = clouds(3, 50)
    before = points.copy()
    orders = [neighbours.progressive(points, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(points, before)
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


def test_any_point_of_a_part_may_be_its_first():
    points = np.arange(8, dtype="float32").reshape(1, 8, 1)
    rng = np.random.default_rng(0)
    first = np.array([neighbours.progressive(points, rng)[0, :2] for _ in range(200)])
    assert set(first[:, 0]) == set(range(8))
    assert ((first < 4).sum(1) == 1).all()  # one of the left half, one of the right


def hole(cloud, rows):
    """How far a point may lie from the nearest of some rows."""
    return np.sqrt(((cloud[:, None] - cloud[rows]) ** 2).sum(2).min(1).max())


def test_a_prefix_leaves_smaller_holes_than_a_random_subset():
    sphere = clouds(4, 600)
    sphere /= np.linalg.norm(sphere, axis=2, keepdims=True)
    order = neighbours.progressive(sphere, np.random.default_rng(0))
    for count in (32, 100, 256):  # the head of the clouds as they came is random
        ours = np.mean([hole(cloud, rows[:count]) for cloud, rows in zip(sphere, order, strict=True)])
        assert ours < 0.9 * np.mean([hole(cloud, range(count)) for cloud in sphere])


@pytest.mark.parametrize("shape", [(2, 0, 3), (5, 3)])
def test_an_order_needs_clouds_with_points(shape):
    with pytest.raises(ValueError, match=r"points must be \(B, N, D\) with N of at least 1"):
        neighbours.progressive(np.zeros(shape, "float32"), np.random.default_rng(0))


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 99))
def test_lists_are_those_of_all_distances_sorted(n, count, seed):
    points = clouds(2, n, seed)
    queries = clouds(2, 5, seed + 100)
    found = neighbours.nearest(points, queries, count)
    assert found.dtype == np.int32
    assert found.shape == (2, 5, count)
    for b, q in np.ndindex(2, 5):
        wanted = twins.nearest(points[b].astype(float), queries[b, q].astype(float), count)
        assert found[b, q].tolist() == [wanted[m % len(wanted)] for m in range(count)]


def test_points_at_one_place_are_near_to_each_other():
    points = np.repeat(clouds(1, 4), 3, 1)  # rows 0 to 2 lie together, and so on
    found = neighbours.nearest(points, points, 3)[0]
    assert (np.sort(found // 3, 1) == np.repeat(np.arange(4), 3)[:, None]).all()
    assert all(len(set(rows)) == 3 for rows in found.tolist())


def test_a_point_is_its_own_nearest():
    points = clouds(2, 20)
    np.testing.assert_array_equal(neighbours.nearest(points, points[:, :7], 4)[:, :, 0], [range(7)] * 2)


@pytest.mark.parametrize(
    ("n", "queries", "count", "words"),
    [
        (4, 2, 0, "count must be at least 1, got 0"),
        (0, 2, 1, "a query needs a point to be near to"),
        (4, 3, 1, "of as many clouds, got 2 and 3"),
    ],
)
def test_lists_that_cannot_be_made_are_refused(n, queries, count, words):
    with pytest.raises(ValueError, match=words):
        neighbours.nearest(clouds(2, n), clouds(queries, 5), count)


def test_coordinates_that_are_not_finite_are_refused():
    points = clouds(1, 4)
    points[0, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        neighbours.nearest(points, points[:, :1], 2)


@given(st.integers(1, 9), st.integers(0, 99), st.sampled_from([1e-3, 1.0, 1e3]))
def test_interpolation_weighs_by_inverse_squared_distance_at_any_scale(n, seed, scale):
    points, queries = clouds(2, n, seed), clouds(2, 4, seed + 100)
    index, weights = neighbours.interpolation(points * np.float32(scale), queries * np.float32(scale))
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(2), 1, rtol=1e-5)
    values = points.astype(float)
    for b, q in np.ndindex(2, 4):
        rows = twins.nearest(values[b], queries[b, q].astype(float), 3)
        share = np.array([1 / ((values[b, row] - queries[b, q].astype(float)) ** 2).sum() for row in rows])
        wanted = (values[b, rows] * share[:, None]).sum(0) / share.sum()
        np.testing.assert_allclose(
            (values[b, index[b, q]] * weights[b, q, :, None]).sum(0), wanted, rtol=1e-4, atol=1e-5
        )


def test_a_query_at_a_points_own_place_has_that_points_value():
    points = clouds(1, 6)
    index, weights = neighbours.interpolation(points, points)
    np.testing.assert_array_equal(index[0, :, 0], range(6))
    np.testing.assert_allclose(weights[0, :, 0], 1, atol=1e-6)
    three = np.zeros((1, 3, 3), "float32")  # and where all three lie there, the mean of theirs
    np.testing.assert_allclose(neighbours.interpolation(three, three)[1], 1 / 3, rtol=1e-6)


LISTS = {
    "around": Listed(5, centres=8, context=True),
    "beside": Listed(4),
    "near": Listed(3, centres=8, among=8),
    "ball": Listed(6, centres=4, within=0.8),
    "up": Listed(3, among=4, weighted=True),
}


class TestArranged:
    """Clouds in order, with the lists that a network wants."""

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
    def test_lists_are_found_among_the_points_in_order(self, n, answered, seed):
        points, answered = clouds(3, n, seed), min(n, answered)
        order, found = neighbours.arranged(points, LISTS, np.random.default_rng(seed), answered)
        whole = np.broadcast_to(np.arange(n), (3, n))
        np.testing.assert_array_equal(np.sort(order[:, :answered], 1), whole[:, :answered])
        np.testing.assert_array_equal(order[:, answered:], whole[:, answered:])
        moved = np.take_along_axis(points, order[..., None], 1)
        for name, one in LISTS.items():
            among = moved[:, : n if one.context else min(one.among or answered, answered)]
            assert found[name].max() < among.shape[1]
            queries = moved[:, : min(one.centres or answered, answered)]
            index, far = neighbours._nearest(among, queries, one.count)
            wanted = index if one.within is None else np.where(far <= one.within, index, index[..., :1])
            np.testing.assert_array_equal(found[name], wanted)
            assert found[name].dtype == np.int32
            if one.weighted:
                np.testing.assert_array_equal(found[name + "_weights"], neighbours.interpolation(among, queries)[1])

    @given(st.integers(1, 7), st.integers(1, 30))
    def test_a_cloud_that_begins_again_lists_no_neighbour_twice_until_it_must(self, n, total):
        total = max(n, total)
        points = clouds(1, n)[:, np.arange(total) % n]
        order, found = neighbours.arranged(points, LISTS, np.random.default_rng(0))
        np.testing.assert_array_equal(np.sort(order, 1), np.arange(total)[None])
        assert len(np.unique(points[0, order[0, :n]], axis=0)) == n
        for rows in found["around"][0]:
            assert len(set(rows.tolist())) == min(n, 5)
        whole = found["up_weights"][0]
        np.testing.assert_allclose(whole.sum(1), 1, rtol=1e-5)
        assert (whole[:, min(n, 4) :] == 0).all()

    def test_a_cloud_does_not_hang_on_the_others(self):
        points = np.concatenate([clouds(2, 20), np.tile(clouds(1, 5, seed=3), (1, 4, 1))])
        order, found = neighbours.arranged(points, LISTS, np.random.default_rng(0))
        for i, cloud in enumerate(points):
            alone, own = neighbours.arranged(cloud[None], LISTS, np.random.default_rng(0))
            np.testing.assert_array_equal(order[i], alone[0])
            assert all(np.array_equal(found[name][i], own[name][0]) for name in found)

    def test_answered_points_may_be_chosen_to_spread(self):
        points = clouds(3, 40)
        order, found = neighbours.arranged(points, LISTS, np.random.default_rng(0), 16, chosen=True)
        np.testing.assert_array_equal(np.sort(order, 1), np.broadcast_to(np.arange(40), (3, 40)))
        for cloud, rows in zip(points, order, strict=True):
            head = set(rows[:16].tolist())
            assert [len(part & head) for part in twins.halves(cloud, list(range(40)), 4)] == [1] * 16
        assert found["up"].shape == (3, 16, 3)
        assert found["around"].max() >= 16  # neighbours are found among all

    def test_features_go_with_their_points_and_the_rest_stays(self):
        points = clouds(2, 20)
        given = {"points": points, "features": points * 2, "category": np.array([3, 4])}
        named, order = neighbours.with_lists(given, LISTS, np.random.default_rng(0))
        np.testing.assert_array_equal(named["points"], np.take_along_axis(points, order[..., None], 1))
        np.testing.assert_array_equal(named["features"], 2 * named["points"])
        np.testing.assert_array_equal(named["category"], [3, 4])
        assert {*LISTS, "up_weights"} < set(named)
        alone, same = neighbours.with_lists(points, LISTS, np.random.default_rng(0))
        np.testing.assert_array_equal(order, same)
        np.testing.assert_array_equal(alone["points"], named["points"])


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 25))
def test_windows_answer_every_point_in_the_midst_of_its_cloud(total, answered, context):
    answered = min(answered, context)
    points = clouds(1, total)[0]
    found = neighbours.windows(points, answered, context, np.random.default_rng(0))
    assert found.shape[1] == context
    assert set(found[:, :answered].ravel().tolist()) == set(range(total))
    for rows in found:
        different = min(total, context)
        assert len(set(rows[:different].tolist())) == different
        np.testing.assert_array_equal(rows, np.resize(rows[:different], context))
