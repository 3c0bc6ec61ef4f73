"""A folder of HDF5 files that hold many shapes each, as the resampled ModelNet is published.

    ply_data_train0.h5 ...            data (S, N, 3 or more), and label (S,), the codes of the shapes' classes
    shape_names.txt                   the name of each code, a line each
    train_files.txt, test_files.txt   which file is of which split; without them the names of the files may say it

A shape is called by its file and its number in it: ``ply_data_train0.h5/00012``.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping

from pointkit import formats
from pointkit.datasets import codes, names, tree
from pointkit.datasets.asked import Asked
from pointkit.datasets.folder import Found, FoundFile, read_text
from pointkit.datasets.telling import Words, counted
from pointkit.datasets.tree import Parts, Tree
from pointkit.disk import digest, shown
from pointkit.errors import FormatError, PointkitError
from pointkit.formats.hdf5 import Stack
from pointkit.task import Parts as PartsTask

_NOT_FOR = ("folders", "table")  # words about folders of files with one shape each


def find(folder: pathlib.Path, task: str | None, asked: Asked) -> Found | None:
    """The shapes of such a folder, for ``task`` or else for the task that its labels suit; None for any other folder.

    Raises PointkitError, one line that names the file, where the files do not make a set.
    """
    walked = tree.walk(folder, formats.STACKS) if folder.is_dir() else Tree()
    stacks = _stacks(folder, walked)
    if not stacks:
        return None
    for name in _NOT_FOR:
        if getattr(asked, name):
            raise PointkitError(f"--{name} is for files of one shape each, and {_name(min(stacks))} holds many")
    by_points = task == PartsTask.name
    if task is None:
        by_points = all(stack.classes is None for stack in stacks.values())
    classes = _classes(folder, stacks, asked, by_points)
    splits = {} if asked.split else _splits(folder, walked, stacks)
    left = [path for path in stacks if splits and path not in splits]
    files = tuple(
        _file(walked, path, number, class_name, splits.get(path, ""))
        for path in stacks
        if path not in left
        for number, class_name in enumerate(classes[path])
    )
    found = tuple(sorted({file.class_name for file in files}))
    return Found(
        root=folder,
        files=files,
        classes=found,
        warnings=tuple(_warnings(walked, left)),
        layout="fields" if by_points else "",
        codes=codes.of_set(folder, asked.names) if by_points else {},
        words=_words(len(stacks), len(found), len(files), by_points, asked, bool(splits)),
        asked={**asked.facts(), "lists": digest(json.dumps([[_name(p), s] for p, s in splits.items()]).encode())},
    )


def _stacks(folder: pathlib.Path, walked: Tree) -> dict[Parts, Stack]:
    """The files of many shapes each; none where all files hold one. Raises PointkitError where the others are not."""
    held: dict[Parts, Stack | None] = {}
    damaged: FormatError | None = None
    for path in sorted(walked.files):
        try:
            held[path] = formats.stack(folder.joinpath(*path))
        except FormatError as error:
            damaged = error
    stacks = {path: stack for path, stack in held.items() if stack is not None}
    if stacks and damaged:
        raise damaged
    if 0 < len(stacks) < len(held):
        one = next(path for path, stack in held.items() if stack is None)
        raise PointkitError(f"{folder}: {_name(one)} holds one shape, {_name(min(stacks))} many: part them")
    return stacks


def _words(files: int, classes: int, shapes: int, by_points: bool, asked: Asked, split: bool) -> Words:
    kinds = "categories" if by_points else "classes"
    labelled = " with labelled points" if by_points else ""
    source = "from the files' lists or names" if split else f"{asked.split or '70/10/20'} made here"
    return Words(
        f"{files:,} HDF5 file{'s' if files > 1 else ''} of many shapes each",
        f"{classes:,} {kinds}, {shapes:,} shapes{labelled}; split {source}",
        (f"--task {'classification for classes alone' if by_points else 'parts for labelled points'}",),
    )


def _name(path: Parts) -> str:
    return shown("/".join(path))


def _file(walked: Tree, path: Parts, number: int, class_name: str, split: str) -> FoundFile:
    whole = "/".join(path)
    ident = f"{os.path.splitext(whole)[0]}/{number:05}"
    return FoundFile(f"{whole}/{number:05}", ident, class_name, split, (walked.files[path],))


def _classes(
    folder: pathlib.Path, stacks: Mapping[Parts, Stack], asked: Asked, by_points: bool
) -> dict[Parts, list[str]]:
    """The name of the class of each shape: by its code, or the one category of a set of parts."""
    for path, stack in stacks.items():
        if by_points and not stack.labelled and not asked.label_field:
            raise PointkitError(f"{folder}: the points in {_name(path)} have no labels; --label-field says which array")
        if not by_points and stack.classes is None:
            raise PointkitError(f"{folder}: {_name(path)} has no class of each shape, an array label ({stack.count},)")
        if stack.classes is not None and stack.classes.min() < 0:
            raise PointkitError(f"{folder}: classes must be codes from 0 on, {_name(path)} has {stack.classes.min()}")
    if by_points and (asked.category or any(stack.classes is None for stack in stacks.values())):
        one = asked.category or folder.resolve().name
        return {path: [one] * stack.count for path, stack in stacks.items()}
    found = {path: stack.classes.tolist() for path, stack in stacks.items() if stack.classes is not None}
    known = _class_names(folder, max(max(some) for some in found.values()) + 1)
    return {path: [known[code] if known else str(code) for code in some] for path, some in found.items()}


def _class_names(folder: pathlib.Path, count: int) -> list[str]:
    """The names of so many codes, from a text beside the files; empty where there is none."""
    for path in sorted(folder.glob("*.txt")):
        if tree.is_about(path.name) and names.words(path.stem)[-1] in ("names", "classes", "categories"):
            some = [line.split("\t")[0].strip() for line in read_text(path).splitlines() if line.strip()]
            if len(some) >= count and len(set(some)) == len(some):
                return some
    return []


def _splits(folder: pathlib.Path, walked: Tree, stacks: Mapping[Parts, Stack]) -> dict[Parts, str]:
    """File -> split, from lists of files or else from the files' names; empty where these do not say it of all."""
    listed: dict[Parts, str] = {}
    for path in sorted(walked.others):
        split = names.listed_split(os.path.splitext(path[-1])[0])
        if split and path[-1].lower().endswith(".txt"):
            lines = read_text(folder.joinpath(*path)).splitlines()
            wanted = {line.strip().replace("\\", "/").rpartition("/")[2] for line in lines}
            listed |= {each: split for each in stacks if each[-1] in wanted}
    if listed:
        return listed
    named = {path: names.listed_split(os.path.splitext(path[-1])[0]) for path in stacks}
    return named if all(named.values()) and len(set(named.values())) > 1 else {}


def _warnings(walked: Tree, left: list[Parts]) -> list[str]:
    others = [path for path in walked.others if _suffix(path) in formats.SUFFIXES and _suffix(path) != ".txt"]
    said = [f"files in no list of a split are left out: {', '.join(map(_name, left))}"] if left else []
    return said + ([f"other files beside are left out: {counted(others)}"] if others else [])


def _suffix(path: Parts) -> str:
    return os.path.splitext(path[-1])[1].lower()
