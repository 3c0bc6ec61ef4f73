"""What every layer and every model must do: a line in ``LAYERS`` or ``families.FAMILIES`` brings all of these tests."""

import keras
import numpy as np
import pytest

from pointkit import models, nn
from pointkit.listed import Listed
from pointkit.models.maxima import pooled_blocks


class Lists(tuple):
    """The shape of lists of neighbours: indices of the first input's seven points."""


LISTS = Lists((2, 5, 3))
HERE = Listed(4, centres=5, among=6, within=0.5)
# Each layer with a value other than the default for every argument of its constructor, and shapes of its inputs.
LAYERS = {
    "Pointwise": (nn.Pointwise, {"units": 5, "kernel_initializer": "ones", "use_bias": False}, [(2, 7, 3)]),
    "TransformMatrix": (nn.TransformMatrix, {"size": 4, "penalty": 0.25, "untouched": 2}, [(2, 6)]),
    "MaximumAndMean": (nn.MaximumAndMean, {}, [(2, 7, 3)]),
    "PointwiseBlock": (
        nn.PointwiseBlock,
        {"units": 5, "momentum": 0.5, "epsilon": 0.1, "negative_slope": 0.2, "exact": False},
        [(2, 7, 3)],
    ),
    "PooledBlock": (nn.PooledBlock, {"units": 5, "momentum": 0.5, "epsilon": 0.1, "exact": False}, [(2, 7, 3)]),
    "SplitBlock": (nn.SplitBlock, {"units": 5, "transformed": 1}, [(2, 7, 3), (2, 7, 4), (2, 4, 4), (2, 6)]),
    "OwnParts": (nn.OwnParts, {"parts": [2, 3]}, [(2, 7, 5), (2,)]),
    "Jitter": (nn.Jitter, {"amount": 0.25, "seed": 7}, [(2, 7, 3)]),
    "Scale": (nn.Scale, {"amount": 0.5, "seed": 7}, [(2, 7, 3)]),
    "Rotate": (nn.Rotate, {"amount": 20.0, "seed": 7}, [(2, 7, 3)]),
    "Tilt": (nn.Tilt, {"amount": 20.0, "seed": 7}, [(2, 7, 3)]),
    "Mirror": (nn.Mirror, {"amount": 0.25, "seed": 7}, [(2, 7, 3)]),
    "Shift": (nn.Shift, {"amount": 0.25, "seed": 7}, [(2, 7, 3)]),
    "Drop": (nn.Drop, {"amount": 0.25, "seed": 7}, [(2, 7, 3)]),
    "Nearest": (nn.Nearest, {"count": 2}, [(2, 5, 3), (2, 7, 3)]),
    "NearestThree": (nn.NearestThree, {}, [(2, 5, 3), (2, 7, 3)]),
    "GatheredMaximum": (nn.GatheredMaximum, {}, [(2, 7, 4), LISTS]),
    "Interpolation": (nn.Interpolation, {}, [(2, 7, 4), LISTS, (2, 5, 3)]),
    "NeighbourhoodMoments": (nn.NeighbourhoodMoments, {"scales": [2, 3], "radius": 0.5}, [(2, 7, 3), LISTS]),
    "Neighbourhoods": (nn.Neighbourhoods, {"lists": {"near": HERE}}, {"points": (2, 7, 3), "features": (2, 7, 2)}),
    "Centres": (nn.Centres, {}, [(2, 7, 4), LISTS]),
    "GivenOrder": (nn.GivenOrder, {}, [(2, 7, 4), Lists((2, 7))]),
    "EdgeBlock": (
        nn.EdgeBlock,
        {"units": 5, "edge": "difference", "use_bias": False, "negative_slope": 0.2, "momentum": 0.5, "exact": False},
        [(2, 7, 4), LISTS],
    ),
    "EdgewiseBlock": (
        nn.EdgewiseBlock,
        {"units": 5, "edge": "pair", "use_bias": False, "negative_slope": 0.2, "momentum": 0.5, "exact": False},
        [(2, 7, 4), LISTS],
    ),
    "PooledEdgesBlock": (
        nn.PooledEdgesBlock,
        {"units": 5, "use_bias": False, "negative_slope": 0.2, "momentum": 0.5, "exact": False},
        [(2, 15, 4), LISTS],
    ),
    "CarriedBlock": (
        nn.CarriedBlock,
        {"units": 5, "use_bias": False, "negative_slope": 0.2, "momentum": 0.5, "exact": False},
        [(2, 7, 4), (2, 7, 3), LISTS, (2, 5, 3)],
    ),
    "Reach": (nn.Reach, {"units": 5, "exact": False, "kernel_initializer": "ones"}, [(2, 7, 4), LISTS]),
}

# A value other than the default for a setting that is the family's own.
OWN = {
    "pointnet": {"penalty": 0.5},
    "dgcnn": {"widths": "small", "neighbours": 4},
    "pointnet2": {"widths": "small"},
    "pointnext": {"widths": "small"},
    "pointreach": {"widths": "small"},
    "small": {"units": 5},
    "mean": {},
}


def inputs_for(shapes):
    if isinstance(shapes, dict):
        return {name: inputs_for([shape]) for name, shape in shapes.items()}
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 7, shape).astype("int32") if isinstance(shape, Lists) else rng.standard_normal(shape, "float32")
        for shape in shapes
    ]
    for array in arrays:
        array.flags.writeable = False
    return arrays if len(arrays) > 1 else arrays[0]


