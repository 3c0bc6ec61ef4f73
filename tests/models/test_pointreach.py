import numpy as np
import pytest

from pointkit import models

BUILD = {"classifier": models.classifier, "segmenter": models.segmenter}


def clouds(size, n, seed=0):
    return np.random.default_rng(seed).standard_normal((size, n, 3)).astype("float32")


def begun(kind, **arguments):
    """A small network with weights that are not those it starts from, moving statistics included."""
    model = BUILD[kind]("pointreach", 4, widths="small", seed=0, **arguments)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.05 * np.abs(rng.standard_normal(w.shape)) for w in model.get_weights()])
    return model


def stage(c, scales, before=0, extra=0, depth=2):
    """Parameters of a stage by hand: each map K*C, each norm 5*C with the map's bias."""
    raw = (3 + extra) + (9 + extra) * scales
    encoding = raw * c + 5 * c + c * c + (3 + extra) * c
    pairs = 1 + depth // 2
    return encoding + 2 * before * c + pairs * (c * 2 * c + 5 * 2 * c + 2 * c * c) + depth * c * c


def test_parameters_are_those_of_its_layers():
    trunk = stage(64, 2) + stage(128, 1, before=64)
    head = 128 * 512 + 5 * 512 + 512 * 256 + 5 * 256 + 256 * 10 + 10
    assert models.classifier("pointreach", 10, blank=True).count_params() == trunk + head
    trunk = stage(48, 2, extra=3) + stage(96, 1, before=48) + stage(192, 1, before=96)
    head = 192 * 256 + 5 * 256 + 96 * 128 + 192 * 128 + (48 + 2 * 128 + 256) * 128 + 5 * 128
    head += 128 * 128 + 5 * 128 + 128 * 7 + 7
    assert models.segmenter("pointreach", 7, num_features=3, blank=True).count_params() == trunk + head


@pytest.mark.parametrize("kind", BUILD)
def test_points_in_any_order_give_the_same(kind):
    model, x = begun(kind), clouds(2, 64)
    turn = np.random.default_rng(1).permutation(64)
    y, turned = model.predict_on_batch(x), model.predict_on_batch(x[:, turn])
    np.testing.assert_allclose(turned, y if kind == "classifier" else y[:, turn], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("kind", BUILD)
def test_takes_any_number_of_points(kind, n):
    y = begun(kind).predict_on_batch(clouds(2, n))
    assert y.shape == ((2, 4) if kind == "classifier" else (2, n, 4))
    assert np.isfinite(y).all()


@pytest.mark.parametrize("kind", BUILD)
def test_edge_by_edge_it_answers_the_same_with_features_category_and_size(kind):
    more = {"num_features": 2, "sees_size": True, **({"parts": [1, 3]} if kind == "segmenter" else {})}
    given = {"points": clouds(2, 64), "features": clouds(2, 64, 1)[..., :2], "size": np.array([1, 2], "float32")}
    given |= {"category": np.array([1, 0], "int32")} if kind == "segmenter" else {}
    one, other = (begun(kind, exact=exact, **more).predict_on_batch(given) for exact in (True, False))
    np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)
