"""How each task asks a network about a shape, and what the network's rows then mean.

The points of a shape are drawn in random order. A window is a number of consecutive drawn points, the network's input.
A classifier answers one window. A segmenter answers all points, window by window. Its answers then go back to the
file's own points, or to the faces of a mesh.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
import os
import pathlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pointkit import features, metrics, preprocess
from pointkit.cards import Card, Carded
from pointkit.cloud import Array, Float32, Float64, Mesh, PointCloud, Shape
from pointkit.errors import PointkitError
from pointkit.preprocess import Warned
from pointkit.rules import suggest
from pointkit.task import Task

# Every call of the network is padded to this many windows. So it is compiled once, and a file gets the same answer
# alone and among others.
BATCH = 16
MOST_SAMPLES = 2**18  # points drawn from a mesh, at most


class Query(NamedTuple):
    """A question about a cloud.

    ``points`` (T, 3) are in random order. ``features`` (T, C) are those in ``Task.features``, or None. ``category`` is
    an id.
    """

    points: Float32
    features: Float32 | None
    category: int


class Rows(NamedTuple):
    """What the network says of a query.

    ``probabilities`` are (classes,), or (T, parts of its category). ``pooled`` (D,) is what the network pooled of the
    query's first window.
    """

    probabilities: Float64
    pooled: Float32


Window = tuple[Query, NDArray[np.int64]]  # a cloud, and the indices (N,) of some of its points


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network sees of a shape.

    These are the ``drawn`` points and the ``query`` with them. ``size`` is the number of the shape's points, or of a
    mesh's faces. The ``shape`` itself is kept where it is needed later: a mesh, and a cloud whose points are answered.
    ``stamps`` are the file's when it was read (``formats.stamps``).
    """

    drawn: preprocess.Drawn
    query: Query
    size: int
    shape: Shape | None = None
    stamps: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Carded):
    """The class of a shape. ``probabilities`` (classes,) float64 are in the order of ``Predictor.classes``."""

    class_name: str
    probability: float
    runner_up: str
    probabilities: Float64
    warnings: tuple[Warned, ...] = ()
    classes: tuple[str, ...] = ()

    def top(self, k: int) -> list[tuple[str, float]]:
        """The ``k`` most probable classes with their probabilities, or all where there are fewer."""
        places = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.classes[place], float(self.probabilities[place])) for place in places]

    @property
    def named(self) -> str:
        """The answer in a few words."""
        return f"{self.class_name} {100 * self.probability:.1f} %"

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_prediction(self)


@dataclass(frozen=True, eq=False, repr=False)
class PartsPrediction(Carded):
    """The part of each point of a cloud, or of each face of a mesh.

    ``codes``: part -> the label that the set's files have for it, in the order of the columns of ``probabilities``
    (N, parts) float64. ``counted`` are the rows that stand for one face of the file each, where polygons were cut into
    several triangles; None means all rows.
    """

    category: str
    codes: Mapping[str, int]
    probabilities: Float64
    warnings: tuple[Warned, ...] = ()
    counted: NDArray[np.int64] | None = None

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_parts(self)

    @functools.cached_property
    def best(self) -> NDArray[np.int64]:
        """The index in ``codes`` of the most probable part, (N,)."""
        best: NDArray[np.int64] = self.probabilities.argmax(1)
        return best

    @property
    def labels(self) -> NDArray[np.int32]:
        """The label of the most probable part, (N,)."""
        return np.array(list(self.codes.values()), np.int32)[self.best]

    @property
    def probability(self) -> Float32:
        """The probability of that part, (N,)."""
        return np.take_along_axis(self.probabilities, self.best[:, None], 1)[:, 0].astype(np.float32)

    @property
    def counts(self) -> dict[str, int]:
        """Part -> the number of its points, or of the file's faces."""
        best = self.best if self.counted is None else self.best[self.counted]
        return dict(zip(self.codes, np.bincount(best, minlength=len(self.codes)).tolist(), strict=True))

    @property
    def named(self) -> str:
        """The answer in a few words."""
        return f"parts of {self.category}"

    @property
    def mean_probability(self) -> float:
        """The mean of ``probability`` over the points, or over the file's faces."""
        return float((self.probability if self.counted is None else self.probability[self.counted]).mean())


