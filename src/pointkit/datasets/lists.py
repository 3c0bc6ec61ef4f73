"""Lists of names beside the shapes that say who trains and who tests: ``my_train.txt``, ``test.lst``, ``val.json``.

A line names a shape: by its path, or by its name alone where that is the name of one shape only, with or without the
suffix. A label behind a comma or a blank is passed over.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pointkit.datasets import names
from pointkit.datasets.tree import TEXTS, Parts, Tree
from pointkit.disk import shown
from pointkit.errors import PointkitError

MAX_BYTES = 100_000_000
_HEAD = 4096  # bytes that show whether a text is a cloud
TITLES = ("file", "files", "filename", "name", "path", "id", "shape")
_NUMBERS = re.compile(r"\s*[-+]?[\d.]+(?:e[-+]?\d+)?(?:[\s,;]+[-+]?[\d.]+(?:e[-+]?\d+)?){2,}\s*", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z]{3,5}")


@dataclass(frozen=True)
class Listed:
    """What the lists say: shape -> split, list -> (split, number of names), and findings for the user.

    ``rest``: no list is of train, and the shapes in no list train.
    """

    splits: Mapping[Parts, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    rest: bool = False

    def __bool__(self) -> bool:
        return bool(self.lists)


class Index:
    """The shapes by what a text may call them: a path, or a name with or without the suffix, or that of a folder."""

    def __init__(self, shapes: Collection[Parts]) -> None:
        self.whole = set(shapes)
        self.names: dict[str, list[Parts]] = defaultdict(list)
        self.stems: dict[str, list[Parts]] = defaultdict(list)
        self.alone: dict[str, list[Parts]] = defaultdict(list)  # folders that hold one shape
        self.folders = {step for shape in shapes for step in shape[:-1]}
        inside: dict[Parts, list[Parts]] = defaultdict(list)
        for shape in sorted(shapes):
            inside[shape[:-1]].append(shape)
            self.names[shape[-1]].append(shape)
            self.stems[os.path.splitext(shape[-1])[0]].append(shape)
        for place, some in inside.items():
            if place and len(some) == 1:
                self.alone[place[-1]].append(some[0])

    def find(self, text: str, near: Parts = ()) -> list[Parts]:
        """The shapes that a text may mean: none, one, or several of one name. ``near`` is the list's own folder.

        Folders in the text that are here must be those of the shape; others may be left of it or between.
        """
        steps = tuple(step for step in text.replace("\\", "/").split("/") if step not in ("", "."))
        if not steps:
            return []
        for whole in ((*near, *steps), steps):
            if whole in self.whole:
                return [whole]
        name = steps[-1]
        stem, suffix = os.path.splitext(name)
        known = [step for step in steps[:-1] if step in self.folders]
        tries = [(self.names, name), (self.stems, name), (self.alone, name)]
        if _SUFFIX.fullmatch(suffix):  # the list may be of the same shapes in another format
            tries.append((self.stems, stem))
        for table, key in tries:
            if some := [shape for shape in table.get(key, ()) if _in_order(known, shape[:-1])]:
                return some
        return []


def _in_order(steps: Iterable[str], folders: Parts) -> bool:
    rest = iter(folders)
    return all(step in rest for step in steps)


def candidates(folder: pathlib.Path, tree: Tree) -> dict[Parts, tuple[str, list[str]]]:
    """List -> its split and lines, for the texts whose name speaks of a split and whose lines are names."""
    found: dict[Parts, tuple[str, list[str]]] = {}
    for parts, (size, _) in sorted({**tree.files, **tree.others}.items()):
        stem, suffix = os.path.splitext(parts[-1])
        split = names.listed_split(stem) if suffix.lower() in TEXTS and 0 < size <= MAX_BYTES else ""
        if split and (lines := _names(folder.joinpath(*parts))):
            found[parts] = split, lines
    if any(split == "train" and not _both(parts) for parts, (split, _) in found.items()):
        found = {parts: about for parts, about in found.items() if not _both(parts)}
    return found


def _both(parts: Parts) -> bool:
    """Whether a list is of train and val together; it is of no use where both have their own."""
    some = names.words(parts[-1])
    return "trainval" in some or {"train", "val"} <= {names.SPLIT_WORDS.get(word) for word in some}


def _names(path: pathlib.Path) -> list[str]:
    """The lines of a list; empty where the file is none: no text, prose, or rows of numbers, as a cloud has them."""
    try:
        if is_cloud(path):  # a set may have thousands of such files
            return []
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return []
    if path.suffix.lower() == ".json":
        return _of_json(text)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return [] if "\0" in text or _is_numbers(lines) else lines


def is_cloud(path: pathlib.Path) -> bool:
    """Whether a text begins with rows of numbers, and no names."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    lines = head.decode("utf-8-sig", "replace").splitlines()
    return _is_numbers(lines[:-1] if len(head) == _HEAD else lines)


