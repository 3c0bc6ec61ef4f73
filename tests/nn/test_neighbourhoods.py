"""Neighbourhoods that are found in the network: an order, and the lists that the host finds for that order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from pointkit import neighbours
from pointkit.listed import WEIGHTS
from pointkit.nn import Centres, GivenOrder, Neighbourhoods
from pointkit.nn.neighbourhoods import progressive
from tests import twins
from tests.gradients import numpy
from tests.test_neighbours import LISTS


def clouds(size, n, seed=0):
    return np.random.default_rng(seed).standard_normal((size, n, 3)).astype("float32")


def found(points, features=None, lists=LISTS):
    given = {"points": points} | ({} if features is None else {"features": features})
    return {name: numpy(x) for name, x in Neighbourhoods(lists)(given).items()}


@settings(max_examples=8)
@given(st.sampled_from([1, 2, 13, 16, 32]), st.sampled_from([1, 4, 7, 16]), st.integers(0, 9))
def test_the_order_takes_one_point_of_each_part(n, count, seed):
    points = clouds(2, n, seed)
    order = numpy(progressive(ops.convert_to_tensor(points), count))
    np.testing.assert_array_equal(np.sort(order, 1), np.broadcast_to(np.arange(n), (2, n)))
    if n % 16 == 0:  # else the parts are not those of the host, as points repeat to fill them
        for cloud, rows in zip(points, order, strict=True):
            for level in range((count - 1).bit_length() + 1):
                head = set(rows[: 2**level].tolist())
                assert [len(part & head) for part in twins.halves(cloud, list(range(n)), level)] == [1] * 2**level


@pytest.mark.parametrize("n", [2, 6, 30])
def test_its_lists_are_those_of_the_host(n):
    points = clouds(2, n)
    ours = found(points)
    np.testing.assert_array_equal(np.take_along_axis(ours["points"], ours["back"][..., None], 1), points)
    for name, one in LISTS.items():
        among, queries = ours["points"][:, : one.among], ours["points"][:, : one.centres]
        index, far = neighbours._nearest(among, queries, one.count)
        wanted = index if one.within is None else np.where(far <= one.within, index, index[..., :1])
        np.testing.assert_array_equal(ours[name], wanted)
        if one.weighted:
            np.testing.assert_allclose(ours[name + WEIGHTS], neighbours.interpolation(among, queries)[1], atol=2e-5)


def test_features_go_with_their_points():
    points = clouds(2, 11)
    ours = found(points, 2 * points[..., :2])
    np.testing.assert_array_equal(ours["features"], 2 * ours["points"][..., :2])


def test_points_in_another_order_give_the_same():
    points, turn = clouds(2, 32), np.random.default_rng(1).permutation(32)
    one, other = found(points), found(points[:, turn])
    for name in {*one, *other} - {"back"}:
        np.testing.assert_array_equal(one[name], other[name])
    np.testing.assert_array_equal(one["back"][:, turn], other["back"])


def test_centres_are_the_first_and_answers_go_back():
    x = clouds(2, 6)
    index = np.zeros((2, 4, 3), "int32")
    np.testing.assert_array_equal(numpy(Centres()([x, index])), x[:, :4])
    order = np.stack([np.random.default_rng(seed).permutation(6) for seed in range(2)])
    moved, back = np.take_along_axis(x, order[..., None], 1), np.argsort(order, 1).astype("int32")
    np.testing.assert_array_equal(numpy(GivenOrder()([moved, back])), x)
