"""Bars in a notebook, by its own display: nothing beside IPython is needed, and the last state is kept in the file."""

from __future__ import annotations

import html
import io
import logging
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any

from pointkit.watching import Patient, Silent

EVERY = 0.2  # seconds between two drawings
ROWS = 6  # of the bars by class, and epochs, that are shown

Move = Callable[[int, int, Mapping[str, tuple[int, int]]], None]

logger = logging.getLogger("pointkit")


def running() -> bool:
    """Whether this Python belongs to a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


@contextmanager
def hushed() -> Iterator[None]:
    """Let nothing be printed or displayed by a library that greets in any case."""
    with redirect_stdout(io.StringIO()), ExitStack() as stack:
        if running():
            from IPython.utils.capture import capture_output

            stack.enter_context(capture_output())
        yield


class Bar:
    """A bar with a title, words beside it and lines below it, drawn anew in its place."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.begun = time.monotonic()
        self.drawn = 0.0
        self.handle: Any = None

    def show(self, done: int, total: int, words: str = "", lines: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Draw the bar, at most five times a second, but ``now`` in any case."""
        moment = time.monotonic()
        if moment - self.drawn < EVERY and not now:
            return
        self.drawn = moment
        left = (moment - self.begun) / done * (total - done) if done else 0
        parts = [f"{done:,} of {total:,}", *([words] if words else []), *([f"{_time(left)} left"] if left > 1 else [])]
        below = f'<pre style="margin:2px 0">{html.escape(chr(10).join(lines))}</pre>' if lines else ""
        bar = f'<progress value="{done}" max="{max(total, 1)}" style="width:16em;vertical-align:middle"></progress>'
        self._draw(f"<div>{html.escape(self.title)} {bar} {html.escape(', '.join(parts))}{below}</div>")

    def close(self) -> None:
        """Take the bar away: what is returned shows itself."""
        if self.handle is not None:
            self._draw("")

    def _draw(self, text: str) -> None:
        from IPython.display import HTML, display

        if self.handle is None:
            self.handle = display(HTML(text), display_id=True)
        else:
            self.handle.update(HTML(text))


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


@contextmanager
def bars(title: str) -> Iterator[Move]:
    """A bar; yields the function that moves it: things done, in all, and class -> (done, in all)."""
    bar = Bar(title)

    def move(done: int, total: int, classes: Mapping[str, tuple[int, int]]) -> None:
        busy = [f"{name}: {read:,} of {there:,}" for name, (read, there) in classes.items() if 0 < read < there]
        bar.show(done, total, "", tuple(busy[:ROWS]))

    try:
        yield move
    finally:
        bar.close()


class Quiet(Silent):
    """Shows nothing of a training; what one should know goes to the logger."""

    def note(self, line: str) -> None:
        logger.warning(line)


class TrainingBar(Quiet):
    """A bar of the steps, with the last epochs below it."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.steps, self.total, self.done = 1, 1, 0
        self.lines: tuple[str, ...] = ()

    def begin(self, facts: Mapping[str, Any]) -> None:
        self.steps, self.done = facts["steps"], facts["done"] * facts["steps"]
        self.total = self.steps * facts["epochs"]
        self.bar.show(self.done, self.total, "", self.lines, now=True)

    def compiling(self, what: str, seconds: float) -> None:
        words = f"compiling for {what}, once, about {_time(seconds)}"
        self.bar.show(self.done, self.total, words, self.lines, now=True)

    def step(self, epoch: int, batch: int, logs: Mapping[str, float]) -> None:
        self.done = (epoch - 1) * self.steps + batch
        self.bar.show(self.done, self.total, f"epoch {epoch}, loss {logs['loss']:.3f}", self.lines)

    def epoch(self, row: Mapping[str, float], best: bool) -> None:
        shares = ("accuracy", "val_accuracy", "val_miou")
        parts = [f"loss {row['loss']:.3f}", *(f"{key} {100 * row[key]:.1f} %" for key in shares if key in row)]
        line = f"epoch {row['epoch']:.0f}: {', '.join(parts)}{', best so far' if best else ''}"
        self.lines = (*self.lines, line)[-ROWS:]
        self.bar.show(self.done, self.total, "", self.lines, now=True)


class Measuring(Patient):
    """A bar of the shapes that are measured."""

    def __init__(self, bar: Bar) -> None:
        self.bar, self.what = bar, ""

    def begin(self, what: str) -> None:
        self.what = what
        self.bar.show(0, 1, what, now=True)

    def compiling(self, what: str, seconds: float) -> None:
        self.bar.show(0, 1, f"compiling for {what}, once, about {_time(seconds)}", now=True)

    def done(self, number: int, total: int) -> None:
        self.bar.show(number, total, self.what)


@contextmanager
def waiting() -> Iterator[Measuring]:
    """The bar of an evaluation."""
    bar = Bar("evaluating")
    try:
        yield Measuring(bar)
    finally:
        bar.close()


@contextmanager
def training(path: pathlib.Path) -> Iterator[TrainingBar]:
    """The bar of a training into ``path``."""
    bar = Bar(f"training {path.name}")
    try:
        yield TrainingBar(bar)
    finally:
        bar.close()
