"""Shapes: checked, read-only, and back in their place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointkit.cloud import Mesh, Placement, PointCloud, as_shape, place
from pointkit.errors import PointkitError

TRIANGLE = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_arrays_are_read_only_and_the_callers_are_not():
    vertices, faces, part = TRIANGLE.copy(), np.int32([[0, 1, 2]]), np.int8([4])
    mesh = Mesh(vertices, faces, {"part": part})
    for array in (mesh.vertices, mesh.faces, mesh.face_fields["part"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert vertices.flags.writeable
    assert faces.flags.writeable
    assert part.flags.writeable
    cloud = PointCloud(vertices, {"part": np.arange(3)}, np.arange(3, dtype=np.int32))
    for array in (cloud.points, cloud.fields["part"], cloud.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        cloud.fields["new"] = 1
    with pytest.raises(AttributeError):
        cloud.points = vertices


def test_read_only_arrays_are_taken_as_they_are():
    points = TRIANGLE.copy()
    points.flags.writeable = False
    assert PointCloud(points).points.base is points


def test_types():
    mesh = Mesh(TRIANGLE.astype(np.float64), np.array([[0, 1, 2]]))
    assert (mesh.vertices.dtype, mesh.faces.dtype) == ("float32", "int32")
    cloud = PointCloud(TRIANGLE.tolist(), {"a": np.uint16([1, 2, 3])}, [0, 1, -1])
    assert (cloud.points.dtype, cloud.fields["a"].dtype, cloud.labels.dtype) == ("float32", "uint16", "int32")


def test_polygons():
    faces = np.array([[0, 1, 2], [0, 2, 1], [0, 1, 2]])
    mesh = Mesh(TRIANGLE, faces, polygons=[0, 0, 2])
    assert mesh.polygons.dtype == "int64"
    assert not mesh.polygons.flags.writeable
    assert Mesh(TRIANGLE, faces).polygons is None
    for wrong in ([0, 0], [0, 2, 1], [-1, 0, 1]):
        with pytest.raises(ValueError, match=r"polygons must be \(3,\) ascending numbers from 0 on"):
            Mesh(TRIANGLE, faces, polygons=wrong)


@pytest.mark.parametrize("count", [0, 1])
def test_no_faces_and_no_points_are_shapes_too(count):
    assert Mesh(TRIANGLE, np.zeros((0, 3), np.int32)).faces.shape == (0, 3)
    assert PointCloud(TRIANGLE[:count]).points.shape == (count, 3)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: PointCloud(TRIANGLE[0]), r"points must have the shape \(N, 3\), got \(3,\)"),
        (lambda: PointCloud(TRIANGLE[:, :2]), r"got \(3, 2\)"),
        (lambda: PointCloud(np.float32([[0, 0, 0], [0, np.nan, 0]])), r"points must be finite, got .* in row 1"),
        (lambda: PointCloud(TRIANGLE, {"a": np.zeros(2)}), r"field 'a' must have 3 rows, got the shape \(2,\)"),
        (lambda: PointCloud(TRIANGLE, {"a": np.float32(1)}), "field 'a' must have 3 rows"),
        (lambda: PointCloud(TRIANGLE, labels=[0, 1]), r"labels must have the shape \(3,\), got \(2,\)"),
        (lambda: PointCloud(TRIANGLE, labels=[[0, 1, 2]]), r"got \(1, 3\)"),
        (lambda: Mesh(np.float32([[np.inf, 0, 0]]), np.zeros((0, 3), int)), "vertices must be finite"),
        (lambda: Mesh(TRIANGLE, np.int32([0, 1, 2])), r"faces must have the shape \(F, 3\), got \(3,\)"),
        (lambda: Mesh(TRIANGLE, np.int32([[0, 1, 3]])), "faces must index the 3 vertices, got 3"),
        (lambda: Mesh(TRIANGLE, np.int32([[0, -1, 2]])), "got -1"),
        (lambda: Mesh(TRIANGLE, np.array([[0, 1, 2**32]])), "got 4294967296"),
        (lambda: Mesh(TRIANGLE, np.int32([[0, 1, 2]]), {"a": np.zeros(3)}), "face field 'a' must have 1 rows"),
        (lambda: Placement(origin=[0, 0]), "origin must be three finite numbers"),
        (lambda: Placement(center=[0, 0, np.nan]), "center must be three finite numbers"),
        (lambda: Placement(scale=0), "scale must be positive, got 0"),
        (lambda: Placement(scale=np.inf), "scale must be positive"),
    ],
)
def test_rules(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


def test_restore_undoes_normalisation_and_placement():
    placement = Placement(origin=[100, 200, 300], center=[1, 2, 3], scale=2)
    np.testing.assert_array_equal(placement.restore([[0.5, 0, -1]]), [[102, 202, 301]])
    np.testing.assert_array_equal(placement.restore([0, 0, 0]), [101, 202, 303])
    assert placement.restore(np.float32([[0, 0, 0]])).dtype == "float64"


def test_what_was_not_moved_keeps_its_bits():
    assert Placement().coordinates(TRIANGLE) is TRIANGLE
    points, placement = place(TRIANGLE.astype(np.float64))
    assert placement.coordinates(points).dtype == "float32"
    assert Placement(origin=[1, 0, 0]).coordinates(TRIANGLE).dtype == "float64"


class TestPlace:
    @given(
        hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-500, 500)),
        st.tuples(st.floats(160_000, 840_000), st.floats(0, 10_000_000), st.floats(-400, 9000)),
    )
    @settings(deadline=None)
    def test_survey_coordinates_keep_their_millimetres(self, offsets, corner):
        coordinates = offsets + corner
        coordinates.flags.writeable = False
        points, placement = place(coordinates)
        assert points.dtype == "float32"
        np.testing.assert_allclose(placement.restore(points), coordinates, rtol=0, atol=1e-4)

    @given(hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-1e6, 1e6, width=32)))
    @settings(deadline=None)
    def test_what_float32_holds_is_left_where_it_is(self, points):
        for coordinates in (points, points.astype(np.float64)):
            again, placement = place(coordinates)
            np.testing.assert_array_equal(again, points)
            assert not placement.origin.any()

    @given(
        hnp.arrays(np.float64, st.tuples(st.integers(2, 30), st.just(3)), elements=st.floats(-1e6, 1e6)),
        st.floats(-1e7, 1e7),
    )
    @settings(deadline=None)
    def test_the_error_is_below_a_ten_millionth_of_the_size(self, offsets, corner):
        coordinates = offsets + corner
        points, placement = place(coordinates)
        size = np.ptp(coordinates, axis=0).max()
        resolution = 1e-9  # of float64 itself, so far out
        assert np.abs(placement.restore(points) - coordinates).max() <= 2e-7 * size + resolution + 1e-7

    def test_a_worked_case(self):
        points, placement = place(np.array([[500_000.001, 5_000_000.002, 100.0], [500_001.001, 5_000_000.002, 100.5]]))
        assert placement.origin.tolist() == [500_001, 5_000_000, 100]
        np.testing.assert_allclose(points, [[-0.999, 0.002, 0], [0.001, 0.002, 0.5]], atol=1e-7)

    def test_a_shape_around_zero_stays(self):
        coordinates = np.array([[-0.1, 0.2, 0.3], [0.1, 0.7, 0.9]])
        points, placement = place(coordinates)
        assert not placement.origin.any()
        np.testing.assert_array_equal(points, coordinates.astype(np.float32))

    def test_no_points(self):
        points, placement = place(np.zeros((0, 3)))
        assert points.shape == (0, 3)
        assert not placement.origin.any()

    def test_a_transposed_read_only_array(self):
        coordinates = np.ascontiguousarray(np.random.default_rng(0).standard_normal((9, 3)).T).T + 1e6
        coordinates.flags.writeable = False
        points, placement = place(coordinates)
        assert points.flags.c_contiguous
        np.testing.assert_allclose(placement.restore(points), coordinates, rtol=0, atol=1e-6)


# ---- anything that may stand for a shape


def test_a_shape_stands_for_itself_and_an_array_for_a_cloud():
    cloud = PointCloud(np.eye(3))
    assert as_shape(cloud) is cloud
    for some in (np.eye(3), np.eye(3, dtype=np.float32), np.eye(3, dtype=int), np.eye(3).tolist()):
        made = as_shape(some)
        assert isinstance(made, PointCloud)
        assert np.array_equal(made.points, np.eye(3))


def test_far_coordinates_of_an_array_keep_their_digits():
    far = np.array([[500000.001, 5000000.002, 0], [500001.003, 5000000.004, 1]])
    made = as_shape(far)
    assert np.array_equal(made.placement.coordinates(made.points), far)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((4, 6)), r"\(N, 3\) of points, got the shape \(4, 6\); further columns are fields"),
        (np.zeros(3), r"got the shape \(3,\)$"),
        ("chair.ply", "got str$"),
        (None, "got NoneType$"),
        (np.ones((4, 3), complex), "got ndarray$"),
        ([[0, 0, 0], [1, 2]], "got list$"),
        ([[0, 0, 0], [0, np.inf, 0]], r"points must be finite, got \[0.0, inf, 0.0\] in row 1"),
    ],
)
def test_what_is_no_shape_is_refused_in_one_line(given, words):
    with pytest.raises(PointkitError, match=words) as caught:
        as_shape(given)
    assert "\n" not in str(caught.value)
