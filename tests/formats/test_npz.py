"""NPZ: arrays by their names, of clouds and meshes; zips that promise too much."""

import io
import zipfile

import numpy as np
import pytest

from pointkit import formats
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError
from pointkit.formats import columns, files
from pointkit.formats.columns import Meaning
from tests import zoo

POINTS = np.arange(30, dtype=np.float32).reshape(10, 3) / 7


def saved(save=np.savez, **arrays):
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def read(save=np.savez, meaning=columns.NOTHING_SAID, **arrays):
    return formats.read(saved(save, **arrays), ".npz", meaning=meaning)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", ["points", "XYZ", "pos", "coords", "vertices", "data", "arr_0", "point_cloud"])
def test_a_cloud_by_its_name(save, name):
    cloud = read(save, **{name: POINTS}, Labels=np.arange(10)[:, None], colors=np.zeros((10, 3), "u1"), id=7)
    assert isinstance(cloud, PointCloud)
    assert cloud.points.tolist() == POINTS.tolist()
    assert {key: (str(array.dtype), array.shape) for key, array in cloud.fields.items()} == {
        "Labels": ("int64", (10,)), "colors": ("uint8", (10, 3)),
    }  # fmt: skip
    assert columns.labels_of(cloud).tolist() == [*range(10)]
    assert columns.feature(cloud.fields, "color") == ["colors"]


def test_orders_and_types():
    for array in (np.asfortranarray(POINTS), POINTS.astype(">f8"), POINTS.astype(np.longdouble)):
        assert read(points=array, w=array[:, 0]).points.tolist() == POINTS.tolist()


def test_coordinates_apart():
    cloud = read(x=POINTS[:, 0], y=POINTS[:, 1], z=POINTS[:, 2], intensity=POINTS[:, 0])
    assert cloud.points.tolist() == POINTS.tolist()
    assert list(cloud.fields) == ["intensity"]


def test_further_columns_and_the_users_names():
    table = np.c_[POINTS, np.arange(10)]
    assert list(read(data=table, w=POINTS[:, 0]).fields) == ["column3", "w"]
    cloud = read(meaning=Meaning.said(columns="-,z,y,x"), data=table)
    assert cloud.points.tolist() == table[:, [3, 2, 1]].astype("f4").tolist()
    assert read(meaning=Meaning.said(columns="-,z,y,x"), points=POINTS).points.tolist() == POINTS.tolist()


def test_rows_without_coordinates():
    points = POINTS.copy()
    points[4] = np.nan
    cloud = read(points=points, label=np.arange(10))
    assert cloud.left_out == 1
    assert cloud.labels.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_a_mesh_with_fields_of_both():
    mesh = read(vertices=POINTS, faces=[[0, 1, 2], [2, 3, 4]], labels=[5, 6], normals=POINTS, scale=[1.0, 2, 3, 4])
    assert isinstance(mesh, Mesh)
    assert mesh.faces.tolist() == [[0, 1, 2], [2, 3, 4]]
    assert list(mesh.face_fields) == ["labels"]
    assert list(mesh.vertex_fields) == ["normals"]
    assert columns.labels_of(mesh).tolist() == [5, 6]
    assert isinstance(read(vertices=POINTS, faces=np.zeros((0, 3), int)), PointCloud)


def test_pickles_stay_closed():
    assert len(read(points=POINTS, meta={"a": 1}).points) == 10
    with pytest.raises(FormatError, match=r"which array holds the points\? found points object \(10, 3\)"):
        read(points=POINTS.astype(object))


