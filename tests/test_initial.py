"""A training that starts from another run: what fits is taken, what does not is named, and the first run may go."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest

from pointkit import initial, run_folder
from pointkit.cli import run
from pointkit.errors import RunError
from pointkit.initial import Initial
from pointkit.task import Classification
from tests import shapes
from tests.runs import changed

FACTS = {"id": "aa", "classes": ["box", "sphere", "stick"], "settings": {"model": "small"}}
ARRAYS = {
    "block/kernel": np.ones((3, 4), np.float32),
    "block/bias": np.zeros(4, np.float32),
    "tnet/dense/kernel": np.ones((4, 4), np.float32),
    "logits/kernel": np.ones((4, 3), np.float32),
    "logits/bias": np.ones(3, np.float32),
}
SHAPES = {name: array.shape for name, array in ARRAYS.items()}
TASK = Classification(("box", "sphere", "stick"))


@pytest.fixture
def first(tmp_path):
    return Initial(tmp_path, FACTS, 7, ARRAYS)


def test_of_the_same_classes_everything_is_taken(first):
    arrays, facts = first.taken(SHAPES, TASK)
    assert arrays.keys() == ARRAYS.keys()
    total = hashlib.sha256()
    for name in sorted(ARRAYS):
        total.update(name.encode() + ARRAYS[name].tobytes())
    assert facts == {
        "path": str(first.path),
        "run": "aa",
        "epoch": 7,
        "sha256": total.hexdigest(),
        "taken": ["block", "tnet/dense", "logits"],
        "new": {},
    }
    assert initial.words(facts) == f"starts from {first.path}, epoch 7: 3 of 3 layers taken"


@pytest.mark.parametrize("classes", [("box", "sphere", "cone"), ("sphere", "box", "stick")])
def test_the_last_layer_is_new_for_other_classes_even_where_its_shape_fits(first, classes):
    arrays, facts = first.taken(SHAPES, Classification(classes))
    assert facts["new"] == {"logits": "other classes"}
    assert not any(name.startswith("logits") for name in arrays)
    assert initial.words(facts).endswith("2 of 3 layers taken; new: logits (other classes)")


def test_a_layer_is_taken_whole_or_not_at_all(first):
    here = {**SHAPES, "block/kernel": (6, 4), "logits/kernel": (4, 2), "logits/bias": (2,), "more/kernel": (1,)}
    arrays, facts = first.taken(here, Classification(("box", "stick")))
    assert facts["new"] == {
        "block": "3 x 4 there, 6 x 4 here",
        "logits": "4 x 3 there, 4 x 2 here",
        "more": "not there",
    }
    assert list(arrays) == ["tnet/dense/kernel"]  # and not the bias of the block, though it would fit


def test_nothing_that_fits_is_refused_in_one_line(first):
    with pytest.raises(RunError) as caught:
        first.taken({"a/kernel": (1,), "b/kernel": (1,)}, TASK)
    assert str(caught.value) == (
        f"{first.path}: no layer of it fits the network to train: a (not there); b (not there)"
    )


def test_another_family_and_a_run_without_weights_are_refused(tiny_run, tmp_path):
    with pytest.raises(RunError, match="its network is small, and cannot start pointnet; give --model small"):
        initial.read(tiny_run, "pointnet")
    empty = changed(tiny_run, tmp_path / "empty")
    for name in (run_folder.CHECKPOINT, run_folder.PREVIOUS):
        (empty / name).unlink(missing_ok=True)
    with pytest.raises(RunError, match="has no trained weights to start from"):
        initial.read(empty, "small")
    with pytest.raises(RunError, match="not a run"):
        initial.read(tmp_path, "small")


def test_a_run_that_goes_on_is_asked_only_where_it_came_from(tmp_path):
    began = {"init": {"path": str(tmp_path / "a")}}
    initial.agree(tmp_path, began, tmp_path / "a")  # which does not exist
    initial.agree(tmp_path, began, None)
    initial.agree(tmp_path, {}, None)
    with pytest.raises(RunError, match=r"init of a run cannot change: it began from .*a, got .*b; give -o another"):
        initial.agree(tmp_path, began, tmp_path / "b")
    with pytest.raises(RunError, match="it began from weights of its seed"):
        initial.agree(tmp_path, {}, tmp_path / "a")


def weights(path):
    """The kept weights of a run, and its facts."""
    checkpoint, _ = run_folder.load_checkpoint(path, ("best/",))
    return checkpoint.arrays, run_folder.read_facts(path)


def test_by_the_command_weights_come_over_and_the_first_run_may_go(tiny_store, tiny_run, tmp_path, capsys):
    source = tmp_path / "first"
    shutil.copytree(tiny_run, source)
    flags = ["--model", "small", "--num-points", "64", "--batch-size", "8", "--learning-rate", "0.0"]
    flags += ["--average", "0.5", "--init", str(source)]
    train = ["train", str(tiny_store.path), "-o", str(tmp_path / "second"), *flags, "--schedule", "constant"]
    assert run([*train, "--epochs", "1"]) == 0
    said = capsys.readouterr()
    assert f"starts from {source}, epoch" in said.err
    before, _ = weights(source)
    after, facts = weights(tmp_path / "second")
    kernels = [name for name in before if name.endswith("kernel")]
    assert kernels
    for name in kernels:  # at the rate 0 only batch norm's statistics move
        assert np.allclose(before[name], after[name], atol=1e-6)
    assert facts["init"]["path"] == str(source)
    assert facts["init"]["new"] == {}
    shutil.rmtree(source)
    assert run([*train, "--epochs", "2"]) == 0
    assert len(run_folder.load_checkpoint(tmp_path / "second")[0].progress.history) == 2
    assert run([*train[: train.index("--init")], "--schedule", "constant", "--epochs", "2"]) == 0
    other = [str(tiny_run) if word == str(source) else word for word in train]
    assert run([*other, "--epochs", "3"]) == 2
    assert "init of a run cannot change" in capsys.readouterr().err


def test_heads_for_other_classes_are_new_and_the_report_says_where_the_run_began(tiny_run, tmp_path, capsys):
    def renamed():
        for row, cloud in shapes.tiny_shapes():
            yield dataclasses.replace(row, class_name={"box": "crate"}.get(row.class_name, row.class_name)), cloud

    from pointkit import store

    facts = {"task": "classification", "num_points_drawn": shapes.POINTS, "seed": 0}
    other = store.write(tmp_path / "S", renamed(), ("crate", "sphere", "stick"), facts)
    flags = ["--model", "small", "--num-points", "64", "--batch-size", "8", "--epochs", "1", "--init", str(tiny_run)]
    assert run(["train", str(other.path), "-o", str(tmp_path / "R"), *flags]) == 0
    assert "new: logits (other classes)" in capsys.readouterr().err
    assert run(["evaluate", str(tmp_path / "R"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert f"--init {tiny_run}" in report["run"]["command"]


def test_two_runs_from_different_weights_are_different_runs(tiny_run):
    """The checkpoint of one is never taken for that of the other: the weights are part of a run's id."""
    first = initial.read(tiny_run, "small")
    changed = dataclasses.replace(first, arrays={name: array + 1 for name, array in first.arrays.items()})
    task = Classification(shapes.CLASSES)
    kept = {name: array.shape for name, array in first.arrays.items()}
    assert first.taken(kept, task)[1]["sha256"] != changed.taken(kept, task)[1]["sha256"]
