"""What ``learn`` shows: its stages one after another, each with what the single command would show."""

from __future__ import annotations

import pathlib
import shlex
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pointkit import console
from pointkit.console import figures, training
from pointkit.console.verdict import said
from pointkit.learn import Learned, Listener
from pointkit.prepare.reading import Progress
from pointkit.watching import Outcome, Waiting

if TYPE_CHECKING:
    from pointkit.datasets.folder import Found
    from pointkit.prepare import Prepared
    from pointkit.train import Watch


class Learning(Listener):
    """Prints the stages; with ``as_json`` only what goes to standard error."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def found(self, what: Found) -> None:
        """What the folder was taken for."""
        if not self.as_json:
            console.found(what)

    def reading(self) -> AbstractContextManager[Progress]:
        """The bars of reading."""
        return console.preparing()

    def prepared(self, result: Prepared, page: pathlib.Path) -> None:
        """The counts, warnings and findings, and where the page is."""
        if not self.as_json:
            console.prepared(result, then=False)
        console.aside(f"your data: {page}")

    def planned(self, line: str) -> None:
        """How long the training will take."""
        console.aside(line)

    def training(self, reason: str) -> Watch:
        """The bar of the training."""
        return training.bars(training.Why({}, reason), _Silent if self.as_json else _Bar)

    def measuring(self) -> AbstractContextManager[Waiting]:
        """The bar of the evaluation."""
        return console.Work("measuring")


class _Bar(training.TrainingBar):
    """A training's bar that proposes no next command."""

    def end(self, outcome: Outcome) -> None:
        """How the training ended."""
        training.trained(outcome, then=False)


class _Silent(training.TrainingBar):
    """A training's bar that prints nothing on standard output."""

    def tell(self, line: str) -> None:
        """Nothing."""

    def end(self, outcome: Outcome) -> None:
        """Nothing."""


def learned(result: Learned, as_json: bool) -> None:
    """The report, and the command to type next."""
    if as_json:
        console.print_json(result.facts)
        return
    figures.report_table(result.report)
    place = result.path if result.report["split"] == "test" else result.path / result.report["split"]
    console.say(f"page: {place / 'report.html'}")
    predict = f"pointkit predict {shlex.quote(str(result.path))} FILE..."
    if said(result.report["verdict"], predict) != predict:
        console.aside(f"to use the network as it is: {predict}")
