"""Blocks on neighbourhoods without an array of edges: edge by edge, the definition agrees in all a training sees."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from pointkit import neighbours
from pointkit.nn import EdgeBlock, EdgewiseBlock, PooledEdgesBlock, Reach, edge_layers
from tests import twins
from tests.gradients import numpy, training_call

BACKEND = keras.backend.backend()
EDGES = ("pair", "difference", "neighbour")


@contextlib.contextmanager
def float64():
    """Arrays of float64, which JAX makes on request only."""
    if BACKEND != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)


def case(name):
    """Points x (B, N, K) and lists (B, Q, M). Most have one shape, so that one compilation serves them."""
    rng = np.random.default_rng(0)
    x, near = rng.standard_normal((3, 20, 4)), rng.integers(0, 20, (3, 12, 4))
    four = np.repeat(x[:, :4], 5, 1)
    return {
        "random": (x, near),
        "more features than units": (rng.standard_normal((3, 20, 9)), near),
        "duplicate points": (four, neighbours.nearest(four, four[:, :12], 4)),
        "a neighbour listed twice": (x, near[:, :, [0, 1, 1, 0]]),
        "fewer points than neighbours": (x[:, :3], neighbours.nearest(x[:, :3], x[:, :3], 4)),
        "one point": (x[:, :1], np.zeros((3, 1, 4), int)),
        "one cloud of one point": (x[:1, :1], np.zeros((1, 1, 4), int)),
    }[name]


CASES = (
    "random", "duplicate points", "a neighbour listed twice", "fewer points than neighbours", "one cloud of one point",
    pytest.param("one point", marks=pytest.mark.slow),
)  # fmt: skip


class OnLists(keras.Model):
    """A block as a model of floating inputs, lists among them: whole numbers, whose gradient is zero."""

    def __init__(self, block):
        super().__init__(dtype=block.dtype)
        self.block = block
        self.built = True

    def call(self, inputs, training=False):
        x, index, *positions = inputs
        options = {} if isinstance(self.block, Reach) else {"training": training}
        return self.block([x, ops.cast(index, "int32"), *positions], **options)


def weighed(block, shapes, seed=1):
    """The block, built, with drawn weights: gammas of both signs, statistics that are not those it starts from."""
    block.build(shapes)
    rng = np.random.default_rng(seed)
    for weight in block.weights:
        value = rng.standard_normal(weight.shape)
        if weight.name == "gamma":
            value = rng.choice([-1, 1], weight.shape) * (0.5 + rng.random(weight.shape))
        if weight.name == "moving_variance":
            value = 0.5 + rng.random(weight.shape)
        weight.assign(value.astype("float32"))  # the same in both precisions
    return block


class Several(keras.Layer):
    """Layers on edges and their maximum, as one."""

    def __init__(self, units, exact, dtype, **options):
        super().__init__(dtype=dtype, name="several")
        self.units = units[-1]
        self.made = {"units": units, "options": {"exact": exact, "dtype": dtype, "momentum": 0.9, **options}}
        self.inner = None

    def build(self, shapes):
        inputs = [keras.Input(shape[1:], dtype=self.dtype) for shape in shapes]
        x, index, *positions = inputs
        lists = keras.layers.Lambda(lambda x: ops.cast(x, "int32"), output_shape=index.shape[1:], dtype="int32")(index)
        y = edge_layers(
            [x, lists, *positions],
            self.made["units"],
            "layer",
            initializer=lambda: "zeros",
            **self.made["options"],
        )
        self.inner = keras.Model(inputs, y)

    def call(self, inputs, training=False):
        x, index, *positions = inputs
        return self.inner([x, ops.cast(index, self.dtype), *positions], training=training)


def run(make, exact, dtype, x, index, positions=()):
    """A training call, and the answer at inference with the statistics that it left."""
    arrays = [a.astype(dtype) for a in (x, index, *positions)]
    model = OnLists(weighed(make(exact=exact, dtype=dtype), [a.shape for a in arrays]))
    goal = np.random.default_rng(2).standard_normal((*index.shape[:2], model.block.units)).astype(dtype)
    result = training_call(model, arrays, lambda output: ops.sum(output * ops.convert_to_tensor(goal)))
    result["inference"] = numpy(model([ops.convert_to_tensor(a) for a in arrays]))
    return result


def errors(result, truth):
    """The largest error of each part of a result, relative to the part's own size."""
    gradients = result["gradients"] | dict(zip(("x", "lists", "positions"), result["inputs"], strict=False))
    wanted = truth["gradients"] | dict(zip(("x", "lists", "positions"), truth["inputs"], strict=False))
    whole = max(np.abs(gradient).max() for gradient in wanted.values())

    def relative(a, b, size=1e-30):
        return float(np.abs(a - b).max() / max(np.abs(b).max(), size, 1e-30))

    return {
        **{name: relative(result[name], truth[name]) for name in ("loss", "output", "inference")},
        # A bias before a norm has no effect: its gradient is zero, but for rounding.
        **{
            name: relative(g, wanted[name], whole if name.endswith("bias") else 1e-3 * whole)
            for name, g in gradients.items()
        },
        **{name: relative(s, truth["statistics"][name]) for name, s in result["statistics"].items()},
    }


