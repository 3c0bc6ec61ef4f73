"""Who is told while a command works: of a training's steps and epochs, of shapes done, and of a compiler at work.

No Keras, so that what shows all this can be made before Keras is imported.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pointkit.cards import Card, Carded


@dataclass(frozen=True, repr=False)
class Outcome(Carded):
    """A finished training: its folder and history, the epoch whose weights were kept, whether it was done before.

    ``early``: ``patience`` ended it before its last epoch.
    """

    path: pathlib.Path
    history: list[dict[str, float]]
    best_epoch: int
    already: bool
    early: bool = False

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_outcome(self)

    def __fspath__(self) -> str:
        return str(self.path)


class Compiling(Protocol):
    """An object that is told of a compiler at work."""

    def compiling(self, what: str, seconds: float) -> None:
        """Called before a network is compiled for ``what``, once a process; it takes about so many seconds."""
        return

    def compiled(self) -> None:
        """Called after that."""
        return


class Waiting(Compiling, Protocol):
    """An object that is told what a user waits for. This one does nothing; the command line's shows motion."""

    def begin(self, what: str) -> None:
        """Called when the work on ``what`` begins, such as a run."""
        return

    def done(self, number: int, total: int) -> None:
        """Called when ``number`` of ``total`` shapes are done."""
        return


class Watcher(Compiling, Protocol):
    """An object that is told what happens in a training. This one does nothing; the command line's draws a bar."""

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Called before the first step, with what is trained on what."""
        return

    def step(self, epoch: int, batch: int, logs: Mapping[str, float]) -> None:
        """Called after each step; ``logs`` are the means of the epoch so far."""
        return

    def epoch(self, row: Mapping[str, float], best: bool) -> None:
        """Called after each epoch, with its row of history.csv, and whether its weights are the best so far."""
        return

    def note(self, line: str) -> None:
        """Called with a line that the user should know."""
        return

    def end(self, outcome: Outcome) -> None:
        """Called after the training."""
        return


class Silent(Watcher):
    """A watcher that tells nobody."""


class Patient(Waiting):
    """One who waits and is shown nothing."""


class Beside(Patient):
    """One who waits and is shown a compiler at work alone, where ``tell`` shows it."""

    def __init__(self, tell: Compiling) -> None:
        self.tell = tell

    def compiling(self, what: str, seconds: float) -> None:
        self.tell.compiling(what, seconds)

    def compiled(self) -> None:
        self.tell.compiled()
