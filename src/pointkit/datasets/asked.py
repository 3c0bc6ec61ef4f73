"""What the user says of a folder, where it does not say it itself."""

from __future__ import annotations

import math
import os
import pathlib
from dataclasses import dataclass
from typing import Any, TypedDict

from pointkit import features
from pointkit.errors import PointkitError

UP = "z"
FOLDERS = ("classes", "scans", "pieces", "none")


class Said(TypedDict, total=False):
    """The keywords of ``prepare`` that say how a folder is to be read (``Asked``)."""

    folders: str
    category: str
    split: str
    table: str | os.PathLike[str] | None
    label_field: str
    columns: str
    unlabelled: str
    names: str
    up: str
    full_scale: str


@dataclass(frozen=True)
class Asked:
    """How a folder is to be read. Empty is what the folder itself says.

    ``folders``: the top folders are classes or categories ("classes"); each innermost folder is one scan, and the
    folder above is its class ("scans"); each folder is one shape, and its files are its parts ("pieces"); or folders
    mean nothing, but for those of a split ("none"). ``category`` names the one category of a set of parts. ``split``,
    such as "70/10/20", makes a split in place of the folder's own. ``table`` is a CSV file with the column file, and
    any of label, class, split, group.

    ``label_field``, ``columns`` and ``unlabelled`` say what the columns of files mean (``columns.Meaning``). ``names``
    are those of the labels, "1=top,2=legs" or a file. ``up`` is the axis of the files that points up (``upright``).
    ``full_scale``, such as "intensity=2048", says what numbers of colours and intensities count as 1.
    """

    folders: str = ""
    category: str = ""
    split: str = ""
    table: str | os.PathLike[str] | None = None
    label_field: str = ""
    columns: str = ""
    unlabelled: str = ""
    names: str = ""
    up: str = UP
    full_scale: str = ""

    def __post_init__(self) -> None:
        _ = self.full_scales
        if self.up != UP:
            from pointkit import upright  # NumPy, which the command line's help does not need

            upright.check(self.up)
        if self.folders not in ("", *FOLDERS):
            raise PointkitError(f"--folders must be one of {', '.join(FOLDERS)}, got {self.folders!r}")
        if self.category and self.folders == "classes":
            raise PointkitError(
                "--category names the one category of a set, --folders classes says that it has several"
            )

    @property
    def full_scales(self) -> dict[str, float]:
        """Kind of features -> the number that counts as 1. Raises PointkitError where ``full_scale`` says none."""
        found: dict[str, float] = {}
        for word in self.full_scale.split(",") if self.full_scale else ():
            kind, _, number = word.partition("=")
            try:
                found[kind] = float(number)
            except ValueError:
                found[kind] = math.nan
            if kind not in features.SCALED or not 0 < found[kind] < math.inf:
                rule = f"must be like intensity=2048 or color=255, of {' and '.join(features.SCALED)}"
                raise PointkitError(f"--full-scale {rule}, got {word!r}")
        return found

    @property
    def table_path(self) -> pathlib.Path | None:
        return pathlib.Path(self.table) if self.table else None

    def facts(self) -> dict[str, Any]:
        """What was said of the folder itself, for the settings of a store."""
        given = {"folders": self.folders, "category": self.category, "split_asked": self.split}
        if self.up != UP:
            given["up"] = self.up
        kept: dict[str, Any] = {name: value for name, value in given.items() if value}
        return {**kept, **({"full_scale": self.full_scales} if self.full_scale else {})}


NOTHING_ASKED = Asked()
