"""The answers of one call of ``pointkit.predict``, by file or by number of the shape."""

from __future__ import annotations

import logging
import pathlib
from collections import UserDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pointkit.cards import Card, Carded
from pointkit.errors import PointkitError
from pointkit.notebook import Move

if TYPE_CHECKING:
    from pointkit.answers import Result
    from pointkit.predict import Predictor

logger = logging.getLogger("pointkit")


class Answers(Carded, UserDict[Any, "Result | Exception"]):
    """File, or number of a shape -> its ``Result``; the error where there is no answer."""

    @property
    def problems(self) -> dict[Any, Exception]:
        """Those without an answer, with the reasons."""
        return {name: result for name, result in self.items() if isinstance(result, Exception)}

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_answers(self)


def of_shapes(predictor: Predictor, shapes: Iterable[Any], category: str | None) -> Answers:
    """The answers for shapes and arrays, by their numbers."""
    from pointkit.answers import Result

    answers = Answers()
    for number, shape in enumerate(shapes):
        try:
            answers[number] = Result(predictor.answer(shape, category))
        except PointkitError as error:
            answers[number] = error
    return answered(answers)


def answered(answers: Answers) -> Answers:
    """The answers; the first problem is raised where there is nothing else."""
    if len(answers.problems) == len(answers):
        raise next(iter(answers.problems.values()))
    return answers


class Collected:
    """Keeps what ``answer_all`` tells (``answers.Listener``), and moves a bar."""

    def __init__(self, move: Move | None) -> None:
        self.move, self.answers = move, Answers()
        self.files: Sequence[pathlib.Path] = ()
        self.told: list[Result | Exception] = []

    def begin(self, files: Sequence[pathlib.Path], notes: Sequence[str]) -> None:
        self.files = files
        for line in notes:
            logger.warning(line)

    def problem(self, error: Exception) -> None:
        self._keep(error)

    def result(self, file: pathlib.Path, result: Result) -> None:
        self._keep(result)

    def _keep(self, result: Result | Exception) -> None:
        self.told.append(result)
        if self.move is not None:
            self.move(len(self.told), max(len(self.files), len(self.told)), {})

    def end(self, problems: Sequence[Exception], skipped: int, total: int) -> None:
        """Folders without a file to answer are told before the files; their problems begin with their names."""
        folders = self.told[: total - len(self.files)]
        names = [pathlib.Path(str(problem).partition(": ")[0]) for problem in folders]
        self.answers.update(zip([*names, *self.files], self.told, strict=True))
