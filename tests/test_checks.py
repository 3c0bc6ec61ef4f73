"""What is refused before Keras is imported. A time would depend on the machine, so the loaded modules are asked."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pointkit import checks, formats, run_folder
from pointkit.cloud import PointCloud
from pointkit.errors import RunError
from tests.runs import changed
from tests.shapes import box

HEAD = """
import json, os, pathlib, sys
import tests.families
from pointkit import run_folder
from pointkit.cli import run
for arguments in json.loads(sys.argv[1]):
    print(run(arguments), "keras" in sys.modules, flush=True)
"""


def refusals(commands, head=""):
    """The line on standard error of each command, all of one process. Each must end with 2, and without Keras."""
    done = subprocess.run(
        [sys.executable, "-c", head + HEAD, json.dumps([[str(word) for word in words] for words in commands])],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "2 False\n" * len(commands), done.stdout + done.stderr
    return [line.removeprefix("pointkit: ") for line in done.stderr.splitlines() if line.startswith("pointkit: ")]


@pytest.fixture
def file(tmp_path):
    """A cloud to answer."""
    path = tmp_path / "cloud.xyz"
    formats.write(path, PointCloud(box(np.random.default_rng(0), 80)))
    return path


def test_a_training_that_cannot_begin_is_refused_without_keras(tiny_store, tiny_run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "file").touch()
    held = tmp_path / "held"
    held.mkdir()
    other = changed(tiny_run, tmp_path / "other", **{"store.checksum": "aa"})
    train = ["train", tiny_store.path, "-o"]
    hold = f"from pointkit import run_folder; import pathlib; hold = run_folder.locked(pathlib.Path({str(held)!r}))\n"
    lines = refusals(
        [
            [*train, tmp_path / "full"],
            [*train, tmp_path / "file"],
            [*train, tmp_path / "a" / "b" / "c"],
            [*train, held],
            [*train, other, "--model", "small"],
            [*train, tiny_run, "--model", "small", "--learning-rate", "0.5"],
            [*train, tmp_path / "new", "--features", "normals"],
            [*train, tmp_path / "new", "--select", "miou"],
        ],
        hold + "hold.__enter__()\n",
    )
    words = [
        "not a run (it has no run.json) and not empty (it has mine.txt)",
        "must be a folder, found a file",
        "must exist, found none",
        "in use by the process",
        "was trained on another store",
        "of a run can",
        "no nx, ny, nz",
        "select must be loss or accuracy for classes",
    ]
    for line, word in zip(lines, words, strict=True):
        assert word in line
    assert not (tmp_path / "new").exists()


def test_runs_that_cannot_be_measured_are_refused_without_keras(tiny_store, tiny_run, tiny_parts_run, tmp_path):
    empty = changed(tiny_run, tmp_path / "empty")
    for name in (run_folder.CHECKPOINT, run_folder.PREVIOUS):
        (empty / name).unlink(missing_ok=True)
    moved = changed(tiny_run, tmp_path / "moved", **{"store.path": str(tmp_path / "gone")})
    other = changed(tiny_run, tmp_path / "other", **{"input.num_points": 32})
    lines = refusals(
        [
            ["evaluate"],
            ["evaluate", tmp_path],
            ["evaluate", empty],
            ["evaluate", moved],
            ["evaluate", tiny_run, other],
            ["evaluate", tiny_run, tiny_parts_run],
            ["evaluate", tiny_run, "--store", tmp_path],
            ["evaluate", tiny_run, "--protocol", "reference-b"],
            ["evaluate", tiny_run, "--draws=-1"],
        ]
    )
    words = [
        "evaluate needs a run",
        "not a run",
        "has no trained weights yet",
        "--store says where it is now",
        "cannot be compared",
        "of another task (parts, not classification)",
        "not a store",
        "reference-b is for parts",
        "draws must be at least 0, got -1",
    ]
    for line, word in zip(lines, words, strict=True):
        assert word in line
    assert not list(empty.glob("report*"))


def test_what_a_run_cannot_answer_is_refused_without_keras(tiny_run, tiny_parts_run, file, tmp_path):
    (tmp_path / "taken").touch()
    lines = refusals(
        [
            ["predict", tmp_path, file],
            ["predict", tiny_run],
            ["predict", tiny_run, file, "--category", "box"],
            ["predict", tiny_parts_run, file, "--category", "bax"],
            ["predict", tiny_run, file, "-o", tmp_path / "taken"],
            ["predict", tiny_run, file, "-o", tmp_path / "a" / "b" / "c"],
            ["predict", tiny_run, tmp_path / "missing.xyz"],
        ]
    )
    words = [
        "not a run",
        "needs a file or folder",
        "category is for parts",
        "did you mean 'box'?",
        "must be a folder, found a file",
        "must exist, found none",
        "missing.xyz: No such file or directory",
    ]
    for line, word in zip(lines, words, strict=True):
        assert word in line


@pytest.mark.parametrize(("folder", "call"), [("run", checks.to_evaluate), ("out", checks.to_predict)])
def test_a_folder_that_cannot_be_written_to_is_refused(folder, call, tiny_run, tmp_path, monkeypatch):
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / folder)
    with pytest.raises(RunError, match=f"{folder}: cannot be written to"):
        call([tmp_path / "run"]) if folder == "run" else call(tmp_path / "run", output=tmp_path / "out")


def test_runs_are_compared_on_the_same_inputs_alone(tmp_path):
    facts = {"task": "parts", "store": {"checksum": "aa"}, "input": {"num_points": 64}}
    a, b = tmp_path / "a", tmp_path / "b"
    checks.same_inputs({a: facts, b: facts})
    for change, words in (
        ({"store": {"checksum": "bb"}}, "another store (bb, not aa)"),
        ({"input": {"num_points": 32}}, "another number of points (32, not 64)"),
    ):
        with pytest.raises(RunError) as caught:
            checks.same_inputs({a: facts, b: facts | change})
        assert str(caught.value) == f"{b} cannot be compared with {a}: it is of {words}"
