"""Store -> run: train a network and keep the weights of the best epoch by validation.

The state after every step depends on the store and the settings alone, and a checkpoint holds all of it. So a training
that is stopped or killed anywhere and started again ends with the same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

import pointkit
from pointkit import config, disk, features, run_folder
from pointkit import store as stores
from pointkit.config import Settings
from pointkit.errors import MachineError, PointkitError, RunError, StoreError
from pointkit.learner import Learner, learning_rate
from pointkit.loader import Batches
from pointkit.machine import exhausted
from pointkit.preprocess import Contract
from pointkit.run_folder import Checkpoint, Progress
from pointkit.signals import Stopped, StopRequest
from pointkit.store import SPLITS, Store
from pointkit.task import Task

CHECKPOINT_SECONDS = 240.0  # between checkpoints within an epoch; each epoch ends with one in any case
ADVICE = "the last checkpoint is kept; try a smaller --learning-rate"


class Watcher(Protocol):
    """An object that is told what happens. This one does nothing; the command line's draws a progress bar."""

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


class _Silent(Watcher):
    pass


@dataclass(frozen=True)
class Outcome:
    """A finished training: its folder and history, the epoch whose weights were kept, whether it was done before."""

    path: pathlib.Path
    history: list[dict[str, float]]
    best_epoch: int
    already: bool


Watch = Callable[[pathlib.Path], AbstractContextManager[Watcher]]


def train_all(
    store: Store, output: pathlib.Path, runs: Sequence[tuple[pathlib.Path, Settings]], watch: Watch
) -> list[Outcome]:
    """Train into each run folder in turn, with its settings. ``watch`` gives a watcher for each.

    A single run is ``output`` itself; several lie in it. Raises what ``train`` raises.
    """
    check_trainable(store)
    if runs[0][0] != output:
        disk.make(output, RunError)
    outcomes = []
    for path, settings in runs:
        with watch(path) as watcher:
            outcomes.append(train(store, path, settings, watcher))
        watcher.end(outcomes[-1])
    return outcomes


def check_trainable(store: Store) -> None:
    """Raise StoreError where a store cannot be trained on: nothing to tell apart, or a class or split without shapes.

    Its manifest must also say how its points were drawn, as files are drawn in the same way for predictions.
    """
    task = store.task
    if len(task.answer_names) < 2:
        found = ", ".join(task.answer_names)
        raise StoreError(f"{store.path}: there must be at least two {task.answers} to tell apart, found {found} alone")
    for split in ("train", "val"):
        if not len(store.select(split)):
            raise StoreError(f"{store.path}: training needs shapes in the split {split!r}, found none")
    present = set(store.labels[store.select("train")].tolist())
    missing = [name for i, name in enumerate(store.classes) if i not in present]
    if missing:
        raise StoreError(
            f"{store.path}: every {task.group[0]} needs training shapes, found none for {', '.join(missing)}"
        )
    for key in ("num_points_drawn", "seed"):
        if not isinstance(store.manifest.get(key), int):
            raise StoreError(f"{store.path}: manifest.json does not say how the points were drawn (it has no {key})")


def learned(store: Store, settings: Settings) -> Task:
    """The task that these settings learn from a store. Raises StoreError or PointkitError where they cannot."""
    check_trainable(store)
    task = store.task
    if settings.task not in ("", task.name):
        raise PointkitError(f"{store.path}: the settings are for {settings.task}, the store is for {task.name}")
    task.check(settings.flat())
    columns = features.columns(features.kinds(settings.features))
    store.columns(columns)
    return dataclasses.replace(task, features=columns)


class Keeper:
    """Commits a training to its run folder: first the checkpoint, then history.csv, whose failure is only a warning."""

    def __init__(self, path: pathlib.Path, run: str, progress: Progress, learner: Learner, watcher: Watcher) -> None:
        self.path, self.run = path, run
        self.progress, self.learner, self.watcher = progress, learner, watcher
        self.committed = (progress.epoch, progress.batch)
        self.saved = time.monotonic()
        self.complained = False

    def due(self) -> bool:
        """Whether the last commit was so long ago that the next one is due."""
        return time.monotonic() - self.saved >= CHECKPOINT_SECONDS

    def commit(self) -> None:
        """Write all that was done since the last commit to the disk. Raises MachineError where it is full.

        Raises PointkitError for weights that are no longer finite, as no training can go on from them.
        """
        moment = (self.progress.epoch, self.progress.batch)
        if moment == self.committed:
            return
        arrays = self.learner.arrays()
        if not all(np.isfinite(array).all() for array in arrays.values()):
            where = f"after epoch {moment[0]}, batch {moment[1]}"
            raise PointkitError(f"the weights are no longer finite {where}; {ADVICE}")
        run_folder.save_checkpoint(self.path, Checkpoint(self.run, self.progress, arrays))
        self.committed, self.saved = moment, time.monotonic()
        complaint = _write_history(self.path, self.progress.history)
        if complaint and not self.complained:
            self.watcher.note(complaint)
            self.complained = True


