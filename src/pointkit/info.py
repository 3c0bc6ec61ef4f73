"""Facts about a store, a run, a folder of shapes, a file, a recipe's network, or this machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pointkit import __version__, features, formats, run_folder, store
from pointkit import machine as machines
from pointkit.cloud import Array, Mesh, PointCloud, Shape
from pointkit.config import combine, read_recipe
from pointkit.datasets.asked import Asked
from pointkit.disk import shown
from pointkit.errors import PointkitError
from pointkit.formats import columns
from pointkit.formats.columns import NOTHING_SAID, Meaning
from pointkit.formats.fields import described
from pointkit.prepare import Prepared, standing, trial
from pointkit.task import LOSS, TASKS, Classification, Parts, Task

EXTRAS = {
    "las": ("laspy", "lazrs"),
    "e57": ("pye57",),
    "hdf5": ("h5py",),
    "view": ("viser",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "torch": ("torch",),
    "tensorflow": ("tensorflow",),
}
PACKAGES = ("keras", "jax", "numpy", "safetensors", "matplotlib", "rich", "cyclopts", "jinja2")
PLACEHOLDER_CLASSES, PLACEHOLDER_PARTS = 10, 5  # for a recipe that names no data set
SHOWN_LABELS = 64  # the number of points of each label is told up to so many


def describe(
    path: str | os.PathLike[str],
    show: int = 0,
    meaning: Meaning = NOTHING_SAID,
    draw: Callable[[Prepared], object] | None = None,
) -> dict[str, Any]:
    """Facts about a store, a run, a folder of seeds or of shapes, or a file. Raises PointkitError or OSError else.

    ``meaning`` is the user's word about the columns of a file, or of a folder's files. ``draw`` is called with a store,
    or with what is prepared of a folder for a moment.
    """
    path = pathlib.Path(path)
    if meaning != NOTHING_SAID and any((path / name).is_file() for name in ("manifest.json", "run.json")):
        raise PointkitError(f"{path}: --columns and --label-field are for files and folders of shapes")
    if (path / "manifest.json").is_file():
        opened = store.open(path)
        if draw:
            draw(standing(opened))
        return _store(opened, show)
    if draw and ((path / "run.json").is_file() or any(path.glob("seed-*/run.json"))):
        raise PointkitError(f"{path}: --page is for stores and folders of shapes")
    if (path / "run.json").is_file():
        return _run(path)
    if any(path.glob("seed-*/run.json")):
        return {"kind": "runs", "runs": {run.name: _run(run) for run in run_folder.find_runs(path)}}
    if not os.path.exists(formats.within(path)[0]):
        raise PointkitError(f"{path}: no such file or folder")
    if path.is_dir():
        return _folder(path, meaning, draw)
    if draw:
        raise PointkitError(f"{path}: --page is for stores and folders of shapes")
    return _file(path, meaning)


def _folder(path: pathlib.Path, meaning: Meaning, draw: Callable[[Prepared], object] | None = None) -> dict[str, Any]:
    """A folder of shapes as ``prepare`` would take it; as one of labelled points where it names no classes."""
    from pointkit.prepare import survey

    asked = Asked(label_field=meaning.label_field, columns=",".join(meaning.columns))
    try:
        return survey.look(path, asked=asked).facts() | _audited(path, None, asked, draw)
    except PointkitError as error:
        try:
            facts = survey.look(path, Parts.name, asked=asked).facts() | _audited(path, Parts.name, asked, draw)
        except PointkitError:
            raise error from None
        return {"kind": facts["kind"], "as_classes": str(error), "with": f"--task {Parts.name}", **facts}


def _audited(
    path: pathlib.Path, task: str | None, asked: Asked, draw: Callable[[Prepared], object] | None
) -> dict[str, Any]:
    """What the audit finds in a folder's files, or why they cannot be prepared."""
    said = {"label_field": asked.label_field, "columns": asked.columns}
    try:
        return trial(path, draw or (lambda made: None), task=task, **said)
    except PointkitError as error:
        return {"cannot_be_prepared": str(error)}


def _store(opened: store.Store, show: int) -> dict[str, Any]:
    facts = {key: value for key, value in opened.manifest.items() if key not in ("format", "classes", "checksums")}
    about: dict[str, Any] = {
        "kind": "store",
        **facts,
        "classes": list(opened.classes),
        "splits": {split: len(opened.select(split)) for split in store.SPLITS},
        "points_a_shape": {"least": int(opened.counts.min()), "most": int(opened.counts.max())},
        "checksum": opened.checksum,
    }
    if opened.task.labels_points:
        about["points_a_part"] = _points_a_part(opened)
    if show:
        about["shapes"] = [
            {
                "ident": row.ident,
                "class": row.class_name,
                "split": row.split,
                "shape": [row.count, 3],
                "dtype": "float32",
                "first_points": [[round(float(x), 5) for x in point] for point in opened.cloud(i)[:3]],
                **_first_parts(opened, i),
            }
            for i, row in enumerate(opened.rows[:show])
        ]
    return about


