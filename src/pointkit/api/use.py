"""From a run to answers: ``pointkit.evaluate``, ``predict``, and ``view`` for any shape."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from pointkit import machine
from pointkit.api import collected
from pointkit.api import progress as progresses
from pointkit.api.collected import Answers
from pointkit.api.words import Path, Words, text
from pointkit.cloud import Shape
from pointkit.errors import PointkitError
from pointkit.rules import Rule
from pointkit.store import SPLITS

if TYPE_CHECKING:
    from pointkit.evaluate.groups import Evaluated
    from pointkit.predict import Predictor
    from pointkit.view import Viewed


def evaluate(
    *runs: Path,
    against: Path | Iterable[Path] = (),
    store: Path | None = None,
    split: str = "test",
    draws: int = 0,
    votes: int = 0,
    protocol: str | None = None,
    rotate: str | None = None,
    foreign: Path | None = None,
    backend: str | None = None,
    progress: bool | None = None,
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
        Also measure the mean of so many answers, each on points drawn anew; for parts, of shapes turned and stretched.
    protocol
        For parts: "reference-b" also counts as that system does.
    rotate
        Also measure with every shape turned, five times: about the "up" axis, or in "any" direction.
    foreign
        A store or folder of other kinds of shapes: how well are they marked as foreign?
    backend
        What Keras runs on: jax, torch or tensorflow. It can be chosen until Keras is imported.
    progress
        Whether to show a bar; by default in notebooks.

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
    Rule("", "", ("", "up", "any")).check("rotate", rotate or "")
    how: dict[str, Any] = {"draws": draws, "votes": votes, "protocol": protocol or "", "rotate": rotate or ""}
    how["foreign"] = None if foreign is None else pathlib.Path(foreign)
    with progresses.waiting(progress) as waiting:
        return evaluate_groups(runs, others, store_path=store, split=split, waiting=waiting, **how)


def predict(
    run: Path | Predictor,
    *files: Path | Shape | ArrayLike,
    category: str | None = None,
    output: Path | None = None,
    explain: bool = False,
    columns: Words | None = None,
    up: str | None = None,
    top_k: int | None = None,
    extra_bytes: bool = False,
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
        Whether to mark the points that decided, or how much each could change the answer, in a new file and a picture.
    columns
        The names of the columns of texts and arrays, like "x,y,z,-,intensity"; by default those that the run was told.
    up
        The axis of the files that points up, like "y"; by default that of the run's own files.
    top_k
        For classes: so many of them, with their probabilities, go into predictions.csv.
    extra_bytes
        Whether LAS and LAZ files get the probability, too, in extra bytes of each record; and labels that are no class
        of theirs.
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
        if paths or output is not None or explain or columns is not None or top_k is not None:
            raise PointkitError("shapes and arrays are answered alone: without files, output, explain, columns, top_k")
        predictor = run if isinstance(run, Predictor) and up is None else Predictor(run, up=up)
        return collected.of_shapes(predictor, files, category)
    from pointkit.answers import answer_all
    from pointkit.formats.columns import Meaning

    with progresses.bars(progress, "answering") as move:
        told = collected.Collected(move)
        answer_all(
            run if up is None else os.fspath(run),
            paths,
            told,
            category=category,
            output=output,
            explained=explain,
            force=force,
            extra_bytes=extra_bytes,
            meaning=None if columns is None else Meaning.said(columns=text(columns)),
            up=up,
            top_k=top_k,
        )
    return collected.answered(told.answers)


def view(file: Path | Shape | ArrayLike, output: Path | None = None, *, up: str = "z", force: bool = False) -> Viewed:
    """Look at a mesh or cloud. In a notebook it shows itself and turns under the mouse.

    Parameters
    ----------
    file
        A file, a shape, or an array of points (N, 3).
    output
        PICTURE.png or PAGE.html to write; by default nothing is written.
    up
        The axis of the file that points up in the picture: x, y, z, or one with a minus.
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
    from pointkit import upright
    from pointkit.cloud import as_shape
    from pointkit.view import Viewed, load, scene, write

    upright.check(up)
    if isinstance(file, str | os.PathLike):
        seen, source = load(file, up), pathlib.Path(file)
    else:
        seen, source = scene(upright.turned_shape(as_shape(file), up)), None
    path = None if output is None else write(lambda: seen, output, force=force, source=source)
    return Viewed(seen, path)
