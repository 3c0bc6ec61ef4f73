"""Points as lines of text (.xyz .txt .pts .asc): x, y, z and further columns, parted by blanks, commas or semicolons.

A comment begins with # or //. The columns may be named, by a first line or by a first comment; the first line may be
the number of points, as in .pts files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np

from pointkit.cloud import Array, PointCloud, Shape
from pointkit.formats import files, numbers, records

_TITLE = re.compile(rb"\A\s*(?:\d+[ \t]*\n)?[ \t]*(?:#|//)([^\n]*)")
_FIRST_LINE = re.compile(rb"\A\s*([^\n]*)(?:\n|\Z)")
_EMPTY_COLUMN = re.compile(rb"[,;][ \t]*[,;]|^[ \t]*[,;]", re.MULTILINE)
_SEPARATORS = bytes.maketrans(b",;", b"  ")


def read(path: files.Path) -> PointCloud:
    """The cloud in a text; columns beyond the coordinates are fields, under their names or as ``column3`` ..."""
    return parse(files.load(path))


def parse(text: bytes) -> PointCloud:
    """``read`` for the text itself. Raises ValueError where it holds no cloud."""
    text = text.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    title = _TITLE.match(text)
    if b"#" in text or b"//" in text:
        text = re.sub(rb"(?:#|//)[^\n]*", b"", text)
    text, names = _names(_split(text))
    text, promised = _promised(text)
    table = numbers.table(text)
    count, width = table.shape
    if promised is not None and promised != count:
        raise ValueError(f"the first line promises {promised} points, got {count}")
    if not count:
        raise ValueError("no points")
    if names is not None and len(names) != width:
        raise ValueError(f"the first line names {len(names)} columns, got {width} numbers in a row")
    if width < 3:
        raise ValueError(f"a row must hold x, y and z, got {width} numbers")
    if names is None and title:  # a comment counts as names only where it looks like them
        words = _words(title[1].translate(_SEPARATORS))
        names = words if len(words) == width and _axes(words) else None
    names = names or ["x", "y", "z", *(f"column{index}" for index in range(3, width))]
    axes = _axes(names) or [0, 1, 2]
    points, placement = records.placed("points", table[:, axes])
    fields = {name: _field(name, table[:, i]) for i, name in enumerate(names) if i not in axes}
    if len(fields) != width - 3:
        raise ValueError(f"columns must have different names, got {' '.join(names)}")
    return PointCloud(points, fields, records.labels_of(fields), placement)


def write(path: files.Path, shape: Shape, notes: Sequence[str] = ()) -> None:
    """Write a cloud; a comment names the columns where there are fields, and a .pts file begins with the count.

    Further comments hold the ``notes``.
    """
    if not isinstance(shape, PointCloud):
        raise ValueError("a text of points holds a cloud, got a mesh")
    fields = records.flat(records.columns(shape))
    for name, column in fields.items():
        if re.search(r"[,;#]|//", name) or column.dtype.kind not in "biuf":
            raise ValueError(f"a text of points holds named numbers, got {name!r} of the type {column.dtype}")
    with files.replacing(path) as file:
        if os.fsdecode(path).lower().endswith(".pts"):
            file.write(f"{len(shape.points)}\n".encode())
        if fields:
            file.write(f"# {' '.join(['x', 'y', 'z', *fields])}\n".encode("ascii"))
        file.write("".join(f"# {note}\n" for note in notes).encode())
        file.write(records.text_rows([*records.text_coordinates(shape).T, *fields.values()]))


def _split(text: bytes) -> bytes:
    """The text with blanks for separators."""
    if b";" in text or b"," in text:
        if b";" in text and b"," in text:
            raise ValueError(
                "columns must be parted by commas or by semicolons, got both (a decimal comma is not read)"
            )
        if _EMPTY_COLUMN.search(text):
            raise ValueError("columns must not be empty, got two separators with nothing between")
        text = text.translate(_SEPARATORS)
    return text


def _names(text: bytes) -> tuple[bytes, list[str] | None]:
    """The text behind a first line of names, and these."""
    line = _FIRST_LINE.match(text)
    words = _words(line[1]) if line else []
    if not line or not words or _is_number(words[0]):
        return text, None
    if any(_is_number(word) for word in words):
        raise ValueError(f"the first line must be names or numbers, got {' '.join(words)[:80]!r}")
    return text[line.end() :], words


def _promised(text: bytes) -> tuple[bytes, int | None]:
    """The text behind a first line that is the number of points, and this."""
    line = _FIRST_LINE.match(text)
    if not line or not re.fullmatch(rb"\d{1,18}\s*", line[1]):
        return text, None
    return text[line.end() :], int(line[1])


def _words(line: bytes) -> list[str]:
    return [word.strip("\"'") for word in line.decode("utf-8", "backslashreplace").split()]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _axes(names: list[str]) -> list[int] | None:
    """Where x, y and z stand among names, if they do."""
    lower = [name.lower() for name in names]
    return [lower.index(axis) for axis in "xyz"] if {"x", "y", "z"} <= set(lower) else None


def _field(name: str, column: Array) -> Array:
    """A column of text: float64, but labels as whole numbers where they are."""
    is_label = name == "label" and (column == np.round(column)).all() and (np.abs(column) < 2**31).all()
    return column.astype(np.int32) if is_label else np.ascontiguousarray(column)
