"""A table of the shapes: ``--table shapes.csv`` with the column file, and any of label, class, split and group."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from pointkit.datasets import names
from pointkit.datasets.lists import Index
from pointkit.datasets.tree import Parts
from pointkit.disk import shown
from pointkit.errors import PointkitError

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "filename", "file_name", "path", "shape", "scan"),
    "label": ("label", "labels", "label_file", "labels_file"),
    "class": ("class", "class_name", "category"),
    "split": ("split", "subset", "set"),
    "group": ("group", "object", "patient"),
}


@dataclass(frozen=True)
class Row:
    """What a line says of a shape; "" where it says nothing. ``label`` is a class, or a file of labels."""

    line: int
    label: str = ""
    class_name: str = ""
    split: str = ""
    group: str = ""


@dataclass(frozen=True)
class Table:
    """The rows of a table by the shapes that they are about, and which columns it has."""

    path: pathlib.Path
    rows: Mapping[Parts, Row]
    columns: frozenset[str]


def read(path: pathlib.Path, index: Index) -> Table:
    """The table at ``path``. Raises PointkitError, with the line, where it names a file that is not there."""
    lines = _lines(path)
    columns = _columns(path, lines[0] if lines else [])
    rows: dict[Parts, Row] = {}
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        said = {name: cells[at].strip() if at < len(cells) else "" for name, at in columns.items()}
        shape = _shape(path, number, said["file"], index)
        split = names.split_of(said.get("split", ""))
        if "split" in columns and not split:
            rule = "a split must be train, val or test"
            raise PointkitError(f"{path}: line {number}: {rule}, got {said['split']!r}")
        row = Row(number, said.get("label", ""), said.get("class", ""), split, said.get("group", ""))
        if shape in rows:
            both = f"lines {rows[shape].line} and {number}"
            raise PointkitError(f"{path}: {both} are about the same file {shown('/'.join(shape))}")
        rows[shape] = row
    if not rows:
        raise PointkitError(f"{path}: must have a line for each file, found none")
    return Table(path, rows, frozenset(columns))


def _lines(path: pathlib.Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            title = file.readline()
            separator = max(",;\t", key=title.count)
            file.seek(0)
            return list(csv.reader(file, delimiter=separator))
    except (OSError, csv.Error, ValueError) as error:
        raise PointkitError(f"{path}: cannot be read as a CSV file ({error})") from None


def _columns(path: pathlib.Path, title: list[str]) -> dict[str, int]:
    """What a column says -> its place."""
    found: dict[str, int] = {}
    for at, cell in enumerate(title):
        name = "_".join(cell.lower().replace("-", " ").replace("_", " ").split())
        kind = next((kind for kind, known in COLUMNS.items() if name in known), None)
        if kind in found:
            raise PointkitError(f"{path}: two columns say the {kind}: {title[found[kind]]!r} and {cell!r}")
        if kind:
            found[kind] = at
    if "file" not in found or len(found) < 2:
        have = ", ".join(title)[:200] or "none"
        rule = "needs the column file, and any of label, class, split, group"
        raise PointkitError(f"{path}: {rule}; found {have}")
    return found


def _shape(path: pathlib.Path, number: int, text: str, index: Index) -> Parts:
    shapes = index.find(text)
    if not shapes:
        raise PointkitError(f"{path}: line {number}: no file {text!r} to read in the folder")
    if len(shapes) > 1:
        both = " or ".join(shown("/".join(shape)) for shape in shapes[:2])
        raise PointkitError(f"{path}: line {number}: {text!r} may be {both}; name its folder, too")
    return shapes[0]