def compared(make, x, index, positions=()):
    """The exact form's errors against the edge form: in float64, or on PyTorch, where Keras has none, in float32."""
    dtype = "float32" if BACKEND == "torch" else "float64"
    with float64():
        results = [run(make, exact, dtype, x, index, positions) for exact in (True, False)]
    assert results[0]["output"].dtype == dtype
    return errors(*results), 2e-4 if BACKEND == "torch" else 1e-9


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_edge_by_edge_in_all_that_a_training_sees(name):
    found, limit = compared(lambda **a: EdgeBlock(7, momentum=0.9, name="block", **a), *case(name))
    if name == "one cloud of one point" and BACKEND == "torch":
        certain = ("output", "inference", "block/beta", "block/moving_mean")  # the rest is rounding
        found = {part: found[part] for part in certain}
    assert {part: error for part, error in found.items() if not error < limit} == {}


@pytest.mark.parametrize(
    ("edge", "with_positions"), [("pair", True), ("difference", False), ("neighbour", False), ("neighbour", True)]
)
def test_agrees_for_every_kind_of_edge(edge, with_positions):
    x, index = case("more features than units")
    positions = [np.random.default_rng(3).standard_normal((3, 20, 3))] if with_positions else []
    found, limit = compared(
        lambda **a: EdgeBlock(7, edge, negative_slope=0.2, use_bias=False, name="block", **a), x, index, positions
    )
    assert {part: error for part, error in found.items() if not error < limit} == {}


@pytest.mark.parametrize("name", ["random", "duplicate points", "fewer points than neighbours"])
def test_reach_agrees_with_edge_by_edge(name):
    found, limit = compared(lambda **a: Reach(7, name="block", **a), *case(name))
    assert {part: error for part, error in found.items() if not error < limit} == {}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("edge", "with_positions"), [("pair", False), ("neighbour", True)])
def test_is_what_the_definition_says(edge, with_positions, exact):
    x, index = case("random")
    positions = [np.random.default_rng(3).standard_normal((3, 20, 2))] if with_positions else []
    block = EdgeBlock(7, edge, momentum=0.75, negative_slope=0.1, exact=exact)
    weighed(block, [x.shape, index.shape, *(p.shape for p in positions)])
    kernel, bias, gamma, beta, moving, _ = (numpy(weight).astype("float64") for weight in block.weights)
    z, mean, _ = twins.edge_block(x, index, kernel, bias, gamma, beta, 0.001, *positions, edge=edge, slope=0.1)
    given = [ops.convert_to_tensor(a) for a in (x.astype("float32"), index.astype("int32"))]
    given += [ops.convert_to_tensor(p.astype("float32")) for p in positions]
    np.testing.assert_allclose(numpy(block(given, training=True)), z, atol=1e-4)
    np.testing.assert_allclose(numpy(block.moving_mean), 0.75 * moving + 0.25 * mean, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "fewer points than neighbours",
        pytest.param("duplicate points", marks=pytest.mark.slow),
        pytest.param("one cloud of one point", marks=pytest.mark.slow),
    ],
)
def test_several_layers_on_edges_agree_with_edge_by_edge(name):
    x, index = case(name)
    positions = [np.random.default_rng(3).standard_normal((*x.shape[:2], 3))]
    found, limit = compared(lambda **a: Several((6, 5, 7), **a), x, index, positions)
    if name == "one cloud of one point" and BACKEND == "torch":
        found = {part: found[part] for part in ("output", "inference")}  # the rest is rounding
    assert {part: error for part, error in found.items() if not error < limit} == {}


