"""Training: what is learned on what, and that nothing that happens on the way changes the outcome."""

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from pointkit import learner as learners
from pointkit import metrics, models, nn, preprocess, run_folder, store, train
from pointkit.config import Settings, combine
from pointkit.errors import MachineError, PointkitError, RunError, StoreError
from pointkit.loader import Batches
from pointkit.run_folder import CHECKPOINT, PREVIOUS, REFERENCE
from pointkit.signals import Stopped
from pointkit.task import Classification, Task
from tests import shapes
from tests.history import read_history

STEPS = 4  # an epoch of the tiny store
TASK = Classification(shapes.CLASSES)
PLAIN = Settings(model="small", num_points=64, batch_size=8, epochs=3, learning_rate=0.01)
RICH = dataclasses.replace(
    PLAIN,
    schedule="cosine",
    weight_decay=0.01,
    jitter=0.01,
    scale=0.1,
    rotate=10.0,
    shift=0.1,
    mirror=0.5,
    drop=0.5,
    label_smoothing=0.1,
    average=0.9,
    class_weight="balanced",
    seed=7,
)


class Crash(Exception):
    """What takes the place of SIGKILL within a test's own process: nothing of ours catches it."""


class Recorder(train.Watcher):
    """Keeps what it is told. ``at`` maps a moment, (epoch, batch) or ("epoch", number), to what is done then."""

    def __init__(self, at=None):
        self.at = at or {}
        self.facts, self.steps, self.rows, self.notes = None, [], [], []

    def begin(self, facts):
        self.facts = facts

    def step(self, epoch, batch, logs):
        self.steps.append((epoch, batch))
        self.logs = dict(logs)
        self.at.get((epoch, batch), lambda: None)()

    def epoch(self, row, best):
        self.rows.append((dict(row), best))
        self.at.get(("epoch", row["epoch"]), lambda: None)()

    def note(self, line):
        assert "\n" not in line
        self.notes.append(line)


def logits(model, batches):
    """Of a split's shapes, in its order."""
    answers = [np.asarray(model.predict_on_batch(batches[b][0])) for b in range(batches.num_batches)]
    return np.concatenate(answers)[: len(batches.indices)]


def send(signum=signal.SIGTERM):
    os.kill(os.getpid(), signum)


def crash():
    raise Crash


@pytest.fixture(scope="module")
def undisturbed(tiny_store, tmp_path_factory):
    """Finished runs of the small network, by settings. Copy them to change them."""
    runs = {}

    def run(settings):
        if settings not in runs:
            runs[settings] = tmp_path_factory.mktemp("undisturbed") / "run"
            train.train(tiny_store, runs[settings], settings)
        return runs[settings]

    return run


def digest(path):
    """SHA-256 of all arrays of the last checkpoint, and the history without the times."""
    checkpoint, notes = run_folder.load_checkpoint(path)
    assert notes == []
    total = hashlib.sha256()
    for name, array in sorted(checkpoint.arrays.items()):
        total.update(name.encode() + array.tobytes())
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in checkpoint.progress.history]
    assert read_history(path) == checkpoint.progress.history
    assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))
    return total.hexdigest(), history


def contents(path):
    """Names, bytes and times of all files but the lock."""
    files = [file for file in sorted(path.iterdir()) if file.name != ".lock"]
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def refused(call, *words, kind=RunError):
    with pytest.raises(kind) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert str(word) in line
    return line


# --- what is learned on what -----------------------------------------------------------------------------------------


def test_a_run_tells_what_was_trained_on_what(tiny_store, tiny_run):
    facts = run_folder.read_facts(tiny_run)
    assert facts["classes"] == ["box", "sphere", "stick"]
    assert facts["settings"]["num_points"] == 64
    rules = {"scale": "unit sphere", "up": "z", "window": "random points", "scales": {}, "stray": "kept"}
    assert facts["input"] == {"num_points": 64, "drawn": 96, "seed": 0, **rules}
    assert facts["store"]["checksum"] == tiny_store.checksum
    assert facts["store"]["shapes"] == {"train": 25, "val": 6, "test": 9}
    assert facts["backend"] == os.environ.get("KERAS_BACKEND", "jax")
    checkpoint, _ = run_folder.load_checkpoint(tiny_run)
    assert checkpoint.progress.epoch == 2
    model = models.build(facts["settings"], 3)
    for prefix in ("model", "best"):
        found = {name: a.shape for name, a in checkpoint.arrays.items() if name.startswith(f"{prefix}/")}
        assert found == {f"{prefix}/{v.path}": tuple(v.shape) for v in model.weights}
    assert facts["parameters"] == sum(a.size for n, a in checkpoint.arrays.items() if n.startswith("model/"))


def test_the_watcher_is_told_of_everything(tiny_store, tmp_path):
    watcher = Recorder()
    outcome = train.train(tiny_store, tmp_path / "run", PLAIN, watcher)
    assert watcher.steps == [(epoch, batch) for epoch in (1, 2, 3) for batch in (1, 2, 3, 4)]
    assert [row for row, _ in watcher.rows] == outcome.history == read_history(tmp_path / "run")
    assert watcher.notes == []
    assert {key: watcher.facts[key] for key in ("steps", "epochs", "done")} == {"steps": 4, "epochs": 3, "done": 0}
    assert [array.shape for array in watcher.facts["batch"]] == [(8, 64, 3), (8,), (8,)]
    losses = [row["val_loss"] for row in outcome.history]
    assert outcome.best_epoch == 1 + losses.index(min(losses))
    assert [best for _, best in watcher.rows] == [loss == min(losses[: i + 1]) for i, loss in enumerate(losses)]
    assert watcher.logs.keys() == {"loss", "accuracy", "learning_rate"}
    assert not outcome.already


