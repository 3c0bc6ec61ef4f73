"""What the command line shows: progress on standard error, results on standard output. Nothing is decided here."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pointkit.disk import printable, shown
from pointkit.task import TASKS

if TYPE_CHECKING:
    from pointkit.datasets import FetchResult
    from pointkit.datasets.folder import Found
    from pointkit.prepare import Prepared
    from pointkit.prepare.survey import Survey


class _Output(Console):
    """A console whose reader may leave early, like ``head``: that is no error."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


FEW_BARS = 4  # classes that are being read, each with a bar of its own
FEW_ROWS = 20  # classes in a table

# A pipe has no width, and tables must not be folded for it.
out = _Output(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False, soft_wrap=True)


_quiet = False


def hush(quiet: bool) -> None:
    """From now on show results, warnings and errors alone: no bars, no lines about the work, no hints."""
    global _quiet
    _quiet = quiet


def quiet() -> bool:
    """Whether --quiet was given."""
    return _quiet


def moves() -> bool:
    """Whether bars are shown: on a terminal, without --quiet."""
    return err.is_terminal and not _quiet


def say(line: str) -> None:
    """A line of the result."""
    out.print(line, markup=False)


def note(line: str) -> None:
    """A line on standard error, beside the result."""
    err.print(line, markup=False)


def aside(line: str) -> None:
    """A line on standard error about the work itself, which --quiet leaves out."""
    if not _quiet:
        note(line)


def next_step(command: str) -> None:
    """What to type next."""
    aside(f"next: {command}")


def print_json(value: object) -> None:
    """One JSON object on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent, or n/a."""
    return "n/a" if value is None else f"{100 * value:.{digits}f}"


def bar(*columns: ProgressColumn | str) -> Progress:
    """A bar on standard error, with further columns. It moves while nothing else can be told."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        *(TextColumn(column) if isinstance(column, str) else column for column in columns),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not moves(),  # it would end with an empty line
        redirect_stdout=sys.stdout.isatty(),  # lines for a file must not go to the terminal
    )


class Work:
    """A line that moves while a command works, and says what it waits for. Implements ``watching.Waiting``.

    Without a terminal nothing is shown.
    """

    def __init__(self, description: str) -> None:
        self.bar = bar()
        self.task = self.bar.add_task(escape(description), total=None)
        self.what = description

    def __enter__(self) -> Work:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, what: str) -> None:
        """Say what the work is on."""
        self.what = what
        self.bar.update(self.task, description=escape(shown(what)), completed=0)
        self.bar.tasks[self.task].total = None  # to the bar, None in an update is no change

    def compiling(self, what: str, seconds: float) -> None:
        """Say that a compiler is at work, and about how long."""
        self.bar.update(self.task, description=compiling(what, seconds))

    def compiled(self) -> None:
        """Go back to the work."""
        self.bar.update(self.task, description=escape(shown(self.what)))

    def done(self, number: int, total: int) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=number, total=total)


def compiling(what: str, seconds: float) -> str:
    """The words for a compiler at work."""
    words = f"compiling, once, about {max(1, round(seconds))} s"
    return words if what in ("training", "answers") else f"{words} ({what})"


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
        disable=not moves(),
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
    """A bar for all files, and below it those of a few classes that are being read.

    Yields the callback (files done, files in all, class -> (done, in all)).
    """
    with bar() as bars:
        tasks = {"": bars.add_task("all", total=None)}

        def progress(done: int, total: int, classes: Mapping[str, tuple[int, int]]) -> None:
            bars.update(tasks[""], completed=done, total=total)
            reading = [name for name, (read, there) in classes.items() if 0 < read < there][:FEW_BARS]
            for name in {*reading, *tasks} - {""}:
                if name not in tasks:
                    tasks[name] = bars.add_task(f"  {escape(shown(name))}", total=None)
                read, there = classes[name]
                bars.update(tasks[name], completed=read, total=there, visible=name in reading)

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
    total = {name: sum(some[name] for some in counts.values()) for name in classes}
    table.add_row("all", *(str(sum(some.values())) for some in counts.values()), style="bold")
    for name in _in_sight(classes, total):
        cells = [str(some[name]) for some in counts.values()]
        table.add_row(escape(shown(name)), *cells, *(escape(shown(text)) for text in more.get(name, {}).values()))
    out.print(table)
    if len(classes) > FEW_ROWS:
        say(f"the largest and the smallest of {len(classes)}")


def _in_sight(classes: Sequence[str], total: Mapping[str, int]) -> list[str]:
    """The classes that a table shows: all, or of many the largest and the smallest, in their order."""
    ranked = sorted(classes, key=lambda name: -total[name])
    half = FEW_ROWS // 2
    chosen = {*ranked[:half], *ranked[-half:]} if len(classes) > FEW_ROWS else {*classes}
    return [name for name in classes if name in chosen]


def prepared(result: Prepared, then: bool = True) -> None:
    """Counts by class and split, what could not be read, and (``then``) what to do next."""
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
    elif then and store.manifest.get("stopping"):
        note("a training on it as it is would be worth nothing: the lines that begin with stop say why")
    elif then:
        next_step(f"pointkit train {shlex.quote(str(store.path))} -o RUN")


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
