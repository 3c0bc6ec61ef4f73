"""How shapes are asked about, against plain loops: windows of many clouds, and the way back to points and faces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit import preprocess
from pointkit.asking import BATCH, PartsPrediction, Query, back, windowed
from pointkit.cloud import Mesh, PointCloud
from tests import towers, zoo


def clouds(sizes):
    return [
        Query(np.random.default_rng(i).normal(size=(size, 3)).astype("float32"), None, i)
        for i, size in enumerate(sizes)
    ]


def answer(query, places):
    """A row a place, which hangs on its point and on all others in the window."""
    return query.points[places] - query.points[places].mean(0) + query.category


def through(num_points):
    return lambda query: preprocess.windows(len(query.points), num_points)


class TestWindowed:
    @given(st.lists(st.integers(1, 200), max_size=12), st.integers(1, 70))
    @settings(deadline=None, max_examples=50)
    def test_against_a_plain_twin(self, sizes, num_points):
        asked = []

        def answers(windows):
            asked.append(len(windows))
            return [answer(query, places) for query, places in windows]

        def put(whole, places, rows):
            whole[places] = rows

        queries = clouds(sizes)
        got = list(windowed(queries, through(num_points), answers, put))
        assert len(got) == len(queries)
        for query, rows in zip(queries, got, strict=True):
            wanted = np.full((len(query.points), 3), np.nan, np.float32)
            for start in range(0, len(query.points), num_points):
                places = (start + np.arange(num_points)) % len(query.points)
                wanted[places] = answer(query, places)
            np.testing.assert_array_equal(rows, wanted)
        assert all(number == BATCH for number in asked[:-1]), "all calls but the last are full"
        assert sum(asked) == sum(-(-size // num_points) for size in sizes)

    def test_answers_come_as_soon_as_they_are_whole(self):
        """A hundred clouds are not held back until the last is read."""
        read = []

        def queries():
            for query in clouds([64] * 100):
                read.append(query)
                yield query

        def answers(windows):
            return [answer(query, places) for query, places in windows]

        next(windowed(queries(), through(64), answers, np.maximum.at))
        assert len(read) <= 2 * BATCH


def slow_back(mesh, drawn, rows):
    """Polygon by polygon: the mean of the rows drawn from it, or, where there are none, of those nearest its faces."""
    wanted = np.empty((len(mesh.faces), rows.shape[1]))
    polygons = np.arange(len(mesh.faces)) if mesh.polygons is None else mesh.polygons
    for polygon in set(polygons.tolist()):
        faces = np.flatnonzero(polygons == polygon)
        own = rows[np.isin(drawn.index, faces)]
        if not len(own):
            middles = mesh.vertices[mesh.faces[faces]].astype(float).mean(1)
            own = rows[[((drawn.points.astype(float) - middle) ** 2).sum(1).argmin() for middle in middles]]
        wanted[faces] = own.mean(0)
    return wanted


class TestBack:
    def test_to_the_points_of_a_cloud(self):
        cloud = zoo.CLOUDS["nine digits"]
        drawn = preprocess.draw(cloud, 1, whole=True)
        rows = np.random.default_rng(0).random((300, 4))
        whole = back(cloud, drawn, rows)
        for place, point in enumerate(drawn.index):
            np.testing.assert_array_equal(whole[point], rows[place])

    @pytest.mark.parametrize("quads", [False, True])
    @pytest.mark.parametrize("count", [3, 40, 4000])
    def test_to_the_faces_of_a_mesh(self, quads, count):
        mesh = towers.mesh(10, quads)
        drawn = preprocess.draw(mesh, count)
        rows = np.random.default_rng(0).random((count, 3))
        for array in (drawn.points, drawn.index, rows):
            array.flags.writeable = False
        assert (count == 4000) == (len(np.unique(drawn.index)) == 80), "else some faces have no point"
        np.testing.assert_allclose(back(mesh, drawn, rows), slow_back(mesh, drawn, rows), rtol=1e-12)

    def test_triangles_of_a_polygon_are_answered_alike(self):
        mesh = towers.mesh(10, quads=True)
        drawn = preprocess.draw(mesh, 50)
        whole = back(mesh, drawn, np.random.default_rng(0).random((50, 3)))
        np.testing.assert_array_equal(whole[::2], whole[1::2])
        assert len(np.unique(whole[:, 0])) > 15

    def test_polygons_whose_numbers_have_gaps(self):
        plain = towers.mesh(3, quads=True)
        mesh = Mesh(plain.vertices, plain.faces, polygons=plain.polygons * 5 + 2)
        drawn, rows = preprocess.draw(mesh, 30), np.random.default_rng(0).random((30, 2))
        np.testing.assert_array_equal(back(mesh, drawn, rows), back(plain, drawn, rows))


def test_what_an_answer_on_parts_says():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.4, 0.4, 0.2], [0.0, 0.0, 1.0]])
    probabilities.flags.writeable = False
    answer = PartsPrediction("lamp", {"foot": 20, "pole": 7, "shade": -3}, probabilities)
    assert answer.best.tolist() == [0, 2, 0, 2], "of equal ones the first"
    assert (answer.labels.tolist(), answer.labels.dtype) == ([20, -3, 20, -3], np.int32)
    assert answer.probability.tolist() == np.float32([0.5, 0.8, 0.4, 1]).tolist()
    assert answer.probability.dtype == np.float32
    assert answer.counts == {"foot": 2, "pole": 0, "shade": 2}
    assert list(answer.counts) == ["foot", "pole", "shade"]


def test_a_cloud_is_not_written_into():
    cloud = PointCloud(np.zeros((3, 3), np.float32))
    drawn = preprocess.draw(cloud, 3)
    rows = np.eye(3)
    whole = back(cloud, drawn, rows)
    whole[:] = 7
    np.testing.assert_array_equal(rows, np.eye(3))
