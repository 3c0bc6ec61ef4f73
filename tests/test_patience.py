"""Early stopping: by validation alone, kept in the run, and the same after any kill."""

import dataclasses
import json

import pytest

from pointkit import run_folder, train
from pointkit.cli import run
from tests.test_train import PLAIN, Crash, Recorder, crash, digest

# A rate so high that validation soon gets no better.
PATIENT = dataclasses.replace(PLAIN, epochs=12, patience=2, learning_rate=0.5)


@pytest.fixture(scope="module")
def stopped(tiny_store, tmp_path_factory):
    """A training that its patience has ended; do not change it."""
    path = tmp_path_factory.mktemp("patient") / "run"
    outcome = train.train(tiny_store, path, PATIENT)
    assert outcome.early
    return path, outcome


def test_it_stops_after_so_many_epochs_without_a_better_one(stopped):
    _, outcome = stopped
    losses = [row["val_loss"] for row in outcome.history]
    best = 1 + losses.index(min(losses))
    assert outcome.best_epoch == best
    assert len(losses) == best + PATIENT.patience < PATIENT.epochs
    for end in range(1, len(losses)):  # it was not due before
        assert end - (1 + losses.index(min(losses[:end]))) < PATIENT.patience


def test_killed_at_any_epoch_it_ends_with_the_same_weights(tiny_store, tmp_path, stopped):
    path, outcome = stopped
    last = len(outcome.history)
    for epoch, batch in [(2, 2), (last - 1, 4), (last, 1)]:
        with pytest.raises(Crash):
            train.train(tiny_store, tmp_path / "run", PATIENT, Recorder({(epoch, batch): crash}))
    again = train.train(tiny_store, tmp_path / "run", PATIENT)
    assert again.early
    assert digest(tmp_path / "run") == digest(path)


def test_once_stopped_the_same_command_changes_nothing(tiny_store, stopped, capsys):
    path, outcome = stopped
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    again = train.train(tiny_store, path, PATIENT)
    assert (again.already, again.early, again.history) == (True, True, outcome.history)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    assert run(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["progress"]["finished"] is True


def test_more_patience_goes_on_as_if_there_had_been_no_stop(tiny_store, tmp_path, stopped):
    more = dataclasses.replace(PATIENT, patience=4, epochs=8)
    train.train(tiny_store, tmp_path / "whole", more)
    train.train(tiny_store, tmp_path / "parts", dataclasses.replace(more, patience=1))
    notes = Recorder()
    train.train(tiny_store, tmp_path / "parts", more, notes)
    assert "patience: 1 before, 4 now" in notes.notes
    assert digest(tmp_path / "parts") == digest(tmp_path / "whole")
    assert run_folder.read_facts(tmp_path / "parts")["settings"]["patience"] == 4
