"""The family "small": one pooled block, or one pointwise block and its maximum."""

import keras

from pointkit.models.heads import Features
from pointkit.nn import PointwiseBlock, PooledBlock
from pointkit.nn.pointwise import glorot


def backbone(kind, *, units, momentum, exact, seeds, num_features=0):
    inputs = {"points": keras.Input((None, 3), name="points")}
    if num_features:
        inputs["features"] = keras.Input((None, num_features), name="features")
    x = keras.layers.Concatenate(name="both")(list(inputs.values())) if num_features else inputs["points"]

    def block(kind, name):
        return kind(units, momentum=momentum, exact=exact, kernel_initializer=glorot(seeds), name=name)

    local = [block(PointwiseBlock, "pointwise")(x)] if kind == "segmenter" else [x]
    return Features(inputs, block(PooledBlock, "pooled")(x), local), (units,)
