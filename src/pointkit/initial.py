"""A training that starts from another run: what it takes of that run's weights, and what is new. No Keras.

A layer is taken where the other run has one of its name, with weights of the same shapes. The last layer, which has a
row for each answer, is taken only where both tell the same classes, or parts, apart in the same order.
"""

from __future__ import annotations

import hashlib
import pathlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointkit import run_folder
from pointkit.cloud import Array
from pointkit.errors import RunError
from pointkit.task import Task

LAST = "logits"  # the name of the layer that gives the answers
BEST = "best/"


@dataclass(frozen=True)
class Initial:
    """The run to start from: its folder, facts, the epoch of its weights, and these by path."""

    path: pathlib.Path
    facts: Mapping[str, Any]
    epoch: int
    arrays: Mapping[str, Array]

    def taken(self, shapes: Mapping[str, tuple[int, ...]], task: Task) -> tuple[dict[str, Array], dict[str, Any]]:
        """The weights that fit a network, whose weights have these ``shapes`` by path; and the facts that a run keeps.

        Raises RunError where none fits.
        """
        layers: dict[str, list[str]] = defaultdict(list)
        for path in shapes:
            layers[path.rpartition("/")[0]].append(path)
        new = {layer: reason for layer, paths in layers.items() if (reason := self._unfit(layer, paths, shapes, task))}
        arrays = {path: self.arrays[path] for layer, paths in layers.items() if layer not in new for path in paths}
        if not arrays:
            some = "; ".join(f"{layer} ({reason})" for layer, reason in list(new.items())[:3])
            raise RunError(f"{self.path}: no layer of it fits the network to train: {some}")
        total = hashlib.sha256()
        for path in sorted(arrays):
            total.update(path.encode() + arrays[path].tobytes())
        return arrays, {
            "path": str(self.path.resolve()),
            "run": self.facts["id"],
            "epoch": self.epoch,
            "sha256": total.hexdigest(),
            "taken": [layer for layer in layers if layer not in new],
            "new": new,
        }

    def _unfit(self, layer: str, paths: list[str], shapes: Mapping[str, tuple[int, ...]], task: Task) -> str:
        """Why a layer is not taken, in words; "" where it is."""
        for path in paths:
            if path not in self.arrays:
                return "not there"
            if self.arrays[path].shape != shapes[path]:
                return f"{_size(self.arrays[path].shape)} there, {_size(shapes[path])} here"
        theirs = Task.of(self.facts)
        if layer.split("/")[0] == LAST and (theirs.classes, theirs.parts) != (task.classes, task.parts):
            return f"other {task.answers}"
        return ""


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def read(path: pathlib.Path, model: str) -> Initial:
    """The run to start from, whose network must be of the family ``model``. Raises RunError where it cannot be used."""
    facts = run_folder.read_facts(path)
    theirs = facts["settings"]["model"]
    if theirs != model:
        raise RunError(
            f"{path}: its network is {theirs}, and cannot start {model}; give --model {theirs} or another run"
        )
    checkpoint, _ = run_folder.load_checkpoint(path, (BEST,))
    if checkpoint is None or not checkpoint.arrays:
        raise RunError(f"{path}: has no trained weights to start from (its first epoch is not finished)")
    arrays = {name.removeprefix(BEST): array for name, array in checkpoint.arrays.items()}
    return Initial(path, facts, checkpoint.progress.best_epoch, arrays)


def agree(path: pathlib.Path, facts: Mapping[str, Any], init: pathlib.Path | None) -> None:
    """Raise RunError where a begun run, of these facts, did not start from ``init``. None asks nothing.

    The first run itself is not needed any more.
    """
    before = facts.get("init", {}).get("path")
    if init is not None and before != str(init.resolve()):
        began = f"it began from {before}" if before else "it began from weights of its seed"
        raise RunError(f"{path}: init of a run cannot change: {began}, got {init}; give -o another folder")


def words(facts: Mapping[str, Any]) -> str:
    """What a run took, in a line."""
    taken, new = len(facts["taken"]), facts["new"]
    fresh = f"; new: {', '.join(f'{layer} ({reason})' for layer, reason in new.items())}" if new else ""
    return f"starts from {facts['path']}, epoch {facts['epoch']}: {taken} of {taken + len(new)} layers taken{fresh}"
