"""Findings about classes, parts and splits: what can be learned and measured at all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointkit.audit.finding import Finding, counted, names
from pointkit.audit.looked import Int64, Looked
from pointkit.cloud import Mesh
from pointkit.formats import columns
from pointkit.store import SPLITS

FEW = 10  # validation or test shapes, of which one is worth ten points of accuracy
IMBALANCE = 10.0
NUMBERS = 5  # codes at least that look like object numbers
ALONE = 0.8  # of the codes are in one shape only
MIXED = 0.25  # of a part: how often neighbours share it, from 0, as by chance, to 1; of scattered points less
TOGETHER = 0.8  # of the points of real parts have a neighbour of the same part
FAR = 128  # a code of 255 is suspicious where all others are below
SEEN = 12  # shapes of a category whose points are looked at for scattered codes
POINTS = 1024  # of each
NO_NAMES = {"unlabelled", "unlabeled", "unclassified", "void", "ignore", "ignored", "none", "background", "unknown"}


def _members(looked: Looked) -> dict[str, list[tuple[str, Int64]]]:
    """Word (plural) for what is told apart or grouped by -> names, and the shapes that have each, if any has."""
    task = looked.store.task
    found = {task.group[1]: [(name, np.flatnonzero(looked.labels == i)) for i, name in enumerate(task.classes)]}
    for category, ids in task.part_ids.items():
        parts = [part if len(task.classes) == 1 else f"{category}: {part}" for part in task.parts[category]]
        found.setdefault("parts", []).extend(zip(parts, map(looked.holding, ids), strict=True))
    return {words: [(name, shapes) for name, shapes in some if len(shapes)] for words, some in found.items()}


def _about(looked: Looked, kind: str, some: list[tuple[str, Int64]], text: str, stops: bool = False) -> Finding:
    """A finding about classes or parts and all shapes that have them; their names stand for {} in the text."""
    shapes = sorted({int(i) for _, shapes in some for i in shapes})
    return Finding(kind, tuple(looked.files(shapes)), text.format(names([name for name, _ in some])), stops)


def without_training(looked: Looked) -> Iterator[Finding]:
    """Classes and parts that occur, but in no training shape."""
    for words, there in _members(looked).items():
        lacking = [(name, shapes) for name, shapes in there if "train" not in looked.splits[shapes]]
        if lacking:
            text = (
                f"{len(lacking):,} of {len(there):,} {words} without a training shape ({{}}): nothing can learn them; "
                "give them training shapes, or make another split with --split 70/10/20"
            )
            stops = words != "parts" or 2 * len(lacking) > len(there)
            yield _about(looked, "part-without-training", lacking, text, stops)


def in_one_split(looked: Looked) -> Iterator[Finding]:
    """Classes and parts whose shapes are all training shapes."""
    if set(looked.splits.tolist()) <= {"train"}:
        return  # said by ``too_few``
    for words, there in _members(looked).items():
        alone = [(name, shapes) for name, shapes in there if set(looked.splits[shapes].tolist()) == {"train"}]
        if alone:
            text = (
                f"{len(alone):,} of {len(there):,} {words} in training shapes only ({{}}): how well they are found "
                "cannot be measured; give them shapes in val and test"
            )
            yield _about(looked, "class-in-one-split", alone, text)


def object_numbers(looked: Looked) -> Iterator[Finding]:
    """Codes that number objects: nearly every code is in one shape only."""
    task = looked.store.task
    for category, ids in task.part_ids.items():
        shapes = np.flatnonzero(looked.labels == task.classes.index(category))
        holders = [len(looked.holding(number)) for number in ids]
        used, alone = sum(n > 0 for n in holders), sum(n == 1 for n in holders)
        if len(shapes) > 2 and used >= max(NUMBERS, len(shapes)) and alone >= ALONE * used:
            yield Finding(
                "object-numbers",
                tuple(looked.files(shapes)),
                f"{category}: {alone:,} of {used:,} label codes are in one shape only, so they number objects and name "
                f"no parts; nothing can be learned from them; {_other_field(looked, int(shapes[0]))}",
                stops=True,
            )
    if not task.part_ids:
        counts = np.bincount(looked.labels, minlength=len(task.classes))
        if len(task.classes) >= NUMBERS and (counts == 1).sum() >= ALONE * len(task.classes):
            yield Finding(
                "object-numbers",
                tuple(looked.files(np.flatnonzero(counts[looked.labels] == 1))),
                f"{(counts == 1).sum():,} of {len(task.classes):,} classes have one shape only, as if their names were "
                "numbers of objects; give the classes with --table FILE.csv, or by other folders",
                stops=True,
            )


def _other_field(looked: Looked, shape: int) -> str:
    """Names another field of the shape's file that may hold the labels."""
    advice = "take another field with --label-field NAME"
    try:
        read = looked.read(shape) if looked.read else None
        if read is None:
            return advice
        label = looked.store.manifest.get("meaning", {}).get("label_field", "")
        levels = [read.face_fields, read.vertex_fields] if isinstance(read, Mesh) else [read.fields]
        for fields in levels:
            taken = label or columns.name_in(fields)
            other = columns.likely({name: array for name, array in fields.items() if name != taken})
            if other:
                return f"the field {other} looks like labels: take it with --label-field {other}"
    except (OSError, ValueError):
        pass
    return advice


