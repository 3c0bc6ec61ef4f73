"""What is said of a run that tells parts, against the same figures by another way: shape by shape, in plain loops."""

import csv
import json
import shutil

import numpy as np
import pytest

from pointkit import metrics, preprocess, verdict
from pointkit.cli import run
from pointkit.evaluate import evaluate, parts
from pointkit.predict import Predictor
from tests import shapes


@pytest.fixture(scope="module")
def measured(tiny_parts_run, tiny_parts, tmp_path_factory):
    """A copy of the run, and its report with everything that can be asked for."""
    copy = tmp_path_factory.mktemp("measured") / "run"
    shutil.copytree(tiny_parts_run, copy)
    return copy, evaluate(copy, store_path=tiny_parts.path, draws=2, votes=3, protocol="reference-b", rotate="up")


def answers(predictor, opened, index, draw=0):
    """The part of each of a shape's original points, a window of the training's size after another."""
    points = opened.cloud(index)
    order = np.random.default_rng([draw, index]).permutation(len(points)) if draw else np.arange(len(points))
    span = opened.part_ids[opened.classes[opened.labels[index]]]
    answer = np.empty(len(points), int)
    for start in range(0, len(points), predictor.num_points):
        places = order[(start + np.arange(predictor.num_points)) % len(points)]
        cloud = preprocess.normalise(points[places])[0]
        logits = predictor.logits({"points": cloud[None], "category": opened.labels[index : index + 1]})
        answer[places] = logits[0, :, span.start : span.stop].argmax(1)
    return answer


def figures(predictor, opened, draw=0):
    """Instance mIoU, class mIoU, point accuracy."""
    by_category, right, total = {}, 0, 0
    for index in opened.select("test"):
        name = opened.classes[opened.labels[index]]
        ids = opened.part_ids[name]
        truth = opened.point_labels[opened.span(index)] - ids.start
        answer = answers(predictor, opened, index, draw)
        known = opened.point_labels[opened.span(index)] >= 0
        ious = []
        for part in range(len(ids)):
            both = ((truth == part) & (answer == part) & known).sum()
            either = (((truth == part) | (answer == part)) & known).sum()
            ious.append(both / either if either else 1.0)
        by_category.setdefault(name, []).append(np.mean(ious))
        right, total = right + ((truth == answer) & known).sum(), total + known.sum()
    every = [iou for some in by_category.values() for iou in some]
    return np.mean(every), np.mean([np.mean(some) for some in by_category.values()]), right / total


FIGURES = ("instance_miou", "class_miou", "point_accuracy")


def test_the_figures_are_those_of_a_slow_twin(measured, tiny_parts):
    path, report = measured
    assert [report[key] for key in FIGURES] == pytest.approx(figures(Predictor(path), tiny_parts))
    assert report["instance_miou"] > 0.8


def test_draws_are_those_of_a_slow_twin(measured, tiny_parts):
    path, report = measured
    found = np.array([figures(Predictor(path), tiny_parts, draw) for draw in (1, 2)])
    for key, column in zip(FIGURES, found.T, strict=True):
        assert report["draws"][f"{key}_mean"] == pytest.approx(column.mean())
        assert report["draws"][f"{key}_sd"] == pytest.approx(column.std(ddof=1))
    assert report["draws"]["k"] == 2
    assert len(np.unique(found[:, 2])) == 2, "other draws, other windows"


def test_turned_about_the_up_axis_heights_keep_their_parts(measured):
    """Parts of these shapes lie one above the other, so such turns cost little."""
    rotated = measured[1]["rotated"]
    assert (rotated["about"], rotated["k"]) == ("up", 5)
    assert 0.6 < rotated["instance_miou_mean"] < 1
    assert 0 < rotated["instance_miou_sd"] < 0.1
    assert "turned about the up axis, 5 times" in (measured[0] / "report.html").read_text()


def test_report_has_at_its_top_what_others_rely_on(measured):
    path, report = measured
    assert json.loads((path / "report.json").read_text()) == report
    assert report["task"] == "parts"
    assert list(report)[:6] == ["task", "split", "num_shapes", "instance_miou", "class_miou", "point_accuracy"]
    assert report["run"]["selected_by"] == "validation mIoU"
    for key in ("draws", "votes"):
        assert report[key]["k"] in (2, 3)
    assert 0.5 < report["votes"]["instance_miou"] <= 1
    assert report["draws"]["instance_miou_mean"] == pytest.approx(report["instance_miou"], abs=0.1)
    command = report["command"].split()
    assert command[-8:] == ["--draws", "2", "--votes", "3", "--protocol", "reference-b", "--rotate", "up"]