@pytest.mark.parametrize("settings", [PLAIN, RICH])
def test_the_weights_of_the_lowest_validation_loss_are_kept(tiny_store, undisturbed, settings):
    path = undisturbed(settings)
    checkpoint, _ = run_folder.load_checkpoint(path)
    learner = learners.Learner(settings, TASK)
    for variable in learner.model.weights:
        variable.assign(checkpoint.arrays[f"best/{variable.path}"])
    validation = Batches(tiny_store, "val", num_points=64, batch_size=8)
    answers = logits(learner.model, validation)
    assert answers.shape == (6, 3)
    truth = tiny_store.labels[validation.indices]
    row = checkpoint.progress.history[checkpoint.progress.best_epoch - 1]
    assert metrics.cross_entropy(answers, truth, settings.label_smoothing) == pytest.approx(row["val_loss"], rel=1e-6)
    assert np.mean(answers.argmax(1) == truth) == row["val_accuracy"]
    assert row["val_loss"] == min(r["val_loss"] for r in checkpoint.progress.history)


def test_training_sees_training_shapes_and_validation_the_others_as_they_are(tiny_store, tmp_path, monkeypatch):
    """By content: what reaches the network's augmentation, and what it is validated on."""
    trained, validated = [], []

    class Spy(learners.Learner):
        def step(self, batch, rate, number):
            trained.extend(batch[0])
            return super().step(batch, rate, number)

    judge = learners.judge
    monkeypatch.setattr(learners, "Learner", Spy)
    monkeypatch.setattr(learners, "judge", lambda model, b, *more: validated.append(b) or judge(model, b, *more))
    train.train(tiny_store, tmp_path / "run", dataclasses.replace(RICH, epochs=2, num_points=96))

    def content(cloud):  # all 96 points, so their order alone differs; rounding is below 1e-6
        return tuple(np.sort(np.linalg.norm(cloud, axis=1))[:: 95 // 4].round(3))

    own = {split: {} for split in store.SPLITS}
    for split, known in own.items():
        batches = Batches(tiny_store, split, num_points=96, batch_size=1)
        known |= {content(batches[b][0][0]): b for b in range(batches.num_batches)}
    assert {content(cloud) for cloud in trained} == set(own["train"])
    assert not set(own["train"]) & (set(own["val"]) | set(own["test"]))
    for batches in validated:
        assert not batches.training
        assert {content(cloud) for cloud in batches[0][0]} == set(own["val"])


def test_augmentation_is_in_training_alone_and_not_in_the_kept_model():
    learner = learners.Learner(dataclasses.replace(RICH, dropout=0.0, jitter=0.1), TASK)
    points = np.random.default_rng(0).normal(size=(2, 64, 3)).astype(np.float32)
    inside = learner.trainer.get_layer("small_classifier")
    assert inside is learner.model
    assert [type(layer).__name__ for layer in learner.trainer.layers[1:4]] == ["Rotate", "Scale", "Jitter"]
    assert not any(type(layer).__name__ in ("Rotate", "Scale", "Jitter") for layer in learner.model.layers)
    once, again = (np.asarray(learner.trainer(points, training=False)) for _ in range(2))
    assert np.array_equal(once, again)
    assert np.array_equal(once, np.asarray(learner.model(points, training=False)))


def agreement(tiny_store, momentum):
    """Losses of a trained PointNet on the training shapes: in train mode, and in inference mode.

    The last batch is of one class alone and at the rate 0: it moves nothing but the statistics of batch norm.
    """
    settings = dataclasses.replace(PLAIN, model="pointnet", own={}, learning_rate=0.001, momentum=momentum)
    learner = learners.Learner(settings, TASK)
    batches = Batches(tiny_store, "train", num_points=64, batch_size=8, training=True)
    fixed = Batches(tiny_store, "train", num_points=64, batch_size=8)
    trained = []
    for number in range(25 * STEPS):
        batches.epoch = number // STEPS
        trained.append(learner.step(batches[number % STEPS], settings.learning_rate, number)[0])
    assert set(fixed[0][1]) == {0}
    learner.step(fixed[0], 0.0, number)
    answers = logits(learner.model, fixed)
    return np.median(trained[-10:]), metrics.cross_entropy(answers, tiny_store.labels[fixed.indices])


@pytest.mark.slow
def test_inference_mode_agrees_with_train_mode_after_training(tiny_store):
    assert 0.9 <= Settings().momentum <= 0.99
    training, inference = agreement(tiny_store, Settings().momentum)
    assert training < 0.5
    assert inference < training + 0.2


@pytest.mark.slow
def test_it_would_not_with_statistics_of_the_last_batch_alone(tiny_store):
    training, inference = agreement(tiny_store, 0.0)
    assert inference > training + 1


def test_the_rate_over_time():
    cosine = dataclasses.replace(PLAIN, schedule="cosine", learning_rate=2.0)
    assert [learners.learning_rate(cosine, step, 4) for step in range(5)] == pytest.approx(
        [2, 1 + 2**-0.5, 1, 1 - 2**-0.5, 0]
    )
    assert {learners.learning_rate(PLAIN, step, 4) for step in range(5)} == {0.01}


def test_the_last_batchs_fill_has_no_part_in_the_means(tiny_store, tmp_path):
    """25 shapes in batches of 8: the history's accuracy is a share of 25."""
    outcome = train.train(tiny_store, tmp_path / "run", dataclasses.replace(PLAIN, epochs=1))
    count = outcome.history[0]["accuracy"] * 25
    assert count == pytest.approx(round(count), abs=1e-4)


def test_the_average_by_hand(tiny_store):
    learner = learners.Learner(RICH, TASK)
    batches = Batches(tiny_store, "train", num_points=64, batch_size=8, training=True)
    mean = learner.weights()
    for number in range(3):
        learner.step(batches[number], 0.01, number)
        keep = min(0.9, (1 + number) / (10 + number))
        mean = {path: keep * mean[path] + (1 - keep) * array for path, array in learner.weights().items()}
    for path, array in mean.items():
        assert np.allclose(learner.average[path], array, atol=1e-6)
    before = learner.arrays()
    learner.validate(batches, Batches(tiny_store, "val", num_points=64, batch_size=8))
    after = learner.arrays()
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("calls", [1, 2, 5])  # while statistics are measured, and later
def test_a_stop_within_validation_leaves_everything_as_it_was(tiny_store, calls):
    learner = learners.Learner(RICH, TASK)
    batches = Batches(tiny_store, "train", num_points=64, batch_size=8, training=True)
    learner.step(batches[0], 0.01, 0)
    before = learner.arrays()
    left = iter(range(calls))

    def between():
        next(left)
        if not left.__length_hint__():
            raise Stopped(15)

    with pytest.raises(Stopped):
        learner.validate(batches, Batches(tiny_store, "val", num_points=64, batch_size=8), 0.0, between)
    after = learner.arrays()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_averaged_weights_are_kept_with_the_statistics_that_they_make(tiny_store):
    settings = dataclasses.replace(RICH, dropout=0.0)
    learner = learners.Learner(settings, TASK)
    batches = Batches(tiny_store, "train", num_points=64, batch_size=8, training=True)
    learner.step(batches[0], 0.01, 0)
    learner.validate(batches, Batches(tiny_store, "val", num_points=64, batch_size=8))
    learner.keep_best()
    alone = models.build({**dataclasses.asdict(settings), "momentum": 0.0}, **TASK.network)
    for variable in alone.weights:
        variable.assign(learner.average[variable.path])
    made = []
    for b in range(batches.num_batches):
        alone(batches[b][0], training=True)
        made.append({v.path: np.array(keras.ops.convert_to_numpy(v)) for v in alone.non_trainable_weights})
    for path, array in learner.best.items():
        wanted = np.mean([each[path] for each in made], 0) if path in made[0] else learner.average[path]
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-6, err_msg=path)


def test_fewer_points_in_the_store_than_asked_for(tiny_store, tmp_path):
    watcher = Recorder()
    settings = dataclasses.replace(PLAIN, num_points=500, epochs=1)
    train.train(tiny_store, tmp_path / "run", settings, watcher)
    assert "96" in watcher.notes[0]
    assert "500" in watcher.notes[0]
    assert run_folder.read_facts(tmp_path / "run")["input"]["num_points"] == 96
    assert train.train(tiny_store, tmp_path / "run", settings).already


# --- stores that cannot be trained on --------------------------------------------------------------------------------


def without(predicate):
    return [pair for pair in shapes.tiny_shapes() if not predicate(pair[0])]


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (lambda row: row.split == "val", ("split val", "none")),
        (lambda row: row.split == "train", ("split train",)),
        (lambda row: row.split == "train" and row.class_name == "stick", ("every class", "stick")),
    ],
)
def test_a_store_without_what_training_needs(tmp_path, left_out, words):
    opened = shapes.write_tiny(tmp_path / "store", shapes=without(left_out))
    refused(lambda: train.train(opened, tmp_path / "run", PLAIN), opened.path, *words, kind=StoreError)
    assert not (tmp_path / "run").exists()