def unlabelled_codes(looked: Looked) -> Iterator[Finding]:
    """A code 0 or 255 that seems to mean that a point has no label."""
    task = looked.store.task
    for category, ids in task.part_ids.items():
        codes = looked.store.manifest.get("codes", {}).get(category, list(range(len(ids))))
        mine = np.isin(looked.held.shape, np.flatnonzero(looked.labels == task.classes.index(category)))
        for number, code, name in zip(ids, codes, task.parts[category], strict=True):
            shapes = looked.holding(number)
            why = _no_label(looked, number, code, name, [other for other in codes if other != code])
            if why and len(shapes):
                points = looked.held.points
                share = points[looked.held.part == number].sum() / points[mine].sum()
                yield Finding(
                    "unlabelled-code",
                    tuple(looked.files(shapes)),
                    f"{category}: the code {code}, {100 * share:.0f} % of the points, looks like 'not labelled' as "
                    f"{why}; it is now a part to be learned, --unlabelled {code} leaves its points out",
                )


def _no_label(looked: Looked, number: int, code: int, name: str, others: list[int]) -> str:
    """Why a code seems to mean that a point has no label; "" where it does not."""
    if code not in (0, 255) or not others:
        return ""
    if name.lower() in NO_NAMES:
        return f"its name is {name}"
    if code == 255 and max(others) < FAR:
        return f"the others are {min(others)} to {max(others)}"
    return "its points lie scattered among those of other parts" if _scattered(looked, number) else ""


def _scattered(looked: Looked, number: int) -> bool:
    """Whether points of a part lie among those of others, while the others by themselves do not."""
    from scipy.spatial import cKDTree

    store = looked.store
    assert store.point_labels is not None
    mixed: list[float] = []
    rest: list[float] = []
    for shape in looked.holding(number)[:SEEN].tolist():
        points, labels = store.cloud(shape)[:POINTS], store.point_labels[store.span(shape)][:POINTS]
        mine = labels == number
        if mine.sum() < 2 or (~mine).sum() < 2:
            continue
        nearest = cKDTree(points).query(points[mine], 2)[1][:, 1]
        chance = float(mine.mean())
        mixed.append((float(mine[nearest].mean()) - chance) / (1 - chance))
        others, theirs = points[~mine], labels[~mine]
        rest.append(float((theirs[cKDTree(others).query(others, 2)[1][:, 1]] == theirs).mean()))
    return bool(mixed) and float(np.mean(mixed)) < MIXED and float(np.mean(rest)) > TOGETHER


def too_few(looked: Looked) -> Iterator[Finding]:
    """Splits with few shapes."""
    for split, words in zip(SPLITS, ("training", "validation", "test"), strict=True):
        shapes = np.flatnonzero(looked.splits == split)
        if not len(shapes):
            why = {
                "train": "there is nothing to train on",
                "val": "no epoch can be chosen",
                "test": "nothing can be measured",
            }[split]
            yield Finding("few-shapes", (), f"no {words} shapes: {why}; --split 70/10/20 makes a split", stops=True)
        elif split != "train" and len(shapes) < FEW:
            yield Finding(
                "few-shapes",
                tuple(looked.files(shapes)),
                f"only {counted(len(shapes), words + ' shape')}: one is worth {100 / len(shapes):.0f} points, so the "
                "figures say little; add shapes, or give this split a larger share with --split",
            )


def imbalance(looked: Looked) -> Iterator[Finding]:
    """Classes, categories or parts with ten times as many training shapes as others."""
    task = looked.store.task
    ratio, words, shapes = _imbalance(looked)
    if ratio > IMBALANCE:
        yield Finding(
            "imbalance",
            tuple(looked.files(shapes)),
            f"{words}, {ratio:.0f} to 1: rare {task.answers} are easily never answered; add shapes of them; without "
            "a recipe, 'pointkit train' lets all count alike (--class-weight none turns that off)",
        )


def _imbalance(looked: Looked) -> tuple[float, str, Int64]:
    """The largest ratio of training shapes, in words, and the shapes of the rarest. Of parts, within each category."""
    task = looked.store.task
    trained = looked.splits == "train"
    groups: list[list[tuple[str, Int64]]] = [
        [(name, np.flatnonzero((looked.labels == i) & trained)) for i, name in enumerate(task.classes)]
    ]
    if task.labels_points:
        groups = [
            [
                (f"{category}: {part}", shapes[trained[shapes]])
                for number, part in zip(ids, task.parts[category], strict=True)
                for shapes in [looked.holding(number)]
            ]
            for category, ids in task.part_ids.items()
        ]
    worst: tuple[float, str, Int64] = (1.0, "", np.empty(0, np.int64))
    for group in groups:
        there = sorted(((name, shapes) for name, shapes in group if len(shapes)), key=lambda one: len(one[1]))
        if len(there) > 1:
            (rare, few), (common, many) = there[0], there[-1]
            if len(many) / len(few) > worst[0]:
                words = f"{rare} has {counted(len(few), 'training shape')}, {common} has {len(many):,}"
                worst = (len(many) / len(few), words, few)
    return worst
