"""From the labels in a set's files to the ids in its store, which run on over the categories."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pointkit import formats
from pointkit.cloud import Sample
from pointkit.datasets.codes import CodeNames
from pointkit.datasets.folder import Found
from pointkit.disk import shown
from pointkit.errors import PointkitError
from pointkit.prepare.chunks import ReadResult
from pointkit.store import ShapeRow

SHOWN = 4  # fields in a line


def refuse_mixed(found: Found, results: Sequence[ReadResult]) -> None:
    """Raise PointkitError where no field has the labels of all shapes: the codes of two fields may mean two things."""
    read = [(file.file, r.label_fields) for file, r in zip(found.files, results, strict=True) if r.labelled]
    if not read or set[str].intersection(*(set(fields) for _, fields in read)):
        return
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for file, fields in read:
        examples.setdefault(fields[0], file)
        counts[fields[0]] += 1
    taken = [f"{name} in {counts[name]:,}, such as {shown(file)}" for name, file in examples.items()]
    more = f"; and {len(taken) - SHOWN:,} others" if len(taken) > SHOWN else ""
    advice = "if they mean the same, call them alike; --label-field NAME takes one field, and lists the other files"
    if any(" of " in name for name in examples):  # places of columns without titles
        advice = "write titles into the first lines, like # x y z label"
    raise PointkitError(
        f"{found.root}: labels come from different fields: {'; '.join(taken[:SHOWN])}{more}; they may mean different "
        f"things: {advice}"
    )


def namer(found: Found, results: Sequence[ReadResult]) -> Callable[[int], str] | None:
    """The format's own names of codes where all labels come from one field that has such."""
    read = [(file.file, r.label_fields) for file, r in zip(found.files, results, strict=True) if r.labelled]
    for field in sorted(set[str].intersection(*(set(fields) for _, fields in read))) if read else ():
        if all(formats.code_name(file, field, 0) for file, _ in read):
            return functools.partial(formats.code_name, read[0][0], field)
    return None


class LabelIds:
    """The store's ids for a set's labels. One pass over the samples finds them, another puts them in (``apply``).

    ``facts`` are for the manifest, ``warnings`` for the user. Raises PointkitError where the names that the
    set gives do not cover its labels.
    """

    def __init__(
        self,
        found: Found,
        rows: Sequence[ShapeRow],
        samples: Iterable[Sample],
        name: Callable[[int], str] | None = None,
    ) -> None:
        seen: dict[str, Counter[int]] = {name: Counter() for name in found.classes}
        for row, sample in zip(rows, samples, strict=True):
            assert sample.labels is not None, f"{row.ident} has points without labels"
            codes, counts = np.unique(sample.labels, return_counts=True)
            seen[row.class_name].update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        try:
            self.names, self.codes = part_names(found, seen, name)
        except ValueError as error:
            raise PointkitError(f"{found.root}: {error}") from None
        self.warnings = (*self._about(seen), *_about_names(found, self.codes))
        self.facts: dict[str, Any] = {"parts": self.names}
        if any(codes != list(range(len(codes))) for codes in self.codes.values()):
            self.facts["codes"] = self.codes
        directories = {file.class_name: file.file.split("/")[0] for file in found.files}
        if found.layout != "fields" and any(name != place for name, place in directories.items()):
            self.facts["directories"] = directories
        if found.colors:
            self.facts["colors"] = {name: list(found.colors[name]) for name in self.names if name in found.colors}

    def _about(self, seen: dict[str, Counter[int]]) -> Iterator[str]:
        without = sum(counter[-1] for counter in seen.values())
        if without:
            points = sum(counter.total() for counter in seen.values())
            yield f"{without:,} of {points:,} points are in no part: they are unlabelled, and no class"
        for name, parts in self.names.items():
            lost = [part for part, code in zip(parts, self.codes[name], strict=True) if not seen[name][code]]
            if lost:
                yield f"{name}: no point of the set is in {', '.join(lost)}"

    def apply(self, rows: Sequence[ShapeRow], samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples with the store's ids for labels."""
        first = dict(zip(self.names, np.cumsum([0, *map(len, self.names.values())]).tolist(), strict=False))
        for row, sample in zip(rows, samples, strict=True):
            assert sample.labels is not None
            codes = np.array(self.codes[row.class_name])
            ids = first[row.class_name] + np.searchsorted(codes, sample.labels)
            labels = np.where(sample.labels == -1, -1, ids).astype(np.int32)
            yield sample._replace(labels=labels)


def _from_one(own: Sequence[str] | None, used: Sequence[int]) -> bool:
    """Whether a list of names, whose codes a user's set does not say, is of the codes from 1 on."""
    return bool(own) and len(own or ()) in used and 0 not in used


def _of_categories(named: CodeNames, found: Found) -> bool:
    """Whether names are those of the categories, and so not those of parts."""
    return bool(set(named.names.values()) & set(found.classes))


def _about_names(found: Found, codes: Mapping[str, list[int]]) -> Iterator[str]:
    """What was made of names whose codes the set does not say, and of names that are not used."""
    for category in sorted(found.part_names if found.layout == "fields" else ()):
        if codes.get(category, [0])[:1] == [1]:
            yield f"{category}: parts.json names the codes from 1 on, as no point has the code 0"
    for named in {id(named): named for named in found.codes.values()}.values():
        if _of_categories(named, found):
            yield f"{named.source} names categories, and no codes of parts: it is not used"


def part_names(
    found: Found, seen: Mapping[str, Counter[int]], name: Callable[[int], str] | None = None
) -> tuple[dict[str, tuple[str, ...]], dict[str, list[int]]]:
    """Category -> names of its parts, and category -> their codes: the labels in the files.

    ``seen``: category -> how many points have each code. ``name`` has the format's own names, for codes that the set
    does not name. Raises ValueError where the names do not cover the codes.
    """
    names: dict[str, tuple[str, ...]] = {}
    codes: dict[str, list[int]] = {}
    first = 0
    for category in sorted({*found.classes, *found.part_names}):
        if category not in found.classes:  # its parts are numbered all the same
            first += len(found.part_names[category])
            continue
        used = sorted(code for code in seen[category] if code != -1)
        own = found.part_names.get(category)
        named = found.codes.get(category, found.codes.get(""))
        start = {"flat": 1, "normal": first, "fields": int(_from_one(own, used))}.get(found.layout, 0)
        if own and set(used) <= set(range(start, start + len(own))):
            names[category], codes[category] = own, list(range(start, start + len(own)))
        elif own:
            wrong = next(code for code in used if not start <= code < start + len(own))
            raise ValueError(f"{category} has {len(own)} parts, numbered from {start}; found the number {wrong}")
        elif named and not _of_categories(named, found):
            pairs = named.of(used, name)
            names[category], codes[category] = tuple(pairs.values()), list(pairs)
        else:
            names[category], codes[category] = tuple(map(name or "part {}".format, used)), used
        first += len(names[category])
    return names, codes
