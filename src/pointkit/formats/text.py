"""Points as lines of text (.xyz .txt .pts .asc .csv): x, y, z and more columns, parted by blanks, commas or semicolons.

A comment begins with # or //. The first line, or a comment before the rows, may name the columns. The first line may be
the number of points, as in .pts files. All suffixes are read by the same rules. A .csv file is written with commas, and
with names in its first line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, PointCloud, Shape
from pointkit.formats import cells, layout, records
from pointkit.formats.columns import LEFT_OUT, NOTHING_SAID, Meaning, coordinates, in_text
from pointkit.formats.layout import BLANK, COMMENT, Head, Rows, Title

_COUNT = re.compile(rb"\s*\d+[ \t]*[\r\n]*")
_ENDS = b" \t\r\n\v\f,;"


def read(data: bytes, meaning: Meaning = NOTHING_SAID) -> PointCloud:
    """The cloud in a text. Columns beyond the coordinates are fields, under their names or as ``column3`` ...

    ``meaning`` names the columns, before a title does.
    """
    return _read(*_parts(data), meaning)[0]


def _read(head: Head, rows: Rows, meaning: Meaning) -> tuple[PointCloud, bool]:
    """The cloud, and whether the rows hold words or empty cells."""
    title = None if meaning.columns else layout.title(head, rows)
    names = meaning.names(rows.width) or _named(title, rows.width)
    found, words = cells.read(rows, head, names)
    count, width = len(found[0]) if found else 0, len(found)
    cells.check_shape(count, width, names is not None or head.promised is not None)
    if names is None:
        cells.refuse_numbered(found[0], width)
    names = names or _plain_names(width)
    xyz = coordinates(names, values=found)
    empty = [i for i, (start, end) in enumerate(title.cells) if start == end and _is_nan(found[i])] if title else []
    kept = [i for i, name in enumerate(names) if i not in [*xyz, *empty] and name != LEFT_OUT]
    fields = {names[i]: in_text(names[i], found[i]) for i in kept}
    if len(fields) != len(kept):
        raise ValueError(f"columns must have different names, got {' '.join(names)}")
    return records.cloud(np.stack([cells.numeric(names[i], found[i]) for i in xyz], 1), fields), words


def _parts(data: bytes) -> tuple[Head, Rows]:
    """The head of a text, and how its rows are parted."""
    text = layout.lines(data)
    head = layout.head(text)
    if head.start == len(text):
        raise ValueError("no points" if not head.promised else f"the first line promises {head.promised} points, got 0")
    return head, layout.rows(text, head)


def _is_nan(column: Array) -> bool:
    return column.dtype.kind == "f" and bool(np.isnan(column).all())


def _named(title: Title | None, width: int) -> list[str] | None:
    """The names of all columns; None where nothing names them."""
    if title is None:
        return None
    if len(title.names) != width:
        raise ValueError(f"the first line names {len(title.names)} columns, got {width} numbers in a row")
    return title.names


def write(path: disk.Path, shape: Shape, notes: Sequence[str] = ()) -> None:
    """Write a cloud. A comment names the columns where there are fields, and further comments hold the ``notes``.

    A .pts file begins with the count. A .csv file begins with the names, and has no comments.
    """
    if not isinstance(shape, PointCloud):
        raise ValueError("a text of points holds a cloud, got a mesh")
    fields = {name: _whole(column) for name, column in _writable(records.flat(records.columns(shape))).items()}
    names = ["x", "y", "z", *fields]
    rows = records.text_rows([*records.text_coordinates(shape).T, *fields.values()])
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    with disk.replacing(path) as file:
        if suffix == ".csv":
            file.writelines([f"{','.join(names)}\n".encode("ascii"), rows.replace(b" ", b",")])
            return
        if suffix == ".pts":
            file.write(f"{len(shape.points)}\n".encode())
        if fields:
            file.write(f"# {' '.join(names)}\n".encode("ascii"))
        file.write("".join(f"# {note}\n" for note in notes).encode())
        file.write(rows)


def _whole(column: Array) -> Array:
    """A column of floats that all are whole numbers as such, so that colours stay without a decimal point."""
    if column.dtype.kind != "f":
        return column
    with np.errstate(invalid="ignore"):
        whole = column.astype(np.int64)
    exact = np.array_equal(whole, column) and not np.signbit(column[whole == 0]).any()
    return whole if exact and np.abs(whole).max(initial=0) <= 2**53 else column


def annotate(
    data: bytes,
    fields: Mapping[str, Array],
    notes: Sequence[str],
    meaning: Meaning = NOTHING_SAID,
    numbers_alone: bool = False,
) -> list[bytes]:
    """A text with further numbers at the end of each row, and their names after the last name.

    ``fields``: name -> an array with a row for each point. A text without names gets the names of all columns as its
    first comment. ``notes`` follow the names. With ``numbers_alone``, a text without names and comments gets neither,
    because programs that read such files expect only numbers. Three rows get names all the same: without them they may
    also be the three axes of more points.
    """
    decoded, coding = layout.decoded(data)
    head, rows = _parts(data)
    cloud, words = _read(head, rows, meaning)
    points, count = records.rows_of(cloud)
    lines = decoded.splitlines(keepends=True)
    ours = _writable(records.flat(records.spread(records.added(fields, len(points)), points, count)))
    at = next(i for i, line in enumerate(lines) if line.strip())
    at += bool(_COUNT.fullmatch(lines[at]))  # where a comment with names would be
    ending = lines[0][len(lines[0].rstrip(b"\r\n")) :] or b"\n"
    more = [f"# {note}".encode() + ending for note in notes]
    title = layout.title(head, rows)
    if title:
        at = title.line + 1
        lines[title.line] = _longer_title(lines[title.line], title, list(ours))
    elif numbers_alone and not COMMENT.search(decoded) and (count != 3 or head.promised is not None):
        more = []
    else:
        said = meaning.names(rows.width) or _plain_names(rows.width)
        theirs = [f"column{i}" if name == LEFT_OUT else name for i, name in enumerate(said)]
        names = records.renamed(theirs, ours)
        more.insert(0, f"# {' '.join([*(names.get(name, name) for name in theirs), *ours])}".encode() + ending)
    _lengthen(lines, head, rows, words, ours)
    return layout.encoded([*lines[:at], *more, *lines[at:]], coding)


def annotate_csv(
    data: bytes, fields: Mapping[str, Array], notes: Sequence[str], meaning: Meaning = NOTHING_SAID
) -> list[bytes]:
    """``annotate`` for a table that other programs read, which expect no comments: it gets no ``notes``."""
    return annotate(data, fields, (), meaning, numbers_alone=True)


def _lengthen(lines: list[bytes], head: Head, rows: Rows, words: bool, ours: Mapping[str, Array]) -> None:
    """Add our numbers at the end of each row among the lines. In rows that hold ``words``, # begins no comment."""
    contents = {i: COMMENT.sub(b"", lines[i]) for i in range(head.line, len(lines))}
    nothing = _ENDS.replace(
        rows.separator if rows.separator in (b",", b";") else BLANK, b""
    )  # a row may be empty cells
    some = [i for i, content in contents.items() if content.strip(nothing)]
    if len(some) > len(next(iter(ours.values()))):  # further numbers of points
        some = [i for i in some if len(contents[i].split()) > 1]
    if words:
        contents = {i: lines[i] for i in some}
    first = next(filter(None, (contents[i].rstrip(_ENDS) for i in some)))
    gap = _gap(first, layout.spans(first.replace(b",", b".") if rows.decimals else first, rows.separator))
    longer = records.longer_lines([b""] * len(some), [0] * len(some), ours.values(), gap)
    for i, more in zip(some, longer, strict=True):
        end = _end(contents[i], rows)
        lines[i] = lines[i][:end] + (more.replace(b".", b",") if rows.decimals else more) + lines[i][end:]


