"""Who goes to training, validation and test."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit.prepare.splits import HOLD_OUT, THREE_WAY, merge, stratified


def divide(labels, groups=None, fractions=THREE_WAY, seed=0):
    groups = [f"shape {i:04}" for i in range(len(labels))] if groups is None else groups
    return stratified(labels, groups, fractions, np.random.default_rng(seed))


@st.composite
def sets(draw):
    """Labels and groups, each group of one class."""
    sizes = draw(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=12), min_size=1, max_size=4))
    rows = [
        (f"class {c}", f"{c}-{g}") for c, groups in enumerate(sizes) for g, n in enumerate(groups) for _ in range(n)
    ]
    labels, groups = zip(*draw(st.permutations(rows)), strict=True)
    return list(labels), list(groups)


def test_exact_where_the_shares_are_whole():
    split = divide(["a"] * 100 + ["b"] * 50)
    assert Counter(split[:100]) == {"train": 70, "val": 10, "test": 20}
    assert Counter(split[100:]) == {"train": 35, "val": 5, "test": 10}
    held = divide(["a"] * 100 + ["b"] * 50, fractions=HOLD_OUT)
    assert Counter(held[:100]) == {"train": 90, "val": 10}
    assert Counter(held[100:]) == {"train": 45, "val": 5}


@given(st.integers(3, 200), st.integers(0, 9), st.sampled_from([THREE_WAY, HOLD_OUT]))
def test_lone_shapes_come_within_one_of_their_share(number, seed, fractions):
    counts = Counter(divide(["a"] * number, fractions=fractions, seed=seed))
    for split, share in fractions.items():
        assert abs(counts[split] - share * number) < 1 or counts[split] == 1


@given(sets(), st.sampled_from([THREE_WAY, HOLD_OUT]), st.integers(0, 5))
def test_groups_stay_whole_and_classes_are_everywhere(shapes, fractions, seed):
    labels, groups = shapes
    split = divide(labels, groups, fractions, seed)
    sides = defaultdict(set)
    for group, side in zip(groups, split, strict=True):
        sides[group].add(side)
    assert all(len(some) == 1 for some in sides.values())
    for label in set(labels):
        own = {group for group, name in zip(groups, labels, strict=True) if name == label}
        reached = {side for name, side in zip(labels, split, strict=True) if name == label}
        assert len(reached) == min(len(own), len(fractions))
        assert "train" in reached


@given(sets(), st.randoms(use_true_random=False))
def test_the_order_of_the_shapes_does_not_matter(shapes, random):
    labels, groups = shapes
    order = list(range(len(labels)))
    random.shuffle(order)
    split = divide(labels, groups)
    shuffled = divide([labels[i] for i in order], [groups[i] for i in order])
    assert shuffled == [split[i] for i in order]


def test_the_seed_decides():
    labels = ["a"] * 60 + ["b"] * 60
    assert divide(labels, seed=3) == divide(labels, seed=3)
    assert divide(labels, seed=3) != divide(labels, seed=4)


def test_small_classes_fill_training_first():
    assert divide(["a"]) == ["train"]
    assert sorted(divide(["a"] * 2)) == ["test", "train"]
    assert sorted(divide(["a"] * 3)) == ["test", "train", "val"]
    assert divide(["a"], fractions=HOLD_OUT) == ["train"]
    assert sorted(divide(["a"] * 2, fractions=HOLD_OUT)) == ["train", "val"]


def test_a_large_group_does_not_go_to_a_small_split():
    groups = ["big"] * 50 + [f"small {i}" for i in range(50)]
    for seed in range(10):
        assert set(divide(["a"] * 100, groups, seed=seed)[:50]) == {"train"}


def test_a_group_of_two_classes_stays_whole():
    labels = ["a"] * 9 + ["b"] * 10
    groups = [f"a{i}" for i in range(9)] + ["a0"] + [f"b{i}" for i in range(9)]
    for seed in range(10):
        split = divide(labels, groups, seed=seed)
        assert split[0] == split[9]


def test_nothing_to_divide():
    assert divide([]) == []


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="labels and groups must be of one length, got 1 and 2"):
        divide(["a"], ["x", "y"])
    for fractions in ({"train": 0.5, "val": 0.4}, {"train": 1.5, "val": -0.5}):
        with pytest.raises(ValueError, match="fractions must be positive and sum to 1"):
            divide(["a"], ["x"], fractions)


def test_merge_by_hand():
    names = ["e", "d", "c", "b", "a"]
    assert merge(names) == names
    assert merge(names, ["", "", "", "", ""]) == names
    assert merge(names, ["x", "", "x", "", ""]) == ["c", "d", "c", "b", "a"]
    # e and c share a key of the first reason, c and a one of the second: all three belong together
    assert merge(names, ["x", "", "x", "", ""], ["", "y", "z", "w", "z"]) == ["a", "d", "a", "b", "a"]
    # the same word in two reasons is not the same key
    assert merge(names, ["x", "", "", "", ""], ["", "x", "", "", ""]) == names


@given(st.lists(st.tuples(st.sampled_from(" xyz"), st.sampled_from(" uvw")), max_size=12))
def test_merge_agrees_with_a_slow_twin(keys):
    names = [f"{i:02}" for i in range(len(keys))]
    columns = [[pair[i].strip() for pair in keys] for i in (0, 1)]
    slow = list(range(len(keys)))
    for _ in keys:  # spread the least number over every shared key until nothing moves
        for column in columns:
            for i, one in enumerate(column):
                for j, other in enumerate(column):
                    if one and one == other:
                        slow[i] = slow[j] = min(slow[i], slow[j])
    assert merge(names, *columns) == [names[i] for i in slow]
