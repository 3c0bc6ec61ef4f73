"""The rows of a store: each shape's class, split and group, and what the user should know about them."""

from __future__ import annotations

import os
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pointkit import features, formats, preprocess, store
from pointkit.cloud import Mesh
from pointkit.datasets.folder import Found, FoundFile
from pointkit.disk import csv_rows, shown
from pointkit.errors import PointkitError
from pointkit.formats import columns
from pointkit.formats.fields import all_described
from pointkit.prepare import splits
from pointkit.prepare.chunks import ReadResult, Rule

SHOWN = 5  # names in a warning
MANY = 20  # classes in a warning


def make(
    found: Found, results: Sequence[ReadResult], given: Mapping[str, str], seed: int, shares: Mapping[str, float]
) -> tuple[list[store.ShapeRow], str, tuple[str, ...]]:
    """The rows of the shapes that could be read, how their split was made, and warnings.

    ``given``: file -> group. ``shares`` are those of a split that the user asks for.
    """
    files = [file for file, result in zip(found.files, results, strict=True) if result.size]
    digests = [result.digest for result in results if result.size]
    strays = [result.strays for result in results if result.size]
    rows, how = _rows(files, given, digests, seed, shares)
    rows = [replace(row, strays=number) for row, number in zip(rows, strays, strict=True)]
    named = [given.get(file.file, "") for file in files]
    return rows, how, (*_about_classes(rows, found.classes), *_about_groups(files, named))


def plan(
    found: Found, given: Mapping[str, str], seed: int, shares: Mapping[str, float]
) -> tuple[list[store.ShapeRow], str]:
    """The rows as ``make`` would give them, if all files can be read and none is a copy of another."""
    return _rows(found.files, given, [""] * len(found.files), seed, shares)


def _rows(
    files: Sequence[FoundFile], given: Mapping[str, str], digests: Sequence[str], seed: int, shares: Mapping[str, float]
) -> tuple[list[store.ShapeRow], str]:
    named = [given.get(file.file, "") for file in files]
    groups = splits.merge([file.ident for file in files], named, digests)
    split, how = _split(files, groups, seed, shares)
    sizes = Counter(groups)
    rows = [
        store.ShapeRow(
            ident=file.ident,
            file=file.file,
            split=side,
            class_name=file.class_name,
            group=group if sizes[group] > 1 else "",
        )
        for file, side, group in zip(files, split, groups, strict=True)
    ]
    return rows, how


def _split(
    files: Sequence[FoundFile], groups: Sequence[str], seed: int, shares: Mapping[str, float]
) -> tuple[list[str], str]:
    rng = np.random.default_rng(seed)
    official = [file.split for file in files]
    labels = [file.class_name for file in files]
    how = "official"
    if shares or not all(official):
        shares = shares or splits.THREE_WAY
        official = splits.stratified(labels, groups, shares, rng)
        how = f"{'/'.join(f'{100 * share:g}' for share in shares.values())} by class and group"
        if "val" in shares:
            return official, f"{how}, seed {seed}"
    elif "val" in official or "train" not in official:
        return official, how
    train = [i for i, name in enumerate(official) if name == "train"]
    kept = [labels[i] for i in train]
    for i, name in zip(train, splits.stratified(kept, [groups[i] for i in train], splits.HOLD_OUT, rng), strict=True):
        official[i] = name
    return official, f"{how}, a tenth of train held out as val by class and group, seed {seed}"


def groups_of(path: str | os.PathLike[str] | None, found: Found) -> dict[str, str]:
    """File -> group, from the user's CSV file, else from the table that the set was found by."""
    return (
        read_groups(pathlib.Path(path), found) if path else {file: name for file, name in found.groups.items() if name}
    )


def read_groups(path: pathlib.Path, found: Found) -> dict[str, str]:
    """File -> group from a CSV file. Its paths are relative to the folder asked for, or to the set's folder in it."""
    try:
        rows = csv_rows(path)
    except (OSError, ValueError) as error:
        raise PointkitError(f"{path}: cannot be read as a CSV file ({error})") from None
    if not rows or not {"file", "group"} <= rows[0].keys():
        raise PointkitError(
            f"{path}: needs the columns file and group and a row, found {', '.join(rows[0]) if rows else 'none'}"
        )
    known = {file.file for file in found.files}
    groups: dict[str, str] = {}
    for line, row in enumerate(rows, 2):
        file, group = row["file"] or "", row["group"] or ""
        if file not in known:
            file = file.removeprefix(f"{found.prefix}/")
        if file not in known:
            raise PointkitError(f"{path}: line {line}: no file {row['file']!r} in {found.root}")
        if groups.setdefault(file, group) != group:
            raise PointkitError(f"{path}: line {line}: {file} is in two groups, {groups[file]!r} and {group!r}")
    return groups