UNLABELLED = "unlabelled"


def _points_a_part(opened: store.Store) -> dict[str, dict[str, int]]:
    """Category -> part -> number of points in all its shapes; points in no part come last, where there are any."""
    names = [*opened.task.answer_names, UNLABELLED]  # index -1 is the last
    counts = {name: dict.fromkeys((names[i] for i in ids), 0) for name, ids in opened.part_ids.items()}
    for i, row in enumerate(opened.rows):
        assert opened.point_labels is not None
        found = np.bincount(opened.point_labels[opened.span(i)] + 1)
        for number in np.flatnonzero(found).tolist():
            part = names[number - 1]
            counts[row.class_name][part] = counts[row.class_name].get(part, 0) + int(found[number])
    return counts


def _first_parts(opened: store.Store, index: int) -> dict[str, Any]:
    """The parts of the first points of a shape, and how many points each part has."""
    if not opened.task.labels_points:
        return {}
    assert opened.point_labels is not None
    names = [*opened.task.answer_names, UNLABELLED]
    labels = opened.point_labels[opened.span(index)]
    found, counts = np.unique(labels, return_counts=True)
    return {
        "first_parts": [names[label] for label in labels[:3].tolist()],
        "points_a_part": {names[label]: int(count) for label, count in zip(found, counts, strict=True)},
    }


def _run(path: pathlib.Path) -> dict[str, Any]:
    facts = run_folder.read_facts(path)
    checkpoint, _ = run_folder.load_checkpoint(path, ("best/",))
    progress = checkpoint.progress if checkpoint else run_folder.Progress()
    about = {"kind": "run", **{key: value for key, value in facts.items() if key != "format"}}
    about["progress"] = {
        "epochs_finished": progress.epoch,
        "epochs": facts["settings"]["epochs"],
        "finished": progress.over(facts["settings"]),
        "best_epoch": progress.best_epoch,
        "best_val_loss": progress.best_val_loss if progress.best_epoch else None,
    }
    about["accuracy"] = _accuracy(path, facts, progress)
    return about


def _accuracy(path: pathlib.Path, facts: Mapping[str, Any], progress: run_folder.Progress) -> dict[str, Any] | None:
    """The figures of the kept weights on test shapes, where a report has them, else on validation; None for neither."""
    if not progress.best_epoch:
        return None
    task = TASKS[Task.of(facts).name]
    epoch = progress.best_epoch
    try:
        report = json.loads((path / "report.json").read_text(encoding="utf-8"))
        if report["run"]["best_epoch"] == epoch and report["run"]["trained_epochs"] == progress.epoch:
            figures = {figure.key: report[figure.key] for figure in task.figures if figure.share}
            return {**figures, "of": f"{report['num_shapes']} {report['split']} shapes (report.json), epoch {epoch}"}
        why = "report.json is of an earlier epoch"
    except FileNotFoundError:
        why = "evaluate measures the test shapes"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        why = "report.json cannot be read"
    row = progress.history[epoch - 1]
    shapes = facts["store"]["shapes"].get("val", "the")
    figures = {key: row[key] for key in task.validated if key in row and key != LOSS.key}
    return {**figures, "of": f"{shapes} validation shapes, epoch {epoch}, which they chose; {why}"}


def _file(path: pathlib.Path, meaning: Meaning) -> dict[str, Any]:
    """Sizes of a file's shape, its box in the file's units, all its fields, and what these would be taken for."""
    if meaning.columns and not formats.takes_columns(path):
        raise PointkitError(
            f"{path}: --columns is for texts and arrays; {path.suffix} files name their columns themselves"
        )
    shape = formats.read(path, meaning=meaning)
    about: dict[str, Any] = {"kind": "mesh" if isinstance(shape, Mesh) else "cloud", "file": str(path)}
    about |= formats.facts(path)
    if isinstance(shape, Mesh):
        used = np.unique(shape.faces) if len(shape.faces) else np.arange(len(shape.vertices))
        about |= {"points": len(shape.vertices), "faces": len(shape.faces)}
        about["vertices_of_no_face"] = len(shape.vertices) - len(used)
        about["vertices_without_coordinates"] = 0 if shape.there is None else len(shape.there) - len(shape.vertices)
        points = shape.placement.coordinates(shape.vertices)[used]
        about["vertex_fields"] = _fields(shape.vertex_fields)
        about["face_fields"] = _fields(shape.face_fields)
    else:
        about |= {"points": len(shape.points), "rows_without_coordinates": shape.left_out}
        points = shape.placement.coordinates(shape.points)
        about |= {"doubts": list(shape.doubts)} if shape.doubts else {}
        about["fields"] = _fields(shape.fields)
        about |= _classes(path, shape)
    try:
        about["taken_for"] = _taken_for(shape, meaning)
    except ValueError as error:
        raise PointkitError(f"{shown(path)}: {error}") from None
    low, high = (corner.astype(np.float64) for corner in (points.min(0), points.max(0)))
    for name, values in {"low": low, "high": high, "size": high - low, "origin": shape.placement.origin}.items():
        about[name] = [float(x) for x in values]
    return about