Answer = Prediction | PartsPrediction


class Network(Protocol):
    """What an asker needs: a run's network, and how the network sees a shape. ``predict.Predictor`` is one."""

    path: pathlib.Path
    facts: dict[str, Any]
    task: Task
    classes: tuple[str, ...]
    contract: preprocess.Contract

    @property
    def num_points(self) -> int:
        """Points that the network sees at once."""

    @property
    def names_points(self) -> bool:
        """Whether the points that decided an answer can be named; else only how much each could change it."""

    def draw(
        self, shape: Shape, path: pathlib.Path | None = None, *, count: int | None = None, whole: bool = False
    ) -> preprocess.Drawn:
        """Points of a shape by the run's contract."""

    def query(self, drawn: preprocess.Drawn, category: int = 0) -> Query:
        """Drawn points as a question."""

    def windows(self, query: Query) -> NDArray[np.int64]:
        """Windows (W, M) through all points of a query, of each of which the first ones are answered."""

    def inputs(self, windows: Sequence[Window]) -> preprocess.Inputs:
        """The network's inputs for a batch of windows."""

    def look(self, given: preprocess.Inputs) -> tuple[Float32, Float32]:
        """The network's logits, and what it pooled of each window, (B, D)."""

    def marks(self, given: preprocess.Inputs) -> NDArray[np.uint8]:
        """What each point did for the answer: see ``models.CriticalPoints``."""

    def gradients(self, given: preprocess.Inputs) -> Float32:
        """How the answer changes with each point's place: see ``models.Influence``."""


class Asker(Protocol):
    """What a task does in its own way. ``group`` files are read before the network is asked about them."""

    group: int

    def check(self, category: str | None) -> None:
        """Raise PointkitError for a category that cannot be asked about."""

    def see(self, shape: Shape, category: str | None, path: pathlib.Path | None = None) -> Seen:
        """What the network sees of a shape. Raises PointkitError, which names ``path``, where it cannot."""

    def category(self, category: str | None, path: pathlib.Path | None = None) -> str:
        """A shape's category: the one that is given, or that of a folder above ``path``; "" where none is asked."""

    def rows(self, queries: Iterable[Query]) -> Iterator[Rows]:
        """What the network says of each query, in order."""

    def windows_of(self, query: Query) -> NDArray[np.int64]:
        """The windows (W, M) in which the network sees a query's points."""

    def answer(self, seen: Seen, rows: Float64) -> Answer:
        """The answer for the shape, from its rows."""


class OfClasses:
    """The class of each shape, from its first drawn points."""

    group = BATCH

    def __init__(self, network: Network) -> None:
        self.network = network

    def check(self, category: str | None) -> None:
        if category is not None:
            raise PointkitError(f"category is for parts, {self.network.path} tells classes apart")

    def see(self, shape: Shape, category: str | None, path: pathlib.Path | None = None) -> Seen:
        drawn = self.network.draw(shape, path).first(self.network.num_points)
        return Seen(drawn, self.network.query(drawn), _size(shape), shape if isinstance(shape, Mesh) else None)

    def category(self, category: str | None, path: pathlib.Path | None = None) -> str:
        return ""

    def windows(self, queries: Iterable[Query]) -> Iterator[Window]:
        """One window of each query."""
        for query in queries:
            yield query, self.windows_of(query)[0]

    def looks(self, queries: Iterable[Query]) -> Iterator[tuple[Float32, Float32]]:
        """The logits (B, classes) of a batch of the queries, and what the network pooled of them (B, D)."""
        windows = self.windows(queries)
        while batch := list(itertools.islice(windows, BATCH)):
            yield self.network.look(self.network.inputs(batch))

    def rows(self, queries: Iterable[Query]) -> Iterator[Rows]:
        for logits, pooled in self.looks(queries):
            yield from map(Rows, metrics.softmax(logits), pooled)

    def windows_of(self, query: Query) -> NDArray[np.int64]:
        return preprocess.window(len(query.points), self.network.num_points)[None]

    def answer(self, seen: Seen, rows: Float64) -> Prediction:
        first, second = np.argsort(-rows, kind="stable")[:2]
        names = self.network.classes
        return Prediction(names[first], float(rows[first]), names[second], rows, seen.drawn.warnings, names)