def test_one_class_alone(tmp_path):
    only = without(lambda row: row.class_name != "box")
    facts = {"num_points_drawn": 96, "seed": 0}
    opened = store.write(tmp_path / "store", only, ("box",), facts)
    refused(lambda: train.train(opened, tmp_path / "run", PLAIN), "two classes", "box alone", kind=StoreError)


def test_a_store_that_does_not_say_how_it_was_drawn(tmp_path):
    opened = shapes.write_tiny(tmp_path / "store", seed=1, num_points_drawn=None)
    refused(lambda: train.train(opened, tmp_path / "run", PLAIN), "num_points_drawn", kind=StoreError)


def test_a_class_without_test_shapes_is_no_hindrance(tmp_path):
    opened = shapes.write_tiny(tmp_path / "store", shapes=without(lambda row: row.split == "test"))
    assert train.train(opened, tmp_path / "run", dataclasses.replace(PLAIN, epochs=1)).best_epoch == 1


def test_a_byte_that_flipped_in_the_store(tiny_store, tmp_path):
    shutil.copytree(tiny_store.path, tmp_path / "store")
    file = tmp_path / "store" / "points.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    opened = store.open(tmp_path / "store")
    refused(lambda: train.train(opened, tmp_path / "run", PLAIN), file, "SHA-256", kind=StoreError)


def test_a_store_cut_under_the_training(tiny_store, tmp_path):
    shutil.copytree(tiny_store.path, tmp_path / "store")
    opened = store.open(tmp_path / "store")
    watcher = Recorder({(2, 1): lambda: os.truncate(tmp_path / "store" / "points.npy", 500)})
    refused(lambda: train.train(opened, tmp_path / "run", PLAIN, watcher), "points.npy", "cut", kind=StoreError)
    assert run_folder.load_checkpoint(tmp_path / "run")[0].progress.epoch == 1


