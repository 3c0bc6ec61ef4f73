"""PLY in text and in both byte orders, with plyfile as the judge."""

import io
import os
import pathlib
import struct

import numpy as np
import plyfile
import pytest

from pointkit import formats
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError
from pointkit.formats import ply
from tests import zoo

VERTEX = np.array([(0, 0, 0, 7), (1, 0, 0, 8), (1, 1, 0, 9), (0, 1, 0, 10)],
                  [("x", "f4"), ("y", "f4"), ("z", "f4"), ("label", "u1")])  # fmt: skip
STORAGE = [("text", "<"), ("binary", "<"), ("binary", ">")]


def made(elements, storage):
    """A PLY file as plyfile writes it."""
    stream = io.BytesIO()
    plyfile.PlyData(elements, text=storage[0] == "text", byte_order=storage[1]).write(stream)
    return stream.getvalue()


def lists(rows, kind="i4"):
    column = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        column[i] = np.array(row, kind)
    return column


def faces(rows, **properties):
    kinds = [("vertex_indices", object), *((name, np.asarray(value).dtype) for name, value in properties.items())]
    array = np.empty(len(rows), kinds)
    array["vertex_indices"] = lists(rows)
    for name, value in properties.items():
        array[name] = value
    return plyfile.PlyElement.describe(array, "face", val_types={"texcoord": "f4"})


def vertices(array=VERTEX):
    return plyfile.PlyElement.describe(array, "vertex")


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "shape.ply"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return formats.read(path)

    return read_bytes


