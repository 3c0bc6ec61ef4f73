"""Each kind of finding: planted, it is found with its files; in the built-in shapes as they are, nothing is."""

import json

import numpy as np
import pytest

from pointkit import audit, config, formats
from pointkit import store as stores
from pointkit.audit.finding import names
from pointkit.cli import run
from pointkit.cloud import PointCloud, Sample
from pointkit.task import Classification
from tests.audit import sets


@pytest.fixture(scope="module")
def shapes():
    return sets.built_in(10, ["airplane", "chair", "guitar"])


def kinds(found):
    return [one.kind for one in found]


def only(found, kind):
    [one] = [one for one in found if one.kind == kind]
    return one


def planted(tmp_path, shapes, changed, **more):
    """The findings of a store where some shapes are others: index -> points."""
    spoiled = [(name, split, changed.get(i, points)) for i, (name, split, points) in enumerate(shapes)]
    return audit.of_store(sets.made(tmp_path / "store", spoiled, **more))


@pytest.mark.slow
def test_next_to_nothing_is_wrong_with_the_built_in_shapes(tmp_path):
    found = audit.of_store(sets.made(tmp_path / "store", sets.built_in(60, seed=0)))
    assert kinds(found) in ([], ["copies"])
    assert all(len(one.files) <= 4 for one in found)  # two tables may be alike to within a hundredth


def test_a_small_set_of_them_has_too_few_shapes_and_nothing_else(shapes, tmp_path):
    found = planted(tmp_path, shapes, {})
    assert kinds(found) == ["few-shapes", "few-shapes"]
    assert [len(one.files) for one in found] == [3, 6]
    assert "only 3 validation shapes: one is worth 33 points" in found[0].text


def test_another_unit(shapes, tmp_path):
    one = only(planted(tmp_path, shapes, {4: shapes[4][2] / 1000, 15: shapes[15][2] * 25.4}), "size")
    assert one.files == ("airplane/4.ply", "chair/15.ply")
    assert "times smaller" in one.text


def test_sizes_that_all_vary_are_no_finding(shapes, tmp_path):
    sizes = 1000.0 ** np.random.default_rng(0).random(len(shapes))
    changed = {i: points * size for i, ((_, _, points), size) in enumerate(zip(shapes, sizes, strict=True))}
    assert "size" not in kinds(planted(tmp_path, shapes, changed))


def test_lying_on_its_side(shapes, tmp_path):
    one = only(planted(tmp_path, shapes, {22: shapes[22][2][:, [0, 2, 1]] * [1, -1, 1]}), "up-axis")
    assert one.files == ("guitar/22.ply",)
    assert "is up" in one.text


def test_stray_points(shapes, tmp_path):
    points = shapes[3][2].copy()
    points[:20] = points.mean(0) + np.random.default_rng(1).normal(size=(20, 3)) * 20 * np.ptp(points)
    one = only(planted(tmp_path, shapes, {3: points}), "stray-points")
    assert one.files == ("airplane/3.ply",)


def test_crowded_points_and_few_points(shapes, tmp_path):
    crowded = shapes[14][2].copy()
    crowded[::4] = crowded[:1] + (crowded[::4] - crowded[:1]) * 0.5
    crowded[1::2] = crowded[:1] + (crowded[1::2] - crowded[:1]) * 0.001
    found = planted(tmp_path, shapes, {14: crowded, 5: shapes[5][2][:100]})
    assert [one.files for one in found if one.kind == "density"] == [("chair/14.ply",), ("airplane/5.ply",)]


@pytest.mark.parametrize(
    ("points", "words"), [(np.full((200, 3), 2.5), "coincide"), (np.outer(np.arange(200), [1, 2, 3]), "on a line")]
)
def test_no_shape_at_all(shapes, tmp_path, points, words):
    one = only(planted(tmp_path, shapes, {7: points}), "degenerate")
    assert one.files == ("airplane/7.ply",)
    assert words in one.text


def test_one_point(shapes, tmp_path):
    assert only(planted(tmp_path, shapes, {7: [[1, 2, 3]]}), "degenerate").files == ("airplane/7.ply",)


def test_features_of_another_range(shapes, tmp_path):
    rng = np.random.default_rng(0)
    values = [rng.uniform(0, 1, (sets.POINTS, 1)).astype(np.float32) for _ in shapes]
    values[2], values[9] = values[2] * 255, values[9] * 0
    with_them = [
        (name, split, Sample(points, None, value)) for (name, split, points), value in zip(shapes, values, strict=True)
    ]
    found = audit.of_store(sets.made(tmp_path / "store", with_them, facts={"features": ["intensity"]}))
    assert [one.files for one in found if one.kind == "features"] == [("airplane/9.ply",), ("airplane/2.ply",)]


