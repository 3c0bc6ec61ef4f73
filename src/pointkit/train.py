"""Store -> run: train a network and keep the weights of the best epoch by validation.

The state after every step depends on the store and the settings alone, and a checkpoint holds all of it. So a training
that is stopped or killed anywhere and started again ends with the same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

import pointkit
from pointkit import checks, compiling, config, disk, features, initial, pace, run_folder, trained_on
from pointkit import store as stores
from pointkit.checks import check_trainable, fitted, learned
from pointkit.config import Settings
from pointkit.errors import MachineError, PointkitError, RunError
from pointkit.machine import exhausted
from pointkit.preprocess import Contract
from pointkit.run_folder import Checkpoint, Progress
from pointkit.signals import Stopped, StopRequest
from pointkit.size import Size, alike
from pointkit.store import SPLITS, Store
from pointkit.task import Task
from pointkit.watching import Beside, Outcome, Silent
from pointkit.watching import Watcher as Watcher

if TYPE_CHECKING:  # they import Keras, and a caller may yet choose its backend
    import keras

    from pointkit.learner import Learner
    from pointkit.loader import Batches

CHECKPOINT_SECONDS = 240.0  # between checkpoints within an epoch; each epoch ends with one in any case
ADVICE = "the last checkpoint is kept; try a smaller --learning-rate"

Watch = Callable[[pathlib.Path], AbstractContextManager[Watcher]]


def train_all(
    store: Store,
    output: str | os.PathLike[str],
    runs: Sequence[tuple[pathlib.Path, Settings]],
    watch: Watch,
    init: str | os.PathLike[str] | None = None,
) -> list[Outcome]:
    """Train into each run folder in turn, with its settings. ``watch`` gives a watcher for each.

    A single run is ``output`` itself; several lie in it. ``init`` and what is raised are those of ``train``.
    """
    output = pathlib.Path(output)
    check_trainable(store)
    if runs[0][0] != output:
        disk.make(output, RunError)
    outcomes = []
    for path, settings in runs:
        with watch(path) as watcher:
            outcomes.append(train(store, path, settings, watcher, init))
        watcher.end(outcomes[-1])
    return outcomes


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


def train(
    store: Store,
    path: str | os.PathLike[str],
    settings: Settings,
    watcher: Watcher | None = None,
    init: str | os.PathLike[str] | None = None,
    plan: pace.Plan | None = None,
) -> Outcome:
    """Train on a store into the run folder ``path``. Goes on where an earlier call with the same settings stopped.

    ``init`` is another run, whose weights a new one starts from as far as they fit (``initial``). With a ``plan``, a
    new run first measures its own pace, and the plan decides the number of epochs.

    Raises StoreError, RunError and PointkitError for what the user can mend, MachineError for a full disk or memory.
    Raises Stopped after SIGINT or SIGTERM, with everything committed.
    """
    path, watcher = pathlib.Path(path), watcher or Silent()
    init = None if init is None else pathlib.Path(init)
    task = learned(store, settings)
    asked, settings = settings.num_points, fitted(store, settings)
    if settings.num_points < asked:
        most = settings.num_points
        watcher.note(f"the store holds {most} points a shape: the network sees {most}, not {asked}")
    run_folder.create(path)
    with run_folder.locked(path):
        return _train(store, task, path, settings, watcher, init, plan)


def _train(
    store: Store,
    task: Task,
    path: pathlib.Path,
    settings: Settings,
    watcher: Watcher,
    init: pathlib.Path | None,
    plan: pace.Plan | None,
) -> Outcome:
    from pointkit import models
    from pointkit.learner import Learner
    from pointkit.loader import Batches

    begun, checkpoint = _begun(store, path, settings, watcher, init)
    progress = checkpoint.progress if checkpoint else Progress()
    if progress.over(settings.flat()):
        complaint = _write_history(path, progress.history)  # in case the training was killed just before it
        if complaint:
            watcher.note(complaint)
        _keep_reference(store, path, begun, progress, watcher)
        return _outcome(path, progress, settings, already=True)
    stores.verify(store)
    learner = Learner(settings, task)
    contract = Contract.of_run(begun["input"]) if begun else _contract(store, settings, watcher)
    began = _start_from(init, learner, task, settings, watcher) if init and not begun else {}
    shared: dict[str, Any] = {
        "num_points": settings.num_points,
        "batch_size": settings.batch_size,
        "features": task.features,
        "size": contract.size,
        "lists": models.lists(learner.model),
        "context": contract.context,
    }
    batches = Batches(store, "train", training=True, seed=settings.seed, class_weight=settings.class_weight, **shared)
    validation = Batches(store, "val", **shared)
    steps = batches.num_batches
    calls = compiling.calls(settings.flat(), len(learner.model.weights), watcher)
    if plan and not checkpoint:
        with StopRequest() as stop, exhausted(_smaller(settings)):
            measured = pace.measure(learner, batches, validation, settings, stop.check, calls)
        settings = dataclasses.replace(settings, epochs=plan(measured, settings))
    new = {"settings": settings.flat()}
    facts = begun | new if begun else _facts(store, task, settings, contract, learner.model, began)
    if checkpoint:
        try:
            learner.restore(checkpoint.arrays)
        except ValueError as error:
            raise RunError(f"{path}: its checkpoint does not fit its settings ({error})") from None
        watcher.note(f"going on after epoch {progress.epoch}, batch {progress.batch} of {steps}")
    if not begun:
        facts |= _trained_on(store, task, path, facts["id"])
    if facts != begun:
        run_folder.write_facts(path, facts)
    done = {"epochs": settings.epochs, "done": progress.epoch, "history": list(progress.history)}
    watcher.begin(facts | {"batch": batches[0], "steps": steps, **done})
    _fit(learner, batches, validation, settings, Keeper(path, facts["id"], progress, learner, watcher), calls)
    _keep_reference(store, path, facts, progress, watcher)
    return _outcome(path, progress, settings, already=False)


def _outcome(path: pathlib.Path, progress: Progress, settings: Settings, already: bool) -> Outcome:
    return Outcome(path, progress.history, progress.best_epoch, already, early=progress.epoch < settings.epochs)


def _keep_reference(
    store: Store, path: pathlib.Path, facts: Mapping[str, Any] | None, progress: Progress, watcher: Watcher
) -> None:
    """Keep what the finished network pools of its shapes, unless the run has it, so that foreign ones can be marked."""
    assert facts is not None
    with contextlib.suppress(*run_folder.DAMAGES):
        if not progress.best_epoch or run_folder.load_reference(path, run_folder.weights_name(facts, progress)):
            return
    from pointkit.evaluate import foreigners
    from pointkit.predict import Predictor

    foreigners.keep(Predictor(path, Beside(watcher)), store)


def _fit(
    learner: Learner,
    batches: Batches,
    validation: Batches,
    settings: Settings,
    keeper: Keeper,
    calls: compiling.Calls,
) -> None:
    """Train the remaining epochs: steps, validation, and a commit after each epoch."""
    from pointkit.learner import learning_rate
    from pointkit.loader import ahead

    progress, watcher = keeper.progress, keeper.watcher
    steps, choice = batches.num_batches, batches.store.task.choices[settings.select]
    advice = _smaller(settings)
    flat = settings.flat()
    words = f"stopped; {keeper.path} keeps its last checkpoint; the same command goes on from there"
    started = time.monotonic() - progress.seconds
    heard = "stopping, within ten seconds; a second Ctrl-C stops at once"
    with StopRequest(last_words=lambda: watcher.note(words), heard=lambda: watcher.note(heard)) as stop:
        try:
            while not progress.over(flat):
                batches.epoch = progress.epoch
                for batch in ahead(batches, progress.batch):
                    number = progress.epoch * steps + progress.batch
                    rate = learning_rate(settings, number, settings.epochs * steps)
                    with exhausted(advice), calls.training():
                        loss, accuracy = learner.step(batch, rate, number)
                    if not math.isfinite(loss):
                        raise _diverged(batches, progress, rate)
                    progress.add(loss, accuracy, float(batch[2].sum()), rate)
                    progress.seconds = time.monotonic() - started
                    watcher.step(progress.epoch + 1, progress.batch, progress.means())
                    if keeper.due():
                        keeper.commit()
                    stop.check()
                with exhausted(advice), calls.validation():
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


def _smaller(settings: Settings) -> str:
    """What to do where memory runs out."""
    return f" at --batch-size {settings.batch_size}; try a smaller one"


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
    store: Store, path: pathlib.Path, settings: Settings, watcher: Watcher, init: pathlib.Path | None
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
    import keras

    checks.agree(store, path, settings, facts, keras.backend.backend())
    initial.agree(path, facts, init)
    for line in notes:
        watcher.note(line)
    if notes:
        run_folder.drop_damaged(path)
    for key in config.LENGTH:
        old, new = facts["settings"][key], getattr(settings, key)
        if old != new:
            watcher.note(f"{key}: {old} before, {new} now")
    return facts, checkpoint


def _start_from(
    init: pathlib.Path, learner: Learner, task: Task, settings: Settings, watcher: Watcher
) -> dict[str, Any]:
    """Give a new network another run's weights as far as they fit, and say what was taken. Gives the facts to keep."""
    shapes = {variable.path: tuple(variable.shape) for variable in learner.model.weights}
    weights, facts = initial.read(init, settings.model).taken(shapes, task)
    learner.begin_with(weights)
    watcher.note(initial.words(facts))
    return {"init": facts}