@pytest.mark.parametrize("storage", STORAGE)
class TestAllStorages:
    def test_cloud_with_fields_in_their_types_and_labels(self, read, storage):
        kinds = ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]
        array = np.zeros(3, [("x", "f4"), *((kind, kind) for kind in kinds), ("y", "f4"), ("z", "f4"), ("label", "i2")])
        for name in array.dtype.names:
            array[name] = [1, 2, 3]
        array["u4"][0], array["i1"][1], array["label"][2], array["f8"][0] = 2**32 - 1, -128, -1, 0.1
        cloud = read(made([vertices(array)], storage))
        assert isinstance(cloud, PointCloud)
        assert list(cloud.fields) == [*kinds, "label"]
        for name in (*kinds, "label"):
            assert cloud.fields[name].dtype == array[name].dtype
            np.testing.assert_array_equal(cloud.fields[name], array[name])
        assert cloud.labels.tolist() == [1, 2, -1]
        assert cloud.points.tolist() == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]

    def test_triangles_with_face_fields(self, read, storage):
        mesh = read(made([vertices(), faces([[0, 1, 2], [0, 2, 3]], part=np.array([5, 6], "u1"))], storage))
        assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
        assert mesh.face_fields["part"].tolist() == [5, 6]
        assert mesh.face_fields["part"].dtype == "u1"

    def test_polygons_repeat_their_fields(self, read, storage):
        rows = [[0, 1, 2, 3], [0, 1, 2], [3, 2], [1, 2, 3, 0]]
        mesh = read(made([vertices(), faces(rows, part=np.arange(4, dtype="u1"))], storage))
        assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [1, 2, 3], [1, 3, 0]]
        assert mesh.face_fields["part"].tolist() == [0, 0, 1, 3, 3]

    def test_polygons_of_one_length(self, read, storage):
        mesh = read(made([vertices(), faces([[0, 1, 2, 3]] * 300, part=np.arange(300).astype("u1"))], storage))
        assert len(mesh.faces) == 600
        assert mesh.face_fields["part"].tolist() == np.repeat(np.arange(300) % 256, 2).tolist()

    def test_a_polygon_of_256_corners(self, read, storage):
        array = np.zeros(256, [("x", "f4"), ("y", "f4"), ("z", "f4")])
        element = faces([range(256)])
        element = plyfile.PlyElement.describe(element.data, "face", len_types={"vertex_indices": "u2"})
        assert len(read(made([vertices(array), element], storage)).faces) == 254

    def test_a_number_and_another_list_before_the_corners(self, read, storage):
        array = np.empty(2, [("flags", "u1"), ("texcoord", object), ("vertex_index", object)])
        array["flags"] = [1, 2]
        array["texcoord"] = lists([[0.5] * 6, [0.25] * 6], "f4")
        array["vertex_index"] = lists([[0, 1, 2], [0, 2, 3]])
        mesh = read(
            made([vertices(), plyfile.PlyElement.describe(array, "face", val_types={"texcoord": "f4"})], storage)
        )
        assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
        assert mesh.face_fields["flags"].tolist() == [1, 2]
        assert mesh.face_fields["texcoord"].tolist() == [[0.5] * 6, [0.25] * 6]

    def test_lists_of_differing_length_are_left_out(self, read, storage):
        array = np.empty(2, [("vertex_indices", object), ("texcoord", object)])
        array["vertex_indices"] = lists([[0, 1, 2], [0, 2, 3]])
        array["texcoord"] = lists([[], [0.25] * 6], "f4")
        mesh = read(
            made([vertices(), plyfile.PlyElement.describe(array, "face", val_types={"texcoord": "f4"})], storage)
        )
        assert mesh.face_fields == {}

    def test_other_elements_are_passed_by(self, read, storage):
        camera = plyfile.PlyElement.describe(np.ones(2, [("focus", "f8")]), "camera")
        mesh = read(made([camera, faces([[0, 1, 2]]), vertices()], storage))
        assert mesh.faces.tolist() == [[0, 1, 2]]

    def test_no_faces_is_a_cloud(self, read, storage):
        cloud = read(made([vertices(), faces([])], storage))
        assert isinstance(cloud, PointCloud)
        assert cloud.labels.tolist() == [7, 8, 9, 10]

    def test_survey_coordinates(self, read, storage):
        array = np.zeros(2, [("x", "f8"), ("y", "f8"), ("z", "f8")])
        array["x"], array["y"], array["z"] = [665187.521, 665187.522], [5648349.895, 5648349.896], [241.767, 241.768]
        cloud = read(made([vertices(array)], storage))
        restored = cloud.placement.restore(cloud.points)
        np.testing.assert_allclose(restored, np.stack([array[axis] for axis in "xyz"], 1), rtol=0, atol=1e-7)

    def test_cut_and_longer_files_are_refused(self, read, storage):
        data = made([vertices(), faces([[0, 1, 2, 3], [0, 1, 2]])], storage)
        assert len(read(data).faces) == 3
        for length in range(len(data) - (2 if storage[0] == "text" else 1)):
            with pytest.raises(FormatError):
                read(data[:length])
        with pytest.raises(FormatError, match=r"promises .* got|lines more"):
            read(data + b"3 0 1 2\n")

    def test_an_index_beyond_the_vertices(self, read, storage):
        with pytest.raises(FormatError, match="must index the 4 vertices, got 4"):
            read(made([vertices(), faces([[0, 1, 4]])], storage))

    def test_a_coordinate_that_is_no_number(self, read, storage):
        array = VERTEX.copy()
        array["y"][2] = np.nan
        cloud = read(made([vertices(array)], storage))
        assert cloud.there.tolist() == [row != 2 for row in range(len(array))]
        assert cloud.points[:, 1].tolist() == np.delete(array["y"], 2).tolist()
        mesh = read(made([vertices(array), faces([[0, 1, 3]])], storage))
        assert mesh.faces.tolist() == [[0, 1, 2]], "a vertex that no face uses is left out"
        assert mesh.vertex_fields["label"].tolist() == [7, 8, 10]
        with pytest.raises(FormatError, match=r"faces must be finite numbers, got \[1.0, nan, 0.0\] in row 2"):
            read(made([vertices(array), faces([[0, 1, 2]])], storage))

    def test_an_infinite_coordinate(self, read, storage):
        array = VERTEX.copy()
        array["y"][2] = np.inf
        for elements in ([vertices(array)], [vertices(array), faces([[0, 1, 3]])]):
            with pytest.raises(FormatError, match=r"must be finite float32 numbers, got \[1.0, inf, 0.0\] in row 2"):
                read(made(elements, storage))

    def test_strips_of_triangles(self, read, storage):
        strips = plyfile.PlyElement.describe(
            np.array([([0, 1, 2, 3, -1, 3, 2, 0, -1, 1],), ([],), ([1, 2, 2, 3, 0],)], [("vertex_indices", object)]),
            "tristrips",
            len_types={"vertex_indices": "i4"},
            val_types={"vertex_indices": "i4"},
        )
        mesh = read(made([vertices(), strips], storage))
        assert mesh.faces.tolist() == [[0, 1, 2], [2, 1, 3], [3, 2, 0], [2, 3, 0]]
        assert mesh.vertex_fields["label"].tolist() == [7, 8, 9, 10]
        target = io.BytesIO(
            b"".join(ply.annotate(made([vertices(), strips], storage), {"part": np.arange(4)}, ["by us"]))
        )
        again = plyfile.PlyData.read(target)
        assert np.stack(again["face"]["vertex_indices"]).tolist() == mesh.faces.tolist()
        assert again["face"]["part"].tolist() == [0, 1, 2, 3]
        assert again["vertex"]["label"].tolist() == [7, 8, 9, 10]

    def test_lists_of_all_lengths_in_many_rows(self, read, storage):
        rng = np.random.default_rng(3)
        sizes = rng.integers(0, 7, 500)
        array = np.empty(500, [("flag", "u1"), ("texcoord", object), ("vertex_indices", object), ("part", "i2")])
        array["flag"], array["part"] = rng.integers(0, 99, (2, 500))
        array["texcoord"] = lists([rng.random(n) for n in rng.integers(0, 3, 500)], "f4")
        array["vertex_indices"] = lists([rng.integers(0, 4, n) for n in sizes])
        element = plyfile.PlyElement.describe(array, "face", val_types={"texcoord": "f4"})
        if storage == ("binary", ">"):  # plyfile 1.1 writes numbers beside lists in the machine's own order
            array["part"] = array["part"].byteswap()
        mesh = read(made([vertices(), element], storage))
        rows = np.repeat(np.arange(500), np.maximum(sizes - 2, 0))
        assert mesh.polygons.tolist() == rows.tolist()
        wanted = array["part"].byteswap() if storage == ("binary", ">") else array["part"]
        np.testing.assert_array_equal(mesh.face_fields["part"], wanted[rows])
        for polygon, corners in enumerate(array["vertex_indices"]):
            assert set(mesh.faces[rows == polygon].flat) <= set(corners.tolist())


