"""What a network is asked: the class of each shape, or the part of each point. A store decides it, a run keeps it.

A kind of task is one record here: a subclass of ``Task`` and an entry in ``TASKS``. The record holds the words for what
is told apart, the figures that are reported, what may choose the epoch whose weights are kept, the settings that the
task refuses, and how labels and their weights come from a store. One file in ``evaluate`` measures the task. No NumPy
is imported here, as the command line's help reads the records.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from pointkit.errors import PointkitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pointkit.metrics.validation import Scores

    Labels = NDArray[np.integer[Any]]
    Known = NDArray[np.bool_]


class Labelled(Protocol):
    """A source of labels, such as a store: ``labels`` (S,) of the shapes, ``point_labels`` (T,) of their points."""

    @property
    def labels(self) -> Labels: ...
    @property
    def point_labels(self) -> Labels | None: ...
    def span(self, index: int) -> slice:
        """Where the points of one shape are."""


class Figure(NamedTuple):
    """A figure of a report: its ``key``, its short title in a table, its words on a page.

    ``share``: whether it is shown in percent; ``interval``: the key of its 95 % interval, "" where it has none.
    """

    key: str
    title: str
    words: str
    share: bool = True
    interval: str = ""


class Choice(NamedTuple):
    """A column of the history that may choose the epoch whose weights are kept, and whether its highest is best."""

    key: str
    words: str
    highest: bool = False


LOSS = Choice("val_loss", "validation loss")


@dataclass(frozen=True)
class Task(ABC):
    """What a network tells apart.

    ``classes``, in the order of their ids, are those of the shapes, or the categories whose parts are told apart.
    ``parts``: category -> names of its parts, in the order of ``classes``; empty where whole shapes are told apart.
    ``features`` name what the network sees of each point beside its place, such as nx, ny and nz.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    features: tuple[str, ...] = ()

    name: ClassVar[str]
    group: ClassVar[tuple[str, str]]  # the word for what a shape belongs to, and its plural
    answers: ClassVar[str]  # what is told apart, in the plural
    figures: ClassVar[tuple[Figure, ...]]  # of a report; runs are compared by the first
    choices: ClassVar[Mapping[str, Choice]] = {"loss": LOSS}  # by the value of the setting "select"
    refused: ClassVar[Mapping[str, tuple[str | float, str]]] = {}  # setting -> its only value here, and the rule
    validated: ClassVar[tuple[str, ...]] = ("val_loss", "val_accuracy")  # columns of the history
    counting: ClassVar[str]  # how a report counts, in words
    labels_points: ClassVar[bool] = False  # whether each point is answered, and not the shape alone
    network_kind: ClassVar[str] = "classifier"

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Task:
        """The task that a store's manifest or a run's facts describe. Raises ValueError where they contradict it."""
        classes = tuple(facts["classes"])
        parts = facts.get("parts", {})
        if parts and sorted(parts) != sorted(classes):
            raise ValueError(f"parts must be those of {', '.join(classes)}, found {', '.join(parts)}")
        names = {name: tuple(parts[name]) for name in classes} if parts else {}
        kind = Parts if parts else Classification  # older manifests have another word for the task
        return kind(classes, names, tuple(facts.get("features", ())))

    @property
    def facts(self) -> dict[str, Any]:
        """The task as a run keeps it."""
        return {
            "task": self.name,
            "classes": list(self.classes),
            **({"parts": self.parts} if self.parts else {}),
        }

    @property
    @abstractmethod
    def answer_names(self) -> tuple[str, ...]:
        """The names of what is told apart, in the order of the network's logits."""

    @property
    @abstractmethod
    def network(self) -> dict[str, Any]:
        """The arguments of ``models.build`` that the task decides."""

    @property
    @abstractmethod
    def size(self) -> str:
        """How many classes, or categories and parts, are told apart, in words."""

    @property
    def takes_category(self) -> bool:
        """Whether the network is told the category of each shape."""
        return False

    @property
    def part_ids(self) -> dict[str, range]:
        """Category -> the ids of its parts, which run on over the categories; empty where there are no parts."""
        return dict(zip(self.parts, ranges([len(names) for names in self.parts.values()]), strict=True))

    def columns(self, name: str, colors: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """What a store's table has for a class beside its counts: title -> text."""
        return {}

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise PointkitError for a setting that this task refuses."""
        for key, (value, rule) in self.refused.items():
            if settings.get(key, value) != value:
                raise PointkitError(f"{key} {rule}, got {settings[key]!r}")
        if settings["select"] not in self.choices:
            known = " or ".join(self.choices)
            raise PointkitError(f"select must be {known} for {self.answers}, got {settings['select']!r}")

    @abstractmethod
    def labels(self, store: Labelled, shapes: Labels, places: Labels) -> tuple[Labels, Known]:
        """The ids that the network should answer, and whether each is known; an unknown id is 0.

        ``shapes`` (B,) are indices of shapes, ``places`` (B, N) those of the points that stand for each.
        """

    @abstractmethod
    def strata(self, store: Labelled, shapes: Labels) -> Iterator[tuple[list[Labels], range]]:
        """The groups of ids within which balanced weights are balanced: the labels of ``shapes`` there, and the ids."""

    @abstractmethod
    def scores(self) -> Scores:
        """What counts the answers of a validation."""


class Classification(Task):
    """The class of each shape."""

    name = "classification"
    group = ("class", "classes")
    answers = "classes"
    figures = (
        Figure("oa", "OA", "overall accuracy", interval="oa_interval"),
        Figure("macc", "mAcc", "mean class accuracy"),
        Figure("ece", "ECE", "calibration error (ECE)"),
        Figure("loss", "loss", "loss (cross-entropy)", share=False),
    )
    choices: ClassVar[Mapping[str, Choice]] = {
        "loss": LOSS,
        "accuracy": Choice("val_accuracy", "validation accuracy", highest=True),
    }
    refused: ClassVar[Mapping[str, tuple[str | float, str]]] = {
        "context": (0, "must be 0 for classes, which are seen by all of num_points")
    }
    counting = "The interval is Wilson's; it covers the choice of test shapes, not that of the training seed."

    @property
    def answer_names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def network(self) -> dict[str, Any]:
        return {"num_classes": len(self.classes), "kind": self.network_kind, "num_features": len(self.features)}

    @property
    def size(self) -> str:
        return f"classes: {len(self.classes)}"

    def labels(self, store: Labelled, shapes: Labels, places: Labels) -> tuple[Labels, Known]:
        ids = store.labels[shapes]
        return ids, ids >= 0

    def strata(self, store: Labelled, shapes: Labels) -> Iterator[tuple[list[Labels], range]]:
        yield [store.labels[shapes]], range(len(self.classes))

    def scores(self) -> Scores:
        from pointkit.metrics.validation import ClassScores

        return ClassScores()


class Parts(Task):
    """The part of each point; a network of one category is not told which it is."""

    name = "parts"
    group = ("category", "categories")
    answers = "parts"
    figures = (
        Figure("instance_miou", "instance mIoU", "instance mIoU", interval="instance_miou_interval"),
        Figure("class_miou", "class mIoU", "class mIoU"),
        Figure("point_accuracy", "point accuracy", "point accuracy"),
    )
    choices: ClassVar[Mapping[str, Choice]] = {
        "loss": LOSS,
        "miou": Choice("val_miou", "validation mIoU", highest=True),
    }
    refused: ClassVar[Mapping[str, tuple[str | float, str]]] = {
        "drop": (0, "must be 0 for parts, as points would lose their labels"),
    }
    validated = (*Task.validated, "val_miou")
    counting = (
        "A point's answer is the best of its category's parts; points without a label count nowhere; a part in neither "
        "truth nor answer scores 1, so a category of one part scores 1 everywhere; means are taken over shapes."
    )
    labels_points = True
    network_kind = "segmenter"

    @property
    def answer_names(self) -> tuple[str, ...]:
        return tuple(itertools.chain(*self.parts.values()))

    @property
    def network(self) -> dict[str, Any]:
        lengths = [len(names) for names in self.parts.values()]
        return {
            "num_classes": sum(lengths),
            "kind": self.network_kind,
            "parts": lengths if self.takes_category else [],
            "num_features": len(self.features),
        }

    @property
    def size(self) -> str:
        return f"categories: {len(self.classes)}; parts: {len(self.answer_names)}"

    @property
    def takes_category(self) -> bool:
        return len(self.parts) > 1

    def columns(self, name: str, colors: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """The names of a category's parts, with the colours that the set gives them."""
        names, given = self.parts[name], colors.get(name, ())
        colored = [f"{part} ({color})" for part, color in zip(names, given, strict=False)]
        return {"parts": ", ".join([*colored, *names[len(colored) :]])}

    def labels(self, store: Labelled, shapes: Labels, places: Labels) -> tuple[Labels, Known]:
        assert store.point_labels is not None
        ids = store.point_labels[places]
        return ids.clip(0), ids >= 0

    def strata(self, store: Labelled, shapes: Labels) -> Iterator[tuple[list[Labels], range]]:
        assert store.point_labels is not None
        for category, ids in enumerate(self.part_ids.values()):
            labels = [store.point_labels[store.span(i)] for i in shapes if store.labels[i] == category]
            yield [each[each >= 0] - ids.start for each in labels], range(len(ids))

    def scores(self) -> Scores:
        from pointkit.metrics.validation import PartScores

        return PartScores(self.part_ids)


TASKS: Mapping[str, type[Task]] = {kind.name: kind for kind in (Classification, Parts)}


def ranges(lengths: Sequence[int]) -> list[range]:
    """Consecutive ranges of these lengths, from 0 on."""
    ends = itertools.accumulate(lengths, initial=0)
    return [range(*span) for span in itertools.pairwise(ends)]
