"""HDF5: one shape in named arrays, many shapes with numbers, damage, and no other file."""

import io
import os

import numpy as np
import pytest

from pointkit import formats, info, pool, view
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError
from pointkit.formats import decoding, files
from pointkit.formats.columns import Meaning
from tests import damage

h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")

RNG = np.random.default_rng(24)
POINTS = RNG.normal(size=(20, 3)).astype("f4")
MANY = RNG.normal(size=(5, 20, 3)).astype("f4")


def saved(**arrays):
    """The bytes of a file with these arrays; a name with __ is one in a group, a value in a tuple has options."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, array in arrays.items():
            array, options = array if isinstance(array, tuple) else (array, {})
            file.create_dataset(name.replace("__", "/"), data=array, **options)
    return stream.getvalue()


def read(data, **more):
    return formats.read(data, ".h5", **more)


@pytest.fixture
def stacked(tmp_path):
    codes = np.uint8([[0], [2], [2], [1], [0]])
    pids = RNG.integers(0, 4, (5, 20))
    path = tmp_path / "ply_data_train0.h5"
    path.write_bytes(saved(data=(MANY, {"compression": "gzip"}), label=codes, normal=-MANY, pid=pids, faceId=pids + 90))
    return path


# ---- one shape


def test_a_cloud_with_its_fields_in_their_types():
    labels, colors = RNG.integers(0, 3, 20), RNG.integers(0, 256, (20, 3), np.uint8)
    more = {"intensity": POINTS[:, 0].astype("f8"), "about": np.zeros(3)}
    cloud = read(saved(points=POINTS, labels=labels, colors=colors, **more))
    assert isinstance(cloud, PointCloud)
    np.testing.assert_array_equal(cloud.points, POINTS)
    np.testing.assert_array_equal(cloud.fields["labels"], labels)
    assert {name: array.dtype.name for name, array in cloud.fields.items()} == {
        "colors": "uint8", "intensity": "float64", "labels": "int64",
    }  # fmt: skip


def test_arrays_in_groups_are_called_by_their_last_names():
    cloud = read(saved(scan__points=POINTS, scan__more__label=np.arange(20), scan__scan_angle=POINTS[:, 1]))
    assert sorted(cloud.fields) == ["label", "scan_angle"]
    with pytest.raises(FormatError, match=r"which array holds the points\? found a/points float32 \(20, 3\), b/points"):
        read(saved(a__points=POINTS, b__points=POINTS))


def test_columns_of_three_arrays_and_of_a_table_that_the_user_names():
    x, y, z = POINTS.T
    np.testing.assert_array_equal(read(saved(x=x, y=y, z=z)).points, POINTS)
    table = np.c_[np.arange(20), POINTS, np.full(20, 7)]
    cloud = read(saved(data=table), meaning=Meaning.said(columns="-,x,y,z,label"))
    np.testing.assert_array_equal(cloud.points, POINTS)
    assert list(cloud.fields) == ["label"]


def test_records():
    kind = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("classification", "u1")]
    rows = np.zeros(20, kind)
    for name, column in zip("xyz", POINTS.T, strict=True):
        rows[name] = column
    cloud = read(saved(table=rows))
    np.testing.assert_array_equal(cloud.points, POINTS)
    assert cloud.fields["classification"].dtype == np.uint8


def test_a_mesh_and_rows_without_coordinates():
    mesh = read(saved(vertices=POINTS, faces=np.int64([[0, 1, 2], [2, 3, 4]])))
    assert isinstance(mesh, Mesh)
    holes = POINTS.copy()
    holes[3] = np.nan
    assert read(saved(points=holes)).left_out == 1


def test_labels_go_into_a_ply(tmp_path):
    (tmp_path / "scan.h5").write_bytes(saved(points=POINTS, intensity=POINTS[:, 0]))
    formats.annotate(tmp_path / "scan.h5", tmp_path / "scan.ply", {"label": np.arange(20, dtype=np.int32)})
    again = formats.read(tmp_path / "scan.ply")
    np.testing.assert_array_equal(again.points, POINTS)
    assert (list(again.fields), again.labels.tolist()) == (["intensity", "label"], list(range(20)))


# ---- many shapes


def test_a_shape_of_many_has_a_number(stacked):
    for number in range(5):
        for name in (str(number), f"{number:05}"):
            cloud = formats.read(stacked / name)
            np.testing.assert_array_equal(cloud.points, MANY[number])
            np.testing.assert_array_equal(cloud.fields["normal"], -MANY[number])
            assert "label" not in cloud.fields
            assert cloud.fields["pid"].shape == (20,)


def test_what_a_stack_holds(stacked):
    stack = formats.stack(stacked)
    assert (stack.count, stack.points, stack.labelled) == (5, 20, True)
    assert stack.classes.tolist() == [0, 2, 2, 1, 0]
    (stacked.with_name("one.h5")).write_bytes(saved(points=POINTS))
    assert formats.stack(stacked.with_name("one.h5")) is None


def test_the_file_may_change_between_two_shapes(stacked):
    formats.read(stacked / "0")
    stacked.write_bytes(saved(data=MANY + 1, label=np.arange(5)))
    np.testing.assert_array_equal(formats.read(stacked / "0").points, MANY[0] + 1)


def test_wrong_numbers_and_none(stacked):
    with pytest.raises(FormatError, match=r"ply_data_train0.h5: 5 shapes of 20 points in one file: FILE/0 to FILE/4"):
        formats.read(stacked)
    with pytest.raises(FormatError, match=r"ply_data_train0.h5/5: holds 5 shapes, 0 to 4, got the number 5"):
        formats.read(stacked / "5")
    stacked.write_bytes(saved(points=POINTS))
    with pytest.raises(FormatError, match=r"train0.h5/0: holds one shape, so none has the number 0; found points"):
        formats.read(stacked / "0")


PATHS = {
    "a/b.h5/3": ("a/b.h5", 3), "a/b.HDF5/00012": ("a/b.HDF5", 12), "a/b.h5": ("a/b.h5", None), "3": ("3", None),
    "a/b.ply/3": ("a/b.ply/3", None), "b.h5/x": ("b.h5/x", None), "b.h5/-1": ("b.h5/-1", None),
    "b.h5/9999999999": ("b.h5/9999999999", None),
}  # fmt: skip


@pytest.mark.parametrize(("path", "found"), PATHS.items())
def test_paths_within(path, found):
    assert formats.within(path) == found


# ---- damage


def with_links(tmp_path):
    (tmp_path / "secret.h5").write_bytes(saved(points=POINTS))
    path = tmp_path / "links.h5"
    with h5py.File(path, "w") as file:
        file["points"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/points")
        file["xyz"] = h5py.SoftLink("/points")
    return path


def with_others(tmp_path, kind):
    path = tmp_path / f"{kind}.h5"
    (tmp_path / "raw.bin").write_bytes(POINTS.tobytes())
    (tmp_path / "secret.h5").write_bytes(saved(points=POINTS))
    with h5py.File(path, "w", libver="latest") as file:
        if kind == "external":
            file.create_dataset("points", (20, 3), "f4", external=[(str(tmp_path / "raw.bin"), 0, POINTS.nbytes)])
        else:
            layout = h5py.VirtualLayout((20, 3), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "points", (20, 3))
            file.create_virtual_dataset("points", layout)
    return path


def test_no_other_file_is_opened(tmp_path):
    with pytest.raises(FormatError, match=r"links.h5: which array holds the points\? found no array"):
        formats.read(with_links(tmp_path))
    for kind in ("external", "virtual"):
        with pytest.raises(
            FormatError, match=rf"{kind}.h5: the array points lies in other files, which are not opened"
        ):
            formats.read(with_others(tmp_path, kind))


def unwritten(**options):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("points", (1000, 3), "f4", **options)
        if "chunks" in options:
            file["points"][:100] = 1
    return stream.getvalue()


def in_a_circle():
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        inner = file.create_group("a/b")
        inner["c"] = file["a"]
        file["a/points"] = POINTS
    return stream.getvalue()


def spoiled(data):
    """A file whose compressed numbers are damaged."""
    at = data.index(b"\x78\x5e") if b"\x78\x5e" in data else data.index(b"\x78\x9c")
    return data[: at + 20] + b"\xff" * 30 + data[at + 50 :]


WHOLE = saved(points=POINTS, label=np.arange(20))
DAMAGED = {
    "cut in the signature": (WHOLE[:5], "an HDF5 file begins with"),
    "no HDF5": (b"nothing of the kind", "an HDF5 file begins with"),
    "the signature alone": (WHOLE[:8], "h5py cannot read it"),
    "cut in half": (WHOLE[: len(WHOLE) // 2], "h5py cannot read it: "),
    "without its last byte": (WHOLE[:-1], "truncated file"),
    "empty": (saved(), "which array holds the points? found no array"),
    "words": (saved(points=np.array([b"a", b"b"])), "which array holds the points? found no array"),
    "no points": (saved(points=np.empty((0, 3))), "no points"),
    "two columns": (saved(points=POINTS[:, :2]), "which array holds the points? found points float32 (20, 2)"),
    "four dimensions": (saved(points=np.zeros((2, 2, 2, 3))), "which array holds the points?"),
    "labels of other points": (saved(points=POINTS, label=np.arange(19)), "has 19 rows, for 20 points"),
    "infinite": (saved(points=POINTS * np.inf), "points must be finite float32 numbers"),
    "rows of nan alone": (saved(points=POINTS * np.nan), "no points: all 20 rows are without coordinates"),
    "faces beyond": (saved(vertices=POINTS, faces=np.int32([[0, 1, 20]])), "faces must index the 20 vertices, got 20"),
    "never written": (unwritten(), "the array points promises 12,000 bytes, got 0: it was not written whole"),
    "half written": (unwritten(chunks=(100, 3)), "promises 10 chunks, got 1: it was not written whole"),
    "compressed and spoiled": (spoiled(saved(points=(np.arange(3000.0).reshape(1000, 3), {"compression": "gzip"}))),
                               "h5py cannot read it: "),
    "a checksum that is wrong": (saved(points=(POINTS, {"chunks": (20, 3), "fletcher32": True})).replace(
        POINTS.tobytes(), (-POINTS).tobytes()), "h5py cannot read it: "),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_one_line(kind):
    data, line = DAMAGED[kind]
    found = damage.refusal(data, ".h5")
    assert found is not None
    assert line in found


def test_groups_in_a_circle_are_entered_once():
    np.testing.assert_array_equal(read(in_a_circle()).points, POINTS)


def test_a_bomb(monkeypatch):
    monkeypatch.setattr(files, "_UNHARMED", 1 << 20)
    data = saved(points=(np.zeros((200_000, 3)), {"compression": "gzip", "compression_opts": 9}))
    assert len(data) < 30_000
    assert "it may be made to fill the memory" in damage.refusal(data, ".h5")


def test_mutants_and_cuts_are_read_or_refused():
    data = saved(scan__points=(POINTS, {"compression": "gzip"}), scan__label=np.arange(20))
    read_anyway = sum(damage.refusal(mutant, ".h5") is None for mutant in damage.mutants(data, 300, seed=24))
    assert 0 < read_anyway < 280
    for length in range(1, len(data), 97):
        assert damage.refusal(data[:length], ".h5"), length


def dies(source):
    os.abort()
    yield


def hangs(source):
    import time

    time.sleep(60)
    yield


@pytest.mark.parametrize(("fn", "line"), [(dies, r"it is damaged: the process that read it died \(signal SIGABRT\)"),
                                          (hangs, r"it is damaged: no answer within 1 seconds")])  # fmt: skip
def test_a_library_that_dies_or_hangs_costs_its_file_alone(monkeypatch, fn, line):
    monkeypatch.setattr(decoding, "DEADLINE", 1.0 if fn is hangs else 60.0)
    monkeypatch.setattr("pointkit.formats.hdf5.listed", fn)
    assert not pool.is_apart()
    with pytest.raises(FormatError, match=line):
        read(WHOLE)
    monkeypatch.undo()
    np.testing.assert_array_equal(read(WHOLE).points, POINTS)


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(FormatError, match=r"HDF5 files need the extra hdf5: pip install 'pointkit\[hdf5\]'"):
        read(WHOLE)


def test_view_and_info_take_a_number(stacked):
    view.view(stacked / "2", stacked.with_suffix(".png"))
    assert stacked.with_suffix(".png").stat().st_size > 1000
    assert info.describe(stacked / "2")["points"] == 20
