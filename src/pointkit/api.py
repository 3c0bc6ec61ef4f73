"""The commands as functions: ``pointkit.prepare``, ``train``, ``evaluate``, ``predict`` and ``view``.

Their arguments are the words of the commands' flags. A path is text or a path; a store, a run or what one of these
functions returned may stand for its folder; a list may stand for words joined by commas. Each returns what it made,
which shows itself in a few lines, in a notebook with pictures. Nothing is printed, but notebooks have bars;
``progress`` decides otherwise. What the command line says beside its results goes to the logger ``pointkit``.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Unpack, overload

from numpy.typing import ArrayLike

from pointkit import collected, machine, notebook
from pointkit.cloud import Shape
from pointkit.collected import Answers
from pointkit.datasets.asked import Said
from pointkit.errors import PointkitError
from pointkit.rules import Rule, suggest
from pointkit.store import SPLITS, Store

if TYPE_CHECKING:
    from pointkit.evaluate.groups import Evaluated
    from pointkit.predict import Predictor
    from pointkit.prepare import Prepared
    from pointkit.train import Outcome, Watch
    from pointkit.view import Viewed

Path = str | os.PathLike[str]
Words = str | Iterable[object]


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
        Whether to replace a store that stands at ``output``.
    progress
        Whether to show bars; by default in notebooks.
    said
        How the folder and its files are to be read: folders, category, split, table, label_field, columns, unlabelled
        and names, as the flags of the command.

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

    if unknown := said.keys() - Said.__annotations__:
        name = min(unknown)
        raise TypeError(f"prepare() got an unknown argument {name!r}{suggest(name, Said.__annotations__)}")
    words: dict[str, Any] = {key: value if key == "table" else _text(value) for key, value in said.items()}
    with _bars(progress, "preparing") as bars:
        return run(
            folder,
            output,
            task=task,
            classes=_list(classes),
            seed=seed,
            groups=groups,
            num_points=num_points,
            keep=None if features is None else _text(features) or "none",
            workers=workers,
            strict=strict,
            force=force,
            progress=bars,
            **words,
        )


@overload
def train(
    store: Path | Store,
    output: Path,
    *,
    recipe: Path | None = None,
    seed: int | None = None,
    seeds: None = None,
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
    seeds: Words,
    backend: str | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> list[Outcome]: ...
def train(
    store: Path | Store,
    output: Path,
    *,
    recipe: Path | None = None,
    seed: int | None = None,
    seeds: Words | None = None,
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
    seed
        Decides initial weights, order, augmentation and dropout.
    seeds
        Several, like "0,1,2" or range(3): each trains into OUTPUT/seed-N.
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
    from pointkit import config, run_folder
    from pointkit.train import train_all

    machine.use_backend(backend)
    if seed is not None and seeds is not None:
        raise PointkitError("seed and seeds exclude each other")
    opened = _store(store)
    plain = {key: value if isinstance(value, int | float) else _text(value) for key, value in settings.items()}
    given = {**plain, "seed": seed}
    decided, reason = config.decide(
        None if recipe is None else os.fspath(recipe), given, opened.task, len(opened.select("train"))
    )
    place = pathlib.Path(output)
    runs = config.seeded(decided, place, None if seeds is None else _text(seeds))
    for path, _ in runs:
        run_folder.check(path)
    outcomes = train_all(opened, place, runs, _watch(progress, reason))
    return outcomes[0] if seeds is None else outcomes


def evaluate(
    *runs: Path,
    against: Path | Iterable[Path] = (),
    store: Path | None = None,
    split: str = "test",
    draws: int = 0,
    votes: int = 0,
    protocol: str | None = None,
    backend: str | None = None,
) -> Evaluated:
    """Measure runs on the test shapes; report.json, report.html, predictions.csv and pictures are written into each.

    Parameters
    ----------
    runs
        Runs, or folders of seeds.
    against
        Other runs to compare them with, on the same test shapes.
    store
        The store, where it has moved since the training.
    split
        Which shapes to measure on: test, val or train.
    draws
        Repeat on so many fresh draws of each shape's points.
    votes
        For parts: also measure the mean of so many answers, each with the shapes turned, stretched and drawn anew.
    protocol
        For parts: "reference-b" also counts as that system does.
    backend
        What Keras runs on: jax, torch or tensorflow. It can be chosen until Keras is imported.

    Returns
    -------
    Evaluated
        The reports of all runs (``reports``), the ``page`` to open, and for several runs their summary.

    Raises
    ------
    PointkitError
        Where a run or its store is missing or damaged, or the runs cannot be compared. The message is one line.
    """
    from pointkit.evaluate.groups import evaluate_groups

    Rule("test", "", SPLITS).check("split", split)
    Rule("", "", ("", "reference-b")).check("protocol", protocol or "")
    machine.use_backend(backend)
    others = [against] if isinstance(against, str | os.PathLike) else list(against)
    how: dict[str, Any] = {"draws": draws, "votes": votes, "protocol": protocol or ""}
    return evaluate_groups(runs, others, store_path=store, split=split, **how)


def predict(
    run: Path | Predictor,
    *files: Path | Shape | ArrayLike,
    category: str | None = None,
    output: Path | None = None,
    explain: bool = False,
    columns: Words | None = None,
    force: bool = False,
    backend: str | None = None,
    progress: bool | None = None,
) -> Answers:
    """Answer files, shapes or arrays that the run has never seen. Folders are searched.

    A run of classes gives the class, its probability and the runner-up. A run of parts gives the part of each point. Of
    a file it writes a labelled copy, beside it or into ``output``.

    Parameters
    ----------
    run
        A run's folder, what ``train`` returned, or a ``Predictor``, which is built once for many calls.
    files
        Files and folders; or instead of them shapes, or arrays of points (N, 3).
    category
        For parts: what the files show. By default a folder of a category's name says it, or the run has only one.
    output
        The folder to write labelled and explained files into, in the folders of the input, with predictions.csv.
    explain
        Whether to mark the points that decided, in a field of a new file and in a picture.
    columns
        The names of the columns of texts and arrays, like "x,y,z,-,intensity"; by default those that the run was told.
    force
        Whether to replace what stands there.
    backend
        What Keras runs on: jax, torch or tensorflow. It can be chosen until Keras is imported.
    progress
        Whether to show a bar; by default in notebooks.

    Returns
    -------
    Answers
        File, or number of a shape -> ``Result``, or why there is none (see ``Answers.problems``).

    Raises
    ------
    PointkitError
        Where the run cannot be used or asked so; where a single file or shape, or none of several, has an answer, the
        first one's reason. The message is one line.
    """
    from pointkit.predict import Predictor

    machine.use_backend(backend)
    paths = [file for file in files if isinstance(file, str | os.PathLike)]
    if len(paths) < len(files):
        if paths or output is not None or explain or columns is not None:
            raise PointkitError("shapes and arrays are answered alone: without files, output, explain and columns")
        return collected.of_shapes(run if isinstance(run, Predictor) else Predictor(run), files, category)
    from pointkit.answers import answer_all
    from pointkit.formats.columns import Meaning

    with _bars(progress, "answering") as move:
        told = collected.Collected(move)
        answer_all(
            run,
            paths,
            told,
            category=category,
            output=output,
            explained=explain,
            force=force,
            meaning=None if columns is None else Meaning.said(columns=_text(columns)),
        )
    return collected.answered(told.answers)


def view(file: Path | Shape | ArrayLike, output: Path | None = None, *, force: bool = False) -> Viewed:
    """Look at a mesh or cloud. In a notebook it shows itself and turns under the mouse.

    Parameters
    ----------
    file
        A file, a shape, or an array of points (N, 3).
    output
        PICTURE.png or PAGE.html to write; by default nothing is written.
    force
        Whether to replace what stands there.

    Returns
    -------
    Viewed
        What a notebook shows: the page, or the picture where viser is missing or ``output`` is one.

    Raises
    ------
    PointkitError
        Where the file cannot be read or the output cannot be written. The message is one line.
    """
    from pointkit.view import Viewed, load, scene, write

    if isinstance(file, str | os.PathLike):
        seen, source = load(file), pathlib.Path(file)
    else:
        seen, source = scene(file), None
    path = None if output is None else write(lambda: seen, output, force=force, source=source)
    return Viewed(seen, path)


# ---- words, stores, bars


def _text(value: Any) -> str:
    """Words joined by commas: text as it is, a mapping as name=value, anything else that can be gone through."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={name}" for key, name in value.items())
    return ",".join(map(str, value)) if isinstance(value, Iterable) else str(value)


def _list(words: Words) -> tuple[str, ...]:
    return tuple(filter(None, _text(words).split(",")))


def _store(given: Path | Store) -> Store:
    from pointkit import store

    return given if isinstance(given, Store) else store.open(given)


def _bars(progress: bool | None, title: str) -> AbstractContextManager[notebook.Move | None]:
    """Bars where they are wanted: in a notebook by its display, else as the command line's."""
    if not _wanted(progress):
        return nullcontext()
    if notebook.running():
        return notebook.bars(title)
    from pointkit import console

    return console.preparing()


def _watch(progress: bool | None, reason: str) -> Watch:
    """The watcher of each training."""
    if not _wanted(progress):
        return lambda path: nullcontext(notebook.Quiet())
    if notebook.running():
        return notebook.training
    from pointkit import console

    return console.training(reason)


def _wanted(progress: bool | None) -> bool:
    return notebook.running() if progress is None else progress
