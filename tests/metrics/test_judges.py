"""Our metrics before another judge, scikit-learn, where it is installed (the extra ``judges``).

It is no part of ``dev``: Keras imports it where it finds it, which costs every command a second.
"""

import math

import numpy as np
import pytest
from hypothesis import given

from pointkit import metrics
from tests.metrics.test_calibration import random_answers
from tests.metrics.test_classification import answers

judge = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed (the extra judges)")


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(answers())
def test_counts_and_scores(case):
    truth, answer, num_classes = case
    matrix = metrics.confusion(truth, answer, num_classes)
    np.testing.assert_array_equal(matrix, judge.confusion_matrix(truth, answer, labels=range(num_classes)))
    assert metrics.overall_accuracy(matrix) == pytest.approx(judge.accuracy_score(truth, answer))
    judged = judge.precision_recall_fscore_support(truth, answer, labels=range(num_classes), zero_division=np.nan)
    for ours, theirs in zip(metrics.per_class(matrix), judged, strict=True):
        np.testing.assert_allclose([math.nan if value is None else value for value in ours], theirs)


def test_cross_entropy():
    probabilities, truth = random_answers(0)
    assert metrics.cross_entropy(np.log(probabilities), truth) == pytest.approx(judge.log_loss(truth, probabilities))


def test_bins():
    from sklearn.calibration import calibration_curve

    probabilities, truth = random_answers(1)
    bins = [row for row in metrics.expected_calibration_error(probabilities, truth).bins if row.count]
    right = (probabilities.argmax(1) == truth).astype(int)
    accuracy, confidence = calibration_curve(right, probabilities.max(1), n_bins=15)
    np.testing.assert_allclose([row.accuracy for row in bins], accuracy)
    np.testing.assert_allclose([row.confidence for row in bins], confidence)
