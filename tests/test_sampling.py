"""Sampling: uniform by area, on the face it names, the same wherever the file lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pointkit import formats, sampling
from pointkit.cloud import Mesh, Placement, PointCloud
from tests import zoo


def strips(areas, rng):
    """A mesh of separate triangles of the given areas, turned and moved at random."""
    areas = np.asarray(areas, np.float64)
    local = np.zeros((len(areas), 3, 3))
    local[:, 1, 0] = rng.uniform(0.5, 2, len(areas))
    local[:, 2, 0] = rng.uniform(-1, 1, len(areas))
    local[:, 2, 1] = 2 * areas / local[:, 1, 0]
    turns = np.linalg.qr(rng.standard_normal((len(areas), 3, 3)))[0]
    vertices = (local @ turns + rng.standard_normal((len(areas), 1, 3))).reshape(-1, 3).astype(np.float32)
    vertices.flags.writeable = False
    faces = np.arange(3 * len(areas), dtype=np.int32).reshape(-1, 3)
    faces.flags.writeable = False
    return Mesh(vertices, faces)


def barycentric(mesh, sample):
    """Weights (n, 3) of each point in the face that it names, and its distance from that face's plane."""
    corners = mesh.vertices[mesh.faces[sample.faces]].astype(np.float64)
    edges = corners[:, 1:] - corners[:, :1]
    offset = sample.points - corners[:, 0]
    gram = np.einsum("nid,njd->nij", edges, edges)
    weights = np.linalg.solve(gram, np.einsum("nid,nd->ni", edges, offset)[..., None])[..., 0]
    distance = np.linalg.norm(offset - np.einsum("ni,nid->nd", weights, edges), axis=1)
    return np.column_stack([1 - weights.sum(1), weights]), distance


def slow_areas(mesh):
    areas = []
    for a, b, c in mesh.faces:
        p, q, r = mesh.vertices[[a, b, c]].astype(np.float64)
        areas.append(np.linalg.norm(np.cross(q - p, r - p)) / 2)
    return np.array(areas)