def _contract(store: Store, settings: Settings, watcher: Watcher) -> Contract:
    """How the network of a new run sees a shape."""
    from pointkit.loader import radii

    contract = Contract.of_store(store.manifest, settings.num_points)
    contract = dataclasses.replace(contract, context=int(settings.own.get("context", 0)))
    if not features.sees_size(settings.features):
        return contract
    sizes = radii(store, "train", contract.seen)
    if alike(sizes):
        watcher.note("--features size adds nothing here: all training shapes are of one size, as if they were scaled")
    return dataclasses.replace(contract, size=Size.of_radii(sizes))


def _trained_on(store: Store, task: Task, path: pathlib.Path, run: str) -> dict[str, Any]:
    """Keep how the training shapes stand. Gives what else they are like, for the run's facts."""
    about, stances = trained_on.of_store(store, task.features)
    if stances is not None:
        run_folder.save_reference(path, run, {"stances": stances}, run_folder.STANCES)
    return {"trained_on": about.facts()} if about else {}


def _facts(
    store: Store,
    task: Task,
    settings: Settings,
    contract: Contract,
    model: keras.Model,
    began: Mapping[str, Any],
) -> dict[str, Any]:
    import keras

    free = (*config.MEANT_FOR, *config.LENGTH)
    fixed = {key: value for key, value in settings.flat().items() if key not in free}
    backend = keras.backend.backend()
    decides = [fixed, store.checksum, backend, *(init["sha256"] for init in began.values())]
    return {
        "id": disk.digest(json.dumps(decides).encode())[:16],
        **task.facts,
        **began,
        **{key: store.manifest[key] for key in ("codes", "colors", "directories", "layout") if key in store.manifest},
        **({"features": list(task.features)} if task.features else {}),
        "settings": settings.flat(),
        "input": contract.facts(),
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
