"""OFF: each oddity that other readers stumbled over, worked by hand."""

import os
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit import formats
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError
from tests import zoo

VERTICES = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
FACES = "3 0 1 2\n3 0 2 3\n"
SQUARE = VERTICES + FACES


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "mesh.off"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return formats.read(path)

    return read_text


@pytest.mark.parametrize(
    "text",
    {
        "as it should be": f"OFF\n4 2 5\n{SQUARE}",
        "glued": f"OFF4 2 0\n{SQUARE}",
        "counts on the line of OFF": f"OFF 4 2 0\n{SQUARE}",
        "no count of edges": f"OFF\n4 2\n{SQUARE}",
        "no keyword": f"4 2 0\n{SQUARE}",
        "small letters": f"off\n4 2 0\n{SQUARE}",
        "blank line after OFF": f"OFF\n\n4 2 0\n{SQUARE}",
        "blank lines before": f"\n \nOFF\n4 2 0\n{SQUARE}",
        "blank lines inside": "OFF\n4 2 0\n\n0 0 0\n\n \n1 0 0\n1 1 0\n0 1 0\n\n3 0 1 2\n\t\n3 0 2 3\n\n\n",
        "comments": "# a\nOFF # b\n#\n4 2 0 # c\n# d\n0 0 0\n1 0 0 # e\n1 1 0\n0 1 0\n#f\n3 0 1 2 # g\n3 0 2 3\n# h",
        "a comment behind the glued counts": f"OFF4 2 0# four\n{SQUARE}",
        "Windows": f"OFF\n4 2 0\n{SQUARE}".replace("\n", "\r\n"),
        "old Macintosh": f"OFF\n4 2 0\n{SQUARE}".replace("\n", "\r"),
        "tabs and blanks": f"OFF \n 4\t2  0 \n{SQUARE}".replace(" ", "  \t").replace("\n", " \n "),
        "no newline at the end": f"OFF\n4 2 0\n{SQUARE}".rstrip(),
        "floats with exponents": "OFF\n4 2 0\n0e0 0 -0\n1E+00 0 0\n.1e1 1. 0\n0 100e-2 0\n" + FACES,
        "indices written as floats": "OFF\n4 2 0\n" + VERTICES + "3 0.0 1.0 2.0\n3 0 2 3\n",
        "a mark of UTF-8": b"\xef\xbb\xbf" + f"OFF\n4 2 0\n{SQUARE}".encode(),
        "UTF-16": f"OFF\n4 2 0\n{SQUARE}".encode("utf-16"),
        "faces over several lines": f"OFF\n4 2 0\n{VERTICES}3 0\n1 2\n3\n0 2 3\n",
        "quad": f"OFF\n4 1 0\n{VERTICES}4 0 1 2 3\n",
        "COFF": "COFF\n4 2 0\n" + VERTICES.replace("\n", " 255 0 0 255\n") + FACES,
        "NOFF": "NOFF\n4 2 0\n" + VERTICES.replace("\n", " 0 0 1\n") + FACES,
        "CNOFF": "CNOFF\n4 2 0\n" + VERTICES.replace("\n", " 0 0 1 1 0 0 1\n") + FACES,
        "STOFF": "STOFF\n4 2 0\n" + VERTICES.replace("\n", " 0.5 0.5\n") + FACES,
        "STCNOFF": "STCNOFF\n4 2 0\n" + VERTICES.replace("\n", " 0 0 1 1 0 0 1 0.5 0.5\n") + FACES,
        "colours without COFF": "OFF\n4 2 0\n" + VERTICES.replace("\n", " 255 0 0\n") + FACES,
        "one colour index a face": f"OFF\n4 2 0\n{VERTICES}3 0 1 2 7\n3 0 2 3 7\n",
        "colours on some faces": f"OFF\n4 2 0\n{VERTICES}3 0 1 2\n3 0 2 3 255 0 0\n",
        "colours of all lengths": f"OFF\n4 2 0\n{VERTICES}3 0 1 2 9\n3 0 2 3 1 0 0 0.5\n",
        "an edge and a point among the faces": f"OFF\n4 4 0\n{VERTICES}3 0 1 2\n2 0 1\n3 0 2 3\n1 0\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_the_square_however_it_is_written(read, text):
    mesh = read(text[1])
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.face_fields == {}
    assert (mesh.vertices.dtype, mesh.faces.dtype) == ("float32", "int32")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("OFF\n0 0 0\n", "no vertices"),
        ("OFF0 0 0\n", "no vertices"),
        ("OFF\n", "the header must count"),
        ("OFF\n4\n", "the header must count"),
        ("OFF BINARY\n4 2 0\n", "the header must count"),
        ("OFF\n-4 2 0\n" + SQUARE, "the header must count"),
        ("OFF\n4.0 2 0\n" + SQUARE, "the header must count"),
        ("4OFF\n4 2 0\n" + SQUARE, "begins with OFF or its counts, got '4OFF"),
        ("nOFF\n3\n4 2 0\n" + SQUARE, "begins with OFF"),
        ("OFFICE\n4 2 0\n" + SQUARE, "begins with OFF"),
        ("ply\nformat", "begins with OFF or its counts, got 'ply"),
        ("OFF\n1000000000 2 0\n" + SQUARE, "promises 1000000000 vertices and 2 faces, which need 60000000"),
        ("OFF\n4 999999999999999999 0\n" + SQUARE, "which need"),
        ("OFF\n5 1 0\n" + SQUARE, "got 4 in row 4"),
        ("OFF\n3 3 0\n" + SQUARE, "face 0 must have 0 indices, got a line of 3 numbers"),
        ("OFF\n4 1 0\n" + SQUARE, "promises 1 faces, got 2 lines"),
        ("OFF\n4 3 0\n" + SQUARE, "promises 3 faces, got 2 lines"),
        ("OFF\n6 0 0\n" + SQUARE, "got 4 in row 4"),
        ("OFF\n4 2 0\n" + VERTICES + "3 0 1 2\n3 0 2 4\n", "must index the 4 vertices, got 4"),
        ("OFF\n4 2 0\n" + VERTICES + "3 0 1 2\n3 0 2 -1\n", "must index the 4 vertices, got -1"),
        ("OFF\n4 2 0\n" + VERTICES + "3 0 1 2\n3 0 2 4294967296\n", "must index the 4 vertices, got 4294967296"),
        ("OFF\n4 2 0\n" + VERTICES + "3 0 1 2\n3 0 2 1e300\n", "must be whole numbers"),
        ("OFF\n4 2 0\n" + VERTICES + "3 0 1 2\n3 0 2 nan\n", "must be whole numbers"),
        ("OFF\n4 2 0\n" + VERTICES + "3 0 1 2\n3 0 2 1.5\n", "must be whole numbers, got 1.5"),
        ("OFF\n4 2 0\n" + VERTICES + "3 0 1 2\n4 0 2 3\n", "face 1 must have 4 indices, got a line of 4 numbers"),
        ("OFF\n4 2 0\n" + VERTICES + "3 0 1 2\n0\n", "face 1 must have 0 indices"),
        ("OFF\n4 2 0\n0 0 0\n1 0\n1 1 0\n0 1 0\n" + FACES, "all as many, got 2 in row 1"),
        ("OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0 5\n0 1 0\n" + FACES, "all as many, got 4 in row 2"),
        (
            "OFF\n4 2 0\n0 0 0\n1 nan 0\n1 1 0\n0 1 0\n" + FACES,
            r"faces must be finite numbers, got \[1.0, nan, 0.0\] in row 1",
        ),
        ("OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1e39 0\n" + FACES, "in row 3"),
        ("OFF\n4 2 0\n0 0 0\n1 O 0\n1 1 0\n0 1 0\n" + FACES, "a number is expected, got 'O'"),
        ("OFF\n4 2 0\n0 0 0\n1 0\0 0\n1 1 0\n0 1 0\n" + FACES, "control bytes"),
    ],
)
def test_what_is_refused_and_why(read, tmp_path, text, rule):
    with pytest.raises(FormatError, match=rule) as caught:
        read(text)
    assert str(caught.value).startswith(f"{tmp_path / 'mesh.off'}: ")
    assert str(caught.value).isprintable()


