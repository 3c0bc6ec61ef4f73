"""How a verdict is shown: a line of words for each kind, the worst first, with the command that helps below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointkit import verdict
from pointkit.console import next_step, say

MARKS = {verdict.ALARM: "✗", verdict.NOTE: "·", verdict.GOOD: "✓"}


def said(lines: Sequence[Mapping[str, str]], otherwise: str) -> str:
    """Print a verdict, then what to type next: what helps against the worst, or the command ``otherwise``.

    Returns that command.
    """
    if lines:
        say("verdict:")
    for line in lines:
        say(f"  {MARKS[verdict.level(line['kind'])]} {line['text']}")
        if line["command"] and verdict.level(line["kind"]) != verdict.GOOD:
            say(f"      {line['command']}")
    alarms = [line["command"] for line in lines if verdict.level(line["kind"]) == verdict.ALARM]
    if following := next(filter(None, alarms), otherwise):
        next_step(following)
    return following
