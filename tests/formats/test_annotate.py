"""Fields added to files: everything else stays bit for bit, as a plain twin finds that takes them out again."""

import io
import os
import pathlib
import re
import struct
import zipfile

import numpy as np
import plyfile
import pytest
import trimesh

from pointkit import formats
from pointkit.cloud import Mesh
from pointkit.errors import FormatError
from pointkit.formats import columns, ply
from tests import zoo
from tests.annotated import stripped
from tests.formats.test_pcd import body as pcd_body
from tests.formats.test_pcd import columns_of, encoded
from tests.formats.test_pcd import header as pcd_header
from tests.formats.test_ply import STORAGE, faces, lists, made, vertices

NOTES = ["label 0 is top", "label 1 is a leg, the left"]


def ours_for(shape, **more):
    count = len(shape.faces) if isinstance(shape, Mesh) else len(shape.points)
    rng = np.random.default_rng(count)
    label = rng.integers(-1, 9, count).astype(np.int32)
    if isinstance(shape, Mesh) and shape.polygons is not None:
        label = label[np.unique(shape.polygons, return_index=True)[1]][
            np.unique(shape.polygons, return_inverse=True)[1]
        ]
    chance = (label + 2) / np.float32(7)
    return {"label": label, "probability": chance.astype(np.float32), "critical": (label % 3).astype(np.uint8)} | more


def fields_of(shape):
    return shape.face_fields if isinstance(shape, Mesh) else shape.fields


def assert_fields(got, wanted):
    assert got.dtype == wanted.dtype
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(wanted).tobytes()


def annotated(source, suffix, ours=None, notes=NOTES, named=True, typed=True):
    """The bytes of an annotated file, once it is found to hold the source's own and ours, and nothing else.

    ``named``: whether the format keeps names; ``typed``: whether it keeps types.
    """
    target = source.with_name(f"target{suffix}")
    before = formats.read(source)
    ours = ours_for(before) if ours is None else ours
    formats.annotate(source, target, ours, notes)
    after = formats.read(target)
    assert type(after) is type(before)
    zoo_points = (x.vertices if isinstance(x, Mesh) else x.points for x in (after, before))
    np.testing.assert_array_equal(*zoo_points)
    assert after.placement.origin.tolist() == before.placement.origin.tolist()
    if isinstance(after, Mesh):
        np.testing.assert_array_equal(after.faces, before.faces)
    theirs = list(fields_of(before))
    new = [f"source_{name}" if name in ours else name for name in theirs]
    if named:
        assert list(fields_of(after))[: len(theirs)] == new
        for old, name in zip(theirs, new, strict=True):
            if typed or name == old:
                assert_fields(fields_of(after)[name], fields_of(before)[old])
            np.testing.assert_array_equal(fields_of(after)[name], fields_of(before)[old])
        for name, array in ours.items():
            got = fields_of(after)[name]
            assert not typed or got.dtype == array.dtype
            np.testing.assert_array_equal(got.reshape(array.shape).astype(array.dtype), array)
    else:
        more = list(fields_of(after).values())[len(theirs) :]
        for got, array in zip(more, ours.values(), strict=True):
            np.testing.assert_array_equal(got.astype(array.dtype), array)
    return target.read_bytes()


@pytest.fixture
def file(tmp_path):
    def write(data, suffix):
        path = tmp_path / f"source{suffix}"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


class TestZoo:
    @pytest.mark.parametrize("name", zoo.CLOUDS)
    @pytest.mark.parametrize("suffix", [".ply", ".pcd"])
    def test_clouds_in_bytes(self, tmp_path, suffix, name):
        source = tmp_path / f"source{suffix}"
        formats.write(source, zoo.CLOUDS[name])
        shape = formats.read(source)
        code = np.arange(3 * len(shape.points)).reshape(-1, 3).astype("f8")
        data = annotated(source, suffix, ours_for(shape, code=code))
        assert stripped(data, suffix, ours_for(shape, code=code), NOTES) == source.read_bytes()
        assert all(note.encode() in data for note in NOTES)

    @pytest.mark.parametrize("name", zoo.CLOUDS)
    @pytest.mark.parametrize("suffix", [".xyz", ".txt", ".asc", ".pts"])
    def test_clouds_in_text(self, tmp_path, suffix, name):
        source = tmp_path / f"source{suffix}"
        formats.write(source, zoo.CLOUDS[name])
        shape = formats.read(source)
        bare = suffix == ".pts" and not shape.fields
        ours = ours_for(shape)
        data = annotated(source, suffix, ours, named=not bare, typed=False)
        title = [] if shape.fields else [" ".join(["x", "y", "z", *ours])]
        assert stripped(data, suffix, ours, NOTES + title) == source.read_bytes()
        assert all((note.encode() in data) != bare for note in NOTES)

    @pytest.mark.parametrize("name", zoo.CLOUDS)
    def test_clouds_in_arrays(self, tmp_path, name):
        source = tmp_path / "source.npy"
        formats.write(source, zoo.CLOUDS[name])
        ours = ours_for(formats.read(source))
        data = annotated(source, ".npy", ours, named=False)
        assert stripped(data, ".npy", ours) == source.read_bytes()

    @pytest.mark.parametrize("name", [name for name in zoo.MESHES if len(zoo.MESHES[name].faces)])
    def test_meshes(self, tmp_path, name):
        source = tmp_path / "source.ply"
        formats.write(source, zoo.MESHES[name])
        data = annotated(source, ".ply")
        assert stripped(data, ".ply", ours_for(zoo.MESHES[name]), NOTES) == source.read_bytes()

    @pytest.mark.parametrize("name", [name for name in zoo.MESHES if len(zoo.MESHES[name].faces)])
    @pytest.mark.parametrize("suffix", [".off", ".obj", ".stl"])
    def test_meshes_without_room_become_ply(self, tmp_path, suffix, name):
        assert formats.ANNOTATED[suffix] == ".ply"
        source, target, plain = (tmp_path / each for each in (f"source{suffix}", "target.ply", "plain.ply"))
        formats.write(source, zoo.MESHES[name])
        shape = formats.read(source)
        formats.annotate(source, target, ours_for(shape), NOTES)
        formats.write(plain, shape)
        assert stripped(target.read_bytes(), ".ply", ours_for(shape), NOTES) == plain.read_bytes()
        np.testing.assert_array_equal(formats.read(target).face_fields["label"], ours_for(shape)["label"])


