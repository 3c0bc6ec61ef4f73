"""Softmax, cross-entropy and the calibration error against plain twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pointkit import metrics

logits_of_any_size = st.tuples(st.integers(1, 20), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-1e4, 1e4, width=32))
)


def slow_softmax(row):
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    return [power / math.fsum(powers) for power in powers]


def slow_calibration(probabilities, truth, bins):
    """Gap by gap, shape by shape, from the words of the definition."""
    error = 0.0
    for b in range(bins):
        members = [(max(p), int(np.argmax(p)) == t) for p, t in zip(probabilities, truth, strict=True)]
        edges = np.linspace(0, 1, bins + 1)
        members = [(c, right) for c, right in members if edges[b] < c <= edges[b + 1]]
        if members:
            confidence = math.fsum(c for c, _ in members) / len(members)
            accuracy = sum(right for _, right in members) / len(members)
            error += len(members) / len(truth) * abs(confidence - accuracy)
    return error


def random_answers(seed, shapes=300, num_classes=4):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (shapes, num_classes))
    return metrics.softmax(logits), rng.integers(0, num_classes, shapes)


@given(logits_of_any_size)
def test_softmax_is_its_slow_twin(logits):
    probabilities = metrics.softmax(logits)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, [slow_softmax(row) for row in logits.tolist()], rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(probabilities.sum(1), 1)


@given(logits_of_any_size, st.data())
def test_cross_entropy_is_finite_and_the_sum_of_its_words(logits, data):
    truth = np.array(
        data.draw(st.lists(st.integers(0, logits.shape[1] - 1), min_size=len(logits), max_size=len(logits)))
    )
    loss = metrics.cross_entropy(logits, truth)
    plain = []
    for row, true_id in zip(logits.tolist(), truth, strict=True):
        top = max(row)
        plain.append(top + math.log(math.fsum(math.exp(value - top) for value in row)) - row[true_id])
    assert loss == pytest.approx(math.fsum(plain) / len(plain), rel=1e-9, abs=1e-9)
    assert math.isfinite(loss)
    assert loss >= 0


def test_smoothed_cross_entropy_is_that_of_the_soft_labels():
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    soft = 0.7 * np.eye(4)[truth] + 0.3 / 4
    total = 0.0
    for row, label in zip(logits, soft, strict=True):
        shares = np.exp(row) / np.exp(row).sum()
        total -= sum(p * math.log(q) for p, q in zip(label, shares, strict=True))
    assert metrics.cross_entropy(logits, truth, 0.3) == pytest.approx(total / 7)
    sure = 100 * np.eye(4)[truth]  # right, and surer than smoothed labels have it
    assert metrics.cross_entropy(sure, truth) < 1e-6
    assert metrics.cross_entropy(sure, truth, 0.3) > 10


def test_cross_entropy_of_huge_logits_by_hand():
    assert metrics.cross_entropy([[1e30, 0.0]], [0]) == 0
    assert metrics.cross_entropy([[1e4, 0.0]], [1]) == 1e4
    assert metrics.cross_entropy(np.zeros((3, 10)), [0, 4, 9]) == pytest.approx(math.log(10))


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_error_is_its_slow_twin(bins):
    probabilities, truth = random_answers(bins)
    error = metrics.expected_calibration_error(probabilities, truth, bins).error
    assert error == pytest.approx(slow_calibration(probabilities, truth, bins))
    assert error > 0.05  # random answers are not calibrated


def test_calibration_worked_by_hand():
    # Four answers at 0.75, three of them right: calibrated. Two at 0.95, none right: a gap of 0.95.
    probabilities = np.array([[0.75, 0.25]] * 4 + [[0.05, 0.95]] * 2)
    probabilities.flags.writeable = False
    found = metrics.expected_calibration_error(probabilities, [0, 0, 0, 1, 0, 0], bins=10)
    assert found.error == pytest.approx(2 / 6 * 0.95)
    assert [row.count for row in found.bins] == [0, 0, 0, 0, 0, 0, 0, 4, 0, 2]
    assert (found.bins[7].confidence, found.bins[7].accuracy) == (0.75, 0.75)
    assert (found.bins[9].confidence, found.bins[9].accuracy) == (pytest.approx(0.95), 0.0)
    assert (found.bins[0].confidence, found.bins[0].accuracy) == (None, None)
    assert (found.bins[7].low, found.bins[7].high) == (pytest.approx(0.7), pytest.approx(0.8))


def test_a_sure_answer_is_in_the_last_bin():
    found = metrics.expected_calibration_error([[1.0, 0.0], [1.0 + 1e-12, 0.0]], [0, 0])
    assert found.bins[-1].count == 2
    assert found.error == pytest.approx(0, abs=1e-9)


def test_probabilities_may_be_rounded():
    found = metrics.expected_calibration_error([[0.3333, 0.3333, 0.3333]], [0])
    assert found.error == pytest.approx(1 - 0.3333)


def test_an_answer_on_an_edge_is_in_the_bin_below():
    found = metrics.expected_calibration_error([[0.5, 0.5]], [0], bins=2)
    assert [row.count for row in found.bins] == [1, 0]


@pytest.mark.parametrize(
    ("probabilities", "truth", "bins", "message"),
    [
        ([[3.0, 1.0]], [0], 15, r"add up to 1, got \[3\.0, 1\.0\]"),
        ([[0.4, 0.4]], [0], 15, r"add up to 1, got \[0\.4, 0\.4\]"),
        ([[0.5, 0.5], [0.5, 0.498], [1.0, 0.0]], [0, 0, 0], 15, r"add up to 1, got \[0\.5, 0\.498\]"),
        ([[1.5, -0.5]], [0], 15, "at least 0 and add up to 1"),
        ([[0.5, 0.5]], [2], 15, r"truth must lie in 0 \.\.\. 1, got 2"),
        ([[0.5, 0.5]], [0], 0, "bins must be at least 1, got 0"),
        ([0.5, 0.5], [0], 15, r"must have the shape \(S, K\), got \(2,\)"),
        ([[np.inf, 0.5]], [0], 15, "must be finite, got inf"),
    ],
)
def test_calibration_refuses(probabilities, truth, bins, message):
    with pytest.raises(ValueError, match=message):
        metrics.expected_calibration_error(probabilities, truth, bins)
