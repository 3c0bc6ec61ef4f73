"""How answers are shown: a line for each file, as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointkit.answers import Result
from pointkit.asking import PartsPrediction
from pointkit.console import note, percent, print_json, say
from pointkit.explain import Explanation


class Answers:
    """Prints a line for each file, two where it is explained; problems on standard error. An ``answers.Listener``."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.width = 0

    def begin(self, files: Sequence[Path], notes: Sequence[str]) -> None:
        """Print the notes about the run."""
        self.width = max((len(str(file)) for file in files), default=0)
        for line in notes:
            note(f"warning: {line}")

    def problem(self, error: Exception) -> None:
        """Print why a file or folder has no answer."""
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        note(f"pointkit: {' '.join(reason.split())}")

    def result(self, file: Path, result: Result) -> None:
        """Print a file's answer."""
        if self.as_json:
            print_json(_result_facts(file, result))
            return
        self._lines(file, result)
        for line in result.answer.warnings:
            note(f"warning: {file}: {line}")

    def _lines(self, file: Path, result: Result) -> None:
        answer, explanation = result.answer, result.explanation
        if isinstance(answer, PartsPrediction):
            total = sum(answer.counts.values())
            shares = ", ".join(f"{name} {percent(count / total)} %" for name, count in answer.counts.items() if count)
            sure = percent(answer.mean_probability)
            say(f"{result.written}: {answer.category}: {shares}; mean probability {sure} %")
        else:
            words = f"{answer.class_name} {percent(answer.probability)} %, then {answer.runner_up}"
            say(f"{file}  {words}" if explanation else f"{file!s:<{self.width}}  {words}")
        if explanation:
            line = _explanation_line(explanation)
            say(f"  {line}" if isinstance(answer, PartsPrediction) else f"  {result.written}: {line}")

    def end(self, failed: int, total: int) -> None:
        """Print how many could not be answered."""
        if failed:
            note(f"{failed} of {total} could not be answered")


def _result_facts(file: Path, result: Result) -> dict[str, Any]:
    """A file's answer for JSON."""
    answer, explanation = result.answer, result.explanation
    written = {"output": str(result.written)} if result.written else {}
    if isinstance(answer, PartsPrediction):
        about: dict[str, Any] = {
            **written,
            "category": answer.category,
            "parts": answer.counts,
            "probability": round(answer.mean_probability, 6),
            "warnings": list(answer.warnings),
        }
    else:
        about = {
            "class": answer.class_name,
            "probability": round(answer.probability, 6),
            "runner_up": answer.runner_up,
            "warnings": list(answer.warnings),
            **written,
        }
    return {"file": str(file), **about, **(_explanation_facts(explanation) if explanation else {})}


def _explanation_line(explanation: Explanation) -> str:
    decided, turned, total = explanation.decided, explanation.turned, explanation.others
    total += decided + turned
    return f"{decided:,} of {total:,} points decided, {turned:,} more turned the cloud; {explanation.picture}"


def _explanation_facts(explanation: Explanation) -> dict[str, Any]:
    counts = {name: getattr(explanation, name) for name in ("decided", "turned", "others")}
    return {"picture": str(explanation.picture), "critical": counts}