class OfParts:
    """The part of each point, or face."""

    group = 64

    def __init__(self, network: Network) -> None:
        self.network = network
        self.facts = network.facts

    def check(self, category: str | None) -> None:
        classes = self.network.classes
        if category is not None and category not in classes:
            hint = suggest(category, classes)
            raise PointkitError(f"category must be one of {', '.join(classes)}, got {category!r}{hint}")

    def see(self, shape: Shape, category: str | None, path: pathlib.Path | None = None) -> Seen:
        """All points of a cloud; several points for each face of a mesh, up to ``MOST_SAMPLES``."""
        count = self.network.contract.drawn
        if isinstance(shape, Mesh):
            if not len(shape.faces):
                reason = "a mesh without faces has nothing to label"
                raise PointkitError(f"{path}: {reason}" if path else reason)
            count = max(count, min(4 * len(shape.faces), MOST_SAMPLES))
        named = _with_normals(shape) if self.facts.get("layout") == "normal" else shape
        drawn = self.network.draw(named, path, count=count, whole=True)
        query = self.network.query(drawn, self.network.classes.index(self.category(category, path)))
        return Seen(drawn, query, _size(shape), shape)

    def category(self, category: str | None, path: pathlib.Path | None = None) -> str:
        classes = self.network.classes
        if category or len(classes) == 1:
            return category or classes[0]
        known = {place: name for name, place in self.facts.get("directories", {}).items()}
        known |= {name: name for name in classes}
        for folder in pathlib.Path(os.path.abspath(path)).parents if path else ():
            if folder.name in known:
                return str(known[folder.name])
        names = ", ".join(classes)
        if path is None:
            raise PointkitError(f"of which category is the shape? must be one of {names}, got none")
        raise PointkitError(f"{path}: of which category? give --category, one of {names}, or a folder of that name")

    def rows(self, queries: Iterable[Query]) -> Iterator[Rows]:
        spans = list(self.network.task.part_ids.values())
        firsts: deque[Float32] = deque()  # of each query begun, what was pooled of its first window
        last: Query | None = None

        def answers(windows: Sequence[Window]) -> Iterator[Float64]:
            nonlocal last
            looks = zip(*self.network.look(self.network.inputs(windows)), strict=True)
            for (query, _), (rows, pooled) in zip(windows, looks, strict=True):
                if query is not last:
                    firsts.append(pooled)
                    last = query
                span = spans[query.category]
                yield metrics.softmax(rows[:, span.start : span.stop])

        for whole in windowed(queries, self.windows_of, answers, operator.setitem):
            yield Rows(whole, firsts.popleft())

    def windows_of(self, query: Query) -> NDArray[np.int64]:
        return self.network.windows(query)

    def answer(self, seen: Seen, rows: Float64) -> PartsPrediction:
        category = self.network.classes[seen.query.category]
        codes = codes_of(self.network, category)
        assert seen.shape is not None
        whole = back(seen.shape, seen.drawn, rows)
        polygons = seen.shape.polygons if isinstance(seen.shape, Mesh) else None
        firsts = None if polygons is None else np.unique(polygons, return_index=True)[1]
        return PartsPrediction(category, codes, whole, seen.drawn.warnings, firsts)


def codes_of(network: Network, category: str) -> dict[str, int]:
    """Part of a category -> the label that the set's files have for it."""
    names = network.task.parts[category]
    return dict(zip(names, network.facts.get("codes", {}).get(category, range(len(names))), strict=True))


