"""Which axis is up: turns for the network and for pictures, and never in what is written."""

import itertools

import numpy as np
import pytest

from pointkit import formats, preprocess, store, upright, view
from pointkit.cli import run
from pointkit.cloud import PointCloud
from pointkit.errors import PointkitError
from pointkit.predict import Predictor
from pointkit.prepare import prepare
from pointkit.traits import AXES
from tests import shapes


@pytest.mark.parametrize("up", AXES)
def test_up_becomes_z_by_a_turn_that_loses_nothing(up):
    unit = np.eye(3, dtype=np.float32)["xyz".index(up[-1])] * (-1 if up.startswith("-") else 1)
    assert upright.turned(unit, up).tolist() == [0, 0, 1]
    frame = upright.turned(np.eye(3), up)
    assert np.linalg.det(frame) == 1
    points = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    turned = upright.turned(points, up)
    assert turned.dtype == np.float32
    np.testing.assert_array_equal(turned @ frame.T.astype(np.float32), points)
    assert upright.opposite(upright.opposite(up)) == up
    assert (upright.turned(unit, upright.opposite(up)) == [0, 0, -1]).all()


def test_normals_turn_and_colours_do_not():
    found = {kind: np.array([[1.0, 2.0, 3.0]]) for kind in ("normals", "color")}
    turned = upright.turned_features(found, "y")
    assert turned["normals"].tolist() == [[1, -3, 2]]
    assert turned["color"] is found["color"]


@pytest.mark.parametrize("up", ["w", "", "+z", "up"])
def test_another_word_is_refused_in_one_line(up, tiny_store, tmp_path, capsys):
    with pytest.raises(PointkitError, match=r"--up must be one of x, y, z, -x, -y, -z, .*got"):
        upright.check(up)
    with pytest.raises(PointkitError, match="--up must be one of"):
        prepare(tmp_path, tmp_path / "store", up=up)
    for command in (["prepare", "a", "-o", "b"], ["predict", "a", "b"], ["view", "a"]):
        assert run([*command, "--up", up]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def labelled_set(folder, up="z", count=8):
    """Boxes with labels and normals, in files whose axis ``up`` points up."""
    back = np.linalg.inv(upright.turned(np.eye(3), up)).round().astype(np.float32)
    rng = np.random.default_rng(0)
    for name, number in itertools.product(("box", "stick"), range(count)):
        points = shapes.MAKERS[name](rng, 90)
        cloud = points @ back
        normals = dict(zip(("nx", "ny", "nz"), cloud.T, strict=True))
        path = folder / name / f"{number}.ply"
        path.parent.mkdir(parents=True, exist_ok=True)
        label = (points[:, 2] > 0).astype(np.int32)
        formats.write(path, PointCloud(np.ascontiguousarray(cloud), {**normals, "label": label}))
    return folder


def test_a_store_of_files_with_another_axis_up_is_turned(tmp_path):
    def sorted_rows(made):
        """All numbers of each shape, in an order of their own: the points of other files are drawn in another order."""
        for i in range(len(made.rows)):
            numbers = np.c_[made.points[made.span(i)], made.features[made.span(i)], made.point_labels[made.span(i)]]
            yield numbers[np.lexsort(numbers.T)]

    upright_one = prepare(labelled_set(tmp_path / "z"), tmp_path / "a", task="parts", workers=1)
    lying = prepare(labelled_set(tmp_path / "z2" / "z", "-x"), tmp_path / "b", task="parts", workers=1, up="-x")
    assert lying.store.manifest["up"] == "-x"
    assert "up" not in upright_one.store.manifest
    for one, other in zip(sorted_rows(upright_one.store), sorted_rows(lying.store), strict=True):
        np.testing.assert_array_equal(one, other)
    assert preprocess.Contract.of_store(lying.store.manifest, 64).up == "-x"
    again = prepare(tmp_path / "z2" / "z", tmp_path / "b", task="parts", workers=1, up="-x")
    assert again.already
    assert store.open(tmp_path / "b").task.features == ("nx", "ny", "nz")


def test_a_run_sees_what_up_says_and_writes_what_the_file_has(tiny_parts_run, tiny_store, tmp_path, capsys):
    points = np.array(tiny_store.cloud(0))
    lying = np.ascontiguousarray(points[:, [0, 2, 1]] * np.float32([1, 1, -1]))  # y is up: what was z
    np.testing.assert_array_equal(upright.turned(lying, "y"), points)
    plain, turned = Predictor(tiny_parts_run), Predictor(tiny_parts_run, up="y")
    drawn = turned.draw(PointCloud(lying))
    np.testing.assert_array_equal(drawn.points, lying[drawn.index])
    np.testing.assert_array_equal(turned.query(drawn).points, points[drawn.index])
    np.testing.assert_array_equal(plain.query(plain.draw(PointCloud(lying))).points[:, 0], lying[drawn.index][:, 0])
    path = tmp_path / "box" / "lying.ply"
    path.parent.mkdir()
    formats.write(path, PointCloud(lying))
    category = plain.classes[0]
    command = ["predict", str(tiny_parts_run), str(path), "--category", category]
    assert run([*command, "--up", "y"]) == 0
    written = formats.read(path.with_name("lying.labelled.ply"))
    np.testing.assert_array_equal(written.points, lying)
    assert run([*command, "--up", "y"]) == 0
    assert "answered before" in capsys.readouterr().out
    assert run([*command, "--up", "-z"]) == 2, "another word gives another answer"
    assert "not this answer" in capsys.readouterr().err


@pytest.mark.parametrize("up", ["y", "-z"])
def test_a_picture_is_turned(tmp_path, up):
    points = shapes.stick(np.random.default_rng(0), 50)
    formats.write(tmp_path / "stick.ply", PointCloud(points))
    plain, turned = view.load(tmp_path / "stick.ply"), view.load(tmp_path / "stick.ply", up)
    np.testing.assert_array_equal(np.sort(turned.points, 0), np.sort(upright.turned(plain.points, up), 0))
    assert run(["view", str(tmp_path / "stick.ply"), "--up", up, "-o", str(tmp_path / "a.png")]) == 0
    assert run(["view", str(tmp_path / "stick.ply"), "-o", str(tmp_path / "b.png")]) == 0
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
