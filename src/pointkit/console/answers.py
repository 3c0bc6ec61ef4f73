"""How answers are shown: a line for each file, as text or JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.progress import TaskID

from pointkit.answers import Result
from pointkit.asking import Answer, PartsPrediction
from pointkit.console import bar, err, note, percent, print_json, say
from pointkit.disk import shown
from pointkit.explain import Explanation

FEW = 20  # files whose problems are still in sight at the end
LISTED = 50  # problems that are listed again


class Answers:
    """Prints a line for each file, two where it is explained; problems on standard error. An ``answers.Listener``.

    Of several files a bar shows how many are done, where standard error is a terminal and the lines go elsewhere.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.width = 0
        self.bar = bar("{task.fields[file]}")
        self.task: TaskID | None = None

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.task is not None:
            self.task = None
            self.bar.stop()

    def begin(self, files: Sequence[Path], notes: Sequence[str]) -> None:
        """Print the notes about the run."""
        self.width = max((len(str(file)) for file in files), default=0)
        for line in notes:
            note(f"warning: {line}")
        if len(files) > 1 and err.is_terminal and not sys.stdout.isatty():
            self.task = self.bar.add_task("answering", total=len(files), file="")
            self.bar.start()

    def problem(self, error: Exception) -> None:
        """Print why a file or folder has no answer."""
        note(f"pointkit: {_reason(error)}")
        self._step("")

    def result(self, file: Path, result: Result) -> None:
        """Print a file's answer."""
        self._step(file.name)
        if self.as_json:
            print_json(_result_facts(file, result))
        elif result.answer is None:
            say(f"{result.written}: answered before, and unchanged since")
        else:
            self._lines(file, result, result.answer)
            for line in result.answer.warnings:
                note(f"warning: {file}: {line.text}")

    def _step(self, name: str) -> None:
        if self.task is not None:
            self.bar.update(self.task, advance=1, file=escape(shown(name)))

    def _lines(self, file: Path, result: Result, answer: Answer) -> None:
        explanation = result.explanation
        if isinstance(answer, PartsPrediction):
            total = sum(answer.counts.values())
            shares = ", ".join(f"{name} {percent(count / total)} %" for name, count in answer.counts.items() if count)
            sure = percent(answer.mean_probability)
            say(f"{result.written}: {answer.category}: {shares}; mean probability {sure} %")
            if result.written and result.written.suffix.lower() != file.suffix.lower():
                say(f"  {result.written.suffix}, as {file.suffix} has no room for labels")
        else:
            words = f"{answer.class_name} {percent(answer.probability)} %, then {answer.runner_up}"
            say(f"{file}  {words}" if explanation else f"{file!s:<{self.width}}  {words}")
        if explanation:
            line = _explanation_line(explanation)
            say(f"  {line}" if isinstance(answer, PartsPrediction) else f"  {result.written}: {line}")

    def end(self, problems: Sequence[Exception], skipped: int, total: int) -> None:
        """Print how many files had been answered before, and which could not be answered."""
        self._stop()
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


def _result_facts(file: Path, result: Result) -> dict[str, Any]:
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
            "warnings": [warned._asdict() for warned in answer.warnings],
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
