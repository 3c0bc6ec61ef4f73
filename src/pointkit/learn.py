"""Folder -> measured network in one go: prepare, audit, train, evaluate, in the time that is allowed.

All lies in one folder: the run, its store, and the page "your data". Each stage goes on where an earlier call was
stopped. ``learn.json`` keeps what was asked for, so that the same command is known again.

    learn.json   the arguments
    store/       the shapes, as 'pointkit prepare' writes them
    data.html    the page "your data", written before the training
    run.json ... the run, as 'pointkit train' and 'pointkit evaluate' write it
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from pointkit import audit, config, disk, pace, run_folder
from pointkit.cards import Card, Carded
from pointkit.datasets.asked import Said
from pointkit.errors import PointkitError, RunError, StandingError
from pointkit.machine import lean_keras
from pointkit.pace import Pace
from pointkit.prepare import Prepared, prepare, ready
from pointkit.prepare.reading import Progress
from pointkit.store import Store
from pointkit.watching import Waiting

if TYPE_CHECKING:
    from pointkit.config import Settings
    from pointkit.datasets.folder import Found
    from pointkit.report.data import Page
    from pointkit.train import Watch

PAGE = "data.html"
MINUTES = 20.0
PAGES_SECONDS = 15.0  # for the report's pictures
ROOM = 0.95  # share of the time left that is planned for: later steps may be a little slower than the first


class Listener:
    """An object that is told what happens. This one does nothing; the command line's prints."""

    def found(self, what: Found) -> None:
        """Called with what the folder was taken for."""

    def reading(self) -> AbstractContextManager[Progress | None]:
        """The progress of reading."""
        return nullcontext()

    def prepared(self, result: Prepared, page: pathlib.Path) -> None:
        """Called with what was read, and the page "your data"."""

    def planned(self, line: str) -> None:
        """Called with the expected time, before the first step of the training."""

    def training(self, reason: str) -> Watch | None:
        """What watches the training, or None for nothing."""
        return None

    def measuring(self) -> AbstractContextManager[Waiting | None]:
        """What is shown while the network is measured."""
        return nullcontext()


@dataclass(frozen=True, repr=False)
class Learned(Carded):
    """What was learned: the run's folder, its store, its report (``evaluate``), and the audit's findings."""

    path: pathlib.Path
    store: Store
    report: Mapping[str, Any]
    findings: Sequence[Mapping[str, Any]]

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_learned(self)

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def facts(self) -> dict[str, Any]:
        """The same as data: the report, with the findings."""
        return {**self.report, "findings": list(self.findings)}


def learn(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    minutes: float = MINUTES,
    task: str | None = None,
    classes: Collection[str] = (),
    seed: int = 0,
    groups: str | os.PathLike[str] | None = None,
    force: bool = False,
    listener: Listener | None = None,
    **said: Unpack[Said],
) -> Learned:
    """Learn from the folder ``folder`` into the run ``output``, in about so many ``minutes``.

    The settings are those that ``train`` chooses for the data. The run's first steps tell how fast it is, and the
    number of epochs follows from that. The time counts from this call on. ``task``, ``classes``, ``groups`` and
    ``said`` are as for ``prepare``. ``force`` goes on where the audit finds that a training would be worthless.

    Raises PointkitError for what the user can mend, MachineError for a full disk or memory, and Stopped after SIGINT
    and SIGTERM. The same call then goes on.
    """
    started = time.monotonic()
    listener = listener or Listener()
    path = pathlib.Path(output)
    if not minutes > 0:
        raise PointkitError(f"--minutes must be above 0, got {minutes:g}")
    words = {"minutes": minutes, "task": task, "classes": list(classes), "seed": seed, **said}
    words |= {"groups": str(groups) if groups is not None else None}
    _begin(path, pathlib.Path(folder), words)
    with listener.reading() as progress:
        how = {"task": task, "classes": classes, "seed": seed, "groups": groups, **said}
        prepared = _prepared(folder, path, how, progress, listener)
    store = prepared.store
    from pointkit.report.data import Page  # Matplotlib comes with it

    page = Page(path / PAGE, store, prepared.unread)
    page.write()
    listener.prepared(prepared, page.path)
    if lack := ready.lacks(store):
        raise PointkitError(f"{folder}: {lack}")
    worthless = [one.text.partition(";")[0] for one in audit.kept(store.manifest) if one.stops]
    if worthless and not force:
        raise PointkitError(f"{folder}: not worth a training: {'; '.join(worthless)}; --force trains all the same")
    settings, reason = _settings(store, path, seed, minutes)
    plan = _Plan(store, started + 60 * minutes, minutes, listener, page)
    return Learned(path, store, _trained(store, path, settings, reason, plan), page.findings)


