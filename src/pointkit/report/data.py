"""The page "your data": what a training will learn from, to look at before hours are spent on it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from pointkit import disk, preprocess
from pointkit.errors import PointkitError
from pointkit.report import data_uri, plots, template
from pointkit.store import SPLITS, Store

PICTURED = 24  # classes with pictures; the others are counted alone
SHAPES = 4  # pictures of each class
POINTS = 1024  # in a picture
DPI = 60


class Page:
    """The page of a store in the file ``path``. ``unread``: file and reason. Its pictures are drawn once."""

    def __init__(self, path: pathlib.Path, store: Store, unread: Sequence[tuple[str, str]] = ()) -> None:
        self.path, self.store, self.unread = path, store, unread
        self.findings: list[dict[str, Any]] = store.manifest.get("findings", [])
        self._pictures = pictured(store)

    def write(self, expected: str = "") -> None:
        """Write the page, with the time that the training is expected to take where that is known."""
        text = render(
            self.store, findings=self.findings, unread=self.unread, expected=expected, pictures=self._pictures
        )
        disk.replace(self.path, text.encode())


def check(path: pathlib.Path, force: bool = False) -> None:
    """Raise PointkitError where a page cannot be written to ``path``, before the work begins."""
    if path.suffix.lower() != ".html":
        raise PointkitError(f"{disk.shown(path)}: --page must end in .html")
    if path.exists() and not force:
        raise PointkitError(f"{disk.shown(path)}: exists already; --force replaces it, or give --page another name")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise PointkitError(f"{disk.shown(path)}: --page must lie in a folder that can be written to")


def render(
    store: Store,
    *,
    findings: Sequence[Mapping[str, Any]] = (),
    unread: Sequence[tuple[str, str]] = (),
    expected: str = "",
    pictures: Mapping[str, Sequence[bytes]] | None = None,
) -> str:
    """The page of a store, as HTML: counts, pictures of each class, ``findings``, files not read, the time expected.

    ``findings`` are those of the audit, ``unread`` has file and reason. ``pictures`` are those of ``pictured``; they
    are drawn anew where none are given.
    """
    drawn = pictured(store) if pictures is None else pictures
    page: str = template("data.html.j2").render(
        name=store.path.resolve().name,
        task=store.task,
        splits=SPLITS,
        counts=_counts(store),
        findings=findings,
        unread=unread,
        expected=expected,
        pictures={name: [data_uri(name, data) for data in some] for name, some in drawn.items()},
        legends={name: _legend(store, name) for name in drawn},
        classes=store.classes,
    )
    return page


def _counts(store: Store) -> dict[str, dict[str, int]]:
    """Class -> split -> shapes."""
    counts = {name: dict.fromkeys(SPLITS, 0) for name in store.classes}
    for row in store.rows:
        counts[row.class_name][row.split] += 1
    return counts


def pictured(store: Store) -> dict[str, list[bytes]]:
    """Class -> PNG of its first shapes, those of the training before others; parts have colours."""
    order = {split: rank for rank, split in enumerate(SPLITS)}
    shapes: dict[str, list[int]] = {name: [] for name in store.classes[:PICTURED]}
    for index in sorted(range(len(store.rows)), key=lambda i: order[store.rows[i].split]):
        some = shapes.get(store.rows[index].class_name)
        if some is not None and len(some) < SHAPES:
            some.append(index)
    return {name: [_picture(store, index) for index in some] for name, some in shapes.items()}


def _picture(store: Store, index: int) -> bytes:
    points = preprocess.normalise(store.points[store.seen(index)][:POINTS])[0]
    colors = None
    if store.point_labels is not None:
        colors = plots.part_colors(_own(store, index)[: len(points)])
    return plots.png(plots.cloud(points, colors), dpi=DPI)


def _own(store: Store, index: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The parts of a shape's points, counted from 0 within its category; -1 for none."""
    assert store.point_labels is not None
    labels = store.point_labels[store.span(index)]
    first = store.part_ids[store.rows[index].class_name].start
    return np.where(labels < 0, -1, labels - first).astype(np.int32)


def _legend(store: Store, name: str) -> list[tuple[str, str]]:
    """Name and colour of each part of a category."""
    parts = store.parts.get(name, ())
    return [(part, to_hex(color)) for part, color in zip(parts, plots.part_colors(np.arange(len(parts))), strict=True)]
