"""The header of a PLY file: its elements and their properties, and where the rows begin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pointkit.formats.columns import coordinates

NAMES = {
    "i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float",
    "f8": "double",
}  # fmt: skip
_SIZED_NAMES = {
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8",
}  # fmt: skip
_TYPES = {name: kind for kind, name in NAMES.items()} | _SIZED_NAMES | {"bool": "u1"}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_HEADER = re.compile(  # old Macintosh programs end lines by \r; bytes that follow the last one may be a \n
    rb"\A(?:\xef\xbb\xbf)?ply[ \t]*(?:(?P<mac>\r(?!\n))|\r?\n)"
    rb"(?P<lines>.*?)(?<=[\r\n])[ \t]*end_header[ \t]*(?(mac)\r|(?:\r?\n|\Z))",
    re.DOTALL,
)


@dataclass(frozen=True)
class Property:
    """A number of the type ``kind``, or a list of such numbers after its length, which has the type ``length``."""

    name: str
    kind: str
    length: str = ""


@dataclass(frozen=True)
class Element:
    name: str
    count: int
    properties: list[Property]

    @property
    def axes(self) -> list[str]:
        """The names of the properties that are x, y and z; empty for other elements than vertices."""
        names = [each.name for each in self.properties if not each.length]
        return [names[index] for index in coordinates(names)] if self.name == "vertex" else []


def parsed(data: bytes) -> tuple[list[Element], str, int]:
    """The elements, the byte order (empty for text), and where the rows begin."""
    match = _HEADER.match(data)
    if not match:
        wide = "; its text is UTF-16, save it as UTF-8" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
        raise ValueError(f"a PLY file has a header from ply to end_header, got none{wide}")
    elements: list[Element] = []
    order = None
    for line in (line.decode("utf-8", "backslashreplace") for line in match["lines"].splitlines()):
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", name, "1.0"] if name in _ORDERS:
                order = _ORDERS[name]
            case ["element", name, count] if count.isascii() and count.isdigit() and len(count) < 19:
                elements.append(Element(name, int(count), []))
            case ["property", "list", length, kind, name] if elements and length in _TYPES and kind in _TYPES:
                if _TYPES[length][0] == "f":
                    raise ValueError(f"the length of a list must be a whole number, got {line.strip()[:80]!r}")
                elements[-1].properties.append(Property(name, _TYPES[kind], _TYPES[length]))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append(Property(name, _TYPES[kind]))
            case _:
                raise ValueError(f"a line of the header is not understood: {line.strip()[:80]!r}")
    if order is None:
        raise ValueError("the header must name the format ascii or binary_..._endian 1.0, got none")
    _check(elements, order, len(data) - match.end())
    return elements, order, match.end()


def _check(elements: list[Element], order: str, there: int) -> None:
    """Check that names are unique, vertices are there, and the promised rows fit the bytes after the header."""
    names = [element.name for element in elements]
    if len(set(names)) != len(names) or "vertex" not in names:
        raise ValueError(f"elements must be a vertex and others, none twice, got {' '.join(names) or 'none'}")
    needed = 0
    for element in elements:
        properties = [each.name for each in element.properties]
        if len(set(properties)) != len(properties) or not properties:
            raise ValueError(f"properties of {element.name} must be there and none twice, got {' '.join(properties)!r}")
        if element.name == "vertex":
            coordinates([each.name for each in element.properties if not each.length])  # raises where they are missing
        row = sum(np.dtype(each.length or each.kind).itemsize if order else 2 for each in element.properties)
        needed += element.count * row
    if not next(element.count for element in elements if element.name == "vertex"):
        raise ValueError("no vertices")
    if needed - (not order) > there:
        promised = ", ".join(f"{element.count} {element.name}" for element in elements)
        raise ValueError(f"the header promises {promised}, which need {needed} bytes or more, got {there}")


def longer(
    head: bytes, element: str, names: Mapping[str, str], properties: Sequence[str], notes: Sequence[str]
) -> bytes:
    """A header with further ``properties`` of an element, some of its own ``names`` changed, and ``notes``."""
    lines: list[bytes] = []
    first = head.splitlines(keepends=True)[0]
    ending = first[len(first.rstrip(b"\r\n")) :]
    within = ""
    for line in head.splitlines(keepends=True):
        words = line.decode("utf-8", "backslashreplace").split()
        if words[:1] in (["element"], ["end_header"]):
            if not within:
                lines += [f"comment {note}".encode() + ending for note in notes]
            if within == element:
                lines += [each.encode() + ending for each in properties]
            within = words[-1] if words[0] == "end_header" else words[1]
        elif words[:1] == ["property"] and within == element and words[-1] in names:
            end = len(line.rstrip())
            begin = line.rfind(line.split()[-1], 0, end)
            line = line[:begin] + names[words[-1]].encode() + line[end:]
        lines.append(line)
    return b"".join(lines)
