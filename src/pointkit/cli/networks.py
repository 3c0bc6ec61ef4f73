"""The commands on networks: learn, train, evaluate and predict."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pointkit.cli.app import app
from pointkit.errors import PointkitError
from pointkit.flags import Backend, Flag, FolderFlags, Force, Json, Log, Output, Path, Quiet, SettingFlags, Up, Whole
from pointkit.machine import lean_keras, use_backend


@app.command
def learn(
    folder: Path,
    /,
    *,
    output: Output,
    minutes: float = 20.0,
    task: Literal["classification", "parts"] | None = None,
    classes: str | None = None,
    seed: Whole = 0,
    groups: Path | None = None,
    force: Annotated[bool, Parameter(negative="", help="Go on where the audit finds a training worthless.")] = False,
    backend: Backend = None,
    as_json: Json = False,
    quiet: Quiet = False,
    said: Annotated[FolderFlags | None, Parameter(name="*")] = None,
) -> None:
    """Prepare, check, train and evaluate in one go. The same command goes on after a stop.

    The settings are chosen for the data, the number of epochs for the time. OUTPUT then holds the run, its store, and
    the pages data.html and report.html.

    Parameters
    ----------
    folder
        The folder of shapes, as for prepare.
    output
        The run to write.
    minutes
        The time to take, about.
    task
        The class of each shape, or the part of each point. By default parts for a published set of parts, else classes.
    classes
        Only these, like chair,lamp; by default all.
    seed
        Decides the split, the points drawn and the training.
    groups
        A CSV with the columns file and group: shapes of one group stay on one side of a split.
    """
    use_backend(backend)
    from pointkit import console
    from pointkit.console.learning import Learning, learned
    from pointkit.learn import learn as run

    console.hush(quiet)
    names = tuple(classes.split(",")) if classes is not None else ()
    how: dict[str, Any] = {"minutes": minutes, "task": task, "classes": names, "seed": seed, "groups": groups}
    learned(run(folder, output, **how, force=force, listener=Learning(as_json), **(said or {})), as_json)


@app.command
def train(
    store: Path,
    /,
    *,
    output: Output,
    recipe: str | None = None,
    init: Path | None = None,
    seed: Whole | None = None,
    seeds: str | None = None,
    log: Log = None,
    backend: Backend = None,
    settings: Annotated[SettingFlags | None, Parameter(name="*")] = None,
    quiet: Quiet = False,
) -> None:
    """Train a network on a store. The same command goes on after a stop.

    pointkit train data/mine -o runs/a                     settings for the data
    pointkit train data/mine -o runs/a --epochs 60         larger: goes on
    pointkit train data/mine -o runs/b --patience 20       ends when no better
    pointkit train data/mine -o runs/c --seeds 0,1,2       three, for a mean
    pointkit train data/mine -o runs/d --init runs/a       starts from runs/a
    pointkit train data/mine -o runs/e --recipe mine.toml  settings of a file

    Without --recipe the settings are chosen for the data and kept in the run. What
    neither a recipe, that choice nor a flag names has the value in the brackets.

    Parameters
    ----------
    store
        What 'pointkit prepare' wrote.
    output
        The run to write.
    recipe
        Settings by name (modelnet10-best, modelnet10-pointnet, modelnet10-reference, parts-best, parts-pointnet,
        shapenet-part-reference) or from a TOML file.
    init
        A run to start from: the weights of its layers that fit are taken, the others are new.
    seed
        Decides initial weights, order, augmentation and dropout.
    seeds
        Several, like 0,1,2: each trains into OUTPUT/seed-N.
    """
    use_backend(backend)
    from pointkit import checks, config, console, logs
    from pointkit import store as stores
    from pointkit.console import training

    console.hush(quiet)
    logs.check(log)
    if seed is not None and seeds is not None:
        raise PointkitError("--seed and --seeds exclude each other")
    opened = stores.open(store)
    given = {**(settings or {}), "seed": seed}
    decided, reason = config.decide(recipe, given, opened.task, len(opened.select("train")), opened.imbalanced)
    runs = config.seeded(decided, output, seeds)
    checks.to_train(opened, runs, os.environ["KERAS_BACKEND"], init)
    with console.Work("starting Keras"):  # after the checks: a mistake is then answered at once
        lean_keras()
        from pointkit.train import train_all

    train_all(opened, output, runs, logs.beside(training.bars(training.Why(given, reason)), log), init)


@app.command
def evaluate(
    *runs: Path,
    against: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = (),
    store: Path | None = None,
    split: Literal["test", "val", "train"] = "test",
    draws: Whole = 0,
    votes: Whole = 0,
    protocol: Literal["reference-b"] | None = None,
    rotate: Literal["up", "any"] | None = None,
    foreign: Path | None = None,
    backend: Backend = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure runs on the test shapes: a table, and report.json, report.html, predictions.csv and pictures in each.

    A folder that 'train --seeds' made stands for the mean of its runs. Several runs or folders are compared.

    Parameters
    ----------
    runs
        Runs, or folders of seeds.
    against
        Further runs to compare with; the same as naming them among the others.
    store
        The store, where it has moved since the training.
    split
        Which shapes to measure on.
    draws
        Repeat on so many fresh draws of each shape's points.
    votes
        Also measure the mean of so many answers, each on points drawn anew; for parts, of shapes turned and stretched.
    protocol
        For parts: also count as reference system B does.
    rotate
        Also measure with every shape turned, five times: about the up axis, or in any direction.
    foreign
        A store or folder of other kinds of shapes: how well are they marked as foreign? Of a store, those of classes
        that the run does not know are taken.
    """
    use_backend(backend)
    from pointkit import checks, console

    console.hush(quiet)
    how: dict[str, Any] = {"draws": draws, "votes": votes, "protocol": protocol or ""}
    how |= {"rotate": rotate or "", "foreign": foreign}
    checks.to_evaluate(runs, against, store, split, **how)
    with console.Work("starting Keras") as waiting:
        lean_keras()
        from pointkit.evaluate.groups import evaluate_groups

        result = evaluate_groups(runs, against, store_path=store, split=split, waiting=waiting, **how)
    from pointkit.console.figures import evaluated

    evaluated(result, as_json)


