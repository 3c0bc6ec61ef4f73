"""How a training is shown: its settings, a bar with loss, accuracy, rate and time, a line an epoch, how it ended."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointkit import config, console
from pointkit.console import aside, bar, compiling, err, next_step, note, percent, say
from pointkit.task import Task

if TYPE_CHECKING:
    from pointkit.watching import Outcome


@dataclass(frozen=True)
class Why:
    """Why the settings are what they are: the flags that were ``given``, and the ``reason`` for the others."""

    given: Mapping[str, Any]
    reason: str

    def lines(self, settings: Mapping[str, Any]) -> list[str]:
        """The settings that differ from their defaults, by what decided them."""
        defaults = config.combine({"model": settings["model"]}).flat()
        given = {name for name, value in self.given.items() if value is not None}
        differ = {name: value for name, value in settings.items() if value != defaults.get(name)}
        chosen = [f"{name}={value}" for name, value in differ.items() if name not in (*given, *config.MEANT_FOR)]
        flags = [f"{name}={settings[name]}" for name in settings if name in given]
        return [
            f"settings ({self.reason}):" + ("" if chosen or flags else " the defaults"),
            *([f"  chosen: {', '.join(chosen)}"] if chosen else []),
            *([f"  by flags: {', '.join(flags)}"] if flags else []),
        ]


class TrainingBar:
    """A bar with loss, accuracy, rate and time left; a line an epoch. Implements ``train.Watcher``."""

    def __init__(self, path: Path, why: Why) -> None:
        self.path, self.why = path, why
        self.bar = bar("loss {task.fields[loss]}", "accuracy {task.fields[accuracy]}", "rate {task.fields[rate]}")
        self.task = self.bar.add_task("starting", total=None, loss="", accuracy="", rate="")
        self.steps = 0
        self.mentioned = 0.0

    def tell(self, line: str) -> None:
        """A line about what is trained, which --quiet leaves out."""
        if not console.quiet():
            say(line)

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Print what is trained on what."""
        shapes, settings = facts["store"]["shapes"], facts["settings"]
        for line in self.why.lines(settings):
            self.tell(line)
        self.tell(f"  all settings: pointkit info {shlex.quote(str(self.path))}")
        counts = ", ".join(f"{count} {split}" for split, count in shapes.items())
        self.tell(f"shapes: {counts}; {Task.of(facts).size}")
        given, labels, weights = facts["batch"]
        named = given if isinstance(given, Mapping) else {"points": given}
        for name, array in {**named, "labels": labels, "weights": weights}.items():
            self.tell(f"batch {name}: {array.shape} {array.dtype}")
        self.steps = facts["steps"]
        total = self.steps * facts["epochs"]
        self.tell(f"steps per epoch: {self.steps}, total {total}")
        self.tell(f"parameters: {facts['parameters']:,}; backend: {facts['backend']}")
        self.bar.update(self.task, description="training", total=total, completed=self.steps * facts["done"])

    def compiling(self, what: str, seconds: float) -> None:
        """Say that the network is compiled, and about how long that takes."""
        self.bar.update(self.task, description=compiling(what, seconds))
        if not err.is_terminal:
            aside(compiling(what, seconds))

    def compiled(self) -> None:
        """The next step says what is done."""

    def step(self, epoch: int, batch: int, logs: Mapping[str, float]) -> None:
        """Move the bar; without a terminal, print a line now and then."""
        self.bar.update(
            self.task,
            completed=(epoch - 1) * self.steps + batch,
            description=f"epoch {epoch}",
            loss=f"{logs['loss']:.3f}",
            accuracy=percent(logs["accuracy"]),
            rate=f"{logs['learning_rate']:.2g}",
        )
        now = time.monotonic()
        if not err.is_terminal and now - self.mentioned > 60:  # a log shows life, too
            self.mentioned = now
            means = f"loss {logs['loss']:.3f}, accuracy {percent(logs['accuracy'])}"
            aside(f"epoch {epoch}, step {batch} of {self.steps}: {means}")

    def epoch(self, row: Mapping[str, float], best: bool) -> None:
        """A line about the epoch."""
        aside(
            f"epoch {row['epoch']:.0f}: loss {row['loss']:.3f}, accuracy {percent(row['accuracy'])}, "
            f"val_loss {row['val_loss']:.3f}, val_accuracy {percent(row['val_accuracy'])}, "
            + (f"val_mIoU {percent(row['val_miou'])}, " if "val_miou" in row else "")
            + f"{row['seconds']:.0f} s"
            + (" (best so far)" if best else "")
        )

    def note(self, line: str) -> None:
        """Something that the user should know."""
        note(line)

    def end(self, outcome: Outcome) -> None:
        """How the training ended."""
        trained(outcome)


def bars(
    why: Why, make: Callable[[Path, Why], TrainingBar] = TrainingBar
) -> Callable[[Path], AbstractContextManager[TrainingBar]]:
    """A function that gives the bar of each run's training."""

    @contextmanager
    def watch(path: Path) -> Iterator[TrainingBar]:
        watcher = make(path, why)
        with watcher.bar:
            yield watcher

    return watch


def _epochs(number: int) -> str:
    return f"{number} epoch{'' if number == 1 else 's'}"


def trained(outcome: Outcome, then: bool = True) -> None:
    """How a training ended, and (``then``) what to do next."""
    best = outcome.history[outcome.best_epoch - 1] if outcome.best_epoch else None
    kept = (
        f"kept epoch {outcome.best_epoch}, val_loss {best['val_loss']:.3f}"
        + (f", val_mIoU {percent(best['val_miou'])}" if "val_miou" in best else "")
        if best
        else "no epoch has a finite val_loss"
    )
    longer = "larger --epochs goes on" if not outcome.early else "larger --patience goes on"
    state = f"was finished before; nothing to do ({longer})" if outcome.already else "finished"
    if outcome.early and not outcome.already:
        state = f"stopped early, {_epochs(len(outcome.history) - outcome.best_epoch)} without a better one"
    say(f"{outcome.path}: {state}; {_epochs(len(outcome.history))}, {kept}")
    if then:
        next_step(f"pointkit evaluate {shlex.quote(str(outcome.path))}")
