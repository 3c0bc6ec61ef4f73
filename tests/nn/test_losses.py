import keras
import numpy as np
import pytest

from pointkit.nn import SmoothedCrossentropy


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
