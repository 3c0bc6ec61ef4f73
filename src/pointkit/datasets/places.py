"""Where the shapes lie: what surrounds the set, which folders are splits, and the folders that are left.

The layouts are CLASS/SPLIT/FILE, SPLIT/CLASS/FILE, CLASS/FILE, and SPLIT/FILE, each also inside other folders. A split
may lie deeper, where it does so for every file.
"""

from __future__ import annotations

import pathlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pointkit.datasets import names
from pointkit.datasets.tree import Parts
from pointkit.disk import shown
from pointkit.errors import PointkitError


@dataclass(frozen=True)
class Place:
    """Where a shape lies: its split ("" for none), and its folders inside the set without that of the split."""

    split: str
    folders: Parts


@dataclass(frozen=True)
class Places:
    """The place of each shape; ``prefix`` leads to the set from the folder asked for. ``level``: that of the splits."""

    prefix: Parts
    of: Mapping[Parts, Place]
    level: int | None

    @property
    def has_splits(self) -> bool:
        return self.level is not None

    def in_split_folder(self, shape: Parts) -> bool:
        """Whether the file lies in the folder of a split itself, and in no folder inside it."""
        return self.level is not None and len(shape) - 2 == len(self.prefix) + self.level


def find(folder: pathlib.Path, shapes: Collection[Parts], splits_count: bool = True) -> Places:
    """The places of shapes. Raises PointkitError where some lie in split folders and others do not.

    Without ``splits_count`` only the top folders must agree.
    """
    depth = _wrappers(shapes)
    prefix = min(shapes, key=lambda parts: (len(parts) <= depth + 1, parts))[:depth]
    inner = {parts[depth:] for parts in shapes if len(parts) > depth + 1}
    tops = {parts[0] for parts in inner}
    both = names.classes_and_splits(tops)
    if both:
        return Places(
            prefix,
            {
                parts: Place(both[parts[depth]][1], (both[parts[depth]][0], *parts[depth + 1 : -1]))
                if parts[depth:] in inner
                else Place("", ())
                for parts in shapes
            },
            0,
        )
    splits = _split_folders(inner)
    level = _level(folder, inner, splits, splits_count)
    of = {}
    for parts in shapes:
        steps = parts[depth:-1] if parts[depth:] in inner else ()
        split = splits.get(steps[: level + 1], "") if level is not None and len(steps) > level else ""
        of[parts] = Place(split, (*steps[:level], *steps[level + 1 :]) if split and level is not None else steps)
    return Places(prefix, of, level)


def _wrappers(files: Collection[Parts]) -> int:
    """How many folders are around the set: each holds all files, and is neither a split nor the only class."""
    depth = 0
    while True:
        inside = [parts[depth:] for parts in files if len(parts) > depth + 1]
        if len({parts[0] for parts in inside}) != 1 or names.split_of(inside[0][0]):
            return depth
        deeper = [parts for parts in inside if len(parts) > 2]
        splits = names.splits_among({parts[1] for parts in deeper})
        if not deeper or all(len(parts) == 3 and parts[1] in splits for parts in deeper):
            return depth
        depth += 1


def _split_folders(inner: Collection[Parts]) -> dict[Parts, str]:
    """Folder -> split, for those that are split folders among the folders beside them."""
    children: dict[Parts, set[str]] = defaultdict(set)
    for parts in inner:
        for end in range(len(parts) - 1):
            children[parts[:end]].add(parts[end])
    return {
        (*place, name): split for place, some in children.items() for name, split in names.splits_among(some).items()
    }


def _level(
    folder: pathlib.Path, inner: Collection[Parts], splits: Mapping[Parts, str], splits_count: bool
) -> int | None:
    """The level of the split folders among the folders of the set, from 0; None where there are none."""

    def inside(parts: Parts, level: int) -> bool:
        return len(parts) > level + 1 and parts[: level + 1] in splits

    tops = {parts[0] for parts in inner}
    top_splits = {top for top in tops if (top,) in splits}
    if top_splits and top_splits == tops and not all(inside(parts, 1) for parts in inner):
        return 0
    for top in sorted(top_splits - (tops if top_splits == tops else set())):
        # A class may be called "test" only where its own splits show that it is one.
        if not all(inside(parts, 1) for parts in inner if parts[0] == top):
            other = min(tops - top_splits)
            raise PointkitError(
                f"{folder}: {shown(top)!r} is the name of a split and {shown(other)!r} is not; put all classes into "
                "split folders, or split folders into each class, or use none, or say it with --table"
            )
    for level in range(1, max((len(parts) - 1 for parts in inner), default=0)):
        without = sorted(parts for parts in inner if not inside(parts, level))
        if not without:
            return level
        if len(without) < len(inner) and splits_count:
            within = min(parts for parts in inner if inside(parts, level))
            raise PointkitError(
                f"{folder}: either every file lies in a split folder (train, val, test) or none, found "
                f"{shown('/'.join(within))} and {shown('/'.join(without[0]))}; --split 70/10/20 makes a split "
                "without them"
            )
        if len(without) < len(inner):
            return level
    return None