@pytest.mark.parametrize(
    ("arrays", "rule"),
    [
        ({}, "found no array; save it under the name points"),
        ({"foo": POINTS, "bar": POINTS[:, 0]}, r"foo float32 \(10, 3\), bar float32 \(10,\); save it under"),
        ({"points": POINTS, "xyz": POINTS}, "which array holds the points, points or xyz"),
        ({"points": np.zeros((40, 256, 3)), "labels": np.zeros(40, int)},
         r"found points float64 \(40, 256, 3\), labels int64 \(40,\): 40 shapes of 256 points in one file: write each"),
        ({"points": np.zeros((3, 60))}, "3 rows of 60 numbers: are these 3 points, or is it"),
        ({"points": POINTS, "labels": np.zeros(9, int)}, "the array labels has 9 rows, for 10 points$"),
        ({"points": POINTS, "normals": np.zeros((9, 3))}, "the array normals has 9 rows, for 10 points$"),
        ({"vertices": POINTS, "faces": [[0, 1, 2]], "label": [1, 2]}, "has 2 rows, for 10 points and 1 faces"),
        ({"vertices": POINTS, "faces": [[0, 1, 10]]}, "faces must index the 10 vertices, got 10"),
        ({"vertices": POINTS, "faces": [[0.0, 1, 2]]}, "faces must be whole numbers"),
        ({"vertices": POINTS, "faces": np.zeros((3, 60), int)}, "is the array transposed"),
        ({"vertices": zoo.SQUARE, "faces": zoo.HALVES * 2, "label": [1, 2, 3, 4]},
         "are label of the vertices or of the faces. there are 4 of both"),
        ({"points": POINTS + np.inf}, "finite|without coordinates"),
        ({"points": np.zeros((0, 3))}, "no points"),
        ({"points": np.zeros((4, 3), complex)}, "which array holds the points"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(arrays, rule):
    with np.errstate(invalid="ignore"), pytest.raises(FormatError, match=rule):
        read(**arrays)


def test_zips_that_promise_too_much(monkeypatch):
    monkeypatch.setattr(files, "_UNHARMED", 1 << 20)
    bomb = saved(np.savez_compressed, points=np.zeros((200_000, 3), "f4"))
    with pytest.raises(FormatError, match=r"its arrays take 2,400,128 bytes, more than 100 times the file's"):
        formats.read(bomb, ".npz")
    assert len(read(np.savez, points=np.zeros((200_000, 3), "f4")).points) == 200_000
    assert len(read(np.savez_compressed, points=POINTS, blob=np.zeros(9_000_000)).points) == 10  # what is not needed
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("points.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(9_000_000))
    with pytest.raises(FormatError, match="the array 'points': NumPy cannot read it: EOF"):
        formats.read(stream.getvalue(), ".npz")


def changed(name, data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(name, data)
    return stream.getvalue()


def test_arrays_that_lie():
    stream = io.BytesIO()
    np.save(stream, POINTS)
    data = stream.getvalue()
    for lie in (data[:-1], data + b"0", data.replace(b"(10, 3)", b"(11, 3)")):
        with pytest.raises(FormatError, match=r"the array 'points': the header promises \(1., 3\), which is 1.. bytes"):
            formats.read(changed("points.npy", lie), ".npz")
    with pytest.raises(FormatError, match="the array 'points': NumPy cannot read it"):
        formats.read(changed("points.npy", b"1 2 3\n"), ".npz")
    with pytest.raises(FormatError, match="found no array"):
        formats.read(changed("points.txt", b"1 2 3\n"), ".npz")
    with pytest.raises(FormatError, match="zipfile cannot read it"):
        formats.read(b"1 2 3\n", ".npz")
    flipped = bytearray(saved(points=POINTS))
    flipped[flipped.find(POINTS.tobytes()) + 5] ^= 1
    with pytest.raises(FormatError, match="zipfile cannot read it: Bad CRC-32"):
        formats.read(bytes(flipped), ".npz")


def test_what_numpy_reads(tmp_path):
    formats.write(tmp_path / "a.npz", zoo.CLOUDS["fields"])
    with np.load(tmp_path / "a.npz") as file:
        assert file["points"].dtype == "float32"
        for name, array in zoo.CLOUDS["fields"].fields.items():
            assert file[name].dtype == array.dtype
            assert file[name].tolist() == array.tolist()


@pytest.mark.parametrize("name", ["points", "xyz", "faces"])
def test_a_field_that_would_be_taken_for_the_coordinates(tmp_path, name):
    with pytest.raises(FormatError, match=f"names of their own, got '{name}'"):
        formats.write(tmp_path / "a.npz", PointCloud(POINTS, {name: POINTS}))
