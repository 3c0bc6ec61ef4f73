"""A report in words: what is good, what is wrong, and the command that helps.

Each kind of line is a small function of a report, with an entry in ``KINDS``. It looks at the report alone, so reports
of older versions get a verdict, too: a kind whose figures are missing says nothing. The worst comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointkit.verdict import answers, data, training
from pointkit.verdict.line import Line, Report

ALARM, NOTE, GOOD = "alarm", "note", "good"


@dataclass(frozen=True)
class Kind:
    """One kind of line: ``find`` gives it, or None where it does not apply. An alarm says: do not use this network.

    ``covers`` are kinds that go without saying where this one holds.
    """

    find: Callable[[Report], Line | None]
    level: str = NOTE
    covers: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "chance": Kind(answers.chance, ALARM, covers=("commonest", "nearest", "mixed-up")),
    "commonest": Kind(answers.commonest, ALARM, covers=("nearest",)),
    "dominates": Kind(answers.dominates, ALARM),
    "nearest": Kind(answers.nearest, ALARM),
    "good": Kind(answers.good, GOOD),
    "too-few-shapes": Kind(data.too_few_shapes),
    "still-improving": Kind(training.still_improving),
    "over-fitting": Kind(training.over_fitting),
    "turned": Kind(training.turned),
    "rare": Kind(data.rare),
    "mixed-up": Kind(answers.mixed_up),
    "mislabels": Kind(data.mislabels),
    "absent": Kind(data.absent),
}


def of(report: Report) -> list[dict[str, str]]:
    """The verdict on a report, as it stands there: a list of {"kind", "text", "command"}, the worst first."""
    found = {name: line for name, kind in KINDS.items() if (line := kind.find(report))}
    hidden = {name for kind in found for name in KINDS[kind].covers}
    if any(KINDS[name].level == ALARM for name in found):
        hidden.add("good")
    found = {name: line for name, line in found.items() if name not in hidden}
    return [{"kind": name, "text": line.text, "command": line.command} for name, line in found.items()]


def of_groups(groups: Mapping[str, Sequence[Report]]) -> list[dict[str, str]]:
    """The verdict on several runs: each kind once, with the words of the first run that it holds for.

    Where it does not hold for all, the text says for which. What is good must hold for all.
    """
    reports = {(name, i): report for name, group in groups.items() for i, report in enumerate(group)}
    verdicts = {key: {line["kind"]: line for line in of(report)} for key, report in reports.items()}
    found = []
    for kind in KINDS:
        holds = [key for key, lines in verdicts.items() if kind in lines]
        if not holds or (KINDS[kind].level == GOOD and len(holds) < len(reports)):
            continue
        line = verdicts[holds[0]][kind]
        names = [_name(reports[key], *key) for key in holds]
        which = f"{len(holds)} of {len(reports)} runs" if len(holds) < len(reports) else "all runs"
        listed = "such as" if len(holds) > 1 else "namely"
        found.append({**line, "text": f"{which}, {listed} {names[0]}: {line['text']}"})
    return found


def _name(report: Report, group: str, number: int) -> str:
    return str((report.get("run") or {}).get("path") or f"{group} ({number + 1})")


def level(kind: str) -> str:
    """How grave a kind is: "alarm", "note" or "good"; "note" for the kinds of a later version."""
    return KINDS[kind].level if kind in KINDS else NOTE


def alarming(verdict: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a verdict has an alarm."""
    return any(level(line["kind"]) == ALARM for line in verdict)
