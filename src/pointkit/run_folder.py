"""The layout of a run: all that a training leaves, and that evaluation and prediction need. Data, never code.

    run.json                         what was trained: settings, classes, input contract, store, versions
    checkpoint.safetensors           what a training needs to go on: progress, all weights, optimizer, random state
    checkpoint.previous.safetensors  the one before, in case the newest is damaged
    reference.safetensors            what the network pools of its training shapes, by which foreign ones are known
    stances.safetensors              how the training shapes stand, by which one that lies on its side is known
    history.csv                      one row an epoch
    .lock                            held while a training writes here

A checkpoint is one file that is renamed into place when it is complete. So epoch, weights, optimizer and random state
are always of the same moment. Its SHA-256 covers all that is in it, and it names the run that it belongs to. Only
arrays and JSON are read: a stranger's run cannot execute anything.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pathlib
import stat
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pointkit import disk
from pointkit.cloud import Array
from pointkit.config import combine
from pointkit.disk import disk_errors
from pointkit.errors import PointkitError, RunError
from pointkit.preprocess import Contract
from pointkit.task import LOSS, Choice, Task
from pointkit.trained_on import TrainedOn

VERSION = 1
FACTS = "run.json"
LEARN, STORE = "learn.json", "store"  # in a run that ``learn`` makes: what was asked for, and the run's own store
CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"
REFERENCE = "reference.safetensors"
STANCES = "stances.safetensors"
# Losses and accuracies are means over shapes, or over points. ``loss`` includes the T-Nets' penalty. ``val_loss`` is
# the cross-entropy alone, of smoothed labels where training has them. ``val_miou`` is the mean over shapes.
TRAINED, LAST = ("epoch", "loss", "accuracy"), ("learning_rate", "seconds")  # between them, the task's own figures
RULES: dict[str, type | tuple[type, ...]] = {  # what read_facts promises of run.json, key by key
    "id": str,
    "task": str,
    "classes": list,
    "settings": dict,
    "input.num_points": int,  # Contract checks the other keys of "input"
    "input.drawn": int,
    "input.seed": int,
    "parameters": int,
    "store.name": str,
    "store.path": str,
    "store.checksum": str,
    "store.shapes": dict,
    "backend": str,
}

DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError)


@dataclass
class Progress:
    """How far a training is: ``epoch`` epochs are finished, and ``batch`` batches of the next one.

    ``loss`` and ``accuracy`` are sums over the shapes of those batches, each times its weight, and ``weight`` is the
    sum of the weights. ``rate`` is the last step's. ``seconds`` is how long the epoch has taken.
    """

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    accuracy: float = 0.0
    weight: float = 0.0
    rate: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_val_loss: float = float("inf")

    def add(self, loss: float, accuracy: float, weight: float, rate: float) -> None:
        """Count a finished batch, with its mean loss and accuracy and the sum of its shapes' weights."""
        self.batch += 1
        self.loss += loss * weight
        self.accuracy += accuracy * weight
        self.weight += weight
        self.rate = rate

    def means(self) -> dict[str, float]:
        """Loss and accuracy of the epoch so far, and the rate."""
        return {"loss": self.loss / self.weight, "accuracy": self.accuracy / self.weight, "learning_rate": self.rate}

    def over(self, settings: Mapping[str, Any]) -> bool:
        """Whether a training of these settings has ended: all epochs, or ``patience`` without a better one."""
        return bool(self.epoch >= settings["epochs"] or 0 < settings["patience"] <= self.epoch - self.best_epoch)

    def finish_epoch(self, judged: Mapping[str, float], choice: Choice = LOSS) -> bool:
        """Add the epoch's row to the history, and say whether it is the best so far.

        ``judged`` are the row's figures of validation. They include ``val_loss``, which must be finite. ``choice``
        says which of them chooses the best. Of equal ones the best has the lower loss.
        """
        self.epoch += 1
        means = self.means()
        rate = means.pop("learning_rate")
        seconds = round(self.seconds, 1)
        before = self.history[self.best_epoch - 1] if self.best_epoch else None
        self.history.append({"epoch": self.epoch, **means, **judged, "learning_rate": rate, "seconds": seconds})
        self.batch = 0
        self.loss = self.accuracy = self.weight = self.seconds = 0.0
        sign = 1 if choice.highest else -1
        better = (sign * judged[choice.key], -judged["val_loss"])
        best = before is None or better > (sign * before[choice.key], -before["val_loss"])
        best = best and math.isfinite(judged["val_loss"])
        if best:
            self.best_epoch, self.best_val_loss = self.epoch, judged["val_loss"]
        return best


@dataclass
class Checkpoint:
    """Progress and arrays: weights by path under ``model/``, ``average/`` and ``best/``; ``optimizer/``; ``random/``.

    ``run`` is the "id" in the facts of the run that it belongs to.
    """

    run: str
    progress: Progress
    arrays: dict[str, Array]