def _end(content: bytes, rows: Rows) -> int:
    """Where the last column of a row ends. Separators behind it are none of a column, unless it is empty."""
    bare = content.rstrip(_ENDS)
    whole = content.rstrip(b" \r\n\v\f")
    if rows.separator == BLANK or len(bare) == len(whole):
        return len(bare)
    found = layout.spans(whole, rows.separator)
    return found[rows.width - 1][1] if len(found) >= rows.width else len(bare)


def _gap(content: bytes, columns: Sequence[tuple[int, int]]) -> bytes:
    """What parts the last two columns of a line."""
    gap = content[columns[-2][1] : columns[-1][0]]
    return gap.lstrip() or gap or BLANK  # a blank behind a quote is no part of what parts columns


def _longer_title(line: bytes, title: Title, ours: Sequence[str]) -> bytes:
    """A line of names with further ones. A name that is taken already is changed (``records.renamed``)."""
    names = records.renamed(title.names, ours)
    end = title.cells[-1][1]
    content = line[:end]
    quote = b'"' if content.endswith(b'"') else b""
    gap = _gap(content, title.cells)
    for (start, stop), name in reversed(list(zip(title.cells, title.names, strict=True))):
        if name in names:
            new = content[start:stop].replace(name.encode(), names[name].encode())
            content = content[:start] + new + content[stop:]
    return gap.join([content, *(quote + name.encode() + quote for name in ours)]) + line[end:]


def _writable(columns: dict[str, Array]) -> dict[str, Array]:
    """The columns, if a text can hold them; ValueError otherwise."""
    for name, column in columns.items():
        if re.search(r"[,;#]|//", name) or column.dtype.kind not in "biuf":
            raise ValueError(f"a text of points holds named numbers, got {name!r} of the type {column.dtype}")
    return columns


def _plain_names(width: int) -> list[str]:
    return ["x", "y", "z", *(f"column{index}" for index in range(3, width))]
