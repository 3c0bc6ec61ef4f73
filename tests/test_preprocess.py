"""The one path: the same file gives the same points, alone or in a batch."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointkit import outside, preprocess, sampling
from pointkit.cloud import Mesh, PointCloud
from pointkit.preprocess import Contract, Warned
from tests import zoo

MESH = zoo.MESHES["nine digits"]
CLOUD = zoo.CLOUDS["nine digits"]
A, B = Warned("features", "a"), Warned("density", "b")
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
        assert drawn.warnings == (("no-faces", "mesh without faces: its vertices are taken as a cloud"),)

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


def scan(values, **fields):
    """A cloud of intensities."""
    values = np.asarray(values)
    points = np.random.default_rng(0).standard_normal((len(values), 3)).astype(np.float32)
    return PointCloud(points, {"intensity": values, **fields})


def shares(drawn, kind="intensity"):
    """The numbers of a kind, in the order of the cloud's points."""
    return drawn.features[kind][np.argsort(drawn.index)]


class TestScales:
    @pytest.mark.parametrize(
        ("values", "wanted"),
        [
            (np.array([0, 1], np.uint8), 255),
            (np.array([0, 255], np.uint16), 255),
            (np.array([0, 256], np.uint16), 65535),
            (np.array([0, 70_000], np.int32), 70_000),
            (np.array([-1, 0], np.int16), 255),
            (np.array([0.0, 1.0], np.float32), 1),
            (np.array([0.0, 1.001], np.float32), 255),
            (np.array([-300.0, 0.0]), 65535),
            (np.array([np.nan, np.inf, 0.5]), 1),
            (np.zeros((0, 3)), 1),
        ],
    )
    def test_of_numbers(self, values, wanted):
        assert preprocess.full_scale(values) == wanted

    def test_shares_are_of_the_scale_that_is_given_else_of_the_clouds_own(self):
        cloud = scan(np.array([0, 50, 100], np.uint8))
        own = preprocess.draw(cloud, 3, kinds=("intensity",))
        given = preprocess.draw(cloud, 3, kinds=("intensity",), scales={"intensity": 1000.0, "color": 3.0})
        np.testing.assert_array_equal(shares(own)[:, 0], np.float32([0, 50 / 255, 100 / 255]))
        np.testing.assert_array_equal(shares(given)[:, 0], np.float32([0, 0.05, 0.1]))
        assert own.scales == given.scales == {"intensity": 255}
        assert shares(given).dtype == np.float32
        np.testing.assert_array_equal(given.points, own.points)

    def test_the_scale_is_that_of_all_points_and_not_of_those_drawn(self):
        values = np.zeros(300, np.uint16)
        values[7] = 60_000
        for seed in range(5):
            assert preprocess.draw(scan(values), 3, seed, kinds=("intensity",)).scales == {"intensity": 65535}

    def test_normals_have_none(self):
        fields = dict.fromkeys(("nx", "ny", "nz"), np.full(3, 200.0))
        drawn = preprocess.draw(scan(np.zeros(3), **fields), 3, kinds=("normals",), scales={"normals": 5.0})
        assert drawn.scales == {}
        assert drawn.features.keys() == {"normals"}

    def test_fewer_points_and_more_warnings_keep_the_rest(self):
        drawn = preprocess.draw(scan(np.arange(9, dtype=np.uint8)), 9, kinds=("intensity",)).warned(A).warned(B, A)
        first = drawn.first(4)
        assert first.warnings == (A, B, A)
        assert first.scales == {"intensity": 255}
        for array, whole in ((first.points, drawn.points), (first.index, drawn.index)):
            np.testing.assert_array_equal(array, whole[:4])
        np.testing.assert_array_equal(first.features["intensity"], drawn.features["intensity"][:4])

    def test_colours_may_be_packed(self):
        rgb = np.array([0x00FF8000, 0x000000FF], np.uint32)
        for packed in (rgb, rgb.view(np.float32), rgb.view(np.int32)):
            cloud = PointCloud(np.zeros((2, 3), np.float32), {"rgb": packed})
            assert preprocess.numbers(cloud.fields, "color").tolist() == [[255, 128, 0], [0, 0, 255]]
            np.testing.assert_array_equal(preprocess.colors(cloud.fields), np.float32([[1, 128 / 255, 0], [0, 0, 1]]))
        assert preprocess.colors(scan(np.zeros(3)).fields) is None


