"""The prepared set on disk: a folder of arrays and two texts, written whole or not at all, memory-mapped, no pickle.

    points.npy     (T, 3) float32, all shapes one after another, each shape's points in random order
    shapes.csv     ident, file, split, class, category, group, offset, count: one line a shape
    manifest.json  format version, task, classes in order, counts, checksums, how the points were drawn

A store never changes once it stands: ``write`` fills a folder beside the place and renames it into it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Float32
from pointkit.errors import StoreError

VERSION = 1
SPLITS = ("train", "val", "test")
COLUMNS = ("ident", "file", "split", "class", "category", "group", "offset", "count")


@dataclass(frozen=True)
class ShapeRow:
    """One shape of a store.

    ``ident`` names it within the set (its path without suffix), ``file`` is the path it was read from, relative to the set's folder;
    ``group`` is the key that must stay on one side of a split; its points are ``offset : offset + count`` of points.npy.
    """

    ident: str
    file: str
    split: str
    class_name: str
    offset: int
    count: int
    category: str = ""
    group: str = ""


@dataclass(frozen=True, eq=False)
class Store:
    """A prepared set, opened. ``points`` (T, 3) float32 is memory-mapped and read-only."""

    path: pathlib.Path
    manifest: dict[str, Any]
    rows: tuple[ShapeRow, ...]
    points: Float32

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a class's place here is its id."""
        return tuple(self.manifest["classes"])

    @property
    def checksum(self) -> str:
        """One SHA-256 over the whole store: the key by which runs and reports say on what they stand."""
        return digest(json.dumps(self.manifest["checksums"], sort_keys=True).encode())

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """Class ids (S,) int32, in the order of ``rows``."""
        ids = {name: i for i, name in enumerate(self.classes)}
        return np.array([ids[row.class_name] for row in self.rows], np.int32)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        return np.array([row.offset for row in self.rows], np.int64)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        return np.array([row.count for row in self.rows], np.int64)

    def select(self, split: str) -> NDArray[np.int64]:
        """Indices of a split's shapes, in the order of ``rows``."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        return np.array([i for i, row in enumerate(self.rows) if row.split == split], np.int64)

    def cloud(self, index: int) -> Float32:
        """The points (count, 3) of one shape."""
        row = self.rows[index]
        return self.points[row.offset : row.offset + row.count]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(
    path: pathlib.Path,
    shapes: Iterable[tuple[ShapeRow, Float32]],
    classes: Sequence[str],
    facts: dict[str, Any],
    extra_files: dict[str, str] | None = None,
) -> Store:
    """Write a store of ``shapes`` (row, points (count, 3) float32) under ``path`` and open it; an older store there is replaced.

    Offsets and counts of the rows are set here. ``facts`` go into the manifest (source, licence, seed, how drawn);
    ``extra_files``: name -> text, kept beside (what could not be read). The same shapes give the same bytes.
    """
    staging = path.with_name(path.name + ".writing")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    rows: list[ShapeRow] = []
    total = 0
    raw = staging / "points.raw"
    with raw.open("wb") as file:
        for row, points in shapes:
            file.write(np.ascontiguousarray(points, "<f4").tobytes())
            rows.append(ShapeRow(**{**row.__dict__, "offset": total, "count": len(points)}))
            total += len(points)
    with (staging / "points.npy").open("wb") as file, raw.open("rb") as source:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (total, 3)})
        shutil.copyfileobj(source, file, 1 << 20)
    raw.unlink()
    with (staging / "shapes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(
            (r.ident, r.file, r.split, r.class_name, r.category, r.group, r.offset, r.count) for r in rows
        )
    for name, text in (extra_files or {}).items():
        (staging / name).write_text(text, encoding="utf-8")
    manifest = {
        "format": "pointkit store",
        "version": VERSION,
        **facts,
        "classes": list(classes),
        "num_shapes": len(rows),
        "num_points": total,
        "checksums": {name: file_digest(staging / name) for name in ("points.npy", "shapes.csv")},
    }
    (staging / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    for file_path in staging.iterdir():
        sync(file_path)
    old = path.with_name(path.name + ".replaced")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    staging.rename(path)
    sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)
    return open(path)


def sync(path: pathlib.Path) -> None:
    """Have the system put a file or folder on the disk now, so that a rename after it cannot outrun it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open(path: str | os.PathLike[str]) -> Store:
    """Open a store. Raises StoreError, one line that names the folder, where it is none, is cut, or is of a newer version."""
    folder = pathlib.Path(path)
    manifest_path = folder / "manifest.json"
    if not manifest_path.is_file():
        raise StoreError(f"{folder}: not a store (it has no manifest.json); make one with: pointkit prepare FOLDER -o {folder}")
    try:
        manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{manifest_path}: not JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != "pointkit store":
        raise StoreError(f"{manifest_path}: not a store's manifest (format is not 'pointkit store')")
    if manifest["version"] > VERSION:
        raise StoreError(f"{folder}: store version {manifest['version']}, this pointkit reads up to {VERSION}; install a newer one")
    try:
        rows = _read_rows(folder / "shapes.csv")
        points = np.load(folder / "points.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder}: damaged store ({error})") from None
    total = sum(row.count for row in rows)
    if points.shape != (total, 3) or points.dtype != np.float32 or len(rows) != manifest["num_shapes"]:
        raise StoreError(f"{folder}: damaged store (points.npy holds {points.shape} {points.dtype}, shapes.csv says ({total}, 3) float32)")
    unknown = {row.class_name for row in rows} - set(manifest["classes"])
    if unknown:
        raise StoreError(f"{folder}: damaged store (shapes.csv has the class {min(unknown)!r}, manifest.json does not)")
    return Store(folder, manifest, rows, points)


def _read_rows(path: pathlib.Path) -> tuple[ShapeRow, ...]:
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            ShapeRow(
                r["ident"], r["file"], r["split"], r["class"], int(r["offset"]), int(r["count"]), r["category"], r["group"]
            )
            for r in csv.DictReader(file)
        )


def verify(store: Store) -> None:
    """Compare every file's SHA-256 with the manifest. Raises StoreError that names the first that differs."""
    for name, expected in store.manifest["checksums"].items():
        found = file_digest(store.path / name)
        if found != expected:
            raise StoreError(f"{store.path / name}: damaged (SHA-256 {found[:12]}..., the manifest says {expected[:12]}...)")
