"""What is measured of a run of classes, against the same figures by another way: shape by shape, in plain loops."""

import numpy as np
import pytest

from pointkit import metrics, preprocess
from pointkit.errors import RunError
from pointkit.evaluate import classes
from pointkit.evaluate.shapes import TURNED, rotation
from pointkit.predict import Predictor
from tests import shapes


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor(tiny_run)


@pytest.fixture(scope="module")
def measured(predictor, tiny_store):
    return classes.measure(predictor, tiny_store, "test", draws=3)


def probabilities(predictor, opened, index, draw=0):
    """What the network says of one shape, its first points in the store's order or in a draw's."""
    points = opened.cloud(index)
    if draw:
        points = points[np.random.default_rng([draw, index]).permutation(len(points))]
    logits = predictor.logits(preprocess.normalise(points[: predictor.num_points])[0][None])[0].astype(float)
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


def figures(predictor, opened, chosen, draw=0):
    """Overall and mean class accuracy, and the loss."""
    right, losses = {name: [] for name in opened.classes}, []
    for index in chosen:
        row = probabilities(predictor, opened, index, draw)
        truth = opened.labels[index]
        right[opened.classes[truth]].append(int(row.argmax() == truth))
        losses.append(-np.log(row[truth]))
    every = [one for some in right.values() for one in some]
    return np.mean(every), np.mean([np.mean(some) for some in right.values()]), np.mean(losses)


def test_the_figures_are_those_of_a_slow_twin(measured, predictor, tiny_store):
    report = measured.figures
    oa, macc, loss = figures(predictor, tiny_store, tiny_store.select("test"))
    assert report["oa"] == pytest.approx(oa)
    assert report["macc"] == pytest.approx(macc)
    assert report["loss"] == pytest.approx(loss, rel=1e-5)
    assert report["num_shapes"] == 9
    assert list(report)[:6] == ["num_shapes", "oa", "oa_interval", "macc", "ece", "loss"]
    assert report["points"] == {"num_points": 64, "drawn": "the first stored points of each shape, drawn once"}


def test_draws_are_those_of_a_slow_twin(measured, predictor, tiny_store):
    chosen = tiny_store.select("test")
    oas, maccs, _ = zip(*(figures(predictor, tiny_store, chosen, draw) for draw in (1, 2, 3)), strict=True)
    draws = measured.figures["draws"]
    assert draws["k"] == 3
    assert (draws["oa_mean"], draws["oa_sd"]) == pytest.approx((np.mean(oas), np.std(oas, ddof=1)))
    assert (draws["macc_mean"], draws["macc_sd"]) == pytest.approx((np.mean(maccs), np.std(maccs, ddof=1)))
    assert draws["note"] == ""


@pytest.mark.parametrize("turn", ["up", "any"])
def test_turned_figures_are_those_of_shapes_turned_by_hand(predictor, tiny_store, turn):
    chosen = tiny_store.select("test")
    right = []
    for draw in range(1, TURNED + 1):
        matrices = (rotation(turn, np.random.default_rng([draw, index])) for index in chosen)
        turned = (tiny_store.cloud(index) @ matrix for index, matrix in zip(chosen, matrices, strict=True))
        seen = np.stack([preprocess.normalise(points[: predictor.num_points])[0] for points in turned])
        right.append(np.mean(predictor.logits(seen).argmax(1) == tiny_store.labels[chosen]))
    rotated = classes.measure(predictor, tiny_store, "test", rotate=turn).figures["rotated"]
    assert (rotated["about"], rotated["k"]) == (turn, TURNED)
    assert (rotated["oa_mean"], rotated["oa_sd"]) == pytest.approx((np.mean(right), np.std(right, ddof=1)))


def test_logits_stand_in_the_splits_order_and_are_other_ones_in_a_draw(predictor, tiny_store):
    chosen = tiny_store.select("val")
    for draw in (0, 2):
        found = metrics.softmax(classes.split_logits(predictor, tiny_store, "val", draw))
        wanted = [probabilities(predictor, tiny_store, index, draw) for index in chosen]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    fixed, one, two = (classes.split_logits(predictor, tiny_store, "val", draw) for draw in (0, 1, 2))
    assert (fixed != one).any(1).all()
    assert (one != two).any(1).all()


def test_draws_of_no_more_points_than_are_taken_are_said_to_be_the_same(predictor, tmp_path):
    few = shapes.write_tiny(tmp_path / "store", points=64)
    draws = classes.measure(predictor, few, "test", draws=2).figures["draws"]
    assert draws["note"] == "no shape holds more than the 64 points taken: all draws are the same"
    assert draws["oa_sd"] == 0


def test_votes_are_the_mean_of_the_draws_probabilities_shape_by_shape(predictor, tiny_store, tiny_run):
    chosen = tiny_store.select("test")
    means = [np.mean([probabilities(predictor, tiny_store, i, draw) for draw in (1, 2, 3)], 0) for i in chosen]
    votes = classes.measure(predictor, tiny_store, "test", votes=3).figures["votes"]
    truth = tiny_store.labels[chosen]
    assert (votes["k"], votes["note"]) == (3, "")
    assert votes["oa"] == np.mean([row.argmax() == label for row, label in zip(means, truth, strict=True)])
    losses = [-np.log(row[label]) for row, label in zip(means, truth, strict=True)]
    assert votes["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_votes_of_no_more_points_than_are_taken_are_said_to_be_the_same(predictor, tmp_path):
    few = shapes.write_tiny(tmp_path / "store", points=64)
    figures = classes.measure(predictor, few, "test", votes=2).figures
    assert figures["votes"]["note"] == "no shape holds more than the 64 points taken: all draws are the same"
    assert figures["votes"]["oa"] == figures["oa"]


def test_protocols_are_for_parts(predictor, tiny_store, tiny_run):
    with pytest.raises(RunError, match=f"^{tiny_run}: reference-b is for parts, this run tells classes apart$"):
        classes.measure(predictor, tiny_store, "test", protocol="reference-b")
