"""Own files -> answers: read, preprocess, network, class and probability. One file's way from the disk, top to bottom.

The network sees a file as it saw the training shapes: the same ``preprocess`` with the run's own input contract.
Answers depend on the run and the file's content alone: not on the file's place, its neighbours in the call, or the
time.
"""

from __future__ import annotations

import functools
import itertools
import operator
import os
import pathlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit import features, formats, metrics, models, outputs, preprocess, run_folder
from pointkit.cloud import Array, Float32, Float64, Shape
from pointkit.datasets.folder import is_about
from pointkit.errors import FormatError, PointkitError, RunError
from pointkit.loader import Inputs, inputs
from pointkit.task import Task

# Every call of the network is padded to this many clouds: one compilation, and the same rounding for a file alone and
# among others.
BATCH = 16


class Drawn(NamedTuple):
    """A cloud to be answered point by point.

    ``points`` (T, 3) in random order, ``features`` (T, C) those of ``Task.features`` or None, ``category`` its id.
    """

    points: Float32
    features: Float32 | None
    category: int


Window = tuple[Drawn, NDArray[np.int64]]  # a cloud, and the places (N,) of some of its points
_Seen = tuple[Window, tuple[str, ...]]  # what is seen of a file, and what there is to warn of


@dataclass(frozen=True)
class Prediction:
    """An answer. ``probabilities`` (classes,) float64 in the order of ``Predictor.classes``."""

    class_name: str
    probability: float
    runner_up: str
    probabilities: Float64
    warnings: tuple[str, ...] = ()


def find_files(paths: Iterable[pathlib.Path]) -> tuple[list[pathlib.Path], list[Exception]]:
    """The files that ``paths`` name, folders searched for suffixes that can be read; and what is wrong with others."""
    found: list[pathlib.Path] = []
    problems: list[Exception] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        readable = (p for p in path.rglob("*") if p.suffix.lower() in formats.SUFFIXES and not is_about(p.name))
        readable = (p for p in readable if not p.stem.endswith((outputs.LABELLED, outputs.EXPLAINED)))
        inside = sorted(p for p in readable if p.is_file())
        if not inside:
            problems.append(
                FormatError(
                    f"{path}: no file that can be read in this folder; suffixes are {', '.join(formats.SUFFIXES)}"
                )
            )
        found += inside
    return found, problems