@pytest.mark.parametrize(
    ("units", "options"),
    [
        ((6, 7), {"edge": "pair", "negative_slope": 0.2}),  # DGCNN's two layers
        ((6, 7), {"edge": "difference", "last_slope": 1.0, "use_bias": False}),  # PointNeXt's, with none on the last
    ],
)
def test_layers_on_edges_agree_for_every_kind_of_edge(units, options):
    found, limit = compared(lambda **a: Several(units, **options, **a), *case("more features than units"))
    assert {part: error for part, error in found.items() if not error < limit} == {}


@pytest.mark.parametrize("exact", [True, False])
def test_several_layers_are_what_the_definition_says(exact):
    x, index = case("random")
    several = weighed(Several((6, 7), exact, "float32", edge="pair", negative_slope=0.1), [x.shape, index.shape])
    given = [ops.convert_to_tensor(a.astype("float32")) for a in (x, index)]
    first, last = (
        [numpy(weight).astype("float64") for weight in several.inner.get_layer(name).weights[:4]]
        for name in ("layer_1", "layer_2")
    )
    other = x[np.arange(3)[:, None, None], index]
    edges = np.concatenate([np.broadcast_to(x[:, :12, None], other.shape), other - x[:, :12, None]], -1)
    for kernel, bias, gamma, beta in (first, last):
        y = edges @ kernel + bias
        z = (y - y.mean((0, 1, 2))) / np.sqrt(y.var((0, 1, 2)) + 0.001) * gamma + beta
        edges = np.where(z > 0, z, 0.1 * z)
    np.testing.assert_allclose(numpy(several(given, training=True)), edges.max(2), atol=1e-4)


def test_reach_is_how_far_the_neighbours_lie_in_each_direction():
    x = np.array([[[0, 0], [3, 0], [0, -2.0]]], "float32")
    index = np.array([[[0, 1, 2], [1, 0, 0]]], "int32")
    layer = Reach(2)
    layer.build([x.shape, index.shape])
    layer.kernel.assign(np.eye(2))
    found = numpy(layer([ops.convert_to_tensor(x), ops.convert_to_tensor(index)]))
    np.testing.assert_array_equal(found, [[[3, 0], [0, 0]]])


