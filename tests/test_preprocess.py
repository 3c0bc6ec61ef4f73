"""The one path: the same file gives the same points, alone or in a batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointkit import preprocess, sampling
from pointkit.cloud import Mesh, PointCloud
from tests import zoo

MESH = zoo.MESHES["nine digits"]
CLOUD = zoo.CLOUDS["nine digits"]
COORDINATES = st.floats(-1000, 1000, width=32)


class TestDraw:
    @pytest.mark.parametrize("shape", [MESH, CLOUD, zoo.MESHES["vertices alone"]])
    def test_seed_and_content_decide(self, shape):
        first, second = (preprocess.draw(shape, 64, seed=5) for _ in range(2))
        np.testing.assert_array_equal(first.points, second.points)
        np.testing.assert_array_equal(first.index, second.index)
        assert (preprocess.draw(shape, 64, seed=6).index != first.index).any()

    def test_a_copy_elsewhere_draws_the_same(self):
        copy = Mesh(MESH.vertices.copy(), MESH.faces.copy(), {"part": np.zeros(len(MESH.faces))})
        np.testing.assert_array_equal(preprocess.draw(copy, 32).points, preprocess.draw(MESH, 32).points)

    def test_the_global_state_has_no_say(self):
        np.random.seed(1)  # noqa: NPY002
        first = preprocess.draw(CLOUD, 32).points
        np.random.seed(2)  # noqa: NPY002
        np.testing.assert_array_equal(preprocess.draw(CLOUD, 32).points, first)

    def test_a_mesh_gives_as_many_as_asked(self):
        drawn = preprocess.draw(MESH, 5000)
        assert drawn.points.shape == (5000, 3)
        assert (drawn.points.dtype, drawn.index.dtype) == ("float32", "int64")
        assert drawn.index.max() < len(MESH.faces)
        assert drawn.warnings == ()

    @pytest.mark.parametrize("count", [1, 299, 300, 301, 5000])
    def test_a_cloud_gives_each_point_once(self, count):
        drawn = preprocess.draw(CLOUD, count)
        assert len(drawn.points) == min(count, 300)
        assert len(set(drawn.index.tolist())) == len(drawn.index)
        np.testing.assert_array_equal(drawn.points, CLOUD.points[drawn.index])

    def test_a_mesh_without_faces_is_a_cloud_with_a_warning(self):
        drawn = preprocess.draw(zoo.MESHES["vertices alone"], 10)
        assert sorted(drawn.index.tolist()) == [0, 1, 2, 3]
        assert drawn.warnings == ("mesh without faces: its vertices are taken as a cloud",)

    def test_order_is_random(self):
        assert (np.diff(preprocess.draw(CLOUD, 300).index) < 0).sum() > 100

    def test_nothing_to_draw(self):
        with pytest.raises(ValueError, match="at least one point, got none"):
            preprocess.draw(PointCloud(np.zeros((0, 3), np.float32)), 5)
        flat = Mesh(np.zeros((3, 3), np.float32), np.int32([[0, 1, 2]]))
        with pytest.raises(ValueError, match="a face of positive area"):
            preprocess.draw(flat, 5)


class TestWindow:
    @pytest.mark.parametrize(
        ("total", "count", "start", "wanted"),
        [
            (5, 3, 0, [0, 1, 2]),
            (5, 3, 2, [2, 3, 4]),
            (5, 3, 4, [4, 0, 1]),
            (3, 7, 1, [1, 2, 0, 1, 2, 0, 1]),
            (1, 3, 0, [0, 0, 0]),
            (4, 4, 4, [0, 1, 2, 3]),
        ],
    )
    def test_round_the_end(self, total, count, start, wanted):
        assert preprocess.window(total, count, start).tolist() == wanted

    @given(st.integers(1, 50), st.integers(1, 120), st.integers(0, 100))
    @settings(deadline=None)
    def test_every_point_comes_as_often_to_within_one(self, total, count, start):
        seen = np.bincount(preprocess.window(total, count, start), minlength=total)
        assert seen.max() - seen.min() <= 1


def slow_normalise(points):
    points = np.asarray(points, np.float64)
    center = sum(points) / len(points)
    scale = max(np.sqrt(((point - center) ** 2).sum()) for point in points)
    return (points - center) / (scale or 1.0), center, scale or 1.0


class TestNormalise:
    @given(hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=COORDINATES))
    @settings(deadline=None)
    def test_against_its_plain_twin(self, points):
        got, wanted = preprocess.normalise(points), slow_normalise(points)
        if np.ptp(points, axis=0).max() < 1e-3:
            return  # there the two means differ by more than the points do
        np.testing.assert_allclose(got[0], wanted[0], atol=1e-6)
        np.testing.assert_allclose(got[1], wanted[1], atol=1e-9)
        np.testing.assert_allclose(got[2], wanted[2], rtol=1e-9)

    @given(st.integers(1, 6), st.integers(1, 300), st.integers(0, 2**32 - 1))
    @settings(deadline=None)
    def test_alone_and_in_a_batch_bit_for_bit(self, batch, count, seed):
        points = np.random.default_rng(seed).standard_normal((batch, count, 3)).astype(np.float32) * 30
        points.flags.writeable = False
        together = preprocess.normalise(points)
        for i in range(batch):
            alone = preprocess.normalise(points[i])
            for one, many in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, many[i])

    def test_the_farthest_point_is_at_one(self):
        points, _, _ = preprocess.normalise(CLOUD.points)
        distance = np.linalg.norm(points.astype(np.float64), axis=1)
        assert distance.max() == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(points.mean(0), 0, atol=1e-6)

    def test_types_and_shapes(self):
        points, center, scale = preprocess.normalise(np.zeros((2, 4, 7, 3), np.float32))
        assert (points.shape, center.shape, scale.shape) == ((2, 4, 7, 3), (2, 4, 3), (2, 4))
        assert (points.dtype, center.dtype, scale.dtype) == ("float32", "float64", "float64")

    @pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
    def test_points_that_coincide_go_to_zero(self, value):
        points, center, scale = preprocess.normalise(np.full((8, 3), value, np.float32))
        assert not points.any()
        assert center.tolist() == [value] * 3
        assert scale == 1

    def test_repeated_points_shift_the_center_as_in_the_window(self):
        cloud = np.float32([[0, 0, 0], [3, 0, 0]])
        _, center, scale = preprocess.normalise(cloud[preprocess.window(2, 3)])
        assert center.tolist() == [1, 0, 0]
        assert scale == 2

    def test_what_comes_back(self):
        points, center, scale = preprocess.normalise(CLOUD.points)
        np.testing.assert_allclose(points.astype(np.float64) * scale + center, CLOUD.points, atol=1e-6)


def test_the_path_from_a_mesh_is_the_sample_of_its_content():
    rng = np.random.default_rng([0, sampling.content_seed(MESH)])
    np.testing.assert_array_equal(preprocess.draw(MESH, 40).points, sampling.surface(MESH, 40, rng).points)
