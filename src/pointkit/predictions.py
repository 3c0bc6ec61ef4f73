"""A table of answers: a row for each file, kept beside the files that are written."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pointkit import disk, outputs
from pointkit.asking import PartsPrediction
from pointkit.errors import PointkitError

if TYPE_CHECKING:
    from pointkit.answers import Result

NAME = outputs.TABLES[0]
COLUMNS = ("file", "answer", "probability", "more", "written", "error")


class Rows:
    """The rows of the files that were answered in one call, by file.

    ``top_k``: so many classes of a shape, with their probabilities, stand in the column "more", else the runner-up.
    """

    def __init__(self, top_k: int | None = None) -> None:
        self.top_k = top_k
        self.rows: dict[str, tuple[str, ...]] = {}
        self.skipped: dict[str, tuple[str, ...]] = {}

    def add(self, file: pathlib.Path, result: Result | Exception) -> None:
        """Add a file's row: its class, or its category and the points of each part; or what went wrong."""
        name = str(file)
        if isinstance(result, Exception):
            self.rows[name] = (name, "", "", "", "", " ".join(str(result).split()))
            return
        answer, written = result.answer, str(result.written or "")
        if answer is None:
            self.skipped[name] = (name, "", "", "answered before", written, "")
        elif isinstance(answer, PartsPrediction):
            counts = " ".join(f"{part}={count}" for part, count in answer.counts.items())
            self.rows[name] = (name, answer.category, f"{answer.mean_probability:.6f}", counts, written, "")
        else:
            top = answer.top(self.top_k) if self.top_k else []
            more = " ".join(f"{other}={share:.6f}" for other, share in top) or answer.runner_up
            self.rows[name] = (name, answer.class_name, f"{answer.probability:.6f}", more, written, "")


@contextlib.contextmanager
def kept(output: pathlib.Path, rows: Rows) -> Iterator[None]:
    """Write the table into ``output`` when the block ends, however it ends. Rows of earlier calls stay.

    Raises PointkitError where another file of that name stands there.
    """
    path = output / NAME
    before: dict[str, tuple[str, ...]] = {}
    if path.exists():
        lines = disk.csv_rows(path) if path.is_file() else []
        if not lines or tuple(lines[0]) != COLUMNS:
            raise PointkitError(f"{path}: is not a table of answers; move it away, or name another folder")
        before = {line["file"]: tuple(line[name] or "" for name in COLUMNS) for line in lines}
    try:
        yield
    finally:
        every = {**rows.skipped, **before, **rows.rows}
        if every:
            with disk.replacing(path) as file:
                file.write(disk.csv_text(COLUMNS, list(every.values())).encode("utf-8", "surrogateescape"))
