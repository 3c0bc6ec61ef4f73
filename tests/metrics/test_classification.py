"""Accuracies and class scores: cases worked by hand and slow plain twins."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import metrics


@st.composite
def answers(draw):
    """(truth, answer, num_classes) with classes that may be absent from either."""
    num_classes = draw(st.integers(1, 6))
    pairs = draw(st.lists(st.tuples(*[st.integers(0, num_classes - 1)] * 2), min_size=1, max_size=40))
    truth, answer = np.array(pairs).T
    return truth, answer, num_classes


def slow_confusion(truth, answer, num_classes):
    table = [[0] * num_classes for _ in range(num_classes)]
    for true_id, answer_id in zip(truth, answer, strict=True):
        table[true_id][answer_id] += 1
    return table


def slow_class_scores(truth, answer, c):
    """Precision, recall, F1 of class ``c`` from the words of their definitions."""
    hits = sum(t == c and a == c for t, a in zip(truth, answer, strict=True))
    false_alarms = sum(t != c and a == c for t, a in zip(truth, answer, strict=True))
    missed = sum(t == c and a != c for t, a in zip(truth, answer, strict=True))
    precision = hits / (hits + false_alarms) if hits + false_alarms else None
    recall = hits / (hits + missed) if hits + missed else None
    f1 = 2 * hits / (2 * hits + false_alarms + missed) if hits + false_alarms + missed else None
    return precision, recall, f1, hits + missed


@given(answers())
def test_confusion_is_its_slow_twin(case):
    truth, answer, num_classes = case
    matrix = metrics.confusion(truth, answer, num_classes)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == slow_confusion(truth, answer, num_classes)


@given(answers())
def test_class_scores_are_their_slow_twin(case):
    truth, answer, num_classes = case
    scores = metrics.per_class(metrics.confusion(truth, answer, num_classes))
    for c in range(num_classes):
        assert tuple(column[c] for column in scores) == slow_class_scores(truth, answer, c)


@given(answers())
def test_accuracies_are_their_slow_twins(case):
    truth, answer, num_classes = case
    matrix = metrics.confusion(truth, answer, num_classes)
    assert metrics.overall_accuracy(matrix) == pytest.approx(np.mean(truth == answer))
    recalls = [np.mean(answer[truth == c] == c) for c in np.unique(truth)]
    assert metrics.mean_class_accuracy(matrix) == pytest.approx(np.mean(recalls))


def test_worked_by_hand():
    # Four chairs (3 right, 1 called a bed), one bed (right), one sofa (called a bed).
    matrix = metrics.confusion([0, 0, 0, 0, 1, 2], [0, 0, 0, 1, 1, 1], 3)
    assert matrix.tolist() == [[3, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert metrics.overall_accuracy(matrix) == 4 / 6
    assert metrics.mean_class_accuracy(matrix) == pytest.approx((3 / 4 + 1 + 0) / 3)
    scores = metrics.per_class(matrix)
    assert scores.precision == [1, 1 / 3, None]  # nothing was called a sofa
    assert scores.recall == [3 / 4, 1, 0]
    assert scores.f1 == [6 / 7, 1 / 2, 0]
    assert scores.support == [4, 1, 1]


def test_a_class_without_test_shapes_is_left_out_of_the_mean():
    matrix = metrics.confusion([0, 0, 1], [0, 2, 1], 4)  # class 2 is only predicted, class 3 nowhere at all
    scores = metrics.per_class(matrix)
    assert scores.recall == [1 / 2, 1, None, None]
    assert scores.precision == [1, 1, 0, None]
    assert scores.f1 == [2 / 3, 1, 0, None]
    assert metrics.mean_class_accuracy(matrix) == 3 / 4


def test_no_shape_has_no_accuracy():
    matrix = metrics.confusion([], [], 2)
    assert matrix.tolist() == [[0, 0], [0, 0]]
    assert metrics.overall_accuracy(matrix) is None
    assert metrics.mean_class_accuracy(matrix) is None


@pytest.mark.parametrize(
    ("truth", "answer", "message"),
    [
        ([0, 2], [0, 0], r"truth must lie in 0 \.\.\. 1, got 2"),
        ([0, 0], [0, -1], r"answer must lie in 0 \.\.\. 1, got -1"),
        ([0, 1], [0], "truth and answer must be equally long, got 2 and 1"),
        ([0.5], [0], r"truth must be whole numbers of the shape \(S,\), got float64 \(1,\)"),
        ([[0]], [0], r"truth must be whole numbers of the shape \(S,\), got int64 \(1, 1\)"),
    ],
)
def test_confusion_refuses(truth, answer, message):
    with pytest.raises(ValueError, match=message):
        metrics.confusion(truth, answer, 2)


@pytest.mark.parametrize("matrix", [np.zeros((2, 3), int), np.zeros((2, 2)), np.zeros(4, int)])
def test_scores_refuse_what_is_no_confusion_matrix(matrix):
    for function in (metrics.overall_accuracy, metrics.mean_class_accuracy, metrics.per_class):
        with pytest.raises(ValueError, match=r"must be \(K, K\) whole numbers"):
            function(matrix)


def test_wilson_interval_as_published():
    # Newcombe 1998, table I (method 3): 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for correct, total, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert metrics.wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_wilson_interval_solves_its_own_equation(total, data):
    correct = data.draw(st.integers(0, total))
    low, high = metrics.wilson_interval(correct, total)
    share = correct / total
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):  # |share - p| = z * sqrt(p (1 - p) / n)
        assert (share - end) ** 2 * total == pytest.approx(1.959964**2 * end * (1 - end), rel=1e-5, abs=1e-9)
    mirrored = metrics.wilson_interval(total - correct, total)
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_wilson_interval_widens_with_the_level():
    narrow, wide = metrics.wilson_interval(9, 10, 0.8), metrics.wilson_interval(9, 10, 0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize(("correct", "total", "level"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_wilson_interval_refuses(correct, total, level):
    with pytest.raises(ValueError, match=r"an interval needs|level must lie"):
        metrics.wilson_interval(correct, total, level)


def test_mean_sd():
    assert metrics.mean_sd([0.9, 0.92, 0.94]) == pytest.approx((0.92, 0.02))
    assert metrics.mean_sd([0.9]) == (0.9, None)
    with pytest.raises(ValueError, match="at least one value"):
        metrics.mean_sd([])


def test_report_of_a_small_set():
    classes = ("bed", "chair", "sofa")
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.05, 0.9, 0.05]])
    logits.flags.writeable = False
    report = metrics.classification_report(logits, np.array([0, 1, 1, 1], np.int32), classes)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["num_shapes"] == 4
    assert report["oa"] == 3 / 4
    assert report["oa_interval"] == list(metrics.wilson_interval(3, 4))
    assert report["macc"] == pytest.approx((1 + 2 / 3) / 2)
    assert report["loss"] == pytest.approx(-np.log([0.7, 0.8, 0.3, 0.9]).mean())
    assert report["ece"] == pytest.approx((0.3 + 0.2 + 0.6 + 0.1) / 4)
    assert report["confusion"] == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert report["classes"][1] == {"name": "chair", "precision": 1.0, "recall": 2 / 3, "f1": 0.8, "support": 3}
    assert report["classes"][2] == {"name": "sofa", "precision": None, "recall": None, "f1": None, "support": 0}
    assert report["absent_classes"] == ["sofa"]
    assert report["absent_classes"] == ["sofa"]
    assert sum(row["count"] for row in report["calibration"]) == 4
    assert len(report["calibration"]) == 15


def test_report_of_one_shape_has_no_alarm():
    report = metrics.classification_report([[0.0, 3.0]], [0], ("bed", "chair"))
    assert (report["oa"], report["macc"], report["absent_classes"]) == (0.0, 0.0, ["chair"])
    assert report["warnings"] == []
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(
    ("logits", "truth", "message"),
    [
        (np.zeros((2, 3)), [0, 1], "a column for each of 2 classes, got 3"),
        (np.zeros((2, 2)), [0], "must name the same shapes, at least one, got 2 and 1"),
        (np.zeros((0, 2)), np.zeros(0, int), "at least one, got 0 and 0"),
        (np.array([[0, np.nan]]), [0], "logits must be finite, got nan"),
    ],
)
def test_report_refuses(logits, truth, message):
    with pytest.raises(ValueError, match=message):
        metrics.classification_report(logits, truth, ("bed", "chair"))


def test_all_names_exist():
    assert all(hasattr(metrics, name) for name in metrics.__all__)
