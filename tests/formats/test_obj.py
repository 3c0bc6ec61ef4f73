"""OBJ, with trimesh as the judge where it can be."""

import io

import numpy as np
import pytest
import trimesh

from pointkit import formats
from pointkit.cloud import PointCloud
from pointkit.errors import FormatError
from tests import zoo

VERTICES = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "mesh.obj"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
        return formats.read(path)

    return read_text


@pytest.mark.parametrize(
    "text",
    {
        "triangles": VERTICES + "f 1 2 3\nf 1 3 4\n",
        "a quad": VERTICES + "f 1 2 3 4\n",
        "counted back": VERTICES + "f -4 -3 -2\nf -4 -2 -1\n",
        "counted back from above": "v 0 0 0\nv 1 0 0\nv 1 1 0\nf -3 -2 -1\nv 0 1 0\nf -4 3 -1\n",
        "textures and normals": VERTICES + "vt 0 0\nvn 0 0 1\nf 1/1/1 2/1/1 3/1/1\nf 1/1/1 3/1/1 4/1/1\n",
        "normals alone": VERTICES + "vn 0 0 1\nf 1//1 2//1 3//1\nf 1//1 3//1 4//1\n",
        "textures alone": VERTICES + "vt 0 0\nf 1/-1 2/-1 3/-1\nf 1/1 3/1 4/1\n",
        "colours of vertices": VERTICES.replace(" 0\n", " 0 0.5 0.5 0.5\n") + "f 1 2 3\nf 1 3 4\n",
        "a colour of one vertex": VERTICES.replace("v 1 1 0", "v 1 1 0 1 0 0") + "f 1 2 3\nf 1 3 4\n",
        "groups and materials": "mtllib a.mtl\no A\n"
        + VERTICES
        + "usemtl b\ng c\nf 1 2 3\nusemtl a\ng d\ns 1\nf 1 3 4\n",
        "faces first": "f 1 2 3\nf 1 3 4\n" + VERTICES,
        "comments": "# f 9 9 9\n" + VERTICES + "f 1 2 3 # f 1 2\n  f 1 3 4#\n",
        "a line in two": VERTICES + "f 1 2 \\\n3\nf 1 3 \\\n 4\n",
        "Windows": (VERTICES + "f 1 2 3\nf 1 3 4\n").replace("\n", "\r\n"),
        "a mark of UTF-8": b"\xef\xbb\xbf" + (VERTICES + "f 1 2 3\nf 1 3 4\n").encode(),
        "UTF-16": (VERTICES + "f 1 2 3\nf 1 3 4\n").encode("utf-16"),
        "UTF-16 of the other order": b"\xfe\xff" + (VERTICES + "f 1 2 3\nf 1 3 4\n").encode("utf-16-be"),
        "UTF-16 without a mark": (VERTICES + "f 1 2 3\nf 1 3 4\n").encode("utf-16-le"),
        "capitals": (VERTICES + "vn 0 0 1\nf 1//1 2//1 3//1\nf -4 -2 -1\n").upper(),
        "an edge and a point among the faces": VERTICES + "f 1 2\nf 1 2 3\nf 4\nf 1 3 4\n",
        "slashes without a texture": VERTICES + "f 1/ 2/ 3/\nf 1// 3// 4//\n",
        "lines and points": VERTICES + "l 1 2\np 1\nf 1 2 3\nf 1 3 4",
    }.items(),
    ids=lambda item: item[0],
)
def test_the_square_however_it_is_written(read, text):
    mesh = read(text[1])
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("# nothing\n", "no vertices"),
        ("f 1 2 3\n", "no vertices"),
        (VERTICES + "v 1 2\n", "vertices must have three or more numbers, got 2 in row 4"),
        (VERTICES + "f 0 1 2\n", "indices must be 1 to 4, or negative to count back, got 0"),
        (VERTICES + "f 1 2 5\n", "got 5"),
        (VERTICES + "f 1 2 -5\n", "got -5"),
        ("v 0 0 0\nv 1 0 0\nf -1 -2 -3\nv 0 1 0\n", "got -3"),
        (VERTICES + "f 1 2 3\nf \n", "a face must hold indices of vertices, got none in face 1"),
        (VERTICES + "f 1 2 3\nf", "a face must hold indices of vertices, got none in face 1"),
        (
            VERTICES.replace("v 1 0 0", "v ") + "f 1 2 3\n",
            "vertices must have three or more numbers, got none in row 1",
        ),
        (VERTICES.replace("v 1 0 0", "v") + "f 1 2 3\n", "vertices must have three or more numbers, got none in row 1"),
        (VERTICES + "f 1//x 2 3\n", "a number is expected, got '1//x'"),
        (VERTICES + "f 1/1/1/1 2 3\n", "a number is expected, got '1/1'"),
        (VERTICES + "f 1/a 2 3\n", "a number is expected, got '1/a'"),
        (VERTICES.replace("1 1 0", "1 inf 0") + "f 1 2 4\n", "finite float32 numbers, got .* in row 2"),
        ("\xff\xfev", "a text in UTF-16 holds bytes that are no characters"),
        (VERTICES + "f 1 2 x\n", "a number is expected, got 'x'"),
        (VERTICES + "f 1 2 2.5\n", "indices of vertices must be whole numbers, got 2.5"),
        (VERTICES + "f 1 2 99999999999999999999\n", "must be whole numbers"),
        (VERTICES.replace("1 1 0", "1 nan 0") + "f 1 2 3\n", "in row 2"),
        (VERTICES.replace("1 1 0", "1 one 0") + "f 1 2 3\n", "a number is expected, got 'one'"),
    ],
)
def test_what_is_refused_and_why(read, text, rule):
    with pytest.raises(FormatError, match=rule):
        read(text)