def _write_history(path: pathlib.Path, history: Sequence[Mapping[str, float]]) -> str:
    """Bring history.csv up to date. Gives a note for the user where that fails, else an empty text."""
    try:
        run_folder.write_history(path, history)
    except (OSError, MachineError, PointkitError) as error:
        return f"history.csv cannot be written, everything else goes on without it ({error})"
    return ""


def train(store: Store, path: pathlib.Path, settings: Settings, watcher: Watcher | None = None) -> Outcome:
    """Train on a store into the run folder ``path``. Goes on where an earlier call with the same settings stopped.

    Raises StoreError, RunError and PointkitError for what the user can mend, MachineError for a full disk or memory.
    Raises Stopped after SIGINT or SIGTERM, with everything committed.
    """
    watcher = watcher or _Silent()
    task = learned(store, settings)
    most = int(store.counts[store.select("train")].max())
    if settings.num_points > most:
        watcher.note(f"the store holds {most} points a shape: the network sees {most}, not {settings.num_points}")
        settings = dataclasses.replace(settings, num_points=most)
    run_folder.create(path)
    with run_folder.locked(path):
        return _train(store, task, path, settings, watcher)


def _train(store: Store, task: Task, path: pathlib.Path, settings: Settings, watcher: Watcher) -> Outcome:
    begun, checkpoint = _begun(store, path, settings, watcher)
    progress = checkpoint.progress if checkpoint else Progress()
    if progress.epoch >= settings.epochs:
        complaint = _write_history(path, progress.history)  # in case the training was killed just before it
        if complaint:
            watcher.note(complaint)
        return Outcome(path, progress.history, progress.best_epoch, already=True)
    stores.verify(store)
    learner = Learner(settings, task)
    facts = begun | {"settings": settings.flat()} if begun else _facts(store, task, settings, learner.model)
    shared: dict[str, Any] = {
        "num_points": settings.num_points,
        "batch_size": settings.batch_size,
        "features": task.features,
    }
    batches = Batches(store, "train", training=True, seed=settings.seed, class_weight=settings.class_weight, **shared)
    validation = Batches(store, "val", **shared)
    steps = batches.num_batches
    if checkpoint:
        try:
            learner.restore(checkpoint.arrays)
        except ValueError as error:
            raise RunError(f"{path}: its checkpoint does not fit its settings ({error})") from None
        watcher.note(f"going on after epoch {progress.epoch}, batch {progress.batch} of {steps}")
    if facts != begun:
        run_folder.write_facts(path, facts)
    watcher.begin(facts | {"batch": batches[0], "steps": steps, "epochs": settings.epochs, "done": progress.epoch})
    _fit(learner, batches, validation, settings, Keeper(path, facts["id"], progress, learner, watcher))
    return Outcome(path, progress.history, progress.best_epoch, already=False)


def _fit(learner: Learner, batches: Batches, validation: Batches, settings: Settings, keeper: Keeper) -> None:
    """Train the remaining epochs: steps, validation, and a commit after each epoch."""
    progress, watcher = keeper.progress, keeper.watcher
    steps, choice = batches.num_batches, batches.store.task.choices[settings.select]
    advice = f" at --batch-size {settings.batch_size}; try a smaller one"
    words = f"stopped; {keeper.path} keeps its last checkpoint; the same command goes on from there"
    started = time.monotonic() - progress.seconds
    with StopRequest(last_words=lambda: watcher.note(words)) as stop:
        try:
            while progress.epoch < settings.epochs:
                batches.epoch = progress.epoch
                while progress.batch < steps:
                    number = progress.epoch * steps + progress.batch
                    rate = learning_rate(settings, number, settings.epochs * steps)
                    batch = batches[progress.batch]
                    with exhausted(advice):
                        loss, accuracy = learner.step(batch, rate, number)
                    if not math.isfinite(loss):
                        raise _diverged(batches, progress, rate)
                    progress.add(loss, accuracy, float(batch[2].sum()), rate)
                    progress.seconds = time.monotonic() - started
                    watcher.step(progress.epoch + 1, progress.batch, progress.means())
                    if keeper.due():
                        keeper.commit()
                    stop.check()
                with exhausted(advice):
                    judged = learner.validate(batches, validation, settings.label_smoothing, stop.check)
                now = time.monotonic()
                progress.seconds, started = now - started, now
                best = progress.finish_epoch(judged, choice)
                if best:
                    learner.keep_best()
                keeper.commit()
                watcher.epoch(progress.history[-1], best)
                stop.check()
        except Stopped:
            keeper.commit()
            raise


