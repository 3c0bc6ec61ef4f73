"""Findings about copies: across splits, in several classes, or just twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pointkit.audit import copies
from pointkit.audit.finding import Finding, counted
from pointkit.audit.looked import Looked
from pointkit.disk import shown
from pointkit.store import ShapeRow

WORDS = "group of copies or near copies"


def find(looked: Looked) -> Iterator[Finding]:
    """Shapes that are copies or near copies of others. Each group of them is in one finding, the worst that holds."""
    groups = _groups(looked)
    for test, words in _KINDS:
        some = [group for group in groups if test([looked.store.rows[i] for i in group])]
        groups = [group for group in groups if group not in some]
        if some:
            files = [file for group in some for file in looked.files(group)]
            first = " = ".join(shown(file) for file in looked.files(some[0][:3]))
            yield Finding(
                "copies",
                tuple(files),
                words.format(counted(len(some), WORDS, WORDS.replace("group", "groups", 1)), first),
            )


def _groups(looked: Looked) -> list[list[int]]:
    """Groups of shapes that are alike, or that hold the same points: the draw hangs on the file's content alone."""
    solid = np.flatnonzero(looked.traits.rank > 1).tolist()
    good = [i for i in solid if looked.store.counts[i] >= copies.FEWEST]
    found = copies.Prints(looked.prints.waves[good], looked.prints.noise[good])
    near = copies.find(found, lambda i: looked.store.cloud(good[i]))
    same: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for i in solid:
        same[int(looked.store.counts[i]), looked.store.cloud(i)[: copies.FEWEST].tobytes()].append(i)
    return copies.joined(len(looked.traits.rank), [*([good[i] for i in group] for group in near), *same.values()])


def _in_splits(rows: Sequence[ShapeRow]) -> bool:
    return len({row.split for row in rows}) > 1


def _in_classes(rows: Sequence[ShapeRow]) -> bool:
    return len({row.class_name for row in rows}) > 1


_KINDS: tuple[tuple[Callable[[Sequence[ShapeRow]], bool], str], ...] = (
    (
        _in_splits,
        "{} across splits ({}): the figures then measure memory; make the split anew with --split 70/10/20, and "
        "name copies as one group with --groups",
    ),
    (_in_classes, "{} across classes ({}): one of the classes is wrong; look at both"),
    (
        lambda rows: True,
        "{} within one split ({}): such shapes count twice; take one out if that is not meant",
    ),
)