def test_triangles_know_the_polygon_that_they_came_from(read):
    assert read(VERTICES + "f 1 2 3 4\nf 1 2 3\nf 4 3 2 1\n").polygons.tolist() == [0, 0, 1, 2, 2]
    assert read(VERTICES + "f 1 2 3\nf 1 3 4\n").polygons is None


def test_edges_among_the_faces_are_counted_as_polygons(read):
    assert read(VERTICES + "f 1 2\nf 1 2 3\nf 1 2 3 4\n").polygons.tolist() == [1, 2, 2]


def test_vertices_alone_are_a_cloud(read):
    cloud = read(VERTICES + "v nan nan nan\nl 1 2\n")
    assert isinstance(cloud, PointCloud)
    assert cloud.points.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert cloud.there.tolist() == [True] * 4 + [False]


def test_a_vertex_without_a_place_that_no_face_uses(read):
    mesh = read("v nan 0 0\n" + VERTICES + "f 2 3 4\nf -4 -2 -1\n")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.there.tolist() == [False] + [True] * 4


@pytest.mark.parametrize("faces", ["f 1 2 3\n", ""])
def test_colours_of_some_vertices_alone_are_left_out_and_told(read, faces):
    shape = read(VERTICES.replace("v 1 1 0", "v 1 1 0 1 0 0") + faces)
    assert (shape.partial, dict(shape.vertex_fields if faces else shape.fields)) == (("color",), {})
    for text in (VERTICES, VERTICES.replace(" 0\n", " 0 1 0 0\n"), VERTICES.replace("v 1 1 0", "v 1 1 0 0.5")):
        assert read(text + faces).partial == ()


def test_a_colour_with_and_without_a_share_that_is_seen(read):
    mesh = read("v 0 0 0 255 0 9\nv 1 0 0 1 2 3 255\nv 1 1 0 4 5 6\nf 1 2 3\n")
    assert [mesh.vertex_fields[name].tolist() for name in ("red", "green", "blue")] == [
        [255, 1, 4],
        [0, 2, 5],
        [9, 3, 6],
    ]
    assert mesh.partial == ()


@pytest.mark.parametrize(("more", "kind"), [("0.5 0 1", "float32"), ("255 128 0", "uint8"), ("1 0 0 1", "float32")])
@pytest.mark.parametrize("faces", ["f 1 2 3\n", ""])
def test_colours_of_vertices(read, more, kind, faces):
    shape = read(VERTICES.replace(" 0\n", f" 0 {more}\n") + faces)
    fields = shape.vertex_fields if faces else shape.fields
    assert list(fields) == ["red", "green", "blue"]
    for name, value in zip(fields, more.split(), strict=False):
        assert fields[name].tolist() == [float(value)] * 4
        assert fields[name].dtype == kind


def test_numbers_that_are_no_colours(read):
    assert read(VERTICES.replace(" 0\n", " 0 1 2 -3\n") + "f 1 2 3\n").vertex_fields == {}
    assert read(VERTICES.replace(" 0\n", " 0 1\n") + "f 1 2 3\n").vertex_fields == {}, "a weight"


def test_vertices_keep_their_order_and_are_not_merged(read):
    mesh = read("v 5 5 5\nv 0 0 0\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 2 4 5\nf 3 4 5\n")
    assert mesh.vertices.tolist() == [[5, 5, 5], [0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[1, 3, 4], [2, 3, 4]]


def test_survey_coordinates(read):
    mesh = read(
        "v 665187.521 5648349.895 241.767\nv 665187.522 5648349.895 241.767\nv 665187.521 5648349.9 242\nf 1 2 3\n"
    )
    assert np.diff(mesh.placement.restore(mesh.vertices)[:2, 0]) == pytest.approx(0.001, abs=1e-6)


def test_trimesh_reads_what_we_write(tmp_path):
    path = tmp_path / "mesh.obj"
    shape = zoo.MESHES["nine digits"]
    formats.write(path, shape)
    judge = trimesh.load(io.BytesIO(path.read_bytes()), file_type="obj", process=False)
    np.testing.assert_array_equal(judge.vertices.astype(np.float32), shape.vertices)
    np.testing.assert_array_equal(judge.faces, shape.faces)


def test_we_read_what_trimesh_writes(tmp_path):
    path = tmp_path / "mesh.obj"
    judge = trimesh.creation.icosphere(2)
    judge.export(path, digits=12)
    mesh = formats.read(path)
    np.testing.assert_allclose(mesh.vertices, judge.vertices, atol=1e-7)
    np.testing.assert_array_equal(mesh.faces, judge.faces)
