"""The user's own folder: which shapes are in it, of which class and split.

Each of the rooms beside this one knows one thing: ``tree`` which files are there, ``names`` what a folder's name says,
``places`` which folders are splits, ``lists`` and ``table`` what texts beside the shapes say, ``beside`` which files
hold labels, ``pieces`` which are parts of one shape, ``readings`` what the other folders mean. Here they make a set.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pointkit import formats
from pointkit.datasets import beside, codes, lists, names, pieces, places, readings, table, telling, tree
from pointkit.datasets.asked import NOTHING_ASKED, Asked
from pointkit.datasets.codes import CodeNames
from pointkit.datasets.lists import Index, Listed
from pointkit.datasets.pieces import Pieces
from pointkit.datasets.places import Places
from pointkit.datasets.readings import Reading
from pointkit.datasets.table import Table
from pointkit.datasets.telling import Findings, Words
from pointkit.datasets.tree import PARTS, Parts, Stamp, Tree, is_about
from pointkit.disk import digest, shown, stamp
from pointkit.errors import PointkitError
from pointkit.formats.needs import needed
from pointkit.rules import suggest
from pointkit.task import Classification
from pointkit.task import Parts as PartsTask

__all__ = ["PARTS", "Found", "FoundFile", "Words", "different_texts", "find", "is_about", "part_lists", "read_json"]


@dataclass(frozen=True)
class FoundFile:
    """A file to read: its path relative to the set's folder, its name in the set, class, and split ("": none given).

    ``labels`` are further files, which hold the parts of its points, in the layout's order; "" stands for a missing
    one. ``pieces`` are the files that are joined to the shape, each with the number of its part; ``file`` is then their
    folder. ``stamps`` are those of all these files and of the ones that they name beside them (``formats.stamps``).
    ``size`` is the sum of the sizes, ``mtime_ns`` the latest of the times.
    """

    file: str
    ident: str
    class_name: str
    split: str
    stamps: tuple[Stamp, ...]
    labels: tuple[str, ...] = ()
    pieces: tuple[tuple[str, int], ...] = ()

    @property
    def size(self) -> int:
        return sum(size for size, _ in self.stamps)

    @property
    def mtime_ns(self) -> int:
        return max(mtime for _, mtime in self.stamps)


@dataclass(frozen=True)
class Found:
    """A folder's files in the order of their paths, below ``root``; ``prefix`` leads there from the folder asked for.

    ``classes`` are sorted. ``ignored``: suffix -> number of files that nothing here reads. In a set of parts a class is
    a category, and ``layout`` says how its labels are stored. ``part_names``: category -> names, also for categories
    without shapes; empty where the set names no parts. ``codes``: category, or "" for all -> names of labels.
    ``colors`` are the set's own. ``unlabelled`` are files of shapes without any label, which are not read.

    ``groups``: file -> group, from the user's table. ``words`` are for the user. ``asked`` are the facts that decided
    how the folder was read, beside its files: the user's flags, and what lists and tables say.
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
    groups: Mapping[str, str] = field(default_factory=dict)
    words: Words = field(default_factory=Words)
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The name of the task that the set is for."""
        return (PartsTask if self.layout else Classification).name

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


# ---- finding


def find(
    folder: pathlib.Path,
    suffixes: Collection[str],
    *,
    parts: bool = False,
    asked: Asked = NOTHING_ASKED,
    labelled: Callable[[pathlib.Path], bool] = lambda path: False,
    without: Collection[pathlib.Path] = (),
) -> Found:
    """Find the shapes with one of ``suffixes`` (lower case, with the dot): of classes, or of labelled ``parts``.

    ``labelled`` tells whether a file has labels of its own. Files in ``without`` are about the set, and no shapes.
    Raises PointkitError, one line that names the folder, where the files are no such set, or may be several.
    """
    if not folder.is_dir():
        raise PointkitError(f"{folder}: {'must be a folder, found a file' if folder.exists() else 'no such folder'}")
    walked = tree.walk(folder, suffixes, [*without, *([asked.table_path] if asked.table_path else [])])
    if parts:
        tree.pass_over_marked(folder, walked)
    candidates = lists.candidates(folder, walked)
    labels = _labels(folder, walked, candidates, suffixes, parts)
    no_shapes = {*candidates, *labels.values()}
    shapes = {path for path in walked.files if path not in no_shapes and not _names_codes(folder, path)}
    unread = [path for path in walked.others if path not in no_shapes and not (parts and _names_codes(folder, path))]
    if not shapes:
        raise PointkitError(_nothing(folder, suffixes, unread))
    said = table.read(asked.table_path, Index(shapes)) if asked.table_path else None
    untold = shapes - set(said.rows) if said else ()
    shapes = set(said.rows) if said else shapes
    splits_count = not asked.split and not (said and "split" in said.columns)
    where = places.find(folder, shapes, splits_count)
    joined = Pieces() if labels or said else pieces.find([path for path in shapes if not where.in_split_folder(path)])
    if any(map(names.split_of, joined.names)):  # train_1.ply and test_1.ply are no parts
        joined = Pieces()
    reading = _read(folder, where, asked, said, parts, joined, labelled)
    listed = lists.read(folder, candidates, reading.classes) if splits_count else lists.unused(candidates)
    splits = _splits(folder, reading, where, listed, said, asked)
    it = Findings(walked, where, reading, listed, said, labels, splits, unread, untold, asked, parts)
    return _found(folder, it, suffixes)


def _labels(
    folder: pathlib.Path, walked: Tree, lists_there: Collection[Parts], suffixes: Collection[str], parts: bool
) -> dict[Parts, Parts]:
    """Shape -> the file with its labels. For classes only those that might be taken for shapes."""
    files = {*walked.files, *(walked.others if parts else ())} - {*lists_there}
    found = beside.match(files, suffixes)
    if parts:
        return found
    return {shape: label for shape, label in found.items() if _is_column(folder.joinpath(*label))}


def _is_column(path: pathlib.Path) -> bool:
    """Whether a file holds one number a row, as labels are, and so no cloud."""
    try:
        if path.suffix.lower() == ".npy":
            return bool(np.load(path, mmap_mode="r", allow_pickle=False).ndim == 1)
        with path.open("rb") as file:
            lines = file.read(4096).decode("utf-8-sig").splitlines()
        return all(len(line.split()) <= 1 for line in lines) and any(line.strip().isdigit() for line in lines)
    except (OSError, ValueError):
        return False


def _names_codes(folder: pathlib.Path, path: Parts) -> bool:
    """Whether a text names the codes of labels."""
    known = path[-1].lower() in codes.FILES or "/".join(path[-2:]).lower() in codes.FILES
    return known and not lists.is_cloud(folder.joinpath(*path))


def _nothing(folder: pathlib.Path, suffixes: Collection[str], unread: Collection[Parts]) -> str:
    others = f"; it has {telling.counted(unread)}" if unread else ""
    needs = "; ".join(["", *needed({telling.suffix_of(path) for path in unread}, suffixes)])
    return f"{folder}: no file to read in it (one of {' '.join(sorted(suffixes))}){others}{needs}"


def _read(
    folder: pathlib.Path,
    where: Places,
    asked: Asked,
    said: Table | None,
    parts: bool,
    joined: Pieces,
    labelled: Callable[[pathlib.Path], bool],
) -> Reading:
    """What the folders mean; the classes that a table names go before."""
    kind = "class" if parts or (said and "class" in said.columns) else "label"
    if said and kind in said.columns:
        classes = {path: row.class_name if kind == "class" else row.label for path, row in said.rows.items()}
        for path, name in classes.items():
            if not name:
                raise PointkitError(f"{said.path}: line {said.rows[path].line}: needs a {kind}, found none")
        if len(set(classes.values())) < 2 and not parts:
            raise PointkitError(f"{said.path}: one class only ({shown(min(classes.values()))}), a classifier needs two")
        return Reading(classes)
    root = folder.joinpath(*where.prefix)
    name = root.resolve().name or "shape"
    categories = part_lists(root) if parts else {}
    one = readings.Set(folder, where, name, categories, joined, lambda path: labelled(folder.joinpath(*path)))
    return readings.of_parts(one, asked.folders, asked.category) if parts else readings.of_classes(one, asked.folders)


def _splits(
    folder: pathlib.Path, reading: Reading, where: Places, listed: Listed, said: Table | None, asked: Asked
) -> dict[Parts, str]:
    """Shape -> split by the user's word, else by split folders, lists, or all files' names; "" where nothing says it.

    Shapes in no list are not among them. Raises PointkitError where folders and lists contradict.
    """
    if asked.split:
        return dict.fromkeys(reading.classes, "")
    if said and "split" in said.columns:
        return {path: said.rows[path].split for path in reading.classes}
    first = {shape: files[0][0] for shape, files in reading.pieces.shapes.items()}
    own = {path: where.of[first.get(path, path)].split for path in reading.classes}
    if not listed and not any(own.values()):
        named = {path: names.listed_split(_stem(first.get(path, path)[-1])) for path in reading.classes}
        return named if all(named.values()) and len(set(named.values())) > 1 else own
    if listed and not any(own.values()):
        rest = dict.fromkeys(reading.classes, "train") if listed.rest else {}
        return {path: split for path, split in {**rest, **listed.splits}.items() if path in reading.classes}
    for path, split in listed.splits.items():
        if own.get(path, split) != split:
            raise PointkitError(
                f"{folder}: {shown('/'.join(path))} lies in a folder of {own[path]}, and a list says {split}; move the "
                "lists away, or --split 70/10/20 makes a new split"
            )
    return own


def _found(folder: pathlib.Path, it: Findings, suffixes: Collection[str]) -> Found:
    """The set as it is read."""
    prefix = it.places.prefix
    if any(path[: len(prefix)] != prefix or len(path) == len(prefix) for path in it.splits):
        prefix = ()
    root = folder.joinpath(*prefix)
    classes = tuple(sorted({it.reading.classes[path] for path in it.splits}))
    part_names: dict[str, tuple[str, ...]] = {}
    for path in it.splits if it.reading.pieces else ():
        name = it.reading.classes[path]
        ours = (part for _, part in it.reading.pieces.shapes[path])
        part_names[name] = tuple(sorted({*part_names.get(name, ()), *ours}))
    stems = Counter(_stem("/".join(path[len(prefix) :])) for path in it.splits)
    files = [_file(folder, it, path, len(prefix), stems, part_names) for path in it.splits]
    if part_names and it.asked.names:
        raise PointkitError("--names is for the codes of labels, and these parts are named by their files")
    if it.parts and not part_names and not it.asked.names:  # the user's names go before the set's
        named = part_lists(root)
        part_names = {name: named[name] for name in classes if name in named}
    rows = it.table.rows if it.table else {}
    here = ["/".join(path[len(prefix) :]) for path in it.splits]
    return Found(
        root=root,
        files=tuple(sorted(files, key=lambda found: found.file)),
        classes=classes,
        warnings=tuple(telling.warnings(it, suffixes, classes)),
        prefix="/".join(prefix),
        ignored=dict(Counter(map(telling.suffix_of, it.unread))),
        layout="fields" if it.parts else "",
        part_names=part_names,
        codes=codes.of_set(root, it.asked.names) if it.parts else {},
        groups={name: rows[path].group for name, path in zip(here, it.splits, strict=True) if path in rows},
        words=telling.words(it),
        asked=_facts(it),
    )


def _file(
    folder: pathlib.Path,
    it: Findings,
    path: Parts,
    depth: int,
    stems: Mapping[str, int],
    part_names: Mapping[str, tuple[str, ...]],
) -> FoundFile:
    """A shape with all that belongs to it; ``depth`` folders lead to the set."""
    joined = it.reading.pieces.shapes.get(path, [])
    numbers = part_names[it.reading.classes[path]] if joined else ()
    file, name = "/".join(path[depth:]), it.reading.classes[path]
    row = it.table.rows.get(path) if it.table else None
    labels: tuple[str, ...] = ()
    stamps: list[Stamp] = []
    for piece in [piece for piece, _ in joined] or [path]:
        stamps += [it.tree.files[piece], *formats.stamps_beside(folder.joinpath(*piece))]
    if it.parts and it.table and row and "label" in it.table.columns:
        labels, written = _label_of_row(folder, it.table, row.line, row.label, folder.joinpath(*path[:depth]))
        stamps.append(written)
    elif it.parts and path in it.labels:
        labels = ("/".join(it.labels[path][depth:]),)
        stamps.append(_stamp(it.tree, it.labels[path]))
    return FoundFile(
        file=file,
        ident=file if joined or stems[_stem(file)] > 1 else _stem(file),
        class_name=name,
        split=it.splits[path],
        stamps=tuple(stamps),
        labels=labels,
        pieces=tuple(("/".join(piece[depth:]), numbers.index(part)) for piece, part in joined),
    )


def _stamp(walked: Tree, path: Parts) -> Stamp:
    return walked.files[path] if path in walked.files else walked.others[path]


def _label_of_row(
    folder: pathlib.Path, said: Table, line: int, text: str, root: pathlib.Path
) -> tuple[tuple[str, ...], Stamp]:
    """The file of labels that a row names, from the set's folder, and its stamp."""
    for place in (folder, root, said.path.parent):
        path = place / text
        if text and path.is_file():
            return (os.path.relpath(path.absolute(), root.absolute()),), stamp(path)
    raise PointkitError(
        f"{said.path}: line {line}: no file {text!r} with the labels, in the folder or beside the table"
    )


def _facts(it: Findings) -> dict[str, Any]:
    """What decided how the folder was read, beside its files."""
    facts = it.asked.facts()
    named = sorted(("/".join(path), it.reading.classes[path], split) for path, split in it.splits.items())
    if it.table:
        facts["table"] = digest(json.dumps([named, sorted(map(str, it.table.rows.values()))]).encode())
    elif it.listed and it.listed.splits and not it.places.has_splits:
        facts["lists"] = digest(json.dumps(named).encode())
    return facts


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]


# ---- the texts that come with a set


def part_lists(root: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Directory or category -> names of its parts in order."""
    path = root / PARTS
    if not path.is_file():
        return {}
    named = read_json(path, dict)
    if named and not any(isinstance(some, list) for some in named.values()):
        return {}  # names by code (``codes.of_set``)
    for key, some in named.items():
        if not different_texts(some):
            raise PointkitError(f"{path}: {key!r} must have a list of different names, got {str(some)[:80]}")
    return {key: tuple(some) for key, some in named.items()}


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