def counts(rows: Sequence[store.ShapeRow], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Split -> class -> number of shapes."""
    found = Counter((row.split, row.class_name) for row in rows)
    return {split: {name: found[split, name] for name in classes} for split in store.SPLITS}


def _about_classes(rows: Sequence[store.ShapeRow], classes: Sequence[str]) -> list[str]:
    table = counts(rows, classes)
    trained = [name for name in classes if table["train"][name]]
    lacking = {split: [name for name in classes if not table[split][name]] for split in store.SPLITS}
    warnings = []
    if lacking["train"]:
        names = _some(lacking["train"], MANY)
        warnings.append(f"no training shapes for {names}: the store can be evaluated and predicted on, not trained on")
    if no_val := [name for name in trained if name in lacking["val"]]:
        warnings.append(f"no validation shapes for {_some(no_val, MANY)}")
    if lacking["test"]:
        warnings.append(f"no test shapes for {_some(lacking['test'], MANY)}: their accuracy will be n/a")
    return warnings


def _about_groups(files: Sequence[FoundFile], named: Sequence[str]) -> Iterator[str]:
    """Warnings about the user's groups that lie on several sides of the folder's split, or in several classes.

    Copies are the audit's.
    """
    members: dict[str, list[FoundFile]] = defaultdict(list)
    for file, name in zip(files, named, strict=True):
        if name:
            members[name].append(file)
    for attribute, where in (
        ("split", "on different sides of the folder's own split"),
        ("class_name", "in different classes"),
    ):
        divided = [group for group in members.values() if len({getattr(file, attribute) for file in group}) > 1]
        if divided:
            names = [_some([file.ident for file in group], joined=" = ") for group in divided]
            yield f"shapes of one group lie {where}: {_some(names)}"


def about_points(found: Found, results: Sequence[ReadResult], rule: Rule) -> Iterator[str]:
    by_warning: dict[str, list[str]] = defaultdict(list)
    for file, result in zip(found.files, results, strict=True):
        for warning in result.warnings:
            by_warning[warning].append(file.file)
    for warning, names in sorted(by_warning.items()):
        yield f"{warning}: {_some(names)}"
    left_out = {
        file.file: result.left_out for file, result in zip(found.files, results, strict=True) if result.left_out
    }
    if left_out:
        yield f"{sum(left_out.values()):,} rows without coordinates (nan) are left out: {_some(list(left_out))}"
    kinds = [result.features for result in results if result.size]
    for kind, number in features.shared(kinds)[1].items():
        yield f"no {kind} in {number:,} of {len(kinds):,} shapes: the store keeps none"
    few = [result.size for result in results if 0 < result.size < rule.num_points]
    if few:
        least = f"the fewest {min(few):,}"
        shortage = f"{len(few):,} shapes hold fewer than {rule.num_points:,} points"
        yield f"{shortage} ({least}); each keeps all it has, shapes.csv counts them"


def lack_of(kind: str, found: Found, results: Sequence[ReadResult], rule: Rule) -> str:
    """Which shapes have no features of a kind, and what to do; "" for none."""
    read = zip(found.files, results, strict=True)
    without = [(file, result) for file, result in read if result.size and kind not in result.features]
    if not without:
        return ""
    file, result = without[0]
    why = [warning for warning in result.warnings if warning.startswith(kind)] or _named(kind, found, file, rule)
    some = (
        f"{len(without):,} of {len(results):,} files have no {kind} ({', '.join(features.KINDS[kind])} of each point)"
    )
    return "; ".join([f"{some}, such as {shown(file.file)}", *why])


_SHORT = {"color": ("r", "g", "b")}


def _named(kind: str, found: Found, file: FoundFile, rule: Rule) -> list[str]:
    """What to say of columns that have no names, or of the fields that are there."""
    try:
        shape = formats.read(found.root / (file.pieces[0][0] if file.pieces else file.file), meaning=rule.meaning)
    except (OSError, ValueError):
        return []
    if isinstance(shape, Mesh) or not columns.nameless(shape):
        return [f"found {all_described(shape)}"]
    names = ["x", "y", "z", *_SHORT.get(kind, features.KINDS[kind])]
    width = len(shape.fields) + 3
    if width < len(names):
        return []
    example = ",".join([*names, *[columns.LEFT_OUT] * (width - len(names))])
    return [f"its {width} columns have no names: --columns names them in their order, like {example}"]


def scales(results: Sequence[ReadResult], kept: Sequence[str]) -> dict[str, float]:
    """Kind -> the full scale of all shapes together, for those of the kinds ``kept`` that come in many units.

    It is the largest, unless that is more than twice what holds nine shapes in ten.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for kind, full in result.scales if result.size else ():
            if kind in kept:
                found[kind].append(full)
    return {
        kind: preprocess.steadied(float(np.quantile(some, 0.9, method="inverted_cdf")), max(some))
        for kind, some in found.items()
    }


def about_scales(found: Found, results: Sequence[ReadResult], scales: Mapping[str, float]) -> Iterator[str]:
    """Warnings about shapes whose numbers seem to have another full scale than all: shares of 1, or larger numbers."""
    for kind, full in scales.items():
        own = {
            file.file: dict(result.scales).get(kind, full)
            for file, result in zip(found.files, results, strict=True)
            if result.size
        }
        ones = [file for file, scale in own.items() if scale == 1 < full]
        if ones:
            yield f"{kind} goes up to 1 in {len(ones):,} shapes, but {full:,g} is the scale of all: {_some(ones)}"
        beyond = [file for file, scale in own.items() if scale > full]
        if beyond:
            most = f"{kind} goes up to {max(own.values()):,g} in {len(beyond):,} shape{'s' if len(beyond) > 1 else ''}"
            yield f"{most}, but {full:,g} is the scale of all, and more counts as that: {_some(beyond)}"


def _some(names: Sequence[str], most: int = SHOWN, joined: str = ", ") -> str:
    """The first names of many, and the number of the others: a line must not grow with the set."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return joined.join(shown(name) for name in names[:most]) + more
