"""The files that could not be read, and when they stop a preparation."""

from __future__ import annotations

import os
import pathlib
import re
from collections import Counter
from collections.abc import Sequence

from pointkit import disk
from pointkit.datasets.folder import Found
from pointkit.disk import shown
from pointkit.errors import PointkitError
from pointkit.prepare.chunks import ReadResult

Unread = Sequence[tuple[str, str]]  # file, reason


def refuse_any(source: pathlib.Path, output: pathlib.Path, unread: Unread, strict: bool) -> None:
    """Raise PointkitError where ``strict`` allows no file that could not be read."""
    if strict and unread:
        raise PointkitError(f"{source}: --strict, and {_listed(output, unread)}")


def refuse_lost(
    source: pathlib.Path, output: pathlib.Path, found: Found, results: Sequence[ReadResult], unread: Unread
) -> None:
    """Raise PointkitError where no file, or no training file, of a class could be read: the set is damaged.

    Where no file at all could be read, the most frequent reason is given once.
    """
    readable = {file for file, result in zip(found.files, results, strict=True) if result.size}
    if not readable:
        alike = Counter(_kind(*row) for row in unread)
        (kind, number), *others = alike.most_common()
        first = [row for row in unread if _kind(*row) == kind]
        files = "the only file" if len(unread) == 1 else f"none of {len(unread):,} files"
        verb = "cannot be read" if len(unread) == 1 else "could be read"
        which = f"{number:,} of them, such as " if others else "such as " if len(unread) > 1 else ""
        path = _write(output, unread)
        reason = f"{shown(first[0][1])} ({which}{shown(first[0][0])})"
        raise PointkitError(f"{source}: {files} {verb}: {reason}; all are listed in {path}")
    for name in found.classes:
        files_of = [file for file in found.files if file.class_name == name]
        for sort, some in (("", files_of), ("training ", [file for file in files_of if file.split == "train"])):
            if some and not readable.intersection(some):
                those = {file.file for file in some}
                ours = [row for row in unread if row[0] in those]
                rest = [row for row in unread if row[0] not in those]
                listed = _listed(output, ours + rest)
                what = "category" if found.layout else "class"
                raise PointkitError(f"{source}: the {what} {name!r} has lost all its {sort}files: {listed}")


def _kind(file: str, reason: str) -> str:
    """A reason without what differs from file to file: its name, and numbers."""
    stem = os.path.splitext(os.path.basename(file))[0]
    return re.sub(r"\d+", "#", reason.replace(file, "").replace(stem, ""))


def path_beside(output: pathlib.Path) -> pathlib.Path:
    """The list of unread files beside a store that is not made."""
    return output.absolute().with_name(f"{output.name}.unread.csv")


def _write(output: pathlib.Path, unread: Unread) -> pathlib.Path:
    path = path_beside(output)
    with disk.disk_errors(path), disk.replacing(path, shared=False) as table:
        table.write(disk.csv_text(("file", "reason"), sorted(unread)).encode("utf-8", "surrogateescape"))
    return path


def _listed(output: pathlib.Path, unread: Unread) -> str:
    """Write the list of unread files. Gives the words for a message."""
    path = _write(output, unread)
    file, reason = unread[0]
    files = "1 file" if len(unread) == 1 else f"{len(unread):,} files"
    return f"{files} could not be read, such as {shown(file)} ({reason}); all are listed in {path}"
