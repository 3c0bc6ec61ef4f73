"""The prepared set on disk: a folder of arrays and two texts, written whole or not at all, memory-mapped, no pickle.

    points.npy     (T, 3) float32, all shapes one after another, each shape's points in random order
    point_labels.npy  (T,) int32, only in a store of parts: ids from 0 that run on over the categories by name, and over
                   each one's parts in the data set's order; -1 = unlabelled
    features.npy   (T, C) float32, what else is known of each point, such as normals; not in every store
    shapes.csv     ident, file, split, class, category, group, offset, count: one line a shape; where a shape has stray
                   points (``stray``) also their number; they are its last ones
    manifest.json  format version, task, classes (categories) in order, names of the parts, counts, how the points were
                   drawn, checksums of all files

A store never changes once it is written: ``write`` replaces it by a whole new one.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit.cards import Card, Carded
from pointkit.cloud import Array, Float32, Sample
from pointkit.disk import csv_rows, csv_text, digest, disk_errors, file_digest, making, sync
from pointkit.errors import StoreError
from pointkit.task import Task

VERSION = 1
SPLITS = ("train", "val", "test")
ARRAYS = ("points.npy", "point_labels.npy", "features.npy")  # in the order of a Sample's fields
COLUMNS = ("ident", "file", "split", "class", "category", "group", "offset", "count")
STRAYS = "stray"  # a further column where a shape has stray points


@dataclass(frozen=True)
class ShapeRow:
    """One shape of a store.

    ``ident`` names it within the set (its path without suffix). ``file`` is the path that it was read from, relative to
    the set's folder. Shapes of one ``group`` must stay on one side of a split. Its points are ``offset : offset +
    count`` of points.npy; ``write`` sets these two. The last ``strays`` of them are stray points.
    """

    ident: str
    file: str
    split: str
    class_name: str
    offset: int = 0
    count: int = 0
    group: str = ""
    strays: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Store(Carded):
    """A prepared set, opened. Its arrays are memory-mapped and read-only.

    ``points`` (T, 3) float32; ``point_labels`` (T,) int32 and ``features`` (T, C) float32, or None.
    """

    path: pathlib.Path
    manifest: dict[str, Any]
    rows: tuple[ShapeRow, ...]
    points: Float32
    point_labels: NDArray[np.int32] | None = None
    features: Float32 | None = None

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_store(self)

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a class's index here is its id."""
        return tuple(self.manifest["classes"])

    @property
    def checksum(self) -> str:
        """One SHA-256 over all points and rows, by which runs and reports name their store."""
        names = ("shapes.csv", *ARRAYS)
        data = {name: self.manifest["checksums"][name] for name in names if name in self.manifest["checksums"]}
        return digest(json.dumps(data, sort_keys=True).encode())

    @cached_property
    def task(self) -> Task:
        """The task that can be learned from the store."""
        return Task.of(self.manifest)

    @property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """Category -> names of its parts, in the order of the categories; empty in a store of classes."""
        return self.task.parts

    @property
    def part_ids(self) -> Mapping[str, range]:
        """Category -> the ids that its parts have in ``point_labels``."""
        return self.task.part_ids

    @property
    def imbalanced(self) -> bool:
        """Whether the audit found far more training shapes of some classes, or parts, than of others."""
        return any(finding["kind"] == "imbalance" for finding in self.manifest.get("findings", ()))

    def columns(self, names: Sequence[str]) -> list[int]:
        """The columns of ``features`` with these names. Raises StoreError where there is none."""
        there = self.task.features
        if missing := [name for name in names if name not in there]:
            found = ", ".join(there) or "none"
            why = f"features kept are {found} (prepare --features keeps what the files have)"
            raise StoreError(f"{self.path}: its points have no {', '.join(missing)}; {why}")
        return [there.index(name) for name in names]

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """Class ids (S,) int32, in the order of ``rows``."""
        ids = {name: i for i, name in enumerate(self.classes)}
        return np.array([ids[row.class_name] for row in self.rows], np.int32)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many points of each shape a network sees (S,): all but the stray ones."""
        return np.array([row.count - row.strays for row in self.rows], np.int64)

    def select(self, split: str) -> NDArray[np.int64]:
        """Indices of a split's shapes, in the order of ``rows``."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        return np.array([i for i, row in enumerate(self.rows) if row.split == split], np.int64)

    def check_uncut(self) -> None:
        """Raise StoreError where an array's file was cut since it was opened: reading on would end the process."""
        for name, array in zip(ARRAYS, (self.points, self.point_labels, self.features), strict=True):
            if not isinstance(array, np.memmap):
                continue
            file, needed = self.path / name, array.offset + array.nbytes
            try:
                size = file.stat().st_size
            except OSError:  # removed, or just being replaced: what is mapped stays
                continue
            if size < needed:
                raise StoreError(f"{file}: was cut from {needed} to {size} bytes while in use")

    def cloud(self, index: int) -> Float32:
        """The points (count, 3) of one shape."""
        return self.points[self.span(index)]

    def span(self, index: int) -> slice:
        """Where the points of one shape are."""
        row = self.rows[index]
        return slice(row.offset, row.offset + row.count)

    def seen(self, index: int) -> slice:
        """Where the points of one shape are that a network sees: all but the stray ones."""
        row = self.rows[index]
        return slice(row.offset, row.offset + row.count - row.strays)


