"""Normals, colours and intensities from files into stores, networks and answers."""

import numpy as np
import pytest

from pointkit import cli, config, features, formats, preprocess, store, train
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import PointkitError, StoreError
from pointkit.evaluate import evaluate
from pointkit.predict import Predictor
from pointkit.prepare import prepare
from tests import shapes
from tests.runs import changed


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("none", ()), ("normals", ("normals",)), ("intensity,normals", ("normals", "intensity"))],
)
def test_kinds_stand_in_one_order(text, wanted):
    assert features.kinds(text) == wanted
    assert features.held(features.columns(wanted)) == wanted


@pytest.mark.parametrize("text", ["", "normal", "none,normals", "color,color", "color,", "color, normals"])
def test_kinds_that_are_none_are_refused(text):
    with pytest.raises(
        PointkitError, match="features must be none, or some of normals, color, intensity, size with commas"
    ):
        config.Settings(features=text)


def test_what_all_shapes_share_and_how_many_lack_the_rest():
    assert features.shared([("normals", "color"), ("color",), ("color",)]) == (("color",), {"normals": 2})
    assert features.shared([]) == ((), {})


def known(cloud, kind):
    """What a network would see of a kind at each point of a cloud of three (3, C), in their order; None for nothing."""
    drawn = preprocess.draw(cloud, 3, kinds=(kind,))
    return drawn.features[kind][np.argsort(drawn.index)] if kind in drawn.features else None


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
    found = known(PointCloud(np.zeros((3, 3)), {"intensity": values}), "intensity")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-6)


def test_normals_that_are_not_known_are_none_in_any_direction():
    values = np.array([[0, 0, 1], [np.nan, np.nan, np.nan], [np.inf, 0, 0]], np.float32)
    cloud = PointCloud(np.zeros((3, 3)), dict(zip(("nx", "ny", "nz"), values.T, strict=True)))
    np.testing.assert_array_equal(known(cloud, "normals"), [[0, 0, 1], [0, 0, 0], [0, 0, 0]])


def test_a_cloud_without_them_has_none():
    cloud = PointCloud(np.zeros((3, 3)), {"nx": np.zeros(3), "ny": np.zeros(3), "red": np.zeros((3, 2))})
    assert [known(cloud, kind) for kind in features.KINDS] == [None] * 3
    assert [preprocess.numbers(cloud.fields, kind) for kind in features.KINDS] == [None] * 3


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


@pytest.fixture(scope="module")
def painted_run(painted_set, tmp_path_factory):
    """The folder of a run that sees colours, and the store that it was trained on."""
    place = tmp_path_factory.mktemp("seeing")
    made = prepare(painted_set, place / "store", keep="color", workers=1)
    settings = config.Settings(
        model="small", num_points=64, batch_size=8, epochs=25, learning_rate=0.02, features="color"
    )
    outcome = train.train(made.store, place / "run", settings)
    assert outcome.history[-1]["val_accuracy"] == 1
    return place / "run", made.store


def test_a_classifier_that_sees_colours(painted_run, tmp_path, capsys):
    run, made = painted_run
    assert made.task.features == features.KINDS["color"]
    assert made.features.shape == (len(made.points), 3)
    assert 0 <= made.features.min() < 0.2 < 0.8 < made.features.max() <= 1
    assert evaluate(changed(run, tmp_path / "run"))["oa"] == 1
    predictor = Predictor(run)
    rng = np.random.default_rng(9)
    paths = [tmp_path / f"{i}.pcd" for i in range(6)]
    for i, path in enumerate(paths):
        formats.write(path, painted(rng, (200, 80, 60) if i % 2 else (60, 80, 200), 300))
    answers = [answer.class_name for _, answer in predictor.files(paths)]
    assert answers == ["blue", "red"] * 3
    formats.write(tmp_path / "bare.ply", PointCloud(shapes.box(rng, 80)))
    assert cli.run(["predict", str(run), str(tmp_path / "bare.ply")]) == 2
    said = capsys.readouterr().err
    assert "bare.ply: the network sees the color of each point (red, green, blue), found none" in said