def test_features_that_are_zero_in_all_files(shapes, tmp_path):
    nothing = np.zeros((sets.POINTS, 1), np.float32)
    with_them = [(name, split, Sample(points, None, nothing)) for name, split, points in shapes]
    found = audit.of_store(sets.made(tmp_path / "store", with_them, facts={"features": ["intensity"]}))
    [one] = [one for one in found if one.kind == "features"]
    assert one.text == (
        f"{len(shapes)} files whose intensity is zero everywhere: the network learns nothing from it; leave intensity "
        f"out with --features"
    )


def test_copies_across_splits_and_across_classes_come_first(shapes, tmp_path):
    found = planted(tmp_path, shapes, {1: sets.turned(shapes[9][2], 2), 2: shapes[12][2], 3: shapes[4][2] * 3})
    texts = [(one.files, one.text) for one in found if one.kind == "copies"]
    assert [files for files, _ in texts] == [
        ("airplane/1.ply", "airplane/9.ply"),
        ("airplane/2.ply", "chair/12.ply"),
        ("airplane/3.ply", "airplane/4.ply"),
    ]
    assert [
        words in text for words, (_, text) in zip(("across splits", "across classes", "one split"), texts, strict=True)
    ]


def test_imbalance_and_the_weights_that_follow(tmp_path):
    rng = np.random.default_rng(0)
    cloud = lambda: rng.normal(size=(64, 3))  # noqa: E731
    shapes = [("nut", "train", cloud()) for _ in range(45)] + [("bolt", "train", cloud()) for _ in range(4)]
    shapes += [(name, split, cloud()) for name in ("nut", "bolt") for split in ("val", "test") for _ in range(5)]
    made = sets.made(tmp_path / "store", shapes, examine=lambda made: audit.facts(audit.of_store(made)))
    assert kinds(audit.kept(made.manifest)) == ["imbalance"]
    assert "bolt has 4 training shapes, nut has 45, 11 to 1" in made.manifest["findings"][0]["text"]
    assert made.imbalanced
    stores.verify(made)
    task = Classification(("bolt", "nut"))
    settings, reason = config.decide(None, {}, task, 49, made.imbalanced)
    assert settings.class_weight == "balanced"
    assert "weights balanced" in reason
    assert config.flags(settings, task, 49, True) == []
    assert config.flags(config.combine(settings.flat(), {"class_weight": "none"}), task, 49, True) == [
        "--class-weight",
        "none",
    ]
    assert config.decide(None, {"class_weight": "none"}, task, 49, True)[0].class_weight == "none"
    assert config.decide("modelnet10-best", {}, task, 49, True)[0].class_weight == "none"


def bolt(size, rng):
    turn, height = rng.uniform(0, 2 * np.pi, 400), rng.uniform(0, 5, 400)
    radius = np.where(height > 4.3, 0.9, 0.5)
    return (np.c_[radius * np.cos(turn), radius * np.sin(turn), height] + rng.normal(0, 0.01, (400, 3))) * size


def test_classes_that_size_alone_tells_apart(shapes, tmp_path):
    rng = np.random.default_rng(1)
    bolts = [(f"M{size}", "train", bolt(size, rng)) for size in (4, 6, 8) for _ in range(12)]
    one = only(audit.of_store(sets.made(tmp_path / "store", bolts)), "size")
    assert one.text.startswith("size alone tells M4, M6, M8 apart (")
    assert "--features size" in one.text
    larger = [(name, split, points * 50 ** "acg".index(name[0])) for name, split, points in shapes]
    assert "size" not in kinds(audit.of_store(sets.made(tmp_path / "other", larger)))


# ---- parts


def labelled(path, labels, splits=None, codes=None, parts=None, points=600):
    """The findings of a store of one category; ``labels`` (S, N) are ids. Part 0 is the left half, and so on."""
    rng = np.random.default_rng(0)
    shapes = []
    for i, own in enumerate(labels):
        cloud = rng.normal(size=(points, 3)) * [1, 2, 3]
        number = np.asarray(own, np.int32)
        order = np.argsort(cloud[:, 0], kind="stable")  # ids in the order of x
        there = np.empty(points, np.int32)
        there[order] = number
        split = (splits or ["train", "val", "test"])[i % len(splits or [1, 2, 3])]
        shapes.append(("table", split, Sample(cloud.astype(np.float32), there)))
    count = max(int(np.max(labels)), 0) + 1
    facts = {"parts": {"table": parts or [f"part {i}" for i in range(count)]}}
    return sets.made(path, shapes, ["table"], facts | ({"codes": {"table": codes}} if codes else {}))