def test_what_the_verdict_rests_on_is_in_the_report(measured, tiny_parts):
    path, report = measured
    assert report["verdict"] == verdict.of(report)
    assert {*report["baselines"]} == {"commonest", "nearest"}
    train = tiny_parts.labels[tiny_parts.select("train")]
    assert [row["train"] for row in report["categories"]] == np.bincount(train).tolist()
    assert all(0 < part["train"] <= row["train"] for row in report["categories"] for part in row["parts"])
    low, high = report["instance_miou_interval"]
    assert low < report["instance_miou"] < high
    assert report["mixed_up"]["category"] in tiny_parts.classes
    assert (path / "mixed_up.png").read_bytes().startswith(b"\x89PNG")
    assert "Most mixed up: " in (path / "report.html").read_text()


def test_predictions_have_a_line_a_shape(measured, tiny_parts):
    path, report = measured
    rows = list(csv.DictReader((path / "predictions.csv").open()))
    assert [row["file"] for row in rows] == [tiny_parts.rows[i].file for i in tiny_parts.select("test")]
    assert np.mean([float(row["iou"]) for row in rows]) == pytest.approx(report["instance_miou"], abs=1e-6)
    points = np.array([int(row["points"]) for row in rows])
    accuracy = np.array([float(row["accuracy"]) for row in rows])
    assert (points * accuracy).sum() / points.sum() == pytest.approx(report["point_accuracy"], abs=1e-5)


def test_each_category_is_pictured_and_the_page_shows_it(measured):
    path, report = measured
    page = (path / "report.html").read_text()
    for row in report["categories"]:
        assert (path / f"{row['picture']}.png").read_bytes().startswith(b"\x89PNG")
        assert 1 <= len(row["shown"]) <= 3
        assert row["name"] in page
    assert (path / "sampling.png").read_bytes().startswith(b"\x89PNG")
    assert "before and after sampling" in page
    for words in (
        "instance mIoU",
        "With 3 votes",
        "By the terms of reference-b",
        "scores 1 everywhere",
        "parts most confused",
    ):
        assert words in page


def test_reference_b_counts_only_its_own_shapes(measured, tiny_parts):
    """The shapes have fewer than 1,024 points: all are left out, and that is said."""
    protocol = measured[1]["protocol"]
    assert protocol["name"] == "reference-b"
    assert (protocol["shapes"], protocol["left_out"]) == (0, 6)
    assert protocol["point_accuracy"] is None


def test_reference_b_scores_points_in_no_part_as_wrong(tiny_parts_run, tmp_path):
    big = shapes.write_tiny_parts(tmp_path / "store", shapes.tiny_labelled(points=1100))
    predictor = Predictor(tiny_parts_run)
    figures = parts.measure(predictor, big, "test", protocol="reference-b").figures
    protocol = figures["protocol"]
    assert (protocol["shapes"], protocol["left_out"]) == (6, 0)
    assert protocol["point_accuracy"] < 0.93 * figures["point_accuracy"]  # a tenth of the points is in no part


def test_the_same_command_writes_the_same_bytes(measured, tiny_parts):
    path, _ = measured
    names = ["report.json", "report.html", "predictions.csv", "category_0.png"]
    before = [(path / name).read_bytes() for name in names]
    evaluate(path, store_path=tiny_parts.path, draws=2, votes=3, protocol="reference-b", rotate="up")
    assert [(path / name).read_bytes() for name in names] == before


def test_several_runs_are_compared_by_miou(measured, tiny_parts, tmp_path, capsys):
    path, report = measured
    copy = tmp_path / "again"
    shutil.copytree(path, copy)
    assert run(["evaluate", str(path), "--against", str(copy), "--store", str(tiny_parts.path)]) == 0
    together = json.loads((path / "comparison.json").read_text())
    assert together["instance_miou"] == report["instance_miou"]
    assert together["summary"]["differences"][str(copy)]["class_miou"][0] == 0
    printed = capsys.readouterr().out
    assert "instance mIoU %" in printed
    assert f"{100 * report['instance_miou']:.1f}" in printed
    assert "point accuracy" in (path / "comparison.html").read_text()


def test_the_table_of_one_run(measured, tiny_parts, capsys):
    path, _ = measured
    assert run(["evaluate", str(path), "--store", str(tiny_parts.path), "--votes", "2"]) == 0
    printed = capsys.readouterr().out
    for words in ("IoU of each part", "low ", "middle ", "with 2 votes: instance mIoU", "on all original points"):
        assert words in printed


def test_metrics_are_asked_with_the_categorys_own_columns():
    """A better logit of another category's part does not win."""
    scores = np.array([[9.0, 1.0, 2.0]])
    assert metrics.restricted_answer(scores, range(1, 3)).tolist() == [1]