def test_prediction_draws_the_numbers_of_the_store(painted_run, painted_set):
    """To the last bit, and by the scale of the run's own facts."""
    run, made = painted_run
    predictor = Predictor(run)
    assert made.manifest["scales"] == predictor.facts["input"]["scales"] == predictor.contract.scales == {"color": 255}
    for i, row in enumerate(made.rows):
        drawn = predictor.draw(formats.read(painted_set / row.file))
        np.testing.assert_array_equal(drawn.points, made.cloud(i))
        query = predictor.query(drawn)
        assert query.features.dtype == made.features.dtype
        np.testing.assert_array_equal(query.features, made.features[made.span(i)])
        assert drawn.warnings == ()


def rescaled(cloud, factor, kind):
    """The same cloud, its colours in other units."""
    fields = {name: (np.asarray(array, np.float64) * factor).astype(kind) for name, array in cloud.fields.items()}
    return PointCloud(cloud.points, fields)


def test_a_file_of_another_scale_is_answered_with_a_warning(painted_run, tmp_path, capsys):
    run, _ = painted_run
    cloud = painted(np.random.default_rng(9), (200, 80, 60), 300)
    for name, other, own in (
        ("one.ply", rescaled(cloud, 1 / 255, np.float32), "1"),
        ("wide.ply", rescaled(cloud, 257, np.uint16), "65,535"),
    ):
        formats.write(tmp_path / name, other)
        assert cli.run(["predict", str(run), str(tmp_path / name)]) == 0
        captured = capsys.readouterr()
        words = f"its color seems to be of the full scale {own}, that of the training set was 255"
        assert captured.err.startswith(f"warning: {tmp_path / name}: {words}: the network sees it too ")
        assert captured.err.count("\n") == 1
        assert captured.out.startswith(str(tmp_path / name))
        drawn = Predictor(run).draw(other)
        wanted = np.stack([other.fields[color] for color in features.KINDS["color"]], 1)[drawn.index] / 255
        wanted = wanted.clip(max=1)
        np.testing.assert_allclose(drawn.features["color"], wanted, rtol=1e-6)


def test_a_run_without_scales_takes_each_clouds_own(painted_run, tmp_path):
    older = Predictor(changed(painted_run[0], tmp_path / "run", **{"input.scales": ..., "input.window": ...}))
    cloud = painted(np.random.default_rng(9), (200, 80, 60), 300)
    one, wide, wanted = rescaled(cloud, 1 / 255, np.float64), rescaled(cloud, 257, np.uint16), older.draw(cloud)
    for other in (one, wide):
        drawn = older.draw(other)
        assert drawn.warnings == ()
        np.testing.assert_allclose(drawn.features["color"], wanted.features["color"], rtol=1e-6)
        assert older.answer(other).class_name == older.answer(cloud).class_name == "red"
    np.testing.assert_array_equal(wanted.features["color"], Predictor(painted_run[0]).draw(cloud).features["color"])


