"""Normals, colours and intensities from files into stores, networks and answers."""

import numpy as np
import pytest

from pointkit import cli, config, features, formats, preprocess, store, train
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import PointkitError, StoreError
from pointkit.predict import Predictor
from pointkit.prepare import prepare
from tests import shapes


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("none", ()), ("normals", ("normals",)), ("intensity,normals", ("normals", "intensity"))],
)
def test_kinds_stand_in_one_order(text, wanted):
    assert features.kinds(text) == wanted
    assert features.held(features.columns(wanted)) == wanted


@pytest.mark.parametrize("text", ["", "normal", "none,normals", "color,color", "color,", "color, normals"])
def test_kinds_that_are_none_are_refused(text):
    with pytest.raises(PointkitError, match="features must be none, or some of normals, color, intensity with commas"):
        config.Settings(features=text)


def test_what_all_shapes_share_and_how_many_lack_the_rest():
    assert features.shared([("normals", "color"), ("color",), ("color",)]) == (("color",), {"normals": 2})
    assert features.shared([]) == ((), {})


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([0, 51, 204], np.uint8), [0, 0.2, 0.8]),
        (np.array([0, 1, 1], np.uint8), [0, 1 / 255, 1 / 255]),
        (np.array([0, 257, 13107], np.uint16), [0, 257 / 65535, 0.2]),
        (np.array([0.0, 0.25, 1.0]), [0, 0.25, 1]),
        (np.array([0.0, 51.0, 204.0], np.float32), [0, 0.2, 0.8]),
        (np.array([-30.0, 0.0, np.nan]), [-30 / 255, 0, 0]),
        (np.array([0, 50_000, 100_000], np.int32), [0, 0.5, 1]),
        (np.zeros(3), [0, 0, 0]),
    ],
)
def test_intensities_are_shares_of_their_scale(values, wanted):
    cloud = PointCloud(np.zeros((3, 3)), {"intensity": values})
    found = preprocess.known(cloud, "intensity")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-6)


def test_normals_that_are_not_known_are_none_in_any_direction():
    values = np.array([[0, 0, 1], [np.nan, np.nan, np.nan], [np.inf, 0, 0]], np.float32)
    cloud = PointCloud(np.zeros((3, 3)), dict(zip(("nx", "ny", "nz"), values.T, strict=True)))
    np.testing.assert_array_equal(preprocess.known(cloud, "normals"), [[0, 0, 1], [0, 0, 0], [0, 0, 0]])


def test_a_cloud_without_them_has_none():
    cloud = PointCloud(np.zeros((3, 3)), {"nx": np.zeros(3), "ny": np.zeros(3), "red": np.zeros((3, 2))})
    assert [preprocess.known(cloud, kind) for kind in features.KINDS] == [None] * 3


def painted(rng, color, count=80):
    """A box of one colour, a little noisy."""
    paint = np.clip(rng.normal(color, 20, (count, 3)), 0, 255).astype(np.uint8)
    return PointCloud(shapes.box(rng, count), dict(zip(features.KINDS["color"], paint.T, strict=True)))


@pytest.fixture(scope="module")
def painted_set(tmp_path_factory):
    """Boxes that only their colours tell apart: a folder a class."""
    folder, rng = tmp_path_factory.mktemp("painted"), np.random.default_rng(0)
    for name, color in (("blue", (60, 80, 200)), ("red", (200, 80, 60))):
        (folder / name).mkdir()
        for i in range(20):
            formats.write(folder / name / f"{i}.ply", painted(rng, color))
    return folder


def test_a_classifier_that_sees_colours(painted_set, tmp_path, monkeypatch, capsys):
    made = prepare(painted_set, tmp_path / "store", keep="color", workers=1)
    assert made.store.task.features == features.KINDS["color"]
    assert made.store.features.shape == (len(made.store.points), 3)
    assert 0 <= made.store.features.min() < 0.2 < 0.8 < made.store.features.max() <= 1
    settings = config.Settings(
        model="small", num_points=64, batch_size=8, epochs=25, learning_rate=0.02, features="color"
    )
    outcome = train.train(made.store, tmp_path / "run", settings)
    assert outcome.history[-1]["val_accuracy"] == 1

    from pointkit.evaluate import evaluate

    assert evaluate(tmp_path / "run")["oa"] == 1
    predictor = Predictor(tmp_path / "run")
    rng = np.random.default_rng(9)
    paths = [tmp_path / f"{i}.pcd" for i in range(6)]
    for i, path in enumerate(paths):
        formats.write(path, painted(rng, (200, 80, 60) if i % 2 else (60, 80, 200), 300))
    answers = [answer.class_name for _, answer in predictor.files(paths)]
    assert answers == ["blue", "red"] * 3
    formats.write(tmp_path / "bare.ply", PointCloud(shapes.box(rng, 80)))
    assert cli.run(["predict", str(tmp_path / "run"), str(tmp_path / "bare.ply")]) == 2
    said = capsys.readouterr().err
    assert "bare.ply: the network sees the color of each point (red, green, blue), found none" in said


def test_features_asked_for_must_be_in_every_file(painted_set, tmp_path):
    with pytest.raises(PointkitError, match=r"--features normals, but 40 of 40 files have no normals .*blue/0.ply"):
        prepare(painted_set, tmp_path / "store", keep="normals", workers=1)
    assert not (tmp_path / "store").exists()


def test_classes_keep_nothing_where_nothing_is_asked_for(painted_set, tmp_path):
    plain = prepare(painted_set, tmp_path / "store", workers=1).store
    assert plain.features is None
    with pytest.raises(StoreError, match="prepare --features keeps what the files have"):
        train.learned(plain, config.Settings(features="color"))
    with pytest.raises(StoreError, match="made with other keep_features"):
        prepare(painted_set, tmp_path / "store", workers=1, keep="color")


def test_parts_keep_what_all_shapes_have_and_say_what_some_lack(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        cloud = painted(rng, (200, 80, 60))
        fields = {**cloud.fields, "label": (cloud.points[:, 2] > 0).astype(np.int32)}
        if i:
            fields["intensity"] = rng.uniform(0, 1, len(cloud.points)).astype(np.float32)
        (tmp_path / "set" / "box").mkdir(parents=True, exist_ok=True)
        formats.write(tmp_path / "set" / "box" / f"{i}.ply", PointCloud(cloud.points, fields))
    made = prepare(tmp_path / "set", tmp_path / "store", task="parts", workers=1)
    assert made.store.task.features == features.KINDS["color"]
    assert "no intensity in 1 of 6 shapes: the store keeps none" in made.warnings
    assert made.store.features.shape[1] == 3
    with pytest.raises(PointkitError, match="features must be none"):
        prepare(tmp_path / "set", tmp_path / "other", task="parts", keep="", workers=1)
    none = prepare(tmp_path / "set", tmp_path / "none", task="parts", keep="none", workers=1)
    assert none.store.features is None
    assert store.open(tmp_path / "none").task.features == ()


def test_the_normals_of_a_mesh_are_its_faces(tmp_path):
    mesh = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2]]))
    drawn = preprocess.draw(mesh, 5, kinds=("normals", "color"))
    assert drawn.features.keys() == {"normals"}
    np.testing.assert_array_equal(drawn.first(2).features["normals"], [[0, 0, 1]] * 2)
    assert preprocess.draw(mesh, 5).features == {}
