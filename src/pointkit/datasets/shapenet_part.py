"""Part annotations in the three layouts that ShapeNet's were published in, and files that hold labels of their own.

    annotation  metadata.json: category -> directory, part names ("lables"), colours; <directory>/points/<id>.pts;
                <directory>/points_label/<part>/<id>.seg, one 0 or 1 a line; no split
    flat        synsetoffset2category.txt; <directory>/points/<id>.pts; <directory>/points_label/<id>.seg, one part
                number a line, from 1; train_test_split/shuffled_<split>_file_list.json
    normal      the same two texts; <directory>/<id>.txt, x y z nx ny nz and a part number that runs on over all
                categories, from 0
    fields      a folder as for classes; its clouds have a label for each point, its meshes for each face

A point in no part is unlabelled (-1). A point that several parts claim belongs to the last of them. In the last three
layouts parts have names where the folder has ``parts.json`` (directory or category -> names in order).

Source: Yi et al., A Scalable Active Framework for Region Annotation in 3D Shape Collections, SIGGRAPH Asia 2016.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointkit import features
from pointkit.cloud import Array, PointCloud
from pointkit.datasets.folder import Found, FoundFile, different_texts, part_lists, read_json, read_text
from pointkit.disk import shown
from pointkit.errors import PointkitError
from pointkit.formats import files, numbers, records, text
from pointkit.store import SPLITS

METADATA, DIRECTORIES = "metadata.json", "synsetoffset2category.txt"
SPLIT_LIST = "train_test_split/shuffled_{}_file_list.json"

# Directory -> number of parts, for the benchmark's sixteen categories. The benchmark does not name the parts.
BENCHMARK: Mapping[str, int] = {
    "02691156": 4, "02773838": 2, "02954340": 2, "02958343": 4, "03001627": 4, "03261776": 3, "03467517": 3,
    "03624134": 2, "03636649": 4, "03642806": 2, "03790512": 6, "03797390": 2, "03948459": 3, "04099429": 3,
    "04225987": 3, "04379243": 3,
}  # fmt: skip


# ---- what is in a folder


def layout_of(folder: pathlib.Path) -> tuple[pathlib.Path, str] | None:
    """The folder of a published set (``folder`` or the only folder in it) and its layout; None where there is none."""
    inner = [entry for entry in folder.iterdir() if entry.is_dir()] if folder.is_dir() else []
    for root in (folder, *(inner if len(inner) == 1 else ())):
        if (root / METADATA).is_file() and any(root.glob("*/points/")):  # anybody may call a file metadata.json
            return root, "annotation"
        if (root / DIRECTORIES).is_file():
            pairs = _directories(root)
            return root, "flat" if any((root / name / "points").is_dir() for name in pairs.values()) else "normal"
    return None


def find(root: pathlib.Path, layout: str) -> Found:
    """The shapes of a published set. Raises PointkitError, a line that names a file, where it is not as published."""
    found = _annotation(root) if layout == "annotation" else _listed(root, layout)
    if not found.files:
        raise PointkitError(f"{root}: no labelled shape in it, though {_index(layout)} is there")
    return found


def _index(layout: str) -> str:
    return METADATA if layout == "annotation" else DIRECTORIES


def _annotation(root: pathlib.Path) -> Found:
    path = root / METADATA
    about = read_json(path, dict)
    shapes: list[FoundFile] = []
    unlabelled: list[str] = []
    warnings: list[str] = []
    parts: dict[str, tuple[str, ...]] = {}
    colors: dict[str, tuple[str, ...]] = {}
    partial = 0
    for category, facts in sorted(about.items()):
        names: Any = facts.get("lables", facts.get("labels")) if isinstance(facts, dict) else None
        directory: Any = facts.get("directory") if isinstance(facts, dict) else None
        places = [directory, *names] if different_texts(names) else [None]
        if not all(isinstance(place, str) and _inside(place) for place in places):
            raise PointkitError(f"{path}: {category!r} must have a directory and the names of its parts under 'lables'")
        parts[category] = tuple(names)
        colors[category] = tuple(map(str, facts.get("colors", ())))
        label_files = {part: _listing(root / directory / "points_label" / part, ".seg") for part in names}
        points = _listing(root / directory / "points", ".pts")
        strays = set().union(*label_files.values()) - points.keys()
        if strays:
            warnings.append(f"{category}: labels without points: {_some(strays)}")
        if not points:
            warnings.append(f"{category}: no points in {directory}/points")
        for name in sorted(points):
            file = f"{directory}/points/{name}.pts"
            labels = tuple(
                f"{directory}/points_label/{part}/{name}.seg" if name in label_files[part] else "" for part in names
            )
            if not any(labels):
                unlabelled.append(file)
                continue
            partial += not all(labels)
            stamps = [points[name], *(label_files[part][name] for part in names if name in label_files[part])]
            shapes.append(_found(file, f"{directory}/{name}", category, "", stamps, labels))
    if partial:
        warnings.append(f"{partial:,} shapes lack the file of a part; it counts as no point of that part")
    if unlabelled:
        warnings.append(
            f"{len(unlabelled):,} shapes have no part's file: they are listed in unlabelled.csv, for predict"
        )
    return _whole(root, "annotation", shapes, warnings, parts, colors, tuple(unlabelled))


def _listed(root: pathlib.Path, layout: str) -> Found:
    directories = _directories(root)
    named = part_lists(root)
    splits = _split_lists(root)
    shapes: list[FoundFile] = []
    unlabelled: list[str] = []
    warnings: list[str] = []
    parts: dict[str, tuple[str, ...]] = {}
    unlisted = 0
    known = set()
    for category, directory in sorted(directories.items()):
        names = named.get(directory, named.get(category))
        if names is None and directory in BENCHMARK:
            names = tuple(f"part {number}" for number in range(1, BENCHMARK[directory] + 1))
        if names:
            parts[category] = names
        points = _listing(
            root / directory / ("points" if layout == "flat" else ""), ".pts" if layout == "flat" else ".txt"
        )
        label_files = _listing(root / directory / "points_label", ".seg") if layout == "flat" else {}
        if strays := label_files.keys() - points.keys():
            warnings.append(f"{category}: labels without points: {_some(strays)}")
        for name in sorted(points):
            ident = f"{directory}/{name}"
            known.add(ident)
            file = f"{directory}/points/{name}.pts" if layout == "flat" else f"{ident}.txt"
            if layout == "flat" and name not in label_files:
                unlabelled.append(file)
            elif splits and ident not in splits:
                unlisted += 1
            else:
                labels = (f"{directory}/points_label/{name}.seg",) if layout == "flat" else ()
                stamps = [points[name], label_files[name]] if layout == "flat" else [points[name]]
                shapes.append(_found(file, ident, category, splits.get(ident, ""), stamps, labels))
    if missing := splits.keys() - known:
        warnings.append(f"{len(missing):,} shapes of the split lists have no file, such as {shown(min(missing))}")
    if unlisted:
        warnings.append(f"{unlisted:,} shapes stand in no split list and are left out")
    if unlabelled:
        warnings.append(f"{len(unlabelled):,} shapes have no labels: they are listed in unlabelled.csv, for predict")
    return _whole(root, layout, shapes, warnings, parts, {}, tuple(unlabelled))


def _whole(
    root: pathlib.Path,
    layout: str,
    shapes: list[FoundFile],
    warnings: list[str],
    parts: Mapping[str, tuple[str, ...]],
    colors: Mapping[str, tuple[str, ...]],
    unlabelled: tuple[str, ...],
) -> Found:
    classes = tuple(sorted({shape.class_name for shape in shapes}))
    shapes.sort(key=lambda shape: shape.file)
    return Found(
        root=root,
        files=tuple(shapes),
        classes=classes,
        warnings=tuple(warnings),
        layout=layout,
        part_names=parts,
        colors=colors,
        unlabelled=unlabelled,
    )


def _found(
    file: str, ident: str, category: str, split: str, stamps: Sequence[os.stat_result], labels: tuple[str, ...]
) -> FoundFile:
    every = tuple((stamp.st_size, stamp.st_mtime_ns) for stamp in stamps)
    return FoundFile(file=file, ident=ident, class_name=category, split=split, stamps=every, labels=labels)


def _listing(folder: pathlib.Path, suffix: str) -> dict[str, os.stat_result]:
    """Name without suffix -> the system's facts about the file, for a folder's files; empty where it is missing."""
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name.removesuffix(suffix): entry.stat()
                for entry in entries
                if entry.name.endswith(suffix) and not entry.name.startswith(".") and entry.is_file()
            }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PointkitError(f"{folder}: cannot be listed ({error.strerror})") from None


def _directories(root: pathlib.Path) -> dict[str, str]:
    """Category -> directory, from the text with one such pair in a line."""
    path = root / DIRECTORIES
    pairs: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not _inside(words[1]):
            raise PointkitError(f"{path}: line {number} must be a category and its directory, got {line[:80]!r}")
        pairs[words[0]] = words[1]
    return pairs


def _split_lists(root: pathlib.Path) -> dict[str, str]:
    """Shape (directory/id) -> split, from the lists that are there."""
    splits: dict[str, str] = {}
    for split in SPLITS:
        path = root / SPLIT_LIST.format(split)
        if path.is_file():
            names = read_json(path, list)
            if not different_texts(names):
                raise PointkitError(f"{path}: must be a list of shapes like 'shape_data/02691156/1021a0...'")
            for name in names:
                ident = "/".join(name.split("/")[-2:])
                if splits.setdefault(ident, split) != split:
                    raise PointkitError(f"{path}: {shown(ident)} is listed in {splits[ident]}, too")
    return splits


def _inside(directory: str) -> bool:
    """Whether a name from a text stays inside the set's folder."""
    steps = directory.split("/")
    return any(step not in ("", ".") for step in steps) and not directory.startswith("/") and ".." not in steps


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(map(shown, names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


# ---- the points and labels of its shapes


@dataclass(frozen=True)
class Texts:
    """The text of a shape's points, and the texts of its labels: None for a missing file."""

    points: bytes
    labels: tuple[bytes | None, ...]


def load(points: pathlib.Path, root: pathlib.Path, labels: Sequence[str]) -> Texts:
    """The texts of a shape's points and of its label files below ``root``. Raises ValueError where one is empty."""
    folder = str(root)  # joining paths would take longer than reading a file
    return Texts(files.load(points), tuple(files.load(f"{folder}/{name}") if name else None for name in labels))


def clouds(layout: str, shapes: Sequence[Texts], labels: Sequence[Sequence[str]]) -> Iterator[PointCloud | ValueError]:
    """The labelled clouds of several shapes, or what is wrong with each; their texts are parsed together.

    Labels are the numbers in the files. In the layout "annotation" they are the parts' indices in the metadata. -1 is
    no label.
    ``labels`` are the names of the files, for messages.
    """
    for table, shape, names in zip(_tables([shape.points for shape in shapes]), shapes, labels, strict=True):
        try:
            if table is None:
                table = _table(shape.points)
            yield _cloud(layout, table, shape.labels, names)
        except ValueError as error:
            yield error


def _tables(texts: Sequence[bytes]) -> Sequence[Array | None]:
    """The numbers of several texts, parsed as one; None for all of them where that fails."""
    try:
        return numbers.tables(texts)
    except ValueError:
        return [None] * len(texts)


def _table(points: bytes) -> Array:
    """The numbers of a text, which may have commas between them, comments or a title."""
    cloud = text.read(points)
    return np.column_stack([cloud.placement.restore(cloud.points), *cloud.fields.values()])


def _cloud(layout: str, table: Array, labels: Sequence[bytes | None], names: Sequence[str]) -> PointCloud:
    width = 7 if layout == "normal" else 3
    if table.ndim != 2 or not len(table):
        raise ValueError("no points")
    if table.shape[1] != width:
        raise ValueError(f"a row must hold {width} numbers, got {table.shape[1]}")
    points, placement = records.placed("points", table[:, :3])
    if layout == "normal":
        fields = {name: np.ascontiguousarray(table[:, 3 + i]) for i, name in enumerate(features.KINDS["normals"])}
        return PointCloud(points, fields, _whole_numbers(table[:, 6]), placement)
    label = np.full(len(table), -1, np.int32)
    for number, (part, name) in enumerate(zip(labels, names, strict=True)):
        if part is None:
            continue
        column = _column(part, len(table), name)
        if layout == "flat":
            label = np.where(column > 0, column, label).astype(np.int32)
        elif (column > 1).any() or (column < 0).any():
            raise ValueError(
                f"{shown(name)}: must hold a 0 or 1 for each point, got {column[(column > 1) | (column < 0)][0]}"
            )
        else:
            label[column == 1] = number
    return PointCloud(points, {}, label, placement)


def _column(part: bytes, count: int, name: str) -> Array:
    """A whole number for each of ``count`` points."""
    try:
        column = numbers.digits(part)
        if column is None:
            table = numbers.table(part)
            if table.ndim != 2 or table.shape[1] != 1:
                raise ValueError(f"must hold one number a line, got {table.shape[1:]}")
            column = _whole_numbers(table[:, 0])
    except ValueError as error:
        raise ValueError(f"{shown(name)}: {error}") from None
    if len(column) != count:
        raise ValueError(f"{shown(name)}: must hold a label for each of {count:,} points, got {len(column):,}")
    return column


def _whole_numbers(column: Array) -> Array:
    whole = column.astype(np.int32)
    if (whole != column).any():
        raise ValueError(f"labels must be whole numbers, got {column[whole != column][0]:g}")
    return whole
