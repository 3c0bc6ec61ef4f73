"""Points as lines of text (.xyz .txt .pts .asc): x, y, z and more columns, separated by blanks, commas or semicolons.

A comment begins with # or //. The first line or the first comment may name the columns. The first line may be the
number of points, as in .pts files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from pointkit import disk
from pointkit.cloud import Array, PointCloud, Shape
from pointkit.formats import numbers, records
from pointkit.formats.columns import LEFT_OUT, NOTHING_SAID, Meaning, asked_for, coordinates, in_text, is_title

_TITLE = re.compile(rb"\A\s*(?:\d+[ \t]*\n)?[ \t]*(?:#|//)([^\n]*)")
_FIRST_LINE = re.compile(rb"\A\s*([^\n]*)(?:\n|\Z)")
_EMPTY_COLUMN = re.compile(rb"[,;][ \t]*[,;]|^[ \t]*[,;]", re.MULTILINE)
_SEPARATORS = bytes.maketrans(b",;", b"  ")
_MARK = b"\xef\xbb\xbf"  # of UTF-8, which some editors put first
_COMMENT = re.compile(rb"(?:#|//)[^\n]*")
_COUNT = re.compile(rb"\s*\d+[ \t]*[\r\n]*")
_WORD = re.compile(rb"[^\s,;]+")
_MARKER = re.compile(rb"\s*(?:#|//)?\s*")
_LAST_GAP = re.compile(rb"[\s,;]+(?=[^\s,;]+\Z)")


def read(text: bytes, meaning: Meaning = NOTHING_SAID) -> PointCloud:
    """The cloud in a text. Columns beyond the coordinates are fields, under their names or as ``column3`` ...

    ``meaning`` names the columns, before a title does.
    """
    text = text.removeprefix(_MARK)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    title = _TITLE.match(text)
    if b"#" in text or b"//" in text:
        text = _COMMENT.sub(b"", text)
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
    if names is None and title:
        names = _names_in(title, width)
    names = meaning.names(width) or names or _plain_names(width)
    xyz = coordinates(names, asked_for(width))
    kept = [i for i, name in enumerate(names) if i not in xyz and name != LEFT_OUT]
    fields = {names[i]: in_text(names[i], table[:, i]) for i in kept}
    if len(fields) != len(kept):
        raise ValueError(f"columns must have different names, got {' '.join(names)}")
    return records.cloud(table[:, xyz], fields)


def write(path: disk.Path, shape: Shape, notes: Sequence[str] = ()) -> None:
    """Write a cloud. A comment names the columns where there are fields. A .pts file begins with the count.

    Further comments hold the ``notes``.
    """
    if not isinstance(shape, PointCloud):
        raise ValueError("a text of points holds a cloud, got a mesh")
    fields = _writable(records.flat(records.columns(shape)))
    with disk.replacing(path) as file:
        if os.fsdecode(path).lower().endswith(".pts"):
            file.write(f"{len(shape.points)}\n".encode())
        if fields:
            file.write(f"# {' '.join(['x', 'y', 'z', *fields])}\n".encode("ascii"))
        file.write("".join(f"# {note}\n" for note in notes).encode())
        file.write(records.text_rows([*records.text_coordinates(shape).T, *fields.values()]))


def annotate(
    text: bytes,
    fields: Mapping[str, Array],
    notes: Sequence[str],
    meaning: Meaning = NOTHING_SAID,
    numbers_alone: bool = False,
) -> list[bytes]:
    """A text with further numbers at the end of each row, and their names after the last name.

    ``fields``: name -> an array with a row for each point. A text without names gets the names of all columns as its
    first comment. ``notes`` follow the names. With ``numbers_alone``, a text without names and comments gets neither,
    because programs that read such files expect only numbers.
    """
    points, count = records.rows_of(read(text, meaning))
    mark = _MARK if text.startswith(_MARK) else b""
    lines = text[len(mark) :].splitlines(keepends=True)
    contents = [_content(line) for line in lines]
    rows = [i for i, content in enumerate(contents) if content]
    named = None if _is_number(_words(contents[rows[0]])[0]) else rows.pop(0)
    if len(_words(contents[rows[0]])) == 1:  # the number of points
        rows.pop(0)
    width = len(_words(contents[rows[0]]))
    columns = _writable(records.flat(records.spread(records.added(fields, len(points)), points, count)))
    head = next(i for i, line in enumerate(lines) if line.strip())
    head += bool(_COUNT.fullmatch(lines[head]))  # where a comment with names would be
    title = _TITLE.match(lines[head])
    if named is None and title and _names_in(title, width):
        named = head
    ending = lines[0][len(lines[0].rstrip(b"\r\n")) :] or b"\n"
    more = [f"# {note}".encode() + ending for note in notes]
    if named is not None:
        head = named + 1
        lines[named] = _longer_title(lines[named], contents[named], list(columns))
    elif numbers_alone and not _COMMENT.search(text):
        more = []
    else:
        theirs = _plain_names(width)
        names = records.renamed(theirs, columns)
        more.insert(0, f"# {' '.join([*(names.get(name, name) for name in theirs), *columns])}".encode() + ending)
    ends, gap = [len(contents[i]) for i in rows], _gap(contents[rows[0]])
    longer = records.longer_lines([lines[i] for i in rows], ends, columns.values(), gap)
    for i, line in zip(rows, longer, strict=True):
        lines[i] = line
    return [mark, *lines[:head], *more, *lines[head:]]


def _content(line: bytes) -> bytes:
    """A line without its comment, cut after its last word."""
    if b"#" in line or b"//" in line:
        line = _COMMENT.sub(b"", line)
    return line.rstrip(b" \t\r\n\v\f,;")


def _longer_title(line: bytes, content: bytes, ours: Sequence[str]) -> bytes:
    """A line or comment of names with further ones. A name that is taken already is changed (``records.renamed``)."""
    content = content or line.rstrip(b" \t\r\n\v\f,;")
    start = len(_MARKER.match(content)[0])  # type: ignore[index] # it matches anything
    names = records.renamed(_words(content[start:]), ours)
    quote = b'"' if content.endswith(b'"') else b""

    def changed(match: re.Match[bytes]) -> bytes:
        (word,) = _words(match[0])
        return match[0].replace(word.encode(), names[word].encode()) if word in names else match[0]

    gap = _gap(content)
    words = [content[:start] + _WORD.sub(changed, content[start:]), *(quote + name.encode() + quote for name in ours)]
    return gap.join(words) + line[len(content) :]


def _gap(content: bytes) -> bytes:
    """The characters between the last two words of a line of three or more."""
    match = _LAST_GAP.search(content)
    assert match
    return match[0]


def _writable(columns: dict[str, Array]) -> dict[str, Array]:
    """The columns, if a text can hold them; ValueError otherwise."""
    for name, column in columns.items():
        if re.search(r"[,;#]|//", name) or column.dtype.kind not in "biuf":
            raise ValueError(f"a text of points holds named numbers, got {name!r} of the type {column.dtype}")
    return columns


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
    """The text after a first line of names, and these names."""
    line = _FIRST_LINE.match(text)
    words = _words(line[1]) if line else []
    if not line or not words or _is_number(words[0]):
        return text, None
    if any(_is_number(word) for word in words):
        raise ValueError(f"the first line must be names or numbers, got {' '.join(words)[:80]!r}")
    return text[line.end() :], words


def _names_in(title: re.Match[bytes], width: int) -> list[str] | None:
    """The names of columns in a comment; None where it does not look like such names."""
    words = _words(title[1])
    return words if len(words) == width and is_title(words) else None


def _plain_names(width: int) -> list[str]:
    return ["x", "y", "z", *(f"column{index}" for index in range(3, width))]


def _promised(text: bytes) -> tuple[bytes, int | None]:
    """The text after a first line that is the number of points, and that number."""
    line = _FIRST_LINE.match(text)
    if not line or not re.fullmatch(rb"\d{1,18}\s*", line[1]):
        return text, None
    return text[line.end() :], int(line[1])


def _words(line: bytes) -> list[str]:
    line = line.translate(_SEPARATORS)
    return [word.strip("\"'") for word in line.decode("utf-8", "backslashreplace").split()]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
