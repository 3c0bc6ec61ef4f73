"""Where points meet: networks that may be cut in pieces and explained, and those that must not be."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from pointkit import models
from pointkit.models.maxima import pooled_blocks
from pointkit.nn import PointwiseBlock, PooledBlock, TransformMatrix


def network(between, *, num_points=None, features=0):
    """A classifier whose points go through ``between`` on their way to the maximum."""
    points = keras.Input((num_points, 3), name="points")
    given = [points, keras.Input((None, features), name="features")] if features else [points]
    x = between(*given)
    return keras.Model(given, layers.Dense(4)(PooledBlock(8, name="pooled")(x)))


class Centred(layers.Dense):
    """A layer that looks like one of Keras's, and lets points meet."""

    def call(self, inputs):
        return super().call(inputs - ops.mean(inputs, axis=1, keepdims=True))


def less_the_mean(x):
    return x - ops.mean(x, axis=1, keepdims=True)


MEETING = {  # what must be refused, and the operation that is named
    "mean": (less_the_mean, r"mean\w* \(Mean\)"),
    "a kernel of three": (
        layers.Conv1D(5, 3, padding="same", name="neighbours"),
        r"neighbours \(Conv1D\)",
    ),
    "attention": (
        lambda x: layers.MultiHeadAttention(1, 4, name="attention")(x, x),
        r"attention \(MultiHeadAttention\)",
    ),
    "twice the points": (layers.Concatenate(1, name="longer"), r"longer \(Concatenate\)"),
    "twice the points, from behind": (layers.Concatenate(-2, name="longer"), r"longer \(Concatenate\)"),
    "another order": (lambda x: ops.flip(x, axis=1), r"flip\w* \(Flip\)"),
    "an average pool": (
        lambda x: layers.UpSampling1D(2)(layers.AveragePooling1D(2, name="halves")(x)),
        r"halves \(AveragePooling1D\)",
    ),
    "a lambda": (layers.Lambda(less_the_mean, name="anything"), r"anything \(Lambda\)"),
    "an activation of one's own": (layers.Activation(less_the_mean, name="odd"), r"odd \(Activation\)"),
    "a dense layer with one": (layers.Dense(5, activation=less_the_mean, name="odd"), r"odd \(Dense\)"),
    "a subclass": (Centred(5, name="centred"), r"centred \(Centred\)"),
    "a model inside": (
        lambda x: keras.Sequential([layers.Dense(3)], name="inner")(x),
        r"inner \((Sequential|Functional)\)",
    ),
}


@pytest.mark.parametrize("use", [pooled_blocks, models.InParts, models.CriticalPoints])
@pytest.mark.parametrize("name", MEETING)
def test_points_that_may_meet_elsewhere_are_refused_and_the_operation_named(name, use):
    between, words = MEETING[name]
    joined = isinstance(between, layers.Concatenate)
    model = network(lambda x: between([x, x]) if joined else between(x))
    with pytest.raises(ValueError, match=rf"^points must meet in pooled maxima alone, .* in .*{words}"):
        use(model)


@pytest.mark.parametrize("use", [pooled_blocks, models.InParts, models.CriticalPoints])
def test_the_family_mean_is_refused_and_its_operation_named(use):
    for build in (models.classifier, models.segmenter):
        with pytest.raises(ValueError, match=r"pooled maxima alone, here they may meet in \w*mean\w* \(Mean\)"):
            use(build("mean", 3))
        blocks = pooled_blocks(build("mean", 3, centre="no"))
        assert [block.name for block in blocks] == ["pooled"]


@pytest.mark.parametrize("use", [pooled_blocks, models.InParts, models.CriticalPoints])
def test_a_fixed_number_of_points_is_refused(use):
    with pytest.raises(ValueError, match="must take any number of points, its input points has a fixed one"):
        use(network(layers.Dense(5), num_points=64))


def test_what_treats_each_point_alone_is_taken():
    def between(points, features):
        x = layers.Concatenate()([points, features])
        for layer in (
            layers.Dense(6, activation="relu"),
            layers.BatchNormalization(),
            layers.Activation("tanh"),
            layers.ReLU(),
            layers.Dropout(0.2),
            PointwiseBlock(6),
        ):
            x = layer(x)
        return layers.Concatenate(2)([x, points])

    model = network(between, features=2)
    assert [block.name for block in pooled_blocks(model)] == ["pooled"]


def test_a_network_without_a_maximum_has_none():
    points = keras.Input((None, 3), name="points")
    model = keras.Model(points, layers.Dense(4)(points))
    assert pooled_blocks(model) == []
    with pytest.raises(ValueError, match="no maximum over points decides in this network"):
        models.CriticalPoints(model)


def test_maxima_stand_in_the_order_of_their_computing():
    model = models.classifier("pointnet", 3, widths="half", blank=True)
    turning = ["input_tnet_pointwise_3", "feature_tnet_pointwise_3"]
    assert [block.name for block in pooled_blocks(model)] == [*turning, "pointwise_5"]


def branched():
    """A network of three maxima: ``aside`` is far from the logits and decides, ``turn`` turns the cloud for ``last``.

    Keras computes what is far from the logits first, so ``aside`` is the first of the three in its order.
    """
    points = keras.Input((None, 3), name="points")
    aside = PooledBlock(6, name="aside")(points)
    for i in range(5):
        aside = layers.Dense(6, activation="tanh", name=f"far_{i}")(aside)
    matrix = TransformMatrix(3, penalty=0, name="matrix")(PooledBlock(6, name="turn")(points))
    last = PooledBlock(6, name="last")([points, matrix])
    model = keras.Model(points, layers.Dense(4)(layers.Concatenate()([aside, last])))
    rng = np.random.default_rng(0)  # each backend draws kernels of its own, so none of theirs stays
    noise = [0.3 * rng.standard_normal(w.shape) for w in model.get_weights()]
    model.set_weights([w + abs(n) if w.ndim == 1 else 2 * n for w, n in zip(model.get_weights(), noise, strict=True)])
    return model
