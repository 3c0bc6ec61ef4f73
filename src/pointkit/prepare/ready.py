"""Whether a store can be trained on: ``prepare`` proposes it, and ``train`` refuses, by these rules alone."""

from __future__ import annotations

from collections import defaultdict

from pointkit.disk import shown
from pointkit.store import Store

LEAST = 3  # shapes, or groups, of a class: one each to train, choose and test by


def lacks(store: Store) -> str:
    """What a store lacks to be trained on, in words; "" for nothing."""
    task = store.task
    if len(task.answer_names) < 2:
        return f"training needs two {task.answers} to tell apart, found {_few(list(task.answer_names)) or 'none'} alone"
    for split in ("train", "val"):
        if not len(store.select(split)):
            return f"training needs shapes in the split {split}, found none" + (
                f"; {need}" if (need := _needed(store)) else ""
            )
    trained = {row.class_name for row in store.rows if row.split == "train"}
    if missing := [name for name in store.classes if name not in trained]:
        return f"every {task.group[0]} needs training shapes, found none for {_few(missing)}"
    return ""


def too_few(store: Store) -> str:
    """The classes with too few shapes for a split that was made here, in words; "" for none."""
    made_here = not str(store.manifest.get("split", "official")).startswith("official")
    return _needed(store) if made_here else ""


def _needed(store: Store) -> str:
    small = _small(store)
    rule = f"a split needs at least {LEAST} shapes (or groups) of each {store.task.group[0]}"
    return f"{rule}, found {_few(small)}" if small else ""


def _small(store: Store) -> list[str]:
    groups: dict[str, set[str]] = defaultdict(set)
    for row in store.rows:
        groups[row.class_name].add(row.group or row.ident)
    return [f"{name} ({len(groups[name])})" for name in store.classes if len(groups[name]) < LEAST]


def _few(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more