class TestSurface:
    def test_faces_are_drawn_by_area(self):
        areas = np.array([1e-3, 1e-2, 0.1, 1, 10, 3, 0.5, 1e-2, 7, 0.2])
        mesh = strips(areas, np.random.default_rng(1))
        count = 200_000
        sample = sampling.surface(mesh, count, np.random.default_rng(2))
        seen = np.bincount(sample.faces, minlength=len(areas))
        assert stats.chisquare(seen, count * areas / areas.sum()).pvalue > 0.01

    def test_the_same_holds_with_many_faces_and_across_pieces(self):
        rng = np.random.default_rng(3)
        mesh = strips(rng.lognormal(0, 2, 20_000), rng)
        areas = slow_areas(mesh)
        count = 100_000
        sample = sampling.surface(mesh, count, np.random.default_rng(4))
        bins = np.minimum(np.cumsum(areas) / areas.sum() * 50, 49).astype(int)  # neighbours in groups of like area
        seen, wanted = np.bincount(bins[sample.faces], minlength=50), np.bincount(bins, areas, minlength=50)
        assert stats.chisquare(seen, count * wanted / areas.sum()).pvalue > 0.01

    def test_the_weights_of_the_corners(self):
        rng = np.random.default_rng(12)
        mesh = strips(rng.uniform(1, 2, 20), rng)
        sample = sampling.surface(mesh, 500, rng)
        wanted, _ = barycentric(mesh, sample)
        np.testing.assert_allclose(sample.weights, wanted, atol=1e-5)
        assert sample.weights.min() >= 0
        np.testing.assert_allclose(sample.weights.sum(1), 1, rtol=1e-12)

    def test_points_are_uniform_within_a_face(self):
        mesh = strips([2.0], np.random.default_rng(5))
        count = 100_000
        weights, _ = barycentric(mesh, sampling.surface(mesh, count, np.random.default_rng(6)))
        # Cut into the four triangles between the midpoints: each has a quarter of the area.
        quarter = np.where(weights.max(1) >= 0.5, weights.argmax(1), 3)
        assert stats.chisquare(np.bincount(quarter, minlength=4)).pvalue > 0.01
        # The weight of each corner is distributed as 1 - sqrt(1 - u).
        for corner in range(3):
            assert stats.kstest(weights[:, corner], lambda w: 1 - (1 - np.clip(w, 0, 1)) ** 2).pvalue > 0.01

    def test_points_lie_in_the_face_they_name_and_normals_stand_on_it(self):
        rng = np.random.default_rng(7)
        mesh = strips(rng.uniform(0.1, 2, 300), rng)
        sample = sampling.surface(mesh, 5000, rng)
        weights, distance = barycentric(mesh, sample)
        assert weights.min() > -1e-5
        assert distance.max() < 1e-5
        np.testing.assert_allclose(np.linalg.norm(sample.normals, axis=1), 1, atol=1e-6)
        corners = mesh.vertices[mesh.faces[sample.faces]]
        for edge in (corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]):
            assert np.abs(np.einsum("nd,nd->n", edge, sample.normals)).max() < 1e-5

    def test_normals_follow_the_order_of_the_corners(self):
        mesh = Mesh(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32([[0, 1, 2]]))
        assert sampling.surface(mesh, 3, np.random.default_rng(0)).normals.tolist() == [[0, 0, 1]] * 3
        mesh = Mesh(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32([[0, 2, 1]]))
        assert sampling.surface(mesh, 3, np.random.default_rng(0)).normals.tolist() == [[0, 0, -1]] * 3

    @pytest.mark.parametrize("where", ["first", "last", "all around"])
    def test_faces_without_area_are_never_drawn(self, where):
        flat, real = [0, 0, 1], [0, 1, 2]
        faces = {"first": [flat, flat, real], "last": [real, flat, flat], "all around": [flat, real, flat, real, flat]}[
            where
        ]
        mesh = Mesh(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32(faces))
        sample = sampling.surface(mesh, 2000, np.random.default_rng(8))
        assert set(sample.faces.tolist()) == {i for i, face in enumerate(faces) if face is real}
        assert np.isfinite(sample.normals).all()

    class Top(np.random.Generator):
        """A generator whose uniform numbers are as near to 1 as they come."""

        def random(self, size=None):
            return np.full(size, np.nextafter(1, 0))

    def test_the_last_bit_of_the_area_stays_in_the_last_face_with_any(self):
        for areas in ([1.0, 3.0, 0.1], [0.1] * 10, [1e-8, 1e8]):
            mesh = strips(areas, np.random.default_rng(9))
            mesh = Mesh(mesh.vertices, np.concatenate([mesh.faces, np.int32([[0, 0, 0]])]))
            sample = sampling.surface(mesh, 5, self.Top(np.random.PCG64(0)))
            assert sample.faces.tolist() == [len(areas) - 1] * 5

    def test_shapes_and_types(self):
        sample = sampling.surface(zoo.MESHES["nine digits"], 17, np.random.default_rng(0))
        assert [array.shape for array in sample] == [(17, 3), (17, 3), (17,), (17, 3)]
        assert [str(array.dtype) for array in sample] == ["float32", "float32", "int32", "float64"]

    def test_a_generator_decides_everything(self):
        mesh = zoo.MESHES["nine digits"]
        a, b = (sampling.surface(mesh, 50, np.random.default_rng(3)) for _ in range(2))
        for first, second in zip(a, b, strict=True):
            np.testing.assert_array_equal(first, second)
        assert (sampling.surface(mesh, 50, np.random.default_rng(4)).points != a.points).any()

    def test_order_is_random(self):
        """The first half is no other sample than the second: faces come in no order."""
        mesh = strips(np.ones(100), np.random.default_rng(1))
        faces = sampling.surface(mesh, 20_000, np.random.default_rng(2)).faces
        halves = [np.bincount(half, minlength=100) for half in np.split(faces, 2)]
        assert stats.chi2_contingency(halves).pvalue > 0.01
        assert abs(stats.spearmanr(np.arange(20_000), faces).statistic) < 0.03

    @pytest.mark.parametrize("name", ["vertices alone", "a face without area"])
    def test_no_area_at_all(self, name):
        mesh = zoo.MESHES[name]
        mesh = Mesh(mesh.vertices, mesh.faces[1:])
        with pytest.raises(ValueError, match="a surface needs a face of positive area"):
            sampling.surface(mesh, 5, np.random.default_rng(0))

    def test_count_must_be_positive(self):
        with pytest.raises(ValueError, match="count must be at least 1, got 0"):
            sampling.surface(zoo.MESHES["one triangle"], 0, np.random.default_rng(0))

    @given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e6]))
    @settings(max_examples=30, deadline=None)
    def test_any_mesh(self, num_faces, seed, size):
        rng = np.random.default_rng(seed)
        vertices = (rng.standard_normal((20, 3)) * size).astype(np.float32)
        mesh = Mesh(vertices, rng.integers(0, 20, (num_faces, 3)).astype(np.int32))
        areas = slow_areas(mesh)
        if not areas.any():
            return
        sample = sampling.surface(mesh, 30, rng)
        assert (areas[sample.faces] > 0).all()
        low, high = vertices[mesh.faces[sample.faces]].min(1), vertices[mesh.faces[sample.faces]].max(1)
        slack = 1e-5 * size
        assert ((sample.points >= low - slack) & (sample.points <= high + slack)).all()


