"""One run, three backends: what is trained on one answers on the others, and each goes on bit for bit where it stopped.

Needs PyTorch and TensorFlow beside JAX, so it runs in an environment of its own (``-m backends``).
"""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pointkit import formats
from pointkit.cloud import PointCloud
from pointkit.run_folder import load_checkpoint

BACKENDS = ("jax", "torch", "tensorflow")
# A cosine depends on the number of epochs, so one that grows is compared at a constant rate.
SETTINGS = ["--num-points", "64", "--batch-size", "8", "--schedule", "constant", "--scale", "0.2", "--average", "0.9"]
POINTNET = [*SETTINGS, "--model", "pointnet"]
REACH = [*SETTINGS, "--model", "pointreach", "--widths", "small", "--warmup", "0"]

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in BACKENDS), reason="PyTorch or TensorFlow is not installed"
    ),
]


def pointkit(*arguments, backend):
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    command = [sys.executable, "-m", "pointkit", *map(str, arguments), "--backend", backend]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def runs(tiny_store, tmp_path_factory):
    """A run of two epochs on each backend."""
    folder = tmp_path_factory.mktemp("backends")
    for backend in BACKENDS:
        pointkit("train", tiny_store.path, "-o", folder / backend, *POINTNET, "--epochs", 2, backend=backend)
    return folder


@pytest.fixture(scope="module")
def files(tiny_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i in tiny_store.select("test"):
        formats.write(folder / f"{i:02d}.xyz", PointCloud(tiny_store.cloud(i)))
    return folder


@pytest.mark.parametrize("trained_on", BACKENDS)
def test_a_run_answers_alike_on_every_backend(trained_on, runs, files):
    answers = {}
    for backend in BACKENDS:
        lines = pointkit("predict", runs / trained_on, files, "--json", backend=backend).splitlines()
        answers[backend] = [json.loads(line) for line in lines]
    for backend in BACKENDS:
        assert [a["class"] for a in answers[backend]] == [a["class"] for a in answers[trained_on]]
        ours, theirs = ([a["probability"] for a in answers[name]] for name in (backend, trained_on))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_command_gives_the_same_weights_stopped_or_not(backend, runs, tiny_store, tmp_path):
    for epochs in (1, 2):  # stops after the first, goes on to the second
        pointkit("train", tiny_store.path, "-o", tmp_path / "run", *POINTNET, "--epochs", epochs, backend=backend)
    whole, parts = (load_checkpoint(path)[0].arrays for path in (runs / backend, tmp_path / "run"))
    assert whole.keys() == parts.keys()
    different = [name for name in whole if not np.array_equal(whole[name], parts[name])]
    assert different == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_evaluates_on_every_backend(backend, runs):
    report = json.loads(pointkit("evaluate", runs / "jax", "--json", backend=backend))
    reference = json.loads(pointkit("evaluate", runs / "jax", "--json", backend="jax"))
    assert report["confusion"] == reference["confusion"]
    assert report["loss"] == pytest.approx(reference["loss"], abs=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_sizes_are_seen_on_every_backend_and_a_training_goes_on(backend, tiny_store, tmp_path):
    settings = [*SETTINGS, "--features", "size", "--model", "pointnet", "--widths", "half", "--transforms", "none"]
    for name, steps in (("whole", (2,)), ("parts", (1, 2))):
        for epochs in steps:
            pointkit("train", tiny_store.path, "-o", tmp_path / name, *settings, "--epochs", epochs, backend=backend)
    whole, halves = (load_checkpoint(tmp_path / name)[0].arrays for name in ("whole", "parts"))
    assert any("size_dense" in name for name in whole)
    assert [name for name in whole if not np.array_equal(whole[name], halves[name])] == []
    answers = {}
    formats.write(tmp_path / "one.xyz", PointCloud(tiny_store.cloud(0)))
    for other in (backend, "jax"):
        answers[other] = json.loads(
            pointkit("predict", tmp_path / "whole", tmp_path / "one.xyz", "--json", backend=other)
        )
    assert answers[backend]["class"] == answers["jax"]["class"]
    assert answers[backend]["probability"] == pytest.approx(answers["jax"]["probability"], abs=1e-5)
    assert answers[backend]["warnings"] == answers["jax"]["warnings"]


def test_a_network_that_sees_neighbourhoods_answers_alike_on_every_backend(tiny_store, files, tmp_path):
    pointkit("train", tiny_store.path, "-o", tmp_path / "run", *REACH, "--epochs", 1, backend="jax")
    answers = {}
    for backend in BACKENDS:
        lines = pointkit("predict", tmp_path / "run", files, "--json", backend=backend).splitlines()
        answers[backend] = [json.loads(line)["probability"] for line in lines]
    for backend in BACKENDS:
        np.testing.assert_allclose(answers[backend], answers["jax"], atol=1e-5)


@pytest.fixture(scope="module")
def parts_run(tiny_parts, tmp_path_factory):
    """A run on parts, trained on JAX with normals."""
    path = tmp_path_factory.mktemp("parts") / "run"
    settings = [
        "--num-points",
        "64",
        "--batch-size",
        "8",
        "--epochs",
        "2",
        "--features",
        "normals",
        "--model",
        "pointnet",
    ]
    pointkit("train", tiny_parts.path, "-o", path, *settings, backend="jax")
    return path


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_parts_are_trained_and_go_on_bit_for_bit(backend, tiny_parts, tmp_path):
    settings = [*REACH, "--features", "normals", "--context", "80"]
    for name, steps in (("whole", (2,)), ("parts", (1, 2))):
        for epochs in steps:
            pointkit("train", tiny_parts.path, "-o", tmp_path / name, *settings, "--epochs", epochs, backend=backend)
    whole, halves = (load_checkpoint(tmp_path / name)[0].arrays for name in ("whole", "parts"))
    assert [name for name in whole if not np.array_equal(whole[name], halves[name])] == []


def test_parts_are_labelled_and_explained_alike_on_every_backend(parts_run, tiny_parts, tmp_path):
    cloud = tiny_parts.span(tiny_parts.select("test")[0])
    fields = dict(zip(("nx", "ny", "nz"), tiny_parts.features[cloud].T, strict=True))
    formats.write(tmp_path / "box.ply", PointCloud(tiny_parts.points[cloud], fields))
    answers = {}
    for backend in BACKENDS:
        told = "--category", "box", "--explain", "-o", tmp_path / backend
        pointkit("predict", parts_run, tmp_path / "box.ply", *told, backend=backend)
        answers[backend] = formats.read(tmp_path / backend / "box.labelled.ply").fields
    for fields in answers.values():
        np.testing.assert_allclose(fields["probability"], answers["jax"]["probability"], atol=1e-5)
        np.testing.assert_array_equal(fields["label"], answers["jax"]["label"])
        assert (fields["critical"] == answers["jax"]["critical"]).mean() > 0.95  # near ties may be broken otherwise


def test_parts_are_evaluated_alike_on_every_backend(parts_run):
    reports = [json.loads(pointkit("evaluate", parts_run, "--json", backend=backend)) for backend in BACKENDS]
    for report in reports:
        for key in ("instance_miou", "class_miou", "point_accuracy"):
            assert report[key] == pytest.approx(reports[0][key], abs=2e-3)
