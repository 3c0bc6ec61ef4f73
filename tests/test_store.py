"""The prepared set on disk: written whole or not at all, opened only if it is one, every flipped byte found."""

import errno
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from pointkit import disk, store
from pointkit.cloud import Sample
from pointkit.errors import MachineError, PointkitError, StoreError
from pointkit.store import ShapeRow

FACTS = {"task": "classification", "seed": 3, "num_points_drawn": 7, "counts": {"train": {"chair": 1}}}
SHAPES = (("a/1", "train", "chair", 5), ("a/2", "test", "bed", 7), ("b/1", "val", "chair", 1))
EXTRA = {"unread.csv": "file,reason\n"}


def shapes(rows=SHAPES):
    rng = np.random.default_rng(0)
    for ident, split, name, count in rows:
        points = rng.normal(size=(count, 3)).astype(np.float32)
        points.flags.writeable = False
        yield ShapeRow(ident, f"{ident}.off", split, name), points


PARTS = {"bed": ["frame", "mattress"], "chair": ["leg", "seat", "back"]}


def part_shapes():
    """The same shapes with labels and features."""
    for row, points in shapes():
        labels = np.arange(len(points), dtype=np.int32) % 2 + (2 if row.class_name == "chair" else 0)
        labels[0] = -1
        yield row, Sample(points, labels, points[:, :2] * 2)


@pytest.fixture
def parted(tmp_path):
    facts = {**FACTS, "task": "part segmentation", "parts": PARTS, "features": ["u", "v"]}
    return store.write(tmp_path / "parts", part_shapes(), ["bed", "chair"], facts)


def test_parts_and_features_come_out_too(parted):
    assert parted.parts == {"bed": ("frame", "mattress"), "chair": ("leg", "seat", "back")}
    assert parted.part_ids == {"bed": range(2), "chair": range(2, 5)}
    assert (parted.point_labels.dtype, parted.features.dtype) == (np.int32, np.float32)
    for i, (_, sample) in enumerate(part_shapes()):
        np.testing.assert_array_equal(parted.point_labels[parted.span(i)], sample.labels)
        np.testing.assert_array_equal(parted.features[parted.span(i)], sample.features)
    assert not parted.point_labels.flags.writeable
    store.verify(parted)


def test_labels_are_part_of_the_checksum(parted, tmp_path):
    other = [(row, sample._replace(labels=sample.labels * 0)) for row, sample in part_shapes()]
    changed = store.write(tmp_path / "other", other, ["bed", "chair"], {"parts": PARTS, "features": ["u", "v"]})
    assert changed.checksum != parted.checksum


def test_all_shapes_have_labels_or_none(tmp_path):
    mixed = [(row, sample if i else sample.points) for i, (row, sample) in enumerate(part_shapes())]
    with pytest.raises(ValueError, match=r"a/2: must have points\.npy like the shapes before"):
        store.write(tmp_path / "set", mixed, ["bed", "chair"], FACTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["point_labels.npy", "features.npy"])
def test_cut_labels_or_features_are_found_at_once(parted, name):
    path = parted.path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"{name} must have"):
        store.open(parted.path)


def test_parts_of_other_classes_are_damage(parted):
    path = parted.path / "manifest.json"
    path.write_text(path.read_text().replace('"bed": [', '"cot": ['))
    with pytest.raises(StoreError, match=r"manifest.json: damaged \(parts must be those of bed, chair, found "):
        store.open(parted.path)


@pytest.fixture
def made(tmp_path):
    return store.write(tmp_path / "set", shapes(), ["bed", "chair"], FACTS, EXTRA)


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_goes_in_comes_out(made):
    assert made.classes == ("bed", "chair")
    assert [(row.ident, row.split, row.class_name, row.offset, row.count) for row in made.rows] == [
        ("a/1", "train", "chair", 0, 5),
        ("a/2", "test", "bed", 5, 7),
        ("b/1", "val", "chair", 12, 1),
    ]
    for i, (_, points) in enumerate(shapes()):
        np.testing.assert_array_equal(made.cloud(i), points)
    np.testing.assert_array_equal(made.labels, [1, 0, 1])
    np.testing.assert_array_equal(made.counts, [5, 7, 1])
    np.testing.assert_array_equal(made.select("test"), [1])
    assert made.labels.dtype == np.int32
    assert {key: made.manifest[key] for key in FACTS} == FACTS
    assert made.manifest["num_shapes"] == 3
    assert not made.points.flags.writeable
    store.verify(made)
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'dev'"):
        made.select("dev")


def test_points_are_a_plain_npy(made):
    np.testing.assert_array_equal(np.load(made.path / "points.npy"), made.points)


def test_the_same_shapes_give_the_same_bytes(made, tmp_path):
    other = store.write(tmp_path / "other", shapes(), ["bed", "chair"], FACTS, EXTRA)
    assert contents(other.path) == contents(made.path)
    assert other.checksum == made.checksum
    fewer = store.write(tmp_path / "fewer", shapes(SHAPES[:2]), ["bed", "chair"], FACTS)
    assert fewer.checksum != made.checksum
    assert {path.name for path in tmp_path.iterdir()} == {"set", "other", "fewer"}  # nothing is left beside


def test_awkward_names(tmp_path):
    names = ["a,b", 'a"b', "line\nbreak", "cr\rlf", "\r\n", "Ünï", os.fsdecode(b"\xff\xfe"), " space "]
    rows = [(f"{name}/1", "train", name, 1) for name in names]
    made = store.write(tmp_path / "set", shapes(rows), sorted(names), FACTS)
    assert [row.class_name for row in made.rows] == names
    assert sorted(names) == list(made.classes)
    store.verify(made)


