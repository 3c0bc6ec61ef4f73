"""What decided an answer: the critical points of a file, as a field beside the file's own and as a picture.

PointNet's answer hangs on the points that win a maximum (``models.CriticalPoints``). Here they come back to the
points of the user's file.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointkit import formats, outputs, preprocess
from pointkit.cloud import Float32, Mesh, PointCloud, Shape
from pointkit.errors import PointkitError
from pointkit.formats import files
from pointkit.models.critical import DECIDES, IDLE, TURNS
from pointkit.predict import Prediction, Predictor

FIELD = "critical"
NOTES = (
    f"{FIELD} {DECIDES}: won a channel of the global feature",
    f"{FIELD} {TURNS}: won channels of the T-Nets alone",
    f"{FIELD} {IDLE}: won nothing",
)
PICTURED = 20_000  # points of a large cloud that its picture shows


@dataclass(frozen=True)
class Explanation:
    """How many points decided, how many more only turned the cloud, how many won nothing; ``picture`` shows them."""

    picture: pathlib.Path
    decided: int
    turned: int
    others: int


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
    """Write the picture of points (T, 3), in random order, with their marks (T,): all, and the critical ones alone."""
    from pointkit.report import plots  # matplotlib takes half a second

    decided, turned, others = (int((marks == mark).sum()) for mark in (DECIDES, TURNS, IDLE))
    points, marks = points[:PICTURED], marks[:PICTURED]
    some = marks != IDLE
    ranks = np.select([marks == DECIDES, marks == TURNS], [0, 1], -1)
    figure = plots.labelled_clouds(
        [points, points[some]],
        [ranks, ranks[some]],
        ["all points", "those that decided"],
        [f"decided the answer ({decided:,})", f"turned the cloud ({turned:,})"],
        rest=f"won nothing ({others:,})",
    )
    with files.replacing(target) as file:
        file.write(plots.png(figure, dpi=160))
    return Explanation(target, decided, turned, others)


def explain_files(
    predictor: Predictor, paths: Iterable[pathlib.Path], output: pathlib.Path | None = None
) -> Iterator[tuple[pathlib.Path, Explained | Exception]]:
    """Answer files by their class, and write a file with the field ``critical`` and a picture for each.

    They lie beside the file, or in the folder ``output``. A cloud is written whole in its own format, points that the
    network did not see with the mark 0; of a mesh, the points that were drawn from it, as PLY. Each file is read again
    after its answer: a batch of large scans would not fit into memory.
    """
    known = list(paths)
    targets = outputs.places(known, output, outputs.EXPLAINED)
    for path, answer in predictor.files(known):
        try:
            yield path, answer if isinstance(answer, Exception) else _explain(predictor, path, targets[path], answer)
        except (OSError, PointkitError) as error:
            yield path, error


def _explain(predictor: Predictor, path: pathlib.Path, target: pathlib.Path, answer: Prediction) -> Explained:
    shape = formats.read(path)
    drawn, _ = predictor.drawn(shape, path)
    window = predictor.window(drawn)
    marks = np.zeros(len(drawn.points), np.uint8)
    np.maximum.at(marks, window[1], predictor.marks(predictor.inputs([window]))[0])
    formats.write(target, _marked(shape, drawn, marks), notes=NOTES)
    return Explained(answer, target, draw(target.with_suffix(".png"), drawn.points, marks))


def _marked(shape: Shape, drawn: preprocess.Drawn, marks: NDArray[np.uint8]) -> Shape:
    if isinstance(shape, Mesh):
        return PointCloud(drawn.points, {FIELD: marks}, placement=shape.placement)
    whole = np.zeros(len(shape.points), np.uint8)
    whole[drawn.index] = marks
    return dataclasses.replace(shape, fields=outputs.fields(shape.fields, {FIELD: whole}))