def write(
    path: str | os.PathLike[str],
    shapes: Iterable[tuple[ShapeRow, Float32 | Sample]],
    classes: Sequence[str],
    facts: dict[str, Any],
    extra_files: dict[str, str] | None = None,
    examine: Callable[[Store], dict[str, Any]] | None = None,
) -> Store:
    """Write a store of ``shapes`` (row, points (count, 3) float32) under ``path``, in an older one's place; open it.

    A ``Sample`` instead of the points brings labels and features; either all shapes have them or none. Offsets and
    counts of the rows are set here. ``facts`` go into the manifest (source, licence, seed, how drawn). ``extra_files``:
    name -> text of further files, such as the list of unread ones. ``examine`` is called with the finished store before
    it is in its place; what it gives goes into the manifest, too. The same shapes give the same bytes. Raises
    StoreError where ``path`` is something other than a store, PointkitError where it cannot be written, MachineError
    where the disk is full.
    """
    path = pathlib.Path(path).absolute()
    refuse_strangers(path)
    with disk_errors(path), making(path) as staging:
        staging.mkdir(parents=True)
        manifest = _fill(staging, shapes, classes, facts, extra_files or {})
        _seal(staging, manifest)
        if examine:
            _seal(staging, {**manifest, **examine(open(staging))})
        for file_path in (*staging.iterdir(), staging):
            sync(file_path)
    return open(path)