# --- stopped, killed and begun again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [PLAIN, RICH])
def test_stopped_after_any_batch_it_ends_with_the_same_weights(tiny_store, tmp_path, undisturbed, settings):
    path = tmp_path / "run"
    moments = [(1, 1), (1, 4), ("epoch", 1), (2, 3)]
    for i, moment in enumerate(moments):
        watcher = Recorder({moment: lambda i=i: send((signal.SIGTERM, signal.SIGINT)[i % 2])})
        with pytest.raises(Stopped) as caught:
            train.train(tiny_store, path, settings, watcher)
        assert caught.value.exit_code == (143, 130)[i % 2]
        progress = run_folder.load_checkpoint(path)[0].progress
        done = (moment[1], 0) if moment[0] == "epoch" else (moment[0] - 1, moment[1])
        assert (progress.epoch, progress.batch) == done
        if i:
            assert any(line.startswith("going on after epoch") for line in watcher.notes)
    assert not train.train(tiny_store, path, settings).already
    assert digest(path) == digest(undisturbed(settings))


@pytest.mark.parametrize("settings", [PLAIN, RICH])
def test_stopped_while_validating(tiny_store, tmp_path, undisturbed, monkeypatch, settings):
    judge = learners.judge

    def interrupted(*arguments):
        send()
        return judge(*arguments)

    monkeypatch.setattr(learners, "judge", interrupted)
    with pytest.raises(Stopped):
        train.train(tiny_store, tmp_path / "run", settings)
    monkeypatch.setattr(learners, "judge", judge)
    progress = run_folder.load_checkpoint(tmp_path / "run")[0].progress
    assert (progress.epoch, progress.batch) == (0, STEPS)
    train.train(tiny_store, tmp_path / "run", settings)
    assert digest(tmp_path / "run") == digest(undisturbed(settings))


@pytest.mark.parametrize("settings", [PLAIN, RICH])
def test_crashed_between_checkpoints(tiny_store, tmp_path, undisturbed, monkeypatch, settings):
    """Steps after the last checkpoint are done again, and come out alike; with and without checkpoints in the epoch."""
    for seconds, moment, left in ((1e9, (2, 3), (1, 0)), (0.0, (2, 4), (1, 3))):
        monkeypatch.setattr(train, "CHECKPOINT_SECONDS", seconds)
        with pytest.raises(Crash):
            train.train(tiny_store, tmp_path / "run", settings, Recorder({moment: crash}))
        progress = run_folder.load_checkpoint(tmp_path / "run")[0].progress
        assert (progress.epoch, progress.batch) == left
    train.train(tiny_store, tmp_path / "run", settings)
    assert digest(tmp_path / "run") == digest(undisturbed(settings))


def test_a_signal_in_the_last_moment_is_not_lost(tiny_store, tmp_path, undisturbed):
    with pytest.raises(Stopped):
        train.train(tiny_store, tmp_path / "run", PLAIN, Recorder({("epoch", 3): send}))
    assert train.train(tiny_store, tmp_path / "run", PLAIN).already
    assert digest(tmp_path / "run") == digest(undisturbed(PLAIN))


@pytest.mark.slow
def test_the_same_command_twice_gives_the_same_weights(tiny_store, tmp_path):
    """PointNet itself, stopped on the way."""
    settings = Settings(num_points=64, batch_size=8, epochs=2)
    train.train(tiny_store, tmp_path / "undisturbed", settings)
    with pytest.raises(Stopped):
        train.train(tiny_store, tmp_path / "run", settings, Recorder({(1, 3): send}))
    train.train(tiny_store, tmp_path / "run", settings)
    assert digest(tmp_path / "run") == digest(tmp_path / "undisturbed")


@pytest.mark.backends
def test_on_every_backend_a_stop_changes_nothing(tiny_store, tmp_path):
    settings = dataclasses.replace(RICH, epochs=2)
    train.train(tiny_store, tmp_path / "one", settings)
    for moment in ((1, 2), (2, 3)):
        with pytest.raises(Stopped):
            train.train(tiny_store, tmp_path / "two", settings, Recorder({moment: send}))
    train.train(tiny_store, tmp_path / "two", settings)
    one, two = (run_folder.load_checkpoint(tmp_path / name)[0].arrays for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, array in one.items():
        assert np.array_equal(array, two[name]), name


def test_another_seed_gives_other_weights(tiny_store, tmp_path, undisturbed):
    train.train(tiny_store, tmp_path / "run", dataclasses.replace(PLAIN, seed=1))
    assert digest(tmp_path / "run")[0] != digest(undisturbed(PLAIN))[0]


def test_a_finished_run_says_so_and_changes_nothing(tiny_store, tmp_path, undisturbed):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(PLAIN), path)
    before = contents(path)
    watcher = Recorder()
    outcome = train.train(tiny_store, path, PLAIN, watcher)
    assert outcome.already
    assert len(outcome.history) == 3
    assert outcome.best_epoch
    assert contents(path) == before
    assert (watcher.facts, watcher.notes) == (None, [])


def test_larger_epochs_go_on(tiny_store, tmp_path, undisturbed):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(PLAIN), path)
    more = dataclasses.replace(PLAIN, epochs=5)
    watcher = Recorder()
    outcome = train.train(tiny_store, path, more, watcher)
    assert "epochs: 3 before, 5 now" in watcher.notes
    assert watcher.facts["done"] == 3
    assert len(outcome.history) == 5
    assert run_folder.read_facts(path)["settings"]["epochs"] == 5
    assert digest(path) == digest(undisturbed(more))
    refused(lambda: train.train(tiny_store, path, PLAIN), path, "epochs", "can only grow", "5", "3")


