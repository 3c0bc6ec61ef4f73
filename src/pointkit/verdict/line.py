"""What a verdict is made of: a line of words, and the commands that lines recommend."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Report = Mapping[str, Any]
Matrix = list[list[int]]
WIDE = 0.10  # width of an interval that tells little


class Line(NamedTuple):
    """What is said, in plain words, and the command that helps."""

    text: str
    command: str


def percent(share: float) -> str:
    """0.905 as "90.5 %"."""
    return f"{100 * share:.1f} %"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names joined by commas, the first few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def run_of(report: Report) -> Mapping[str, Any]:
    """What a report knows of its run; nothing of an old one."""
    return report.get("run") or {}


def settings_of(report: Report) -> Mapping[str, Any]:
    """The settings of the training."""
    return run_of(report).get("settings") or {}


def path_of(report: Report) -> str:
    """The run's folder, as one would type it."""
    return shlex.quote(str(run_of(report).get("path") or "RUN"))


def folder_of(report: Report) -> str:
    """The folder that the shapes were read from, where ``learn`` knows it; else a word for it."""
    return str((report.get("store") or {}).get("folder") or "FOLDER")


def training(report: Report, ending: str = "", **changes: object) -> str:
    """The command that trained the run, with other settings, into a folder of its own named by ``ending``."""
    words = shlex.split(run_of(report).get("command") or "pointkit train STORE -o RUN")
    if "-o" in words[:-1] and ending:
        words[words.index("-o") + 1] += f"-{ending}"
    for name, value in changes.items():
        flag = f"--{name.replace('_', '-')}"
        if flag in words[:-1]:
            words[words.index(flag) + 1] = str(value)
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def matrices(report: Report) -> dict[str, tuple[Sequence[str], Matrix]]:
    """The confusions in a report with the names of their rows: one of classes, under "", or one for each category."""
    rows = report.get("classes") or []
    matrix = report.get("confusion") or []
    if matrix and len(matrix) == len(rows):
        return {"": ([row["name"] for row in rows], matrix)}
    return {
        row["name"]: ([part["name"] for part in row["parts"]], row["confusion"])
        for row in report.get("categories") or []
        if row.get("confusion") and row.get("shapes")
    }
