"""A network with its lists as inputs answers as it does from points alone."""

import keras
import numpy as np
import pytest

from pointkit import models
from pointkit.nn import Neighbourhoods

KINDS = {"classifier": models.classifier, "segmenter": models.segmenter}


def clouds(size, n, seed=0, width=3):
    return np.random.default_rng(seed).standard_normal((size, n, width)).astype("float32")


@pytest.mark.parametrize("kind", [pytest.param("classifier", marks=pytest.mark.slow), "segmenter"])
def test_with_lists_it_answers_as_from_points_alone(kind):
    parts = {"parts": [1, 3]} if kind == "segmenter" else {}
    model = KINDS[kind]("pointreach", 4, seed=0, widths="small", num_features=2, sees_size=True, **parts)
    given = {"points": clouds(2, 50), "features": clouds(2, 50, 1, 2), "size": np.ones(2, "float32")}
    given |= {"category": np.array([1, 0], "int32")} if parts else {}
    layer = next(layer for layer in model.layers if isinstance(layer, Neighbourhoods))
    found = layer({name: given[name] for name in ("points", "features")})
    found = {name: keras.ops.convert_to_numpy(x) for name, x in found.items()}
    back = found.pop("back")
    listed = models.listed(model)
    assert set(listed.input) == {*given, *found}
    answers = listed.predict_on_batch({**given, **found})
    answers = np.take_along_axis(answers, back[..., None], 1) if parts else answers
    np.testing.assert_allclose(answers, model.predict_on_batch(given), rtol=1e-5, atol=1e-5)
    assert {variable.path for variable in listed.weights} == {variable.path for variable in model.weights}


def test_a_network_without_neighbourhoods_wants_no_lists():
    model = models.classifier("small", 3, blank=True)
    assert models.listed(model) is model
    assert not models.lists(model)
