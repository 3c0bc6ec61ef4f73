"""From the labels in a set's files to those of its store, where ids run on over the categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pointkit import preprocess
from pointkit.cloud import Sample
from pointkit.datasets import shapenet_part
from pointkit.datasets.folder import Found
from pointkit.errors import PointkitError
from pointkit.store import ShapeRow


class Labelling:
    """What a set's labels mean: found in one pass over its samples, applied in another.

    ``facts``: for the manifest; ``warnings``: what the user should know. Raises PointkitError where the names that the
    set gives do not cover its labels.
    """

    def __init__(self, found: Found, rows: Sequence[ShapeRow], samples: Iterable[Sample]) -> None:
        seen: dict[str, Counter[int]] = {name: Counter() for name in found.classes}
        read = (sample for sample in samples if len(sample.points))
        bare = 0
        for row, sample in zip(rows, read, strict=True):
            assert sample.labels is not None, f"{row.ident} has points without labels"
            codes, counts = np.unique(sample.labels, return_counts=True)
            seen[row.class_name].update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
            bare += sample.features is None
        self.keep_features = not bare
        try:
            self.names, self.codes = shapenet_part.part_names(found, seen)
        except ValueError as error:
            raise PointkitError(f"{found.root}: {error}") from None
        self.warnings = tuple(self._about(seen, bare, len(rows)))
        self.facts: dict[str, Any] = {"parts": self.names}
        if any(codes != list(range(len(codes))) for codes in self.codes.values()):
            self.facts["codes"] = self.codes
        if found.colors:
            self.facts["colors"] = {name: list(found.colors[name]) for name in self.names if name in found.colors}
        if self.keep_features:
            self.facts["features"] = list(preprocess.NORMALS)

    def _about(self, seen: dict[str, Counter[int]], bare: int, total: int) -> Iterator[str]:
        without = sum(counter[-1] for counter in seen.values())
        if without:
            points = sum(counter.total() for counter in seen.values())
            yield f"{without:,} of {points:,} points are in no part: they are unlabelled, and no class"
        for name, parts in self.names.items():
            lost = [part for part, code in zip(parts, self.codes[name], strict=True) if not seen[name][code]]
            if lost:
                yield f"{name}: no point of the set is in {', '.join(lost)}"
        if 0 < bare < total:
            yield f"{bare:,} shapes have no normals: none are kept"

    def apply(self, rows: Sequence[ShapeRow], samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples with the store's ids for labels."""
        first = dict(zip(self.names, np.cumsum([0, *map(len, self.names.values())]).tolist(), strict=False))
        for row, sample in zip(rows, samples, strict=True):
            assert sample.labels is not None
            codes = np.array(self.codes[row.class_name])
            ids = first[row.class_name] + np.searchsorted(codes, sample.labels)
            labels = np.where(sample.labels == -1, -1, ids).astype(np.int32)
            yield Sample(sample.points, labels, sample.features if self.keep_features else None)