class TestOneScaleForASet:
    @pytest.fixture
    def make(self, tmp_path):
        """A set of two classes from intensities: each class's files have all the same ones; prepared."""

        def made(task=None, **intensities):
            rng = np.random.default_rng(0)
            for name, values in intensities.items():
                (tmp_path / "set" / name).mkdir(parents=True)
                for i in range(6):
                    points = shapes.box(rng, len(values))
                    label = {"label": (points[:, 2] > 0).astype(np.int32)} if task else {}
                    cloud = PointCloud(points, {"intensity": values, **label})
                    formats.write(tmp_path / "set" / name / f"{i}.ply", cloud)
            how = {"task": task, "keep": "intensity", "workers": 1}
            return tmp_path / "set", prepare(tmp_path / "set", tmp_path / "store", **how)

        return made

    @pytest.mark.parametrize("task", [None, "parts"])
    def test_a_dark_and_a_bright_cloud_keep_their_ratio(self, make, task):
        dark, bright = np.arange(80, dtype=np.uint16), np.arange(80, dtype=np.uint16) * 500
        folder, made = make(task, dark=dark, bright=bright)
        assert made.store.manifest["scales"] == {"intensity": 65535}
        assert not any("scale" in warning for warning in made.warnings)
        contract = preprocess.Contract.of_store(made.store.manifest, 64)
        for i, row in enumerate(made.store.rows):
            own = made.store.features[made.store.span(i)]
            values = dark if row.class_name == "dark" else bright
            assert own.max() == np.float32(values.max() / 65535)
            cloud = formats.read(folder / row.file)
            drawn = contract.draw(cloud, whole=task == "parts", kinds=("intensity",))
            np.testing.assert_array_equal(drawn.features["intensity"], own)
            np.testing.assert_array_equal(own[:, 0], (values[drawn.index] / 65535).astype(np.float32))

    def test_shares_stay_shares(self, make):
        shares = np.random.default_rng(0).random(80).astype(np.float32)
        _, made = make(dark=shares / 10, bright=shares)
        assert made.store.manifest["scales"] == {"intensity": 1}
        for i, row in enumerate(made.store.rows):
            own = np.sort(made.store.features[made.store.span(i)][:, 0])
            np.testing.assert_array_equal(own, np.sort(shares / 10 if row.class_name == "dark" else shares))

    def test_numbers_beyond_16_bits_are_shares_of_the_largest_of_all(self, make):
        _, made = make(dark=np.arange(80, dtype=np.float32), bright=np.arange(80, dtype=np.float32) * 1000)
        assert made.store.manifest["scales"] == {"intensity": 79_000}
        assert made.store.features.max() == 1

    def test_shares_among_whole_numbers_are_warned_of(self, make):
        """The set's scale is 255: what seems to be shares of 1 already becomes tiny, which is said, with the files."""
        _, made = make(ones=np.linspace(0, 1, 80, dtype=np.float32), whole=np.arange(80, dtype=np.uint8) * 3)
        assert made.store.manifest["scales"] == {"intensity": 255}
        words = "intensity goes up to 1 in 6 shapes, but 255 is the scale of all: "
        [warning] = [warning for warning in made.warnings if "scale" in warning]
        assert warning == f"{words}ones/0.ply, ones/1.ply, ones/2.ply, ones/3.ply, ones/4.ply and 1 more"
        assert warning in made.store.manifest["warnings"]

    def test_one_point_and_one_file_do_not_decide(self, tmp_path):
        """19 files of 8 bits, one of them with a point of 60,000, and one file of 16 bits: the scale is 255."""
        rng = np.random.default_rng(0)
        for i in range(20):
            values = (rng.integers(0, 256, 200) * (257 if i == 19 else 1)).astype(np.uint16)
            values[0] = 60_000 if i == 7 else values[0]
            path = tmp_path / "set" / "ab"[i % 2] / f"{i}.ply"
            path.parent.mkdir(parents=True, exist_ok=True)
            formats.write(path, PointCloud(shapes.box(rng, 200), {"intensity": values}))
        made = prepare(tmp_path / "set", tmp_path / "store", keep="intensity", workers=1)
        assert made.store.manifest["scales"] == {"intensity": 255}
        assert made.store.features.max() == 1
        [warning] = [warning for warning in made.warnings if "scale" in warning]
        words = "intensity goes up to 65,535 in 1 shape, but 255 is the scale of all, and more counts as that: b/19.ply"
        assert warning == words
        contract = preprocess.Contract.of_store(made.store.manifest, 64)
        for i, row in enumerate(made.store.rows):
            drawn = contract.draw(formats.read(tmp_path / "set" / row.file), kinds=("intensity",))
            np.testing.assert_array_equal(drawn.features["intensity"], made.store.features[made.store.span(i)])

    def test_the_user_says_it(self, make, tmp_path, capsys):
        folder, made = make(dark=np.arange(80, dtype=np.uint16), bright=np.arange(80, dtype=np.uint16) * 500)
        before = np.array(made.store.features)
        how = {"keep": "intensity", "workers": 1, "force": True}
        said = prepare(folder, tmp_path / "store", full_scale="intensity=20000", **how).store
        assert said.manifest["scales"] == said.manifest["full_scale"] == {"intensity": 20_000}
        np.testing.assert_allclose(said.features, (before * (65535 / 20_000)).clip(max=1), rtol=1e-6)
        for word in ("intensity", "intensity=0", "intensity=x", "normals=1", "color=inf", ","):
            assert cli.run(["prepare", str(folder), "-o", str(tmp_path / "b"), "--full-scale", word]) == 2
            err = capsys.readouterr().err
            assert "--full-scale must be like intensity=2048 or color=255" in err
            assert err.count("\n") == 1
        with pytest.raises(PointkitError, match="--full-scale names color, but the features that the store keeps are"):
            prepare(folder, tmp_path / "b", full_scale="color=255", **how)

    def test_a_set_without_them_has_no_scales(self, painted_set, tmp_path):
        assert "scales" not in prepare(painted_set, tmp_path / "store", workers=1).store.manifest


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