def _classes(path: pathlib.Path, cloud: PointCloud) -> dict[str, dict[str, int]]:
    """Code and name of each class in a field whose codes the format names -> number of points."""
    for field, array in cloud.fields.items():
        if formats.code_name(path, field, 0):
            found, counts = np.unique(array, return_counts=True)
            names = (f"{code} {formats.code_name(path, field, code)}" for code in found.tolist())
            return {"classes": dict(zip(names, counts.tolist(), strict=True))}
    return {}


def _fields(fields: Mapping[str, Array]) -> dict[str, str]:
    """Name -> type and range, in the words of the messages."""
    return {name: described({name: array})[len(name) + 2 : -1] for name, array in fields.items()}


def _taken_for(shape: Shape, meaning: Meaning) -> dict[str, Any]:
    """Which fields are taken for labels, colours, normals and intensities; "none" where there are none.

    Raises ValueError where the user's own field holds no labels.
    """
    levels = [shape.fields] if isinstance(shape, PointCloud) else [shape.face_fields, shape.vertex_fields]
    taken: dict[str, Any] = {}
    try:
        labels = columns.labels_of(shape, meaning)
        taken["labels"] = columns.label_field(shape, meaning) if labels is not None else _no_labels(shape)
        if labels is not None:
            found, counts = np.unique(labels, return_counts=True)
            if len(found) <= SHOWN_LABELS:
                taken["label_counts"] = dict(zip(map(str, found.tolist()), counts.tolist(), strict=True))
    except ValueError as error:
        if meaning.label_field:
            raise
        taken["labels"] = f"none, {error}"
    for kind in features.KINDS:  # colours of vertices come before those of faces
        held = [several for fields in reversed(levels) if (several := columns.feature(fields, kind))]
        partial = "none; some vertices or faces alone have it" if kind in shape.partial else "none"
        taken[kind] = held[0] if held else partial
    return taken


def _no_labels(shape: Shape) -> str:
    """Says that there are no labels, and which field looks like them."""
    likely = columns.missing(shape).rpartition("; ")[2]
    return f"none; {likely}" if "looks like labels" in likely else "none"


def network(recipe: str) -> dict[str, Any]:
    """The layer table of a recipe's network, with the classes of the data set that it names."""
    from pointkit import datasets, models

    settings = combine(read_recipe(recipe))
    classes = len(datasets.find(settings.dataset).classes) if settings.dataset else PLACEHOLDER_CLASSES
    task = TASKS[settings.task or Classification.name]
    num_features = len(features.columns(features.kinds(settings.features)))
    outputs = PLACEHOLDER_PARTS if task.labels_points else classes
    return models.describe(
        models.build(settings.flat(), outputs, kind=task.network_kind, num_features=num_features, blank=True)
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """Versions, backends, cores, memory, GPU and extras of this machine."""
    found = [name for name in machines.BACKENDS if importlib.util.find_spec(name)]
    return {
        "pointkit": __version__,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "packages": {name: _version(name) or "missing" for name in PACKAGES},
        "backends": found,
        "backend": os.environ.get("KERAS_BACKEND", "jax"),
        "cores": machines.cores(),
        "memory_gb": round(machines.memory() / 1e9, 1),
        "gpus": _gpus(found),
        "formats": list(formats.SUFFIXES),
        "extras": {name: all(map(importlib.util.find_spec, needs)) for name, needs in EXTRAS.items()},
    }


def _gpus(backends: list[str]) -> list[str]:
    """The accelerators that the first of the installed backends sees."""
    if "jax" in backends:
        import jax

        return [str(device) for device in jax.devices() if device.platform != "cpu"]
    if "torch" in backends:
        import torch

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return []