def create(path: pathlib.Path) -> None:
    """Make the folder of a run, or check that what stands there is a run, or empty. Raises RunError."""
    disk.make(path, RunError)
    try:
        strangers = [entry.name for entry in path.iterdir() if not entry.name.startswith(".")]
        if strangers and not any((path / name).is_file() for name in (FACTS, LEARN)):
            raise RunError(
                f"{path}: not a run (it has no {FACTS}) and not empty (it has {min(strangers)}); give -o another folder"
            )
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from None


def check(path: pathlib.Path) -> None:
    """Raise RunError where a training could not begin in ``path``: read-only, held by another, or no run.

    It makes nothing, so a command can ask before it does what takes long.
    """
    if not path.exists():
        disk.check_room(path, RunError)
        return
    create(path)
    with locked(path):
        pass


def locked(path: pathlib.Path) -> AbstractContextManager[None]:
    """Hold a run's folder for writing. Raises RunError naming the holder; a holder that died holds nothing."""
    return disk.held(path, "trains there", lock=path / ".lock", error=RunError)


def write_facts(path: pathlib.Path, facts: Mapping[str, Any]) -> None:
    """Write run.json."""
    whole = {"format": "pointkit run", "version": VERSION, **facts}
    disk.replace(path / FACTS, (json.dumps(whole, indent=1) + "\n").encode())


def not_a_run(path: pathlib.Path, why: str) -> RunError:
    """The error for a path that should be a run, with how to make one."""
    if not path.exists():
        return RunError(f"{path}: not a run (it does not exist); make one with: pointkit train STORE -o {path}")
    store = path if (path / "manifest.json").is_file() else "STORE"
    return RunError(f"{path}: not a run ({why}); make one with: pointkit train {store} -o RUN")


def find_runs(path: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The runs that a folder stands for: itself, or its seed-* folders in order. Raises RunError for neither."""
    path = pathlib.Path(path)
    if (path / FACTS).is_file():
        return [path]
    runs = [folder for folder in path.glob("seed-*") if (folder / FACTS).is_file()]
    if not runs:
        raise not_a_run(path, f"it has no {FACTS} and no seed-*")
    return sorted(runs, key=lambda folder: (len(folder.name), folder.name))


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read run.json. Raises RunError, a line that names it, where it is no run's, damaged, or of a newer version.

    Settings that an older pointkit did not know have their defaults.
    """
    path = pathlib.Path(path)
    file = path / FACTS
    if not file.is_file():
        raise not_a_run(path, f"it has no {FACTS}")
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file}: not JSON ({error})") from None
    if not isinstance(facts, dict) or facts.get("format") != "pointkit run":
        raise RunError(f"{file}: not a run's facts (format is not 'pointkit run')")
    version = facts.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise RunError(f"{file}: damaged (version must be a whole number, found {version!r})")
    if version > VERSION:
        raise RunError(f"{path}: run version {version}, this pointkit reads up to {VERSION}; install a newer one")
    for name, kind in RULES.items():
        value: Any = facts
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RunError(f"{file}: damaged (it has no {name}, or one of another type)")
    try:
        task = Task.of(facts)
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{file}: damaged ({error})") from None
    names = [*facts["classes"], *task.answer_names, *task.features]
    if len(task.answer_names) < 2 or not all(isinstance(name, str) for name in names):
        raise RunError(f"{file}: damaged (classes, or parts, must be two names or more)")
    try:
        Contract.of_run(facts["input"])
    except (ValueError, TypeError) as error:
        raise RunError(f"{file}: damaged, or newer than this pointkit (input.{error})") from None
    init = facts.get("init", {"path": ""})
    if not isinstance(init, dict) or not isinstance(init.get("path"), str):
        raise RunError(f"{file}: damaged (init must name the path of a run)")
    try:
        TrainedOn.of_run(facts.get("trained_on"))
    except ValueError as error:
        raise RunError(f"{file}: damaged ({error})") from None
    try:
        facts["settings"] = combine(facts["settings"]).flat()
    except (PointkitError, TypeError) as error:
        raise RunError(f"{file}: damaged (settings: {error})") from None
    return facts