def _fill(
    staging: pathlib.Path,
    shapes: Iterable[tuple[ShapeRow, Float32 | Sample]],
    classes: Sequence[str],
    facts: dict[str, Any],
    extra_files: dict[str, str],
) -> dict[str, Any]:
    """Write all files but the manifest, and give that."""
    rows: list[ShapeRow] = []
    total = 0
    arrays: dict[str, _Growing] = {}
    with ExitStack() as stack:
        for row, points in shapes:
            sample = points if isinstance(points, Sample) else Sample(points)
            given = {name: array for name, array in zip(ARRAYS, sample, strict=True) if array is not None}
            if not rows:
                arrays = {name: stack.enter_context(_Growing(staging / name, array)) for name, array in given.items()}
            if given.keys() != arrays.keys():
                raise ValueError(f"{row.ident}: must have {', '.join(arrays)} like the shapes before, got {[*given]}")
            for name, array in given.items():
                arrays[name].add(array)
            rows.append(replace(row, offset=total, count=len(sample.points)))
            total += len(sample.points)
        if not rows:
            stack.enter_context(_Growing(staging / "points.npy", np.empty((0, 3), "<f4")))
    in_parts = ARRAYS[1] in arrays  # the class is a category, which has a column of its own
    strays = any(row.strays for row in rows)
    lines = (
        (r.ident, r.file, r.split, r.class_name, r.class_name if in_parts else "", r.group, r.offset, r.count)
        + ((r.strays,) if strays else ())
        for r in rows
    )
    texts = {"shapes.csv": csv_text((*COLUMNS, STRAYS) if strays else COLUMNS, lines), **extra_files}
    for name, text in texts.items():
        (staging / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return {
        "format": "pointkit store",
        "version": VERSION,
        **facts,
        "classes": list(classes),
        "num_shapes": len(rows),
        "total_points": total,
        "checksums": {name: file_digest(staging / name) for name in (*(arrays or ["points.npy"]), *texts)},
    }


def _seal(staging: pathlib.Path, manifest: dict[str, Any]) -> None:
    """Write the manifest with its own checksum."""
    checksums = {**manifest["checksums"], "manifest.json": _manifest_digest(manifest)}
    (staging / "manifest.json").write_text(_manifest_text({**manifest, "checksums": checksums}), encoding="utf-8")


class _Growing:
    """An array on the disk that grows along its first axis. An ``example`` gives its type and other axes."""

    def __init__(self, path: pathlib.Path, example: Array) -> None:
        self.kind, self.shape = example.dtype.newbyteorder("<"), example.shape[1:]
        self.total = 0
        self.file = path.open("wb")
        self.file.write(_header(self.kind.str, (0, *self.shape)))

    def add(self, array: Array) -> None:
        self.file.write(np.ascontiguousarray(array, self.kind).data)
        self.total += len(array)

    def __enter__(self) -> _Growing:
        return self

    def __exit__(self, *_: object) -> None:
        with self.file:
            self.file.seek(0)
            self.file.write(_header(self.kind.str, (self.total, *self.shape)))


def _header(kind: str, shape: tuple[int, ...]) -> bytes:
    """The header of an array's file. NumPy leaves room for a first axis of any length, so its length is fixed."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _manifest_text(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=1) + "\n"


def _manifest_digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest without its own checksum."""
    others = {name: value for name, value in manifest["checksums"].items() if name != "manifest.json"}
    return digest(_manifest_text({**manifest, "checksums": others}).encode())


def refuse_strangers(path: pathlib.Path) -> None:
    """Raise StoreError for a path that is neither a store nor an empty folder, as it must not be replaced."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.is_symlink() or path.exists():
        try:
            read_manifest(path)
        except StoreError:
            raise StoreError(f"{path}: exists and is not a store, so it is not replaced; choose another name") from None


def read_manifest(folder: pathlib.Path) -> dict[str, Any]:
    """The facts of a store. Raises StoreError, one line that names the folder, where it is none or too new."""
    file = folder / "manifest.json"
    if not file.is_file():
        why = "it has no manifest.json" if folder.exists() else "it does not exist"
        theirs = folder.is_dir() and any(
            folder.iterdir()
        )  # the user's files: `prepare` reads them, and must not replace them
        command = f"{folder} -o STORE" if theirs else f"FOLDER -o {folder}"
        raise StoreError(f"{folder}: not a store ({why}); make one with: pointkit prepare {command}")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file}: not JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != "pointkit store":
        raise StoreError(f"{file}: not a store's manifest (format is not 'pointkit store')")
    version = manifest.get("version")
    if not isinstance(version, int):
        raise StoreError(f"{file}: damaged (version must be a whole number, found {version!r})")
    if version > VERSION:
        raise StoreError(f"{folder}: store version {version}, this pointkit reads up to {VERSION}; install a newer one")
    for key, kind in (("classes", list), ("num_shapes", int), ("checksums", dict)):
        if not isinstance(manifest.get(key), kind):
            raise StoreError(f"{file}: damaged (it has no {key})")
    for key, kind in (("parts", dict), ("features", list)):
        if not isinstance(manifest.get(key, kind()), kind):
            raise StoreError(f"{file}: damaged ({key} must be a {kind.__name__})")
    try:
        Task.of(manifest)
    except (ValueError, TypeError) as error:
        raise StoreError(f"{file}: damaged ({error})") from None
    return manifest


def open(path: str | os.PathLike[str]) -> Store:
    """Open a store. Raises StoreError, one line that names the folder, where it is none, cut, or of a newer version."""
    folder = pathlib.Path(path)
    manifest = read_manifest(folder)
    try:
        rows = tuple(map(_row, csv_rows(folder / "shapes.csv")))
        total = _check_rows(rows, manifest)
        points = _map(folder / "points.npy", "<f4", (total, 3))
        columns = len(manifest.get("features", ()))
        labels = _map(folder / "point_labels.npy", "<i4", (total,)) if Task.of(manifest).labels_points else None
        features = _map(folder / "features.npy", "<f4", (total, columns)) if columns else None
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise StoreError(f"{folder}: damaged store ({error})") from None
    return Store(folder, manifest, rows, points, labels, features)


def _row(r: dict[str, str]) -> ShapeRow:
    return ShapeRow(
        ident=r["ident"],
        file=r["file"],
        split=r["split"],
        class_name=r["class"],
        offset=int(r["offset"]),
        count=int(r["count"]),
        group=r["group"],
        strays=int(r.get(STRAYS) or 0),
    )


def _check_rows(rows: Sequence[ShapeRow], manifest: dict[str, Any]) -> int:
    """The number of all points. Raises ValueError where the rows cannot be those of a store."""
    total = 0
    for row in rows:
        if row.offset != total or row.count < 1:
            raise ValueError(f"shapes.csv has {row.count} points at {row.offset}, where {total} must be")
        if not 0 <= row.strays < row.count:
            raise ValueError(f"shapes.csv has {row.strays} stray points among {row.count}")
        if row.class_name not in manifest["classes"]:
            raise ValueError(f"shapes.csv has the class {row.class_name!r}, manifest.json does not")
        if row.split not in SPLITS:
            raise ValueError(f"shapes.csv has the split {row.split!r}, not one of {', '.join(SPLITS)}")
        total += row.count
    if len(rows) != manifest["num_shapes"]:
        raise ValueError(f"shapes.csv has {len(rows)} shapes, manifest.json says {manifest['num_shapes']}")
    return total


def _map(path: pathlib.Path, kind: str, shape: tuple[int, ...]) -> Array:
    """An array of ``shape``, memory-mapped after a check that the file holds exactly that."""
    header = _header(kind, shape)
    wanted = len(header) + np.dtype(kind).itemsize * math.prod(shape)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != wanted:
            raise ValueError(f"{path.name} must have {wanted} bytes for {shape[0]} points, found {size}")
        if file.read(len(header)) != header:
            raise ValueError(f"{path.name} must begin as an array of {shape} {np.dtype(kind).name}")
    return np.memmap(path, kind, "r", len(header), shape)


def verify(store: Store) -> None:
    """Compare every file's SHA-256 with the manifest's. Raises StoreError for the first that differs."""
    for name, expected in store.manifest["checksums"].items():
        path = store.path / name
        try:
            found = _manifest_file_digest(store.path) if name == "manifest.json" else file_digest(path)
        except OSError as error:
            raise StoreError(f"{path}: damaged ({error.strerror})") from None
        if found != expected:
            raise StoreError(f"{path}: damaged (SHA-256 {found[:12]}..., the manifest says {str(expected)[:12]}...)")


def _manifest_file_digest(folder: pathlib.Path) -> str:
    manifest = read_manifest(folder)
    if (folder / "manifest.json").read_bytes() != _manifest_text(manifest).encode():
        raise StoreError(f"{folder / 'manifest.json'}: damaged (its text is not as it was written)")
    return _manifest_digest(manifest)
