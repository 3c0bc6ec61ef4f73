"""What a network is asked: the class of each shape, or the part of each point. Decided by a store, kept in a run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """``classes`` in the order of their ids: of shapes, or, with ``parts``, the categories whose parts are told apart.

    ``parts``: category -> names of its parts, in the order of ``classes``; ``features``: what the network sees of each
    point beside its place, such as nx, ny and nz.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    features: tuple[str, ...] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Task:
        """The task that a store's manifest or a run's facts describe. Raises ValueError where they contradict it."""
        classes = tuple(facts["classes"])
        parts = facts.get("parts", {})
        if parts and sorted(parts) != sorted(classes):
            raise ValueError(f"parts must be those of {', '.join(classes)}, found {', '.join(parts)}")
        names = {name: tuple(parts[name]) for name in classes} if parts else {}
        return cls(classes, names, tuple(facts.get("features", ())))

    @property
    def name(self) -> str:
        """ "classification" or "parts"."""
        return "parts" if self.parts else "classification"

    @property
    def part_ids(self) -> dict[str, range]:
        """Category -> the ids of its parts, which run on over the categories."""
        return dict(zip(self.parts, ranges([len(names) for names in self.parts.values()]), strict=True))

    @property
    def network(self) -> dict[str, Any]:
        """What ``models.build`` has to know of it.

        A network of one category is not told which it is.
        """
        lengths = [len(names) for names in self.parts.values()]
        return {
            "num_classes": sum(lengths) if self.parts else len(self.classes),
            "per_point": bool(self.parts),
            "parts": lengths if len(lengths) > 1 else [],
            "num_features": len(self.features),
        }


def ranges(lengths: Sequence[int]) -> list[range]:
    """Consecutive ranges of these lengths, from 0 on."""
    ends = itertools.accumulate(lengths, initial=0)
    return [range(*span) for span in itertools.pairwise(ends)]
