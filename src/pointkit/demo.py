"""Both tasks, classes and parts, on the built-in shapes: the commands that a user would type, one after another."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from pointkit import synthetic
from pointkit.errors import PointkitError

SEED = 0
UNSEEN_SEED = 1  # other shapes of the same classes, which are in no split
UNSEEN_A_CLASS = 10
# What a demo's folder holds, beside unfinished files.
OURS = ("shapes", "unseen", "store", "run", "shape", "parts_store", "parts_run", "labelled")
TRAINING = ("--num-points", "512", "--schedule", "cosine", "--scale", "0.25", "--average", "0.95", "--epochs")
CLASS_TRAINING = (*TRAINING, "12")
PARTS_TRAINING = (*TRAINING, "6", "--batch-size", "16")


def commands(folder: pathlib.Path) -> Iterator[list[str]]:
    """Make the shapes in ``folder`` where they are not there yet, then give the commands in turn.

    Raises PointkitError where the folder holds anything but a demo's files.
    """
    shapes, unseen = folder / "shapes", folder / "unseen"
    folder.mkdir(parents=True, exist_ok=True)
    others = sorted(entry.name for entry in folder.iterdir() if entry.name.lstrip(".").split(".")[0] not in OURS)
    if others:
        raise PointkitError(f"{folder}: the demo needs a folder of its own, new or empty, found {others[0]} in it")
    if not shapes.exists():
        synthetic.write(shapes, seed=SEED)
    if not unseen.exists():
        synthetic.write(unseen, seed=UNSEEN_SEED, shapes_per_class=UNSEEN_A_CLASS)
    files = sorted(unseen.glob("*/test/*.ply"))
    one_a_class = list({file.parent.parent.name: str(file) for file in files}.values())

    store, run = folder / "store", folder / "run"
    yield ["prepare", str(shapes), "-o", str(store)]
    yield ["train", str(store), "-o", str(run), *CLASS_TRAINING]
    yield ["evaluate", str(run)]
    yield ["predict", str(run), *one_a_class]
    yield ["view", one_a_class[0], "-o", str(folder / "shape.png"), "--force"]

    store, run, labelled = folder / "parts_store", folder / "parts_run", folder / "labelled"
    yield ["prepare", str(shapes), "-o", str(store), "--task", "parts"]
    yield ["train", str(store), "-o", str(run), *PARTS_TRAINING]
    yield ["evaluate", str(run)]
    yield ["predict", str(run), *one_a_class, "-o", str(labelled)]
    yield ["view", str(min(labelled.glob("*.ply"))), "-o", str(folder / "labelled.png"), "--force"]