def numpy(x):
    """An output as an array; of several, the first."""
    x = x["near"] if isinstance(x, dict) else x
    return np.array(keras.ops.convert_to_numpy(x[0] if isinstance(x, list | tuple) else x))


def test_every_public_layer_is_listed():
    public = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), keras.Layer)
    }
    assert public == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_survives_its_configuration(name):
    kind, arguments, shapes = LAYERS[name]
    layer = kind(**arguments)
    inputs = inputs_for(shapes)
    before = numpy(layer(inputs))
    again = kind.from_config(layer.get_config())
    for argument, value in arguments.items():
        kept = getattr(again, argument)
        assert (
            kept == value
            or (isinstance(value, list) and list(kept) == value)
            or type(kept) is type(keras.initializers.get(value))
        ), argument
    again(inputs)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy(again(inputs)), before)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_says_its_output_shape(name):
    kind, arguments, shapes = LAYERS[name]
    layer = kind(**arguments)
    if isinstance(shapes, dict):
        symbolic = layer({name: keras.Input(s[1:]) for name, s in shapes.items()})["near"]
    else:
        symbols = [keras.Input(s[1:], dtype="int32" if isinstance(s, Lists) else "float32") for s in shapes]
        symbolic = layer(symbols if len(symbols) > 1 else symbols[0])
    symbolic = symbolic[0] if isinstance(symbolic, list | tuple) else symbolic
    assert tuple(symbolic.shape[1:]) == numpy(layer(inputs_for(shapes))).shape[1:]


# Networks for parts take long to compile. One family that sees neighbourhoods stands for the others in the fast tests.
LONG = [pytest.mark.slow]
MEMBERS = [
    pytest.param(
        name, build, marks=LONG if build is models.segmenter and name not in ("pointreach", "small", "mean") else []
    )
    for name in models.FAMILIES
    for build in (models.classifier, models.segmenter)
]


@pytest.mark.parametrize(("name", "build"), MEMBERS)
class TestModels:
    """A classifier and a segmenter of every backbone."""

    def test_saved_model_loads_and_answers_alike(self, name, build, tmp_path):
        model = build(name, 4, dropout=0.1, momentum=0.8, seed=1, sees_size=True, **OWN[name])
        rng = np.random.default_rng(0)
        noise = [0.05 * rng.standard_normal(w.shape) for w in model.get_weights()]
        pairs = zip(model.get_weights(), noise, strict=True)
        model.set_weights([w + (more if w.ndim > 1 else np.abs(more)) for w, more in pairs])
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        given = {"points": rng.standard_normal((2, 33, 3)).astype("float32"), "size": np.array([-1, 1], "float32")}
        answer = model.predict_on_batch(given)
        np.testing.assert_array_equal(loaded.predict_on_batch(given), answer)
        other = loaded.predict_on_batch({**given, "size": given["size"] + 1})
        assert (np.abs(other - answer).reshape(2, -1).max(1) > 1e-4).all(), "the size moves the answer"
        matrices = [layer for layer in loaded.layers if isinstance(layer, nn.TransformMatrix)]
        assert all(layer.penalty == OWN[name].get("penalty", 0.0) for layer in matrices)

    def test_its_family_says_truly_where_its_points_meet(self, name, build):
        model = build(name, 3, **OWN[name])
        if models.FAMILIES[name].maxima_alone:
            assert pooled_blocks(model)
        else:
            with pytest.raises(ValueError, match="points must meet in pooled maxima alone"):
                pooled_blocks(model)

    def test_every_weight_gets_a_gradient(self, name, build):
        model = build(name, 3, dropout=0.0, seed=0, **OWN[name])
        rng = np.random.default_rng(0)
        # The T-Nets' kernels start at zero, which hides what lies before them.
        model.set_weights([w + 0.02 * rng.standard_normal(w.shape) ** 2 for w in model.get_weights()])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(
            optimizer=keras.optimizers.SGD(1e4), loss=loss
        )  # so large that a small gradient moves a weight of 1
        before = [numpy(w) for w in model.trainable_weights]
        x = rng.standard_normal((8, 64, 3)).astype("float32")
        labels = np.arange(8) % 3
        model.train_on_batch(x, labels if build is models.classifier else np.repeat(labels[:, None], 64, 1))
        # A bias before a batch norm has no effect, so its gradient is zero but for rounding.
        moved = {
            w.path: float(np.abs(numpy(w) - old).max()) for w, old in zip(model.trainable_weights, before, strict=True)
        }
        normed = {w.path for w in model.trainable_weights if w.path.endswith("/bias")} - {"logits/bias"}
        normed -= {path for path in normed if "matrix" in path}
        assert [path for path, step in moved.items() if not step > 0 and path not in normed] == []

    @pytest.mark.slow
    def test_runs_and_trains_in_mixed_precision_with_float32_logits(self, name, build):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            model = build(name, 3, seed=0, **OWN[name])
            x = np.random.default_rng(0).standard_normal((4, 33, 3)).astype("float32")
            logits = model.predict_on_batch(x)
            model.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            loss = float(model.train_on_batch(x, np.zeros(logits.shape[:-1], "int32")))
        finally:
            keras.mixed_precision.set_global_policy("float32")
        assert logits.dtype == "float32"
        assert np.isfinite(logits).all()
        assert np.isfinite(loss)
        assert all(np.isfinite(numpy(weight)).all() for weight in model.weights)
