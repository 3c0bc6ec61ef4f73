import keras
import numpy as np
import pytest

from pointkit import metrics
from pointkit.nn import SmoothedCrossentropy
from pointkit.nn.category import IMPOSSIBLE


@pytest.mark.parametrize("shape", [(6,), (2, 5)])
def test_smoothed_cross_entropy_is_the_cross_entropy_with_softened_labels(shape):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((*shape, 4)).astype("float32")
    labels = rng.integers(4, size=shape).astype("int32")
    wanted = np.full((*shape, 4), 0.2 / 4)
    np.put_along_axis(wanted, labels[..., None], 0.8 + 0.2 / 4, -1)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = SmoothedCrossentropy(0.2)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    for one in (loss, copy):
        np.testing.assert_allclose(float(one(labels, logits)), -(wanted * log).sum(-1).mean(), rtol=1e-5)


def test_classes_out_of_the_question_get_no_share_of_a_label():
    logits = np.array([[1.0, 2.0, 0.5, -3.0]], "float32")
    far = logits + np.array([0, IMPOSSIBLE, 0, IMPOSSIBLE], "float32")
    labels = np.array([2], "int32")
    wanted = float(SmoothedCrossentropy(0.2)(np.array([1], "int32"), logits[:, [0, 2]]))
    assert float(SmoothedCrossentropy(0.2)(labels, far)) == pytest.approx(wanted, rel=1e-6)
    assert metrics.cross_entropy(far, labels, 0.2) == pytest.approx(wanted, rel=1e-6)