CORNERS = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
AS_VERTICES = {
    ".obj": "".join(f"v {line} 255 0 9\n" for line in CORNERS.replace("1 1 0", "nan nan nan").splitlines()),
    ".off": "COFF\n4 0 0\n" + CORNERS.replace("1 1 0", "nan nan nan").replace("\n", " 255 0 9 255\n"),
}


@pytest.mark.parametrize("suffix", AS_VERTICES)
def test_clouds_in_mesh_formats_become_ply_with_every_row(file, suffix):
    source = file(AS_VERTICES[suffix], suffix)
    cloud = formats.read(source)
    assert cloud.left_out == 1
    target = source.with_name("target.ply")
    ours = {"label": np.int32([5, 6, 7]), "probability": np.float32([0.5, 0.25, 1])}
    formats.annotate(source, target, ours, NOTES)
    judge = plyfile.PlyData.read(target)["vertex"]
    assert judge["label"].tolist() == [5, 6, -1, 7]
    assert judge["red"].tolist() == [255, 255, 0, 255]
    np.testing.assert_array_equal(judge["x"], np.float32([0, 1, np.nan, 0]))
    assert np.isnan(judge["probability"][2])
    again = formats.read(target)
    assert again.there.tolist() == cloud.there.tolist()
    assert again.labels.tolist() == [5, 6, 7]


@pytest.mark.parametrize("suffix", [".obj", ".off"])
def test_colours_of_vertices_stay_where_the_copy_is_a_ply(file, suffix):
    colored = CORNERS.replace("\n", " 255 0 9\n")
    text = {
        ".obj": "".join(f"v {line}\n" for line in colored.splitlines()) + "f 1 2 3 4\n",
        ".off": f"COFF\n4 1 0\n{colored}4 0 1 2 3\n",
    }
    source = file(text[suffix], suffix)
    target = source.with_name("target.ply")
    formats.annotate(source, target, {"label": np.int32([5, 5])}, NOTES)
    judge = trimesh.load(target, process=False)
    assert judge.visual.vertex_colors[:, :3].tolist() == [[255, 0, 9]] * 4
    assert judge.metadata["_ply_raw"]["face"]["data"]["label"].reshape(-1).tolist() == [5, 5]


VERTEX = np.array([(0, 0, 0, 7), (1, 0, 0, 8), (1, 1, 0, 9), (0, 1, 0, 10)],
                  [("x", "f4"), ("y", "f4"), ("z", "f4"), ("label", "u1")])  # fmt: skip


@pytest.mark.filterwarnings("ignore:loadtxt")  # plyfile reads empty lists with it
@pytest.mark.parametrize("storage", STORAGE)
class TestPly:
    def test_a_mesh_keeps_colours_of_vertices_comments_and_other_elements(self, file, storage):
        rows = [[0, 1, 2, 3], [0, 1, 2], [3, 2], [1, 2, 3, 0]]
        camera = plyfile.PlyElement.describe(np.ones(2, [("focus", "f8"), ("label", "i2")]), "camera")
        color = np.empty(4, [("texcoord", object), ("vertex_indices", object), ("label", "u1")])
        color["texcoord"] = lists([[0.5] * 6, [], [1], [2] * 3], "f4")
        color["vertex_indices"], color["label"] = lists(rows), np.arange(4)
        face = plyfile.PlyElement.describe(color, "face", val_types={"texcoord": "f4"})
        for elements in ([vertices(VERTEX), face, camera], [camera, face, vertices(VERTEX)]):
            data = made(elements, storage).replace(b"\nelement", b"\ncomment  by   hand\nobj_info a b\nelement", 1)
            source = file(data, ".ply")
            mesh = formats.read(source)
            assert mesh.polygons.tolist() == [0, 0, 1, 3, 3]
            ours = ours_for(mesh, code=np.repeat(np.float32([[1, 2], [3, 4], [5, 6]]), [2, 1, 2], 0))
            data = annotated(source, ".ply", ours)
            assert stripped(data, ".ply", ours, NOTES) == source.read_bytes()
            judge = plyfile.PlyData.read(io.BytesIO(data))
            assert judge["face"]["label"].tolist() == [*ours["label"][[0, 2]], -1, ours["label"][3]]
            assert judge["face"]["critical"].tolist() == [*ours["critical"][[0, 2]], 0, ours["critical"][3]]
            assert np.isnan(judge["face"]["probability"][2])
            assert np.isnan(judge["face"]["code"][2]).all()
            assert judge["vertex"]["label"].tolist() == [7, 8, 9, 10]
            assert judge["camera"]["label"].tolist() == [1, 1]

    def test_polygons_of_one_length(self, file, storage):
        source = file(made([vertices(VERTEX), faces([[0, 1, 2, 3]] * 300)], storage), ".ply")
        mesh = formats.read(source)
        ours = ours_for(mesh)
        assert stripped(annotated(source, ".ply", ours), ".ply", ours, NOTES) == source.read_bytes()

    def test_the_first_triangle_speaks_for_a_polygon(self, file, storage):
        source = file(made([vertices(VERTEX), faces([[0, 1, 2, 3], [0, 1, 2]])], storage), ".ply")
        formats.annotate(source, source, {"label": np.array([4, 5, 6])})
        assert formats.read(source).face_fields["label"].tolist() == [4, 4, 6]

    def test_polygons_without_any_triangle(self, file, storage):
        source = file(made([vertices(VERTEX), faces([[0, 1], [2, 3]])], storage), ".ply")
        assert formats.read(source).polygons.tolist() == []
        formats.annotate(source, source, {"label": np.zeros(0, np.int32)})
        assert plyfile.PlyData.read(source)["face"]["label"].tolist() == [-1, -1]

    def test_a_cloud_among_other_elements(self, file, storage):
        camera = plyfile.PlyElement.describe(np.ones(2, [("focus", "f8")]), "camera")
        source = file(made([camera, vertices(VERTEX), faces([])], storage), ".ply")
        ours = ours_for(formats.read(source))
        data = annotated(source, ".ply", ours)
        assert stripped(data, ".ply", ours, NOTES) == source.read_bytes()
        assert b"property uchar source_label\n" in data

    def test_what_was_annotated_before(self, file, storage):
        source = file(made([vertices(VERTEX)], storage), ".ply")
        for number in range(3):
            formats.annotate(source, source, {"label": np.full(4, number)})
        fields = formats.read(source).fields
        assert list(fields) == ["source_label", "source_source_label", "source_source_source_label", "label"]
        assert [array[0] for array in fields.values()] == [7, 0, 1, 2]


