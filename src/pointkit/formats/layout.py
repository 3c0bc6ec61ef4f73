"""How a text of points is laid out: its coding, comments, names of columns, number of points, and separators.

A text begins with a head: comments, a line that names the columns, and the number of points. Each of them may be
missing. The rows follow. All lines are numbered from 0 here, and from 1 in messages.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pointkit.formats import columns

BLANK = b" "  # stands for any white space between columns
COMMENT = re.compile(rb"(?:#|//)[^\n]*")
NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?|nan|inf(?:inity)?)", re.IGNORECASE)
_QUOTED = re.compile(r'"[+-]?\d+[.,]\d+"')
COMMENT_LINE = re.compile(rb"^[ \t]*(?:#|//)[^\n]*", re.MULTILINE)
_MARKER = re.compile(rb"\s*(?:#|//)[#/]*")
_COUNT = re.compile(rb"[ \t]*\d{1,18}[ \t]*")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_ENDS = re.compile(rb"[ \t,;]+$", re.MULTILINE)
_BLANKS_APART = re.compile(rb"[0-9.][ \t]+[0-9.+-]")  # two numbers with only blanks between
_NO_DECIMALS = re.compile(rb",[^\s,;]*,|(?<![0-9]),|,(?![0-9])")  # commas that are no decimal ones
_WORD = re.compile(rb'"[^"\n]*"(?=[\s,;]|\Z)|[^\s,;]+(?:[ \t]*[\[(][^\])\n]*[\])])?')  # a unit belongs to its name
_CELLS = {by: re.compile(rb'[ ]*("[^"\n]*"|[^%s\n]*?)[ ]*(?:(%s)|\Z)' % (by, by)) for by in (b",", b";", b"\t")}
_MARKS = ((codecs.BOM_UTF8, ""), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BEGINNING = 4096  # bytes in which a binary file shows itself


# ---- coding


class Coding(NamedTuple):
    """The bytes that a text begins with to say its coding, and the coding. It is "" for one byte a character."""

    mark: bytes = b""
    name: str = ""


def decoded(data: bytes) -> tuple[bytes, Coding]:
    """A text of one byte a character (UTF-8, Latin-1 and others), and the coding that it had.

    UTF-16 is known by its mark, or by the zeros that are every second byte.
    """
    coding = next((Coding(mark, name) for mark, name in _MARKS if data.startswith(mark)), Coding())
    first, second = data[:64:2], data[1:64:2]
    if not coding.mark and len(second) > 2 and (any(first), any(second)) in ((True, False), (False, True)):
        coding = Coding(b"", "utf-16-le" if any(first) else "utf-16-be")
    data = data[len(coding.mark) :]
    if coding.name:
        try:
            data = data.decode(coding.name).encode()
        except UnicodeError:
            raise ValueError("a text in UTF-16 holds bytes that are no characters: is it cut?") from None
    wrong = CONTROL.search(data, 0, _BEGINNING)
    if wrong:
        line = data.count(b"\n", 0, wrong.start()) + 1
        raise ValueError(
            f"text must not hold control bytes, got 0x{wrong[0].hex()} in line {line}; is the file binary?"
        )
    return data, coding


def lines(data: bytes) -> bytes:
    """A text of one byte a character, its lines ended by line feeds as on every system."""
    text = decoded(data)[0]
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


def encoded(pieces: Iterable[bytes], coding: Coding) -> list[bytes]:
    """The pieces of a text in the coding that it had."""
    if not coding.name:
        return [coding.mark, *pieces]
    return [coding.mark, b"".join(pieces).decode().encode(coding.name)]


def characters(data: bytes) -> str:
    """The characters of UTF-8, or else of Latin-1."""
    try:
        return data.decode()
    except UnicodeError:
        return data.decode("latin-1")


# ---- the head


@dataclass(frozen=True)
class Head:
    """What stands before the rows."""

    title: tuple[int, bytes] | None  # the line of names that is no comment
    comments: list[tuple[int, bytes]]
    promised: int | None  # the number of points
    line: int  # of the first row
    start: int  # its offset


def head(text: bytes) -> Head:
    """The head of a text whose lines end in "\\n"."""
    title, promised, comments, at, line = None, None, [], 0, 0
    while at < len(text):
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        raw = text[at:end]
        content = COMMENT.sub(b"", raw)
        if not content.strip(b" \t\v\f,;"):
            if title and content.strip():
                break  # a row of empty cells
            if raw.strip(b" \t\v\f,;"):
                comments.append((line, raw))
        elif promised is None and _COUNT.fullmatch(content):
            promised = int(content)
        elif title is None and (_numbers_columns(content, text[end + 1 : end + 1000]) or not _is_row(content)):
            title = (line, raw)
        else:
            break
        at, line = end + 1, line + 1
    return Head(title, comments, promised, line, min(at, len(text)))


def all_numbers(content: bytes) -> bool:
    """Whether a line holds only numbers, however they are parted."""
    words = re.split(r"[\s,;]+", characters(content).strip(" \t\v\f,;"))
    return all(NUMBER.fullmatch(word) for word in words)


def _is_row(content: bytes) -> bool:
    """Whether a line is a row, and not the names of columns: it holds a number."""
    cells = [characters(content[start:end]) for start, end in spans(content, separator(content))]
    return all_numbers(content) or any(NUMBER.fullmatch(cell) or _QUOTED.fullmatch(cell) for cell in cells)


def _numbers_columns(content: bytes, following: bytes) -> bool:
    """Whether a line only numbers the columns, as pandas titles tables without names: ",0,1,2", or "0,1,2"."""
    by = separator(content)
    cells = [content[start:end] for start, end in spans(content, by)] if by != BLANK else []
    index = bool(cells) and not cells[0]
    if cells[index:] != [str(i).encode() for i in range(len(cells) - index)] or len(cells) - index < 3:
        return False
    return index or b"." in following.split(b"\n")[0]


def separator(line: bytes) -> bytes:
    """What parts the columns of a line."""
    return next((by for by in (b";", b",", b"\t") if by in line), BLANK)


def spans(line: bytes, by: bytes) -> list[tuple[int, int]]:
    """Where each cell of a line begins and ends, with its quotes."""
    if by == BLANK:
        return [match.span() for match in _WORD.finditer(line)]
    found, at = [], 0
    while match := _CELLS[by].match(line, at):
        found.append(match.span(1))
        at = match.end()
        if not match[2]:
            break
    return found


# ---- the rows


@dataclass(frozen=True)
class Rows:
    """How the rows are parted: by a ``separator``, with decimal commas or not, in ``width`` columns."""

    separator: bytes
    decimals: bool
    width: int
    body: bytes  # the rows, without comments
    cells: bytes  # the rows, with comments
    mixed: str = ""  # the rule that is broken, where columns of numbers are parted in two ways


def rows(text: bytes, head: Head) -> Rows:
    """How the rows behind the head of a text are parted."""
    cells = body = text[head.start :]
    if b"#" in cells or b"//" in cells:
        body = COMMENT.sub(b"", cells)
    names_parted_by_tabs = any(b"\t" in raw for _, raw in [*filter(None, [head.title]), *head.comments])
    by, decimals, mixed = _parted(body, names_parted_by_tabs)
    if mixed and head.title and (other := separator(head.title[1])) != BLANK:
        by = other  # there may be other separators in words
    names = len(spans(COMMENT.sub(b"", head.title[1]), by)) if head.title else 0
    widths = [_width(some.split(b"\n", 1)[0], by, decimals, names) for some in (body, cells)]
    width = names if names in widths else widths[0]  # what looks like a comment may be in a word
    return Rows(by, decimals, width, body, cells, mixed)


def _width(line: bytes, by: bytes, decimals: bool, names: int) -> int:
    """How many columns a row has. A separator behind the last one makes no other, unless there are ``names`` for it."""
    line = line.replace(b",", b".") if decimals else line
    found = spans(line.rstrip(b" \v\f" if by == b"\t" else b" \t\v\f"), by)
    while len(found) > max(1, names) and found[-1][0] == found[-1][1]:
        found.pop()
    return len(found)


def _parted(body: bytes, tabs: bool) -> tuple[bytes, bool, str]:
    """What parts the columns, whether commas are decimal ones, and the rule that is broken where two kinds part them.

    Commas are decimal ones where they stand between digits, no number holds two of them or a point, and semicolons or
    blanks part the columns. Blanks are alike, but where ``tabs`` part the names too a column between them may be empty.
    """
    if b"," not in body and b";" not in body:
        cells = body.split(b"\n", 1)[0].split(b"\t")
        alike = not tabs or len(cells) == 1 or any(b" " in cell.strip() for cell in cells)
        return BLANK if alike else b"\t", False, ""
    kinds: dict[str, bool] = {}
    for strip in (False, True):
        body = _ENDS.sub(b"", body) if strip else body
        comma, semicolon = b"," in body, b";" in body
        by = b";" if semicolon else b"," if comma else BLANK
        blanks = _parted_by_blanks(body, by)
        kinds = {"commas": comma, "semicolons": semicolon, "blanks": blanks}
        if sum(kinds.values()) < 2 and (by == BLANK or not strip):
            return by, False, ""
        if comma and not strip and semicolon != blanks and b"." not in body and not _NO_DECIMALS.search(body):
            return b";" if semicolon else BLANK, True, ""
    some = " and ".join(kind for kind, there in kinds.items() if there)
    return by, False, f"columns must be parted in one way, got {some}, and not as decimal commas"


def _parted_by_blanks(body: bytes, by: bytes) -> bool:
    """Whether only blanks part some numbers, in a text that holds another separator too."""
    if b" " not in body and b"\t" not in body:
        return False
    body = body.replace(by + b" ", by)
    return (b" " in body or b"\t" in body) and _BLANKS_APART.search(body) is not None


# ---- the names of columns


@dataclass(frozen=True)
class Title:
    """The names of columns, in the cells of a line."""

    line: int
    raw: bytes
    cells: list[tuple[int, int]]

    @property
    def names(self) -> list[str]:
        """One word each. A column without a name is called after its place."""
        cells = [characters(self.raw[start:end]).strip("\"' ") for start, end in self.cells]
        return ["_".join(cell.split()) or f"column{index}" for index, cell in enumerate(cells)]


def title(head: Head, rows: Rows) -> Title | None:
    """What names the columns: the first line, or a comment before the rows. None where nothing does.

    The number of names of a first line may be wrong. Raises ValueError for a comment that names the coordinates, but
    not as many columns as there are.
    """
    if head.title:
        line, raw = head.title
        content = raw[: len(COMMENT.sub(b"", raw))]
        tries = [
            Title(line, raw, spans(each, by)) for each in (content, raw) for by in (rows.separator, separator(each))
        ]
        if rows.body.startswith(b'"'):  # R leaves the names of rows without a title
            tries += [Title(line, raw, [(0, 0), *each.cells]) for each in tries]
        return next((each for each in tries if len(each.cells) == rows.width), tries[0])
    for line, raw in head.comments:
        if found := _comment(line, raw, rows, last=line == head.comments[-1][0]):
            return found
    return None


def _comment(line: int, raw: bytes, rows: Rows, last: bool) -> Title | None:
    """The names in a comment, which may begin with words like "columns:"."""
    marker = _MARKER.match(raw)
    start = marker.end() if marker else 0
    for by in dict.fromkeys((separator(raw), BLANK)):
        cells = [(first + start, end + start) for first, end in spans(raw[start:].rstrip(b" \t,;"), by)]
        found = Title(line, raw, cells)
        if len(cells) == rows.width and columns.is_title(found.names, unknown=last):
            return found
        behind = Title(line, raw, cells[-rows.width :])
        if len(cells) > rows.width and columns.axes(behind.names) and columns.is_prose(found.names[: -rows.width]):
            return behind
    _refuse_other_columns(found.names, rows.width)
    return None


def _refuse_other_columns(names: Sequence[str], width: int) -> None:
    """Refuse names with coordinates among them that are not as many as the columns, unless x, y and z come first."""
    found = columns.axes(names)
    if found is None or found == [0, 1, 2] or (width == 3 and found == sorted(found)):
        return
    raise ValueError(
        f"a comment names {len(names)} columns ({' '.join(names)[:200]}), got {width} numbers in a row; "
        f"{columns.asked_for(width)}"
    )