def test_polygons_become_fans_with_their_colours(read):
    vertices = "".join(f"{x} {x * x} 0\n" for x in range(5))
    mesh = read(f"OFF\n5 3 0\n{vertices}5 0 1 2 3 4 255 0 9\n3 2 1 0 1 2 3\n4 4 3 2 1 255 0 128\n")
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 3, 4], [2, 1, 0], [4, 3, 2], [4, 2, 1]]
    assert mesh.polygons.tolist() == [0, 0, 0, 1, 2, 2]
    assert mesh.face_fields["color"].tolist() == [[255, 0, 9]] * 3 + [[1, 2, 3]] + [[255, 0, 128]] * 2
    assert mesh.face_fields["color"].dtype == "uint8"


def test_triangles_know_the_polygon_that_they_came_from(read):
    assert read(f"OFF\n4 3 0\n{VERTICES}2 0 1\n3 0 1 2\n4 0 1 2 3\n").polygons.tolist() == [1, 2, 2]
    for more in ("", " 9 9 9"):
        assert read(f"OFF\n4 2 0\n{VERTICES}3 0 1 2{more}\n3 0 2 3{more}\n").polygons is None


def test_colours_between_zero_and_one_stay_floats(read):
    mesh = read(f"OFF\n4 2 0\n{VERTICES}3 0 1 2 0.5 0.25 1\n3 0 2 3 0 0 0 0.5\n")
    assert mesh.face_fields["color"].tolist() == [[0.5, 0.25, 1], [0, 0, 0]]
    assert mesh.face_fields["color"].dtype == "float32"


