"""The split into training, validation and test: by class, by group, from a seed.

A group is a set of shapes that must stay together (copies, crops or poses of one object). The result depends on the
labels, the group names and the generator's state alone, not on the order of the shapes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pointkit.errors import PointkitError

THREE_WAY: Mapping[str, float] = {"train": 0.7, "val": 0.1, "test": 0.2}
HOLD_OUT: Mapping[str, float] = {"train": 0.9, "val": 0.1}


def shares(text: str) -> dict[str, float]:
    """Split -> share, from a text like 70/10/20 (train/val/test) or 80/20 (train/test); {} from none.

    Raises PointkitError for other texts.
    """
    if not text:
        return {}
    try:
        numbers = [float(number) for number in text.split("/")]
    except ValueError:
        numbers = []
    total = sum(numbers)
    whole = any(abs(total - all_of_it) < 1e-6 for all_of_it in (1, 100))
    if len(numbers) not in (2, 3) or not whole or min(numbers) <= 0:
        rule = "must be shares of train/val/test or train/test that make up 100, like 70/10/20 or 80/20"
        raise PointkitError(f"--split {rule}, got {text!r}")
    names = ("train", "val", "test") if len(numbers) == 3 else ("train", "test")
    return {name: number / total for name, number in zip(names, numbers, strict=True)}


def stratified(
    labels: Sequence[str], groups: Sequence[str], fractions: Mapping[str, float], rng: np.random.Generator
) -> list[str]:
    """A split's name for each shape, so that every class is divided as ``fractions`` (name -> share) say.

    Shapes of one group get one split. A class with at least as many groups as there are splits has shapes in each. A
    class with fewer fills the splits with the largest shares. A group of several classes counts for its most frequent.
    """
    if len(labels) != len(groups):
        raise ValueError(f"labels and groups must be of one length, got {len(labels)} and {len(groups)}")
    if any(share <= 0 for share in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-9:
        raise ValueError(f"fractions must be positive and sum to 1, got {dict(fractions)}")
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for label, group in zip(labels, groups, strict=True):
        votes[group][label] += 1
    classes: dict[str, list[str]] = defaultdict(list)
    for group in sorted(votes):
        classes[min(votes[group], key=lambda label: (-votes[group][label], label))].append(group)
    split_of: dict[str, str] = {}
    for label in sorted(classes):
        sizes = {group: votes[group].total() for group in classes[label]}
        split_of |= _divide(sizes, fractions, rng)
    return [split_of[group] for group in groups]


def _divide(sizes: Mapping[str, int], fractions: Mapping[str, float], rng: np.random.Generator) -> dict[str, str]:
    """A split for each group of one class. The largest groups come first, and go where most shapes are missing."""
    total = sum(sizes.values())
    missing = {split: share * total for split, share in fractions.items()}
    empty = set(fractions)
    shuffled = [list(sizes)[i] for i in rng.permutation(len(sizes))]
    answer: dict[str, str] = {}
    for done, group in enumerate(sorted(shuffled, key=lambda group: -sizes[group])):
        open_splits = [split for split in fractions if split in empty or len(sizes) - done > len(empty)]
        chosen = max(open_splits, key=lambda split: missing[split])
        answer[group] = chosen
        missing[chosen] -= sizes[group]
        empty.discard(chosen)
    return answer


def merge(names: Sequence[str], *keys: Iterable[str]) -> list[str]:
    """A group for each shape: shapes that share any key are in one group. An empty key is none.

    ``names`` are the shapes' own, all different. Each of ``keys`` has one key for each shape. A group has the name of
    its first member in the order of names.
    """
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for column in keys:
        first: dict[str, str] = {}
        for name, key in zip(names, column, strict=True):
            if key:
                one, other = root(name), root(first.setdefault(key, name))
                parent[max(one, other)] = min(one, other)
    return [root(name) for name in names]
