"""The family "mean": each point less the mean of its cloud, and then as in PointNet."""

import keras
from keras import ops

from pointkit.models.heads import Features
from pointkit.nn import PointwiseBlock, PooledBlock
from pointkit.nn.pointwise import glorot


def backbone(kind, *, centre, momentum, exact, seeds, num_features=0):
    inputs = {"points": keras.Input((None, 3), name="points")}
    if num_features:
        inputs["features"] = keras.Input((None, num_features), name="features")
    x = keras.layers.Concatenate(name="both")(list(inputs.values())) if num_features else inputs["points"]
    if centre == "yes":
        x = x - ops.mean(x, axis=1, keepdims=True)

    def block(kind, name):
        return kind(8, momentum=momentum, exact=exact, kernel_initializer=glorot(seeds), name=name)

    x = block(PointwiseBlock, "pointwise")(x)
    return Features(inputs, block(PooledBlock, "pooled")(x), [x]), (8,)
