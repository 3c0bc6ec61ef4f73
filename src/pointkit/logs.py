"""A training's figures for the programs that people watch trainings with: TensorBoard, Weights & Biases, MLflow.

One object is told of each epoch and hands its figures on. Each program is an extra and is imported when it is asked
for. A small file in the run says which epochs were handed on, so that a training that was stopped or killed goes on in
the same place. A failure of such a program is a note, and the training goes on without it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from pointkit import disk
from pointkit.errors import PointkitError
from pointkit.watching import Outcome, Watcher

STATE = "log.json"
TAGS = {  # column of the history -> its name there
    "loss": "loss/training",
    "val_loss": "loss/validation",
    "accuracy": "accuracy/training",
    "val_accuracy": "accuracy/validation",
    "val_miou": "mIoU/validation",
}


class Writer(Protocol):
    """A program's own way. ``id`` names the run there, so that a later process goes on in it."""

    id: str

    def row(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Hand on the figures of an epoch."""

    def close(self) -> None:
        """Called after the last one."""


class TensorBoard:
    """Event files in RUN/tensorboard; ``tensorboard --logdir RUNS`` shows them."""

    def __init__(self, path: pathlib.Path, settings: Mapping[str, Any], known: str) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.text import metadata
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
        from tensorboard.util import tensor_util

        self.id = "tensorboard"
        self.event, self.summary = event_pb2.Event, summary_pb2.Summary
        self.writer = EventFileWriter(str(path / "tensorboard"))
        if not known:
            text = "\n".join(f"    {name} = {value}" for name, value in settings.items())
            about = metadata.create_summary_metadata(display_name="settings", description="")
            tensor = tensor_util.make_tensor_proto([text.encode()])
            self._add(0, [self.summary.Value(tag="settings", metadata=about, tensor=tensor)])

    def row(self, epoch: int, figures: Mapping[str, float]) -> None:
        self._add(epoch, [self.summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()])
        self.writer.flush()

    def _add(self, step: int, values: Sequence[Any]) -> None:
        self.writer.add_event(self.event(wall_time=time.time(), step=step, summary=self.summary(value=values)))

    def close(self) -> None:
        self.writer.close()


class WandB:
    """A run of the project WANDB_PROJECT, "pointkit" by default. WANDB_MODE=offline keeps it in RUN/wandb."""

    def __init__(self, path: pathlib.Path, settings: Mapping[str, Any], known: str) -> None:
        import wandb

        (path / "wandb").mkdir(exist_ok=True)  # wandb takes another place where it cannot write into this one
        project = os.environ.get("WANDB_PROJECT", "pointkit")
        how: dict[str, Any] = {"id": known, "resume": "allow"} if known else {}
        self.run = wandb.init(project=project, name=path.resolve().name, dir=str(path), config=dict(settings), **how)
        self.id = str(self.run.id)

    def row(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.run.log(dict(figures), step=epoch)

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A run of the experiment "pointkit" at MLFLOW_TRACKING_URI, or in RUN/mlruns where nothing is set."""

    def __init__(self, path: pathlib.Path, settings: Mapping[str, Any], known: str) -> None:
        from mlflow import MlflowClient

        place = os.environ.get("MLFLOW_TRACKING_URI")
        if not place:  # MLflow 3 asks to be told that a folder is meant
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            place = (path / "mlruns").resolve().as_uri()
        self.client = MlflowClient(place)
        if known:
            self.id = known
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "pointkit")
        there = self.client.get_experiment_by_name(name)
        experiment = there.experiment_id if there else self.client.create_experiment(name)
        self.id = str(self.client.create_run(experiment, run_name=path.resolve().name).info.run_id)
        for key, value in settings.items():
            self.client.log_param(self.id, key, value)

    def row(self, epoch: int, figures: Mapping[str, float]) -> None:
        for tag, value in figures.items():
            self.client.log_metric(self.id, tag, value, step=epoch)

    def close(self) -> None:
        self.client.set_terminated(self.id)


WRITERS: Mapping[str, Callable[[pathlib.Path, Mapping[str, Any], str], Writer]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}


def check(kind: str | None) -> None:
    """Raise PointkitError where a program's package is not installed."""
    if kind is not None and importlib.util.find_spec(kind) is None:
        raise PointkitError(f"--log {kind} needs the package {kind}; it comes with: pip install 'pointkit[{kind}]'")


class Log(Watcher):
    """Tells ``inner`` all, and hands the figures of each epoch on to a program of the ``kind``."""

    def __init__(self, kind: str, path: pathlib.Path, inner: Watcher) -> None:
        self.kind, self.path, self.inner = kind, path, inner
        self.writer: Writer | None = None
        self.logged = 0
        self.failed = False

    def begin(self, facts: Mapping[str, Any]) -> None:
        self.inner.begin(facts)
        known = self._state().get(self.kind, {})

        def start() -> None:
            self.writer = WRITERS[self.kind](self.path, facts["settings"], str(known.get("id", "")))
            self.logged = int(known.get("epochs", 0))
            self._rows(facts["history"])

        self._safely(start)

    def epoch(self, row: Mapping[str, float], best: bool) -> None:
        self.inner.epoch(row, best)
        self._safely(lambda: self._rows([row]))

    def end(self, outcome: Outcome) -> None:
        if self.writer is not None:
            self._safely(self.writer.close)
        self.inner.end(outcome)

    def step(self, epoch: int, batch: int, logs: Mapping[str, float]) -> None:
        self.inner.step(epoch, batch, logs)

    def compiling(self, what: str, seconds: float) -> None:
        self.inner.compiling(what, seconds)

    def compiled(self) -> None:
        self.inner.compiled()

    def note(self, line: str) -> None:
        self.inner.note(line)

    def _rows(self, history: Sequence[Mapping[str, float]]) -> None:
        """Hand on the rows that were not yet, and keep which these are."""
        new = [row for row in history if row["epoch"] > self.logged]
        if self.writer is None or not new:
            return
        for row in new:
            self.logged = int(row["epoch"])
            figures = {TAGS.get(name, name): float(value) for name, value in row.items() if name != "epoch"}
            self.writer.row(self.logged, figures)
        state = self._state() | {self.kind: {"id": self.writer.id, "epochs": self.logged}}
        disk.replace(self.path / STATE, json.dumps(state).encode())

    def _state(self) -> dict[str, Any]:
        try:
            found = json.loads((self.path / STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and all(isinstance(one, dict) for one in found.values()) else {}

    def _safely(self, work: Callable[[], None]) -> None:
        """Do what may fail for reasons that are not ours: a full disk, a network, another version."""
        if self.failed:
            return
        try:
            work()
        except Exception as error:
            self.failed = True
            self.inner.note(f"{self.kind} gets nothing more, the training goes on without it ({error})")


def beside(
    watch: Callable[[pathlib.Path], AbstractContextManager[Watcher]], kind: str | None
) -> Callable[[pathlib.Path], AbstractContextManager[Watcher]]:
    """``watch``, whose watchers also hand on to a program of the ``kind``; as it is for None."""
    if kind is None:
        return watch

    @contextlib.contextmanager
    def both(path: pathlib.Path) -> Iterator[Watcher]:
        with watch(path) as inner:
            yield Log(kind, path, inner)

    return both
