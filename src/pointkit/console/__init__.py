"""What the command line shows: progress on standard error, results on standard output. Nothing is decided here."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from pointkit.disk import printable, shown
from pointkit.signals import Stopped
from pointkit.task import TASKS, Task

if TYPE_CHECKING:
    from pointkit.datasets import FetchResult
    from pointkit.datasets.folder import Found
    from pointkit.prepare import Prepared
    from pointkit.prepare.survey import Survey
    from pointkit.train import Outcome


class _Output(Console):
    """A console whose reader may leave early, like ``head``: that is no error."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


# A pipe has no width, and tables must not be folded for it.
out = _Output(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """A line of the result."""
    out.print(line, markup=False)


def note(line: str) -> None:
    """A line on standard error, beside the result."""
    err.print(line, markup=False)


def next_step(command: str) -> None:
    """What to type next."""
    note(f"next: {command}")


def print_json(value: object) -> None:
    """One JSON object on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent, or n/a."""
    return "n/a" if value is None else f"{100 * value:.{digits}f}"


def bar(*columns: str) -> Progress:
    """A bar on standard error, with further columns."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn(column) for column in columns),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,  # it would end with an empty line
    )


# --- fetch ---------------------------------------------------------------------------------------------------------


@contextmanager
def fetching(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of megabytes; yields the callback (bytes done, bytes in all)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as bar:
        task = bar.add_task(f"fetching {escape(name)}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def fetched(result: FetchResult) -> None:
    """What was fetched, and where it lies."""
    for line in result.notes:
        note(line)
    say(f"{result.folder}: " + ", ".join(f"{count} {split}" for split, count in result.counts.items()))
    next_step(f"pointkit prepare {shlex.quote(str(result.folder))} -o STORE")


# --- prepare -------------------------------------------------------------------------------------------------------


@contextmanager
def preparing() -> Iterator[Callable[[int, int, Mapping[str, tuple[int, int]]], None]]:
    """Bars by class; yields the callback (files done, files in all, class -> (done, in all))."""
    with bar() as bars:
        tasks: dict[str, TaskID] = {}

        def progress(done: int, total: int, classes: Mapping[str, tuple[int, int]]) -> None:
            for name, (read, there) in {**classes, "all": (done, total)}.items():
                if name not in tasks:
                    tasks[name] = bars.add_task(escape(shown(name)), total=there)
                bars.update(tasks[name], completed=read, total=there)

        yield progress


def found(what: Found) -> None:
    """What was found in a folder, what it was taken for, and how to say otherwise."""
    say(f"found: {what.words.found}")
    say(f"taken as: {what.words.taken}")
    if what.words.otherwise:
        say(f"otherwise: {', '.join(what.words.otherwise)}")


def surveyed(survey: Survey) -> None:
    """A folder as ``prepare`` would take it."""
    found(survey.found)
    _counts(TASKS[survey.found.task].group[0], survey.found.classes, survey.counts, {})
    for line in survey.found.warnings:
        note(f"warning: {line}")


def tried(about: Mapping[str, Any]) -> None:
    """What is wrong with a folder's files."""
    findings(about)
    _unread([(one["file"], one["reason"]) for one in about["unread"]])
    say("nothing was written")


def findings(about: Mapping[str, Any], most: int = 12) -> None:
    """What the audit found, worst first, a line each; ``about`` is a store's manifest, or facts with its keys."""
    from pointkit.audit.finding import kept, names

    found = kept(about)
    for one in found[:most]:
        files = f" ({names(one.files)})" if one.files else ""
        note(f"{'stop' if one.stops else 'finding'}: {one.text}{files}")
    if len(found) > most:
        note(f"... and {len(found) - most} more findings; pointkit info shows all")


def _unread(lost: Sequence[tuple[str, str]]) -> None:
    for file, reason in lost[:20]:
        note(f"not read: {shown(file)}: {printable(reason)}")
    if len(lost) > 20:
        note(f"... and {len(lost) - 20} more")


def _counts(
    what: str,
    classes: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    more: Mapping[str, Mapping[str, str]],
) -> None:
    """A table of the shapes by class and split. ``more``: class -> further columns, title -> text."""
    table = Table(what, *counts, *next(iter(more.values()), ()))
    for name in classes:
        cells = [str(some[name]) for some in counts.values()]
        table.add_row(escape(shown(name)), *cells, *(escape(shown(text)) for text in more.get(name, {}).values()))
    table.add_row("all", *(str(sum(some.values())) for some in counts.values()), style="bold")
    out.print(table)


def prepared(result: Prepared) -> None:
    """Counts by class and split, what could not be read, and what to do next."""
    from pointkit.prepare import ready
    from pointkit.store import SPLITS

    store = result.store
    colors = store.manifest.get("colors", {})
    more = {name: store.task.columns(name, colors) for name in store.classes}
    counts = {split: dict.fromkeys(store.classes, 0) for split in SPLITS}
    for row in store.rows:
        counts[row.split][row.class_name] += 1
    _counts(store.task.group[0], store.classes, counts, more)
    for line in result.warnings:
        note(f"warning: {line}")
    if few := ready.too_few(store):
        note(f"warning: {few}")
    findings(store.manifest)
    _unread(result.unread)
    if result.unread:
        note(f"{len(result.unread)} files could not be read: {store.path / 'unread.csv'}")
    if result.resumed:
        note(f"{result.resumed} files had been read by an earlier, interrupted call")
    say(f"{store.path}: {len(store.rows)} shapes" + (", prepared before; nothing to do" if result.already else ""))
    if lack := ready.lacks(store):
        note(f"not to be trained on as it is: {lack}")
    elif store.manifest.get("stopping"):
        note("a training on it as it is would be worth nothing: the lines that begin with stop say why")
    else:
        next_step(f"pointkit train {shlex.quote(str(store.path))} -o RUN")


# --- train ---------------------------------------------------------------------------------------------------------


class TrainingBar:
    """A bar with loss, accuracy, rate and time left; a line an epoch. Implements ``train.Watcher``."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        self.bar = bar("loss {task.fields[loss]}", "accuracy {task.fields[accuracy]}", "rate {task.fields[rate]}")
        self.task: TaskID | None = None
        self.steps = 0
        self.mentioned = 0.0

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Print what is trained on what."""
        settings, shapes = facts["settings"], facts["store"]["shapes"]
        say(f"settings ({self.reason}):")
        say("  " + ", ".join(f"{key}={value}" for key, value in settings.items() if value != ""))
        counts = ", ".join(f"{count} {split}" for split, count in shapes.items())
        say(f"shapes: {counts}; {Task.of(facts).size}")
        given, labels, weights = facts["batch"]
        named = given if isinstance(given, Mapping) else {"points": given}
        for name, array in {**named, "labels": labels, "weights": weights}.items():
            say(f"batch {name}: {array.shape} {array.dtype}")
        self.steps = facts["steps"]
        total = self.steps * facts["epochs"]
        say(f"steps per epoch: {self.steps}, total {total}")
        say(f"parameters: {facts['parameters']:,}; backend: {facts['backend']}")
        self.task = self.bar.add_task(
            "training", total=total, completed=self.steps * facts["done"], loss="", accuracy="", rate=""
        )

    def step(self, epoch: int, batch: int, logs: Mapping[str, float]) -> None:
        """Move the bar; without a terminal, print a line now and then."""
        assert self.task is not None
        self.bar.update(
            self.task,
            completed=(epoch - 1) * self.steps + batch,
            description=f"epoch {epoch}",
            loss=f"{logs['loss']:.3f}",
            accuracy=percent(logs["accuracy"]),
            rate=f"{logs['learning_rate']:.2g}",
        )
        now = time.monotonic()
        if not err.is_terminal and now - self.mentioned > 60:
            self.mentioned = now
            means = f"loss {logs['loss']:.3f}, accuracy {percent(logs['accuracy'])}"
            note(f"epoch {epoch}, step {batch} of {self.steps}: {means}")

    def epoch(self, row: Mapping[str, float], best: bool) -> None:
        """A line about the epoch."""
        self.bar.console.print(
            f"epoch {row['epoch']:.0f}: loss {row['loss']:.3f}, accuracy {percent(row['accuracy'])}, "
            f"val_loss {row['val_loss']:.3f}, val_accuracy {percent(row['val_accuracy'])}, "
            + (f"val_mIoU {percent(row['val_miou'])}, " if "val_miou" in row else "")
            + f"{row['seconds']:.0f} s"
            + (" (best so far)" if best else ""),
            markup=False,
        )

    def note(self, line: str) -> None:
        """Something that the user should know."""
        note(line)

    def end(self, outcome: Outcome) -> None:
        """How the training ended."""
        trained(outcome)


def training(reason: str) -> Callable[[Path], AbstractContextManager[TrainingBar]]:
    """A function that gives the bar of each run's training. The bar says how to go on after a stop."""

    @contextmanager
    def watch(path: Path) -> Iterator[TrainingBar]:
        watcher = TrainingBar(path, reason)
        try:
            with watcher.bar:
                yield watcher
        except Stopped as stop:
            note(f"{stop}; {path} is kept; the same command goes on from there")
            raise

    return watch


def trained(outcome: Outcome) -> None:
    """How a training ended."""
    best = outcome.history[outcome.best_epoch - 1] if outcome.best_epoch else None
    kept = (
        f"kept epoch {outcome.best_epoch}, val_loss {best['val_loss']:.3f}"
        + (f", val_mIoU {percent(best['val_miou'])}" if "val_miou" in best else "")
        if best
        else "no epoch has a finite val_loss"
    )
    state = "was finished before; nothing to do (larger --epochs goes on)" if outcome.already else "finished"
    say(f"{outcome.path}: {state}; {len(outcome.history)} epochs, {kept}")
    next_step(f"pointkit evaluate {shlex.quote(str(outcome.path))}")


# --- view and info -------------------------------------------------------------------------------------------------


def viewed(path: Path) -> None:
    """Where the picture is."""
    say(str(path))


def facts(about: Mapping[str, Any], as_json: bool) -> None:
    """Facts as JSON, or as lines; nested ones are indented."""
    if as_json:
        print_json(about)
    else:
        _lines({key: value for key, value in about.items() if key not in ("findings", "stopping")}, "")
        findings(about, most=1000)


def _lines(about: Mapping[str, Any], indent: str) -> None:
    for key, value in about.items():
        if isinstance(value, Mapping):
            say(f"{indent}{key}:")
            _lines(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            say(f"{indent}{key}:")
            for entry in value:
                _lines(entry, indent + "  ")
        elif isinstance(value, (list, tuple)):
            say(f"{indent}{key}: {', '.join(map(str, value))}")
        else:
            say(f"{indent}{key}: {value}")


def layer_table(about: Mapping[str, Any], as_json: bool) -> None:
    """The layers of a network: name, type, shape, parameters, inputs, and the totals."""
    if as_json:
        print_json(about)
        return
    table = Table("name", "type", "shape", "parameters", "inputs")
    for layer in about["layers"]:
        shape = "(" + ", ".join("None" if n is None else str(n) for n in layer["shape"]) + ")"
        table.add_row(layer["name"], layer["type"], shape, f"{layer['parameters']:,}", ", ".join(layer["inputs"]))
    out.print(table)
    frozen = about["parameters"] - about["trainable_parameters"]
    say(f"parameters: {about['parameters']:,} ({about['trainable_parameters']:,} trainable, {frozen:,} not)")


# --- demo ----------------------------------------------------------------------------------------------------------


def command(arguments: Sequence[str]) -> None:
    """A command of the demo, as one would type it. Of many files only the first is shown."""
    many = arguments[0] == "predict" and len(arguments) > 6
    options = list(itertools.dropwhile(lambda word: not word.startswith("-"), arguments))
    shown = [*arguments[:4], "...", *options] if many else arguments
    say(f"\n$ pointkit {' '.join(shown)}")


def demo_done(folder: Path) -> None:
    """Where the demo's pages are, and how to do the same with one's own files."""
    say(f"\nThe report on classes: {folder / 'run' / 'report.html'}")
    say(f"The report on parts: {folder / 'parts_run' / 'report.html'}")
    say("The same with your own files, one folder a class (--task parts where the files name the parts):")
    say("  pointkit prepare MY_FOLDER -o STORE")
    say("  pointkit train STORE -o RUN")
    say("  pointkit evaluate RUN")
    say("  pointkit predict RUN FILE...")
