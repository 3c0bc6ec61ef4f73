"""The rows of a text as columns: of numbers, many read at once, or cell by cell where there are words or empty cells.

Words and empty cells need names of columns, because without names they look like damage. An empty cell is nan. A column
of words becomes a field of words, so that nothing goes lost in silence.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Any

import fastnumbers
import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array, Float64
from pointkit.formats import layout, numbers
from pointkit.formats.columns import LEFT_OUT, asked_for
from pointkit.formats.layout import BLANK, Head, Rows

Int64 = NDArray[np.int64]

MOST_COLUMNS = 1024
_COUNTED = 10  # rows of a table, from which on a column that counts them is no chance
_FEW = 24  # columns that a cloud of fewer points may well have
_FORTRAN = re.compile(rb"([0-9.])[dD]([+-]?[0-9])")  # 1.0D+00
_DECIMAL = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_EMPTY = re.compile(rb"[,;][ \t]*[,;]|^[ \t]*[,;]", re.MULTILINE)
_BLANKS = bytes.maketrans(b",;", b"  ")
_POINTS = bytes.maketrans(b",;", b". ")
_MISSING = ("", "-", "na", "n/a", "#n/a", "null", "none")
_LONGEST_WORD = 32  # characters of a word that are kept, for people to read
_FELLOWS = 8  # rows with equally many decimals, before a last one with fewer is damage


def read(rows: Rows, head: Head, names: Sequence[str] | None) -> tuple[list[Array], bool]:
    """The columns, as float64 or as words, and whether the rows hold words or empty cells.

    ``names`` are those of the columns, None where they have none. Columns left out may hold anything. Raises ValueError
    for rows that are neither, with the line.
    """
    try:
        table = _table(rows, head, names is not None)
    except ValueError:
        if names is None or layout.CONTROL.search(rows.cells):
            raise
        return _cells(rows, head, names), True
    if names is not None and table.shape[1] != len(names):
        return _cells(rows, head, names), True
    return list(table.T), False


def check_shape(count: int, width: int, named: bool) -> None:
    """Refuse what is no cloud: less than three columns, too many, or without names more columns than points.

    Three rows of four numbers and more may be the three axes of so many points.
    """
    if not count:
        raise ValueError("no points")
    if width < 3:
        raise ValueError(f"a row must hold x, y and z, got {width} numbers")
    if width > 3 and count < width and (count == 3 or width > _FEW) and not named:
        advice = f"if a row is a point, {asked_for(width)}" if width <= _FEW else "if a row is a point, name --columns"
        raise ValueError(
            f"{count:,} rows of {width:,} numbers: are these {count:,} points, or is it transposed, {width:,} points "
            f"in columns? {advice}; else save it with a row for each point"
        )
    if width > MOST_COLUMNS:
        raise ValueError(f"a row must hold {MOST_COLUMNS:,} numbers at most, got {width:,}")


def refuse_numbered(first: Array, width: int) -> None:
    """Raise ValueError where the first of the columns without names counts the rows, and so may be no coordinate."""
    if width < 4 or len(first) < _COUNTED or first.dtype.kind not in "fiu":
        return
    if np.array_equal(first, first[0] + np.arange(len(first))) and first[0] == np.round(first[0]):
        names = ",".join([LEFT_OUT, *"xyz", *LEFT_OUT * (width - 4)])
        raise ValueError(
            f"the first of {width} columns without names counts the rows ({first[0]:g} to {first[-1]:g}): which are x, "
            f"y and z? --columns names all {width} in their order, like {names}"
        )


# ---- rows of numbers


def _table(rows: Rows, head: Head, named: bool) -> Float64:
    """The numbers of the rows (N, C)."""
    if rows.mixed:
        raise ValueError(rows.mixed)
    body = rows.body
    if b"D" in body or b"d" in body:
        body = _FORTRAN.sub(rb"\1E\2", body)
    if not named and not layout.all_numbers(first := body.split(b"\n", 1)[0]):
        shown = " ".join(layout.characters(first).split())[:80]
        raise ValueError(f"the first line must be names or numbers, got {shown!r}")
    if rows.separator in (b",", b";"):
        at_end = named and (rows.separator + b"\n" in body or body.endswith(rows.separator))
        if at_end or _has_empty(body, rows.separator):
            if not named:
                raise ValueError("columns must not be empty, got two separators with nothing between")
            body = _filled(body, rows.separator)
    if rows.decimals or b"," in body or b";" in body:
        body = body.translate(_POINTS if rows.decimals else _BLANKS)
    refuse_cut(body)
    return numbers.of_equal_length(*_one_scan(*parsed(body, head.line), head.promised))


def _has_empty(body: bytes, by: bytes) -> bool:
    """Whether a column is empty, other than the last one."""
    if body.startswith(by) or by + by in body or b"\n" + by in body:
        return True
    if b" " not in body and b"\t" not in body:
        return False
    body = body.replace(by + b" ", by)
    return bool((b" " in body or b"\t" in body or by + by in body) and _EMPTY.search(body))


def _filled(body: bytes, by: bytes) -> bytes:
    """Rows with nan in their empty columns, where no blanks are in them."""
    nothing = b"nan"
    for _ in range(2):  # of two that share a separator the second goes in the second round
        body = body.replace(by + by, by + nothing + by)
    body = body.replace(b"\n" + by, b"\n" + nothing + by).replace(by + b"\n", by + nothing + b"\n")
    return (nothing if body.startswith(by) else b"") + body + (nothing if body.endswith(by) else b"")


def parsed(body: bytes, line: int) -> tuple[Float64, Int64]:
    """``numbers.parse`` of rows behind so many lines; its errors name the line, from 1."""
    try:
        return numbers.parse(body)
    except ValueError as error:
        raise ValueError(f"{error} in line {line + _bad_line(body) + 1}") from None


def _bad_line(body: bytes) -> int:
    """The first line that is not of numbers: half by half, so that this costs as much as to read twice."""
    start, end = 0, len(body)
    while True:
        middle = body.rfind(b"\n", start, (start + end) // 2) + 1 or body.find(b"\n", start, end - 1) + 1
        if not start < middle < end:
            return body.count(b"\n", 0, start)
        try:
            numbers.parse(body[start:middle])
            start = middle
        except ValueError:
            end = middle


def _one_scan(values: Float64, counts: Int64, promised: int | None) -> tuple[Float64, Int64]:
    """Numbers, and how many are in each row, without the lines that promise a number of points.

    Scanners write several scans into one .pts file, one after another, each with such a line.
    """
    if promised is None:
        return values, counts
    singles = np.flatnonzero(counts == 1)
    places = (np.cumsum(counts) - counts)[singles]
    sizes = np.diff([-1, *singles.tolist(), len(counts)]) - 1
    for index, (promise, size) in enumerate(zip([promised, *values[places].tolist()], sizes.tolist(), strict=True)):
        if promise != size or not size:
            which = "the first line promises" if not index else f"scan {index + 1} promises"
            raise ValueError(f"{which} {promise:.15g} points, got {size}")
    return np.delete(values, places), np.delete(counts, singles)


def refuse_cut(body: bytes) -> None:
    """Refuse a last row without a line's end and with fewer decimals, where its fellows all have as many."""
    *fellows, last = [(line.split() or [b""])[-1] for line in body[-100_000:].rsplit(b"\n", _FELLOWS + 1)[1:]] or [b""]
    decimals = {len(word.partition(b".")[2]) for word in fellows}
    if len(fellows) < _FELLOWS or len(decimals) > 1 or not last:
        return
    if re.fullmatch(rb"[+-]?\d*\.?\d*", last) and len(last.partition(b".")[2]) < min(decimals):
        raise ValueError(
            f"the last line ends in {last.decode()!r} and without a line's end, the lines before it in "
            f"{min(decimals)} decimals: is the file cut?"
        )