def test_codes_that_number_objects(tmp_path):
    store = labelled(tmp_path / "store", [np.repeat([2 * i, 2 * i + 1], 300) for i in range(9)])
    street = PointCloud(np.zeros((4, 3)), {"label": np.array([1, 2, 1, 2]), "class": np.array([10, 20, 10, 20])})
    found = audit.of_store(store, lambda i: street)
    one = only(found, "object-numbers")
    assert found[0] == one
    assert one.stops
    assert len(one.files) == 9
    assert "18 of 18 label codes are in one shape only" in one.text
    assert "--label-field class" in one.text
    assert "--label-field NAME" in only(audit.of_store(store), "object-numbers").text
    assert only(found, "part-without-training").stops


@pytest.mark.parametrize(("codes", "mixed", "why"), [([0, 1, 2], True, "scattered"), ([255, 1, 2], False, "1 to 2")])
def test_a_code_that_means_no_label(tmp_path, codes, mixed, why):
    rng = np.random.default_rng(5)
    labels = [np.where(rng.random(600) < 0.4, 0, np.repeat([1, 2], 300)) for _ in range(9)]
    if not mixed:
        labels = [np.repeat([0, 1, 2], 200)] * 9
    one = only(audit.of_store(labelled(tmp_path / "store", labels, codes=codes)), "unlabelled-code")
    assert why in one.text
    assert f"--unlabelled {codes[0]}" in one.text
    assert not one.stops


def test_parts_that_lie_together_are_labels(tmp_path):
    labels = [np.repeat([0, 1, 2], 200)] * 9
    assert "unlabelled-code" not in kinds(audit.of_store(labelled(tmp_path / "store", labels)))
    named = labelled(tmp_path / "other", labels, parts=["void", "top", "legs"])
    assert "its name is void" in only(audit.of_store(named), "unlabelled-code").text


def test_parts_in_one_split(tmp_path):
    two, more, less = np.repeat([0, 1], 300), np.repeat([0, 1, 2], 200), np.repeat([0, 1, 3], 200)
    found = audit.of_store(labelled(tmp_path / "store", [more, two, less]))
    one, other = only(found, "part-without-training"), only(found, "class-in-one-split")
    assert (one.files, other.files) == (("table/2.ply",), ("table/0.ply",))
    assert "1 of 4 parts without a training shape (part 3)" in one.text
    assert "1 of 4 parts in training shapes only (part 2)" in other.text
    assert not one.stops


def test_no_shapes_in_a_split(tmp_path):
    found = audit.of_store(labelled(tmp_path / "store", [np.repeat([0, 1], 300)] * 12, splits=["train"]))
    assert [(one.kind, one.stops) for one in found if one.kind == "few-shapes"] == [("few-shapes", True)] * 2
    assert found[0].stops


# ---- in prepare, info and the table of kinds


def test_prepare_keeps_findings_and_says_them(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("bolt", "nut"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(6):
            points = rng.normal(size=(40, 3)) * (1, 2, 3)
            formats.write(tmp_path / "set" / name / f"{i}.ply", PointCloud(points.astype(np.float32)))
    text = "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    (tmp_path / "set" / "nut" / "none.ply").write_text(text)
    assert run(["prepare", str(tmp_path / "set"), "--dry-run", "--workers", "1"]) == 0
    tried = capsys.readouterr()
    assert not (tmp_path / "store").exists()
    assert run(["prepare", str(tmp_path / "set"), "-o", str(tmp_path / "store"), "--workers", "1"]) == 0
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith(("finding: ", "stop: "))]
    assert lines
    assert lines == [line for line in tried.err.splitlines() if line.startswith(("finding: ", "stop: "))]
    manifest = stores.open(tmp_path / "store").manifest
    assert [set(one) for one in manifest["findings"]] == [{"kind", "files", "text"}] * len(lines)
    assert only(audit.kept(manifest), "empty").files == ("nut/none.ply",)
    assert run(["info", str(tmp_path / "store"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == manifest["findings"]
    assert run(["info", str(tmp_path / "set"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == manifest["findings"]
    assert run(["info", str(tmp_path / "store")]) == 0
    assert lines == capsys.readouterr().err.splitlines()


def test_older_stores_have_no_findings():
    assert audit.kept({}) == []


def test_findings_that_stop_come_first():
    found = [audit.Finding("empty", (), "a", True), audit.Finding("copies", ("x",), "b")]
    manifest = json.loads(json.dumps(audit.facts(found)))
    assert audit.kept(manifest) == found


def test_names_of_many():
    assert names(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_every_kind_that_others_rely_on_has_a_rank():
    assert set(audit.KINDS) == {
        "part-without-training",
        "class-in-one-split",
        "object-numbers",
        "unlabelled-code",
        "few-shapes",
        "imbalance",
        "copies",
        "size",
        "up-axis",
        "density",
        "features",
        "stray-points",
        "empty",
        "degenerate",
    }
