"""Labels in files of their own: which belong to which shape, and which row to which point, vertex or face."""

import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import formats
from pointkit.cloud import Mesh, PointCloud
from pointkit.datasets import beside
from pointkit.errors import PointkitError
from pointkit.formats import columns
from pointkit.formats.columns import NOTHING_SAID, Meaning

READABLE = formats.SUFFIXES
QUADS = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 2 0 0\nf 1 2 3 4\nf 2 5 3\n"  # five vertices, two faces, three triangles


def matched(*paths):
    found = beside.match([tuple(path.split("/")) for path in paths], READABLE)
    return {"/".join(shape): "/".join(label) for shape, label in found.items()}


class TestMatch:
    @pytest.mark.parametrize("suffix", ["npy", "txt", "labels", "label", "json", "seg", "bin"])
    @pytest.mark.parametrize("shape", ["a.ply", "a.obj", "a.STL", "a.pcd"])
    def test_a_file_of_the_same_name(self, shape, suffix):
        assert matched(f"t/{shape}", f"t/a.{suffix}", "t/b.ply") == {f"t/{shape}": f"t/a.{suffix}"}

    def test_a_text_is_the_shape_where_the_other_cannot_be(self):
        assert matched("t/s.txt", "t/s.labels") == {"t/s.txt": "t/s.labels"}
        assert matched("t/s.ply", "t/s.txt") == {"t/s.ply": "t/s.txt"}

    def test_the_only_shape_of_a_folder(self):
        assert matched("t/1/pc.ply", "t/1/label.npy", "t/2/pc.ply", "t/2/label.npy") == {
            "t/1/pc.ply": "t/1/label.npy",
            "t/2/pc.ply": "t/2/label.npy",
        }
        assert matched("t/a.ply", "t/b.ply", "t/label.npy") == {}

    def test_a_folder_of_labels(self):
        assert matched("t/a.ply", "t/b.ply", "labels/a.bin", "labels/b.bin") == {
            "t/a.ply": "labels/a.bin",
            "t/b.ply": "labels/b.bin",
        }
        assert matched("x/a.ply", "y/a.ply", "labels/y/a.txt") == {"y/a.ply": "labels/y/a.txt"}
        assert matched("x/points/a.pts", "y/points/a.pts", "x/labels/a.seg") == {"x/points/a.pts": "x/labels/a.seg"}
        assert matched("x/a.ply", "y/a.ply", "labels/a.txt") == {}  # of which?

    def test_two_candidates_are_asked_about(self):
        with pytest.raises(PointkitError, match=r"^t/a.ply: t/a.json and t/a.npy may both hold its labels; .*--table$"):
            matched("t/a.ply", "t/a.npy", "t/a.json")

    def test_nothing_beside(self):
        assert matched("t/a.ply", "t/b.txt", "t/c.npy", "notes.txt") == {}


@pytest.fixture
def made(tmp_path):
    """Writes files into a folder, and reads the first with the labels of the second."""

    def make(shape, labels, name="a.ply", label_name="a.txt", meaning=NOTHING_SAID):
        path, beside_it = tmp_path / name, tmp_path / label_name
        if isinstance(shape, str):
            path.write_text(shape)
        else:
            formats.write(path, shape)
        beside_it.write_bytes(labels if isinstance(labels, bytes) else labels.encode())
        return beside.load(path, beside_it, meaning)[0]

    return make


def cloud(count=4, **fields):
    return PointCloud(np.arange(3 * count, dtype=np.float32).reshape(count, 3), fields)


def array(values, kind="i4"):
    stream = io.BytesIO()
    np.save(stream, np.array(values, kind))
    return stream.getvalue()


