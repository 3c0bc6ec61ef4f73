"""What a folder is, before anything is read: for which task, which shapes, who would train and who would test.

``look`` is what ``prepare --dry-run`` and ``info FOLDER`` show. It writes nothing.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pointkit import formats
from pointkit.datasets import folder, shapenet_part, stacked
from pointkit.datasets.asked import NOTHING_ASKED, Asked
from pointkit.datasets.folder import Found, Words
from pointkit.disk import shown
from pointkit.errors import FormatError, PointkitError
from pointkit.formats import npy
from pointkit.formats.columns import Meaning, labels_of
from pointkit.prepare import rows, splits
from pointkit.rules import suggest
from pointkit.task import TASKS, Classification, Parts

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Survey:
    """A folder as ``prepare`` would take it. ``counts``: split -> class -> shapes; ``how`` the split is made."""

    found: Found
    counts: Mapping[str, Mapping[str, int]]
    how: str

    def facts(self) -> dict[str, Any]:
        """The same as data."""
        found = self.found
        return {
            "kind": "folder",
            "found": found.words.found,
            "taken_as": found.words.taken,
            "otherwise": list(found.words.otherwise),
            "task": found.task,
            "classes": list(found.classes),
            **({"parts": {name: list(parts) for name, parts in found.part_names.items()}} if found.part_names else {}),
            "shapes": len(found.files),
            "split": self.how,
            "counts": {split: dict(some) for split, some in self.counts.items()},
            "not_read": dict(found.ignored),
            "warnings": list(found.warnings),
        }


def look(
    source: Path,
    task: str | None = None,
    *,
    classes: Collection[str] = (),
    seed: int = 0,
    groups: Path | None = None,
    asked: Asked = NOTHING_ASKED,
) -> Survey:
    """A folder as ``prepare`` would take it, by its files' names. Copies may move a few shapes of a split made here."""
    found = find(pathlib.Path(source), task, asked, groups)
    if classes:
        found = found.only(classes)
    shapes, how = rows.plan(found, rows.groups_of(groups, found), seed, splits.shares(asked.split))
    return Survey(found, rows.counts(shapes, found.classes), how)


def meaning_of(asked: Asked) -> Meaning:
    """The user's word about columns."""
    return Meaning.said(asked.label_field, asked.columns, asked.unlabelled)


def find(
    source: pathlib.Path, task: str | None = None, asked: Asked = NOTHING_ASKED, groups: Path | None = None
) -> Found:
    """The shapes of a folder, for ``task`` or else for the task that the folder and the flags suit.

    Raises PointkitError.
    """
    splits.shares(asked.split)  # a mistake in it is answered first
    task = _task(task, asked)
    published = shapenet_part.layout_of(source) if task != Classification.name else None
    if published:
        return _published(*published, asked)
    if found := stacked.find(source, task, asked):
        return found
    try:
        found = folder.find(
            source,
            formats.SUFFIXES,
            parts=task == Parts.name,
            asked=asked,
            labelled=_labelled(meaning_of(asked)),
            without=[pathlib.Path(path) for path in (groups, asked.names) if path and pathlib.Path(path).is_file()],
        )
    except PointkitError:
        if how := _many_shapes(source):
            raise PointkitError(how) from None
        raise
    files = [name for file in found.files for name in ([piece for piece, _ in file.pieces] or [file.file])]
    if asked.columns and not any(map(formats.takes_columns, files)):
        raise PointkitError(
            f"{source}: --columns is for texts and arrays, found none; {shown(files[0])} names its own columns"
        )
    return found


def _many_shapes(source: pathlib.Path) -> str:
    """What to say of a folder that names no classes as its arrays hold many shapes each; "" for others."""
    path = next(iter(sorted(source.glob("*.np[yz]"))), None)
    try:
        if path:
            formats.read(path)
    except FormatError as error:
        return str(error) if npy.SEVERAL in str(error) else ""
    except OSError:
        pass
    return ""


def _task(task: str | None, asked: Asked) -> str | None:
    """The task; flags that are for parts alone say it, too."""
    if task is not None and task not in TASKS:
        raise PointkitError(f"task must be one of {', '.join(TASKS)}, got {task!r}{suggest(task, TASKS)}")
    given = {
        "--category": asked.category,
        "--folders pieces": asked.folders == "pieces",
        "--label-field": asked.label_field,
        "--unlabelled": asked.unlabelled,
        "--names": asked.names,
    }
    flag = next((name for name, value in given.items() if value), None)
    if flag and task == Classification.name:
        raise PointkitError(f"{flag} is for labelled points: it needs --task {Parts.name}")
    return Parts.name if flag else task


def _published(root: pathlib.Path, layout: str, asked: Asked) -> Found:
    given = [f"--{name}" for name in ("folders", "category", "table", "names") if getattr(asked, name)]
    if given:
        raise PointkitError(
            f"{root}: a published set of part annotations, which {given[0]} is not for; --task classification reads "
            "it as a folder like any other"
        )
    found = shapenet_part.find(root, layout)
    official = any(file.split for file in found.files)
    if asked.split:
        found = replace(found, files=tuple(replace(file, split="") for file in found.files))
    categories = f"{len(found.classes):,} categor{'y' if len(found.classes) == 1 else 'ies'}"
    split = f"{asked.split or '70/10/20'} made here" if asked.split or not official else "from its lists"
    words = Words(
        f"part annotations as ShapeNet's were published (layout {layout}), {len(found.files):,} labelled shapes",
        f"{categories} with labelled points; split {split}",
        ("--task classification for classes alone",),
    )
    return replace(found, words=words, asked=asked.facts())


def _labelled(meaning: Meaning) -> Callable[[pathlib.Path], bool]:
    def labelled(path: pathlib.Path) -> bool:
        """Whether the points or faces of a file have labels."""
        try:
            shape = formats.read(path, meaning=meaning)
        except (OSError, ValueError):
            return False
        try:
            return labels_of(shape, meaning) is not None
        except ValueError:  # several fields may be the labels
            return True

    return labelled
