"""IoU of parts, shapes and categories: cases worked by hand and a slow plain twin."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import metrics
from pointkit.metrics import segmentation

PARTS = {"bag": ["handle", "body"], "lamp": ["base", "pole", "shade"], "stone": ["all"]}


def slow_iou(truth, answer, part):
    """IoU of one part from the words of its definition."""
    pairs = [(t, a) for t, a in zip(truth, answer, strict=True) if t != -1]
    both = sum(t == part and a == part for t, a in pairs)
    either = sum(t == part or a == part for t, a in pairs)
    return both / either if either else 1.0


def slow_report(shapes):
    """Instance mIoU, class mIoU and point accuracy of (category, truth, answer), point by point."""
    means, right, total = {}, 0, 0
    for category, truth, answer in shapes:
        if all(t == -1 for t in truth):
            continue
        ious = [slow_iou(truth, answer, part) for part in range(len(PARTS[category]))]
        means.setdefault(category, []).append(sum(ious) / len(ious))
        right += sum(t == a for t, a in zip(truth, answer, strict=True) if t != -1)
        total += sum(t != -1 for t in truth)
    every = [mean for values in means.values() for mean in values]
    classes = [sum(values) / len(values) for values in means.values()]
    return sum(every) / len(every), sum(classes) / len(classes), right / total


@st.composite
def shapes(draw):
    answer = []
    for _ in range(draw(st.integers(1, 6))):
        category = draw(st.sampled_from(sorted(PARTS)))
        last = len(PARTS[category]) - 1
        points = draw(st.lists(st.tuples(st.integers(-1, last), st.integers(0, last)), min_size=1, max_size=20))
        answer.append((category, [t for t, _ in points], [a for _, a in points]))
    return answer


def score(category, truth, answer):
    return metrics.score_shape(category, np.array(truth), np.array(answer), len(PARTS[category]))


@given(shapes())
def test_a_report_is_its_slow_twin(given_shapes):
    scores = [score(*shape) for shape in given_shapes]
    if not any(scores):
        with pytest.raises(ValueError, match="labelled points"):
            metrics.segmentation_report(scores, PARTS)
        return
    report = metrics.segmentation_report(scores, PARTS)
    assert json.loads(json.dumps(report)) == report
    found = [report[key] for key in ("instance_miou", "class_miou", "point_accuracy")]
    np.testing.assert_allclose(found, slow_report(given_shapes), rtol=1e-12)
    for category in report["categories"]:
        those = [shape for shape in given_shapes if shape[0] == category["name"] and set(shape[1]) != {-1}]
        assert category["shapes"] == len(those)
        for number, part in enumerate(category["parts"]):
            ious = [slow_iou(truth, answer, number) for _, truth, answer in those]
            assert part["points"] == sum(truth.count(number) for _, truth, _ in those)
            assert part["iou"] == (pytest.approx(sum(ious) / len(ious)) if part["points"] else None)
            assert part["points"] == sum(category["confusion"][number])


def test_worked_by_hand():
    # Ten points: three of the handle, one of them missed; one of the body's seven is called handle.
    bag = score("bag", [0, 0, 0, 1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 0, 1, 1, 1, 1, 1, 1])
    assert bag.ious == [2 / 4, 6 / 8]
    assert (bag.iou, bag.accuracy, bag.points) == (5 / 8, 8 / 10, 10)
    # The shade is in neither truth nor answer: 1. The pole is answered but not there: 0.
    lamp = score("lamp", [0, 0], [0, 1])
    assert lamp.ious == [1 / 2, 0.0, 1.0]
    assert lamp.iou == 1 / 2
    report = metrics.segmentation_report([bag, lamp], PARTS)
    assert report["instance_miou"] == (5 / 8 + 1 / 2) / 2
    assert report["class_miou"] == (5 / 8 + 1 / 2) / 2
    assert report["point_accuracy"] == 9 / 12
    first = report["most_confused"]
    assert {(pair["truth"], pair["answer"], pair["points"], pair["share"]) for pair in first} == {
        ("handle", "body", 1, 1 / 3),
        ("body", "handle", 1, 1 / 7),
        ("base", "pole", 1, 1 / 2),
    }


def test_means_are_over_shapes_of_whatever_size():
    """A large shape counts as much as a small one; averaging over points, or over a batch, would say 0.99."""
    large = score("bag", [0] * 500 + [1] * 500, [0] * 500 + [1] * 500)
    small = score("bag", [0, 1], [1, 0])
    report = metrics.segmentation_report([large, small], PARTS)
    assert report["instance_miou"] == 0.5
    assert report["point_accuracy"] == 1000 / 1002


def test_class_miou_is_over_categories_not_over_shapes():
    right, wrong = score("bag", [0, 1], [0, 1]), score("lamp", [0, 1, 2], [1, 2, 0])
    report = metrics.segmentation_report([right, right, right, wrong], PARTS)
    assert (report["instance_miou"], report["class_miou"]) == (0.75, 0.5)


def test_a_category_of_one_part_scores_one_and_the_report_says_so():
    report = metrics.segmentation_report([score("stone", [0, 0], [0, 0])], PARTS)
    assert report["instance_miou"] == 1
    assert "stone: of one part, which scores 1 whatever is answered" in report["warnings"]
    assert [category["miou"] for category in report["categories"]] == [None, None, 1.0]


def test_a_part_that_no_shape_has_is_no_full_score():
    report = metrics.segmentation_report([score("bag", [0, 0], [0, 0]), score("bag", [0, 0], [0, 1])], PARTS)
    first, second = report["categories"][0]["parts"]
    assert (first["iou"], first["shapes"]) == (0.75, 2)
    assert (second["iou"], second["shapes"], second["points"]) == (None, 0, 0)
    assert report["instance_miou"] == pytest.approx((1 + 0.25) / 2), "a shape's mean counts it as before"


def test_the_interval_of_a_mean_is_students():
    values = [0.6, 0.7, 0.8, 0.9]
    sd = np.std(values, ddof=1)
    half = 3.18245 * sd / 2  # of three degrees of freedom
    np.testing.assert_allclose(segmentation.mean_interval(values), [0.75 - half, 0.75 + half], rtol=1e-5)
    assert segmentation.mean_interval([0.4]) == [0.0, 1.0], "one shape tells nothing"
    assert segmentation.mean_interval([0.01, 0.99]) == [0.0, 1.0], "a share has limits"
    assert segmentation.mean_interval([0.5] * 9) == [0.5, 0.5]


def test_points_without_a_label_count_nowhere():
    assert score("bag", [0, 1, -1, -1], [0, 1, 0, 1]).iou == 1
    assert score("bag", [-1, -1], [0, 1]) is None
    report = metrics.segmentation_report([score("bag", [0, 1], [0, 1]), None], PARTS)
    assert report["num_shapes"] == 1
    assert "1 shapes without a labelled point are left out" in report["warnings"]


def test_the_answer_is_among_the_parts_of_the_category():
    scores = np.array([[9, 1, 2, 0, 5], [0, 0, 1, 3, 2]])
    assert metrics.restricted_answer(scores, range(1, 4)).tolist() == [1, 2]
    assert metrics.restricted_answer(scores, range(4, 5)).tolist() == [0, 0]
    with pytest.raises(ValueError, match="scores must be"):
        metrics.restricted_answer(scores, range(3, 6))


@pytest.mark.parametrize(
    ("truth", "answer", "words"),
    [
        ([0, 1], [0], "equally long"),
        ([0, 2], [0, 1], "truth must be whole numbers from 0 to 1, got 0 to 2"),
        ([0, 1], [0, -1], "answer must be whole numbers from 0 to 1, got -1 to 0"),
        ([0.0, 1.0], [0, 1], "truth must be whole numbers"),
    ],
)
def test_what_does_not_fit_is_refused(truth, answer, words):
    with pytest.raises(ValueError, match=words):
        score("bag", truth, answer)