def on_a_sphere():
    """Features of points on spheres that vary slowly, and their true neighbours: short edges, as in a network."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((6, 200, 3))
    points /= np.linalg.norm(points, axis=2, keepdims=True)
    return np.tanh(points @ rng.standard_normal((3, 8))), neighbours.nearest(points, points[:, :150], 5)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="Keras on PyTorch computes float64 in float32: there is no truth")
@pytest.mark.parametrize("edge", ["pair", "difference"])
def test_float32_loses_no_more_than_edge_by_edge_in_float32(edge):
    def block(**arguments):
        return EdgeBlock(16, edge, name="block", **arguments)

    with float64():
        truth = run(block, False, "float64", *on_a_sphere())
        ours, theirs = (errors(run(block, exact, "float32", *on_a_sphere()), truth) for exact in (True, False))
    assert {part: (error, theirs[part]) for part, error in ours.items() if not error < 2 * theirs[part] + 1e-6} == {}


def test_a_frozen_block_keeps_its_statistics_and_hands_on_its_gradient():
    x, index = case("random")
    results = []
    for exact in (True, False):
        block = weighed(EdgeBlock(7, exact=exact, name="block"), [x.shape, index.shape])
        block.trainable = False
        before = block.get_weights()
        arrays = [a.astype("float32") for a in (x, index)]
        results.append(training_call(OnLists(block), arrays, lambda output: ops.sum(ops.sin(output))))
        for a, b in zip(block.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(results[0]["inputs"][0], results[1]["inputs"][0], atol=1e-5)


def test_half_precision_answers_in_half_and_keeps_its_weights_whole():
    x, index = case("random")
    block = weighed(EdgeBlock(7, dtype="mixed_bfloat16"), [x.shape, index.shape])
    answers = [
        block([ops.convert_to_tensor(x.astype("float32")), ops.convert_to_tensor(index.astype("int32"))], training=t)
        for t in (True, False)
    ]
    assert [keras.backend.standardize_dtype(a.dtype) for a in (*answers, block.kernel)] == ["bfloat16"] * 2 + [
        "float32"
    ]
    block.exact = False
    wanted = block([ops.convert_to_tensor(x), ops.convert_to_tensor(index.astype("int32"))], training=False)
    np.testing.assert_allclose(numpy(ops.cast(answers[1], "float32")), numpy(ops.cast(wanted, "float32")), atol=0.2)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: EdgeBlock(64, use_bias=False), 2 * 3 * 64 + 2 * 64),  # DGCNN's first EdgeConv: 512, norm included
        (lambda: EdgeBlock(64), 2 * 3 * 64 + 3 * 64),
        (lambda: EdgeBlock(64, "difference", use_bias=False), 3 * 64 + 2 * 64),
        (lambda: Reach(64), 3 * 64),
    ],
)
def test_parameters_are_as_many_as_the_definition_has(make, count):
    block = make()
    block.build([(None, None, 3), (None, None, 20)])
    assert sum(int(np.prod(weight.shape)) for weight in block.trainable_weights) == count


def network():
    points, index = keras.Input((None, 3)), keras.Input((None, 4), dtype="int32")
    x = EdgeBlock(8, negative_slope=0.2, use_bias=False, momentum=0.9, name="edges")([points, index])
    x = EdgeBlock(8, "neighbour", exact=False, name="relative")([x, index, points])
    each = EdgewiseBlock(6, "difference", negative_slope=0.1, name="edgewise")([x, index])
    x = PooledEdgesBlock(8, negative_slope=0.1, name="pooled_edges")([each, index])
    return keras.Model([points, index], Reach(5, name="reach")([x, index]))


def test_a_saved_model_answers_as_before(tmp_path):
    model = network()
    assert model.output.shape == (None, None, 5)
    points = np.random.default_rng(0).standard_normal((2, 9, 3)).astype("float32")
    index = neighbours.nearest(points, points, 4)
    answer = model.predict_on_batch([points, index])
    assert answer.shape == (2, 9, 5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict_on_batch([points, index]), answer, atol=1e-6)
    for name in ("edges", "relative", "edgewise", "pooled_edges", "reach"):
        assert again.get_layer(name).get_config() == model.get_layer(name).get_config()
    assert model.get_layer("edges").get_config()["negative_slope"] == 0.2


def test_points_in_another_order_have_the_same_answers():
    x, index = case("random")
    index = index[:, :, :] % 12  # the first 12 are the centres and their neighbours
    x = x[:, :12]
    turn = np.random.default_rng(0).permutation(12)
    back = np.argsort(turn)
    block = weighed(EdgeBlock(7), [x.shape, index.shape])
    first, second = (
        numpy(block([ops.convert_to_tensor(a.astype("float32")), ops.convert_to_tensor(i.astype("int32"))]))
        for a, i in ((x, index), (x[:, turn], back[index[:, turn]]))
    )
    np.testing.assert_allclose(first[:, turn], second, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EdgeBlock(0), "units must be at least 1, got 0"),
        (lambda: Reach(0), "units must be at least 1, got 0"),
        (lambda: EdgeBlock(4, "edge"), "edge must be one of pair, difference, neighbour, got 'edge'"),
    ],
)
def test_blocks_without_sense_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
