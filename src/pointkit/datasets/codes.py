"""The names of the codes that labels are: from the user's words, or from a text beside the set.

parts.json                       {"table": ["top", "legs"]}, {"table": {"1": "top"}}, {"top": 1, "legs": 2}
classes.txt labels.txt names.txt  a line a code: "1 top", "1: top", "class 1 top"; or a name a line, from 0 on
schema.json labels/schema.json   {"top": 0, "legs": 1}
"""

from __future__ import annotations

import json
import pathlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pointkit.disk import shown
from pointkit.errors import PointkitError

FILES = (
    "classes.txt", "labels.txt", "names.txt", "label_names.txt", "class_names.txt", "parts.txt", "categories.txt",
    "classes.json", "labels.json", "schema.json", "label_map.json", "labels/schema.json", "labels/classes.txt",
)  # fmt: skip
_LINE = re.compile(r"(?:(?:class|label|part|code|id)\s+)?(-?\d+)\s*[\s:=,;\t]\s*(.+?)")
_TURNED = re.compile(r"(.+?)\s*[\s:=,;\t]\s*(-?\d+)")
PARTS = "parts.json"
FLAG = "--names"  # the source of names that the user writes
_MOST = 1_000_000  # bytes of a text of names


@dataclass(frozen=True)
class CodeNames:
    """Code -> name, as ``source`` says it: a file's name or the user's words."""

    source: str
    names: Mapping[int, str]

    def of(self, codes: Collection[int], otherwise: Callable[[int], str] | None = None) -> dict[int, str]:
        """The names of these codes and of all others that have one.

        ``otherwise`` names those that stand in the labels alone, as their format does, where the user has named some
        by their numbers: the names in a file may be those of other codes. Raises ValueError where a code has no name,
        and where two have the same.
        """
        missing = sorted(set(codes) - self.names.keys())
        if missing and otherwise and self.source == FLAG:
            found = dict(sorted({**{code: otherwise(code) for code in missing}, **self.names}.items()))
            for name, number in Counter(found.values()).items():
                if number > 1:
                    both = " and ".join(str(code) for code, other in found.items() if other == name)
                    raise ValueError(f"{self.source} and the format call {both} both {name}: name them otherwise")
            return found
        if missing:
            named = ", ".join(f"{code}={name}" for code, name in list(self.names.items())[:12])
            raise ValueError(
                f"{self.source} names the codes {named}; the labels also hold {', '.join(map(str, missing[:12]))}: "
                "name them, or leave them out with --unlabelled"
            )
        return dict(sorted(self.names.items()))


def said(words: str) -> CodeNames:
    """The names in "1=top,2=legs", or in a file of that path. Raises PointkitError for others."""
    if "=" not in words:
        path = pathlib.Path(words)
        if not path.is_file():
            raise PointkitError(f"--names must be like 1=top,2=legs, or a file, got {words!r}")
        return read(path, words)
    pairs = [pair.partition("=") for pair in words.split(",")]
    try:
        return _checked(FLAG, [(int(code), name.strip()) for code, _, name in pairs])
    except ValueError as error:
        reason = f" ({error})" if isinstance(error, PointkitError) else ""
        raise PointkitError(f"--names must be like 1=top,2=legs, or a file, got {words!r}{reason}") from None


def of_set(root: pathlib.Path, words: str = "") -> dict[str, CodeNames]:
    """Category, or "" for all -> the names of its codes: from the user's words, else from a text beside the set.

    A ``parts.json`` of lists is not among them: its names have no codes. Raises PointkitError for what is not
    understood.
    """
    if words:
        return {"": said(words)}
    path = root / PARTS
    try:
        value = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError) as error:
        raise PointkitError(f"{shown(path)}: not JSON ({error})") from None
    if isinstance(value, dict) and value and not any(isinstance(one, list) for one in value.values()):
        nested = all(isinstance(one, dict) for one in value.values())
        try:
            return {
                category: _checked(PARTS, of_json(names))
                for category, names in (value if nested else {"": value}).items()
            }
        except ValueError as error:
            raise PointkitError(f"{shown(path)}: must have names by code or codes by name ({error})") from None
    found = None if value else find(root)
    return {"": found} if found else {}


def find(root: pathlib.Path) -> CodeNames | None:
    """The names in a text beside a set; None where there is none. Raises PointkitError where it is not understood."""
    for name in FILES:
        path = root / name
        if path.is_file():
            return read(path, name)
    return None


def read(path: pathlib.Path, source: str) -> CodeNames:
    """The names in a file. Raises PointkitError, which names the file, where it is not understood."""
    try:
        data = path.read_bytes()[: _MOST + 1]
        if len(data) > _MOST:
            raise ValueError("more than a million bytes")
        text = data.decode("utf-8-sig")
        pairs = of_json(json.loads(text)) if path.suffix.lower() == ".json" else _of_lines(text)
        return _checked(shown(source), pairs)
    except (OSError, ValueError, RecursionError) as error:
        raise PointkitError(
            f"{shown(path)}: names of codes must be like '1 top' a line, found other things ({error})"
        ) from None


def of_json(value: Any) -> list[tuple[int, str]]:
    """Pairs of code and name in a list of names, or in an object from codes to names or from names to codes."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return list(enumerate(value))
    if isinstance(value, dict) and all(isinstance(name, str) for name in value.values()):
        return [(int(code), name) for code, name in value.items()]
    if isinstance(value, dict) and all(isinstance(code, int) for code in value.values()):
        return [(code, name) for name, code in value.items()]
    raise ValueError("neither names nor codes")


def _of_lines(text: str) -> list[tuple[int, str]]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "//"))]
    for pattern, code, name in ((_LINE, 1, 2), (_TURNED, 2, 1)):
        found = [pattern.fullmatch(line) for line in lines]
        if lines and all(found):
            return [(int(match[code]), match[name].strip("\"' ")) for match in found if match]
    return list(enumerate(line.strip("\"' ") for line in lines))


def _checked(source: str, pairs: list[tuple[int, str]]) -> CodeNames:
    codes, names = [code for code, _ in pairs], [name for _, name in pairs]
    if not pairs or not all(names):
        raise PointkitError(f"{source}: no names of codes in it")
    for what, some in (("code", list(map(str, codes))), ("name", names)):
        twice = [one for one, number in Counter(some).items() if number > 1]
        if twice:
            raise PointkitError(f"{source}: the {what} {twice[0]} stands twice")
    return CodeNames(source, dict(pairs))
