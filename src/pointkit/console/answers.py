"""How answers are shown: a line for each file, as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointkit import formats
from pointkit.answers import Result
from pointkit.asking import Answer, PartsPrediction, Prediction
from pointkit.console import Work, note, percent, print_json, say
from pointkit.explain import MEANING, Explanation, Influences

FEW = 20  # files whose problems are still in sight at the end
LISTED = 50  # problems that are listed again


class Answers:
    """Prints a line for each file, two where it is explained; problems on standard error.

    It is an ``answers.Listener``. On a terminal its ``work`` says what is waited for, and how many files are done.
    ``top_k``: so many classes of a shape are shown.
    """

    def __init__(self, as_json: bool, top_k: int | None = None) -> None:
        self.as_json, self.top_k = as_json, top_k
        self.width = 0
        self.work = Work("starting Keras")
        self.number = self.total = 0

    def __enter__(self) -> Answers:
        self.work.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.work.__exit__()

    def begin(self, files: Sequence[Path], notes: Sequence[str]) -> None:
        """Print the notes about the run."""
        self.width = max((len(str(file)) for file in files), default=0)
        for line in notes:
            note(f"warning: {line}")
        self.total = len(files)
        self.work.begin("answering")
        self.work.done(0, self.total)

    def problem(self, error: Exception) -> None:
        """Print why a file or folder has no answer."""
        note(f"pointkit: {_reason(error)}")
        self._step()

    def result(self, file: Path, result: Result) -> None:
        """Print a file's answer."""
        self._step()
        if self.as_json:
            print_json(_result_facts(file, result, self.top_k))
        elif result.answer is None:
            say(f"{result.written}: answered before, and unchanged since")
        else:
            self._lines(file, result, result.answer)
            for line in result.answer.warnings:
                note(f"warning: {file}: {line.text}")

    def _step(self) -> None:
        self.number += 1
        self.work.done(self.number, self.total)

    def _lines(self, file: Path, result: Result, answer: Answer) -> None:
        explanation = result.explanation
        if isinstance(answer, PartsPrediction):
            total = sum(answer.counts.values())
            shares = ", ".join(f"{name} {percent(count / total)} %" for name, count in answer.counts.items() if count)
            sure = percent(answer.mean_probability)
            say(f"{result.written}: {answer.category}: {shares}; mean probability {sure} %")
            own = Path(formats.within(file)[0]).suffix
            if result.written and result.written.suffix.lower() != own.lower():
                say(f"  {result.written.suffix}, as {own} has no room for labels")
            elif own.lower() in formats.ONE_FIELD:
                say(f"  the labels alone, as {own} has no room for probabilities")
        else:
            words = f"{answer.class_name} {percent(answer.probability)} %, then {answer.runner_up}"
            if self.top_k:
                words = ", ".join(f"{name} {percent(share)} %" for name, share in answer.top(self.top_k))
            say(f"{file}  {words}" if explanation else f"{file!s:<{self.width}}  {words}")
        if explanation:
            line = _explanation_line(explanation)
            say(f"  {line}" if isinstance(answer, PartsPrediction) else f"  {result.written}: {line}")

    def end(self, problems: Sequence[Exception], skipped: int, total: int) -> None:
        """Print how many files had been answered before, and which could not be answered."""
        self.work.__exit__()
        if skipped:
            note(f"{skipped:,} of {total:,} were answered before, and are unchanged; --force answers them again")
        if not problems:
            return
        if total > FEW:  # the lines above are far away by now
            note("not answered:")
            for error in problems[:LISTED]:
                note(f"  {_reason(error)}")
            if len(problems) > LISTED:
                note(f"  ... and {len(problems) - LISTED:,} more")
        note(f"{len(problems)} of {total} could not be answered")


def _reason(error: Exception) -> str:
    reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    return " ".join(reason.split())


def _result_facts(file: Path, result: Result, top_k: int | None = None) -> dict[str, Any]:
    """A file's answer for JSON."""
    answer, explanation = result.answer, result.explanation
    written = {"output": str(result.written)} if result.written else {}
    if answer is None:
        return {"file": str(file), **written, "skipped": True}
    if isinstance(answer, PartsPrediction):
        about: dict[str, Any] = {
            **written,
            "category": answer.category,
            "parts": answer.counts,
            "probability": round(answer.mean_probability, 6),
            "warnings": [warned._asdict() for warned in answer.warnings],
        }
    else:
        about = {
            "class": answer.class_name,
            "probability": round(answer.probability, 6),
            "runner_up": answer.runner_up,
            **({"top": _top(answer, top_k)} if top_k else {}),
            "warnings": [warned._asdict() for warned in answer.warnings],
            **written,
        }
    return {"file": str(file), **about, **(_explanation_facts(explanation) if explanation else {})}


def _top(answer: Prediction, top_k: int) -> list[dict[str, Any]]:
    return [{"class": name, "probability": round(share, 6)} for name, share in answer.top(top_k)]


def _explanation_line(explanation: Explanation | Influences) -> str:
    if isinstance(explanation, Influences):
        won = "" if explanation.won is None else f"; {explanation.won:,} neighbourhoods won a channel"
        holding = f"{explanation.half:,} of {explanation.points:,} points hold half of the influence"
        return f"{holding} (a gradient: {MEANING}){won}; {explanation.picture}"
    decided, turned, total = explanation.decided, explanation.turned, explanation.others
    total += decided + turned
    return f"{decided:,} of {total:,} points decided, {turned:,} more turned the cloud; {explanation.picture}"


def _explanation_facts(explanation: Explanation | Influences) -> dict[str, Any]:
    if isinstance(explanation, Influences):
        won, total = explanation.won, explanation.points
        critical = {} if won is None else {"critical": {"won": won, "others": total - won}}
        influence = {"half": explanation.half, "points": total}
        return {"picture": str(explanation.picture), "influence": influence, **critical}
    counts = {name: getattr(explanation, name) for name in ("decided", "turned", "others")}
    return {"picture": str(explanation.picture), "critical": counts}