def test_a_history_that_a_kill_left_behind_is_brought_up_to_date(tiny_store, tmp_path, undisturbed):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(PLAIN), path)
    run_folder.write_history(path, read_history(path)[:2])
    assert train.train(tiny_store, path, PLAIN).already
    assert digest(path) == digest(undisturbed(PLAIN))


@pytest.mark.parametrize(
    ("key", "value"),
    [("batch_size", 4), ("num_points", 32), ("units", 8), ("dropout", 0.0), ("seed", 1), ("schedule", "cosine")],
)
def test_changed_settings_are_refused(tiny_store, tmp_path, undisturbed, key, value):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(PLAIN), path)
    before = contents(path)
    old = PLAIN.flat()[key]
    line = refused(lambda: train.train(tiny_store, path, combine(PLAIN.flat(), {key: value})), path, key)
    assert f"it has {old!r}, got {value!r}" in line
    assert contents(path) == before


def test_another_name_of_the_data_set_is_no_change(tiny_store, undisturbed):
    assert train.train(tiny_store, undisturbed(PLAIN), dataclasses.replace(PLAIN, dataset="mine")).already


def test_another_store_is_refused(tiny_store, tmp_path, undisturbed):
    path = undisturbed(PLAIN)
    other = shapes.write_tiny(tmp_path / "other", seed=1)
    refused(lambda: train.train(other, path, PLAIN), path, "another store", tiny_store.path, other.path)
    shutil.copytree(tiny_store.path, tmp_path / "moved")
    assert train.train(store.open(tmp_path / "moved"), path, PLAIN).already


def test_another_backend_is_refused(tiny_store, tmp_path, undisturbed):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(PLAIN), path)
    run_folder.write_facts(path, run_folder.read_facts(path) | {"backend": "abacus"})
    refused(lambda: train.train(tiny_store, path, PLAIN), "backend", "'abacus'")


def test_before_the_first_checkpoint_anything_may_change(tiny_store, tmp_path):
    """Out of memory at the first step, say: the same folder takes a smaller batch."""
    with pytest.raises(Crash):
        train.train(tiny_store, tmp_path / "run", PLAIN, Recorder({(1, 1): crash}))
    smaller = dataclasses.replace(PLAIN, batch_size=4, epochs=1)
    train.train(tiny_store, tmp_path / "run", smaller)
    assert run_folder.read_facts(tmp_path / "run")["settings"]["batch_size"] == 4


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_damaged_checkpoint_costs_an_epoch_and_no_more(tiny_store, tmp_path, undisturbed):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(RICH), path)
    data = bytearray((path / CHECKPOINT).read_bytes())
    data[len(data) // 2] ^= 1
    (path / CHECKPOINT).write_bytes(data)
    watcher = Recorder()
    train.train(tiny_store, path, RICH, watcher)
    assert CHECKPOINT in watcher.notes[0]
    assert "falling back" in watcher.notes[0]
    assert watcher.steps == [(3, batch) for batch in (1, 2, 3, 4)]
    assert digest(path) == digest(undisturbed(RICH))


def test_without_a_whole_checkpoint_nothing_is_trained(tiny_store, tmp_path, undisturbed):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(PLAIN), path)
    for name in (CHECKPOINT, PREVIOUS):
        (path / name).write_bytes(b"")
    before = contents(path)
    refused(lambda: train.train(tiny_store, path, PLAIN), path, "no checkpoint can be read")
    assert contents(path) == before


def test_another_runs_checkpoint_is_refused(tiny_store, tmp_path, undisturbed):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(PLAIN), path)
    for name in (CHECKPOINT, PREVIOUS):
        shutil.copy(undisturbed(RICH) / name, path / name)
    refused(lambda: train.train(tiny_store, path, PLAIN), path, "another run")


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("model/logits/kernel", np.zeros((2, 2), np.float32)),
        ("model/logits/kernel", None),
        ("optimizer/000", np.zeros(3, np.float32)),
        ("random/000", None),
        ("average/logits/bias", None),
        ("best/logits/bias", np.zeros(7, np.float32)),
    ],
)
def test_a_strangers_arrays_that_do_not_fit_are_refused(tiny_store, tmp_path, undisturbed, name, array):
    path = tmp_path / "run"
    shutil.copytree(undisturbed(RICH), path)
    checkpoint, _ = run_folder.load_checkpoint(path)
    assert name in checkpoint.arrays
    if array is None:
        del checkpoint.arrays[name]
    else:
        checkpoint.arrays[name] = array
    run_folder.save_checkpoint(path, checkpoint)
    more = dataclasses.replace(RICH, epochs=4)
    refused(lambda: train.train(tiny_store, path, more), path, "does not fit its settings", name)


def test_a_loss_that_is_no_longer_finite(tmp_path):
    """One shape with a point that is no number, in the second class's first training shape."""
    made = [(row, points.copy()) for row, points in shapes.tiny_shapes()]
    made[10][1][:, 1] = np.nan
    opened = shapes.write_tiny(tmp_path / "store", shapes=made)
    line = refused(lambda: train.train(opened, tmp_path / "run", PLAIN), "epoch 1, batch ", kind=PointkitError)
    assert f"points not finite in {made[10][0].ident})" in line


def test_a_rate_that_is_too_high_keeps_the_last_finite_checkpoint(tiny_store, tmp_path, monkeypatch):
    rate = learners.learning_rate
    monkeypatch.setattr(learners, "learning_rate", lambda s, step, total: np.inf if step == 9 else rate(s, step, total))
    line = refused(
        lambda: train.train(tiny_store, tmp_path / "run", PLAIN),
        "epoch 3, batch 3",
        "learning-rate",
        kind=PointkitError,
    )
    assert "/train/" in line  # names shapes of the batch
    checkpoint, notes = run_folder.load_checkpoint(tmp_path / "run")
    assert (checkpoint.progress.epoch, notes) == (2, [])
    assert all(np.isfinite(array).all() for array in checkpoint.arrays.values())


