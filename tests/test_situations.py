"""Folders as users have them, from the files to the answers: what is right is told by the points themselves.

``prepare/test_situations.py`` holds how such folders are read. Here a network is trained on a few of them.
"""

import json

import numpy as np
import pytest

from pointkit import formats
from pointkit.cli import run
from pointkit.cloud import PointCloud

pytestmark = pytest.mark.slow
QUICK = ["--num-points", "128", "--transforms", "none", "--widths", "half"]


def table(seed, count=600):
    """Points (N, 3) of a table, shuffled, and their labels: its top 1, its legs 2."""
    rng = np.random.default_rng(seed)
    top = np.c_[rng.uniform(0, 1.2, count // 2), rng.uniform(0, 0.7, count // 2), rng.uniform(0.66, 0.7, count // 2)]
    legs = np.c_[
        rng.choice([0.05, 1.15], count // 2), rng.choice([0.05, 0.65], count // 2), rng.uniform(0, 0.66, count // 2)
    ]
    order = rng.permutation(2 * (count // 2))
    return (np.r_[top, legs] + rng.normal(0, 0.005, (len(order), 3)))[order], np.repeat([1, 2], count // 2)[order]


def command(*words):
    assert run([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A run that was trained on texts without a title: x, y, z, a colour that says nothing, the label."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "set").mkdir()
    for number in range(20):
        points, labels = table(number)
        rows = np.c_[points, np.random.default_rng(number).integers(0, 256, (len(points), 3)), labels]
        np.savetxt(folder / "set" / f"{number:02}.txt", rows, "%.4f %.4f %.4f %d %d %d %d")
    word = ["--columns", "x,y,z,r,g,b,label", "--features", "none"]
    command("prepare", folder / "set", "-o", folder / "store", "--task", "parts", *word, "--workers", "1")
    command("train", folder / "store", "-o", folder / "run", "--epochs", "40", "--batch-size", "8", *QUICK)
    return folder


def labels_of(path):
    return formats.columns.labels_of(formats.read(path))


def test_a_new_scan_is_labelled_by_the_users_columns(tables):
    points, truth = table(100)
    np.savetxt(tables / "new.txt", np.c_[points, np.zeros((len(points), 3))], "%.4f %.4f %.4f %d %d %d")
    command("predict", tables / "run", tables / "new.txt", "-o", tables / "answers")
    answer = formats.read(tables / "answers" / "new.labelled.txt")
    np.testing.assert_allclose(answer.points, points, atol=1e-3)
    assert (answer.labels == truth).mean() >= 0.95
    assert set(np.unique(answer.labels).tolist()) == {1, 2}


def test_stray_points_far_away_change_little(tables):
    points, truth = table(101)
    rng = np.random.default_rng(54)
    away = rng.normal(size=(6, 3))
    away *= rng.uniform(5, 15, (6, 1)) / np.linalg.norm(away, axis=1, keepdims=True)
    for name, some in (("clean", points), ("stray", np.r_[points, away])):
        formats.write(tables / f"{name}.ply", PointCloud(some.astype("f4")))
    command("predict", tables / "run", tables / "clean.ply", tables / "stray.ply", "-o", tables / "answers")
    clean, stray = (labels_of(tables / "answers" / f"{name}.labelled.ply") for name in ("clean", "stray"))
    assert (clean == truth).mean() >= 0.95
    assert (stray[: len(points)] == truth).sum() >= (clean == truth).sum() - 5


def measured(folder):
    """The accuracy on the test shapes of a run of classes."""
    command("evaluate", folder / "run")
    return json.loads((folder / "run" / "report.json").read_text())["oa"]


def test_coordinates_that_are_not_the_first_columns(tmp_path):
    """Straight tracks and noise. Numbers of sensors, taken for coordinates, would tell nothing: half would be right."""
    rng = np.random.default_rng(67)
    for kind in ("track", "noise"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for number in range(20):
            points = rng.uniform(0, 100, (200, 3))
            if kind == "track":
                points = rng.uniform(0, 100, (1, 3)) + np.outer(rng.uniform(-50, 50, 200), rng.normal(size=3))
            sensor = np.c_[rng.integers(1, 2000, 200), rng.integers(0, 31, 200)]
            rows = np.c_[sensor, points, rng.integers(10, 40, 200)]
            title = {"header": "sensor,channel,pos_x,pos_y,pos_z,charge", "comments": ""}
            np.savetxt(tmp_path / "set" / kind / f"{number}.txt", rows, "%.3f", delimiter=",", **title)
    command("prepare", tmp_path / "set", "-o", tmp_path / "store", "--workers", "1")
    command("train", tmp_path / "store", "-o", tmp_path / "run", "--epochs", "20", "--batch-size", "8", *QUICK)
    assert measured(tmp_path) == 1


def bolt(rng, size):
    turn, height = rng.uniform(0, 2 * np.pi, 400), rng.uniform(0, 5, 400)
    radius = np.where(height > 4.3, 0.9, 0.5)
    points = np.c_[radius * np.cos(turn), radius * np.sin(turn), height] * size
    return points + rng.normal(0, 0.01 * size, points.shape)


def test_classes_that_differ_in_size_alone(tmp_path):
    rng = np.random.default_rng(312)
    for size in (4, 6, 8):
        (tmp_path / "set" / f"M{size}").mkdir(parents=True)
        for number in range(12):
            path = tmp_path / "set" / f"M{size}" / f"{number:02}.ply"
            formats.write(path, PointCloud(bolt(rng, size).astype("f4")))
    command("prepare", tmp_path / "set", "-o", tmp_path / "store", "--workers", "1")
    seen = ["--features", "size", "--epochs", "60", "--batch-size", "8"]
    command("train", tmp_path / "store", "-o", tmp_path / "run", *seen, *QUICK)
    assert measured(tmp_path) == 1
