"""Folders of HDF5 files that hold many shapes each: classes, splits, parts, and what is said where they are no set."""

import numpy as np
import pytest

from pointkit import formats
from pointkit.datasets import stacked
from pointkit.datasets.asked import NOTHING_ASKED, Asked
from pointkit.errors import PointkitError
from pointkit.prepare import chunks, prepare, survey

h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")

NAMES = ("bolt", "nut", "night_stand")


def made(folder, count=6, name="ply_data_train0.h5", seed=0, **more):
    """A file of ``count`` shapes of 30 points, and what is in it."""
    rng = np.random.default_rng(seed)
    codes = np.arange(count) % 3
    arrays = {"data": rng.normal(size=(count, 30, 3)).astype("f4"), "label": codes[:, None].astype("u1"), **more}
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / name, "w") as file:
        for key, array in arrays.items():
            if array is not None:
                file[key] = array
    return arrays


@pytest.fixture
def published(tmp_path):
    folder = tmp_path / "set"
    made(folder)
    made(folder, 3, "ply_data_train1.h5", 1)
    made(folder, 4, "ply_data_test0.h5", 2)
    (folder / "shape_names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    for split, files in (("train", "01"), ("test", "0")):
        lines = "".join(f"data/set/ply_data_{split}{number}.h5\n" for number in files)
        (folder / f"{split}_files.txt").write_text(lines)
    return folder


def find(folder, task=None, **asked):
    return stacked.find(folder, task, Asked(**asked) if asked else NOTHING_ASKED)


def test_a_set_as_it_is_published(published):
    found = find(published)
    assert found.classes == tuple(sorted(NAMES))
    assert len(found.files) == 13
    assert [(file.file, file.class_name, file.split) for file in found.files[:5]] == [
        ("ply_data_test0.h5/00000", "bolt", "test"),
        ("ply_data_test0.h5/00001", "nut", "test"),
        ("ply_data_test0.h5/00002", "night_stand", "test"),
        ("ply_data_test0.h5/00003", "bolt", "test"),
        ("ply_data_train0.h5/00000", "bolt", "train"),
    ]
    assert {file.split for file in find(published, split="70/10/20").files} == {""}
    assert found.words.taken == "3 classes, 13 shapes; split from the files' lists or names"


def test_without_lists_and_names_the_files_own_names_and_codes_count(published):
    for path in published.glob("*.txt"):
        path.unlink()
    found = find(published)
    assert found.classes == ("0", "1", "2")
    assert {file.split for file in found.files} == {"train", "test"}
    (published / "ply_data_test0.h5").rename(published / "more.h5")
    assert {file.split for file in find(published).files} == {""}


def test_files_in_no_list_and_of_other_formats_are_said(published):
    made(published, 3, "extra.h5")
    formats.write(published / "one.ply", np.zeros((4, 3), np.float32))
    found = find(published)
    assert found.warnings == (
        "files in no list of a split are left out: extra.h5",
        "other files beside are left out: 1 .ply",
    )
    assert len(found.files) == 13


def test_parts_and_their_categories(published, tmp_path):
    pid = np.random.default_rng(3).integers(0, 4, (6, 30))
    made(published, pid=pid)
    with pytest.raises(PointkitError, match=r"points in ply_data_test0.h5 have no labels; --label-field says which"):
        find(published, "parts")
    folder = tmp_path / "parts"
    made(folder, 6, "rooms.h5", label=None, segment=pid)
    found = find(folder)
    assert (found.layout, found.classes, len(found.files)) == ("fields", ("parts",), 6)
    assert find(folder, category="room").classes == ("room",)
    with pytest.raises(PointkitError, match=r"rooms.h5 has no class of each shape, an array label \(6,\)"):
        find(folder, "classification")


def test_other_folders_are_none(tmp_path):
    (tmp_path / "a").mkdir()
    with h5py.File(tmp_path / "a" / "one.h5", "w") as file:
        file["points"] = np.eye(3)
    assert find(tmp_path) is None
    assert find(tmp_path / "missing") is None
    (tmp_path / "a" / "damaged.h5").write_bytes(b"nothing")
    assert find(tmp_path) is None


def test_what_makes_no_set(published):
    for asked, words in (({"folders": "none"}, "--folders"), ({"table": "t.csv"}, "--table")):
        with pytest.raises(PointkitError, match=f"{words} is for files of one shape each, and ply_data_test0.h5"):
            find(published, **asked)
    made(published, 6, label=np.full(6, -2))
    with pytest.raises(PointkitError, match=r"classes must be codes from 0 on, ply_data_train0.h5 has -2"):
        find(published)
    (published / "ply_data_train0.h5").write_bytes(b"nothing")
    with pytest.raises(PointkitError, match=r"ply_data_train0.h5: an HDF5 file begins with"):
        find(published)
    with h5py.File(published / "ply_data_train0.h5", "w") as file:
        file["points"] = np.eye(3)
    with pytest.raises(PointkitError, match=r"ply_data_train0.h5 holds one shape, ply_data_test0.h5 many: part them"):
        find(published)


def test_it_is_prepared(published, tmp_path):
    store = prepare(published, tmp_path / "store", num_points=30, workers=1).store
    assert survey.look(published).facts()["shapes"] == 13
    assert store.classes == tuple(sorted(NAMES))
    rows = {row.file: (row.class_name, row.split) for row in store.rows}
    assert len(rows) == 13
    assert rows["ply_data_test0.h5/00002"] == ("night_stand", "test")
    data = made(tmp_path / "again", 4, "ply_data_test0.h5", 2)["data"]
    place = [row.file for row in store.rows].index("ply_data_test0.h5/00002")
    stored = store.points[30 * place : 30 * place + 30]
    assert sorted(map(tuple, stored.tolist())) == sorted(map(tuple, data[2].tolist()))


def test_shapes_of_one_file_are_read_together():
    stamps = ((3_000_000, 1),)
    sources = [chunks.Source(f"a.h5/{i}", stamps) for i in range(40)] + [chunks.Source("b.ply", stamps)]
    assert chunks.divide(sources) == [slice(0, 32), slice(32, 40), slice(40, 41)]