def save_checkpoint(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Commit a checkpoint by one rename. The one before it is kept as the previous one, for the case of a kill."""
    data = _with_checksum(checkpoint.run, json.dumps(asdict(checkpoint.progress)), checkpoint.arrays)
    disk.replace(path / CHECKPOINT, data, keep=path / PREVIOUS)


def weights_name(facts: Mapping[str, Any], progress: Progress) -> str:
    """The name of a run's best weights: the run's id, and the epoch that they are of."""
    return f"{facts['id']} epoch {progress.best_epoch}"


def save_reference(path: pathlib.Path, weights: str, arrays: Mapping[str, Array], name: str = REFERENCE) -> None:
    """Keep what a network's ``weights`` pool of its training shapes (``foreign.Reference``), by one rename.

    Or, as STANCES, how a run's training shapes stand (``trained_on.Stances``).
    """
    disk.replace(path / name, _with_checksum(weights, "", arrays))


def load_reference(path: pathlib.Path, weights: str, name: str = REFERENCE) -> dict[str, Array] | None:
    """What ``save_reference`` kept for these weights; None where there is none, or one of other weights.

    Raises one of ``DAMAGES`` where it is damaged.
    """
    file = path / name
    try:
        owner, _, arrays = _arrays(file)
    except FileNotFoundError:
        return None
    return arrays if owner == weights else None


def _with_checksum(run: str, progress: str, arrays: Mapping[str, Array]) -> bytes:
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    data: bytes = save(arrays, {"run": run, "progress": progress, "sha256": _checksum(run, progress, arrays)})
    return data


def _checksum(run: str, progress: str, arrays: Mapping[str, Array]) -> str:
    total = hashlib.sha256(json.dumps([run, progress]).encode())
    for name in sorted(arrays):
        array = arrays[name]
        total.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        total.update(array.tobytes())
    return total.hexdigest()


def has_checkpoint(path: pathlib.Path) -> bool:
    """Whether a training in ``path`` has written a checkpoint, whole or damaged."""
    return any((path / name).exists() for name in (CHECKPOINT, PREVIOUS))


def load_checkpoint(
    path: str | os.PathLike[str], prefixes: tuple[str, ...] = ("",)
) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run, None where there is none yet; and notes about damaged ones.

    Only arrays whose names begin with one of ``prefixes`` are loaded. Raises RunError where the folder is no run, and
    where all checkpoints are damaged.
    """
    path = pathlib.Path(path)
    facts = read_facts(path)
    run, columns = facts["id"], history_columns(Task.of(facts))
    problems: list[str] = []
    for name in (CHECKPOINT, PREVIOUS):
        try:
            checkpoint = _read(path / name, run, columns, prefixes)
        except FileNotFoundError:
            continue
        except DAMAGES as error:
            problems.append(f"{name}: damaged ({error})")
            continue
        return checkpoint, [f"{path / line}; falling back to the checkpoint before it" for line in problems]
    if problems:
        files = f"{CHECKPOINT} and {PREVIOUS}"
        raise RunError(f"{path}: no checkpoint can be read ({'; '.join(problems)}); delete {files} to train anew")
    return None, []


def history_columns(task: Task | type[Task]) -> tuple[str, ...]:
    """The columns of history.csv."""
    return (*TRAINED, *task.validated, *LAST)


def _read(file: pathlib.Path, run: str, columns: tuple[str, ...], prefixes: tuple[str, ...]) -> Checkpoint:
    owner, progress, arrays = _arrays(file)
    if owner != run:
        raise ValueError("it belongs to another run")
    kept = {name: array for name, array in arrays.items() if name.startswith(prefixes)}
    return Checkpoint(run, _progress(progress, columns), kept)


def _arrays(file: pathlib.Path) -> tuple[str, str, dict[str, Array]]:
    """Whose a file of ours is, the progress and the arrays in it. Raises one of ``DAMAGES`` where it is damaged."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("not a file")
    with safe_open(file, "numpy") as opened:
        metadata = opened.metadata() or {}
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
    if metadata.get("sha256") != _checksum(metadata.get("run", ""), metadata.get("progress", ""), arrays):
        raise ValueError("its checksum does not match its content")
    return metadata["run"], metadata["progress"], arrays


def _progress(text: str, columns: tuple[str, ...]) -> Progress:
    progress = Progress(**json.loads(text))
    for name, default in asdict(Progress()).items():
        if not isinstance(getattr(progress, name), (float, int) if isinstance(default, float) else type(default)):
            raise ValueError(f"{name} must be of type {type(default).__name__}")
    rows = progress.history
    if len(rows) != progress.epoch or not all(
        isinstance(row, dict)
        and tuple(row) in (columns, history_columns(Task))  # without the task's own, where no shape could be scored
        and all(isinstance(v, (float, int)) for v in row.values())
        for row in rows
    ):
        raise ValueError(f"its history must have {progress.epoch} rows of {', '.join(columns)}")
    return progress


def drop_damaged(path: pathlib.Path) -> None:
    """Replace a damaged newest checkpoint by the previous one, so that the next commit cannot lose that."""
    with disk_errors(path):
        disk.put(path / PREVIOUS, path / CHECKPOINT)


def write_history(path: pathlib.Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write history.csv, one row an epoch, unless the file has just these rows."""
    names = tuple(history[0]) if history else history_columns(Task)
    lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in history)]
    data = ("\n".join(lines) + "\n").encode()
    file = path / "history.csv"
    if not file.is_file() or file.read_bytes() != data:
        disk.replace(file, data)