class TestLoad:
    @pytest.mark.parametrize(
        ("labels", "name"),
        [
            ("1\n2\n2\n0\n", "a.txt"), ("label\n1\n2\n2\n0\n", "a.txt"), ("# by hand\n1.0\n2.0\n2.0\n0.0", "a.labels"),
            ("1,\n2,\n2,\n0,\n", "a.csv"), ("1 2 2 0", "a.seg"), ("[1, 2, 2, 0]", "a.json"),
            (array([1, 2, 2, 0]), "a.npy"), (array([[1], [2], [2], [0]], "f4"), "a.npy"),
            (json.dumps({"jaw": "lower", "labels": [1, 2, 2, 0]}), "a.json"),
            (np.array([1, 2, 2, 0], "i1").tobytes(), "a.bin"), (np.array([1, 2, 2, 0], "<u4").tobytes(), "a.label"),
            (np.array([1 + (7 << 16), 2, 2 + (9 << 16), 0], "<u4").tobytes(), "a.label"), ("1\n2\n2\n0\n", "a.label"),
            (np.array([1, 2, 2, 0], "<i8").tobytes(), "a.bin"),
        ],
    )  # fmt: skip
    def test_labels_of_points(self, made, labels, name):
        assert columns.labels_of(made(cloud(), labels, label_name=name)).tolist() == [1, 2, 2, 0]

    def test_rows_without_coordinates_count(self, made):
        shape = made("1 2 3\nnan nan nan\n4 5 6\n", "7\n8\n9\n", "a.xyz")
        assert columns.labels_of(shape).tolist() == [7, 9]

    def test_vertices_without_coordinates_count(self, made):
        text = QUADS.replace("v ", "v nan nan nan\nv ", 1)
        text = re.sub(r"(?m)^f.*", lambda face: re.sub(r"\d+", lambda index: str(int(index[0]) + 1), face[0]), text)
        shape = made(text, "9\n3\n3\n3\n4\n4\n", "a.obj")
        assert columns.labels_of(shape).tolist() == [3, 3, 3]
        with pytest.raises(ValueError, match=r"a\.txt holds 5 labels, and the file has 6 vertices and 2 faces"):
            made(text, "3\n3\n3\n4\n4\n", "a.obj")

    def test_labels_of_vertices_and_of_faces(self, made):
        of_vertices = made(QUADS, "3\n3\n3\n4\n4\n", "a.obj")
        assert columns.labels_of(of_vertices).tolist() == [3, 3, 3]
        of_faces = made(QUADS, "5\n6\n", "a.obj")
        assert columns.labels_of(of_faces).tolist() == [5, 5, 6]

    @given(vertices=st.integers(3, 9), faces=st.integers(1, 9), count=st.integers(1, 12))
    def test_only_a_number_that_fits_one_of_them(self, vertices, faces, count):
        mesh = Mesh(np.random.default_rng(0).random((vertices, 3)), [[0, 1, 2]] * faces)
        counts = beside._counts(mesh)
        assert counts == {"vertices": vertices, "faces": faces}
        fits = [what for what, there in counts.items() if there == count]
        assert (len(fits) == 1) == (vertices != faces and count in (vertices, faces))

    @pytest.mark.parametrize(
        ("shape", "name", "labels", "rule"),
        [
            (QUADS, "a.obj", "1\n2\n3\n", "a.txt holds 3 labels, and the file has 5 vertices and 2 faces$"),
            (cloud(), "a.ply", "1\n2\n", "a.txt holds 2 labels, and the file has 4 points$"),
            (QUADS + "f 1 2 5\n" * 3, "a.obj", "1\n2\n3\n4\n5\n", "may be those of vertices or faces"),
            (cloud(), "a.ply", "1 2\n3 4\n", "a.txt: must hold one label a line, got 2 numbers"),
            (cloud(), "a.ply", "1\n2.5\n3\n4\n", "a.txt: labels must be whole numbers of 32 bits, .* 2.5 in row 1"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, made, shape, name, labels, rule):
        with pytest.raises(ValueError, match=rule):
            made(shape, labels, name)

    @pytest.mark.parametrize(
        ("labels", "name", "rule"),
        [
            (b"123", "a.bin", "a.bin: 3 bytes must be 1, 2, 4 or 8 for each of 4 points"),
            ('{"labels": ["top"]}', "a.json", "a.json: labels must be a list of whole numbers"),
            ('{"labels": [1], "semantic": [2]}', "a.json", "several lists may be the labels: labels, semantic; "),
            ("[1, 2", "a.json", "a.json: not JSON"),
            (array([[1, 2], [3, 4]]), "a.npy", r"a.npy: must hold one label each, got an array \(2, 2\)"),
        ],
    )  # fmt: skip
    def test_label_files_that_are_none(self, made, labels, name, rule):
        with pytest.raises(ValueError, match=rule):
            made(cloud(), labels, label_name=name)

    def test_the_users_word_chooses_a_list(self, made):
        text = json.dumps({"labels": [1, 1, 1, 1], "instances": [1, 2, 3, 4]})
        assert columns.labels_of(made(cloud(), text, label_name="a.json", meaning=Meaning("instances"))).tolist() == [
            1,
            2,
            3,
            4,
        ]

    def test_a_json_file_about_something_else_leaves_the_shapes_own_labels(self, made):
        shape = made(cloud(label=np.array([1, 2, 3, 4])), '{"camera": "front"}', label_name="a.json")
        assert columns.labels_of(shape).tolist() == [1, 2, 3, 4]

    def test_other_labels_inside_and_beside(self, made):
        own = cloud(label=np.array([1, 2, 3, 4]))
        assert columns.labels_of(made(own, "1\n2\n3\n4\n")).tolist() == [1, 2, 3, 4]
        words = r"labels of its own \(the field label\), and a.txt beside it holds others; --label-field label takes"
        with pytest.raises(ValueError, match=words):
            made(own, "1\n2\n3\n5\n")
        taken = made(own, "1\n2\n3\n5\n", meaning=Meaning("label"))
        assert columns.labels_of(taken, Meaning("label")).tolist() == [1, 2, 3, 4]
