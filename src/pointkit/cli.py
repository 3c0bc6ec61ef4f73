"""The command line. A command imports what it needs, calls one function, and has ``console`` print the result.

Exit codes: 0 done; 1 the machine failed us (disk, memory, network) or we did (a bug); 2 the user's input or settings;
130 and 143 after SIGINT and SIGTERM. One line on stderr for all but 0. Standard output holds results alone.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from pointkit import __version__, mistakes
from pointkit.datasets.asked import Asked
from pointkit.errors import PointkitError
from pointkit.flags import (
    Backend,
    Flag,
    FolderFlags,
    Force,
    Json,
    Log,
    Output,
    Path,
    Quiet,
    ReadFlags,
    SettingFlags,
    Up,
    Whole,
)
from pointkit.machine import in_huge_pages, lean_keras, use_backend
from pointkit.signals import Interrupting

DEMO = Path("demo")

app = App(
    name="pointkit",
    version=__version__,
    help_format="plaintext",
    help="""3D files in, trained and honestly measured networks out.

  pointkit prepare my_folder/ -o data/mine      one folder a class: OFF, PLY, OBJ, STL, PCD, NPY, XYZ
  pointkit train data/mine -o runs/a            Ctrl-C is safe; the same command goes on
  pointkit evaluate runs/a                      table, report.json, report.html
  pointkit predict runs/a chair.off scan.ply    class and probability of new files, or their points labelled
  pointkit demo                                 all of it, on built-in shapes
  pointkit --install-completion                 Tab completes commands and flags""",
)
app.register_install_completion_command(help="Let this shell complete pointkit's commands, flags and files.")


@app.command
def demo(*, output: Output = DEMO, backend: Backend = None, quiet: Quiet = False) -> int:
    """Make the built-in shapes, then prepare, train, evaluate and predict: their classes, then their parts.

    The folder must be new, empty, or one that an earlier demo has made.

    Parameters
    ----------
    output
        The folder to work in.
    """
    use_backend(backend)
    from pointkit import console
    from pointkit.demo import commands

    for command in commands(output):
        console.command(command)
        code = run([*command, "--quiet"] if quiet and command[0] != "view" else command)
        if code > 128:
            console.note(f"the whole demo goes on with: pointkit demo -o {shlex.quote(str(output))}")
        if code:
            return code
    console.demo_done(output)
    return 0


@app.command
def fetch(name: str, folder: Path, /, *, source: str | None = None, quiet: Quiet = False) -> None:
    """Download a public data set, check it and unpack it; a cut download goes on where it stopped.

    Parameters
    ----------
    name
        The data set: modelnet10 or shapenet-part.
    folder
        Where to put it.
    source
        A local archive or folder, or another address, instead of the published one.
    """
    from pointkit import console, datasets

    console.hush(quiet)
    with console.fetching(name) as progress:
        result = datasets.find(name).fetch(folder, source=source, progress=progress)
    console.fetched(result)


@app.command
def prepare(
    folder: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    task: Literal["classification", "parts"] | None = None,
    classes: str | None = None,
    seed: Whole = 0,
    groups: Path | None = None,
    dry_run: Flag = False,
    reading: Annotated[ReadFlags | None, Parameter(name="*")] = None,
    said: Annotated[FolderFlags | None, Parameter(name="*")] = None,
    quiet: Quiet = False,
) -> None:
    """Read a folder of shapes into a store that training can use. What the folder was taken for is printed first.

    Layouts: CLASS/SPLIT/FILE, SPLIT/CLASS/FILE, CLASS/FILE (split 70/10/20 here, or by lists), ShapeNet's three of part
    labels; for labelled points also SPLIT/FILE and FILE.

    Parameters
    ----------
    folder
        The folder of shapes.
    output
        The store to write.
    task
        The class of each shape, or the part of each point. By default parts for a published set of parts, else classes.
    classes
        Only these, like chair,lamp; by default all.
    seed
        Decides the split and the points drawn.
    groups
        A CSV with the columns file and group: shapes of one group stay on one side of a split.
    dry_run
        Print what the folder is taken for, read it and say what is wrong with it, and write nothing.
    """
    from pointkit import console

    console.hush(quiet)
    how: dict[str, Any] = {
        "classes": tuple(classes.split(",")) if classes is not None else (),
        "seed": seed,
        "groups": groups,
    }
    if dry_run:
        from pointkit.prepare import trial
        from pointkit.prepare.survey import look

        console.surveyed(look(folder, task, **how, asked=Asked(**(said or {}))))
        with console.preparing() as progress:
            tried = trial(folder, task=task, **how, **(reading or {}), **(said or {}), progress=progress)
        console.tried(tried)
        return
    from pointkit.prepare import prepare as run

    if output is None:
        raise PointkitError("prepare needs -o STORE, the store to write; --dry-run writes none")
    how |= {"task": task, **(reading or {}), **(said or {})}
    with console.preparing() as progress:
        result = run(folder, output, **how, tell=console.found, progress=progress)
    console.prepared(result)


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
        Settings by name (modelnet10-best, modelnet10-reference, parts-best, shapenet-part-reference) or from a TOML
        file.
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
        For parts: also measure the mean of so many answers, each with the shapes turned, stretched and drawn anew.
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
    force: Force = False,
    backend: Backend = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Answer files the run has never seen. Folders are searched.

    A run of classes gives class, probability and runner-up. A run of parts writes a labelled file beside each: all its
    points, in their order, with the fields label and probability. A file that was answered before and is unchanged is
    skipped.

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
        Mark the points that decided, in a field of a new file and in a picture.
    columns
        The names of the columns of texts and arrays, like x,y,z,-,intensity; by default those that the run was told.
    top_k
        For classes: show so many classes with their probabilities, the most probable first.
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
            meaning=meaning,
            up=up,
            top_k=top_k,
            waiting=listener.work,
        )
    return 0 if good else 2


@app.command
def view(
    file: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    up: Up = "z",
    force: Force = False,
) -> None:
    """Draw a mesh or cloud: a PNG, or a page that turns under the mouse, as the suffix of --output says.

    Parameters
    ----------
    file
        A mesh or cloud.
    output
        PICTURE.png or PAGE.html; FILE.html beside the file by default.
    """
    from pointkit import console
    from pointkit.view import view as draw

    console.viewed(draw(file, output or file.with_suffix(".html"), up=up, force=force))


@app.command
def info(
    path: Path | None = None,
    /,
    *,
    recipe: str | None = None,
    show: Whole = 0,
    columns: str | None = None,
    label_field: str | None = None,
    backend: Backend = None,
    as_json: Json = False,
) -> None:
    """Describe a store, a run, a folder of shapes, a file, or a recipe's network; without an argument, this machine.

    Parameters
    ----------
    path
        A store, a run, a folder of shapes or a file.
    recipe
        Print the layer table of this recipe's network.
    show
        Print so many shapes of a store with their sizes and first points.
    columns
        The names of the columns of a text or array, as prepare takes them: x,y,z,-,label.
    label_field
        The field that holds the labels, as prepare takes it.
    """
    use_backend(backend)
    from pointkit import console
    from pointkit import info as about

    if recipe is not None:
        lean_keras()
        console.layer_table(about.network(recipe), as_json)
    elif path is None:
        console.facts(about.machine(), as_json)
    else:
        from pointkit.formats.columns import Meaning

        console.facts(about.describe(path, show, Meaning.said(label_field or "", columns or "")), as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code. A command that trains runs in huge pages (``machine``)."""
    if arguments is None:
        arguments = sys.argv[1:]
        if arguments[:1] in (["train"], ["learn"], ["demo"]):
            in_huge_pages()
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run a command and give its exit code. All that can go wrong ends here in one line."""
    words = functools.partial(mistakes.stopped, arguments)
    try:
        with Interrupting(last_words=words):
            result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BaseException as error:
        return mistakes.answered(error, arguments, flags())


def flags() -> dict[str, set[str]]:
    """Command -> its flags."""
    commands = {name: app[name] for name in app if not name.startswith("-")}
    return {
        name: {flag for argument in command.assemble_argument_collection() for flag in argument.names}
        for name, command in commands.items()
    }