class Predictor:
    """A trained run, rebuilt from its settings, with the weights of its best epoch. Nothing in a run is executed.

    ``Predictor("runs/a").file("chair.off")`` answers one file, ``.shape(...)`` a ``Mesh`` or ``PointCloud``,
    ``.logits(...)`` points that are normalised already. Raises RunError where the folder is no run, or is not trained
    yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)
        self.facts = run_folder.read_facts(self.path)
        self.task = Task.of(self.facts)
        self.classes = self.task.classes
        checkpoint, self.notes = run_folder.load_checkpoint(self.path, ("best/",))
        if checkpoint is None or not checkpoint.arrays:
            raise RunError(f"{self.path}: has no trained weights yet (its first epoch is not finished)")
        self.progress = checkpoint.progress
        self.model = models.build(self.facts["settings"], **self.task.network, blank=True)
        for variable in self.model.weights:
            array = checkpoint.arrays.get(f"best/{variable.path}")
            if array is None or array.shape != tuple(variable.shape):
                raise RunError(f"{self.path}: its weights do not fit its settings (at {variable.path})")
            variable.assign(array)

    @property
    def num_points(self) -> int:
        """Points of each shape that the network takes."""
        return int(self.facts["input"]["num_points"])

    def logits(self, given: Inputs) -> Float32:
        """Logits float32, (B, classes) or (B, N, parts), of normalised clouds (B, N, 3), or a dict of them and more."""
        answer: Float32 = self._in_batches(self._answer, given)
        return answer

    @functools.cached_property
    def _answer(self) -> Callable[[Any], Float32]:
        return models.answering(self.model)

    def marks(self, given: Inputs) -> NDArray[np.uint8]:
        """What each point of normalised clouds did for the answer, (B, N): see ``models.CriticalPoints``.

        Raises PointkitError where the network pools by no maximum.
        """
        answer: NDArray[np.uint8] = self._in_batches(self._critical, given)
        return answer

    @functools.cached_property
    def _critical(self) -> models.CriticalPoints:
        try:
            return models.CriticalPoints(self.model)
        except ValueError as error:
            raise PointkitError(f"{self.path}: {error}") from None

    def _in_batches(self, function: Callable[[Any], Any], given: Inputs) -> Any:
        whole = given if isinstance(given, dict) else {"points": given}
        answers = []
        for start in range(0, len(whole["points"]), BATCH):
            part = {name: array[start : start + BATCH] for name, array in whole.items()}
            size = len(part["points"])
            padded = {name: np.concatenate([a, np.repeat(a[-1:], BATCH - size, 0)]) for name, a in part.items()}
            answers.append(function(inputs(**padded))[:size])
        return np.concatenate(answers)

    def part_probabilities(self, clouds: Iterable[Drawn]) -> Iterator[Float64]:
        """For each cloud, the probability of each part of its category at each of its points, (T, parts) float64.

        The points are gone through in windows of as many as in training, several clouds at a time: a cloud may be of
        any size, and costs no compilation and little memory of its own.
        """
        spans = list(self.task.part_ids.values())

        def answers(windows: Sequence[Window]) -> Iterator[Float64]:
            for (cloud, _), rows in zip(windows, self.logits(self.inputs(windows)), strict=True):
                span = spans[cloud.category]
                yield metrics.softmax(rows[:, span.start : span.stop])

        return self._windowed(clouds, answers, operator.setitem)

    def point_marks(self, clouds: Iterable[Drawn]) -> Iterator[NDArray[np.uint8]]:
        """For each cloud, what each of its points did for the answers of its window, (T,): see ``marks``."""
        return self._windowed(clouds, lambda windows: self.marks(self.inputs(windows)), np.maximum.at)

    def _windowed(
        self,
        clouds: Iterable[Drawn],
        answers: Callable[[Sequence[Window]], Iterable[Array]],
        put: Callable[[Any, Any, Any], object],
    ) -> Iterator[Any]:
        """``answers`` to the windows of each cloud, ``put`` together to one array (T, ...) a cloud."""
        open_: deque[tuple[Drawn, list[Array]]] = deque()  # clouds begun, with their array once it is there

        def windows() -> Iterator[tuple[Window, list[Array]]]:
            for cloud in clouds:
                open_.append((cloud, []))
                for places in preprocess.windows(len(cloud.points), self.num_points):
                    yield (cloud, places), open_[-1][1]

        stream = windows()
        while batch := list(itertools.islice(stream, BATCH)):
            for ((cloud, places), whole), rows in zip(batch, answers([window for window, _ in batch]), strict=True):
                if not whole:
                    whole.append(np.zeros((len(cloud.points), *rows.shape[1:]), rows.dtype))
                put(whole[0], places, rows)
            unfinished = batch[-1][0][0]  # its further windows may be in the next batch
            while open_ and open_[0][0] is not unfinished:
                yield open_.popleft()[1][0]
        while open_:
            yield open_.popleft()[1][0]

    def inputs(self, windows: Sequence[Window]) -> Inputs:
        """What the network is called with for some windows."""
        points = preprocess.normalise(np.stack([cloud.points[places] for cloud, places in windows]))[0]
        numbers = [cloud.features[places] for cloud, places in windows if cloud.features is not None]
        category = np.array([cloud.category for cloud, _ in windows], np.int32)
        return inputs(
            points,
            np.stack(numbers) if self.task.features else None,
            category if len(self.task.parts) > 1 else None,
        )

    def shape(self, shape: Shape) -> Prediction:
        """The answer for one shape."""
        return self._answers([self._seen(shape)])[0]

    def file(self, path: str | os.PathLike[str]) -> Prediction:
        """The answer for one file. Raises FormatError or OSError where it cannot be read."""
        answer = next(self.files([path]))[1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def files(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[pathlib.Path, Prediction | Exception]]:
        """Each file with its answer, or with why it cannot be read, in order; a batch at a time."""
        waiting: list[tuple[pathlib.Path, _Seen | Exception]] = []
        for name in paths:
            path = pathlib.Path(name)
            try:
                waiting.append((path, self._seen(formats.read(path), path)))
            except (OSError, PointkitError) as error:
                waiting.append((path, error))
            if len(waiting) == BATCH:
                yield from self._flush(waiting)
                waiting = []
        yield from self._flush(waiting)

    def _flush(
        self, waiting: list[tuple[pathlib.Path, _Seen | Exception]]
    ) -> Iterator[tuple[pathlib.Path, Prediction | Exception]]:
        answers = iter(self._answers([seen for _, seen in waiting if not isinstance(seen, Exception)]))
        for path, result in waiting:
            yield path, result if isinstance(result, Exception) else next(answers)

    def drawn(self, shape: Shape, path: pathlib.Path | None = None) -> tuple[preprocess.Drawn, tuple[str, ...]]:
        """The points of a shape that a network of classes sees, and what there is to warn of.

        Raises PointkitError, which names ``path``, where the shape has none.
        """
        contract = self.facts["input"]
        drawn = self.draw(shape, contract["drawn"], path)
        return drawn.first(self.num_points), self.warnings(drawn)

    def draw(
        self, shape: Shape, count: int, path: pathlib.Path | None = None, *, whole: bool = False
    ) -> preprocess.Drawn:
        """``preprocess.draw`` with the seed of the run's store and the features that the network sees.

        Raises PointkitError, which names ``path``, where the shape has no points, or lacks the features.
        """
        kinds = self.kinds
        try:
            drawn = preprocess.draw(shape, count, self.facts["input"]["seed"], whole=whole, kinds=kinds)
            if missing := [kind for kind in kinds if kind not in drawn.features]:
                fields = ", ".join(features.columns(missing))
                raise ValueError(f"the network sees the {' and '.join(missing)} of each point ({fields}), found none")
        except ValueError as error:
            raise PointkitError(f"{path}: {error}" if path else str(error)) from None
        return drawn

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of features that the network sees."""
        return features.held(self.task.features)

    def query(self, drawn: preprocess.Drawn, category: int = 0) -> Drawn:
        """Drawn points, with the features that the network sees, as a question."""
        return Drawn(drawn.points, preprocess.stacked(drawn.features, self.kinds), category)

    def warnings(self, drawn: preprocess.Drawn) -> tuple[str, ...]:
        """What the user should know of drawn points: that they are few."""
        few = f"only {len(drawn.points)} points, the network was trained on {self.num_points}"
        return (*drawn.warnings, *([few] if 2 * len(drawn.points) < self.num_points else []))

    def window(self, drawn: preprocess.Drawn) -> Window:
        """The points of ``drawn`` that a network of classes sees."""
        return self.query(drawn), preprocess.window(len(drawn.points), self.num_points)

    def _seen(self, shape: Shape, path: pathlib.Path | None = None) -> _Seen:
        """What a network of classes sees of a shape, and what there is to warn of."""
        drawn, warnings = self.drawn(shape, path)
        return self.window(drawn), warnings

    def _answers(self, seen: list[_Seen]) -> list[Prediction]:
        if not seen:
            return []
        answers = []
        logits = self.logits(self.inputs([window for window, _ in seen]))
        for row, (_, lines) in zip(metrics.softmax(logits), seen, strict=True):
            first, second = np.argsort(-row, kind="stable")[:2]
            answers.append(Prediction(self.classes[first], float(row[first]), self.classes[second], row, lines))
        return answers
