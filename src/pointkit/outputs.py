"""The files that are written for a user's file: their names, and our fields beside the file's own."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping

from pointkit import formats
from pointkit.cloud import Array
from pointkit.errors import PointkitError

LABELLED, EXPLAINED = ".labelled", ".explained"  # before the suffix; folders are not searched for such files


def places(paths: Iterable[pathlib.Path], output: pathlib.Path | None, mark: str) -> dict[pathlib.Path, pathlib.Path]:
    """File -> the path of the file to write for it: beside it or in ``output``, with ``mark`` before the suffix.

    Raises PointkitError where two files would have one path.
    """
    targets: dict[pathlib.Path, pathlib.Path] = {}
    taken: dict[pathlib.Path, pathlib.Path] = {}
    for path in dict.fromkeys(paths):
        kept = formats.ANNOTATED.get(path.suffix.lower()) in (path.suffix.lower(), None)
        suffix = path.suffix if kept else ".ply"  # a format without room for fields
        target = (path if output is None else output / path.name).with_name(f"{path.stem}{mark}{suffix}")
        if target in taken:
            raise PointkitError(f"{target}: both {taken[target]} and {path} would be written here; do them in turn")
        targets[path], taken[target] = target, path
    return targets


def fields(theirs: Mapping[str, Array], ours: Mapping[str, Array]) -> dict[str, Array]:
    """The file's fields and ours. A field of the file with the name of one of ours gets ``source_`` before its name."""
    return {(f"source_{name}" if name in ours else name): array for name, array in theirs.items()} | dict(ours)
