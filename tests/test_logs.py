"""Figures for other programs: each epoch once and in order, whatever happens, and the training first."""

import importlib.util
import json

import pytest

from pointkit import logs
from pointkit.errors import PointkitError
from pointkit.logs import STATE, Log
from pointkit.watching import Outcome, Silent

SETTINGS = {"model": "small", "epochs": 3, "learning_rate": 0.001, "features": "none"}


def row(epoch):
    figures = {"loss": 1 / epoch, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25}
    return {"epoch": epoch, **figures, "learning_rate": 0.001, "seconds": 1.0}


class Notes(Silent):
    """Keeps what the inner watcher is told."""

    def __init__(self):
        self.calls, self.notes = [], []

    def begin(self, facts):
        self.calls.append("begin")

    def step(self, epoch, batch, logs):
        self.calls.append("step")

    def epoch(self, row, best):
        self.calls.append(("epoch", row["epoch"], best))

    def compiling(self, what, seconds):
        self.calls.append(("compiling", what, seconds))

    def compiled(self):
        self.calls.append("compiled")

    def end(self, outcome):
        self.calls.append("end")

    def note(self, line):
        self.notes.append(line)


class Rows:
    """Takes a program's place. All that it got is in ``got``."""

    def __init__(self, path, settings, known):
        self.id = known or "run-1"
        Rows.known.append(known)

    def row(self, epoch, figures):
        if epoch == Rows.fails:
            raise OSError("no space left")
        Rows.got.append((epoch, dict(figures)))

    def close(self):
        Rows.got.append("closed")


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setitem(logs.WRITERS, "wandb", Rows)
    Rows.got, Rows.known, Rows.fails = [], [], 0
    return Rows


def trained(path, kind="wandb", done=0, until=3, ended=True):
    """A training's calls from epoch ``done`` on."""
    inner = Notes()
    log = Log(kind, path, inner)
    log.begin({"settings": SETTINGS, "history": [row(e) for e in range(1, done + 1)]})
    for epoch in range(done + 1, until + 1):
        log.step(epoch, 1, {})
        log.epoch(row(epoch), epoch == 2)
    if ended:
        log.end(Outcome(path, [], 2, False))
    return inner


def test_each_epoch_is_handed_on_under_names_that_speak(rows, tmp_path):
    inner = trained(tmp_path)
    assert [one if one == "closed" else one[0] for one in rows.got] == [1, 2, 3, "closed"]
    assert rows.got[0][1] == {
        "loss/training": 1.0,
        "accuracy/training": 0.5,
        "loss/validation": 2.0,
        "accuracy/validation": 0.25,
        "learning_rate": 0.001,
        "seconds": 1.0,
    }
    assert json.loads((tmp_path / STATE).read_text()) == {"wandb": {"id": "run-1", "epochs": 3}}
    steps = [("epoch", epoch, epoch == 2) for epoch in (1, 2, 3)]
    assert inner.calls == ["begin", "step", steps[0], "step", steps[1], "step", steps[2], "end"]


def test_a_training_that_goes_on_hands_on_each_epoch_once(rows, tmp_path):
    trained(tmp_path, until=2, ended=False)
    trained(tmp_path, done=3, until=4)  # killed after epoch 3 was committed, and before it was handed on
    assert [one[0] for one in rows.got if one != "closed"] == [1, 2, 3, 4]
    assert rows.known == ["", "run-1"]


def test_a_program_that_fails_is_a_note_and_the_training_goes_on(rows, tmp_path):
    rows.fails = 2
    inner = trained(tmp_path)
    assert inner.notes == ["wandb gets nothing more, the training goes on without it (no space left)"]
    assert [call[1] for call in inner.calls if call[0] == "epoch"] == [1, 2, 3]
    assert inner.calls[-1] == "end"


@pytest.mark.parametrize("text", ["[]", "{", '{"wandb": 3}'])
def test_a_damaged_state_is_none(rows, tmp_path, text):
    (tmp_path / STATE).write_text(text)
    assert trained(tmp_path, until=1).notes == []
    assert rows.known == [""]


def test_everything_else_goes_through(tmp_path):
    inner = Notes()
    log = Log("wandb", tmp_path, inner)
    log.compiling("training", 3.0)
    log.compiled()
    log.note("a line")
    assert inner.calls == [("compiling", "training", 3.0), "compiled"]
    assert inner.notes == ["a line"]


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    logs.check(None)
    for kind in logs.WRITERS:
        with pytest.raises(PointkitError, match=rf"--log {kind} needs .*pip install 'pointkit\[{kind}\]'"):
            logs.check(kind)


def test_tensorboards_own_reader_finds_every_figure(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert trained(tmp_path, "tensorboard", until=2, ended=False).notes == []
    assert trained(tmp_path, "tensorboard", done=2, until=3).notes == []
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [event.step for event in found.Scalars("loss/training")] == [1, 2, 3]
    assert [event.value for event in found.Scalars("loss/training")] == pytest.approx([1, 1 / 2, 1 / 3])
    assert [event.value for event in found.Scalars("accuracy/validation")] == [0.25] * 3
    [settings] = found.Tensors("settings")
    assert b"    learning_rate = 0.001" in settings.tensor_proto.string_val[0].splitlines()


def test_mlflow_keeps_every_figure_in_the_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert trained(tmp_path, "mlflow", until=2, ended=False).notes == []
    assert trained(tmp_path, "mlflow", done=2, until=3).notes == []
    client = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())
    [found] = client.search_runs([client.get_experiment_by_name("pointkit").experiment_id])
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "loss/training")] == [1, 2, 3]
    assert found.data.params["learning_rate"] == "0.001"
    assert found.info.status == "FINISHED"


def test_wandb_keeps_the_run_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert trained(tmp_path, "wandb").notes == []
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert json.loads((tmp_path / STATE).read_text())["wandb"]["epochs"] == 3
