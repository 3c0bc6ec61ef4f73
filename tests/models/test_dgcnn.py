"""DGCNN has the published widths, sees its neighbours in a graph that it finds anew, and does not see order."""

import keras
import numpy as np
import pytest

from pointkit import models
from pointkit.nn import EdgeBlock, Nearest
from tests.gradients import numpy, training_call

SMALL = {"widths": "small", "neighbours": 5}


def clouds(batch, n, channels=3, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (batch, n, channels)).astype("float32")


def moved(model, seed=0):
    """The model with weights that are not those it starts from, gammas of both signs."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = numpy(weight) + 0.05 * np.abs(rng.standard_normal(weight.shape))
        weight.assign(value * rng.choice([-1, 1], weight.shape) if weight.path.endswith("gamma") else value)
    return model


def answers(model, x):
    return numpy(model.predict_on_batch(x))


@pytest.fixture(scope="module")
def small():
    """A small classifier with moved weights."""
    return moved(models.classifier("dgcnn", 6, seed=0, **SMALL))


def of_the_authors(classes, features=0):
    """The trainable numbers in the layers of the authors' PyTorch code: kernels, norms and, of the last two, biases."""
    first = 2 * (3 + features)
    kernels = [first * 64, 128 * 64, 128 * 128, 256 * 256, 512 * 1024, 2048 * 512, 512 * 256, 256 * classes]
    return sum(kernels) + 2 * (64 + 64 + 128 + 256 + 1024 + 512 + 256) + 256 + classes


def test_the_papers_widths_have_the_authors_number_of_parameters_and_two_biases_more():
    assert of_the_authors(40) == 1_809_576
    about = models.describe(models.classifier("dgcnn", 40, blank=True))
    assert about["trainable_parameters"] == of_the_authors(40) + 1024 + 512
    assert about["parameters"] - about["trainable_parameters"] == 2 * (64 + 64 + 128 + 256 + 1024 + 512 + 256)
    assert [layer["shape"] for layer in about["layers"] if layer["name"] in ("pooled", "logits")] == [
        [None, 2048],
        [None, 40],
    ]
    wider = models.describe(models.classifier("dgcnn", 40, num_features=3, blank=True))
    assert wider["trainable_parameters"] == of_the_authors(40, 3) + 1024 + 512


def test_each_block_lists_as_many_neighbours_as_asked_in_what_the_block_before_gave():
    model = models.classifier("dgcnn", 3, blank=True, neighbours=7, widths="small", num_features=2)
    graphs = [layer for layer in model.layers if isinstance(layer, Nearest)]
    assert [layer.count for layer in graphs] == [7, 7]
    assert [layer.input.shape[2] for layer in graphs] == [3, 8]  # the first among places alone
    assert all(layer.negative_slope == 0.2 for layer in model.layers if isinstance(layer, EdgeBlock))
    assert models.classifier("dgcnn", 3, blank=True).get_layer("neighbours_4").count == 20


def test_is_what_the_paper_says(small):
    """The network, edge by edge, in NumPy."""
    weights = {weight.path: numpy(weight).astype("float64") for weight in small.weights}

    def normal(y, name, statistics=None):
        mean, variance = weights[f"{statistics or name}/moving_mean"], weights[f"{statistics or name}/moving_variance"]
        gamma, beta = weights[f"{statistics or name}/gamma"], weights[f"{statistics or name}/beta"]
        y = gamma * (y - mean) / np.sqrt(variance + 0.001) + beta
        return np.where(y > 0, y, 0.2 * y)

    points = clouds(2, 20)
    x, found = points.astype("float64"), []
    for number in (1, 2):
        far = np.square(x[:, :, None] - x[:, None]).sum(3)
        near = np.argsort(far, 2)[:, :, :5]
        other = np.stack([rows[index] for rows, index in zip(x, near, strict=True)])
        own = np.broadcast_to(x[:, :, None], other.shape)
        edges = np.concatenate([own, other - own], 3) @ weights[f"edges_{number}/kernel"]
        x = normal(edges, f"edges_{number}").max(2)
        found.append(x)
    x = normal(np.concatenate(found, 2) @ weights["pointwise/kernel"] + weights["pointwise/bias"], "pointwise")
    x = np.concatenate([x.max(1), x.mean(1)], 1)
    x = normal(x @ weights["head_dense_1/kernel"] + weights["head_dense_1/bias"], "", "head_dense_1_norm")
    wanted = x @ weights["logits/kernel"] + weights["logits/bias"]
    np.testing.assert_allclose(answers(small, points), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n", [1, 3, 120])
def test_takes_any_number_of_points_in_any_order(small, n):
    x = clouds(2, n)
    y = answers(small, x)
    assert y.shape == (2, 6)
    assert np.isfinite(y).all()
    order = np.random.default_rng(1).permutation(n)
    np.testing.assert_allclose(answers(small, x[:, order]), y, rtol=1e-4, atol=1e-4)


def test_edge_by_edge_a_training_sees_the_same():
    given = clouds(4, 40)
    results = []
    for exact in (True, False):
        model = moved(models.classifier("dgcnn", 5, exact=exact, dropout=0.0, seed=0, **SMALL))
        results.append(training_call(model, [given], lambda y: keras.ops.mean(keras.ops.square(y))))
    ours, theirs = results
    np.testing.assert_allclose(ours["output"], theirs["output"], rtol=1e-3, atol=1e-4)
    for part in ("gradients", "statistics"):
        for path, wanted in theirs[part].items():
            size = np.abs(wanted).max() + 1e-3
            np.testing.assert_allclose(ours[part][path], wanted, atol=5e-3 * size, err_msg=path)


def test_features_and_size_decide_too():
    model = moved(models.classifier("dgcnn", 4, seed=0, num_features=2, sees_size=True, **SMALL))
    given = {"points": clouds(2, 30), "features": clouds(2, 30, 2, 1), "size": np.ones(2, "float32")}
    one = answers(model, given)
    for other in ({"features": -given["features"]}, {"size": 3 * given["size"]}):
        assert np.abs(answers(model, given | other) - one).max() > 1e-3


def test_no_points_are_named_that_decide(small):
    with pytest.raises(ValueError, match="points must meet in pooled maxima alone, here they may meet in neighbours_1"):
        models.CriticalPoints(small)
