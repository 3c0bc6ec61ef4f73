"""The files that are written for a user's file: their names, the mark in them, and our fields beside the file's own.

The mark is a comment that says which run answered which bytes. An answer that stands already is so known to be up to
date, and is never taken for the user's own labels.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable, Mapping

from pointkit import formats
from pointkit.cloud import Array
from pointkit.errors import PointkitError

LABELLED, EXPLAINED = ".labelled", ".explained"  # before the suffix; folders are not searched for such files
TABLES = ("predictions.csv", "unread.csv", "unlabelled.csv")
UNREAD = ".unread.csv"  # the list beside a store that was not made
HEAD = 1 << 16  # bytes at a file's beginning in which the mark is looked for
_MARK = re.compile(rb"pointkit: [^\r\n]{1,400} of the source with the SHA-256 [0-9a-f]{16}")


def is_ours(name: str) -> bool:
    """Whether a file's name is that of an answer, or of a table of ours: ``scan.labelled.ply``, ``predictions.csv``."""
    return os.path.splitext(name)[0].endswith((LABELLED, EXPLAINED)) or name in TABLES or name.endswith(UNREAD)


def mark(source: pathlib.Path, run: str, what: str) -> str:
    """The comment for a file that holds a run's answers (such as the labels of a category) about ``source``."""
    return f"pointkit: {what} by the run {run} of the source with the SHA-256 {formats.digest(source)[:16]}"


def marked(path: pathlib.Path) -> str:
    """The mark in a file; "" where it has none or cannot be read."""
    try:
        if not path.is_file():  # reading a pipe might never end
            return ""
        with path.open("rb") as file:
            found = _MARK.search(file.read(HEAD))
    except OSError:
        return ""
    return found[0].decode("utf-8", "replace") if found else ""


def places(
    paths: Iterable[pathlib.Path],
    output: pathlib.Path | None,
    ending: str,
    below: Mapping[pathlib.Path, pathlib.PurePath] | None = None,
) -> dict[pathlib.Path, pathlib.Path]:
    """File -> the path of the file to write for it: beside it or in ``output``, with ``ending`` before the suffix.

    ``below`` has the places of files in ``output``; others lie in it directly. Raises PointkitError where two files
    would have one path.
    """
    targets: dict[pathlib.Path, pathlib.Path] = {}
    taken: dict[pathlib.Path, pathlib.Path] = {}
    for path in dict.fromkeys(paths):
        file, number = formats.within(path)
        own = pathlib.Path(file).suffix
        suffix = formats.annotated(own)
        place = path if output is None else output / (below or {}).get(path, path.name)
        stem = path.stem
        if number is not None:  # a shape in a file of many is written beside that
            stem, place = f"{pathlib.Path(file).stem}_{number}", pathlib.Path(file) if output is None else place
        target = place.with_name(f"{stem}{ending}{suffix}")
        if target in taken:
            raise PointkitError(f"{target}: both {taken[target]} and {path} would be written here; do them in turn")
        targets[path], taken[target] = target, path
    return targets


def fields(theirs: Mapping[str, Array], ours: Mapping[str, Array]) -> dict[str, Array]:
    """The file's fields and ours. A field of the file with the name of one of ours gets ``source_`` before its name."""
    return {(f"source_{name}" if name in ours else name): array for name, array in theirs.items()} | dict(ours)