def test_vertices_without_faces_are_a_cloud(read):
    cloud = read("COFF\n4 0 0\n" + VERTICES.replace("\n", " 255 0 9 255\n").replace("1 1 0", "1 nan 0"))
    assert isinstance(cloud, PointCloud)
    assert cloud.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert cloud.there.tolist() == [True, True, False, True]
    assert cloud.fields["blue"].tolist() == [9, 9, 9]


@pytest.mark.parametrize(
    ("word", "more", "wanted"),
    [
        ("COFF", "255 0 9 128", {"red": 255, "green": 0, "blue": 9}),
        ("COFF", "255 0 9", {"red": 255, "green": 0, "blue": 9}),
        ("COFF", "0.5 0 1 1", {"red": 0.5, "green": 0, "blue": 1}),
        ("COFF", "0.5 0 -1 1", {}),
        ("NOFF", "0 0 1", {"nx": 0, "ny": 0, "nz": 1}),
        ("CNOFF", "0 0 1 7 8 9 255", {"nx": 0, "ny": 0, "nz": 1, "red": 7, "green": 8, "blue": 9}),
        ("STCNOFF", "0 0 1 7 8 9 0.5 0.5", {"nx": 0, "ny": 0, "nz": 1, "red": 7, "green": 8, "blue": 9}),
        ("STOFF", "0.5 0.5", {}),
        ("STNOFF", "0.5 0.5", {}),
        ("OFF", "255 0 9", {}),
    ],
)
def test_colours_and_normals_of_vertices(read, word, more, wanted):
    mesh = read(f"{word}\n4 2 0\n" + VERTICES.replace("\n", f" {more}\n") + FACES)
    assert {name: array.tolist() for name, array in mesh.vertex_fields.items()} == {
        name: [value] * 4 for name, value in wanted.items()
    }


def test_faces_over_several_lines(read):
    mesh = read(f"OFF\n4 3 0\n{VERTICES}4 0\n1 2\n 3 255 0 9\n3 0 1 2 1 2 3\n3\n0 2 3 4 5 6\n")
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3]]
    assert mesh.face_fields["color"].tolist() == [[255, 0, 9]] * 2 + [[1, 2, 3], [4, 5, 6]]


