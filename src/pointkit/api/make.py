"""From a folder to a run: ``pointkit.prepare``, ``learn`` and ``train``."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Any, Unpack, overload

from pointkit import machine
from pointkit.api import progress as progresses
from pointkit.api.words import Path, Words, checked, listed, store_of, text
from pointkit.datasets.asked import Said
from pointkit.errors import PointkitError
from pointkit.store import Store

if TYPE_CHECKING:
    from pointkit.learn import Learned
    from pointkit.prepare import Prepared
    from pointkit.watching import Outcome


def prepare(
    folder: Path,
    output: Path,
    *,
    task: str | None = None,
    classes: Words = (),
    seed: int = 0,
    groups: Path | None = None,
    num_points: int | None = None,
    features: Words | None = None,
    workers: int | None = None,
    strict: bool = False,
    force: bool = False,
    page: Path | None = None,
    progress: bool | None = None,
    **said: Unpack[Said],
) -> Prepared:
    """Read a folder of shapes into a store that training can use.

    Parameters
    ----------
    folder
        The folder of shapes.
    output
        The store to write.
    task
        "classification" (the class of each shape) or "parts" (the part of each point). By default parts for a published
        set of parts, else classes.
    classes
        Only these, like "chair,lamp" or ["chair", "lamp"]; by default all.
    seed
        Decides the split and the points drawn.
    groups
        A CSV with the columns file and group: shapes of one group stay on one side of a split.
    num_points
        Points drawn of a mesh, and the most kept of a cloud. By default 2048, but for parts all of a cloud.
    features
        Features to keep: normals, color, intensity, or "none". By default all for parts, else none.
    workers
        Processes that read; by default one a core. The store is the same for any number.
    strict
        Whether to fail when a file cannot be read, instead of listing it in unread.csv.
    force
        Whether to replace a store that stands at ``output``, or a page.
    page
        A page to write, like "data.html": pictures of each class or part, counts, findings, files that cannot be read.
    progress
        Whether to show bars; by default in notebooks.
    said
        How the folder and its files are to be read: folders, category, split, table, label_field, columns, unlabelled,
        names and up, as the flags of the command.

    Returns
    -------
    Prepared
        The store, the files that could not be read and why, and what one should know.

    Raises
    ------
    PointkitError
        Where the folder, its files or the arguments break a rule. The message is one line.
    MachineError
        Where the disk is full.
    """
    from pointkit.prepare import prepare as run

    words = checked("prepare", said)
    drawn = None if page is None else pathlib.Path(page)
    if drawn is not None:
        from pointkit.report import data

        data.check(drawn, force)
    with progresses.bars(progress, "preparing") as bars:
        made = run(
            folder,
            output,
            task=task,
            classes=listed(classes),
            seed=seed,
            groups=groups,
            num_points=num_points,
            keep=None if features is None else text(features) or "none",
            workers=workers,
            strict=strict,
            force=force,
            progress=bars,
            **words,
        )
    if drawn is not None:
        data.Page(drawn, made.store, made.unread).write()
    return made


def learn(
    folder: Path,
    output: Path,
    *,
    minutes: float = 20.0,
    task: str | None = None,
    classes: Words = (),
    seed: int = 0,
    groups: Path | None = None,
    force: bool = False,
    backend: str | None = None,
    progress: bool | None = None,
    **said: Unpack[Said],
) -> Learned:
    """Prepare, check, train and evaluate in one go. The same call goes on after a stop.

    Parameters
    ----------
    folder
        The folder of shapes, as for ``prepare``.
    output
        The run to write. It also holds its store, and the pages data.html and report.html.
    minutes
        The time to take, about.
    task
        "classification" or "parts", as for ``prepare``.
    classes
        Only these, like "chair,lamp" or ["chair", "lamp"]; by default all.
    seed
        Decides the split, the points drawn and the training.
    groups
        A CSV with the columns file and group: shapes of one group stay on one side of a split.
    force
        Whether to go on where the audit finds a training worthless.
    backend
        What Keras runs on: jax, torch or tensorflow. It can be chosen until Keras is imported.
    progress
        Whether to show bars; by default in notebooks.
    said
        How the folder and its files are to be read, as for ``prepare``.

    Returns
    -------
    Learned
        The run, its store, its report and the findings.

    Raises
    ------
    PointkitError
        Where something is yours to mend. The message is one line.
    Stopped
        After SIGINT (in a notebook, "interrupt the kernel") or SIGTERM, with all that was done kept.
    """
    from pointkit.learn import learn as run

    machine.use_backend(backend)
    how: dict[str, Any] = {"minutes": minutes, "task": task, "classes": listed(classes), "seed": seed, "groups": groups}
    return run(folder, output, **how, force=force, listener=progresses.learning(progress), **checked("learn", said))


@overload
def train(
    store: Path | Store,
    output: Path,
    *,
    recipe: Path | None = None,
    init: Path | None = None,
    seed: int | None = None,
    seeds: None = None,
    log: str | None = None,
    backend: str | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Outcome: ...
@overload
def train(
    store: Path | Store,
    output: Path,
    *,
    recipe: Path | None = None,
    init: Path | None = None,
    seeds: Words,
    log: str | None = None,
    backend: str | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> list[Outcome]: ...
def train(
    store: Path | Store,
    output: Path,
    *,
    recipe: Path | None = None,
    init: Path | None = None,
    seed: int | None = None,
    seeds: Words | None = None,
    log: str | None = None,
    backend: str | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Outcome | list[Outcome]:
    """Train a network on a store. The same call goes on after a stop; larger ``epochs`` go on after the end.

    Parameters
    ----------
    store
        A store, or its folder.
    output
        The run to write.
    recipe
        Settings by name, like "modelnet10-best", or from a TOML file. Without one they are chosen for the data.
    init
        A run to start from: the weights of its layers that fit are taken, the others are new.
    seed
        Decides initial weights, order, augmentation and dropout.
    seeds
        Several, like "0,1,2" or range(3): each trains into OUTPUT/seed-N.
    log
        Hand the figures of each epoch on to "tensorboard", "wandb" or "mlflow", too; each is an extra.
    backend
        What Keras runs on: jax, torch or tensorflow. It can be chosen until Keras is imported.
    progress
        Whether to show a bar; by default in notebooks.
    settings
        Settings by name, like epochs=20 or features="normals": those that `pointkit train --help` lists.

    Returns
    -------
    Outcome
        The run and its history; with ``seeds`` a list of them.

    Raises
    ------
    PointkitError
        Where the store, the run or a setting breaks a rule. The message is one line.
    MachineError
        Where the disk or the memory is full.
    Stopped
        After SIGINT (in a notebook, "interrupt the kernel") or SIGTERM, with all that was done kept in the run.
    """
    from pointkit import checks, config, logs
    from pointkit.train import train_all

    machine.use_backend(backend)
    logs.check(log)
    if seed is not None and seeds is not None:
        raise PointkitError("seed and seeds exclude each other")
    opened = store_of(store)
    plain = {key: value if isinstance(value, int | float) else text(value) for key, value in settings.items()}
    given = {**plain, "seed": seed}
    named = None if recipe is None else os.fspath(recipe)
    decided, reason = config.decide(named, given, opened.task, len(opened.select("train")), opened.imbalanced)
    place = pathlib.Path(output)
    runs = config.seeded(decided, place, None if seeds is None else text(seeds))
    start = None if init is None else pathlib.Path(init)
    checks.to_train(opened, runs, os.environ["KERAS_BACKEND"], start)
    watch = logs.beside(progresses.watch(progress, given, reason), log)
    outcomes = train_all(opened, place, runs, watch, start)
    return outcomes[0] if seeds is None else outcomes
