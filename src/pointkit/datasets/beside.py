"""Labels in files of their own, beside the clouds and meshes whose points, vertices or faces they label.

    scan_0.ply  scan_0.txt          the same name with another suffix
    100/pc.ply  100/label.npy       the only shape of a folder, and a file that is called after labels
    table/a.ply  labels/a.bin       a folder that is called after labels, with the same names

A label file belongs to a shape by its name. Which of its rows belongs to what is decided by their number alone: it
must be that of the points, of the vertices or of the faces, and of one of these only.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from pointkit import formats
from pointkit.cloud import Array, PointCloud, Shape
from pointkit.disk import shown
from pointkit.errors import PointkitError
from pointkit.formats import columns, files, numbers
from pointkit.formats.columns import LABEL, Meaning, whole_labels

Parts = tuple[str, ...]  # the folders of a path and its name
Labels = NDArray[np.int32]

RAW = (".bin", ".label")  # whole numbers as bytes
SUFFIXES = (".npy", ".txt", ".labels", ".json", ".seg", ".lab", ".csv", *RAW)
FOLDERS = (
    "labels",
    "label",
    "labelled",
    "gt",
    "ground_truth",
    "annotations",
    "annotation",
    "masks",
    "seg",
    "segmentation",
)
NAMES = (*FOLDERS, "classes", "semantic", "semantics")
BESIDE = "files beside the shapes"
_KEYS = ("labels", "label", "semantic", "semantics", "classes", "parts", "segmentation")
_LOW = 0xFFFF  # of a 32-bit code that holds an object's number above it, as SemanticKITTI's do


# ---- which label file belongs to which shape


def match(paths: Collection[Parts], readable: Collection[str]) -> dict[Parts, Parts]:
    """Shape -> its label file, among files below one folder. ``readable`` are the suffixes of shapes.

    Raises PointkitError where two files may be the labels of one shape.
    """
    found: dict[Parts, list[Parts]] = defaultdict(list)
    labels = {path for path in paths if _suffix(path) in SUFFIXES}
    shapes = {path for path in paths if _suffix(path) in readable}
    _of_the_same_name(shapes, labels, found)
    taken = {label for some in found.values() for label in some}
    _of_a_folder_of_labels(shapes - taken, labels - taken - set(found), found)
    taken = {label for some in found.values() for label in some}
    _alone_in_a_folder(shapes - taken, labels - taken - set(found), found)
    for shape, some in found.items():
        if len(some) > 1:
            first, second = ("/".join(path) for path in sorted(some)[:2])
            raise PointkitError(
                f"{shown('/'.join(shape))}: {shown(first)} and {shown(second)} may both hold its labels; "
                "move one away, or say which with --table"
            )
    return {shape: some[0] for shape, some in sorted(found.items())}


def _of_the_same_name(shapes: set[Parts], labels: set[Parts], found: dict[Parts, list[Parts]]) -> None:
    """NAME.ply and NAME.txt, or NAME.txt and NAME.labels: what may be both is the labels beside a file that may not."""
    together: dict[Parts, list[Parts]] = defaultdict(list)
    for path in shapes | labels:
        together[(*path[:-1], _stem(path))].append(path)
    for some in together.values():
        sure = [path for path in some if path not in labels] or [path for path in some if path in shapes]
        others = [path for path in some if path in labels and path not in sure]
        if len(sure) == 1 and others:
            found[sure[0]] += others


def _of_a_folder_of_labels(shapes: set[Parts], labels: set[Parts], found: dict[Parts, list[Parts]]) -> None:
    """scans/a.ply and labels/a.txt: the only shape of that name, or the one at the same place of another folder."""
    by_stem: dict[str, list[Parts]] = defaultdict(list)
    for path in shapes:
        if not any(folder.lower() in FOLDERS for folder in path[:-1]):
            by_stem[_stem(path)].append(path)
    for label in sorted(labels):
        at = next((i for i, folder in enumerate(label[:-1]) if folder.lower() in FOLDERS), None)
        some = by_stem.get(_stem(label), [])
        if at is None or not some:
            continue
        rest = (*label[:at], *label[at + 1 : -1])
        near = [path for path in some if _without_one(path[:-1], rest)]
        for one in (near, some):
            if len(one) == 1:  # labels of several shapes would be those of none
                found[one[0]].append(label)
                break


def _without_one(folders: Parts, rest: Parts) -> bool:
    """Whether folders are those of ``rest``, or those with one more (such as points/)."""
    return folders == rest or any((*folders[:i], *folders[i + 1 :]) == rest for i in range(len(folders)))


def _alone_in_a_folder(shapes: set[Parts], labels: set[Parts], found: dict[Parts, list[Parts]]) -> None:
    """100/pc.ply and 100/label.npy."""
    inside: dict[Parts, list[Parts]] = defaultdict(list)
    for path in shapes:
        if not (path in labels and _stem(path).lower() in NAMES):
            inside[path[:-1]].append(path)
    for label in sorted(labels):
        some = inside.get(label[:-1], [])
        if _stem(label).lower() in NAMES and len(some) == 1 and not found.get(some[0]):
            found[some[0]].append(label)


def _suffix(path: Parts) -> str:
    return os.path.splitext(path[-1])[1].lower()


def _stem(path: Parts) -> str:
    return os.path.splitext(path[-1])[0]


# ---- a shape with its labels


def load(path: pathlib.Path, label_file: pathlib.Path, meaning: Meaning) -> tuple[Shape, tuple[str, ...]]:
    """The shape in a file with the labels of another file, and what these are: ``BESIDE``, and equal fields of its own.

    The user's field may be a list in a JSON file, else it is one of the shape's own. Then, and beside a JSON file
    without labels, the shape comes as it is, with no such words. Raises ValueError where the number of labels is not
    that of the points, vertices or faces, or is that of several; and where the shape has other labels of its own.
    """
    shape = formats.read(path, meaning=meaning)
    if meaning.label_field and (label_file.suffix.lower() != ".json" or columns.label_field(shape, meaning)):
        return shape, ()
    given = _read(label_file, _counts(shape), meaning.label_field)
    if given is None:
        return shape, ()
    what, labels = given
    own = None if meaning.label_field else columns.labels_and_fields(shape)
    ours = _on(shape, what, labels)
    theirs = columns.labels_of(ours)
    if own is not None and theirs is not None and not np.array_equal(own.codes, theirs):
        name = next(iter(own.fields), LABEL)
        raise ValueError(
            f"has labels of its own (the field {name}), and {shown(label_file.name)} beside it holds others; "
            f"--label-field {name} takes its own"
        )
    return ours, (BESIDE, *(own.fields if own else ()))


def _counts(shape: Shape) -> dict[str, int]:
    """What labels may belong to -> how many the file has."""
    if isinstance(shape, PointCloud):
        return {"points": len(shape.points) + shape.left_out}
    faces = len(shape.faces) if shape.polygons is None else int(shape.polygons.max(initial=-1)) + 1
    vertices = len(shape.vertices if shape.there is None else shape.there)
    return {"vertices": vertices, **({"faces": faces} if faces else {})}


def _on(shape: Shape, what: str, labels: Labels) -> Shape:
    if isinstance(shape, PointCloud):
        kept = labels if shape.there is None else labels[shape.there]
        others = {name: field for name, field in shape.fields.items() if name != LABEL}
        return dataclasses.replace(shape, labels=kept, fields=others)
    if not len(shape.faces):
        raise ValueError("has labels beside it, and no faces; save it as a cloud")
    if what == "faces":
        labels = labels if shape.polygons is None else labels[shape.polygons]
        others = {name: field for name, field in shape.face_fields.items() if columns.plain(name) not in columns.LABELS}
        return dataclasses.replace(shape, face_fields={**others, LABEL: labels}, vertex_fields={})
    labels = labels if shape.there is None else labels[shape.there]
    return dataclasses.replace(shape, face_fields={LABEL: columns.of_corners(shape.faces, labels)}, vertex_fields={})


def _read(path: pathlib.Path, counts: Mapping[str, int], key: str) -> tuple[str, Labels] | None:
    """What the labels of a file belong to, and the labels; None for a JSON file that holds none."""
    suffix, name = path.suffix.lower(), shown(path.name)
    data = files.load(path)
    try:
        if suffix in RAW and not _is_text(data):
            return _raw(data, counts)
        table = _from_json(data, key) if suffix == ".json" else _array(data) if suffix == ".npy" else _text(data)
        if table is None:
            return None
        labels = whole_labels("labels", table)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    fits = [what for what, count in counts.items() if count == len(labels)]
    if len(fits) != 1:
        there = " and ".join(f"{count:,} {what}" for what, count in counts.items())
        raise ValueError(f"{name} holds {len(labels):,} labels, and the file has {there}" + _both(fits))
    return fits[0], labels


def _both(fits: Iterable[str]) -> str:
    return f": they may be those of {' or '.join(fits)}" if any(fits) else ""


def _is_text(data: bytes) -> bool:
    return re.fullmatch(rb"[\s\d,;.+eE-]*", data[:4096]) is not None and any(byte in b"\n\r" for byte in data[:4096])


def _raw(data: bytes, counts: Mapping[str, int]) -> tuple[str, Labels]:
    """Whole numbers of one, two, four or eight bytes: their size follows from the number of rows."""
    fits = [
        (what, len(data) // count) for what, count in counts.items() if len(data) in (count * n for n in (1, 2, 4, 8))
    ]
    if len(fits) != 1:
        there = " and ".join(f"{count:,} {what}" for what, count in counts.items())
        raise ValueError(
            f"{len(data):,} bytes must be 1, 2, 4 or 8 for each of {there}" + _both(what for what, _ in fits)
        )
    what, size = fits[0]
    codes = np.frombuffer(data, f"<i{size}")
    if size == 4 and (codes.view("<u4") > _LOW).any() and codes.min() >= 0:
        codes = codes & _LOW
    return what, whole_labels("labels", codes)


def _text(data: bytes) -> Array:
    """One number a line; a title, comments and separators are passed over."""
    text = re.sub(rb"(?:#|//)[^\n]*", b"", data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n"))
    head, _, rest = text.lstrip().partition(b"\n")
    if re.fullmatch(rb"[\"']?[A-Za-z_][\w. -]*[\"']?\s*", head):
        text = rest
    table = numbers.table(text.translate(bytes.maketrans(b",;", b"  ")))
    if table.ndim == 2 and table.shape[0] == 1:
        table = table.T
    if table.ndim != 2 or table.shape[1] != 1:
        raise ValueError(f"must hold one label a line, got {table.shape[-1]} numbers")
    column: Array = table[:, 0]
    return column


def _array(data: bytes) -> Array:
    with files.foreign("NumPy"):
        array: Array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.size != max(array.shape, default=0) or array.dtype.kind not in "biuf":
        raise ValueError(f"must hold one label each, got an array {array.shape} of {array.dtype}")
    return array.reshape(-1)


def _from_json(data: bytes, key: str) -> Array | None:
    """The list of labels in a JSON file: the file itself, or what it has under a usual name or the user's."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None
    if isinstance(value, dict):
        names = [key] if key else [name for name in value if str(name).lower() in _KEYS]
        lists = [value[name] for name in names if isinstance(value.get(name), list)]
        if len(lists) > 1:
            raise ValueError(f"several lists may be the labels: {', '.join(names)}; --label-field says which")
        value = lists[0] if lists else None
    if not isinstance(value, list):
        return None
    array = np.asarray(value) if all(isinstance(code, int | float) for code in value) else None
    if array is None or not len(array):
        raise ValueError("labels must be a list of whole numbers")
    return array
