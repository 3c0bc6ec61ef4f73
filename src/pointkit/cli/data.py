"""The commands on files and stores: fetch, prepare, view and info."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pointkit.cli.app import app
from pointkit.datasets.asked import Asked
from pointkit.errors import PointkitError
from pointkit.flags import Backend, Flag, FolderFlags, Force, Json, Path, Quiet, ReadFlags, Up, Whole
from pointkit.machine import lean_keras, use_backend

if TYPE_CHECKING:
    from pointkit.prepare import Prepared


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
    page: Path | None = None,
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
        Print what the folder is taken for, read it and say what is wrong with it, and write no store.
    page
        A page to write, like data.html: pictures of each class or part, counts, findings, files that cannot be read.
    """
    from pointkit import console

    console.hush(quiet)
    draw = _page(page, bool((reading or {}).get("force")))
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
            tried = trial(folder, draw, task=task, **how, **(reading or {}), **(said or {}), progress=progress)
        console.tried(tried)
        return
    from pointkit.prepare import prepare as run

    if output is None:
        raise PointkitError("prepare needs -o STORE, the store to write; --dry-run writes none")
    how |= {"task": task, **(reading or {}), **(said or {})}
    with console.preparing() as progress:
        result = run(folder, output, **how, tell=console.found, progress=progress)
    draw(result)
    console.prepared(result)


def _page(path: Path | None, force: bool) -> Callable[[Prepared], None]:
    """What draws the page "your data" of what was prepared, or nothing. Raises PointkitError where it cannot."""
    if path is None:
        return lambda made: None
    from pointkit import console
    from pointkit.report import data

    data.check(path, force)

    def draw(made: Prepared) -> None:
        data.Page(path, made.store, made.unread).write()
        console.aside(f"your data: {path}")

    return draw


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
    page: Path | None = None,
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
    page
        Of a folder or store: a page to write, like data.html, with pictures of each class or part.
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

        meaning = Meaning.said(label_field or "", columns or "")
        console.facts(about.describe(path, show, meaning, _page(page, False) if page else None), as_json)