ASKERS: Mapping[str, Callable[[Network], Asker]] = {"classification": OfClasses, "parts": OfParts}


def windowed(
    queries: Iterable[Query],
    windows_of: Callable[[Query], NDArray[np.int64]],
    answers: Callable[[Sequence[Window]], Iterable[Array]],
    put: Callable[[Any, Any, Any], object],
) -> Iterator[Any]:
    """For each query, the ``answers`` to the first points of its windows, ``put`` into one array (T, ...).

    Windows of several queries are answered at a time. So a cloud may have any size; it needs no compilation and little
    memory of its own.
    """
    begun: deque[tuple[Query, list[Array]]] = deque()  # queries, each with its array once there is one

    def windows() -> Iterator[tuple[Window, list[Array]]]:
        for query in queries:
            begun.append((query, []))
            for places in windows_of(query):
                yield (query, places), begun[-1][1]

    stream = windows()
    while batch := list(itertools.islice(stream, BATCH)):
        for ((query, places), whole), rows in zip(batch, answers([window for window, _ in batch]), strict=True):
            if not whole:
                whole.append(np.zeros((len(query.points), *rows.shape[1:]), rows.dtype))
            put(whole[0], places[: len(rows)], rows)
        unfinished = batch[-1][0][0]  # its further windows may be in the next batch
        while begun and begun[0][0] is not unfinished:
            yield begun.popleft()[1][0]
    while begun:
        yield begun.popleft()[1][0]


def back(shape: Shape, drawn: preprocess.Drawn, rows: Float64) -> Float64:
    """Rows (T, K) of drawn points for each point of a cloud, or for each face of a mesh."""
    if isinstance(shape, Mesh):
        return _on_faces(shape, drawn, rows)
    return to_all(shape.points, drawn.index, rows)


def to_all(points: Float32, index: NDArray[np.int64], rows: Float64) -> Float64:
    """Rows (T, K) of the points ``index`` (T,), each once, for all ``points`` (N, 3): others have the nearest one's."""
    from scipy.spatial import cKDTree

    whole = np.empty((len(points), *rows.shape[1:]), rows.dtype)
    whole[index] = rows
    if len(index) < len(points):
        others = np.delete(np.arange(len(points)), index)
        whole[others] = rows[cKDTree(points[index]).query(points[others], workers=-1)[1]]
    return whole


def _on_faces(mesh: Mesh, drawn: preprocess.Drawn, rows: Float64) -> Float64:
    """A row for each face (F, K): the mean of the points drawn from it, or the nearest point's where there are none.

    Triangles of one polygon of the file have one answer, the mean of the polygon's points.
    """
    from scipy.spatial import cKDTree

    polygons = np.arange(len(mesh.faces)) if mesh.polygons is None else mesh.polygons
    owners = polygons[drawn.index]
    bare = np.isin(polygons, owners, invert=True)
    if bare.any():
        middles = mesh.vertices[mesh.faces[bare]].mean(1)
        nearest = cKDTree(drawn.points).query(middles, workers=-1)[1]
        owners, rows = np.concatenate([owners, polygons[bare]]), np.concatenate([rows, rows[nearest]])
    total = np.stack([np.bincount(owners, column) for column in rows.T], 1)
    return total[polygons] / np.bincount(owners)[polygons, None]


def _size(shape: Shape) -> int:
    """Points of a cloud, faces of a mesh."""
    if isinstance(shape, PointCloud):
        return len(shape.points)
    return len(shape.faces) or len(shape.vertices)


def _with_normals(shape: Shape) -> Shape:
    """A cloud of the layout "normal", whose fourth to sixth columns are normals without names."""
    if not isinstance(shape, PointCloud) or "column3" not in shape.fields:
        return shape
    names = dict(zip(("column3", "column4", "column5"), features.KINDS["normals"], strict=True))
    return dataclasses.replace(shape, fields={names.get(name, name): array for name, array in shape.fields.items()})
