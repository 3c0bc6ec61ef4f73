"""The command line. A command imports what it needs, calls one function, and has ``console`` print the result.

Exit codes: 0 done; 1 the machine failed us (disk, memory, network) or we did (a bug); 2 the user's input or settings;
130 and 143 after SIGINT and SIGTERM. One line on stderr for all but 0. Standard output holds results alone.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from pointkit import __version__, mistakes
from pointkit.config import BACKENDS
from pointkit.datasets.asked import Asked
from pointkit.errors import PointkitError
from pointkit.flags import Backend, Flag, FolderFlags, Force, Json, Output, Path, ReadFlags, SettingFlags, Whole
from pointkit.machine import in_huge_pages, keep_pages, lean_keras

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
  pointkit demo                                 all of it, on built-in shapes""",
)


def use_backend(name: str | None) -> None:
    """Choose Keras's backend, before Keras is first imported. PyTorch then keeps the memory that it frees.

    Raises PointkitError where the backend is unknown or not installed.
    """
    if name is not None:
        os.environ["KERAS_BACKEND"] = name
    chosen = os.environ.get("KERAS_BACKEND", "jax")
    if chosen not in BACKENDS:
        raise PointkitError(f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}, got {chosen!r}")
    if importlib.util.find_spec(chosen) is None:
        wanted = "jax" if chosen == "jax" else f"'pointkit[{chosen}]'"
        raise PointkitError(f"the backend {chosen} is not installed here; it comes with: pip install {wanted}")
    if chosen == "torch":
        keep_pages()


@app.command
def demo(*, output: Output = DEMO, backend: Backend = None) -> int:
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
        code = run(command)
        if code:
            return code
    console.demo_done(output)
    return 0


@app.command
def fetch(name: str, folder: Path, /, *, source: str | None = None) -> None:
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
def train(
    store: Path,
    /,
    *,
    output: Output,
    recipe: str | None = None,
    seed: Whole | None = None,
    seeds: str | None = None,
    backend: Backend = None,
    settings: Annotated[SettingFlags | None, Parameter(name="*")] = None,
) -> None:
    """Train a network on a store. The same command goes on after a stop; larger --epochs goes on after the end.

    Without --recipe the settings are chosen for the data, printed, and kept in the run. Settings that
    neither a recipe nor that choice names have the values in the brackets.

    Parameters
    ----------
    store
        What 'pointkit prepare' wrote.
    output
        The run to write.
    recipe
        Settings by name (modelnet10-best, modelnet10-reference, parts-best, shapenet-part-reference) or from a TOML
        file.
    seed
        Decides initial weights, order, augmentation and dropout.
    seeds
        Several, like 0,1,2: each trains into OUTPUT/seed-N.
    """
    use_backend(backend)
    from pointkit import config, console, run_folder
    from pointkit import store as stores

    if seed is not None and seeds is not None:
        raise PointkitError("--seed and --seeds exclude each other")
    opened = stores.open(store)
    given = {**(settings or {}), "seed": seed}
    decided, reason = config.decide(recipe, given, opened.task, len(opened.select("train")), opened.imbalanced)
    runs = config.seeded(decided, output, seeds)
    for path, _ in runs:
        run_folder.check(path)
    lean_keras()  # after the checks above: a mistake is then answered sooner
    from pointkit.train import train_all

    train_all(opened, output, runs, console.training(reason))


@app.command
def evaluate(
    *runs: Path,
    against: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = (),
    store: Path | None = None,
    split: Literal["test", "val", "train"] = "test",
    draws: Whole = 0,
    votes: Whole = 0,
    protocol: Literal["reference-b"] | None = None,
    backend: Backend = None,
    as_json: Json = False,
) -> None:
    """Measure runs on the test shapes: a table, and report.json, report.html, predictions.csv and pictures in each.

    A folder that 'train --seeds' made stands for all its runs. Several such folders, or --against, are compared side by
    side.

    Parameters
    ----------
    runs
        Runs, or folders of seeds.
    against
        Other runs to compare them with, on the same test shapes.
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
    """
    use_backend(backend)
    lean_keras()
    from pointkit.console.figures import evaluated
    from pointkit.evaluate.groups import evaluate_groups

    how = {"draws": draws, "votes": votes, "protocol": protocol or ""}
    evaluated(evaluate_groups(runs, against, store_path=store, split=split, **how), as_json)


@app.command
def predict(
    run: Path,
    /,
    *files: Path,
    category: str | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    explain: Flag = False,
    columns: str | None = None,
    force: Force = False,
    backend: Backend = None,
    as_json: Json = False,
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
    as_json
        Print one JSON object a line and nothing else.
    """
    use_backend(backend)
    lean_keras()
    from pointkit.answers import answer_all
    from pointkit.console.answers import Answers
    from pointkit.formats.columns import Meaning

    meaning = Meaning.said(columns=columns) if columns is not None else None
    with Answers(as_json) as listener:
        good = answer_all(
            run,
            files,
            listener,
            category=category,
            output=output,
            explained=explain,
            force=force,
            meaning=meaning,
        )
    return 0 if good else 2


@app.command
def view(
    file: Path, /, *, output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None, force: Force = False
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

    console.viewed(draw(file, output or file.with_suffix(".html"), force=force))


@app.command
def info(
    path: Path | None = None,
    /,
    *,
    recipe: str | None = None,
    show: Whole = 0,
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
        console.facts(about.describe(path, show), as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code. A command that trains runs in huge pages (``machine``)."""
    if arguments is None:
        arguments = sys.argv[1:]
        if arguments[:1] in (["train"], ["demo"]):
            in_huge_pages()
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run a command and give its exit code. All that can go wrong ends here in one line."""
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BaseException as error:
        return mistakes.answered(error, arguments, [name for name in arguments[:1] if name in app])
