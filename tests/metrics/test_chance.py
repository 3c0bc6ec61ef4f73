"""Whether answers hang on the truth: against all ways to deal the answers out, and cases worked by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import metrics
from pointkit.metrics import chance

ids = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=6)


@given(ids)
def test_guessing_is_what_dealing_the_answers_out_at_random_gives(pairs):
    truth, answer = zip(*pairs, strict=True)
    dealt = [sum(a == b for a, b in zip(truth, each, strict=True)) for each in itertools.permutations(answer)]
    right = sum(a == b for a, b in pairs)
    found = chance.guessing(metrics.confusion(truth, answer, 3))
    assert found.expected == pytest.approx(np.mean(dealt))
    sd = np.std(dealt)
    assert found.above == pytest.approx((right - np.mean(dealt)) / sd if sd > 1e-6 else 0, abs=1e-6)


def test_guessing_of_nothing_and_of_one_answer_for_all():
    assert chance.guessing(np.zeros((2, 2), int)) == (0, 0)
    assert chance.guessing([[1, 0], [0, 0]]) == (1, 0)
    assert chance.guessing([[80, 0], [20, 0]]) == (80, 0), "80 % right, and nothing learned"
    assert chance.guessing([[21, 0], [0, 1]]).above > 4, "one right answer of another class says much"


def test_kappa_by_hand():
    assert chance.kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
    assert chance.kappa([[5, 0], [0, 3]]) == 1
    assert chance.kappa([[5, 0], [3, 0]]) == 0
    assert chance.kappa([[5, 0], [0, 0]]) is None
    assert chance.kappa([[0]]) is None


def chairs(answered, there, total=100):
    """The confusion where ``answered`` of ``total`` shapes are called chair, and ``there`` of them are."""
    right = min(answered, there)
    others = total - there
    return [[right, there - right], [answered - right, others - (answered - right)]]


@pytest.mark.parametrize(
    ("answered", "there", "alarm"),
    [
        (94, 10, True),  # 84 of 90 others
        (94, 50, True),
        (94, 94, False),  # as many as there are
        (98, 90, True),  # 8 of 10 others
        (94, 90, False),  # 4 others: too few to tell
        (75, 50, False),  # half of the others, not more
        (76, 50, True),
        (100, 100, False),  # there is no other class
    ],
)
def test_a_class_dominates_by_the_shares_of_the_test_set(answered, there, alarm):
    found = chance.dominating(chairs(answered, there))
    assert (found is not None) == alarm
    if alarm:
        assert found == (0, answered - there, 100 - there)


def test_a_good_network_and_an_empty_report_are_not_dominated():
    assert chance.dominating(np.diag([30, 3, 3])) is None
    assert chance.dominating([]) is None


@given(st.lists(st.integers(0, 5), min_size=9, max_size=9))
def test_the_most_mixed_up_are_those_of_a_slow_twin(cells):
    matrix = np.reshape(cells, (3, 3))
    best = max(matrix[a][b] + matrix[b][a] for a, b in itertools.combinations(range(3), 2))
    found = chance.most_mixed_up(matrix)
    if not best:
        assert found is None
        return
    assert found.first < found.second
    assert (found.there, found.back) == (matrix[found.first][found.second], matrix[found.second][found.first])
    assert found.there + found.back == best
    assert math.isfinite(best)
