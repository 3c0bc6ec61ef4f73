"""PTX, the text that terrestrial scanners export: several scans, each a grid of rows behind a head of ten lines.

    columns, rows            a line each: how many measurements the grid has
    position, three axes     four lines of three numbers: where the scanner stood
    4 x 4 matrix             four lines: a row (x, y, z, 1) times it is the point in the coordinates of all scans
    x y z intensity [r g b]  a line for each measurement, column after column

A measurement that nothing came back from is the row 0 0 0 0.5. It has no place, and is treated as a row of nan is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pointkit.cloud import Array, Float64, PointCloud
from pointkit.formats import cells, layout, numbers, records
from pointkit.formats.columns import LABEL, in_text
from pointkit.formats.records import Int64

_HEAD = (1, 1, 3, 3, 3, 3, 4, 4, 4, 4)  # numbers in the lines of a head
_NAMES = {  # numbers in a row -> the names of those behind the coordinates
    4: ("intensity",),
    7: ("intensity", "red", "green", "blue"),
}
_NAMES |= {width + 1: (*names, LABEL) for width, names in tuple(_NAMES.items())}  # as ``annotate`` writes them
_NAMES |= {width + 1: (*_NAMES[width][:-1], f"source_{LABEL}", LABEL) for width in (5, 8)}
_NOTHING = (0.0, 0.5)  # the intensities of measurements that nothing came back from


class _Scan(NamedTuple):
    """A scan: the line of its first row among the lines that hold numbers, how many rows it has, and its matrix."""

    first: int
    rows: int
    matrix: Float64


def read(data: bytes) -> PointCloud:
    """The points of all scans in the coordinates that their matrices lead to; ``scan`` numbers several scans from 0."""
    text = layout.lines(data)
    cells.refuse_cut(text)
    values, counts = cells.parsed(text, 0)
    scans = _scans(values, counts)
    width = _width(scans, counts)
    begins = np.cumsum(counts) - counts
    tables = [
        values[begins[scan.first] :][: scan.rows * width].reshape(scan.rows, width) for scan in scans if scan.rows
    ]
    if not tables:
        raise ValueError("no points")
    xyz = np.concatenate(
        [_placed(table, scan.matrix) for table, scan in zip(tables, filter(_some, scans), strict=True)]
    )
    rest = np.concatenate([table[:, 3:] for table in tables])
    fields = {name: in_text(name, rest[:, i]) for i, name in enumerate(_NAMES[width])}
    if "red" in fields and (colors := records.colors(rest[:, 1:4])) is not None:
        fields |= records.channels(("red", "green", "blue"), colors)
    if len(scans) > 1:
        fields["scan"] = np.repeat(np.arange(len(scans), dtype=np.int32), [scan.rows for scan in scans])
    return records.cloud(xyz, fields)


def annotate(data: bytes, fields: Mapping[str, Array], notes: Sequence[str]) -> list[bytes]:
    """A file with one more number at the end of each row: the field ``label``, or the first where none has that name.

    Programs tell the columns of a row by their number, so there is room for one only, and none for ``notes``. Rows that
    nothing came back from get -1.
    """
    cloud = read(data)
    points, count = records.rows_of(cloud)
    name = LABEL if LABEL in fields else next(iter(fields), LABEL)
    ours = records.spread(
        records.added({n: array for n, array in fields.items() if n == name}, len(points)), points, count
    )
    if ours[name].ndim > 1 or f"source_{LABEL}" in cloud.fields:
        raise ValueError("a row has room for one label and that of the source, got more")
    decoded, coding = layout.decoded(data)
    lines = decoded.splitlines(keepends=True)
    some = [i for i, line in enumerate(lines) if line.strip()]
    scans = _scans(*numbers.parse(layout.lines(data)))
    rows = [some[line] for scan in scans for line in range(scan.first, scan.first + scan.rows)]
    ends = [len(lines[i].rstrip()) for i in rows]
    for i, line in zip(rows, records.longer_lines([lines[i] for i in rows], ends, ours.values()), strict=True):
        lines[i] = line
    return layout.encoded(lines, coding)


def _some(scan: _Scan) -> bool:
    return scan.rows > 0


def _scans(values: Float64, counts: Int64) -> list[_Scan]:
    """The scans of a file, from its numbers and how many are in each line. All lines belong to one of them."""
    begins = np.cumsum(counts) - counts
    scans: list[_Scan] = []
    at = 0
    while at < len(counts):
        name = f"scan {len(scans) + 1}"
        head = tuple(counts[at : at + len(_HEAD)].tolist())
        if head != _HEAD:
            rule = "begins with the numbers of columns and rows, four lines of 3 numbers and four of 4"
            raise ValueError(f"{name} {rule}, got lines of {' '.join(map(str, head))}: is the file cut, or no PTX?")
        first = at + len(_HEAD)
        columns, rows = records.whole("columns and rows", values[begins[at] : begins[at] + 2]).tolist()
        if min(columns, rows) < 0 or columns * rows > len(counts) - first:
            there = len(counts) - first
            raise ValueError(f"{name} promises {columns:,} columns of {rows:,} points, got {there:,} lines: is it cut?")
        start = begins[first - 4]
        scans.append(_Scan(first, columns * rows, _matrix(name, values[start : start + 16].reshape(4, 4))))
        at = first + columns * rows
    return scans


def _matrix(name: str, matrix: Float64) -> Float64:
    """A scan's matrix, checked: its last column must be 0 0 0 1, and it must not flatten the scan."""
    if not np.isfinite(matrix).all() or matrix[:, 3].tolist() != [0, 0, 0, 1] or not np.linalg.det(matrix[:3, :3]):
        shown = "; ".join(" ".join(f"{number:.6g}" for number in row) for row in matrix.tolist())
        raise ValueError(f"the 4 x 4 matrix of {name} must have lines that end in 0, 0, 0 and 1, got {shown}")
    return matrix


def _width(scans: Sequence[_Scan], counts: Int64) -> int:
    """How many numbers each row has."""
    widths = np.concatenate([np.empty(0, np.int64), *(counts[scan.first : scan.first + scan.rows] for scan in scans)])
    if not len(widths):
        raise ValueError("no points")
    if widths.min() != widths.max():
        row = int(np.flatnonzero(widths != widths[0])[0])
        raise ValueError(f"rows must be equally long, got {widths[0]} numbers in row 0 and {widths[row]} in row {row}")
    width = int(widths[0])
    if width not in _NAMES:
        raise ValueError(f"a row holds x y z and intensity, then red green blue, then a label, got {width} numbers")
    return width


def _placed(table: Float64, matrix: Float64) -> Float64:
    """The coordinates (R, 3) of a scan's rows among all scans; nan where nothing was measured."""
    xyz = table[:, :3].copy()
    xyz[(xyz == 0).all(1) & np.isin(table[:, 3], _NOTHING)] = np.nan
    if not np.array_equal(matrix[:3, :3], np.eye(3)):
        xyz = xyz @ matrix[:3, :3]
    return xyz + matrix[3, :3] if matrix[3, :3].any() else xyz
