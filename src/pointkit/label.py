"""Unlabelled files in, labelled files out: the part of every original point, at its place, beside all that was there.

A cloud is written in its own format, a mesh as PLY with a label a face. The way of a file: read, points in random order
(``preprocess.draw``, as in preparing), probabilities, back to the file's own order, written beside its place.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointkit import config, explain, features, formats, outputs, preprocess
from pointkit.cloud import Float64, Mesh, PointCloud, Shape
from pointkit.errors import PointkitError
from pointkit.predict import Drawn, Predictor

GROUP_FILES, GROUP_POINTS = 64, 1_000_000  # read before the network is asked
MOST_SAMPLES = 2**18  # points drawn from a mesh, at most


@dataclass(frozen=True)
class Labelled:
    """A file that was written: its ``path``, the ``category``, and how many points, or faces, each part has.

    ``probability`` is the mean of the answers' own; ``explanation`` is there where it was asked for.
    """

    path: pathlib.Path
    category: str
    counts: Mapping[str, int]
    probability: float
    warnings: tuple[str, ...] = ()
    explanation: explain.Explanation | None = None


@dataclass(frozen=True)
class _Read:
    """A file on its way: its shape, the category's id, and the drawn points with the file's point or face of each."""

    path: pathlib.Path
    target: pathlib.Path
    shape: Shape
    drawn: preprocess.Drawn
    query: Drawn
    warnings: tuple[str, ...]


def label_files(
    predictor: Predictor,
    paths: Iterable[pathlib.Path],
    *,
    category: str | None = None,
    output: pathlib.Path | None = None,
    critical: bool = False,
) -> Iterator[tuple[pathlib.Path, Labelled | Exception]]:
    """Label files, each written beside itself, or into the folder ``output``; in order, with why some could not be.

    With ``critical``, the files also have the field of that name, and each a picture of it (``explain``).

    The category is ``category``, else that of the nearest folder above a file that is named as one, or as its directory
    in the set (such as 02691156), else the run's only one.
    Raises PointkitError for a category that the run does not know, and where two files would be written to one place.
    """
    if category is not None and category not in predictor.classes:
        hint = config.suggest(category, predictor.classes)
        raise PointkitError(f"category must be one of {', '.join(predictor.classes)}, got {category!r}{hint}")
    files = list(paths)
    targets = outputs.places(files, output, outputs.LABELLED)
    waiting: list[tuple[pathlib.Path, _Read | Exception]] = []
    points = 0
    for path in files:
        try:
            read = _read(predictor, path, targets[path], category)
            points += len(read.query.points)
        except (OSError, PointkitError) as error:
            waiting.append((path, error))
        else:
            waiting.append((path, read))
        if len(waiting) == GROUP_FILES or points >= GROUP_POINTS:
            yield from _flush(predictor, waiting, critical)
            waiting, points = [], 0
    yield from _flush(predictor, waiting, critical)


def _read(predictor: Predictor, path: pathlib.Path, target: pathlib.Path, category: str | None) -> _Read:
    shape = formats.read(path)
    count = predictor.facts["input"]["drawn"]
    if isinstance(shape, Mesh) and len(shape.faces):
        count = max(count, min(4 * len(shape.faces), MOST_SAMPLES))
    named = _named(shape) if predictor.facts.get("layout") == "normal" else shape
    drawn = predictor.draw(named, count, path, whole=True)
    name = category or _category(predictor, path)
    query = predictor.query(drawn, predictor.classes.index(name))
    return _Read(path, target, shape, drawn, query, predictor.warnings(drawn))


def _named(shape: Shape) -> Shape:
    """A cloud of that layout, whose fourth to sixth columns are normals without names."""
    if not isinstance(shape, PointCloud) or "column3" not in shape.fields:
        return shape
    names = dict(zip(("column3", "column4", "column5"), features.KINDS["normals"], strict=True))
    return dataclasses.replace(shape, fields={names.get(name, name): array for name, array in shape.fields.items()})


def _category(predictor: Predictor, path: pathlib.Path) -> str:
    classes = predictor.classes
    if len(classes) == 1:
        return classes[0]
    known = {place: name for name, place in predictor.facts.get("directories", {}).items()}
    known |= {name: name for name in classes}
    for folder in pathlib.Path(os.path.abspath(path)).parents:
        if folder.name in known:
            return str(known[folder.name])
    raise PointkitError(
        f"{path}: of which category? give --category, one of {', '.join(classes)}, or a folder of that name"
    )


def _flush(
    predictor: Predictor, waiting: Sequence[tuple[pathlib.Path, _Read | Exception]], critical: bool
) -> Iterator[tuple[pathlib.Path, Labelled | Exception]]:
    queries = [read.query for _, read in waiting if isinstance(read, _Read)]
    answers = predictor.part_probabilities(queries)
    marks = predictor.point_marks(queries) if critical else itertools.repeat(None)
    for path, read in waiting:
        if isinstance(read, Exception):
            yield path, read
            continue
        probabilities, mark = next(answers), next(marks)
        try:
            yield path, _write(predictor, read, probabilities, mark)
        except (OSError, PointkitError) as error:
            yield path, error


def _write(predictor: Predictor, read: _Read, probabilities: Float64, marks: NDArray[np.uint8] | None) -> Labelled:
    name = predictor.classes[read.query.category]
    names = predictor.task.parts[name]
    codes = np.array(predictor.facts.get("codes", {}).get(name, range(len(names))), np.int32)
    if isinstance(read.shape, Mesh):
        whole = _on_faces(read.shape, read.drawn, probabilities)
    else:
        whole = np.empty_like(probabilities)
        whole[read.drawn.index] = probabilities
    part = whole.argmax(1)
    sure = whole[np.arange(len(whole)), part].astype(np.float32)
    ours = {"label": codes[part], "probability": sure}
    notes = [f"label {code} is {part_name}" for code, part_name in zip(codes, names, strict=True)]
    explanation = None
    if marks is not None:
        ours[explain.FIELD] = np.zeros(len(whole), np.uint8)
        np.maximum.at(ours[explain.FIELD], read.drawn.index, marks)
        notes += explain.NOTES
        picture = read.target.with_name(f"{read.path.stem}{outputs.EXPLAINED}.png")
        explanation = explain.draw(picture, read.query.points, marks)
    if isinstance(read.shape, Mesh):
        shape: Shape = dataclasses.replace(read.shape, face_fields=outputs.fields(read.shape.face_fields, ours))
    else:
        shape = dataclasses.replace(read.shape, fields=outputs.fields(read.shape.fields, ours), labels=None)
    formats.write(read.target, shape, notes=notes)
    counts = dict(zip(names, np.bincount(part, minlength=len(names)).tolist(), strict=True))
    return Labelled(read.target, name, counts, float(sure.mean()), read.warnings, explanation)


def _on_faces(mesh: Mesh, drawn: preprocess.Drawn, probabilities: Float64) -> Float64:
    """Of each face (F, parts): the mean of the points drawn from it, or, where there are none, the nearest point's."""
    if not len(mesh.faces):
        raise PointkitError("a mesh without faces has nothing to label")
    from scipy.spatial import cKDTree

    total = np.zeros((len(mesh.faces), probabilities.shape[1]))
    np.add.at(total, drawn.index, probabilities)
    number: NDArray[np.int64] = np.bincount(drawn.index, minlength=len(mesh.faces))
    bare = number == 0
    if bare.any():
        middles = mesh.vertices[mesh.faces[bare]].mean(1)
        total[bare] = probabilities[cKDTree(drawn.points).query(middles, workers=-1)[1]]
        number[bare] = 1
    return total / number[:, None]
