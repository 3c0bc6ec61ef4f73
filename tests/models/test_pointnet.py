import keras
import numpy as np
import pytest

from pointkit import models
from pointkit.models import pointnet
from pointkit.models.networks import seed_stream


@pytest.fixture(scope="module")
def reference():
    """The reference's classifier with weights that are not those it starts from, moving statistics included."""
    model = models.classifier("pointnet", 10, seed=0)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.05 * np.abs(rng.standard_normal(w.shape)) for w in model.get_weights()])
    return model


def clouds(batch, n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (batch, n, 3)).astype("float32")


def answers(model, x):
    return keras.ops.convert_to_numpy(model.predict_on_batch(x))


def test_reference_widths_have_the_published_numbers_of_parameters(reference):
    about = models.describe(reference)
    assert about["parameters"] == 748_979
    assert about["trainable_parameters"] == 742_899
    assert about["parameters"] - about["trainable_parameters"] == 6_080


def test_paper_widths_are_one_argument_away():
    # Counted by hand from the paper's layers: each linear map K*C + C, each norm 4*C.
    def blocks(widths, start):
        return sum(k * c + c + 4 * c for k, c in zip((start, *widths), widths, strict=False))

    tnet3 = blocks((64, 128, 1024), 3) + blocks((512, 256), 1024) + 256 * 9 + 9
    tnet64 = blocks((64, 128, 1024), 64) + blocks((512, 256), 1024) + 256 * 4096 + 4096
    whole = (
        tnet3 + blocks((64, 64), 3) + tnet64 + blocks((64, 128, 1024), 64) + blocks((512, 256), 1024) + 256 * 40 + 40
    )
    assert models.classifier("pointnet", 40, widths="paper", blank=True).count_params() == whole


def test_shuffled_points_give_the_same_logits(reference):
    x = clouds(2, 120)
    order = np.random.default_rng(1).permutation(120)
    np.testing.assert_allclose(answers(reference, x[:, order]), answers(reference, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 40, 1000])
def test_takes_any_number_of_points(reference, n):
    y = answers(reference, clouds(2, n))
    assert y.shape == (2, 10)
    assert np.isfinite(y).all()