# ---- rows of cells


def _cells(rows: Rows, head: Head, names: Sequence[str]) -> list[Array]:
    """The columns of rows that hold words or empty cells."""
    body = layout.COMMENT_LINE.sub(b"", rows.cells) if rows.cells is not rows.body else rows.body
    lines = layout.characters(body).split("\n")
    places = [index for index, line in enumerate(lines, head.line + 1) if line.strip()]
    found = _split([lines[place - head.line - 1] for place in places], rows.separator)
    if head.promised is not None and head.promised != len(found):
        raise ValueError(f"the first line promises {head.promised} points, got {len(found)}")
    width = len(names)
    if set(map(len, found)) - {width}:
        for place, row in zip(places, found, strict=True):
            if len(row) != width and (len(row) != width + 1 or row[-1].strip()):
                raise ValueError(f"line {place} holds {len(row)} columns, {width} have names")
        found = [row[:width] for row in found]
    cells = zip(*found, strict=True) if found else ([] for _ in names)
    return [_column(name, column, places) for name, column in zip(names, cells, strict=True)]


def _split(lines: list[str], by: bytes) -> list[list[str]]:
    """Rows as cells. A quoted cell may hold the separator."""
    if by == BLANK:
        by, lines = b" ", [" ".join(line.rstrip(",; \t").split()) for line in lines]
    reader = csv.reader(lines, delimiter=by.decode(), skipinitialspace=True, strict=True)
    try:
        found = list(reader)
    except csv.Error as error:
        raise ValueError(f"a quoted cell must end in its own line, before a separator ({error})") from None
    if len(found) != len(lines):
        raise ValueError("a quoted cell must end in its own line, got one that goes on in the next")
    return found


def _column(name: str, cells: Sequence[str], places: Sequence[int]) -> Array:
    """The cells of a column as numbers, or as words where none is a number. Row i stands in the line ``places[i]``."""
    try:
        return fastnumbers.try_array(cells, on_fail=fastnumbers.RAISE)
    except ValueError:
        known = {cell: _number(cell.strip()) for cell in set(cells)}
    words = {cell for cell, number in known.items() if number is None}
    if not words or name == LEFT_OUT:
        return np.array([np.nan if (number := known[cell]) is None else number for cell in cells])
    if all(number is None or np.isnan(number) for number in known.values()):
        short = {cell: cell.strip()[:_LONGEST_WORD] for cell in known}
        return np.array([short[cell] for cell in cells])
    row, cell = next((row, cell) for row, cell in enumerate(cells) if cell in words)
    raise ValueError(
        f"the column {name} must hold numbers or words, got both, such as {cell.strip()[:40]!r} in line {places[row]}; "
        f'--columns leaves a column out with "{LEFT_OUT}"'
    )


def _number(word: str) -> float | None:
    """A number, nan for none; None for other words."""
    if word.lower() in _MISSING:
        return np.nan
    if _DECIMAL.fullmatch(word):
        return float(word.replace(",", "."))
    return float(word.lower().replace("d", "e")) if layout.NUMBER.fullmatch(word) else None


def numeric(name: str, column: Array) -> NDArray[Any]:
    """A column of numbers; ValueError for words."""
    if column.dtype.kind != "f":
        raise ValueError(f"the column {name} must hold numbers, got words such as {str(column[0])!r}")
    return column
