"""What the user is told of a folder: what was found, what it was taken for, how to say otherwise, what is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pointkit.datasets.asked import Asked
from pointkit.datasets.lists import Listed
from pointkit.datasets.places import Places
from pointkit.datasets.readings import Reading, few
from pointkit.datasets.table import Table
from pointkit.datasets.tree import Parts, Tree
from pointkit.disk import shown
from pointkit.formats.needs import needed


@dataclass(frozen=True)
class Words:
    """What was found in a folder, what it was taken for, and how the user says otherwise."""

    found: str = ""
    taken: str = ""
    otherwise: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """All that was found in a folder, and how it is read. ``splits``: shape -> split, "" where none is given.

    ``labels``: shape -> file of its labels. ``unread`` are files of other suffixes that nothing uses, ``untold``
    files to read that stand in no line of the table.
    """

    tree: Tree
    places: Places
    reading: Reading
    listed: Listed
    table: Table | None
    labels: Mapping[Parts, Parts]
    splits: Mapping[Parts, str]
    unread: Collection[Parts]
    untold: Collection[Parts]
    asked: Asked
    parts: bool

    @property
    def by_table(self) -> bool:
        return self.table is not None and "split" in self.table.columns

    @property
    def official(self) -> bool:
        return any(self.splits.values())


def counted(files: Iterable[Parts]) -> str:
    """How many files have each suffix, in words."""
    suffixes = Counter(suffix_of(parts) for parts in files)
    return ", ".join(f"{count:,} {shown(suffix) or 'without suffix'}" for suffix, count in sorted(suffixes.items()))


def suffix_of(parts: Parts) -> str:
    return os.path.splitext(parts[-1])[1].lower()


def words(it: Findings) -> Words:
    """The lines that come first."""
    return Words("; ".join(_found(it)), "; ".join((_taken(it), _split(it))), tuple(_otherwise(it)))


def _found(it: Findings) -> Iterator[str]:
    shapes = it.places.of
    tops = {place.folders[0] for place in shapes.values() if place.folders}
    kinds = Counter(suffix_of(parts) for parts in shapes)
    files = ", ".join(f"{count:,} {shown(suffix)}" for suffix, count in sorted(kinds.items()))
    files += " file" if len(shapes) == 1 else " files"
    yield f"{files} in {len(tops):,} folder{'s' * (len(tops) != 1)} ({few(tops)})" if tops else files
    splits = {place.split for place in shapes.values() if place.split}
    if splits:
        yield f"split folders for {', '.join(sorted(splits))}"
    if it.listed:
        lists = [f"{shown(name)} ({count:,})" for name, (_, count) in it.listed.lists.items()]
        yield "lists " + ", ".join(lists[:6]) + (f" and {len(lists) - 6:,} more" if len(lists) > 6 else "")
    if it.table:
        yield f"table {shown(it.table.path.name)} ({len(it.table.rows):,})"
    if it.labels:
        yield f"{len(it.labels):,} files of labels beside them"
    if it.tree.answers:
        yield f"{len(it.tree.answers):,} that pointkit wrote, passed over"
    if it.unread:
        yield f"not read: {counted(it.unread)}"


def _taken(it: Findings) -> str:
    kinds = sorted({*it.reading.classes.values()})
    shapes = f"{len(it.splits):,} shape{'s' * (len(it.splits) != 1)}"
    if not it.parts:
        return f"{len(kinds):,} classes ({few(kinds)}), {shapes}"
    several = f"{len(kinds):,} categories" if len(kinds) > 1 else "1 category"
    joined = it.reading.pieces
    pieces = f" of {len(joined.names):,} parts ({few(joined.names)}), joined from the files of a folder each"
    return f"{several} ({few(kinds)}), {shapes}{pieces if joined else ' with labelled points'}"


def _split(it: Findings) -> str:
    if it.asked.split:
        passed = "lists" if it.listed else "split folders" if it.places.has_splits else ""
        return f"split {it.asked.split} made here" + (f", the {passed} are not used" if passed else "")
    if not it.official:
        return "split 70/10/20 made here"
    source = "table" if it.by_table else "folders" if it.places.has_splits else "lists" if it.listed else "files' names"
    there = set(it.splits.values())
    rest = ", the shapes in no list train" if source == "lists" and it.listed.rest else ""
    held = ", val held out of train" if "train" in there and "val" not in there else ""
    return f"split from the {source}{rest}{held}"


def _otherwise(it: Findings) -> Iterator[str]:
    if it.official:
        yield "--split 70/10/20 for a new split"
    yield from it.reading.otherwise
    if not it.table:
        yield "--table FILE.csv for labels, splits and groups of your own"


def warnings(it: Findings, suffixes: Collection[str], classes: Collection[str]) -> Iterator[str]:
    """What is left out, and why."""
    if it.unread:
        yield f"files left out because nothing here reads their suffix: {counted(it.unread)}"
        yield from needed({suffix_of(parts) for parts in it.unread}, suffixes)
    outside = it.reading.outside
    if it.reading.pieces and outside:
        yield f"files left out because they are no parts of a shape: {len(outside):,}, such as {_example(outside)}"
    elif outside:
        yield f"files left out because they lie in no class folder: {len(outside):,}"
    prefix, level = it.places.prefix, len(it.places.prefix) + 1 + (it.places.level == 0)
    named = {parts[-1] for parts in it.tree.folders if len(parts) == level and parts[: len(prefix)] == prefix}
    texts = [*it.labels.values(), *(tuple(name.split("/")) for name in it.listed.lists)]
    holds_texts = {parts[level - 1] for parts in texts if len(parts) > level}
    if named & set(classes) and (without := named - set(classes) - holds_texts) and not it.table:
        yield f"folders without a file to read are no classes: {few(without)}"
    if it.tree.links:
        yield f"links to folders that were read already are left out: {few(it.tree.links)}"
    if answers := it.tree.answers:
        yield f"files that pointkit wrote are passed over: {len(answers):,}, such as {shown(min(answers))}"
    if it.untold:
        yield f"files left out because they are not in the table: {len(it.untold):,}, such as {_example(it.untold)}"
    yield from it.listed.warnings


def _example(files: Collection[Parts]) -> str:
    return shown("/".join(min(files)))