class TestColoursOfMeshes:
    VERTICES = np.float32([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0]])
    FACES = np.int32([[0, 1, 2], [3, 2, 1]])

    def test_a_point_has_its_corners_colours_as_far_as_each_is_near(self):
        paint = {"red": np.uint8([0, 200, 0, 200]), "green": np.uint8([0, 0, 100, 100]), "blue": np.uint8([9] * 4)}
        drawn = preprocess.draw(Mesh(self.VERTICES, self.FACES, vertex_fields=paint), 500, kinds=("color",))
        x, y, _ = drawn.points.T
        wanted = np.stack([100 * x, 50 * y, np.full(500, 9)], 1) / 255
        np.testing.assert_allclose(drawn.features["color"], wanted, atol=1e-6)
        assert drawn.features["color"].dtype == np.float32
        assert drawn.scales == {"color": 255}
        plain = preprocess.draw(Mesh(self.VERTICES, self.FACES), 500)
        np.testing.assert_array_equal(drawn.points, plain.points)

    @pytest.mark.parametrize("packed", [False, True])
    def test_or_its_faces_colour(self, packed):
        paint = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
        fields = {"rgb": np.uint32([0xFF0000, 0xFF])} if packed else {"color": paint}
        drawn = preprocess.draw(Mesh(self.VERTICES, self.FACES, fields), 50, kinds=("normals", "color"))
        np.testing.assert_array_equal(drawn.features["color"], (paint / 255).astype(np.float32)[drawn.index])
        assert list(drawn.features) == ["normals", "color"]

    def test_intensities_by_the_scale_that_is_given(self):
        strength = np.array([0, 1000, np.nan, 1000], np.float32)
        mesh = Mesh(self.VERTICES, self.FACES, vertex_fields={"scalar_Intensity": strength})
        drawn = preprocess.draw(mesh, 300, kinds=("color", "intensity"), scales={"intensity": 2000.0})
        assert list(drawn.features) == ["intensity"]
        assert drawn.scales == {"intensity": 65535}
        np.testing.assert_allclose(drawn.features["intensity"][:, 0], drawn.points[:, 0] / 4, atol=1e-6)
        whole = preprocess.draw(mesh, 300, kinds=("intensity",), scales={"intensity": 1.0}).features["intensity"]
        np.testing.assert_array_equal((whole / np.float64(2000)).astype(np.float32), drawn.features["intensity"])

    def test_vertices_without_faces_have_their_own(self):
        paint = dict.fromkeys(("red", "green", "blue"), np.uint8([0, 51, 102, 255]))
        drawn = preprocess.draw(Mesh(self.VERTICES, np.zeros((0, 3)), vertex_fields=paint), 4, kinds=("color",))
        np.testing.assert_array_equal(shares(drawn, "color")[:, 0], np.float32([0, 0.2, 0.4, 1]))