def _is_numbers(lines: Collection[str]) -> bool:
    """Whether most of the lines are rows of three numbers or more."""
    return sum(bool(_NUMBERS.fullmatch(line)) for line in lines) > len(lines) / 2 if lines else False


def _of_json(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) and value and all(isinstance(one, str) for one in value) else []


def _tries(line: str) -> Iterator[str]:
    """What in a line may be the name: all of it, or what is before a comma, or the first word."""
    yield line
    for separator in (r"[,;\t]", r"\s"):
        first = re.split(separator, line, maxsplit=1)[0].strip().strip("\"'")
        if first != line:
            yield first


def read(folder: pathlib.Path, found: Mapping[Parts, tuple[str, list[str]]], shapes: Collection[Parts]) -> Listed:
    """The splits of ``shapes`` by the lists that were ``found``. Raises PointkitError where lists contradict.

    With lists of test or validation shapes alone, the other shapes train.
    """
    index = Index(shapes)
    splits: dict[Parts, str] = {}
    where: dict[Parts, str] = {}
    used: dict[str, tuple[str, int]] = {}
    warnings: list[str] = []
    for parts, (split, lines) in found.items():
        name = "/".join(parts)
        there, missing = _resolved(folder, parts, lines, index)
        if not there:
            if _prose(lines):
                continue
            raise PointkitError(
                f"{folder}: the list {shown(name)} names {len(missing):,} shapes, and none of them is here, such as "
                f"{shown(missing[0])}; move the list away, or --split 70/10/20 makes a split without it"
            )
        for shape in there:
            if splits.setdefault(shape, split) != split:
                raise PointkitError(
                    f"{folder}: {shown('/'.join(shape))} is in the lists {shown(where[shape])} ({splits[shape]}) and "
                    f"{shown(name)} ({split}); keep the lists that are meant, or --split 70/10/20 makes a new split"
                )
            where.setdefault(shape, name)
        used[name] = split, len(there)
        if missing:
            warnings.append(
                f"the list {shown(name)} names {len(missing):,} shapes that are not there, such as {shown(missing[0])}"
            )
    left = [shape for shape in sorted(shapes) if shape not in splits]
    rest = bool(used) and "train" not in {split for split, _ in used.values()}
    if used and left and not rest:
        example = shown("/".join(left[0]))
        warnings.append(f"{len(left):,} shapes are in no list of a split and are left out, such as {example}")
    return Listed(splits, used, tuple(warnings), rest)


def unused(found: Mapping[Parts, tuple[str, list[str]]]) -> Listed:
    """The lists that are there, where the user has said another split."""
    return Listed(lists={"/".join(parts): (split, len(lines)) for parts, (split, lines) in found.items()})


def _resolved(folder: pathlib.Path, parts: Parts, lines: Iterable[str], index: Index) -> tuple[list[Parts], list[str]]:
    there: dict[Parts, None] = {}
    missing: list[str] = []
    for number, line in enumerate(lines):
        shapes = next((some for name in _tries(line) if (some := index.find(name, parts[:-1]))), [])
        if len(shapes) > 1:
            both = " or ".join(shown("/".join(shape)) for shape in shapes[:2])
            raise PointkitError(
                f"{folder}: the list {shown('/'.join(parts))} names {shown(line)[:80]}, which may be {both}; it must "
                "name their folders, too, or --split 70/10/20 makes a split without it"
            )
        first = list(_tries(line))[-1 if "\t" in line or "," in line else 0]
        if shapes:
            there[shapes[0]] = None
        elif number or "".join(names.words(first.split(",")[0])) not in TITLES:
            missing.append(first)
    return list(there), missing


def _prose(lines: Iterable[str]) -> bool:
    """Whether lines hold sentences, and no names with a label at most."""
    return any(len(line.split()) > 2 for line in lines)