@pytest.mark.parametrize("settings", [PLAIN, RICH])
def test_weights_that_are_not_finite_are_never_committed(tiny_store, tmp_path, monkeypatch, settings):
    """The last step of an epoch breaks them, so no loss has shown it yet."""
    monkeypatch.setattr(learners, "learning_rate", lambda _, step, total: np.inf if step == 7 else 0.01)
    refused(
        lambda: train.train(tiny_store, tmp_path / "run", settings), "weights", "no longer finite", kind=PointkitError
    )
    checkpoint, notes = run_folder.load_checkpoint(tmp_path / "run")
    assert (checkpoint.progress.epoch, notes) == (1, [])


# --- the machine -----------------------------------------------------------------------------------------------------


def test_a_history_that_cannot_be_written_stops_nothing(tiny_store, tmp_path, undisturbed):
    (tmp_path / "run").mkdir()
    run_folder.write_facts(tmp_path / "run", {})
    (tmp_path / "run" / "run.json").unlink()
    blocked = tmp_path / "run" / ".history.csv.writing"
    blocked.mkdir()
    (blocked / "x").touch()
    watcher = Recorder()
    outcome = train.train(tiny_store, tmp_path / "run", PLAIN, watcher)
    assert len(outcome.history) == 3
    assert [line for line in watcher.notes if "history.csv" in line] == watcher.notes
    assert len(watcher.notes) == 1
    again = Recorder()
    assert train.train(tiny_store, tmp_path / "run", PLAIN, again).already
    assert len(again.notes) == 1
    shutil.rmtree(blocked)
    train.train(tiny_store, tmp_path / "run", PLAIN)
    assert digest(tmp_path / "run") == digest(undisturbed(PLAIN))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
        RuntimeError("CUDA out of memory"),
    ],
)
def test_exhausted_memory_is_one_line_with_advice(tiny_store, tmp_path, monkeypatch, error):
    def exhausted(*_):
        raise error

    monkeypatch.setattr(learners.Learner, "step", exhausted)
    refused(lambda: train.train(tiny_store, tmp_path / "run", PLAIN), "--batch-size 8", "smaller", kind=MachineError)


def test_other_errors_are_not_taken_for_it(tiny_store, tmp_path, monkeypatch):
    def failed(*_):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(learners.Learner, "step", failed)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        train.train(tiny_store, tmp_path / "run", PLAIN)


def test_a_run_in_use_is_refused(tiny_store, tmp_path):
    run_folder.create(tmp_path / "run")
    with run_folder.locked(tmp_path / "run"):
        refused(lambda: train.train(tiny_store, tmp_path / "run", PLAIN), tmp_path / "run", "in use", os.getpid())
    assert not (tmp_path / "run" / "run.json").exists()


def test_where_a_run_cannot_be(tiny_store, tmp_path):
    (tmp_path / "file").touch()
    refused(lambda: train.train(tiny_store, tmp_path / "file", PLAIN), "must be a folder")
    refused(lambda: train.train(tiny_store, tmp_path / "a" / "b" / "c", PLAIN), "must exist, found none")
    refused(lambda: train.train(tiny_store, tiny_store.path, PLAIN), "not a run")
    assert not (tmp_path / "a").exists()


# --- real processes --------------------------------------------------------------------------------------------------

PROCESS = """
import json, os, sys
from pathlib import Path
import tests.families
from pointkit import config, store, train
from pointkit.errors import MachineError
from pointkit.signals import Stopped
train.CHECKPOINT_SECONDS = float(os.environ.get("SECONDS", "0"))
class Watcher(train.Watcher):
    def step(self, epoch, batch, logs):
        print("step", epoch, batch, flush=True)
    def note(self, line):
        print(line, file=sys.stderr, flush=True)
try:
    settings = config.combine(json.loads(sys.argv[3]))
    outcome = train.train(store.open(sys.argv[1]), Path(sys.argv[2]), settings, Watcher())
except Stopped as stop:
    sys.exit(stop.exit_code)
except MachineError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
print("already" if outcome.already else "done")
"""
LONG = dataclasses.replace(RICH, epochs=12)