def _diverged(batches: Batches, progress: Progress, rate: float) -> PointkitError:
    chosen = batches.shapes(progress.batch)
    damaged = [shape for shape in chosen if not np.isfinite(batches.store.cloud(shape)).all()]
    idents = [batches.store.rows[shape].ident for shape in damaged or chosen]
    names = ("points not finite in " if damaged else "") + ", ".join(idents[:8]) + (" ..." if len(idents) > 8 else "")
    return PointkitError(
        f"the loss is no longer finite in epoch {progress.epoch + 1}, batch {progress.batch + 1} ({names}) "
        f"at the rate {rate:g}; {ADVICE}"
    )


def _begun(
    store: Store, path: pathlib.Path, settings: Settings, watcher: Watcher
) -> tuple[dict[str, Any] | None, Checkpoint | None]:
    """The facts and the checkpoint of an earlier run in ``path``, checked to be of this store and these settings.

    A run without a checkpoint has nothing to go on from, so another store and other settings may take its place.
    """
    if not (path / run_folder.FACTS).is_file():
        return None, None
    facts = run_folder.read_facts(path)
    checkpoint, notes = run_folder.load_checkpoint(path)
    if checkpoint is None:
        return None, None
    _agree(store, path, settings, facts)
    for line in notes:
        watcher.note(line)
    if notes:
        run_folder.drop_damaged(path)
    if facts["settings"]["epochs"] != settings.epochs:
        watcher.note(f"epochs: {facts['settings']['epochs']} before, {settings.epochs} now")
    return facts, checkpoint


def _agree(store: Store, path: pathlib.Path, settings: Settings, facts: Mapping[str, Any]) -> None:
    """Raise RunError where a run is of another store, backend or settings. More epochs are allowed."""
    if facts["store"]["checksum"] != store.checksum:
        old = facts["store"]["path"]
        raise RunError(f"{path}: was trained on another store ({old}), not on {store.path}; give -o another folder")
    new = {**settings.flat(), "backend": keras.backend.backend()}
    for key, old in {**facts["settings"], "backend": facts["backend"]}.items():
        if old != new[key] and not (key == "epochs" and new[key] > old) and key not in config.MEANT_FOR:
            hint = "can only grow" if key == "epochs" else "cannot change"
            raise RunError(f"{path}: {key} of a run {hint}: it has {old!r}, got {new[key]!r}; give -o another folder")


def _facts(store: Store, task: Task, settings: Settings, model: keras.Model) -> dict[str, Any]:
    fixed = {key: value for key, value in settings.flat().items() if key not in (*config.MEANT_FOR, "epochs")}
    backend = keras.backend.backend()
    return {
        "id": disk.digest(json.dumps([fixed, store.checksum, backend]).encode())[:16],
        **task.facts,
        **{key: store.manifest[key] for key in ("codes", "colors", "directories", "layout") if key in store.manifest},
        **({"features": list(task.features)} if task.features else {}),
        "settings": settings.flat(),
        "input": Contract.of_store(store.manifest, settings.num_points).facts(),
        "parameters": model.count_params(),
        "store": {
            "name": store.path.resolve().name,
            "path": str(store.path.resolve()),
            "checksum": store.checksum,
            "shapes": {split: len(store.select(split)) for split in SPLITS},
            **({"features": list(store.task.features)} if store.task.features else {}),
            **({"imbalanced": True} if store.imbalanced else {}),
        },
        "backend": backend,
        "versions": {"pointkit": pointkit.__version__, "keras": keras.__version__},
    }
