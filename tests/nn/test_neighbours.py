"""Neighbours found in the network are those that the host finds; what is gathered from them, and the layers' shapes."""

import keras
import numpy as np
import pytest
from keras import ops

from pointkit import neighbours
from pointkit.nn import GatheredMaximum, Interpolation, Nearest, NearestThree, NeighbourhoodMoments
from tests import twins
from tests.gradients import numpy


def clouds(size, n, dimensions=3, seed=0):
    return np.random.default_rng(seed).standard_normal((size, n, dimensions)).astype("float32")


@pytest.mark.parametrize("dimensions", [1, 3, 8])
@pytest.mark.parametrize(("n", "count"), [(30, 5), (4, 9), (1, 3)])
def test_the_networks_lists_are_the_hosts(n, count, dimensions):
    points, queries = clouds(2, n, dimensions), clouds(2, 6, dimensions, seed=1)
    found = Nearest(count)([queries, points])
    assert keras.backend.standardize_dtype(found.dtype) == "int32"
    np.testing.assert_array_equal(numpy(found), neighbours.nearest(points, queries, count))
    np.testing.assert_array_equal(numpy(Nearest(count)(points)), neighbours.nearest(points, points, count))


@pytest.mark.parametrize("dimensions", [2, 8])
@pytest.mark.parametrize(("n", "count"), [(320, 5), (333, 5), (90, 9), (200, 1)])
def test_lists_of_many_points_are_the_hosts(n, count, dimensions, device):
    points, queries = clouds(2, n, dimensions), clouds(2, 6, dimensions, seed=1)
    points[:, : n // 3] = points[:, :1] + 0.01 * points[:, : n // 3]  # many of one group are near, too
    found = numpy(Nearest(count)([queries, points]))
    np.testing.assert_array_equal(found, neighbours.nearest(points, queries, count))
    assert numpy(NearestThree()([queries, points])[0]).tolist() == neighbours.nearest(points, queries, 3).tolist()


def test_of_many_points_in_few_places_all_listed_are_different_and_as_near_as_the_hosts():
    points = np.tile(clouds(2, 25, 8), (1, 16, 1))
    for found in (numpy(Nearest(10)(points)), neighbours.nearest(points, points, 10)):
        assert all(len(set(row)) == 10 for row in found.reshape(-1, 10))
        far = np.stack([np.square(p[i] - p[:, None]).sum(2) for p, i in zip(points, found, strict=True)])
        np.testing.assert_array_equal(far, 0)


def test_features_far_from_the_origin_keep_their_neighbours():
    points = clouds(1, 40, 8)
    moved = Nearest(4)(points + 100)
    np.testing.assert_array_equal(np.sort(numpy(moved)), np.sort(neighbours.nearest(points, points, 4)))


@pytest.mark.parametrize("n", [1, 2, 9])
def test_the_networks_weights_are_the_hosts(n):
    points, queries = clouds(2, n), clouds(2, 6, seed=1)
    queries[:, 0] = points[:, 0]
    index, weights = NearestThree()([queries, points])
    wanted = neighbours.interpolation(points, queries)
    np.testing.assert_array_equal(numpy(index), wanted[0])
    np.testing.assert_allclose(numpy(weights), wanted[1], atol=2e-5)


def test_interpolation_gives_a_linear_function_of_a_line_back_between_its_points():
    points = np.array([[[0.0], [1.0], [5.0]]], "float32")
    index, weights = neighbours.interpolation(points, np.array([[[0.5], [1.0]]], "float32"))
    features = ops.convert_to_tensor(np.array([[[0.0, 2.0], [4.0, 2.0], [100.0, 2.0]]], "float32"))
    found = numpy(Interpolation()([features, ops.convert_to_tensor(index), ops.convert_to_tensor(weights)]))
    closeness = np.array([4, 4, 1 / 20.25])
    np.testing.assert_allclose(found[0, 0], [(4 * 4 + 100 / 20.25) / closeness.sum(), 2], rtol=1e-5)
    np.testing.assert_allclose(found[0, 1], [4, 2], rtol=1e-4)


def test_the_gathered_maximum_is_its_twin():
    y = clouds(2, 9, 4)
    index = np.random.default_rng(1).integers(0, 9, (2, 5, 3))
    found = GatheredMaximum()([ops.convert_to_tensor(y), ops.convert_to_tensor(index.astype("int32"))])
    np.testing.assert_array_equal(numpy(found), twins.gathered_maximum(y, index)[0].astype("float32"))


def test_moments_are_means_and_products_of_the_offsets():
    points = clouds(2, 12)
    index = neighbours.nearest(points, points[:, :5], 6)
    layer = NeighbourhoodMoments((2, 6), radius=0.5)
    found = numpy(layer([ops.convert_to_tensor(points), ops.convert_to_tensor(index)]))
    assert found.shape == (2, 5, 18)
    for b, i in np.ndindex(2, 5):
        wanted = []
        for scale in (2, 6):
            offsets = [(points[b, j] - points[b, i]) / 0.5 * (6 / scale) ** 0.5 for j in index[b, i, :scale]]
            wanted += list(sum(offsets) / scale)
            second = sum(np.outer(o, o) for o in offsets) / scale
            wanted += [second[u, v] for u in range(3) for v in range(u, 3)]
        np.testing.assert_allclose(found[b, i], wanted, rtol=1e-4, atol=1e-5)


def test_moments_do_not_see_where_the_cloud_stands():
    points = clouds(1, 12)
    index = ops.convert_to_tensor(neighbours.nearest(points, points, 4))
    here, there = (numpy(NeighbourhoodMoments([4])([ops.convert_to_tensor(p), index])) for p in (points, points + 8))
    np.testing.assert_allclose(here, there, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Nearest(0), "count must be at least 1, got 0"),
        (lambda: NeighbourhoodMoments(()), "scales must be numbers of neighbours"),
        (lambda: NeighbourhoodMoments((0, 3)), "scales must be numbers of neighbours"),
        (lambda: NeighbourhoodMoments((3,), radius=0.0), "radius must be positive, got 0.0"),
    ],
)
def test_layers_without_sense_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_scale_beyond_the_list_is_refused():
    points = ops.convert_to_tensor(clouds(1, 5))
    with pytest.raises(ValueError, match="scales must be at most the 2 neighbours of a list"):
        NeighbourhoodMoments((3,))([points, ops.zeros((1, 5, 2), "int32")])