class TestContentSeed:
    def test_it_does_not_know_where_the_file_lies(self, tmp_path):
        (tmp_path / "deep" / "er").mkdir(parents=True)
        seeds = set()
        for path in (tmp_path / "a.off", tmp_path / "deep" / "b.OFF", tmp_path / "deep" / "er" / "c.off"):
            formats.write(path, zoo.MESHES["nine digits"])
            seeds.add(sampling.content_seed(formats.read(path)))
        assert len(seeds) == 1
        assert 0 <= seeds.pop() < 2**32

    def test_it_knows_each_coordinate_and_face(self):
        mesh = zoo.MESHES["nine digits"]
        other_faces = Mesh(mesh.vertices, mesh.faces[::-1])
        moved = mesh.vertices.copy()
        moved[7, 2] = np.nextafter(moved[7, 2], np.float32(9))
        shapes = [mesh, other_faces, Mesh(moved, mesh.faces), PointCloud(mesh.vertices), PointCloud(moved)]
        assert len({sampling.content_seed(shape) for shape in shapes}) == 5

    def test_memory_order_and_placement_do_not_matter(self):
        points = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
        plain = PointCloud(points)
        turned = PointCloud(np.asfortranarray(points), {"a": np.zeros(50)}, placement=Placement(origin=[1, 2, 3]))
        assert sampling.content_seed(plain) == sampling.content_seed(turned)


class TestRandomSubset:
    @pytest.mark.parametrize(("total", "count", "size"), [(10, 4, 4), (10, 10, 10), (3, 10, 3), (1, 1, 1)])
    def test_indices_are_different_and_in_range(self, total, count, size):
        index = sampling.random_subset(total, count, np.random.default_rng(0))
        assert len(index) == size
        assert len(set(index.tolist())) == size
        assert set(index.tolist()) <= set(range(total))

    def test_each_index_comes_as_often_and_at_each_place(self):
        rng = np.random.default_rng(1)
        draws = np.stack([sampling.random_subset(6, 3, rng) for _ in range(6000)])
        for place in range(3):
            assert stats.chisquare(np.bincount(draws[:, place], minlength=6)).pvalue > 0.01
