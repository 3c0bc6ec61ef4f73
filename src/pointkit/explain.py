"""What decided an answer: the critical points of a file, as a field beside the file's own and as a picture.

PointNet's answer hangs on the points that win a maximum (``models.CriticalPoints``); without all the others it would be
the same. Here they come back to the points of the user's file.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointkit import formats, preprocess
from pointkit.cloud import Array, Float32, Mesh, PointCloud, Shape
from pointkit.errors import PointkitError
from pointkit.formats import files
from pointkit.models.critical import DECIDES, IDLE, TURNS
from pointkit.predict import EXPLAINED, Prediction, Predictor

FIELD = "critical"
MEANING = {
    DECIDES: "won a channel of the global feature",
    TURNS: "won channels of the T-Nets alone",
    IDLE: "without it the answer would be the same",
}
NOTES = tuple(f"{FIELD} {mark}: {meaning}" for mark, meaning in MEANING.items())
PICTURED = 20_000  # points of a large cloud that its picture shows


@dataclass(frozen=True)
class Explanation:
    """``picture``: the file drawn; ``counts``: mark of the field ``critical`` -> points that have it."""

    picture: pathlib.Path
    counts: Mapping[int, int]


@dataclass(frozen=True)
class Explained:
    """An answer with its explanation; ``path`` is the file that has the marks."""

    prediction: Prediction
    path: pathlib.Path
    explanation: Explanation

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the prediction."""
        return self.prediction.warnings


def draw(target: pathlib.Path, points: Float32, marks: NDArray[np.uint8]) -> Explanation:
    """Write the picture of points (T, 3), in random order, with their marks (T,)."""
    from pointkit import plots  # matplotlib takes half a second

    counts = {mark: int((marks == mark).sum()) for mark in MEANING}
    figure = plots.critical_points(points[:PICTURED], marks[:PICTURED], counts)
    with files.replacing(target) as file:
        file.write(plots.png(figure, dpi=160))
    return Explanation(target, counts)


def explain_files(
    predictor: Predictor, paths: Iterable[pathlib.Path], output: pathlib.Path | None = None
) -> Iterator[tuple[pathlib.Path, Explained | Exception]]:
    """Answer files by their class, and write a file with the field ``critical`` and a picture for each.

    They lie beside the file, or in the folder ``output``. A cloud is written whole in its own format, points that the
    network did not see with the mark 0; of a mesh, the points that were drawn from it, as PLY.
    """
    known = list(paths)
    targets = places(known, output, EXPLAINED, to_ply=(".off", ".obj", ".stl"))
    for path, answer in predictor.files(known):
        try:
            yield path, answer if isinstance(answer, Exception) else _explain(predictor, path, targets[path], answer)
        except (OSError, PointkitError) as error:
            yield path, error


def places(
    paths: Iterable[pathlib.Path], output: pathlib.Path | None, mark: str, to_ply: tuple[str, ...]
) -> dict[pathlib.Path, pathlib.Path]:
    """File -> where its like with ``mark`` before the suffix goes: beside it, or into ``output``.

    Formats ``to_ply`` cannot hold what is to be written. Raises PointkitError where two would go to one place.
    """
    targets: dict[pathlib.Path, pathlib.Path] = {}
    taken: dict[pathlib.Path, pathlib.Path] = {}
    for path in dict.fromkeys(paths):
        suffix = ".ply" if path.suffix.lower() in to_ply else path.suffix
        target = (path if output is None else output / path.name).with_name(f"{path.stem}{mark}{suffix}")
        if target in taken:
            raise PointkitError(f"{target}: both {taken[target]} and {path} would be written here; do them in turn")
        targets[path], taken[target] = target, path
    return targets


def beside(theirs: Mapping[str, Array], ours: Mapping[str, Array]) -> dict[str, Array]:
    """Fields of the file and ours; one of the file's that is named as ours is kept with ``source_`` before its name."""
    return {(f"source_{name}" if name in ours else name): array for name, array in theirs.items()} | dict(ours)


def _explain(predictor: Predictor, path: pathlib.Path, target: pathlib.Path, answer: Prediction) -> Explained:
    shape = formats.read(path)
    drawn, _ = predictor.drawn(shape, path)
    window = preprocess.window(len(drawn.points), predictor.num_points)
    found = predictor.marks(preprocess.normalise(drawn.points[window])[0][None])[0]
    marks = np.zeros(len(drawn.points), np.uint8)
    np.maximum.at(marks, window, found)
    formats.write(target, _marked(shape, drawn, marks), notes=NOTES)
    return Explained(answer, target, draw(target.with_suffix(".png"), drawn.points, marks))


def _marked(shape: Shape, drawn: preprocess.Drawn, marks: NDArray[np.uint8]) -> Shape:
    if isinstance(shape, Mesh):
        return PointCloud(drawn.points, {FIELD: marks}, placement=shape.placement)
    whole = np.zeros(len(shape.points), np.uint8)
    whole[drawn.index] = marks
    return dataclasses.replace(shape, fields=beside(shape.fields, {FIELD: whole}))
