"""What a network pools of its training shapes, and how well shapes of other kinds are told by it (``foreign``)."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit import formats, metrics, store
from pointkit.answers import find_files
from pointkit.asking import BATCH, Query
from pointkit.cloud import Float32
from pointkit.errors import PointkitError, RunError
from pointkit.evaluate.shapes import asked
from pointkit.foreign import FEWEST, MARGIN, PERCENTILE, Reference
from pointkit.predict import Predictor
from pointkit.store import Store

MOST = {"train": 4096, "val": 1024}  # shapes of a split that are looked at; of more, so many at random


def pooled_of(predictor: Predictor, queries: Iterable[Query]) -> Float32:
    """What the network pools of the first window of each query, (S, D)."""
    windows = [(query._replace(category=0), predictor.asker.windows_of(query)[0]) for query in queries]
    batches = (predictor.inputs(windows[start : start + BATCH]) for start in range(0, len(windows), BATCH))
    return np.concatenate([predictor.look(batch)[1] for batch in batches])


def keep(predictor: Predictor, opened: Store) -> None:
    """Keep what the network pools of its training and validation shapes in the run, if all of it is finite.

    Raises MachineError where the disk or the memory is full.
    """
    pooled = []
    for split, most in MOST.items():
        chosen = opened.select(split)
        some = np.sort(np.random.default_rng(0).permutation(chosen)[:most])
        pooled.append(pooled_of(predictor, (shape.query for shape in asked(predictor, opened, some))))
    if all(np.isfinite(features).all() for features in pooled):
        Reference.of(*pooled).save(predictor.path, predictor.weights)


def measure(predictor: Predictor, pooled: Float32, path: pathlib.Path | None = None) -> dict[str, Any]:
    """How many shapes with these pooled features (S, D) are marked; of ``path``, how well its shapes are told by it.

    ``path`` is a store, whose shapes of classes that the run does not know are taken, or a folder, all files of which
    are. Raises PointkitError where there are none, and RunError where the run marks none.
    """
    reference = predictor.reference
    limit = reference.limit if reference else None
    if reference is None or limit is None:
        why = f"it had fewer than {FEWEST} validation shapes, or copies of training shapes"
        if reference is None:
            why = "it keeps no reference of its training shapes, which the command that trained it adds"
        if path is not None:
            raise RunError(f"{predictor.path}: cannot be measured with --foreign: it marks no foreign shapes, as {why}")
        return {"marked": None, "why": why}
    ours = reference.distances(pooled)
    figures: dict[str, Any] = {
        "marked": float((ours > limit).mean()),
        "validation": len(reference.validation),
        "percentile": PERCENTILE,
        "margin": MARGIN,
    }
    if path is None:
        return figures
    theirs, about = _others(predictor, path)
    far = reference.distances(theirs)
    found = {"auroc": metrics.auroc(ours, far), "found": float((far > limit).mean())}
    return figures | {"others": {**about, "shapes": len(far), **found}}


def _others(predictor: Predictor, path: pathlib.Path) -> tuple[Float32, dict[str, Any]]:
    if (path / "manifest.json").is_file():
        opened = store.open(path)
        unknown = np.flatnonzero([name not in predictor.classes for name in opened.classes])
        chosen: NDArray[np.int64] = np.flatnonzero(np.isin(opened.labels, unknown))
        if not len(chosen):
            raise PointkitError(
                f"{path}: no shapes of other {predictor.task.group[1]} than the run knows ({', '.join(opened.classes)})"
            )
        about = {"name": path.resolve().name, "classes": [opened.classes[i] for i in unknown]}
        queries = [shape.query for shape in asked(predictor, opened, chosen)]
        return pooled_of(predictor, queries), {**about, "known": len(opened.labels) - len(chosen), "unread": 0}
    found, queries, unread = find_files([path]), [], 0
    for file in found.files:
        try:
            shape = formats.read(file, meaning=predictor.contract.meaning)
            queries.append(predictor.query(predictor.draw(shape, file).first(predictor.num_points)))
        except (OSError, PointkitError):
            unread += 1
    if not queries:
        raise found.problems[0] if found.problems else PointkitError(f"{path}: none of {unread} files can be read")
    return pooled_of(predictor, queries), {"name": path.name, "classes": [], "known": 0, "unread": unread}