def test_an_older_store_is_replaced_whole(made):
    store.write(made.path, shapes(SHAPES[:1]), ["chair"], FACTS)
    assert len(store.open(made.path).rows) == 1
    assert [path.name for path in made.path.parent.iterdir()] == ["set"]


def failing(error):
    yield from shapes(SHAPES[:1])
    raise error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), MachineError),
        (OSError(errno.EFBIG, "File too large"), MachineError),
        (PermissionError(errno.EACCES, "Permission denied", "points.npy"), PointkitError),
        (OSError(errno.EIO, "Input/output error"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_leaves_the_older_store_and_nothing_else(made, error, kind):
    before = contents(made.path)
    with pytest.raises(kind) as caught:
        store.write(made.path, failing(error), ["chair"], FACTS)
    if kind in (MachineError, PointkitError):
        assert str(caught.value).startswith(f"{made.path}: ")
    assert contents(made.path) == before
    assert [path.name for path in made.path.parent.iterdir()] == ["set"]


def test_a_kill_between_the_two_renames_is_mended(made):
    before = contents(made.path)
    made.path.rename(made.path.with_name(".set.replaced"))
    with pytest.raises(KeyboardInterrupt):
        store.write(made.path, failing(KeyboardInterrupt()), ["chair"], FACTS)
    assert contents(made.path) == before


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_store_is_not_replaced(tmp_path, kind):
    place = tmp_path / "thesis"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "chapter.tex").write_text("years of work")
    if kind == "file":
        place.write_text("years of work")
    elif kind == "folder":
        (tmp_path / "other").rename(place)
    else:
        place.symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match="thesis: exists and is not a store"):
        store.write(place, shapes(), ["bed", "chair"], FACTS)
    assert place.is_file() or (place / "chapter.tex").read_text() == "years of work"


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "set").mkdir()
    assert len(store.write(tmp_path / "set", shapes(), ["bed", "chair"], FACTS).rows) == 3


def damage_error(folder: pathlib.Path) -> str:
    with pytest.raises(StoreError) as caught:
        store.verify(store.open(folder))
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert "\n" not in message
    return message


def test_every_flipped_byte_is_found(made):
    for name, whole in contents(made.path).items():
        places = range(len(whole)) if len(whole) < 400 else range(0, len(whole), 7)
        for place in places:
            for bit in (0, 5):
                flipped = bytearray(whole)
                flipped[place] ^= 1 << bit
                (made.path / name).write_bytes(flipped)
                damage_error(made.path)
        (made.path / name).write_bytes(whole)
    store.verify(store.open(made.path))


def test_every_cut_and_every_missing_file_is_found(made):
    for name, whole in contents(made.path).items():
        for length in {0, 1, len(whole) // 2, len(whole) - 1}:
            (made.path / name).write_bytes(whole[:length])
            damage_error(made.path)
        (made.path / name).unlink()
        damage_error(made.path)
        (made.path / name).write_bytes(whole)
    store.verify(store.open(made.path))


def test_what_is_no_store_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere: not a store .* pointkit prepare FOLDER -o .*nowhere"):
        store.open(tmp_path / "nowhere")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.off").touch()
    with pytest.raises(StoreError, match=r"mine: not a store .* pointkit prepare .*mine -o STORE"):
        store.open(tmp_path / "mine")
    for text, found in (
        ("{", "not JSON"),
        ("[]", "not a store's manifest"),
        ('{"format": "pointkit run"}', "not a store's manifest"),
        ('{"format": "pointkit store"}', "version must be a whole number, found None"),
        ('{"format": "pointkit store", "version": 1}', "it has no classes"),
    ):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(StoreError, match=found):
            store.open(tmp_path)


def test_a_newer_version_is_refused(made):
    manifest = json.loads((made.path / "manifest.json").read_text())
    (made.path / "manifest.json").write_text(json.dumps({**manifest, "version": 2}))
    with pytest.raises(StoreError, match="store version 2, this pointkit reads up to 1; install a newer one"):
        store.open(made.path)


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("offset", "1", "points at 1, where 0 must be"),
        ("count", "-5", "-5 points at 0"),
        ("count", "6", "points at 5, where 6 must be"),
        ("count", "many", "invalid literal"),
        ("class", "table", "has the class 'table', manifest.json does not"),
        ("split", "dev", "has the split 'dev'"),
    ],
)
def test_rows_that_cannot_be(made, column, value, found):
    rows = disk.csv_rows(made.path / "shapes.csv")
    rows[0][column] = value
    (made.path / "shapes.csv").write_text(disk.csv_text(store.COLUMNS, [list(row.values()) for row in rows]))
    with pytest.raises(StoreError, match=found):
        store.open(made.path)


def test_arrays_that_cannot_be(made):
    for array in (np.zeros((12, 3), np.float32), np.zeros((13, 3)), np.array([{}], object)):
        np.save(made.path / "points.npy", array, allow_pickle=True)
        with pytest.raises(StoreError, match="damaged store"):
            store.open(made.path)


def test_a_store_may_be_moved(made, tmp_path):
    shutil.move(made.path, tmp_path / "moved")
    moved = store.open(tmp_path / "moved")
    store.verify(moved)
    assert moved.checksum == made.checksum


def test_classes_are_sorted_and_ids_follow_them(tiny_store):
    assert list(tiny_store.classes) == sorted(tiny_store.classes)
    assert [tiny_store.classes[label] for label in tiny_store.labels] == [row.class_name for row in tiny_store.rows]
