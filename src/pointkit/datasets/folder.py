"""The user's own folder: which shapes are in it, of which class and split.

Three layouts are known, each also inside one folder more (``ModelNet10/``):

    <class>/<split>/<file>    <split>/<class>/<file>    <class>/<file>

Split names are train/training, val/valid/validation and test/testing in upper or lower case. Every other folder is a
class, and files deeper in it belong to the class, too. Ignored are hidden files and folders, ``__MACOSX``, prepared
stores, and files about the set (README, LICENSE, ``parts.json``).
"""

from __future__ import annotations

import json
import os
import pathlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pointkit.datasets.codes import CodeNames
from pointkit.disk import shown
from pointkit.errors import PointkitError
from pointkit.rules import suggest
from pointkit.task import Classification, Parts

SPLIT_NAMES: Mapping[str, str] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip

PARTS = "parts.json"  # directory or category -> names of its parts in order
ABOUT = ("readme", "license", "licence", PARTS)  # stems and names, in lower case


@dataclass(frozen=True)
class FoundFile:
    """A file to read: its path relative to the set's folder, its name in the set, class, and split ("": none given).

    ``labels`` are further files, which hold the parts of its points, in the layout's order; "" stands for a missing
    one. ``pieces`` are the files that are joined to the shape, each with the number of its part; ``file`` is then their
    folder. ``size`` is the sum of all these files' sizes, ``mtime_ns`` the latest of their times.
    """

    file: str
    ident: str
    class_name: str
    split: str
    size: int
    mtime_ns: int
    labels: tuple[str, ...] = ()
    pieces: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Found:
    """A folder's files in the order of their paths, below ``root``; ``prefix`` leads there from the folder asked for.

    ``classes`` are sorted. ``ignored``: suffix -> number of files that nothing here reads. In a set of parts a class is
    a category, and ``layout`` says how its labels are stored. ``part_names``: category -> names, also for categories
    without shapes; empty where the set names no parts. ``codes``: category, or "" for all -> names of labels.
    ``colors`` are the set's own. ``unlabelled`` are files of shapes without any label, which are not read.
    """

    root: pathlib.Path
    files: tuple[FoundFile, ...]
    classes: tuple[str, ...]
    warnings: tuple[str, ...]
    prefix: str = ""
    ignored: Mapping[str, int] = field(default_factory=dict)
    layout: str = ""
    part_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    colors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unlabelled: tuple[str, ...] = ()
    codes: Mapping[str, CodeNames] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The name of the task that the set is for."""
        return (Parts if self.layout else Classification).name

    def only(self, classes: Collection[str]) -> Found:
        """The shapes of some of the classes. Raises PointkitError for one that is not among them."""
        for name in classes:
            if name not in self.classes:
                known = ", ".join(self.classes)
                hint = suggest(name, self.classes)
                raise PointkitError(f"{self.root}: classes must be some of {known}, got {name!r}{hint}")
        files = tuple(file for file in self.files if file.class_name in classes)
        folders = {file.file.split("/")[0] for file in files}
        unlabelled = tuple(name for name in self.unlabelled if name.split("/")[0] in folders)
        return replace(self, files=files, classes=tuple(sorted(set(classes))), unlabelled=unlabelled)


@dataclass
class _Tree:
    """What a walk found: path -> (size, mtime in ns) of files, folders, other suffixes, and links not followed."""

    files: dict[tuple[str, ...], tuple[int, int]]
    folders: set[tuple[str, ...]]
    ignored: Counter[str]
    links: list[str]


def find(folder: pathlib.Path, suffixes: Collection[str], least: int = 2) -> Found:
    """Find the files with one of ``suffixes`` (lower case, with the dot).

    Raises PointkitError, one line that names the folder, where they are no set of at least ``least`` classes.
    """
    if not folder.is_dir():
        raise PointkitError(f"{folder}: {'must be a folder, found a file' if folder.exists() else 'no such folder'}")
    tree = _walk(folder, suffixes)
    if not tree.files:
        others = f"; it has {_counted(tree.ignored)}" if tree.ignored else ""
        raise PointkitError(f"{folder}: no file to read in it (one of {' '.join(sorted(suffixes))}){others}")
    depth = _wrappers(tree)
    inner = {parts[depth:]: stamp for parts, stamp in tree.files.items() if len(parts) > depth + 1}
    split_first = bool(inner) and _splits_first(folder, inner)
    if split_first:
        inner = {parts: stamp for parts, stamp in inner.items() if len(parts) > 2}
    if not inner:
        example = shown("/".join(min(tree.files)))
        raise PointkitError(f"{folder}: needs one folder a class, found files outside of any (such as {example})")
    prefix = min(tree.files, key=lambda parts: (len(parts) <= depth + 1, parts))[:depth]
    places = {parts: _place(parts, split_first) for parts in inner}
    _same_kind(folder, places)
    classes = tuple(sorted({class_name for class_name, _ in places.values()}))
    if len(classes) < least:
        raise PointkitError(
            f"{folder}: one class only ({shown(classes[0])}), a classifier needs two; give one folder a class"
        )
    stems = Counter(_stem("/".join(parts)) for parts in inner)
    files = []
    for parts in sorted(inner):
        file = "/".join(parts)
        ident = _stem(file) if stems[_stem(file)] == 1 else file
        (class_name, split), (size, mtime_ns) = places[parts], inner[parts]
        files.append(
            FoundFile(file=file, ident=ident, class_name=class_name, split=split, size=size, mtime_ns=mtime_ns)
        )
    files.sort(key=lambda found: found.file)
    return Found(
        root=folder.joinpath(*prefix),
        files=tuple(files),
        classes=classes,
        warnings=_warnings(tree, prefix, split_first, classes, len(inner)),
        prefix="/".join(prefix),
        ignored=dict(tree.ignored),
    )


def _walk(folder: pathlib.Path, suffixes: Collection[str]) -> _Tree:
    tree = _Tree({}, set(), Counter(), [])
    seen: set[tuple[int, int]] = set()
    real: list[tuple[str, ...]] = [()]
    linked: list[tuple[str, ...]] = []
    while real or linked:  # links come last: so a folder has its own name, and a loop of links ends
        parts = real.pop() if real else linked.pop(0)
        path = folder.joinpath(*parts)
        try:
            status = path.stat()
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise PointkitError(f"{path}: cannot be listed ({error.strerror})") from None
        if (status.st_dev, status.st_ino) in seen:
            tree.links.append("/".join(parts))
            continue
        seen.add((status.st_dev, status.st_ino))
        if {"manifest.json", "points.npy"} <= {entry.name for entry in entries}:
            continue  # a store
        if parts:
            tree.folders.add(parts)
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            inside = (*parts, entry.name)
            if entry.is_dir():
                (linked if entry.is_symlink() else real).append(inside)
                continue
            if is_about(entry.name):
                continue
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix not in suffixes:
                tree.ignored[suffix] += 1
                continue
            try:
                stamp = entry.stat()
                tree.files[inside] = (stamp.st_size, stamp.st_mtime_ns)
            except OSError:  # a link to nothing; the reader will report it
                tree.files[inside] = (0, 0)
        linked.sort()
    return tree


def is_about(name: str) -> bool:
    """Whether a file of that name is about a set, and no shape of it."""
    return name.lower() in ABOUT or os.path.splitext(name.lower())[0] in ABOUT


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_NAMES


def _wrappers(tree: _Tree) -> int:
    """How many folders are around the set: each holds all files, and is neither a split nor the only class."""
    depth = 0
    while True:
        inside = [parts[depth:] for parts in tree.files if len(parts) > depth + 1]
        if len({parts[0] for parts in inside}) != 1 or _is_split(inside[0][0]):
            return depth
        deeper = [parts for parts in inside if len(parts) > 2]
        if not deeper or all(len(parts) == 3 and _is_split(parts[1]) for parts in deeper):
            return depth
        depth += 1


def _splits_first(folder: pathlib.Path, files: Collection[tuple[str, ...]]) -> bool:
    """Whether the layout is <split>/<class>/<file>."""
    tops = {parts[0] for parts in files}
    splits = {top for top in tops if _is_split(top)}
    if splits == tops:
        return not all(len(parts) > 2 and _is_split(parts[1]) for parts in files)
    for top in sorted(splits):  # a class may be called "test" only where its own splits show that it is one
        if not all(len(parts) > 2 and _is_split(parts[1]) for parts in files if parts[0] == top):
            other = min(tops - splits)
            raise PointkitError(
                f"{folder}: {top!r} is the name of a split and {other!r} is not; put all classes into split folders, "
                "or split folders into each class, or use none"
            )
    return False


def _place(parts: tuple[str, ...], split_first: bool) -> tuple[str, str]:
    """Class and split of a file."""
    if split_first:
        return parts[1], SPLIT_NAMES[parts[0].lower()]
    return parts[0], SPLIT_NAMES.get(parts[1].lower(), "") if len(parts) > 2 else ""


def _same_kind(folder: pathlib.Path, places: Mapping[tuple[str, ...], tuple[str, str]]) -> None:
    inside = sorted(parts for parts, (_, split) in places.items() if split)
    outside = sorted(parts for parts, (_, split) in places.items() if not split)
    if inside and outside:
        raise PointkitError(
            f"{folder}: either every file lies in a split folder (train, val, test) or none, "
            f"found {shown('/'.join(inside[0]))} and {shown('/'.join(outside[0]))}"
        )


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]


def _counted(ignored: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {shown(suffix) or 'without suffix'}" for suffix, count in sorted(ignored.items()))


def _warnings(
    tree: _Tree, prefix: tuple[str, ...], split_first: bool, classes: Collection[str], used: int
) -> tuple[str, ...]:
    warnings = []
    if tree.ignored:
        warnings.append(f"files left out because nothing here reads their suffix: {_counted(tree.ignored)}")
    if outside := len(tree.files) - used:
        warnings.append(f"files left out because they lie in no class folder: {outside:,}")
    level = len(prefix) + 1 + split_first
    named = {parts[-1] for parts in tree.folders if len(parts) == level and parts[: len(prefix)] == prefix}
    if without := sorted(named - set(classes)):
        warnings.append(f"folders without a file to read are no classes: {', '.join(map(shown, without))}")
    if tree.links:
        warnings.append(
            f"links to folders that were read already are left out: {', '.join(map(shown, sorted(tree.links)))}"
        )
    return tuple(warnings)


# ---- the texts that come with a set


def with_names(found: Found) -> Found:
    """A folder of labelled clouds or meshes, with the names of its parts from ``parts.json`` where there is one."""
    named = part_lists(found.root)
    return replace(found, layout="fields", part_names={name: named[name] for name in found.classes if name in named})


def part_lists(root: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Directory or category -> names of its parts in order."""
    path = root / PARTS
    if not path.is_file():
        return {}
    named = read_json(path, dict)
    if named and not any(isinstance(names, list) for names in named.values()):
        return {}  # names by code (``codes.of_set``)
    for key, names in named.items():
        if not different_texts(names):
            raise PointkitError(f"{path}: {key!r} must have a list of different names, got {str(names)[:80]}")
    return {key: tuple(names) for key, names in named.items()}


def different_texts(value: Any) -> bool:
    """Whether a value from JSON is a list of one or more different texts."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, str) for one in value)
        and len(set(value)) == len(value)
    )


def read_json(path: pathlib.Path, kind: type) -> Any:
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise PointkitError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, kind):
        raise PointkitError(f"{path}: must hold a {kind.__name__}, got a {type(value).__name__}")
    return value


def read_text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PointkitError(f"{path}: cannot be read as text ({error})") from None
