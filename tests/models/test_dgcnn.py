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


def test_the_papers_widths_have_the_authors_number_of_parameters_and_one_bias_more():
    assert of_the_authors(40) == 1_809_576
    about = models.describe(models.classifier("dgcnn", 40, blank=True))
    assert about["trainable_parameters"] == of_the_authors(40) + 512
    assert about["parameters"] - about["trainable_parameters"] == 2 * (64 + 64 + 128 + 256 + 1024 + 512 + 256)
    assert [layer["shape"] for layer in about["layers"] if layer["name"] in ("pooled", "logits")] == [
        [None, 2048],
        [None, 40],
    ]
    wider = models.describe(models.classifier("dgcnn", 40, num_features=3, blank=True))
    assert wider["trainable_parameters"] == of_the_authors(40, 3) + 512


def test_each_block_lists_as_many_neighbours_as_asked_in_what_the_block_before_gave():
    model = models.classifier("dgcnn", 3, blank=True, neighbours=7, widths="small", num_features=2)
    graphs = [layer for layer in model.layers if isinstance(layer, Nearest)]
    assert [layer.count for layer in graphs] == [7, 7]
    assert [layer.input.shape[2] for layer in graphs] == [3, 8]  # the first among places alone
    assert all(layer.negative_slope == 0.2 for layer in model.layers if isinstance(layer, EdgeBlock))
    assert models.classifier("dgcnn", 3, blank=True).get_layer("pairs_4_neighbours").count == 20


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
        edges = np.concatenate([own, other - own], 3) @ weights[f"pairs_{number}_1/kernel"]
        x = normal(edges, f"pairs_{number}_1").max(2)
        found.append(x)
    x = normal(np.concatenate(found, 2) @ weights["last/kernel"], "last")
    x = np.concatenate([x.max(1), x.mean(1)], 1)
    x = normal(x @ weights["head_dense_1/kernel"] + weights["head_dense_1/bias"], "", "head_dense_1_norm")
    wanted = x @ weights["logits/kernel"] + weights["logits/bias"]
    np.testing.assert_allclose(answers(small, points), wanted, rtol=1e-3, atol=1e-3)


PARTS = [2, 1, 3]  # of each category


def test_for_parts_the_papers_widths_have_the_authors_number_of_parameters_and_some_biases_more():
    # Kernels of the authors' PyTorch code in the order of its layers, then its norms; 16 categories, 50 parts.
    pairs = 6 * 64 + 64 * 64 + 128 * 64 + 64 * 64 + 128 * 64
    head = 192 * 1024 + 16 * 64 + 1280 * 256 + 256 * 256 + 256 * 128 + 128 * 50
    tnet = 6 * 64 + 64 * 128 + 128 * 1024 + 1024 * 512 + 512 * 256 + 256 * 9 + 9
    norms = 5 * 64 + 1024 + 64 + 256 + 256 + 128 + (64 + 128 + 1024 + 512 + 256)
    biases = 1024 + 512 + 256 + 64 + 256 + 256 + 128 + 50  # of the T-Net, of the category, of the head
    model = models.segmenter("dgcnn", 50, parts=[3] * 15 + [5], blank=True)
    assert models.describe(model)["trainable_parameters"] == pairs + head + tnet + 2 * norms + biases


@pytest.fixture(scope="module")
def of_parts():
    """A small segmenter of three categories with normals and moved weights."""
    return moved(models.segmenter("dgcnn", 6, parts=PARTS, num_features=3, seed=0, **SMALL))


def test_for_parts_every_point_has_an_answer_of_its_category_that_moves_with_it(of_parts):
    given = {"points": clouds(3, 40), "features": clouds(3, 40, 3, 1), "category": np.arange(3)}
    y = answers(of_parts, given)
    assert y.shape == (3, 40, 6)
    assert {tuple(np.flatnonzero(row > -1e8)) for row in y.reshape(-1, 6)} == {(0, 1), (2,), (3, 4, 5)}
    order = np.random.default_rng(1).permutation(40)
    shuffled = {**given, "points": given["points"][:, order], "features": given["features"][:, order]}
    np.testing.assert_allclose(answers(of_parts, shuffled), y[:, order], rtol=1e-3, atol=1e-3)
    back = given | {"category": np.zeros(3, int)}
    assert np.abs(answers(of_parts, back)[0] - y[0]).max() < 1e-3
    turned = given | {"features": -given["features"]}
    assert np.abs(answers(of_parts, turned) - y)[0, :, :2].max() > 1e-3


def test_the_tnet_turns_the_points_and_lets_features_through(of_parts):
    x = np.concatenate([clouds(2, 30), clouds(2, 30, 3, 1)], 2)
    given = {"points": x[..., :3], "features": x[..., 3:], "category": np.zeros(2, int)}
    inner = keras.Model(of_parts.inputs, of_parts.get_layer("turned").output)
    turned = numpy(inner.predict_on_batch([given[tensor.name] for tensor in of_parts.inputs]))
    np.testing.assert_allclose(turned[..., 3:], x[..., 3:], atol=1e-5)
    assert np.abs(turned[..., :3] - x[..., :3]).max() > 1e-2


@pytest.mark.parametrize("n", [1, 3, 120])
def test_takes_any_number_of_points_in_any_order(small, n):
    x = clouds(2, n)
    y = answers(small, x)
    assert y.shape == (2, 6)
    assert np.isfinite(y).all()
    order = np.random.default_rng(1).permutation(n)
    np.testing.assert_allclose(answers(small, x[:, order]), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build", [models.classifier, pytest.param(models.segmenter, marks=pytest.mark.slow)])
def test_edge_by_edge_a_training_sees_the_same(build):
    given = clouds(4, 40)
    results = []
    for exact in (True, False):
        model = moved(build("dgcnn", 5, exact=exact, dropout=0.0, seed=0, **SMALL))
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
    with pytest.raises(ValueError, match="points must meet in pooled maxima alone, here they may meet"):
        models.CriticalPoints(small)
