"""What is wrong with a set, found before hours of training are lost on it.

Each check is a function from what is looked at to findings, with an entry in ``CHECKS``. A further check is one more
entry. Findings come in the order of ``KINDS``, those that make a training worthless first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pointkit.audit import copied, files, labels
from pointkit.audit.finding import Finding, facts, kept
from pointkit.audit.looked import Looked
from pointkit.store import Store

__all__ = ["CHECKS", "KINDS", "Finding", "facts", "kept", "of_store"]

KINDS = (  # worst first
    "object-numbers",
    "part-without-training",
    "few-shapes",
    "class-in-one-split",
    "copies",
    "unlabelled-code",
    "size",
    "up-axis",
    "stray-points",
    "degenerate",
    "features",
    "density",
    "imbalance",
    "empty",
)

CHECKS: tuple[Callable[[Looked], Iterator[Finding]], ...] = (
    labels.object_numbers,
    labels.without_training,
    labels.too_few,
    labels.in_one_split,
    copied.find,
    labels.unlabelled_codes,
    files.told_by_size,
    files.sizes,
    files.lying,
    files.stray_points,
    files.degenerate,
    files.feature_ranges,
    files.densities,
    labels.imbalance,
    files.empty,
)


def of_store(store: Store, read: Callable[[int], Any] | None = None) -> list[Finding]:
    """What is wrong with a store, worst first. ``read`` gives the shape in the file of a row, where it still can."""
    if not store.rows:
        return []
    looked = Looked(store, read)
    found = [finding for check in CHECKS for finding in check(looked)]
    return sorted(found, key=lambda one: (not one.stops, KINDS.index(one.kind)))