class TestContract:
    def test_a_store_says_it_and_older_ones_less(self):
        manifest = {"num_points_drawn": 500, "seed": 3, "scales": {"color": 255.0}, "task": "parts"}
        assert Contract.of_store(manifest, 64) == Contract(64, 500, 3, scales={"color": 255.0})
        assert Contract.of_store({}, 64) == Contract(64, 64, 0)

    def test_a_run_keeps_it_whole(self):
        contract = Contract(64, 500, 3, scales={"color": 255.0, "intensity": 1.0})
        kept = json.loads(json.dumps(contract.facts()))
        assert kept == {
            "num_points": 64,
            "drawn": 500,
            "seed": 3,
            "scale": "unit sphere",
            "up": "z",
            "window": "random points",
            "scales": {"color": 255.0, "intensity": 1.0},
            "stray": "kept",
        }
        assert Contract.of_run(kept) == contract
        assert Contract.of_run({"num_points": 64, "drawn": 500, "seed": 3}) == dataclasses.replace(contract, scales={})

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                {"scale": "unit cube"},
                "scale is 'unit cube', this version knows 'unit sphere' alone; install a newer one",
            ),
            ({"up": "w"}, "up is 'w', this version knows 'x', 'y', 'z', '-x', '-y', '-z' alone"),
            ({"stray": "moved"}, "stray is 'moved', this version knows 'kept', 'left out' alone"),
            ({"window": "tiles"}, "window is 'tiles', this version knows 'random points' alone"),
            ({"tile": 2}, "tile is not known to this version; install a newer one"),
            ({"num_points": 0}, "num_points must be at least 1, found 0"),
            ({"drawn": True}, "drawn must be a whole number, found True"),
            ({"seed": 0.5}, "seed must be a whole number, found 0.5"),
            ({"scales": {"normals": 1}}, "scales must be positive numbers of color, intensity, found {'normals': 1}"),
            ({"scales": {"color": -1}}, "scales must be positive numbers"),
            ({"scales": {"color": "255"}}, "scales must be positive numbers"),
            ({"scales": None}, "scales must be positive numbers"),
        ],
    )
    def test_another_rule_is_refused(self, change, words):
        with pytest.raises(ValueError, match=r"found|knows|known") as caught:
            Contract.of_run(Contract(64, 500).facts() | change)
        assert str(caught.value).startswith(words)
        assert "\n" not in str(caught.value)

    def test_it_draws_by_its_own_numbers(self):
        contract, cloud = Contract(8, 20, 5, scales={"intensity": 500.0}), scan(np.arange(100, dtype=np.uint8))
        drawn = contract.draw(cloud, kinds=("intensity",))
        plain = preprocess.draw(cloud, 20, 5, kinds=("intensity",), scales={"intensity": 500.0})
        np.testing.assert_array_equal(drawn.index, plain.index)
        np.testing.assert_array_equal(drawn.features["intensity"], plain.features["intensity"])
        assert len(contract.draw(cloud, count=30).points) == 30
        assert len(contract.draw(cloud, whole=True).points) == 100
        assert contract.draw(cloud).features == {}

    @pytest.mark.parametrize(
        ("values", "full", "warned"),
        [
            (np.array([0, 200], np.uint8), 255.0, False),
            (np.array([0, 3], np.uint8), 255.0, False),  # a dark cloud
            (np.array([0.0, 1.0]), 1.0, False),
            (np.array([0, 200], np.uint8), 65535.0, False),  # a dark one of 16 bits
            (np.array([0, 40_000], np.uint16), 255.0, True),
            (np.array([0, 200], np.uint8), 1.0, True),
            (np.array([0.0, 0.9]), 255.0, True),
            (np.array([0, 90_000], np.int32), 80_000.0, True),
            (np.array([0, 40_000], np.uint16), None, False),  # an older run
        ],
    )
    def test_another_scale_is_warned_of(self, values, full, warned):
        contract = Contract(2, 2, scales={} if full is None else {"intensity": full})
        drawn = contract.draw(scan(values), kinds=("intensity",))
        own = preprocess.full_scale(values)
        words = f"its intensity seems to be of the full scale {own:,g}, that of the training set was {full or 0:,g}"
        found = [kind for kind, text in outside.of_drawn(drawn, contract) if text.startswith(words)]
        assert found == ["features"] * warned
        np.testing.assert_array_equal(shares(drawn)[:, 0], (values / (full or own)).astype(np.float32).clip(max=1))
        unseen = contract.draw(scan(values))
        assert list(outside.of_drawn(unseen, contract)) == [], "what the network does not see is not looked at"

    def test_inputs_are_the_points_or_all_that_there_is(self):
        contract = Contract(5, 5)
        points = np.random.default_rng(0).standard_normal((2, 5, 3)) * 40
        numbers, category = np.zeros((2, 5, 1), np.float32), np.array([1, 0], np.int32)
        for array in (points, numbers, category):
            array.flags.writeable = False
        alone = contract.inputs(points)
        np.testing.assert_array_equal(alone, preprocess.normalise(points)[0])
        whole = contract.inputs(points, numbers, category)
        assert list(whole) == ["points", "features", "category"]
        np.testing.assert_array_equal(whole["points"], alone)
        assert whole["features"] is numbers
        assert whole["category"] is category
        assert list(contract.inputs(points, category=category)) == ["points", "category"]
        assert list(preprocess.named_inputs(points, numbers)) == ["points", "features"]
        assert preprocess.named_inputs(points) is points


class TestSteadyScale:
    @pytest.mark.parametrize(
        ("values", "wanted"),
        [
            (np.array([0, 3], np.uint8), 255),
            (np.array([0, 3], np.uint16), 255),
            (np.array([0, 40_000], np.uint16), 65535),
            (np.r_[np.arange(256).repeat(9), 60_000].astype(np.uint16), 255),  # one of 2,305 is an outlier
            (np.r_[np.arange(256).repeat(9), 300.0], 255),
            (np.r_[np.linspace(0, 1, 500), 7.0], 1),
            (np.r_[np.linspace(0, 90_000, 500), 1e9], 89_280),  # what holds 99 in 100 of them
            (np.linspace(0, 90_000, 500), 90_000),
            (np.r_[np.zeros(5000), 9.0], 255),  # zeros say nothing
            (np.zeros(3), 1),
            (np.array([np.nan, 0.5]), 1),
        ],
    )
    def test_a_few_outliers_do_not_decide(self, values, wanted):
        assert preprocess.steady_scale(values) == pytest.approx(wanted, rel=0.002)

    @given(hnp.arrays(np.uint16, st.integers(1, 99)))
    def test_without_outliers_it_is_the_full_scale(self, values):
        assert preprocess.steady_scale(values) in (255, preprocess.full_scale(values))
        if not ((values > 255) & (values > 0)).any():
            assert preprocess.steady_scale(values) == preprocess.full_scale(values)
