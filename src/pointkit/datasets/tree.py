"""The walk through the user's folder: which files are there, before anything is made of them.

Passed over are hidden files and folders, ``__MACOSX``, prepared stores, files about the set (README, LICENSE,
``parts.json``, lists of names), the buffers beside a .gltf, and the files that pointkit itself writes beside others.
"""

from __future__ import annotations

import os
import pathlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from pointkit import outputs
from pointkit.datasets import names
from pointkit.errors import PointkitError

PARTS = "parts.json"  # directory or category -> names of its parts in order
ABOUT = ("readme", "license", "licence", PARTS)  # stems and names, in lower case
# A text whose name ends so is about the set, too: my_shape_names.txt, filelist.txt.
ABOUT_ENDS = ("names", "filelist", "filenames", "classes", "categories")
TEXTS = ("", ".txt", ".csv", ".tsv", ".lst", ".list", ".json")

Parts = tuple[str, ...]  # the steps of a path below the folder
Stamp = tuple[int, int]  # size in bytes, time of change in ns


@dataclass
class Tree:
    """What a walk found: path -> stamp of the files to read and of others, folders, and what was passed over.

    ``links`` lead to folders that were read already. ``answers`` are files that pointkit wrote.
    """

    files: dict[Parts, Stamp] = field(default_factory=dict)
    others: dict[Parts, Stamp] = field(default_factory=dict)
    folders: set[Parts] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    @property
    def ignored(self) -> Counter[str]:
        """Suffix -> number of files that nothing here reads."""
        return Counter(os.path.splitext(parts[-1])[1].lower() for parts in self.others)


def walk(folder: pathlib.Path, suffixes: Collection[str], without: Collection[pathlib.Path] = ()) -> Tree:
    """The files below ``folder``; those with one of ``suffixes`` are to be read. Files in ``without`` are left out."""
    tree = Tree()
    left_out = {path.resolve() for path in without}
    seen: set[tuple[int, int]] = set()
    real: list[Parts] = [()]
    linked: list[Parts] = []
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
        inside_names = {entry.name for entry in entries}
        if {"manifest.json", "points.npy"} <= inside_names or {"run.json", "history.csv"} <= inside_names:
            continue  # a store, or a run
        if parts:
            tree.folders.add(parts)
        buffers = ".bin" if any(name.lower().endswith(".gltf") for name in inside_names) else "/"
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX" or entry.name.lower().endswith(buffers):
                continue
            inside = (*parts, entry.name)
            if _is_folder(entry):
                (linked if entry.is_symlink() else real).append(inside)
            elif not (left_out and pathlib.Path(entry.path).resolve() in left_out):
                _take(tree, entry, inside, suffixes)
        linked.sort()
    return tree


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; the reader will report it
        return False


def _take(tree: Tree, entry: os.DirEntry[str], inside: Parts, suffixes: Collection[str]) -> None:
    if is_about(entry.name):
        return
    read = os.path.splitext(entry.name)[1].lower() in suffixes
    if read and outputs.is_ours(entry.name):
        tree.answers.append("/".join(inside))
        return
    try:
        status = entry.stat()
        stamp = status.st_size, status.st_mtime_ns
    except OSError:  # a link to nothing; the reader will report it
        stamp = 0, 0
    (tree.files if read else tree.others)[inside] = stamp


def pass_over_marked(folder: pathlib.Path, tree: Tree) -> None:
    """Take the files with pointkit's mark out of those to read, whatever they are called: they hold its own answers."""
    for parts in [parts for parts in tree.files if outputs.marked(folder.joinpath(*parts))]:
        del tree.files[parts]
        tree.answers.append("/".join(parts))


def is_about(name: str) -> bool:
    """Whether a file of that name is about a set, and no shape of it."""
    stem, suffix = os.path.splitext(name.lower())
    if name.lower() in ABOUT or stem in ABOUT:
        return True
    some = names.words(stem)
    listing = some[-1:] and (some[-1] in ABOUT_ENDS or some[-2:] == ["file", "list"])
    return bool(listing) and suffix in TEXTS and not names.listed_split(stem)  # lists of a split say who trains
