"""What a command refuses before Keras is imported, which takes seconds: folders and settings that it cannot use.

Nothing is written here, and no network is built. The work that follows checks the same again, as a program may begin
there.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from pointkit import config, disk, features, initial, run_folder, store
from pointkit.asking import ASKERS
from pointkit.config import Settings
from pointkit.errors import PointkitError, RunError, StoreError
from pointkit.prepare import ready
from pointkit.store import Store
from pointkit.task import Task

# ---- train


def to_train(
    opened: Store,
    runs: Sequence[tuple[pathlib.Path, Settings]],
    backend: str,
    init: pathlib.Path | None = None,
) -> None:
    """Raise PointkitError where a training of these settings could not begin, or go on, in each of the folders.

    ``init`` is the run that new ones start from.
    """
    for path, settings in runs:
        learned(opened, settings)
        run_folder.check(path)
        if (path / run_folder.FACTS).is_file() and run_folder.has_checkpoint(path):
            facts = run_folder.read_facts(path)
            agree(opened, path, fitted(opened, settings), facts, backend)
            initial.agree(path, facts, init)
        elif init is not None:
            initial.read(init, settings.model)


def fitted(opened: Store, settings: Settings) -> Settings:
    """The settings with no more points than the store's training shapes hold."""
    most = int(opened.counts[opened.select("train")].max())
    least = {"context": min(int(settings.own["context"]), most)} if "context" in settings.own else {}
    return dataclasses.replace(settings, num_points=min(settings.num_points, most), own={**settings.own, **least})


def check_trainable(store: Store) -> None:
    """Raise StoreError where a store cannot be trained on: nothing to tell apart, or a class or split without shapes.

    Its manifest must also say how its points were drawn, as files are drawn in the same way for predictions.
    """
    if lack := ready.lacks(store):
        raise StoreError(f"{store.path}: {lack}")
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


def agree(store: Store, path: pathlib.Path, settings: Settings, facts: Mapping[str, Any], backend: str) -> None:
    """Raise RunError where a run is of another store, backend or settings. ``config.LENGTH`` may change."""
    if facts["store"]["checksum"] != store.checksum:
        old = facts["store"]["path"]
        raise RunError(f"{path}: was trained on another store ({old}), not on {store.path}; give -o another folder")
    new = {**settings.flat(), "backend": backend}
    for key, old in {**facts["settings"], "backend": facts["backend"]}.items():
        longer = key == "patience" or (key == "epochs" and new[key] > old)
        if old != new[key] and not longer and key not in config.MEANT_FOR:
            hint = "can only grow" if key == "epochs" else "cannot change"
            raise RunError(f"{path}: {key} of a run {hint}: it has {old!r}, got {new[key]!r}; give -o another folder")


# ---- evaluate


def to_evaluate(
    paths: Sequence[pathlib.Path],
    against: Sequence[pathlib.Path] = (),
    store_path: pathlib.Path | None = None,
    split: str = "test",
    *,
    draws: int = 0,
    votes: int = 0,
    protocol: str = "",
    **_: Any,
) -> None:
    """Raise PointkitError where runs have no weights or no store, cannot be compared, or take no report."""
    if not paths:
        raise PointkitError("evaluate needs a run; train one with: pointkit train STORE -o RUN")
    for name, number in (("draws", draws), ("votes", votes)):
        if number < 0:
            raise PointkitError(f"{name} must be at least 0, got {number}")
    whole = {run: trained(run) for path in (*paths, *against) for run in run_folder.find_runs(path)}
    same_inputs(whole)
    for path, facts in whole.items():
        suits(path, Task.of(facts), protocol)
        shapes_of(store_of(path, facts, store_path), path, split)
        writable(path)


def trained(path: pathlib.Path) -> dict[str, Any]:
    """The facts of a run. Raises RunError where it has no trained weights."""
    facts = run_folder.read_facts(path)
    checkpoint, _ = run_folder.load_checkpoint(path, ("best/",))
    if checkpoint is None or not checkpoint.arrays:
        raise without_weights(path)
    return facts


def without_weights(path: pathlib.Path) -> RunError:
    """The error for a run whose first epoch is not finished."""
    return RunError(f"{path}: has no trained weights yet (its first epoch is not finished)")


def same_inputs(whole: Mapping[pathlib.Path, Mapping[str, Any]]) -> None:
    """Raise RunError where runs, path -> facts, are of different tasks, stores or numbers of points."""
    (first, facts), *others = whole.items()
    for other, theirs in others:
        for what, a, b in (
            ("task", facts["task"], theirs["task"]),
            ("store", facts["store"]["checksum"], theirs["store"]["checksum"]),
            ("number of points", facts["input"]["num_points"], theirs["input"]["num_points"]),
        ):
            if a != b:
                raise RunError(f"{other} cannot be compared with {first}: it is of another {what} ({b}, not {a})")


def suits(path: pathlib.Path, task: Task, protocol: str) -> None:
    """Raise RunError where the protocol is for parts, and the run tells classes apart."""
    if protocol and not task.labels_points:
        raise RunError(f"{path}: {protocol} is for parts, this run tells classes apart")


def store_of(path: pathlib.Path, facts: Mapping[str, Any], place: pathlib.Path | None = None) -> Store:
    """The store that a run was trained on: at ``place``, or where it was, or in the run's own folder.

    Raises RunError where it is another one.
    """
    inside = path / run_folder.STORE  # ``learn`` puts it there, and it moves with the run
    known = pathlib.Path(facts["store"]["path"])
    try:
        opened = store.open(place or (inside if inside.is_dir() and not known.is_dir() else known))
    except StoreError as error:
        raise error if place else RunError(f"{error}; --store says where it is now") from None
    if opened.checksum != facts["store"]["checksum"]:
        raise RunError(f"{opened.path}: not the store that {path} was trained on (its checksum differs)")
    return opened


def shapes_of(opened: Store, path: pathlib.Path, split: str) -> None:
    """Raise RunError where a store has no shapes in a split."""
    if not len(opened.select(split)):
        raise RunError(f"{opened.path}: has no shapes in the split {split!r} to evaluate {path} on")


def writable(path: pathlib.Path) -> None:
    """Raise RunError where nothing can be written into a folder that stands."""
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunError(f"{path}: cannot be written to, and what is made goes there")


# ---- predict


class _Asked:
    """As much of a run as says what it can be asked."""

    def __init__(self, path: pathlib.Path, facts: dict[str, Any]) -> None:
        self.path, self.facts, self.task = path, facts, Task.of(facts)
        self.classes = self.task.classes


def to_predict(
    run: pathlib.Path,
    *,
    category: str | None = None,
    output: pathlib.Path | None = None,
    top_k: int | None = None,
) -> None:
    """Raise PointkitError where a run has no weights or cannot be asked, or nothing can be written to ``output``."""
    facts = trained(run)
    asked: Any = _Asked(run, facts)
    ASKERS[asked.task.name](asked).check(category)
    if top_k is not None and asked.task.labels_points:
        raise RunError(f"{run}: top-k is for classes, this run tells {asked.task.answers} apart")
    if top_k is not None and top_k < 1:
        raise PointkitError(f"top-k must be at least 1, got {top_k}")
    if output is not None and output.is_dir():
        writable(output)
    elif output is not None and output.exists():
        raise RunError(f"{output}: must be a folder, found a file")
    elif output is not None:
        disk.check_room(output, RunError)
