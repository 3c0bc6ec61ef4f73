"""What a run checks: silent on shapes like those it was trained on, one line for each way in which a file is not."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from pointkit import outside, preprocess, run_folder, store, synthetic, trained_on, traits, upright
from pointkit.cloud import PointCloud, Sample
from pointkit.errors import RunError
from pointkit.outside import Checks
from pointkit.predict import Predictor
from pointkit.preprocess import Contract, Drawn
from pointkit.size import Size
from pointkit.store import ShapeRow
from pointkit.trained_on import Stances, TrainedOn
from tests.runs import changed

KINDS = ("chair", "lamp", "table", "airplane")
POINTS = 512


def cloud(name, style, seed, count=POINTS):
    return preprocess.draw(synthetic.make(name, style, seed), count).points


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A store of 80 everyday shapes with red points, and what a run keeps of it."""

    def rows():
        for name in KINDS:
            for number in range(20):
                about = synthetic.CLASSES[name]
                points = cloud(name, about.styles[number % len(about.styles)], number)
                red = np.random.default_rng(number).uniform(0.5, 0.9, (POINTS, 1)).astype(np.float32)
                yield ShapeRow(f"{name}/{number}", f"{name}/{number}.ply", "train", name), Sample(points, None, red)

    path = tmp_path_factory.mktemp("known") / "store"
    opened = store.write(path, rows(), KINDS, {"task": "classification", "features": ["intensity"]})
    about, stances = trained_on.of_store(opened, ("intensity",))
    contract = Contract(256, POINTS, stray="left out", scales={"intensity": 255.0})
    return Checks(contract, about, Stances(stances), ("intensity",))


@pytest.fixture(scope="module")
def others():
    """Shapes of the same classes in styles that no training shape has."""
    return [
        cloud(name, style, 100 + number)
        for name in KINDS
        for style in synthetic.CLASSES[name].test_styles
        for number in range(6)
    ]


RED = np.full((POINTS, 1), 0.7, np.float32)


def kinds(found):
    assert all("\n" not in warned.text and len(warned.text) > 40 for warned in found)
    return [warned.kind for warned in found]


def test_shapes_like_the_training_shapes_are_not_warned_of(known, others):
    said = [kinds(known.of_points(points, RED)) for points in others]
    assert len(said) >= 40
    assert sum(map(bool, said)) <= 2, [one for one in said if one]


def test_what_was_trained_on_is_kept_whole(known):
    about = known.known
    assert about.shapes == 80
    assert about.points == (POINTS, POINTS)
    assert 0.5 <= about.features["intensity"][0] < about.features["intensity"][1] <= 0.9
    assert TrainedOn.of_run(json.loads(json.dumps(about.facts()))) == about
    assert TrainedOn.of_run(None) is None
    for damage in ({"points": [3, 2]}, {"extent": "long"}, {"features": None}, {"shapes": None}, {"spacing": [0]}):
        with pytest.raises(ValueError, match="trained_on must have ranges"):
            TrainedOn.of_run({**about.facts(), **damage})
    with pytest.raises(ValueError, match="trained_on"):
        TrainedOn.of_run([1])


def test_a_shape_on_its_side_is_said_and_how_to_turn_it(known, others):
    for up in ("x", "y", "-x", "-y"):
        found = [known.of_points(upright.turned(points, up), RED) for points in others]
        said = [one for one in found if kinds(one) == ["up-axis"]]
        assert len(said) >= 0.6 * len(others), up
        assert all("lie on its side" in one[0].text or "on its head" in one[0].text for one in said)


@pytest.mark.parametrize("contract_up", ["z", "y", "-x"])
def test_the_axis_that_is_named_stands_the_shape_upright(known, others, contract_up):
    right = said = 0
    checked = dataclasses.replace(known, contract=dataclasses.replace(known.contract, up=contract_up))
    for points, up in zip(others, ["x", "y", "-x", "-y"] * len(others), strict=False):
        if up == contract_up:
            continue
        frame = upright.turned(np.eye(3), up)
        file = np.ascontiguousarray(points @ frame.T, np.float32)  # in the file, the axis up is up
        found = checked.of_points(upright.turned(file, contract_up), RED)
        said += bool(found)
        right += any(f"--up {up} turns it upright" in warned.text for warned in found)
    assert right >= 0.6 * said > 0


def test_shapes_that_stand_in_all_ways_and_few_shapes_have_no_stance(tmp_path):
    rng = np.random.default_rng(0)

    def rows(count, turn, first=0):
        for number in range(first, first + count):
            style = synthetic.CLASSES["chair"].styles[number % 3]
            up = traits.AXES[rng.integers(6)] if turn else "z"
            row = ShapeRow(f"{number}", f"{number}.ply", "train", "a")
            yield row, upright.turned(cloud("chair", style, number, 128), up)

    few = store.write(tmp_path / "few", rows(20, False), ["a"], {})
    about, stances = trained_on.of_store(few)
    assert (about.unlike, stances) == (None, None)
    all_ways = store.write(tmp_path / "all", rows(120, True), ["a"], {})
    about, stances = trained_on.of_store(all_ways)
    if stances is not None:
        silent = Checks(Contract(64, 128), about, Stances(stances))
        said = [silent.of_points(points) for _, points in rows(30, True, 1000)]
        assert sum(map(bool, said)) <= 2


