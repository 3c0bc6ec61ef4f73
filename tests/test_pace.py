"""The pace of a training: measured without a trace, and how many epochs it allows."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import pace
from pointkit.config import Settings
from pointkit.pace import Pace

SETTINGS = Settings(
    model="small", num_points=64, batch_size=8, epochs=2, jitter=0.01, drop=0.5, average=0.9, dropout=0.3
)


def test_measuring_leaves_the_learner_as_it_was(tiny_store):
    from pointkit.learner import Learner
    from pointkit.loader import Batches

    learner = Learner(SETTINGS, tiny_store.task)
    batches = Batches(tiny_store, "train", training=True, num_points=64, batch_size=8, seed=0)
    validation = Batches(tiny_store, "val", num_points=64, batch_size=8)
    before = learner.arrays()
    calls = []
    measured = pace.measure(learner, batches, validation, SETTINGS, lambda: calls.append(1))
    after = learner.arrays()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert len(calls) >= 1 + pace.STEPS
    assert measured.steps == batches.num_batches
    assert measured.step > 0
    assert measured.validation > 0


def test_a_planned_training_is_the_same_as_one_of_so_many_epochs(tiny_store, tmp_path):
    from pointkit import run_folder
    from pointkit.train import train

    told = []

    def plan(measured, settings):
        told.append((measured.steps, settings.epochs))
        return 2

    train(tiny_store, tmp_path / "planned", dataclasses.replace(SETTINGS, epochs=50), plan=plan)
    train(tiny_store, tmp_path / "plain", SETTINGS)
    planned, plain = (run_folder.load_checkpoint(tmp_path / name)[0] for name in ("planned", "plain"))
    assert told == [(4, 50)]
    assert run_folder.read_facts(tmp_path / "planned")["settings"]["epochs"] == 2
    assert planned.arrays.keys() == plain.arrays.keys()
    assert all(np.array_equal(planned.arrays[name], plain.arrays[name]) for name in plain.arrays)


@pytest.mark.parametrize(
    ("seconds", "sum_"),
    [
        ([1, 1, 1, 1], 4),
        ([40, 1, 1, 1, 30, 1, 1, 1], 8),  # the compiler worked twice
        ([1, 2, 1, 2], 6),
        ([5], 5),
        ([0.5, 0.25, 0.25, 0.25, 9], 1.5),
    ],
)
def test_what_a_compiler_took_does_not_count(seconds, sum_):
    assert pace.without_compiling(seconds) == pytest.approx(sum_)


@pytest.mark.parametrize(
    ("seconds", "wanted", "epochs"),
    [(100, 50, 50), (100, 5, 5), (21, 50, 10), (19.9, 50, 9), (2, 50, 1), (0, 50, 1), (-30, 50, 1)],
)
def test_epochs_that_fit(seconds, wanted, epochs):
    assert pace.epochs_within(seconds, Pace(step=0.5, validation=1.0, steps=2), wanted) == epochs


@given(st.floats(-10, 1e5), st.floats(1e-3, 100), st.floats(1e-3, 100), st.integers(1, 500), st.integers(1, 500))
def test_the_epochs_take_no_longer_than_there_is(seconds, step, validation, steps, wanted):
    measured = Pace(step, validation, steps)
    epochs = pace.epochs_within(seconds, measured, wanted)
    assert 1 <= epochs <= wanted
    assert epochs == 1 or epochs * measured.epoch <= seconds * (1 + 1e-9)
    assert epochs == wanted or (epochs + 1) * measured.epoch > seconds