def process(opened, path, settings=LONG, before=(), **variables):
    arguments = [str(opened.path), str(path), json.dumps(settings.flat())]
    return subprocess.Popen(
        [*before, sys.executable, "-c", PROCESS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def finish(running):
    out, err = running.communicate(timeout=900)
    return running.returncode, out.splitlines()[-1:], err


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_weights(tiny_store, tmp_path, undisturbed):
    chance = random.Random(0)
    path, kills = tmp_path / "run", 0
    for _ in range(14):
        running = process(tiny_store, path)
        for _ in range(chance.randint(1, 4)):
            line = running.stdout.readline()
        if line.startswith("step"):
            time.sleep(chance.uniform(0, 0.03))
            running.kill()
        running.communicate()
        kills += running.returncode == -signal.SIGKILL
        if run_folder.load_checkpoint(path)[0] is not None:
            rows = run_folder.load_checkpoint(path)[0].progress.history
            assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert kills >= 10
    code, last, err = finish(process(tiny_store, path))
    assert code == 0, err
    assert last in (["done"], ["already"])  # the kills may have come so late that little was left, or nothing
    assert digest(path) == digest(undisturbed(LONG))
    assert finish(process(tiny_store, path))[:2] == (0, ["already"])


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_within_a_step_and_twice_at_once(tiny_store, tmp_path, undisturbed, signum, code):
    path = tmp_path / "run"
    running = process(tiny_store, path, SECONDS="1e9")
    for _ in range(6):
        running.stdout.readline()
    running.send_signal(signum)
    assert finish(running)[0] == code
    progress = run_folder.load_checkpoint(path)[0].progress
    assert progress.epoch * STEPS + progress.batch >= 6
    running = process(tiny_store, path)
    running.stdout.readline()
    running.send_signal(signum)
    running.send_signal(signal.SIGTERM)
    assert finish(running)[0] in (code, 143)
    assert finish(process(tiny_store, path))[:2] == (0, ["done"])
    assert digest(path) == digest(undisturbed(LONG))


@pytest.mark.slow
def test_of_two_trainings_at_once_one_wins(tiny_store, tmp_path, undisturbed):
    path = tmp_path / "run"
    first = process(tiny_store, path, LONG)
    first.stdout.readline()
    first.send_signal(signal.SIGSTOP)  # however slow the second is to start
    code, _, err = finish(process(tiny_store, path, LONG))
    first.send_signal(signal.SIGCONT)
    assert code == 1  # the script's traceback: RunError is the command line's to print
    assert f"{path}: in use by the process {first.pid}, which trains there" in err.splitlines()[-1]
    assert finish(first)[:2] == (0, ["done"])
    assert digest(path) == digest(undisturbed(LONG))


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_checkpoint(tiny_store, tmp_path, undisturbed):
    """Files may grow to a size that run.json fits into and a checkpoint does not."""
    path = tmp_path / "run"
    train_some = dataclasses.replace(LONG)
    running = process(tiny_store, path, train_some)
    for _ in range(6):
        running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    running.communicate()
    before = run_folder.load_checkpoint(path)[0].progress
    size = (path / CHECKPOINT).stat().st_size
    running = process(tiny_store, path, train_some, before=("prlimit", f"--fsize={size // 2}"))
    code, _, err = finish(running)
    assert code == 1
    assert f"{path}: no space left (needed " in err.splitlines()[-1]
    after = run_folder.load_checkpoint(path)[0].progress
    assert (after.epoch, after.batch) == (before.epoch, before.batch)
    assert finish(process(tiny_store, path, train_some))[:2] == (0, ["done"])
    assert digest(path) == digest(undisturbed(LONG))


@pytest.mark.slow
def test_a_chain_of_resumes_does_not_grow(tiny_store, tmp_path, undisturbed):
    """Twenty epochs, one a call: the history, the folder and the open files stay as of one run."""
    path, open_files = tmp_path / "run", []
    for epochs in range(1, 21):
        train.train(tiny_store, path, dataclasses.replace(PLAIN, epochs=epochs))
        open_files.append(len(os.listdir("/proc/self/fd")))
    assert digest(path) == digest(undisturbed(dataclasses.replace(PLAIN, epochs=20)))
    assert sorted(os.listdir(path)) == [PREVIOUS, CHECKPOINT, "history.csv", REFERENCE, "run.json"]
    assert open_files[-1] <= open_files[2] + 2  # one a call would be 17


@pytest.mark.slow
def test_memory_stays_constant(tiny_store, tmp_path):
    """2,000 epochs of a tiny set: the last quarter uses no more than the second."""
    used = []

    class Meter(train.Watcher):
        def epoch(self, row, best):
            with contextlib.suppress(FileNotFoundError), open("/proc/self/statm") as file:
                used.append(int(file.read().split()[1]) * resource.getpagesize())

    train.train(tiny_store, tmp_path / "run", dataclasses.replace(PLAIN, batch_size=32, epochs=400), Meter())
    assert np.mean(used[300:]) <= 1.05 * np.mean(used[100:200])


PARTS = Settings(
    model="small", num_points=64, batch_size=8, epochs=2, learning_rate=0.01, rotate=10, scale=0.2, jitter=0.01
)


def test_a_training_on_parts_learns_them(tiny_parts, tiny_parts_run):
    facts = run_folder.read_facts(tiny_parts_run)
    assert facts["task"] == "parts"
    assert facts["parts"] == {name: list(parts) for name, parts in shapes.PARTS.items()}
    history = run_folder.load_checkpoint(tiny_parts_run)[0].progress.history
    assert history[-1]["val_miou"] > 0.8
    assert history[-1]["val_miou"] > history[0]["val_miou"] + 0.1
    assert (tiny_parts_run / "history.csv").read_text().splitlines()[0] == ",".join(
        run_folder.history_columns(tiny_parts.task)
    )


def test_validation_of_parts_is_that_of_the_metrics(tiny_parts, tiny_parts_run):
    """Another way to the same figures: all points of the split at once, shape by shape."""
    progress = run_folder.load_checkpoint(tiny_parts_run)[0].progress
    model = models.build(
        run_folder.read_facts(tiny_parts_run)["settings"], **tiny_parts.task.network | {"num_features": 0}
    )
    arrays = run_folder.load_checkpoint(tiny_parts_run)[0].arrays
    for variable in model.weights:
        variable.assign(arrays[f"best/{variable.path}"])
    scores, losses, points = [], 0.0, 0
    for index in tiny_parts.select("val"):
        span = tiny_parts.span(index)
        x = preprocess.normalise(tiny_parts.points[span][:64])[0][None]
        truth = tiny_parts.point_labels[span][:64].astype(int)
        logits = np.asarray(model.predict_on_batch({"points": x, "category": tiny_parts.labels[index : index + 1]}))[0]
        name = tiny_parts.classes[tiny_parts.labels[index]]
        ids = tiny_parts.part_ids[name]
        answer = logits[:, ids.start : ids.stop].argmax(1)
        scores.append(metrics.score_shape(name, np.where(truth < 0, -1, truth - ids.start), answer, len(ids)))
        known = truth >= 0
        losses += metrics.cross_entropy(logits[known], truth[known]) * known.sum()
        points += known.sum()
    row = progress.history[progress.best_epoch - 1]
    assert row["val_miou"] == pytest.approx(np.mean([score.iou for score in scores]))
    assert row["val_loss"] == pytest.approx(losses / points, rel=1e-5)
    assert row["val_miou"] == max(r["val_miou"] for r in progress.history)


@pytest.mark.slow
def test_a_training_on_parts_in_two_calls_ends_as_one(tiny_parts, tmp_path):
    settings = dataclasses.replace(PARTS, epochs=3, features="normals", average=0.9)
    train.train(tiny_parts, tmp_path / "whole", settings)
    first = dataclasses.replace(settings, epochs=1)
    train.train(tiny_parts, tmp_path / "halves", first)
    train.train(tiny_parts, tmp_path / "halves", settings)
    assert digest(tmp_path / "halves") == digest(tmp_path / "whole")


def behind(kind, settings, task, **given):
    """The points (B, N, 3) and features that the augmentation layer of a kind makes of a training's inputs."""
    trainer = learners.Learner(settings, task).trainer
    (layer,) = [layer for layer in trainer.layers if isinstance(layer, kind)]
    spy = keras.Model(trainer.inputs, layer.output)
    return [np.asarray(array) for array in spy({t.name: given[t.name] for t in spy.inputs}, training=True)]


def test_normals_turn_with_their_points():
    task = Task.of({"classes": ["box", "stick"], "parts": shapes.PARTS, "features": ["nx", "ny", "nz"]})
    settings = dataclasses.replace(PARTS, features="normals", jitter=0, scale=0, rotate=180, dropout=0)
    points = np.random.default_rng(0).normal(size=(3, 20, 3)).astype("float32")
    normals = points / np.linalg.norm(points, axis=-1, keepdims=True)
    category = np.zeros(3, "int32")
    moved, turned = behind(nn.Rotate, settings, task, points=points, features=normals, category=category)
    assert np.abs(moved - points).max() > 0.1
    np.testing.assert_allclose(turned, moved / np.linalg.norm(moved, axis=-1, keepdims=True), atol=1e-5)


def test_normals_turn_and_colours_stay_and_all_are_left_out_together():
    task = Task.of({"classes": ["box", "stick"], "features": ["nx", "ny", "nz", "red", "green", "blue"]})
    settings = dataclasses.replace(PLAIN, features="color,normals", jitter=0, scale=0, rotate=180, drop=0.5)
    points = np.random.default_rng(0).normal(size=(3, 20, 3)).astype("float32")
    normals = points / np.linalg.norm(points, axis=-1, keepdims=True)
    colors = np.random.default_rng(1).uniform(size=(3, 20, 3)).astype("float32")
    both = np.concatenate([normals, colors], -1)
    moved, seen = behind(nn.Drop, settings, task, points=points, features=both)
    np.testing.assert_allclose(seen[..., :3], moved / np.linalg.norm(moved, axis=-1, keepdims=True), atol=1e-5)
    for cloud, shown, heights, of in zip(moved, seen[..., 3:], points[..., 2], colors, strict=True):
        places = [int(np.argmin(np.abs(heights - z))) for z in cloud[:, 2]]  # a turn about z leaves the heights
        assert len(set(places)) < 20
        np.testing.assert_array_equal(shown, of[places])


def test_halving_counts_the_epochs_that_are_run():
    settings = Settings(schedule="halving", learning_rate=0.008, halve_every=5, epochs=60)
    steps = 93
    rates = [
        learners.learning_rate(settings, epoch * steps + step, 60 * steps)
        for epoch in range(12)
        for step in (0, steps - 1)
    ]
    wanted = [0.008 * 0.5 ** (epoch // 5) for epoch in range(12) for _ in range(2)]
    assert rates == pytest.approx(wanted)


def test_settings_that_parts_do_not_have(tiny_parts):
    dropping = dataclasses.replace(PARTS, drop=0.2)
    refused(lambda: train.learned(tiny_parts, dropping), "drop must be 0 for parts", kind=PointkitError)
    seeing = dataclasses.replace(PARTS, features="normals")
    assert train.learned(tiny_parts, seeing).features == ("nx", "ny", "nz")


def test_settings_that_classes_do_not_have(tiny_store):
    refused(
        lambda: train.learned(tiny_store, dataclasses.replace(PLAIN, select="miou")),
        "select must be",
        kind=PointkitError,
    )
    refused(
        lambda: train.learned(tiny_store, dataclasses.replace(PLAIN, features="normals")),
        "no nx, ny, nz",
        kind=StoreError,
    )


def test_a_category_of_one_part_alone_cannot_be_learned(tmp_path):
    boxes = [
        (row, s._replace(labels=np.minimum(s.labels, 0)))
        for row, s in shapes.tiny_labelled()
        if row.class_name == "box"
    ]
    whole = {
        "task": "parts",
        "num_points_drawn": 96,
        "seed": 0,
        "parts": {"box": ["all"]},
        "features": ["nx", "ny", "nz"],
    }
    opened = store.write(tmp_path / "store", boxes, ("box",), whole)
    rule = "training needs two parts to tell apart, found all alone"
    refused(lambda: train.check_trainable(opened), rule, kind=StoreError)
