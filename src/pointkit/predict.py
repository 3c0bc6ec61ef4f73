"""A run and the user's shapes -> answers: read, draw, ask the network, back to the file's own points.

To follow one file, read ``Predictor`` from ``answered`` on. ``Predictor.asker`` does what differs between the tasks: it
chooses the points of a shape to ask about, and makes an answer of the network's rows (``asking``).

The network sees a file as it saw the training shapes, by the run's own ``preprocess.Contract``. Answers depend on the
run and the file's content alone: not on the file's path, other files in the call, or the time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit import checks, features, formats, marking, models, neighbours, outside, preprocess, run_folder, upright
from pointkit.asking import ASKERS, BATCH, Answer, Asker, PartsPrediction, Prediction, Query, Rows, Seen, Window
from pointkit.cards import Card, Carded
from pointkit.cloud import Array, Float32, Float64, Shape, as_shape
from pointkit.compiling import FirstCall
from pointkit.errors import MachineError, PointkitError, RunError
from pointkit.foreign import Reference
from pointkit.machine import exhausted
from pointkit.preprocess import Contract, Inputs, Warned
from pointkit.task import Task
from pointkit.trained_on import TrainedOn
from pointkit.watching import Patient, Waiting

__all__ = ["Answer", "Answered", "PartsPrediction", "Prediction", "Predictor", "Query"]

GROUP_POINTS = 1_000_000  # points that are read before the network is asked
ADVICE = " while the network answers; close other programs, or use a machine with more"


@dataclass(frozen=True, eq=False)
class Answered:
    """A file's answer, what was ``seen`` of the file, and, if asked for, what is said of each drawn point.

    ``marks``: field -> array (T,), see ``marking.marked``.
    """

    seen: Seen
    answer: Answer
    marks: Mapping[str, Array] | None = None


class Predictor(Carded):
    """A trained run, rebuilt from its settings, with the weights of its best epoch. Nothing in a run is executed.

    ``Predictor("runs/a").file("chair.off")`` answers one file. ``.answer(...)`` answers a ``Mesh``, a ``PointCloud`` or
    an array of points (N, 3), and ``.logits(...)`` points that are normalised already. ``up`` is the axis of the shapes
    that points up, by default that of the run's own files. Raises RunError where the folder is no run, or has no
    trained weights yet, and PointkitError for another axis.
    """

    def __init__(self, path: str | os.PathLike[str], waiting: Waiting | None = None, *, up: str | None = None) -> None:
        self.path = pathlib.Path(path)
        self.waiting = waiting or Patient()
        self.facts = run_folder.read_facts(self.path)
        self.task = Task.of(self.facts)
        self.classes = self.task.classes
        self.contract = Contract.of_run(self.facts["input"])
        if up is not None:
            self.contract = dataclasses.replace(self.contract, up=upright.check(up))
        checkpoint, self.notes = run_folder.load_checkpoint(self.path, ("best/",))
        if checkpoint is None or not checkpoint.arrays:
            raise checks.without_weights(self.path)
        self.progress = checkpoint.progress
        self.sampling = 0
        self.asker: Asker = ASKERS[self.task.name](self)
        self.model = models.build(self.facts["settings"], **self.task.network, blank=True)
        for variable in self.model.weights:
            array = checkpoint.arrays.get(f"best/{variable.path}")
            if array is None or array.shape != tuple(variable.shape):
                raise RunError(f"{self.path}: its weights do not fit its settings (at {variable.path})")
            variable.assign(array)
        width = int(models.pooled(self.model).shape[-1])
        self.reference, notes = Reference.load(self.path, self.weights, width)
        stances, more = outside.load_stances(self.path, self.facts["id"])
        self.notes = [*self.notes, *notes, *more]
        known = TrainedOn.of_run(self.facts.get("trained_on"))
        self.checks = outside.Checks(self.contract, known, stances, self.task.features)

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_run(self.path, self.facts, self.progress.history, self.progress.best_epoch)

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def num_points(self) -> int:
        """Points of each shape that the network sees at once."""
        return self.contract.num_points

    @property
    def samples(self) -> bool:
        """Whether the network brings points into an order, which is drawn (``sampled``)."""
        return bool(models.lists(self.model))

    @property
    def names_points(self) -> bool:
        """Whether the points that decided an answer can be named; else only how much each could change it."""
        return models.families.find(self.facts["settings"]["model"]).maxima_alone

    @property
    def weights(self) -> str:
        """The name of the weights: the run's id, and the epoch that they are of."""
        return run_folder.weights_name(self.facts, self.progress)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of features that the network sees."""
        return features.held(self.task.features)

    # ---- the way of a file

    def answer(self, shape: Shape | ArrayLike, category: str | None = None) -> Answer:
        """The answer for one shape: its class, or the part of each of its points or faces (``PartsPrediction``).

        A run of parts with several categories needs the shape's ``category``. Raises PointkitError where the shape has
        no points or lacks the features that the network sees, and for a category that the run does not know.
        """
        self.asker.check(category)
        seen = self.asker.see(as_shape(shape), category)
        return self._meant(seen, next(self.asker.rows([seen.query])))

    def file(self, path: str | os.PathLike[str], category: str | None = None) -> Answer:
        """The answer for one file. Raises FormatError or OSError where it cannot be read, else as ``answer``."""
        answer = next(self.files([path], category))[1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def files(
        self, paths: Iterable[str | os.PathLike[str]], category: str | None = None
    ) -> Iterator[tuple[pathlib.Path, Answer | Exception]]:
        """Each file with its answer, or with why there is none, in order; a group at a time."""
        for path, result in self.answered(paths, category):
            yield path, result if isinstance(result, Exception) else result.answer

    def check(self, category: str | None = None) -> None:
        """Raise PointkitError for a category that the run does not know."""
        self.asker.check(category)

    def answered(
        self,
        paths: Iterable[str | os.PathLike[str]],
        category: str | None = None,
        *,
        mark: bool = False,
        read: Callable[[pathlib.Path], Shape] | None = None,
    ) -> Iterator[tuple[pathlib.Path, Answered | Exception]]:
        """Like ``files``, with what was seen of each file; with ``mark`` also what is said of each drawn point.

        ``read`` gives the shape in a file; by default it is ``formats.read`` with the run's word about columns.

        For parts the category is ``category``. Else it is that of the nearest folder above a file with a category's
        name, or with the name of its directory in the set (such as 02691156). A run with one category needs neither.
        Raises PointkitError as ``check``.
        """
        self.check(category)
        waiting: list[tuple[pathlib.Path, Seen | Exception]] = []
        points = 0
        for path in map(pathlib.Path, paths):
            seen = self._see(path, category, read or functools.partial(formats.read, meaning=self.contract.meaning))
            waiting.append((path, seen))
            points += 0 if isinstance(seen, Exception) else len(seen.query.points)
            if len(waiting) >= self.asker.group or points >= GROUP_POINTS:
                yield from self._flush(waiting, mark)
                waiting, points = [], 0
        yield from self._flush(waiting, mark)

    def _see(self, path: pathlib.Path, category: str | None, read: Callable[[pathlib.Path], Shape]) -> Seen | Exception:
        try:
            stamps = formats.stamps(path)  # what is not there, the reader says
            return dataclasses.replace(self.asker.see(read(path), category, path), stamps=stamps)
        except MemoryError:
            return MachineError(f"{path}: out of memory while it is read; use a machine with more, or a smaller file")
        except (OSError, PointkitError) as error:
            return error

    def _flush(
        self, waiting: Sequence[tuple[pathlib.Path, Seen | Exception]], mark: bool
    ) -> Iterator[tuple[pathlib.Path, Answered | Exception]]:
        queries = [seen.query for _, seen in waiting if isinstance(seen, Seen)]
        rows = self.asker.rows(queries)
        marks = marking.marked(self, self.asker, queries) if mark else itertools.repeat(None)
        for path, seen in waiting:
            if isinstance(seen, Exception):
                yield path, seen
                continue
            answer, said = self._meant(seen, next(rows)), next(marks)
            if isinstance(said, Exception):
                yield path, PointkitError(f"{path}: {said}; without --explain it is answered")
            else:
                yield path, Answered(seen, answer, said)

    def _meant(self, seen: Seen, rows: Rows) -> Answer:
        """The answer for a shape, with a warning where it is unlike all training shapes."""
        warning = self.reference.warning(rows.pooled) if self.reference else None
        if warning is not None:
            seen = dataclasses.replace(seen, drawn=seen.drawn.warned(Warned("foreign", warning)))
        return self.asker.answer(seen, rows.probabilities)

    # ---- what the network is asked

    def draw(
        self,
        shape: Shape | ArrayLike,
        path: str | os.PathLike[str] | None = None,
        *,
        count: int | None = None,
        whole: bool = False,
    ) -> preprocess.Drawn:
        """Points of a shape by the run's contract, with the features that the network sees.

        Raises PointkitError, which names ``path``, where the shape has no points, or lacks the features.
        """
        try:
            drawn = self.contract.draw(shape, count=count, whole=whole, kinds=self.kinds)
            if missing := [kind for kind in self.kinds if kind not in drawn.features]:
                fields = ", ".join(features.columns(missing))
                raise ValueError(f"the network sees the {' and '.join(missing)} of each point ({fields}), found none")
        except ValueError as error:
            raise PointkitError(f"{path}: {error}" if path else str(error)) from None
        query = self.query(drawn)
        scaled = outside.other_scales(drawn, self.contract)
        found = self.checks.of_points(query.points, query.features, tuple(scaled))
        return drawn.warned(*found, *outside.of_drawn(drawn, self.contract))

    def query(self, drawn: preprocess.Drawn, category: int = 0) -> Query:
        """A question with drawn points and the features that the network sees, turned so that up is z."""
        up = self.contract.up
        numbers = preprocess.stacked(upright.turned_features(drawn.features, up), self.kinds)
        return Query(upright.turned(drawn.points, up), numbers, category)

    def part_probabilities(self, clouds: Iterable[Query]) -> Iterator[Float64]:
        """For each cloud, the probability of each part of its category at each point, (T, parts) float64.

        Raises PointkitError where the run tells no parts apart.
        """
        if not self.task.labels_points:
            raise PointkitError(f"{self.path}: tells {self.task.answers} apart, not the parts of a shape")
        return (rows.probabilities for rows in self.asker.rows(clouds))

    def windows(self, query: Query) -> NDArray[np.int64]:
        """Windows (W, M) that go through all points of a query: the first ``num_points`` of each are answered."""
        if not self.contract.context:
            return preprocess.windows(len(query.points), self.num_points)
        rng = np.random.default_rng(self.sampling)
        return neighbours.windows(query.points, self.num_points, self.contract.context, rng)

    @contextlib.contextmanager
    def sampled(self, seed: int) -> Iterator[None]:
        """Draw the order of points by another ``seed``, where the network sees neighbourhoods."""
        self.sampling, before = seed, self.sampling
        try:
            yield
        finally:
            self.sampling = before

    def inputs(self, windows: Sequence[Window]) -> Inputs:
        """The network's inputs for a batch of windows."""
        points = np.stack([cloud.points[places] for cloud, places in windows])
        numbers = [cloud.features[places] for cloud, places in windows if cloud.features is not None]
        category = np.array([cloud.category for cloud, _ in windows], np.int32)
        return self.contract.inputs(
            points,
            np.stack(numbers) if self.task.features else None,
            category if self.task.takes_category else None,
        )

    # ---- the network

    def logits(self, given: Inputs) -> Float32:
        """Logits float32, (B, classes) or (B, N, parts), of normalised clouds (B, N, 3) or a dict of the inputs."""
        return self.look(given)[0]

    def look(self, given: Inputs) -> tuple[Float32, Float32]:
        """The same logits, and what the network pooled of each cloud, (B, D).

        Where a run has a context, clouds of so many points are answered in their first ``num_points``.
        """
        given, order = self._with_lists(given)
        logits, pooled = self._in_batches(self._answer, given, self._first["answers"])
        if order is not None and self.task.labels_points:
            back = np.argsort(order[:, : logits.shape[1]], 1)
            logits = np.take_along_axis(logits, back[..., None], 1)
        return logits, pooled

    def _with_lists(self, given: Inputs) -> tuple[Inputs, NDArray[np.int64] | None]:
        """The inputs in order with lists of neighbours, and that order (B, N), where the network wants them."""
        lists = models.lists(self.model)
        if not lists:
            return given, None
        whole = given["points"] if isinstance(given, dict) else given
        answered = self.num_points if self.contract.context == whole.shape[1] else None
        return neighbours.with_lists(given, lists, np.random.default_rng(self.sampling), answered)

    @functools.cached_property
    def _first(self) -> dict[str, FirstCall]:
        arrays = len(self.model.weights)
        return {what: FirstCall(what, self.facts["settings"], arrays, self.waiting) for what in ("answers", "marks")}

    @functools.cached_property
    def _answer(self) -> Callable[[Any], list[Float32]]:
        return models.looking(self.model)

    def marks(self, given: Inputs) -> NDArray[np.uint8]:
        """What each point of normalised clouds did for the answer, (B, N): see ``models.CriticalPoints``.

        Raises PointkitError where the network has no pooled maximum, or its points meet elsewhere, too.
        """
        marks: NDArray[np.uint8]
        [marks] = self._in_batches(lambda batch: [self._critical(batch)], given, self._first["marks"])
        return marks

    def gradients(self, given: Inputs) -> Float32:
        """How the answer changes with each point's place, (B, N, 3 or 4): see ``models.Influence``."""
        given, order = self._with_lists(given)
        found: Float32
        [found] = self._in_batches(lambda batch: [self._influence(batch)], given, self._first["marks"])
        return found if order is None else np.take_along_axis(found, np.argsort(order, 1)[..., None], 1)

    @functools.cached_property
    def _influence(self) -> models.Influence:
        return models.Influence(self.model)

    @functools.cached_property
    def _critical(self) -> models.CriticalPoints:
        try:
            return models.CriticalPoints(self.model)
        except ValueError as error:
            raise PointkitError(f"{self.path}: {error}") from None

    def _in_batches(self, function: Callable[[Any], list[Any]], given: Inputs, first: FirstCall) -> list[Any]:
        whole = given if isinstance(given, dict) else {"points": given}
        answers = []
        for start in range(0, len(whole["points"]), BATCH):
            part = {name: array[start : start + BATCH] for name, array in whole.items()}
            size = len(part["points"])
            padded = {name: np.concatenate([a, np.repeat(a[-1:], BATCH - size, 0)]) for name, a in part.items()}
            with exhausted(ADVICE), first():
                given = padded if len(padded) > 1 else padded["points"]
                answers.append([array[:size] for array in function(given)])
        return [np.concatenate(arrays) for arrays in zip(*answers, strict=True)]
