"""True size: measured, seen by the head, kept in the run; it tells apart what differs in size alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import cli, config, features, formats, models, preprocess, run_folder, size, store
from pointkit.cloud import PointCloud
from pointkit.errors import PointkitError
from pointkit.evaluate import evaluate
from pointkit.loader import Batches, radii
from pointkit.predict import Predictor
from pointkit.preprocess import Contract
from pointkit.size import JITTER, Size
from pointkit.train import train
from tests import shapes
from tests.runs import changed

POSITIVE = st.floats(1e-6, 1e9)
OWN = {"pointnet": {"widths": "half", "transforms": "none"}}
SETTINGS = {"model": "small", "num_points": 64, "batch_size": 8}


class TestSize:
    @given(st.lists(POSITIVE, min_size=1, max_size=20), POSITIVE)
    def test_other_units_are_seen_as_the_same_sizes(self, sizes, unit):
        """What the network sees depends on ratios alone, where all shapes are written in other units."""
        one, other = Size.of_radii(sizes), Size.of_radii(np.multiply(sizes, unit))
        np.testing.assert_allclose(one.seen(sizes), other.seen(np.multiply(sizes, unit)), atol=1e-4)

    def test_by_hand(self):
        rule = Size.of_radii([1, np.e**2])
        assert (rule.mean, rule.spread) == pytest.approx((1, 1))
        seen = rule.seen([1, np.e, np.e**3, 1e9, 1e-9])
        assert seen.dtype == np.float32
        np.testing.assert_allclose(seen, [-1, 0, 2, size.FARTHEST, -size.FARTHEST], atol=1e-6)

    @given(st.lists(POSITIVE, min_size=1, max_size=20), st.integers(0, 9))
    def test_training_sees_each_size_a_little_larger_or_smaller(self, sizes, seed):
        rule = Size(0.0, 50.0)
        plain = rule.seen(sizes)
        varied = rule.seen(sizes, np.random.default_rng(seed))
        assert (np.abs(varied - plain) * 50 <= JITTER + 1e-4).all()
        assert (varied != plain).any()
        np.testing.assert_array_equal(varied, rule.seen(sizes, np.random.default_rng(seed)))

    def test_sizes_that_are_all_the_same_are_not_blown_up(self):
        rule = Size.of_radii([3, 3.0001])
        assert rule.spread == JITTER
        assert np.abs(rule.seen([3, 3.0001])).max() < 0.01
        assert size.alike([3, 3.0001])
        assert not size.alike([3, 3.3])

    def test_facts_there_and_back(self):
        rule = Size(1.5, 0.25)
        assert Size.of_run(rule.facts()) == rule
        assert Size.of_run(None) is None

    @pytest.mark.parametrize(
        "given",
        [{"mean": 0}, {"mean": 0, "spread": 0}, {"mean": "0", "spread": 1}, {"mean": float("nan"), "spread": 1}, 3],
    )
    def test_damaged_facts_are_refused(self, given):
        with pytest.raises(ValueError, match="size must"):
            Size.of_run(given)


class TestSettings:
    @pytest.mark.parametrize(("text", "kinds", "seen"), [("size", (), True), ("size,normals", ("normals",), True)])
    def test_size_stands_among_the_features(self, text, kinds, seen):
        assert features.kinds(config.Settings(features=text).features) == kinds
        assert features.sees_size(text) is seen
        assert not features.sees_size("none")

    def test_prepare_has_no_need_of_it(self, tmp_path):
        (tmp_path / "a").mkdir()
        formats.write(tmp_path / "a" / "1.ply", PointCloud(np.eye(3)))
        with pytest.raises(PointkitError, match=r"--features size,color: size is not for prepare, as a store keeps"):
            features.to_keep("size,color")
        assert cli.run(["prepare", str(tmp_path), "-o", str(tmp_path / "s"), "--features", "size"]) == 2
        assert not (tmp_path / "s").exists()


class TestContract:
    def test_the_inputs_say_by_how_much_points_were_divided(self):
        contract = Contract(5, 5, size=Size(0.5, 2.0))
        points = np.random.default_rng(0).standard_normal((2, 5, 3)) * 40
        given = contract.inputs(points)
        assert list(given) == ["points", "size"]
        np.testing.assert_allclose(given["size"], (np.log(preprocess.normalise(points)[2]) - 0.5) / 2, rtol=1e-6)
        larger = contract.inputs(points * 10)
        np.testing.assert_allclose(larger["points"], given["points"], atol=1e-6)
        np.testing.assert_allclose(larger["size"] - given["size"], np.log(10) / 2, atol=1e-6)

    def test_a_run_keeps_it(self):
        contract = Contract(5, 5, size=Size(0.5, 2.0))
        assert contract.facts()["size"] == {"mean": 0.5, "spread": 2.0}
        assert Contract.of_run(contract.facts()) == contract
        assert "size" not in Contract(5, 5).facts()
        with pytest.raises(ValueError, match="size must have a mean and a spread"):
            Contract.of_run({**contract.facts(), "size": {"mean": 1}})


@pytest.mark.parametrize("build", [models.classifier, models.segmenter])
@pytest.mark.parametrize("name", [name for name, family in models.FAMILIES.items() if family.maxima_alone])
def test_size_belongs_to_the_head(name, build):
    """So points are pooled as without it, and pieces and critical points stay possible."""
    model = build(name, 4, seed=1, sees_size=True, **OWN.get(name, {}))
    rng = np.random.default_rng(0)
    noise = [0.05 * rng.standard_normal(w.shape) for w in model.get_weights()]
    pairs = zip(model.get_weights(), noise, strict=True)  # as after a training, no weight is where it starts
    model.set_weights([w + (more if w.ndim > 1 else np.abs(more)) for w, more in pairs])
    points = np.random.default_rng(0).standard_normal((2, 33, 3)).astype("float32")
    given = {"points": points, "size": np.array([-1, 1], "float32")}
    whole = model.predict_on_batch(given)
    pieces = models.InParts(model, rows=40)(**given)
    np.testing.assert_allclose(pieces, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())
    marks = models.CriticalPoints(model)
    np.testing.assert_array_equal(marks(given), marks({**given, "size": given["size"] + 3}))


def test_the_settings_decide_whether_a_network_sees_it():
    with_size = models.build(config.Settings(model="small", features="size").flat(), 3)
    assert {tensor.name for tensor in with_size.inputs} == {"points", "size"}
    assert len(models.build(config.Settings(model="small").flat(), 3).inputs) == 1


SIZES = {"M4": 4.0, "M6": 6.0, "M8": 8.0}


def bolt(rng, length, count=96):
    """A stick (count, 3) float32 of that length, measured with 1 % of noise."""
    points = preprocess.normalise(shapes.stick(rng, count))[0] * length
    return (points + rng.normal(0, 0.01 * length, points.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def bolts(tmp_path_factory):
    """A store of sticks that differ in size alone."""
    rng = np.random.default_rng(0)

    def rows():
        for split, count in {"train": 8, "val": 3, "test": 4}.items():
            for name, length in SIZES.items():
                for i in range(count):
                    points = bolt(rng, length)
                    yield store.ShapeRow(f"{name}/{split}/{i}", f"{name}/{split}/{i}.ply", split, name, 0, 0), points

    whole = {"task": "classification", "num_points_drawn": 96, "seed": 0}
    return store.write(tmp_path_factory.mktemp("bolts") / "store", rows(), tuple(SIZES), whole)


@pytest.fixture(scope="module")
def run(bolts, tmp_path_factory):
    """A run that sees sizes."""
    path = tmp_path_factory.mktemp("sized") / "run"
    train(bolts, path, config.Settings(**SETTINGS, features="size", epochs=12, learning_rate=0.02, dropout=0.0))
    return path


def test_bolts_that_differ_in_size_alone_are_told_apart(bolts, run, tmp_path):
    plain = config.Settings(**SETTINGS, epochs=12, learning_rate=0.02, dropout=0.0)
    train(bolts, tmp_path / "plain", plain)
    assert evaluate(tmp_path / "plain")["oa"] < 0.7
    assert evaluate(changed(run, tmp_path / "run"))["oa"] == 1


def test_predict_goes_by_the_size_of_the_file(run, tmp_path):
    rng = np.random.default_rng(5)
    for name, length in SIZES.items():
        formats.write(tmp_path / f"{name}.ply", PointCloud(bolt(rng, length, 300) + 1000))
    answers = [answer.class_name for _, answer in Predictor(run).files(tmp_path / f"{name}.ply" for name in SIZES)]
    assert answers == list(SIZES)


def test_the_run_keeps_how_sizes_are_seen(bolts, run):
    measured = radii(bolts, "train", 64)
    assert measured.shape == (24,)
    first = bolts.cloud(bolts.select("train")[0])[:64]
    assert measured[0] == preprocess.normalise(first)[2]
    kept = run_folder.read_facts(run)["input"]["size"]
    assert kept == Size.of_radii(measured).facts() == Predictor(run).contract.size.facts()


def test_batches_vary_sizes_in_training_alone(bolts):
    how = {"num_points": 64, "batch_size": 8, "size": Size.of_radii(radii(bolts, "train", 64))}
    steady = Batches(bolts, "val", **how)
    np.testing.assert_array_equal(steady[0][0]["size"], steady.contract.size.seen(radii(bolts, "val", 64)[:8]))
    training = Batches(bolts, "train", training=True, seed=3, **how)
    again = Batches(bolts, "train", training=True, seed=3, **how)
    np.testing.assert_array_equal(training[1][0]["size"], again[1][0]["size"])
    points = training[1][0]["points"]
    np.testing.assert_array_equal(
        points, Batches(bolts, "train", training=True, seed=3, **{**how, "size": None})[1][0], "points are as without"
    )
    again.epoch = 1
    assert not set(training[1][0]["size"]) & set(again[1][0]["size"])


def test_a_training_goes_on_bit_for_bit(bolts, tmp_path):
    for name, steps in (("whole", (2,)), ("parts", (1, 2))):
        for epochs in steps:
            train(bolts, tmp_path / name, config.Settings(**SETTINGS, features="size", epochs=epochs, scale=0.1))
    whole, parts = (run_folder.load_checkpoint(tmp_path / name)[0].arrays for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert [name for name in whole if not np.array_equal(whole[name], parts[name])] == []


def test_parts_and_normals_and_sizes_together(tiny_parts, tmp_path):
    settings = config.Settings(**SETTINGS, features="normals,size", epochs=2)
    train(tiny_parts, tmp_path / "run", settings)
    predictor = Predictor(tmp_path / "run")
    assert {tensor.name for tensor in predictor.model.inputs} == {"points", "features", "size", "category"}
    assert 0 <= evaluate(tmp_path / "run")["instance_miou"] <= 1
    place = tiny_parts.select("test")[0]
    normals = dict(zip(features.KINDS["normals"], tiny_parts.features[tiny_parts.span(place)].T, strict=True))
    answers = [
        predictor.answer(PointCloud(tiny_parts.cloud(place) * np.float32(unit), normals), "box").probabilities
        for unit in (1, 1000)
    ]
    assert np.abs(answers[0] - answers[1]).max() > 1e-4


def test_a_set_of_one_size_is_said(tmp_path):
    made = shapes.write_tiny(
        tmp_path / "store",
        shapes=[(row, preprocess.normalise(points)[0]) for row, points in shapes.tiny_shapes(points=64)],
    )
    notes = []

    class Listening:
        def note(self, line):
            notes.append(line)

        def __getattr__(self, name):
            return lambda *_: None

    train(made, tmp_path / "run", config.Settings(**SETTINGS, features="size", epochs=1), Listening())
    assert notes == ["--features size adds nothing here: all training shapes are of one size, as if they were scaled"]