def test_repeated_points_change_nothing(reference):
    x = clouds(2, 40)
    np.testing.assert_allclose(answers(reference, np.tile(x, (1, 3, 1))), answers(reference, x), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
def test_takes_the_dict_of_the_loader(reference):
    x = clouds(2, 40)
    np.testing.assert_array_equal(answers(reference, {"points": x}), answers(reference, x))


def test_gives_logits_not_probabilities(reference):
    y = answers(reference, clouds(2, 40))
    assert y.dtype == np.float32
    assert not np.allclose(y.sum(1), 1)


def test_backbone_hands_out_pooled_and_local_features():
    features, units = pointnet.backbone(
        "classifier",
        widths="reference",
        transforms="both",
        penalty=0.001,
        momentum=0.9,
        exact=True,
        seeds=seed_stream(0),
    )
    assert units == (256, 128)
    assert tuple(features.pooled.shape) == (None, 512)
    assert [tuple(x.shape) for x in features.local] == [(None, None, c) for c in (32, 32, 32, 32, 64)]
    assert tuple(features.matrix.shape) == (None, 32, 32)
    assert features.transformed == 2


def test_reference_segmenter_has_the_published_numbers_of_parameters():
    about = models.describe(models.segmenter("pointnet", 5, blank=True))
    assert about["parameters"] == 7_370_062
    assert about["trainable_parameters"] == 7_356_110


@pytest.fixture(scope="module")
def segmenter():
    return models.segmenter("pointnet", 5, seed=0)


@pytest.mark.parametrize("n", [1, 40, 300])
def test_segmenter_answers_each_point_and_moves_with_their_order(segmenter, n):
    x = clouds(2, n)
    y = answers(segmenter, x)
    assert y.shape == (2, n, 5)
    order = np.random.default_rng(1).permutation(n)
    np.testing.assert_allclose(answers(segmenter, x[:, order]), y[:, order], rtol=1e-4, atol=1e-5)


BUILD = {"classifier": models.classifier, "segmenter": models.segmenter}


@pytest.mark.parametrize("kind", BUILD)
def test_without_transforms_only_the_tnets_are_gone(kind):
    both, none = (
        {w.path: tuple(w.shape) for w in BUILD[kind]("pointnet", 6, transforms=transforms, blank=True).weights}
        for transforms in ("both", "none")
    )
    gone = {path for path in both if path.split("/")[0].startswith(("input_tnet", "feature_tnet"))}
    kept = {path: shape for path, shape in both.items() if path not in gone}
    if kind == "segmenter":  # its head sees 128 features before they are turned and after
        rows, columns = kept["head_pointwise_1/kernel"]
        kept["head_pointwise_1/kernel"] = (rows - 128, columns)
    assert none == kept


@pytest.mark.parametrize("kind", ["classifier", pytest.param("segmenter", marks=pytest.mark.slow)])
def test_without_transforms_in_the_exact_form_and_layer_by_layer(kind):
    exact, plain = (BUILD[kind]("pointnet", 4, transforms="none", seed=0, exact=exact) for exact in (True, False))
    rng = np.random.default_rng(0)
    weights = [w + 0.003 * rng.standard_normal(w.shape) for w in exact.get_weights()]
    exact.set_weights(weights)
    plain.set_weights(weights)
    x = clouds(3, 40)
    np.testing.assert_allclose(answers(plain, x), answers(exact, x), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(models.InParts(exact, rows=45)(x), answers(exact, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", BUILD)
def test_features_widen_the_first_layers_alone(kind):
    plain = {w.path: tuple(w.shape) for w in BUILD[kind]("pointnet", 6, blank=True).weights}
    theirs = {w.path: tuple(w.shape) for w in BUILD[kind]("pointnet", 6, num_features=3, blank=True).weights}
    wider = {path: theirs[path] for path in plain if plain[path] != theirs[path]}
    first = {"classifier": 32, "segmenter": 64}[kind]
    assert wider == {"input_tnet_pointwise_1/kernel": (6, first), "pointwise_1/kernel": (6, first)}
    assert theirs.keys() == plain.keys()


@pytest.mark.parametrize("kind", [pytest.param("classifier", marks=pytest.mark.slow), "segmenter"])
def test_features_in_the_exact_form_and_layer_by_layer(kind, tmp_path):
    arguments = {"num_features": 2, **({"parts": [1, 1, 2]} if kind == "segmenter" else {})}
    exact, plain = (BUILD[kind]("pointnet", 4, seed=0, exact=exact, **arguments) for exact in (True, False))
    rng = np.random.default_rng(0)
    weights = [w + 0.003 * rng.standard_normal(w.shape) for w in exact.get_weights()]
    exact.set_weights(weights)
    plain.set_weights(weights)
    given = {"points": clouds(3, 40), "features": rng.standard_normal((3, 40, 2)).astype("float32")}
    given |= {"category": np.array([2, 0, 1])} if kind == "segmenter" else {}
    one = answers(exact, given)
    np.testing.assert_allclose(answers(plain, given), one, rtol=1e-3, atol=1e-4)
    other = {**given, "features": -given["features"]}
    assert np.abs(answers(exact, other) - one).max() > 1e-3
    exact.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(answers(loaded, given), one, rtol=1e-5, atol=1e-6)
    in_parts = models.InParts(exact, rows=45)(**given)
    np.testing.assert_allclose(in_parts, one, rtol=1e-4, atol=1e-5)


def test_the_input_tnet_turns_points_and_lets_features_through():
    model = models.classifier("pointnet", 3, num_features=2, seed=0)
    layer = model.get_layer("input_tnet_matrix")
    layer.set_weights([w + 0.1 * np.random.default_rng(0).standard_normal(w.shape) for w in layer.get_weights()])
    matrix = keras.ops.convert_to_numpy(layer(np.ones((2, layer.kernel.shape[0]), "float32")))
    assert matrix.shape == (2, 5, 5)
    assert np.abs(matrix[:, :3, :3] - np.eye(3)).min() > 0
    np.testing.assert_array_equal(matrix[:, 3:, 3:], np.broadcast_to(np.eye(2), (2, 2, 2)))
    assert not matrix[:, :3, 3:].any()
    assert not matrix[:, 3:, :3].any()


PARTS = [1, 3, 2]  # of each category


@pytest.fixture(scope="module")
def of_three():
    """A segmenter of three categories with six parts in all, its weights moved as by a training."""
    model = models.segmenter("pointnet", 6, seed=0, parts=PARTS)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.003 * rng.standard_normal(w.shape) for w in model.get_weights()])
    return model


def test_the_category_widens_the_heads_first_layer_alone(of_three):
    plain = {w.path: tuple(w.shape) for w in models.segmenter("pointnet", 6, blank=True).weights}
    theirs = {w.path: tuple(w.shape) for w in of_three.weights}
    assert {path for path in plain if plain[path] != theirs[path]} == {"head_pointwise_1/kernel"}
    assert theirs["head_pointwise_1/kernel"] == (3008 + 3, 128)


def test_the_category_decides_and_each_cloud_has_its_own(of_three):
    x = np.repeat(clouds(1, 30), 3, 0)
    y = answers(of_three, {"points": x, "category": np.arange(3)})
    assert y.shape == (3, 30, 6)
    assert {tuple(np.flatnonzero(row > -1e8)) for row in y.reshape(-1, 6)} == {(0,), (1, 2, 3), (4, 5)}
    back = {"points": x, "category": np.arange(3)[::-1].copy()}
    np.testing.assert_allclose(answers(of_three, back), y[::-1], atol=1e-4)


def test_a_network_of_several_categories_wants_as_many_classes_as_parts():
    with pytest.raises(ValueError, match="num_classes must be the sum of parts, 6, got 5"):
        models.segmenter("pointnet", 5, parts=PARTS)


def test_the_one_hot_category_reaches_the_head(of_three):
    named = {tensor.name: tensor for tensor in of_three.inputs}
    inside = keras.Model(named, of_three.get_layer("logits").output)
    y = answers(inside, {"points": np.repeat(clouds(1, 30), 3, 0), "category": np.arange(3)})
    assert min(np.abs(y[i] - y[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-3


def test_the_category_in_the_exact_form_and_layer_by_layer(of_three):
    plain = models.segmenter("pointnet", 6, parts=PARTS, exact=False, blank=True)
    plain.set_weights(of_three.get_weights())
    given = {"points": clouds(4, 50), "category": np.array([0, 2, 1, 2])}
    one, other = (answers(model, given) for model in (of_three, plain))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_model_of_categories_survives_saving(of_three, tmp_path):
    of_three.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    given = {"points": clouds(2, 20), "category": np.array([2, 0])}
    np.testing.assert_allclose(answers(loaded, given), answers(of_three, given), rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_weights():
    first, second, other = (models.classifier("pointnet", 3, seed=seed).get_weights() for seed in (5, 5, 6))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_a_blank_model_has_the_same_weights_but_for_kernels_of_zero(reference):
    blank = models.classifier("pointnet", 10, blank=True)
    assert [w.path for w in blank.weights] == [w.path for w in reference.weights]
    kernels = [w for w in blank.get_weights() if w.ndim == 2]
    assert not any(kernel.any() for kernel in kernels)
    blank.set_weights(reference.get_weights())
    np.testing.assert_array_equal(answers(blank, clouds(2, 40)), answers(reference, clouds(2, 40)))


def test_layer_table_names_type_shape_parameters_and_inputs(reference):
    rows = {row["name"]: row for row in models.describe(reference)["layers"]}
    assert rows["pointwise_5"] == {
        "name": "pointwise_5",
        "type": "PooledBlock",
        "shape": [None, 512],
        "parameters": 64 * 512 + 512 + 4 * 512,
        "inputs": ["pointwise_4"],
    }
    assert rows["pointwise_1"]["inputs"] == ["points", "input_tnet_matrix"]
    assert sum(row["parameters"] for row in rows.values()) == 748_979


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "pointnot", "num_classes": 10},
            "model must be one of pointnet, .*got 'pointnot' .did you mean 'pointnet'",
        ),
        ({"name": "pointnet", "num_classes": 1}, "num_classes must be at least 2, got 1"),
        (
            {"name": "pointnet", "num_classes": 10, "widths": "wide"},
            "widths must be one of reference, half, paper, got 'wide'",
        ),
        (
            {"name": "pointnet", "num_classes": 10, "transforms": "input"},
            "transforms must be one of both, none, got 'input'",
        ),
    ],
)
def test_refuses_what_it_does_not_know(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.classifier(**arguments)