def test_colours_of_some_faces_alone_are_left_out_and_told(read):
    for colors, partial in ((("255 0 9", ""), ("color",)), (("", ""), ()), (("7", "7"), ()), (("1 2 3", "4 5 6"), ())):
        mesh = read(f"OFF\n4 2 0\n{VERTICES}3 0 1 2 {colors[0]}\n3 0 2 3 {colors[1]}\n")
        assert mesh.partial == partial
        assert ("color" in mesh.face_fields) == (colors[1] == "4 5 6")


def test_a_vertex_without_a_place_that_no_face_uses(read):
    mesh = read("OFF\n5 2 0\nnan nan nan\n" + VERTICES + "3 1 2 3\n3 1 3 4\n")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.there.tolist() == [False] + [True] * 4


@pytest.mark.parametrize(("faces", "what"), [("0 0", "points"), ("1 0", "vertices")])
def test_an_infinite_vertex_is_named_by_its_row_in_the_file(read, faces, what):
    text = f"OFF\n5 {faces}\nnan nan nan\n" + VERTICES.replace("1 1 0", "1 inf 0") + "3 1 2 4\n" * int(faces[0])
    with pytest.raises(FormatError, match=rf"{what} must be finite float32 numbers, got \[1.0, inf, 0.0\] in row 3"):
        read(text)


def test_survey_coordinates_keep_their_millimetres(read):
    vertices = "665187.521 5648349.895 241.767\n665187.522 5648349.895 241.767\n665187.521 5648349.896 241.767\n"
    mesh = read(f"OFF\n3 1 0\n{vertices}3 0 1 2\n")
    restored = mesh.placement.restore(mesh.vertices)
    np.testing.assert_allclose(restored, np.loadtxt(vertices.split("\n")[:3]), rtol=0, atol=1e-7)
    assert mesh.placement.origin.tolist() == [665188, 5648350, 242]


@st.composite
def meshes(draw):
    count = draw(st.integers(1, 12))
    numbers = st.floats(-1e6, 1e6, width=32)
    vertices = draw(st.lists(st.tuples(numbers, numbers, numbers), min_size=count, max_size=count))
    index = st.integers(0, count - 1)
    faces = draw(st.lists(st.tuples(index, index, index), min_size=1, max_size=12))
    return Mesh(np.array(vertices, np.float32), np.array(faces, np.int32).reshape(-1, 3))


@given(meshes())
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(tmp_path_factory, mesh):
    path = tmp_path_factory.mktemp("off") / "mesh.off"
    again = zoo.round_trip(path, mesh)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    restored = again.placement.restore(again.vertices)
    spread = np.ptp(mesh.vertices.astype(np.float64), axis=0).max()
    np.testing.assert_allclose(restored, mesh.vertices, rtol=1e-12, atol=spread * 1e-7 + 1e-7)


def test_colours_are_written(tmp_path):
    mesh = zoo.MESHES["face fields"]
    again = zoo.round_trip(tmp_path / "mesh.off", mesh)
    np.testing.assert_array_equal(again.face_fields["color"], mesh.face_fields["color"])


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="the folder of real files is not named by POINTKIT_DATA")
class TestRealFiles:
    def test_the_untouched_meshes_as_float_reads_them(self):
        paths = sorted(pathlib.Path(os.environ["POINTKIT_DATA"], "off_sample").rglob("*.off"))
        assert len(paths) == 154
        for path in paths[::6]:
            mesh = formats.read(path)
            words = path.read_bytes().split()
            num_vertices, num_faces = int(words[1]), int(words[2])
            vertices = np.array([float(word) for word in words[4 : 4 + 3 * num_vertices]]).reshape(-1, 3)
            faces = np.array([int(word) for word in words[4 + 3 * num_vertices :]]).reshape(num_faces, 4)[:, 1:]
            np.testing.assert_array_equal(mesh.faces, faces)
            np.testing.assert_array_equal(mesh.vertices, (vertices - mesh.placement.origin).astype(np.float32))

    def test_the_empty_ones_among_the_coarse_meshes(self):
        paths = pathlib.Path(os.environ["POINTKIT_DATA"], "mn10_meshes").rglob("*.off")
        empty = [path for path in paths if path.stat().st_size < 20]
        assert len(empty) == 8
        for path in empty:
            with pytest.raises(FormatError, match="no vertices"):
                formats.read(path)