def _prepared(
    folder: str | os.PathLike[str],
    path: pathlib.Path,
    how: Mapping[str, Any],
    progress: Progress | None,
    listener: Listener,
) -> Prepared:
    """The run's own store. One of other files or words is replaced as long as no training has begun on it."""
    read = functools.partial(prepare, folder, path / run_folder.STORE, **how, progress=progress)
    try:
        return read(tell=listener.found)
    except StandingError as error:
        if _training_begun(path):
            raise RunError(f"{path}: was begun with other {error.other}; give -o another folder") from None
        return read(force=True)


def _training_begun(path: pathlib.Path) -> bool:
    return (path / run_folder.FACTS).is_file() and run_folder.has_checkpoint(path)


def _begin(path: pathlib.Path, folder: pathlib.Path, words: Mapping[str, Any]) -> None:
    """Make the run's folder. Raises RunError where a training has begun there with other words."""
    disk.make(path, RunError)
    file = path / run_folder.LEARN
    said = {name: value for name, value in words.items() if value not in (None, [], "")}
    given = json.loads(json.dumps({"folder": str(folder.resolve()), **said}, default=str))
    if not _training_begun(path) or not file.is_file():
        run_folder.check(path)
        disk.replace(file, (json.dumps(given, indent=1) + "\n").encode())
        return
    try:
        old = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: cannot be read ({error}); give -o another folder") from None
    for name in {**old, **given}:
        if old.get(name) != given.get(name):
            before, now = (some.get(name, "nothing") for some in (old, given))
            raise RunError(f"{path}: was begun with {name} {before}, got {now}; give -o another folder")


def _settings(store: Store, path: pathlib.Path, seed: int, minutes: float) -> tuple[Settings, str]:
    """The settings for a store; those of a training that goes on are planned already."""
    given: dict[str, Any] = {"seed": seed}
    if _training_begun(path) and run_folder.load_checkpoint(path, ("best/",))[0]:
        given["epochs"] = run_folder.read_facts(path)["settings"]["epochs"]
    return config.decide(None, given, store.task, len(store.select("train")), store.imbalanced, minutes)


def _trained(store: Store, path: pathlib.Path, settings: Settings, reason: str, plan: _Plan) -> Mapping[str, Any]:
    """Train and evaluate: the report, on validation shapes where there are none to test. Keras is imported here."""
    lean_keras()
    listener, watch = plan.listener, plan.listener.training(reason)
    from pointkit.evaluate import evaluate
    from pointkit.train import train

    if watch is None:
        train(store, path, settings, plan=plan)
    else:
        with watch(path) as watcher:
            outcome = train(store, path, settings, watcher, plan=plan)
        watcher.end(outcome)
    with listener.measuring() as waiting:
        return evaluate(path, split="test" if len(store.select("test")) else "val", waiting=waiting)


@dataclass
class _Plan:
    """How many epochs are trained: as many as were chosen, or as fit before the ``deadline`` (``time.monotonic``)."""

    store: Store
    deadline: float
    minutes: float
    listener: Listener
    page: Page

    def __call__(self, measured: Pace, settings: Settings) -> int:
        """The number of epochs, told to the listener and on the page."""
        # Afterwards the network looks at all shapes once more: to measure, and to keep what the known ones are like.
        shares = len(self.store.rows) / max(len(self.store.select("val")), 1)
        left = ROOM * (self.deadline - time.monotonic() - PAGES_SECONDS - shares * measured.validation)
        epochs = pace.epochs_within(left, measured, settings.epochs)
        line = _expected(measured, epochs, settings.epochs, self.minutes, left)
        self.listener.planned(line)
        self.page.write(line)
        return epochs


def _expected(measured: Pace, epochs: int, wanted: int, minutes: float, left: float) -> str:
    """The plan in words."""
    line = (
        f"a step takes {measured.step:.2g} s here, an epoch {measured.epoch:.2g} s: "
        f"{epochs} epoch{'' if epochs == 1 else 's'} in about {_time(epochs * measured.epoch)}"
    )
    if epochs * measured.epoch > left > 0 or left <= 0:
        return f"{line}, which is longer than --minutes {minutes:g} leaves"
    if epochs < wanted:
        return f"{line}, as --minutes {minutes:g} allows; {wanted} would take {_time(wanted * measured.epoch)}"
    return line


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
