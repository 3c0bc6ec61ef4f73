"""The area under the ROC curve, before a plain twin and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit.metrics import auroc

NUMBERS = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(NUMBERS, NUMBERS)
def test_it_is_the_share_of_pairs_in_order(ordinary, others):
    pairs = [(other > one) + (other == one) / 2 for one in ordinary for other in others]
    assert auroc(ordinary, others) == pytest.approx(np.mean(pairs))
    assert auroc(others, ordinary) == pytest.approx(1 - auroc(ordinary, others))


def test_by_hand():
    assert auroc([1, 2], [3, 4]) == 1
    assert auroc([3, 4], [1, 2]) == 0
    assert auroc([1, 3], [2]) == 0.5
    assert auroc([5], [5]) == 0.5


@pytest.mark.parametrize("wrong", [[], [float("nan")], [float("inf")]])
def test_numbers_that_cannot_be_ranked_are_refused(wrong):
    for pair in ((wrong, [1]), ([1], wrong)):
        with pytest.raises(ValueError, match="both kinds must have numbers, and finite ones"):
            auroc(*pair)