def test_numbers_beside_lists_in_big_endian(read):
    """By hand: plyfile 1.1 writes such numbers in the machine's own order."""
    head = (
        "ply\nformat binary_big_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty double z\n"
        "element face 2\nproperty int part\nproperty list ushort int vertex_indices\nproperty short tail\nend_header\n"
    )
    points = b"".join(struct.pack(">ffd", i, i * i, 1) for i in range(3))
    for counts in ((3, 3), (3, 4)):
        rows = [struct.pack(f">iH{n}ih", 1000 + n, n, *([0, 1, 2, 0][:n]), -n) for n in counts]
        mesh = read(head.encode() + points + b"".join(rows))
        assert mesh.vertices.tolist() == [[0, 0, 1], [1, 1, 1], [2, 4, 1]]
        assert mesh.face_fields["part"].tolist() == [1003, 1003] if counts == (3, 3) else [1003, 1004, 1004]
        assert mesh.face_fields["tail"].tolist()[-1] == -counts[1]


HEAD = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"


def test_text_keeps_more_digits_than_its_type(read):
    cloud = read(HEAD + "end_header\n665187.521 5648349.895 241.767\n665187.522 5648349.895 241.767\n")
    assert np.diff(cloud.placement.restore(cloud.points)[:, 0]) == pytest.approx(0.001, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    {
        "Windows": (HEAD + "end_header\n0 0 0\n1 2 3\n").replace("\n", "\r\n"),
        "blank lines": HEAD + "end_header\n\n0 0 0\n \n1 2 3\n\n",
        "comments": HEAD.replace("element", "comment  a b\nobj_info x\nelement") + "comment\nend_header\n0 0 0\n1 2 3",
        "a long header line": HEAD + "comment " + "x" * 5000 + "\nend_header\n0 0 0\n1 2 3\n",
        "sized names": HEAD.replace("float x", "int16 x").replace("float", "float64") + "end_header\n0 0 0\n1 2 3\n",
        "old Macintosh": (HEAD + "end_header\n0 0 0\n1 2 3\n").replace("\n", "\r"),
        "a mark of UTF-8": "\ufeff" + HEAD + "end_header\n0 0 0\n1 2 3\n",
        "capital axes": HEAD.replace("float x", "float X").replace("float z", "float Z") + "end_header\n0 0 0\n1 2 3\n",
        "a truth value": HEAD + "property bool seen\nend_header\n0 0 0 1\n1 2 3 0\n",
        "whole coordinates": HEAD.replace("float", "int") + "end_header\n0 0 0\n1 2 3\n",
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_the_header_however_it_is_written(read, text):
    assert read(text[1]).points.tolist() == [[0, 0, 0], [1, 2, 3]]


@pytest.mark.parametrize("ending", ["\r", "\r\n", "\n"])
def test_bytes_behind_a_header_of_any_line_ends(read, ending):
    head = (HEAD.replace("ascii", "binary_little_endian") + "end_header\n").replace("\n", ending).encode()
    points = np.frombuffer(b"\n\r\n\0" * 6, "<f4").reshape(2, 3)  # line ends where the bytes begin
    assert read(head + points.tobytes()).points.tolist() == points.tolist()
    again = b"".join(ply.annotate(head + points.tobytes(), {"label": np.int32([4, 5])}, ["by us"]))
    assert read(again).points.tolist() == points.tolist()
    assert read(again).labels.tolist() == [4, 5]
    assert again.startswith(head.split(b"element")[0])
    assert f"comment by us{ending}element".encode() in again


def test_utf_16_is_named(read):
    with pytest.raises(FormatError, match="its text is UTF-16, save it as UTF-8"):
        read((HEAD + "end_header\n0 0 0\n1 2 3\n").encode("utf-16"))


FACE_HEAD = HEAD + "element face 1\nproperty list uchar int vertex_indices\n"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("plyx\n", "a header from ply to end_header"),
        (HEAD, "a header from ply to end_header"),
        (HEAD.replace("ascii", "utf8") + "end_header\n", "not understood: 'format utf8 1.0'"),
        (HEAD.replace("1.0", "2.0") + "end_header\n", "not understood: 'format ascii 2.0'"),
        (HEAD.replace("format ascii 1.0\n", "") + "end_header\n", "must name the format"),
        (HEAD.replace("float x", "real x") + "end_header\n", "not understood: 'property real x'"),
        (HEAD.replace("vertex 2", "vertex -2") + "end_header\n", "not understood: 'element vertex -2'"),
        (HEAD.replace("vertex 2", "vertex 0") + "end_header\n", "no vertices"),
        (HEAD.replace("float y", "float x") + "end_header\n", "none twice"),
        (HEAD.replace("float y", "float w") + "end_header\n0 0 0\n1 2 3\n", "which columns are x, y and z"),
        (HEAD.replace("property float x", "property list uchar float x") + "end_header\n0\n0\n", "x, y and z"),
        (HEAD.replace("element vertex", "element point") + "end_header\n", "elements must be a vertex"),
        (HEAD + "element vertex 1\nproperty int a\nend_header\n", "none twice"),
        (HEAD + "element empty 3\nend_header\n0 0 0\n1 2 3\n", "properties of empty must be there"),
        (HEAD.replace("vertex 2", "vertex 99999999999") + "end_header\n0 0 0\n", "which need 599999999994 bytes"),
        (HEAD + "end_header\n0 0 0\n", "which need 12 bytes or more, got 6"),
        (HEAD + "end_header\n0 0 0.0000000\n", "promises 2 vertex, got 1 lines"),
        (HEAD + "end_header\n0 0 0\n1 2 3\n4 5 6\n", "1 lines more"),
        (HEAD + "end_header\n0 0 0\n1 2000\n", "vertex 1 ends early"),
        (HEAD + "end_header\n0 0 0\n1 2 3 4\n", "vertex 1 has more numbers than properties"),
        (HEAD + "property uchar red\nend_header\n0 0 0 1\n0 0 0 256\n", "red must fit uint8, got 1 to 256"),
        (HEAD + "property uchar red\nend_header\n0 0 0 1\n0 0 0 1.5\n", "red must be whole numbers, got 1.5"),
        (FACE_HEAD + "end_header\n0 0 0\n1 2 3\n4 0 1 0\n", "list of another length"),
        (FACE_HEAD + "end_header\n0 0 0\n1 2 3\n-1 0 1 0\n", "list of another length"),
        (FACE_HEAD + "end_header\n0 0 0\n1 2 3\n2 0 1 0\n", "face 0 has more numbers"),
        (FACE_HEAD + "end_header\n0 0 0\n1 2 3\n3 0 1 -1\n", "must index the 2 vertices, got -1"),
        (FACE_HEAD.replace("vertex_i", "i") + "end_header\n0 0 0\n1 2 3\n3 0 1 0\n", "must have a list vertex_ind"),
        (FACE_HEAD.replace("uchar int", "float int") + "end_header\n0 0 0\n1 2 3\n3 0 1 0\n", "must be a whole number"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(read, text, rule):
    with pytest.raises(FormatError, match=rule):
        read(text)


@pytest.mark.parametrize("count", [2**31 - 1, -1])
def test_the_length_of_a_list_is_not_believed(read, count):
    head = FACE_HEAD.replace("ascii", "binary_little_endian").replace("uchar int", "int int")
    body = np.zeros(6, "<f4").tobytes() + np.array([count, 0, 1, 0], "<i4").tobytes()
    with pytest.raises(FormatError, match=f"a list of face 0 must fit the file, got {count}"):
        read((head + "end_header\n").encode() + body)


@pytest.mark.parametrize(
    "shape", [zoo.CLOUDS["fields"], zoo.CLOUDS["labels"], zoo.MESHES["face fields"], zoo.CLOUDS["UTM"]]
)
def test_plyfile_reads_what_we_write(tmp_path, shape):
    path = tmp_path / "shape.ply"
    formats.write(path, shape)
    data = plyfile.PlyData.read(path)
    points = np.stack([data["vertex"][axis] for axis in "xyz"], 1)
    wanted = shape.vertices if isinstance(shape, Mesh) else shape.points
    np.testing.assert_allclose(points, shape.placement.restore(wanted), rtol=0, atol=1e-9)
    if isinstance(shape, Mesh):
        np.testing.assert_array_equal(np.stack(data["face"]["vertex_indices"]), shape.faces)
        np.testing.assert_array_equal(data["face"]["weight"], shape.face_fields["weight"])
    else:
        for name, array in shape.fields.items():
            np.testing.assert_array_equal(np.stack(data["vertex"][name]).reshape(array.shape), array)


def test_a_long_that_no_type_of_ply_holds(tmp_path):
    cloud = PointCloud(np.zeros((1, 3), np.float32), {"time": np.array([2**40])})
    with pytest.raises(FormatError, match="the field time of the type int64 has no type"):
        formats.write(tmp_path / "cloud.ply", cloud)


def test_a_field_of_300_numbers_a_point(tmp_path):
    cloud = PointCloud(np.zeros((2, 3), np.float32), {"code": np.arange(600, dtype=np.float32).reshape(2, 300)})
    zoo.assert_same(zoo.round_trip(tmp_path / "cloud.ply", cloud), cloud, ".ply")


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="the folder of real files is not named by POINTKIT_DATA")
@pytest.mark.parametrize("name", ["bunny", "fuze", "suzanne", "points_emptyface"])
def test_real_files_as_plyfile_reads_them(name):
    path = pathlib.Path(os.environ["POINTKIT_DATA"], "scans", "files", f"{name}.ply")
    shape, judge = formats.read(path), plyfile.PlyData.read(path)
    points = np.stack([judge["vertex"][axis] for axis in "xyz"], 1)
    np.testing.assert_array_equal(shape.vertices if isinstance(shape, Mesh) else shape.points, points)
    faces = judge["face"]["vertex_indices"]
    fans = [[face[0], face[i], face[i + 1]] for face in faces for i in range(1, len(face) - 1)]
    ours = shape.faces.tolist() if isinstance(shape, Mesh) else []
    assert len(ours) == len(fans)
    others = sum(one != other for one, other in zip(ours, fans, strict=True))
    assert others == (4 if name == "suzanne" else 0), "two of its quads are concave"