@app.command
def predict(
    run: Path,
    /,
    *files: Path,
    category: str | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    explain: Flag = False,
    columns: str | None = None,
    up: Up | None = None,
    top_k: Whole | None = None,
    extra_bytes: Flag = False,
    force: Force = False,
    backend: Backend = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Answer files the run has never seen. Folders are searched.

    A run of classes gives class, probability and runner-up. A run of parts writes a labelled file beside each: all its
    points, in their order, with the fields label and probability. In LAS and LAZ the label is the classification. A
    file that was answered before and is unchanged is skipped.

    Parameters
    ----------
    run
        What 'pointkit train' wrote.
    files
        Files and folders. Names that begin with - come after --.
    category
        For parts: what the files show. By default a folder of a category's name says it, or the run has only one.
    output
        The folder to write labelled and explained files into, in the folders of the input, with predictions.csv.
    explain
        Mark the points that decided, or how much each could change the answer, in a new file and a picture.
    columns
        The names of the columns of texts and arrays, like x,y,z,-,intensity; by default those that the run was told.
    top_k
        For classes: show so many classes with their probabilities, the most probable first.
    extra_bytes
        Give LAS and LAZ files the probability, too, in extra bytes of each record; and labels that are no class of
        theirs.
    as_json
        Print one JSON object a line and nothing else.
    """
    use_backend(backend)
    from pointkit import console
    from pointkit.answers import answer_all
    from pointkit.console.answers import Answers
    from pointkit.formats.columns import Meaning

    meaning = Meaning.said(columns=columns) if columns is not None else None
    console.hush(quiet)
    with Answers(as_json, top_k) as listener:
        good = answer_all(
            run,
            files,
            listener,
            category=category,
            output=output,
            explained=explain,
            force=force,
            extra_bytes=extra_bytes,
            meaning=meaning,
            up=up,
            top_k=top_k,
            waiting=listener.work,
        )
    return 0 if good else 2