PLY = "ply\nformat ascii 1.0\ncomment a\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    "text",
    {
        "Windows": (PLY + "end_header\n0 0 0\n1 2 3\n").replace("\n", "\r\n"),
        "old Macintosh rows": PLY + "end_header\n0 0 0\r1 2 3\r",
        "blank lines and blanks": PLY + "end_header\n\n0 0 0 \t\n \n  1   2  3\n\n",
        "no newline at the end": PLY + "end_header\n0 0 0\n1 2 3",
        "digits": PLY + "end_header\n665187.5210 5648349.895 1e-3\n665187.522000 5648349.8 +241.7\n",
        "comments between": PLY + "comment label is no property\nobj_info property\nend_header\n0 0 0\n1 2 3\n",
        "strange characters": PLY + "comment \x0b \u2028 \xe9\nend_header\n0 0 0\n1 2 3\n",
        "sized names": PLY.replace("float", "float64") + "property uint8 label\nend_header\n0 0 0 1\n1 2 3 2\n",
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_ply_however_it_is_written(file, text):
    source = file(text[1], ".ply")
    ours = ours_for(formats.read(source))
    data = annotated(source, ".ply", ours)
    assert stripped(data, ".ply", ours, NOTES) == source.read_bytes()
    head = data.split(b"end_header")[0]
    assert head.count(b"\r\n") in (0, head.count(b"\n"))


FIELDS = [("rgb", "F", 4, 1), ("x", "F", 4, 1), ("_", "U", 1, 3), ("y", "F", 4, 1), ("z", "F", 8, 1),
          ("ring", "I", 2, 1), ("code", "F", 4, 2), ("_", "I", 4, 1), ("label", "U", 4, 1)]  # fmt: skip


@pytest.mark.parametrize("storage", ["ascii", "binary", "binary_compressed"])
class TestPcd:
    def made(self, storage, count=12, empty=(), **changes):
        columns = columns_of(FIELDS, count)
        columns[0][2] = np.uint32(0x7FC00001).view(np.float32)  # a NaN with a payload
        for i in empty:
            columns[1][i] = np.nan
        changes = {"WIDTH": "4", "HEIGHT": str(count // 4), "VIEWPOINT": "1 2 3 0.5 0.5 0.5 0.5"} | changes
        return pcd_header(FIELDS, count, storage, **changes) + pcd_body(columns, storage)

    def test_types_order_viewpoint_and_grid(self, file, storage):
        source = file(self.made(storage), ".pcd")
        shape = formats.read(source)
        ours = ours_for(shape, direction=np.arange(36, dtype="f8").reshape(12, 3))
        data = annotated(source, ".pcd", ours)
        assert stripped(data, ".pcd", ours, NOTES) == source.read_bytes()
        for line in ("WIDTH 4", "HEIGHT 3", "VIEWPOINT 1 2 3 0.5 0.5 0.5 0.5", f"DATA {storage}"):
            assert f"\n{line}\n".encode() in data

    def test_points_without_echo_keep_their_rows(self, file, storage):
        source = file(self.made(storage, empty=(0, 5, 11)), ".pcd")
        shape = formats.read(source)
        assert len(shape.points) == 9
        ours = ours_for(shape)
        data = annotated(source, ".pcd", ours)
        assert stripped(data, ".pcd", ours, NOTES) == source.read_bytes()
        full = file(data.replace(b"FIELDS rgb x", b"FIELDS x rgb"), ".pcd")  # now every row counts
        after = formats.read(full).fields
        kept = np.delete(np.arange(12), [0, 5, 11])
        for name, nothing in (("label", -1), ("critical", 0), ("probability", np.nan)):
            wanted = np.full(12, nothing, ours[name].dtype)
            wanted[kept] = ours[name]
            rows = np.isfinite(columns_of(FIELDS, 12)[0][:, 0])
            rows[2] = False  # rgb is no number there
            np.testing.assert_array_equal(after[name], wanted[rows])

    @pytest.mark.parametrize(
        "changes",
        [{"COUNT": None}, {"VIEWPOINT": None}, {"POINTS": None}, {"WIDTH": None, "HEIGHT": None}, {"TYPE": "f f f"},
         {"FIELDS": "  x y\tz   # the axes"}, {"SIZE": "4 4 4 "}],
    )  # fmt: skip
    def test_headers_that_are_fine(self, file, storage, changes):
        fields = [(axis, "F", 4, 1) for axis in "xyz"]
        head = pcd_header(fields, 4, storage, **changes)
        for data in (head, head.replace(b"FIELDS", b"COLUMNS"), head.replace(b"\n", b"\r\n")):
            source = file(data + pcd_body(columns_of(fields, 4), storage), ".pcd")
            shape = formats.read(source)
            annotated(source, ".pcd", ours_for(shape, pair=np.ones((4, 2), np.int16)))
            if "POINTS" not in changes and "COUNT" not in changes and "TYPE" not in changes:
                ours = ours_for(shape)
                assert stripped(annotated(source, ".pcd", ours), ".pcd", ours, NOTES) == source.read_bytes()


def test_compressed_columns_stay_compressed(file):
    fields = [(axis, "F", 4, 1) for axis in "xyz"]
    raw = np.tile(np.float32([1, 2]), 600).tobytes()
    packed = encoded(raw)
    assert len(packed) < len(raw) // 10
    data = pcd_header(fields, 400, "binary_compressed") + struct.pack("<II", len(packed), len(raw)) + packed
    source = file(data + bytes(40), ".pcd")  # zeros that fill a page up
    ours = ours_for(formats.read(source))
    assert packed in annotated(source, ".pcd", ours)
    assert stripped(annotated(source, ".pcd", ours), ".pcd", ours, NOTES) == data


def test_pcd_text_with_blank_lines_and_without_a_last_newline(file):
    fields = [(axis, "F", 4, 1) for axis in "xyz"]
    source = file(pcd_header(fields, 2, "ascii") + b"\n 1 2.50  3\t\r\n\nnan 5 6", ".pcd")
    ours = {"label": np.array([7]), "probability": np.float32([0.5])}
    data = annotated(source, ".pcd", ours)
    assert stripped(data, ".pcd", ours, NOTES) == source.read_bytes()
    assert data.endswith(b"\n 1 2.50  3 7 0.5\t\r\n\nnan 5 6 -1 nan")


TEXTS = {  # the text, the comment with names that it gets, if any, and two rows
    "blanks": ("1 2 3 0.50\n4 5 6 7\n", "x y z column3"),
    "tabs": (" 1\t2   3\t0.5 \n\n4 5 6 7\n\n\n", "x y z column3"),
    "no newline at the end": ("1 2 3\n4 5 6", "x y z"),
    "commas": ("1,2,3,0.5\n4,5,6,7\n", "x y z column3"),
    "commas and blanks": ("1, 2, 3, 0.5\n4, 5, 6, 7\n", "x y z column3"),
    "semicolons": ("1;2;3;0.5\n4;5;6;7\n", "x y z column3"),
    "a separator at the end": ("1,2,3,0.5,\n4,5,6,7,\n", "x y z column3"),
    "a separator at some ends": ("1,2,3,0.5, \n4,5,6,7\n", "x y z column3"),
    "Windows": ("1 2 3 0.5\r\n4 5 6 7\r\n", "x y z column3"),
    "old Macintosh": ("1 2 3 0.5\r4 5 6 7\r", "x y z column3"),
    "comments": ("# a scan\n1 2 3 0.5 # first, or not\n// more 1 2\n4 5 6 7// second\n", "x y z column3"),
    "the count first": ("2\n1 2 3 0.5\n4 5 6 7\n", "x y z column3"),
    "the count behind a comment": ("# a scan\n2\n1 2 3 0.5\n4 5 6 7\n", "x y z column3"),
    "a count with a comment": ("2 # points\n1 2 3 0.5\n4 5 6 7\n", "x y z column3"),
    "a byte-order mark": (b"\xef\xbb\xbf1 2 3 0.5\n4 5 6 7\n", "x y z column3"),
    "Latin-1": (b"// H\xf6he\n1 2 3 0.5\n4 5 6 7\n", "x y z column3"),
    "long numbers": ("694386.212000,5155487.5,1.0e0\n694386.2,5155487.512,+3.\n", "x y z"),
    "names": ("x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n", None),
    "names in another order": ("label,z,w,y,x\n7,3,0.5,2,1\n-1,6,0.5,5,4\n", None),
    "names in capitals": ("X;Y;Z;label;w\n1;2;3;7;0.5\n4;5;6;-1;0.5\n", None),
    "names in quotes": ('"x","y","z","label","w"\n1,2,3,7,0.5\n4,5,6,-1,0.5\n', None),
    "names of a survey": ("Point,Easting,Northing,Height,label\n1,2,3,4,7\n5,6,7,8,9\n", None),
    "names behind a comment": ("# by hand\nx y z label # names\n1 2 3 7\n4 5 6 8\n", None),
    "a comment with names": ("//X,Y,Z,label,w\n1,2,3,7,0.5\n4,5,6,-1,0.5\n", None),
    "a comment with names, in Windows": ("# x y z label w \r\n1 2 3 7 0.5\r\n4 5 6 -1 0.5\r\n", None),
    "a comment with names and the count": ("//x y z label w\n2\n1 2 3 7 0.5\n4 5 6 -1 0.5\n", None),
    "the count and a comment with names": ("2\n# x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n", None),
    "names and the count": ("x y z label w\n2\n1 2 3 7 0.5\n4 5 6 -1 0.5\n", None),
}


class TestText:
    @pytest.mark.parametrize("name", TEXTS)
    @pytest.mark.parametrize("suffix", [".xyz", ".txt", ".asc", ".pts"])
    def test_lines_stay_byte_for_byte(self, file, suffix, name):
        text, title = TEXTS[name]
        source = file(text, suffix)
        ours = ours_for(formats.read(source))
        raw = source.read_bytes()
        bare = suffix == ".pts" and title is not None and b"#" not in raw and b"//" not in raw
        data = annotated(source, suffix, ours, named=not bare, typed=False)
        titles = [f"{title} label probability critical"] if title else []
        assert set(re.findall(rb"\r\n|\r|\n", data)) == set(re.findall(rb"\r\n|\r|\n", raw))
        mark = raw[:3] if raw.startswith(b"\xef") else b""
        assert data.startswith(mark)
        assert mark + stripped(data.removeprefix(mark), suffix, ours, NOTES + titles) == raw
        added = [f"# {note}".encode() for note in NOTES + titles]
        assert [line for line in data.removeprefix(mark).splitlines() if line in added] == (
            [] if bare else added[2:] + added[:2]
        )

    def test_worked_cases(self, file):
        ours = {"label": np.array([7, -1]), "probability": np.float32([0.1, 1])}
        for before, after in {
            "1, 2, 3,\n4, 5, 6\n": "# x y z label probability\n1, 2, 3, 7, 0.1,\n4, 5, 6, -1, 1.0\n",
            "x y z label\n1 2 3 5\n4 5 6 5": "x y z source_label label probability\n1 2 3 5 7 0.1\n4 5 6 5 -1 1.0",
            "1 2 3 # a\n\n4 5 6\n": "# x y z label probability\n1 2 3 7 0.1 # a\n\n4 5 6 -1 1.0\n",
        }.items():
            source = file(before, ".txt")
            formats.annotate(source, source, ours)
            assert source.read_text() == after

    def test_a_list_of_numbers_alone_stays_one(self, file):
        source = file("2\r\n1 2 3\r\n4 5 6\r\n", ".pts")
        formats.annotate(source, source, {"label": np.array([7, 8])}, NOTES)
        assert source.read_bytes() == b"2\r\n1 2 3 7\r\n4 5 6 8\r\n"

    def test_whole_labels_are_whole_numbers_in_the_text(self, file):
        source = file("1 2 3\n4 5 6\n", ".xyz")
        formats.annotate(source, source, {"label": np.array([7, 8]), "sure": np.array([True, False])})
        assert formats.read(source).labels.tolist() == [7, 8]
        assert source.read_text().endswith("1 2 3 7 1\n4 5 6 8 0\n")


class TestNpy:
    @pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">f4", "<i8", ">i2", "|u1", "<f2", "longdouble"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_the_type_and_order_stay_where_they_hold_all(self, tmp_path, kind, order):
        source = tmp_path / "source.npy"
        np.save(source, np.asarray(np.arange(20).reshape(4, 5), kind, order=order))
        ours = {"label": np.arange(4), "critical": np.uint8([1, 2, 0, 0])}
        data = annotated(source, ".npy", ours, named=False)
        assert np.load(io.BytesIO(data)).dtype == np.dtype(kind)
        assert stripped(data, ".npy", ours) == source.read_bytes()

    @pytest.mark.parametrize(
        ("kind", "field", "wanted"),
        [
            ("<f4", np.array([2_000_000_000, 1]), "<f4"),
            ("<f4", np.array([2_000_000_001, 1]), "<f8"),
            (">i4", np.float32([0.1, 1]), ">f4"),
            (">i8", np.array([0.1, 1]), ">f8"),
            ("u1", np.array([-1, 1]), "i1"),
            ("u1", np.array([300, 1]), "u2"),
            ("i2", np.float32([np.nan, 1]), "f2"),
        ],
    )
    def test_else_the_smallest_that_holds_all(self, tmp_path, kind, field, wanted):
        source = tmp_path / "source.npy"
        np.save(source, np.arange(6).reshape(2, 3).astype(kind))
        assert np.load(io.BytesIO(annotated(source, ".npy", {"label": field}, named=False))).dtype == np.dtype(wanted)

    def test_no_type_that_holds_all(self, tmp_path):
        source = tmp_path / "source.npy"
        np.save(source, np.arange(6).reshape(2, 3) + 2**60 + 1)
        with pytest.raises(FormatError, match=f"{source}: points must be|no type of number holds both"):
            formats.annotate(source, source, {"label": np.array([0.1, 0.2])})

    def test_records_get_further_fields(self, tmp_path):
        source = tmp_path / "source.npy"
        theirs = np.zeros(4, [("x", ">f8"), ("y", "<f4"), ("z", "i2"), ("label", "u1"), ("rgb", "u1", (3,))])
        theirs["x"], theirs["label"] = np.arange(4), 9
        np.save(source, theirs)
        ours = {"label": np.arange(4, dtype=np.int32), "direction": np.arange(8, dtype="f4").reshape(4, 2)}
        data = annotated(source, ".npy", ours)
        assert stripped(data, ".npy", ours) == source.read_bytes()
        again = np.load(io.BytesIO(data))
        assert again.dtype.itemsize == theirs.dtype.itemsize + 12
        assert again["label"].tolist() == [0, 1, 2, 3]
        assert again["source_label"].tolist() == [9] * 4

    def test_padded_records(self, tmp_path):
        theirs = np.zeros(4, np.dtype([("a", "u1"), ("x", "f8"), ("y", "f4"), ("z", "f4")], align=True))
        theirs["x"] = np.arange(4)
        np.save(tmp_path / "a.npy", theirs)
        annotated(tmp_path / "a.npy", ".npy")


def entries(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


class TestNpz:
    @pytest.mark.parametrize("name", [*zoo.CLOUDS, *(name for name in zoo.MESHES if len(zoo.MESHES[name].faces))])
    def test_shapes(self, tmp_path, name):
        source = tmp_path / "source.npz"
        formats.write(source, (zoo.CLOUDS | zoo.MESHES)[name])
        ours = ours_for(formats.read(source))
        assert stripped(annotated(source, ".npz", ours), ".npz", ours) == entries(source)

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_other_arrays_and_polygons(self, tmp_path, save):
        source = tmp_path / "source.npz"
        quads = np.array([[0, 1, 2, 3], [0, 3, 2, 1]], ">u2")
        save(source, vertices=np.asfortranarray(zoo.SQUARE), faces=quads, label=np.uint8([7, 8]), meta={"a": 1})
        mesh = formats.read(source)
        assert mesh.polygons.tolist() == [0, 0, 1, 1]
        ours = {"label": np.array([4, 4, 5, 5])}
        data = annotated(source, ".npz", ours)
        assert stripped(data, ".npz", ours) == entries(source)
        with zipfile.ZipFile(io.BytesIO(data)) as file, zipfile.ZipFile(source) as before:
            assert {entry.compress_type for entry in file.infolist()} == {before.infolist()[0].compress_type}
        assert np.load(io.BytesIO(data))["label"].tolist() == [4, 5]
        assert np.load(io.BytesIO(data))["source_label"].tolist() == [7, 8]

    def test_rows_without_coordinates_keep_their_places(self, tmp_path):
        np.savez(tmp_path / "a.npz", points=[[0, 0, 0], [np.nan] * 3, [1, 1, 1]])
        formats.annotate(tmp_path / "a.npz", tmp_path / "a.npz", {"label": np.array([4, 5])})
        assert np.load(tmp_path / "a.npz")["label"].tolist() == [4, -1, 5]


OURS = {"label": np.array([7, -1]), "probability": np.float32([0.1, 1])}


class TestTables:
    @pytest.mark.parametrize(
        ("before", "after"),
        {
            "commas": ("x,y,z\n1,2,3\n4,5,6\n", "x,y,z,label,probability\n1,2,3,7,0.1\n4,5,6,-1,1.0\n"),
            "no names": ("1;2;3\n4;5;6\n", "1;2;3;7;0.1\n4;5;6;-1;1.0\n"),
            "decimal commas": (
                "x;y;z\n1,5;2;3\n4;5;6\n",
                "x;y;z;label;probability\n1,5;2;3;7;0,1\n4;5;6;-1;1,0\n",
            ),
            "empty cells": ("x,y,z,w\n1,2,3,\n4,5,6,7", "x,y,z,w,label,probability\n1,2,3,,7,0.1\n4,5,6,7,-1,1.0"),
            "empty cells and tabs": (
                "x\ty\tz\tw\r\n1\t2\t3\t\r\n4\t5\t6\t7\r\n",
                "x\ty\tz\tw\tlabel\tprobability\r\n1\t2\t3\t\t7\t0.1\r\n4\t5\t6\t7\t-1\t1.0\r\n",
            ),
            "words": (
                '"x","y","z","what"\n1,2,3,"a, b"\n4,5,6,c #3\n',
                '"x","y","z","what","label","probability"\n1,2,3,"a, b",7,0.1\n4,5,6,c #3,-1,1.0\n',
            ),
            "an empty cell and a separator behind": (
                "x,y,z,w\n1,2,3,,\n4,5,6,7\n",
                "x,y,z,w,label,probability\n1,2,3,,7,0.1,\n4,5,6,7,-1,1.0\n",
            ),
            "rows of empty cells": (
                "x,y,z\n,,\n1,2,3\n4,5,6\n,,",
                "x,y,z,label,probability\n,,,-1,nan\n1,2,3,7,0.1\n4,5,6,-1,1.0\n,,,-1,nan",
            ),
            "numbers of rows": (
                ",x,y,z\n0,1,2,3\n1,4,5,6\n",
                ",x,y,z,label,probability\n0,1,2,3,7,0.1\n1,4,5,6,-1,1.0\n",
            ),
            "a name that is taken": (
                "X,Y,Z,label\n1,2,3,4\n4,5,6,5\n",
                "X,Y,Z,source_label,label,probability\n1,2,3,4,7,0.1\n4,5,6,5,-1,1.0\n",
            ),
            "UTF-16": (
                "\ufeffx,y,z\n1,2,3\n4,5,6\n",
                "\ufeffx,y,z,label,probability\n1,2,3,7,0.1\n4,5,6,-1,1.0\n",
            ),
        }.values(),
    )
    def test_worked_cases(self, file, before, after):
        coding = "utf-16-le" if before.startswith("\ufeff") else "utf-8"
        source = file(before.encode(coding), ".csv")
        formats.annotate(source, source, OURS, NOTES)
        assert source.read_bytes() == after.encode(coding)

    def test_rows_without_coordinates_keep_their_places(self, file):
        source = file("x,y,z,w\n1,2,3,4\n,,,5\n4,5,6,7\n", ".csv")
        formats.annotate(source, source, OURS)
        assert source.read_text() == "x,y,z,w,label,probability\n1,2,3,4,7,0.1\n,,,5,-1,nan\n4,5,6,7,-1,1.0\n"

    def test_columns_that_the_user_named(self, file):
        meaning = columns.Meaning.said(columns="-,x,y,z")
        for before, after in {
            "9 1 2 3\n9 4 5 6\n": "# column0 x y z label probability\n9 1 2 3 7 0.1\n9 4 5 6 -1 1.0\n",
            "a b c d\n9 1 2 3\n9 4 5 6\n": "a b c d label probability\n9 1 2 3 7 0.1\n9 4 5 6 -1 1.0\n",
        }.items():
            source = file(before, ".txt")
            formats.annotate(source, source, OURS, meaning=meaning)
            assert source.read_text() == after

    def test_several_scans_stay_several(self, file):
        source = file("1\n1 2 3\n1\n4 5 6\n", ".pts")
        formats.annotate(source, source, OURS, NOTES)
        assert source.read_text() == "1\n1 2 3 7 0.1\n1\n4 5 6 -1 1.0\n"

    def test_a_tab_before_the_rows(self, file):
        source = file("\t1\t2\t3\n\t4\t5\t6\n", ".txt")
        formats.annotate(source, source, OURS)
        assert source.read_text() == "# x y z label probability\n\t1\t2\t3\t7\t0.1\n\t4\t5\t6\t-1\t1.0\n"
        assert formats.read(source).labels.tolist() == [7, -1]

    def test_decimal_commas_between_blanks(self, file):
        source = file("1,5 2 3\n4 5 6\n", ".txt")
        formats.annotate(source, source, OURS)
        assert source.read_text() == "# x y z label probability\n1,5 2 3 7 0,1\n4 5 6 -1 1,0\n"
        assert formats.read(source).fields["probability"].tolist() == [0.1, 1]


EACH = [".csv", ".npy", ".npz", ".pcd", ".ply", ".pts", ".xyz"]


@pytest.mark.parametrize("suffix", EACH)
class TestRules:
    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({}, "one field or more must be given to be added, got none"),
            ({"label": np.zeros(2)}, r"the field label must have 300 rows, one a point or face, got the shape \(2,\)"),
            ({"label": np.float32(1)}, "the field label must have 300 rows"),
            ({"x": np.zeros(300)}, "a field must not have a name that the format uses itself, got 'x'"),
            ({"two words": np.zeros(300)}, "a field's name must be one word"),
            ({"label": np.full(300, "a")}, "the field label must hold numbers, got the type <U1"),
        ],
    )
    def test_fields_that_are_refused(self, tmp_path, suffix, fields, rule):
        source = tmp_path / f"source{suffix}"
        formats.write(source, zoo.CLOUDS["nine digits"])
        before = source.read_bytes()
        with pytest.raises(FormatError, match=f"^{source}: {rule}"):
            formats.annotate(source, source, fields)
        assert source.read_bytes() == before
        assert os.listdir(tmp_path) == [source.name]

    def test_the_targets_suffix(self, tmp_path, suffix):
        source = tmp_path / f"source{suffix}"
        formats.write(source, zoo.CLOUDS["nine digits"])
        with pytest.raises(
            FormatError, match=rf"target.off: a {suffix} file with further fields must be named {suffix}"
        ):
            formats.annotate(source, tmp_path / "target.off", {"label": np.zeros(300)})

    def test_a_failed_write_leaves_the_older_file(self, tmp_path, suffix, monkeypatch):
        source = tmp_path / f"source{suffix}"
        formats.write(source, zoo.CLOUDS["nine digits"])
        before = source.read_bytes()

        def full(handle):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            formats.annotate(source, source, {"label": np.zeros(300)})
        assert source.read_bytes() == before
        assert os.listdir(tmp_path) == [source.name]

    def test_cut_files_are_refused(self, tmp_path, suffix):
        source = tmp_path / f"source{suffix}"
        formats.write(source, zoo.CLOUDS["fields"])
        data, ours = source.read_bytes(), {"label": np.zeros(3)}
        for length in range(1, len(data) - 30):
            with pytest.raises(FormatError):
                formats.annotate(data[:length], tmp_path / f"target{suffix}", ours, suffix=suffix)

    def test_bytes_and_open_files(self, tmp_path, suffix):
        source, target, other = (tmp_path / f"{name}{suffix}" for name in ("source", "target", "other"))
        formats.write(source, zoo.CLOUDS["fields"])
        ours = {"label": np.arange(3)}
        formats.annotate(source, target, ours, NOTES)
        formats.annotate(source.read_bytes(), other, ours, NOTES, suffix)
        assert other.read_bytes() == target.read_bytes()
        with source.open("rb") as stream:
            formats.annotate(stream, other, ours, NOTES)
        assert other.read_bytes() == target.read_bytes()


def test_a_field_named_as_the_corners_of_faces(tmp_path):
    formats.write(tmp_path / "mesh.ply", zoo.MESHES["one triangle"])
    with pytest.raises(FormatError, match="a name that the format uses itself, got 'vertex_indices'"):
        formats.annotate(tmp_path / "mesh.ply", tmp_path / "mesh.ply", {"vertex_indices": np.zeros(1)})


def test_fields_that_a_mesh_without_room_has(tmp_path):
    formats.write(tmp_path / "mesh.off", zoo.MESHES["face fields"])
    formats.annotate(tmp_path / "mesh.off", tmp_path / "mesh.ply", {"color": np.array([1, 2])})
    after = formats.read(tmp_path / "mesh.ply").face_fields
    assert after["source_color"].tolist() == [[1, 2, 3], [255, 0, 9]]
    assert after["color"].tolist() == [1, 2]
    with pytest.raises(FormatError, match=r"mesh.off: the field label must have 2 rows"):
        formats.annotate(tmp_path / "mesh.off", tmp_path / "mesh.ply", {"label": np.zeros(3)})


DATA = pathlib.Path(os.environ.get("POINTKIT_DATA", ""))


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="the folder of real files is not named by POINTKIT_DATA")
class TestRealFiles:
    @pytest.mark.parametrize("folder", ["scans/files", "scans/isprs_ground"])
    def test_scans(self, tmp_path, folder):
        count = 0
        for path in sorted((DATA / folder).iterdir()):
            if path.suffix in formats.ANNOTATORS:
                source = tmp_path / f"source{path.suffix}"
                source.write_bytes(path.read_bytes())
                shape = formats.read(source)
                ours = ours_for(shape)
                data = annotated(source, path.suffix, ours, typed=path.suffix in zoo.KEEPS_TYPES)
                title = [f"x y z {' '.join([*shape.fields, *ours])}"] if path.suffix == ".xyz" else []
                again, before = stripped(data, path.suffix, ours, NOTES + title), source.read_bytes()
                assert before.startswith(again), path
                assert not any(before[len(again) :]), path  # zeros fill the last page of a compressed file
                count += 1
        assert count == {"scans/files": 8, "scans/isprs_ground": 30}[folder]

    def test_off_meshes_become_ply(self, tmp_path):
        paths = sorted((DATA / "off_sample").rglob("*.off"))
        assert len(paths) > 5
        for path in paths[::5]:
            shape = formats.read(path)
            formats.annotate(path, tmp_path / "target.ply", ours_for(shape), NOTES)
            after = formats.read(tmp_path / "target.ply")
            np.testing.assert_array_equal(after.vertices, shape.vertices)
            np.testing.assert_array_equal(after.faces, shape.faces)
            np.testing.assert_array_equal(after.face_fields["label"], ours_for(shape)["label"])


class TestJudges:
    """Programs that read only the common forms still read what was annotated."""

    def test_plyfile_and_trimesh_read_a_labelled_mesh_with_labels_of_its_own_vertices(self, file):
        text = (
            "ply\nformat ascii 1.0\ncomment by hand\nelement vertex 4\nproperty float x\nproperty float y\n"
            "property float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\n"
            "property float scalar_label\nelement face 2\nproperty list uchar int vertex_indices\nend_header\n"
            "0 0 0 255 0 9 1\n1 0 0 255 0 9 1\n1 1 0 255 0 9 2\n0 1.000001 0 255 0 9 2\n4 0 1 2 3\n3 0 1 2\n"
        )
        source = file(text, ".ply")
        target = source.with_name("target.ply")
        formats.annotate(source, target, {"label": np.int32([7, 7, 8])}, NOTES)
        lines = target.read_text().splitlines()
        assert [line for line in text.splitlines() if line.startswith(("comment", "property", "element"))] == [
            line
            for line in lines
            if line.startswith(("comment by", "property", "element")) and line != "property int label"
        ]
        assert lines[-6:] == [*text.splitlines()[-6:-2], "4 0 1 2 3 7", "3 0 1 2 8"]
        judge = plyfile.PlyData.read(target)
        assert judge["vertex"]["scalar_label"].tolist() == [1, 1, 2, 2]
        assert judge["face"]["label"].tolist() == [7, 8]
        assert [list(face) for face in judge["face"]["vertex_indices"]] == [[0, 1, 2, 3], [0, 1, 2]]
        mesh = trimesh.load(io.BytesIO(b"".join(ply.encoded(formats.read(target)))), file_type="ply", process=False)
        assert mesh.visual.vertex_colors[:, :3].tolist() == [[255, 0, 9]] * 4
        assert len(mesh.faces) == 3

    @pytest.mark.parametrize("storage", ["ascii", "binary", "binary_compressed"])
    def test_pypcd4_reads_a_labelled_grid(self, file, storage):
        pypcd4 = pytest.importorskip("pypcd4", reason="the extra judges is not installed")
        fields = [("x", "F", 4, 1), ("y", "F", 4, 1), ("z", "F", 4, 1), ("rgb", "U", 4, 1)]
        columns = columns_of(fields, 6)
        for column in columns[:3]:
            column[[1, 4]] = np.nan
        grid = {"WIDTH": "3", "HEIGHT": "2", "VIEWPOINT": "1 2 3 1 0 0 0"}
        source = file(pcd_header(fields, 6, storage, **grid) + pcd_body(columns, storage), ".pcd")
        target = source.with_name("target.pcd")
        formats.annotate(source, target, {"label": np.int32([7, 8, 9, 6])}, NOTES)
        cloud = pypcd4.PointCloud.from_path(target)
        meta = cloud.metadata
        assert (meta.width, meta.height, tuple(meta.viewpoint)) == (3, 2, (1, 2, 3, 1, 0, 0, 0))
        assert (list(meta.fields), list(meta.size)) == (["x", "y", "z", "rgb", "label"], [4] * 5)
        assert cloud.pc_data["label"].tolist() == [7, -1, 8, 9, -1, 6]
        for (name, *_), column in zip(fields, columns, strict=True):
            np.testing.assert_array_equal(cloud.pc_data[name], column[:, 0])

    @pytest.mark.slow
    def test_open3d_reads_a_labelled_grid_and_a_labelled_cloud(self, file):
        open3d = pytest.importorskip("open3d", reason="Open3D cannot be imported", exc_type=ImportError)
        fields = [("x", "F", 4, 1), ("y", "F", 4, 1), ("z", "F", 4, 1)]
        columns = columns_of(fields, 6)
        source = file(pcd_header(fields, 6, "binary", WIDTH="3", HEIGHT="2") + pcd_body(columns, "binary"), ".pcd")
        label = np.int32([7, 8, 9, 6, 5, 4])
        for suffix in (".pcd", ".ply"):
            target = source.with_name(f"target{suffix}")
            if suffix == ".ply":
                formats.write(source.with_suffix(".ply"), formats.read(source))
            formats.annotate(source.with_suffix(suffix), target, {"label": label}, NOTES)
            cloud = open3d.t.io.read_point_cloud(str(target))
            np.testing.assert_array_equal(cloud.point.positions.numpy(), np.hstack(columns))
            assert cloud.point.label.numpy().reshape(-1).tolist() == label.tolist()