def test_points_that_coincide_are_said_by_runs_of_any_age(others):
    old = Checks(Contract(64, 128))
    assert kinds(old.of_points(others[0])) == []
    assert kinds(old.of_points(np.repeat(others[0][:1], 500, 0))) == ["degenerate"]
    assert kinds(old.of_points(others[0][:1])) == ["few-points"]


def test_few_points_crowded_ones_and_other_features_are_said(known, others):
    points = others[0]
    assert kinds(known.of_points(points[:100], RED[:100])) == ["few-points"]
    assert kinds(known.of_points(points[: POINTS // 20], RED[: POINTS // 20])) == ["few-points"]
    small = dataclasses.replace(known, contract=Contract(16, POINTS))
    assert kinds(small.of_points(points[: POINTS // 20], RED[: POINTS // 20])) == ["few-points"], "of 20 times as many"
    assert kinds(known.of_points(points, RED * 0)) == ["features"]
    assert kinds(known.of_points(points, RED + 0.3)) == ["features"]
    assert kinds(known.of_points(points, RED * 0, ("intensity",))) == []
    crowded = points.copy()
    crowded[: POINTS * 9 // 10] = points[0] + np.random.default_rng(0).normal(0, 1e-3, (POINTS * 9 // 10, 3))
    rng = np.random.default_rng(0)
    assert "density" in kinds(known.of_points(rng.permutation(crowded), RED))
    assert kinds(Checks(Contract(256, POINTS)).of_points(crowded, RED * 0)) == [], "an older run knows no more"


def test_size_is_said_where_the_network_sees_it(known, others):
    assert kinds(known.of_points(others[0] * 1000, RED)) == []
    seeing = dataclasses.replace(known, contract=dataclasses.replace(known.contract, size=Size(0.0, 1.0)))
    assert kinds(seeing.of_points(others[0], RED)) == []
    [warned] = seeing.of_points(others[0] * 1000, RED)
    assert warned.kind == "size"
    assert "other units" in warned.text


def test_what_is_said_of_drawn_points():
    points = np.zeros((5, 3), np.float32)
    drawn = Drawn(points, np.arange(5), scales={"color": 65535.0}, left_out=2, strays=3)
    contract = Contract(5, 5, scales={"color": 255.0}, stray="left out")
    assert kinds(list(outside.of_drawn(drawn, contract))) == ["features", "stray-points", "no-coordinates"]
    kept = list(outside.of_drawn(drawn, dataclasses.replace(contract, stray="kept")))
    assert "decide the size" in kept[1].text
    assert outside.other_scales(drawn, contract) == {"color": 65535.0}
    assert outside.other_scales(drawn, Contract(5, 5)) == {}


def test_a_run_keeps_its_checks_and_an_older_one_answers_without(tiny_run, tiny_store, tmp_path):
    predictor = Predictor(tiny_run)
    assert predictor.checks.known == TrainedOn.of_run(predictor.facts["trained_on"])
    assert predictor.checks.known.shapes == len(tiny_store.select("train"))
    older = Predictor(changed(tiny_run, tmp_path / "older", trained_on=...))
    assert older.checks.known is None
    points = PointCloud(tiny_store.cloud(0))
    np.testing.assert_array_equal(older.answer(points).probabilities, predictor.answer(points).probabilities)
    with pytest.raises(RunError, match=r"run.json: damaged \(trained_on must have ranges"):
        Predictor(changed(tiny_run, tmp_path / "bad", **{"trained_on.points": 3}))


def test_damaged_stances_are_a_note(tiny_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(tiny_run, path)
    facts = run_folder.read_facts(path)
    stances = np.zeros((3, 3, traits.LEVELS), np.float16)
    run_folder.save_reference(path, facts["id"], {"stances": stances}, run_folder.STANCES)
    found, notes = outside.load_stances(path, facts["id"])
    assert found.known.shape == (3, 3 * traits.LEVELS)
    assert notes == []
    assert outside.load_stances(path, "another run") == (None, [])
    (path / run_folder.STANCES).write_bytes(b"no")
    found, [note] = outside.load_stances(path, facts["id"])
    assert found is None
    assert note.startswith(f"{path / run_folder.STANCES}: damaged (")
    with pytest.raises(ValueError, match="stances must be"):
        Stances(np.zeros((0, 3, traits.LEVELS)))