def everything():
    """A model of points alone in which each layer stands."""
    points = keras.Input((None, 3), name="points")
    index = Nearest(4, name="near")(points)
    moments = NeighbourhoodMoments((2, 4), radius=0.3, name="moments")([points, index])
    top = GatheredMaximum(name="top")([moments, index])
    few = keras.layers.Lambda(lambda x: x[:, :4], output_shape=(4, 3))(points)
    up, weights = NearestThree(name="three")([points, few])
    back = Interpolation(name="up")([few, up, weights])
    return keras.Model(points, {"top": top, "back": back, "index": index, "weights": weights})


def test_shapes_and_types_are_known_before_any_point_is(tmp_path):
    model = everything()
    shapes = {name: (out.shape, out.dtype) for name, out in model.output.items()}
    assert shapes == {
        "top": ((None, None, 18), "float32"),
        "back": ((None, None, 3), "float32"),
        "index": ((None, None, 4), "int32"),
        "weights": ((None, None, 3), "float32"),
    }
    answer = model.predict_on_batch(clouds(2, 20))
    assert answer["top"].shape == (2, 20, 18)
    assert answer["back"].shape == (2, 20, 3)


@pytest.mark.parametrize("name", ["near", "moments", "top", "three", "up"])
def test_a_layer_is_made_anew_from_its_configuration(name):
    layer = everything().get_layer(name)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("n", [1, 2, 7])
def test_of_clouds_whose_size_is_not_known_before_lists_begin_again(n):
    points = keras.Input((None, 3))
    index, weights = NearestThree()([points, points])
    model = keras.Model(points, [Nearest(4)(points), index, weights])
    x = clouds(2, n)
    near, index, weights = model.predict(x, verbose=0)
    np.testing.assert_array_equal(near, neighbours.nearest(x, x, 4))
    wanted = neighbours.interpolation(x, x)
    np.testing.assert_array_equal(index, wanted[0])
    np.testing.assert_allclose(weights, wanted[1], atol=2e-5)
