"""PointNet++, and what holds for PointNeXt as well: abstractions of balls, with centres in progressive order."""

import keras
import numpy as np
import pytest

from pointkit import models
from tests.exactness import cross_entropy
from tests.gradients import training_call
from tests.models.test_pointreach import BUILD, clouds
from tests.nn.test_grouped import BACKEND, errors, float64

NETWORKS = pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pointnet2", "segmenter"),
        ("pointnext", "classifier"),
        pytest.param("pointnet2", "classifier", marks=pytest.mark.slow),
        pytest.param("pointnext", "segmenter", marks=pytest.mark.slow),
    ],
)


def begun(name, kind, **arguments):
    """A small network with weights that are not those it starts from, moving statistics included."""
    model = BUILD[kind](name, 4, widths="small", seed=0, **arguments)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.05 * np.abs(rng.standard_normal(w.shape)) for w in model.get_weights()])
    return model


def blocks(widths, start, norm=3):
    """Parameters that learn of layers one after another: each map K*C; bias, gamma and beta, so many times C."""
    return sum(k * c + norm * c for k, c in zip((start, *widths), widths, strict=False))


def learned(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_parameters_are_those_of_the_published_layers():
    stages = blocks((64, 64, 128), 3) + blocks((128, 128, 256), 3 + 128) + blocks((256, 512, 1024), 3 + 256)
    whole = stages + blocks((512, 256), 1024) + 256 * 40 + 40
    assert whole == 1_475_688  # 1.48 M, as public code has
    assert learned(models.classifier("pointnet2", 40, blank=True)) == whole
    stages += blocks((64,), 6) - blocks((64,), 3)  # with normals
    back = blocks((256, 256), 256 + 1024) + blocks((256, 128), 128 + 256) + blocks((128, 128, 128), 6 + 128)
    whole = stages + back + blocks((128,), 128) + 128 * 50 + 50
    pooled = 1024 * 128  # which our head also sees
    assert learned(models.segmenter("pointnet2", 50, num_features=3, blank=True)) == whole + pooled
    category = 16 * 128
    model = models.segmenter("pointnet2", 50, num_features=3, parts=[3] * 14 + [4] * 2, blank=True)
    assert learned(model) == whole + pooled + category
    about = models.describe(model)
    assert about["trainable_parameters"] == whole + pooled + category
    rows = {row["name"]: row for row in about["layers"]}
    assert rows["neighbourhoods"]["shape"] == [None, None, 32]  # its first list; small clouds have fewer centres
    assert rows["stage_1_3"]["shape"] == [None, None, 256]


@NETWORKS
def test_answers_hang_on_the_points_alone_and_come_for_any_number(name, kind):
    model, x = begun(name, kind), clouds(2, 64)
    turn = np.random.default_rng(1).permutation(64)
    y, turned = model.predict_on_batch(x), model.predict_on_batch(x[:, turn])
    np.testing.assert_allclose(turned, y if kind == "classifier" else y[:, turn], rtol=1e-4, atol=1e-4)
    assert np.abs(y[0] - y[1]).max() > 1e-3
    y = model.predict_on_batch(clouds(2, 1))
    assert y.shape == ((2, 4) if kind == "classifier" else (2, 1, 4))
    assert np.isfinite(y).all()


@NETWORKS
def test_edge_by_edge_it_answers_the_same_with_features_category_and_size(name, kind):
    more = {"num_features": 2, "sees_size": True, **({"parts": [1, 3]} if kind == "segmenter" else {})}
    exact, plain = begun(name, kind, **more), begun(name, kind, exact=False, **more)
    rng = np.random.default_rng(0)
    given = {"points": clouds(2, 64), "features": rng.standard_normal((2, 64, 2)).astype("float32")}
    given |= {"size": np.array([1, 2], "float32")}
    given |= {"category": np.array([1, 0], "int32")} if kind == "segmenter" else {}
    one, other = exact.predict_on_batch(given), plain.predict_on_batch(given)
    np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)
    for name in given:
        changed = given | {name: given[name][::-1].copy()}
        assert np.abs(exact.predict_on_batch(changed) - one).max() > 1e-3, name


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="Keras on PyTorch computes float64 in float32")
@NETWORKS
def test_a_training_call_agrees_with_edge_by_edge(name, kind):
    truth = np.random.default_rng(1).integers(0, 4, 3 if kind == "classifier" else (3, 40))
    results = []
    with float64():
        keras.config.set_dtype_policy("float64")
        try:
            for exact in (True, False):
                model = begun(name, kind, exact=exact, dropout=0.0)
                results.append(training_call(model, [clouds(3, 40).astype("float64")], cross_entropy(truth)))
        finally:
            keras.config.set_dtype_policy("float32")
    for result in results:
        result["inference"] = result["output"]
    assert {part: error for part, error in errors(*results).items() if not error < 1e-9} == {}
