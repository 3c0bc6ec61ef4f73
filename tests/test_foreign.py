"""Foreign shapes: distances by a plain twin, what a run keeps, how predict marks and evaluate counts them."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import cli, formats, models, neighbours, run_folder, store, synthetic
from pointkit.cloud import PointCloud
from pointkit.config import Settings, combine
from pointkit.errors import PointkitError, RunError
from pointkit.evaluate import evaluate, foreigners
from pointkit.foreign import AXES, FEWEST, MARGIN, Reference
from pointkit.predict import Predictor
from pointkit.prepare import prepare
from pointkit.train import train
from tests import shapes
from tests.runs import changed
from tests.test_conformance import MEMBERS


def some(rng, count, width=6):
    return rng.standard_normal((count, width)).astype(np.float32) * np.arange(1, width + 1, dtype=np.float32)


def made(rng, known=40, validation=30, width=6):
    return Reference.of(some(rng, known, width), some(rng, validation, width))


class TestReference:
    @pytest.mark.parametrize("width", [3, 6, AXES + 20])
    def test_distances_are_those_of_a_plain_twin(self, width):
        """The distance to the nearest training shape on the axes, and all that lies off them."""
        rng = np.random.default_rng(width)
        reference, query = made(rng, width=width), some(rng, 9, width).astype(float)
        for found, one in zip(reference.distances(query), query, strict=True):
            standard = (one - reference.center) / reference.spread
            on = standard @ reference.axes
            off = ((standard - reference.axes @ on) ** 2).sum()
            nearest = min(((on - known) ** 2).sum() for known in reference.known)
            assert found == pytest.approx(np.sqrt(nearest + off), rel=1e-3, abs=1e-3)

    def test_a_training_shape_is_no_distance_away(self):
        rng = np.random.default_rng(0)
        training = some(rng, 20)
        assert Reference.of(training, some(rng, 5)).distances(training).max() < 1e-2

    @given(st.integers(0, 99))
    def test_farther_out_is_farther(self, seed):
        rng = np.random.default_rng(seed)
        reference, direction = made(rng), rng.standard_normal(6)
        far = np.stack([reference.center + step * direction for step in (50, 100, 200)])
        assert (np.diff(reference.distances(far)) > 0).all()

    def test_the_limit_is_beyond_validation(self):
        reference = made(np.random.default_rng(1))
        assert (np.diff(reference.validation) >= 0).all()
        assert reference.limit == pytest.approx(MARGIN * np.percentile(reference.validation, 99))
        assert reference.percentile(0.0) == 0
        assert reference.percentile(float(reference.validation[15]) + 1e-6) == pytest.approx(100 * 16 / 30)

    def test_what_is_near_has_no_warning_and_what_is_far_one_line(self):
        reference = made(np.random.default_rng(1))
        assert reference.warning(reference.center) is None
        far = reference.center + np.float32(1000)
        words = reference.warning(far)
        assert words.startswith(
            "unlike every training shape: farther from the nearest one than 100 % of the validation"
        )
        assert "\n" not in words

    def test_too_few_validation_shapes_mark_nothing(self):
        rng = np.random.default_rng(2)
        few = Reference.of(some(rng, 20), some(rng, FEWEST - 1))
        assert few.limit is None
        assert few.warning(few.center + np.float32(1e6)) is None

    def test_features_that_never_varied_do_no_harm(self):
        same = np.ones((5, 4), np.float32)
        reference = Reference.of(same, np.ones((12, 4), np.float32))
        assert reference.distances(same).max() == 0
        assert np.isfinite(reference.distances(same + 1)).all()

    def test_there_and_back(self, tmp_path):
        reference = made(np.random.default_rng(3))
        assert Reference.load(tmp_path, "run epoch 3", 6) == (None, [])
        reference.save(tmp_path, "run epoch 3")
        again, notes = Reference.load(tmp_path, "run epoch 3", 6)
        assert notes == []
        for name, array in reference.arrays().items():
            np.testing.assert_array_equal(again.arrays()[name], array)
        assert Reference.load(tmp_path, "run epoch 4", 6) == (None, []), "of other weights"

    def test_one_of_other_features_or_damaged_is_said(self, tmp_path):
        made(np.random.default_rng(3)).save(tmp_path, "a")
        file = tmp_path / run_folder.REFERENCE
        assert Reference.load(tmp_path, "a", 7)[1][0].startswith(
            f"{file}: damaged (of 6 features, not 7); foreign shapes"
        )
        whole = file.read_bytes()
        for broken in (whole[: len(whole) // 2], whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], b""):
            file.write_bytes(broken)
            found, [note] = Reference.load(tmp_path, "a", 6)
            assert found is None
            assert note.startswith(f"{file}: damaged (")
        run_folder.save_reference(tmp_path, "a", {"known": np.zeros((3, 2), np.float32)})
        assert "damaged" in Reference.load(tmp_path, "a", 6)[1][0]

    @pytest.mark.parametrize("name", ["center", "spread", "known"])
    def test_a_strangers_numbers_are_checked(self, name):
        arrays = made(np.random.default_rng(3)).arrays()
        for wrong in (np.full_like(arrays[name], np.nan), arrays[name][:, None]):
            with pytest.raises(ValueError, match="finite numbers, found"):
                Reference(**{**arrays, name: wrong})
        for nothing in ({"spread": -arrays["spread"]}, {"known": arrays["known"][:0]}):
            with pytest.raises(ValueError, match="known and spread must"):
                Reference(**{**arrays, **nothing})


@pytest.mark.parametrize(("name", "build"), MEMBERS)
def test_what_every_network_pools_is_seen_with_its_logits(name, build):
    parts = {"parts": [2, 2]} if build is models.segmenter else {}
    own = {} if name in ("pointnet", "small", "mean") else {"widths": "small"}
    model = build(name, 4, seed=0, sees_size=True, **parts, **own)
    rng = np.random.default_rng(0)
    given = {"points": rng.standard_normal((4, 20, 3)).astype("float32"), "size": np.zeros(4, np.float32)}
    given |= {"category": np.array([0, 1, 0, 1], np.int32)} if parts else {}
    look, lists = models.looking(model), models.lists(model)

    def listed(given):
        return neighbours.with_lists(given, lists, np.random.default_rng(0))[0] if lists else given

    logits, pooled = look(listed(given))
    wanted = models.listed(model).predict_on_batch(listed(given))
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-5 * np.abs(logits[0]).max())
    assert pooled.shape == (4, models.pooled(model).shape[-1])
    others = {**given, "size": given["size"] + 1} | ({"category": 1 - given["category"]} if parts else {})
    np.testing.assert_array_equal(look(listed(others))[1], pooled, "pooled before size and category come")
    moved = look(listed({**given, "points": given["points"] * 2}))[1]
    assert np.abs(moved - pooled).max() > 1e-3


@pytest.fixture(scope="module")
def set_of_three(tmp_path_factory):
    """A store of three classes with enough validation shapes; and a run of two of them."""
    folder = tmp_path_factory.mktemp("foreign")
    rng = np.random.default_rng(0)

    def rows(classes):
        for split, count in {"train": 20, "val": 8, "test": 10}.items():
            for name in classes:
                for i in range(count):
                    ident = f"{name}/{split}/{i}"
                    yield store.ShapeRow(ident, f"{ident}.xyz", split, name, 0, 0), shapes.MAKERS[name](rng, 96)

    facts = {"task": "classification", "num_points_drawn": 96, "seed": 0}
    known = ("sphere", "stick")
    whole = store.write(folder / "whole", rows(shapes.CLASSES), shapes.CLASSES, facts)
    two = store.write(folder / "two", rows(known), known, facts)
    settings = Settings(model="small", num_points=64, batch_size=8, epochs=6, learning_rate=0.02, dropout=0.0)
    train(two, folder / "run", settings)
    return whole, folder / "run"


def test_a_training_ends_with_a_reference_of_its_weights(set_of_three):
    predictor = Predictor(set_of_three[1])
    reference = predictor.reference
    assert len(reference.known) == 40
    assert len(reference.validation) == 16
    assert reference.limit > 0
    assert predictor.notes == []


def test_a_killed_training_and_an_older_run_get_theirs_by_the_same_command(set_of_three, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(set_of_three[1], run)
    file = run / run_folder.REFERENCE
    whole, kept = file.read_bytes(), Predictor(run).reference.arrays()
    facts = run_folder.read_facts(run)
    opened = store.open(facts["store"]["path"])
    file.unlink()
    older = Predictor(run)
    assert (older.reference, older.notes) == (None, [])
    assert older.answer(PointCloud(np.eye(3))).class_name in shapes.CLASSES
    assert evaluate(run)["foreign"] == {
        "marked": None,
        "why": "it keeps no reference of its training shapes, which the command that trained it adds",
    }
    for before in (None, whole[:-5]):
        if before is not None:
            file.write_bytes(before)
            assert "damaged" in Predictor(run).notes[0]
        assert train(opened, run, combine(facts["settings"])).already
        again = Predictor(run).reference.arrays()
        assert all(np.array_equal(again[name], kept[name]) for name in kept)


def test_predict_marks_what_is_far_and_says_so(set_of_three, tmp_path, capsys):
    run = set_of_three[1]
    rng = np.random.default_rng(7)
    for name in ("box", "stick"):
        (tmp_path / "files" / name).mkdir(parents=True)
    for i in range(10):
        formats.write(tmp_path / "files" / "box" / f"{i}.ply", PointCloud(shapes.box(rng, 96)))
        formats.write(tmp_path / "files" / "stick" / f"{i}.ply", PointCloud(shapes.stick(rng, 96)))
    assert cli.run(["predict", str(run), str(tmp_path / "files"), "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = {
        name: [[w["kind"] for w in a["warnings"]] for a in answers if f"/{name}/" in a["file"]]
        for name in ("box", "stick")
    }
    assert kinds["box"].count(["foreign"]) >= 3
    assert kinds["stick"].count([]) >= 9


def test_evaluate_counts_marks_and_says_how_well_other_classes_are_found(set_of_three, tmp_path, capsys):
    whole, run = set_of_three
    path = changed(run, tmp_path / "run")
    assert cli.run(["evaluate", str(path), "--foreign", str(whole.path)]) == 0
    said = capsys.readouterr().out
    report = json.loads((path / "report.json").read_text())
    marks = report["foreign"]
    assert marks["marked"] <= 0.1
    others = marks["others"]
    assert (others["shapes"], others["classes"], others["known"], others["unread"]) == (38, ["box"], 76, 0)
    assert others["auroc"] > 0.9
    assert others["found"] > 0.5
    assert f"AUROC {others['auroc']:.3f}" in said
    assert f"{others['auroc']:.3f}" in (path / "report.html").read_text()
    assert f"--foreign {whole.path}" in report["command"]


def test_a_folder_of_files_is_taken_whole(set_of_three, tmp_path):
    run = set_of_three[1]
    (tmp_path / "others").mkdir()
    rng = np.random.default_rng(8)
    for i in range(5):
        formats.write(tmp_path / "others" / f"{i}.ply", PointCloud(shapes.box(rng, 200)))
    (tmp_path / "others" / "bad.ply").write_bytes(b"ply\n")
    others = evaluate(changed(run, tmp_path / "run"), foreign=tmp_path / "others")["foreign"]["others"]
    assert (others["shapes"], others["unread"], others["name"]) == (5, 1, "others")
    assert others["auroc"] > 0.9


def test_what_cannot_be_measured_is_one_line(set_of_three, tmp_path, tiny_run):
    whole, run = set_of_three
    path = changed(run, tmp_path / "run")
    with pytest.raises(PointkitError, match=r"no shapes of other classes than the run knows \(sphere, stick\)"):
        evaluate(path, foreign=pathlib.Path(run_folder.read_facts(run)["store"]["path"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(PointkitError, match="no file that can be read in this folder"):
        evaluate(path, foreign=tmp_path / "empty")
    with pytest.raises(RunError, match="it marks no foreign shapes, as it had fewer than 10 validation shapes"):
        evaluate(changed(tiny_run, tmp_path / "tiny"), foreign=whole.path)


def test_parts_mark_by_the_first_window_whatever_the_category(tiny_parts, tiny_parts_run, tmp_path):
    predictor = Predictor(tiny_parts_run)
    query = next(shape.query for shape in foreigners.asked(predictor, tiny_parts, [3]))
    other = query._replace(category=1 - query.category)
    rows = list(predictor.asker.rows([query, other]))
    np.testing.assert_allclose(rows[0].pooled, rows[1].pooled, rtol=1e-5)
    np.testing.assert_allclose(foreigners.pooled_of(predictor, [query])[0], rows[0].pooled, rtol=1e-5)
    every = [shape.query for shape in foreigners.asked(predictor, tiny_parts, range(len(tiny_parts.rows)))]
    pooled = foreigners.pooled_of(predictor, every)
    cloud = PointCloud(shapes.box(np.random.default_rng(5), 200))
    known = Reference.of(pooled, pooled)
    assert known.limit is None, "copies do not say what is near"
    predictor.reference = dataclasses.replace(known, validation=np.full(12, 0.011, np.float32))
    assert [warned.kind for warned in predictor.answer(cloud, "box").warnings] == ["foreign"]
    predictor.reference = dataclasses.replace(known, validation=np.full(12, 1e3, np.float32))
    assert predictor.answer(cloud, "box").warnings == ()


LEFT_OUT = [("airplane", "mug", "table"), ("chair", "guitar", "lamp"), ("bottle", "car", "spectacles")]


@pytest.mark.slow
@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_built_in_classes_left_out_of_training_are_found(left_out, tmp_path):
    """AUROC of at least 0.85, few false alarms, as docs/log.md says."""
    synthetic.write(tmp_path / "shapes", seed=0)
    whole = prepare(tmp_path / "shapes", tmp_path / "whole").store
    known = [name for name in whole.classes if name not in left_out]
    some = prepare(tmp_path / "shapes", tmp_path / "some", classes=known).store
    settings = Settings(
        num_points=512, epochs=12, schedule="cosine", scale=0.25, rotate=10.0, average=0.95, own={"transforms": "none"}
    )
    train(some, tmp_path / "run", settings)
    marks = evaluate(tmp_path / "run", foreign=whole.path)["foreign"]
    assert marks["others"]["auroc"] >= 0.85
    assert marks["marked"] <= 0.03
