"""How folders are read: splits under near names, classes, scans, pieces, dates; and when the user is asked."""

import pathlib

import pytest

from pointkit.datasets import folder
from pointkit.datasets.asked import Asked
from pointkit.errors import PointkitError

SUFFIXES = (".ply", ".txt")


def touch(root: pathlib.Path, *files: str) -> pathlib.Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("1 2 3\n")
    return root


def some(*patterns: str, numbers=range(3)) -> list[str]:
    return [pattern.format(i) for pattern in patterns for i in numbers]


def found(root: pathlib.Path, parts: bool = False, labelled=True, **asked: str) -> folder.Found:
    return folder.find(root, SUFFIXES, parts=parts, asked=Asked(**asked), labelled=lambda path: labelled)


def places(root: pathlib.Path, parts: bool = False, **asked: str) -> set[tuple[str, str]]:
    """Pairs of class and split."""
    return {(file.class_name, file.split) for file in found(root, parts, **asked).files}


def refusal(root: pathlib.Path, parts: bool = False, **asked: str) -> str:
    with pytest.raises(PointkitError) as caught:
        found(root, parts, **asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- splits


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train_data", "valid_data", "test_data"),
        ("Train_Set", "Val_Set", "TestSet"),
        ("training", "validation set", "test-data"),
        ("trainset", "dev", "TESTING"),
        ("screws_train", "screws_val", "screws_test"),
    ],
)
@pytest.mark.parametrize("pattern", ["{1}/{0}/{2}.ply", "{0}/{1}/{2}.ply", "around/{0}/{1}/deep/{2}.ply"])
def test_split_folders_under_near_names(tmp_path, train, val, test, pattern):
    splits = {train: "train", val: "val", test: "test"}
    files = [pattern.format(name, kind, i) for name in splits for kind in ("bolt", "nut") for i in range(2)]
    assert places(touch(tmp_path, *files)) == {(kind, split) for kind in ("bolt", "nut") for split in splits.values()}


def test_a_split_may_lie_deeper_where_it_does_for_every_file(tmp_path):
    files = [f"{kind}/scans/{split}/{i}.ply" for kind in "ab" for split in ("train", "test") for i in range(2)]
    assert places(touch(tmp_path, *files)) == {(kind, split) for kind in "ab" for split in ("train", "test")}
    touch(tmp_path, "a/scans/1.ply")
    message = refusal(tmp_path)
    assert "found a/scans/test/0.ply and a/scans/1.ply; --split 70/10/20" in message
    assert places(tmp_path, split="70/10/20") == {("a", ""), ("b", "")}


def test_a_folder_may_name_class_and_split(tmp_path):
    files = [f"{kind}_{split}/{i}.ply" for kind in ("bolt", "nut") for split in ("train", "test") for i in range(2)]
    assert places(touch(tmp_path, *files)) == {(kind, split) for kind in ("bolt", "nut") for split in ("train", "test")}


def test_a_split_of_ones_own_goes_before_the_folders(tmp_path):
    touch(tmp_path, *some("train/bolt/{}.ply", "test/nut/{}.ply"))
    made = found(tmp_path, split="80/20")
    assert {file.split for file in made.files} == {""}
    assert made.words.taken.endswith("split 80/20 made here, the split folders are not used")
    assert made.asked == {"split_asked": "80/20"}


# ---- parts without a folder a category


@pytest.mark.parametrize("around", ["", "around/"])
def test_labelled_clouds_need_no_category_folder(tmp_path, around):
    splits = touch(tmp_path / "splits", *some(f"{around}training/{{}}.ply", f"{around}TestSet/{{}}.ply"))
    name = around.strip("/") or "splits"
    assert places(splits, parts=True) == {(name, "train"), (name, "test")}
    flat = touch(tmp_path / "flat", *some("{}.ply"))
    made = found(flat, parts=True)
    assert {(file.file, file.class_name) for file in made.files} == {(f"{i}.ply", "flat") for i in range(3)}
    assert found(flat, parts=True, category="table").classes == ("table",)
    assert "--category NAME" in " ".join(made.words.otherwise)


@pytest.mark.parametrize(
    "files",
    [
        some("2024-01/a{}.ply", "2024-02/b{}.ply"),
        some("scan_1/a{}.ply", "scan_2/b{}.ply"),
        some("office_{}/cloud.ply"),
        some("{}/pc.ply", numbers=range(100, 109)),
        some("train/Monday 0{}/x.ply", "test/Monday 1{}/y.ply"),
        ["1a04e3/pc.ply", "ffe02/pc.ply", "09b3/pc.ply"],
    ],
)
def test_folders_that_name_no_category_are_one_set(tmp_path, files):
    made = found(touch(tmp_path / "table", *files), parts=True)
    assert made.classes == ("table",)
    assert len(made.files) == len(files)
    assert "--folders classes" in " ".join(made.words.otherwise)


def test_folders_that_name_categories(tmp_path):
    touch(tmp_path, *some("table/{}/pc.ply", "chair/{}/pc.ply"))
    assert found(tmp_path, parts=True).classes == ("chair", "table")
    assert "--folders none" in " ".join(found(tmp_path, parts=True).words.otherwise)
    assert found(tmp_path, parts=True, folders="none", category="thing").classes == ("thing",)
    assert found(tmp_path, parts=True, folders="scans").classes == ("chair", "table")
    synsets = touch(tmp_path / "synsets", *some("02691156/{}.ply", "03001627/{}.ply"))
    assert found(synsets, parts=True).classes == ("02691156", "03001627")
    assert "--category names the one category" in refusal(tmp_path, parts=True, category="thing")


def test_parts_json_names_the_categories(tmp_path):
    touch(tmp_path, *some("kind_1/{}.ply", "kind_2/{}.ply"))
    assert found(tmp_path, parts=True).classes == (tmp_path.name,)
    (tmp_path / "parts.json").write_text('{"kind_1": ["top", "legs"], "kind_2": ["seat", "back"]}')
    made = found(tmp_path, parts=True)
    assert made.classes == ("kind_1", "kind_2")
    assert made.part_names["kind_2"] == ("seat", "back")
    named = found(tmp_path, parts=True, names="0=top,1=legs")
    assert named.part_names == {}
    assert named.codes[""].names == {0: "top", 1: "legs"}


def test_a_folder_a_scan_of_one_category(tmp_path):
    made = found(touch(tmp_path, *some("table/{}/pc.ply")), parts=True)
    assert made.classes == ("table",)
    assert made.root == tmp_path / "table"


def test_folders_of_one_scan_each_that_are_words_are_asked_about(tmp_path):
    touch(tmp_path, "alice/pc.ply", "bob/pc.ply", "carol/pc.ply")
    message = refusal(tmp_path, parts=True)
    assert f"--folders none gives one category ({tmp_path.name}) of 3 shapes" in message
    assert "--folders classes gives 3 categories (alice, bob, carol) of 1 shape each" in message
    assert found(tmp_path, parts=True, folders="none").classes == (tmp_path.name,)
    assert found(tmp_path, parts=True, folders="scans").classes == (tmp_path.name,)
    assert len(found(tmp_path, parts=True, folders="classes").classes) == 3


def test_files_outside_of_folders_are_asked_about_where_they_are_the_most(tmp_path):
    touch(tmp_path, *some("{}.ply"), "more/x.ply")
    assert "3 files lie outside of folders, 1 in folders" in refusal(tmp_path, parts=True)
    assert len(found(tmp_path, parts=True, folders="none").files) == 4


def test_scans_hold_one_shape(tmp_path):
    touch(tmp_path, "table/1/a.ply", "table/1/b.ply", "table/2/a.ply")
    assert "--folders scans, but table/1 holds 2 shapes, such as a.ply and b.ply" in refusal(
        tmp_path, parts=True, folders="scans"
    )


# ---- pieces

ROOMS = [f"room_{i}/{part}.ply" for i in range(9) for part in ("wall_1", "wall_2", "floor_1", "pump_1")]


def test_files_named_after_parts_are_one_shape(tmp_path):
    made = found(touch(tmp_path / "rooms", *ROOMS), parts=True, labelled=False)
    assert [file.file for file in made.files] == [f"room_{i}" for i in range(9)]
    assert made.part_names == {"rooms": ("floor", "pump", "wall")}
    first = made.files[0]
    assert dict(first.pieces) == {
        "room_0/floor_1.ply": 0,
        "room_0/pump_1.ply": 1,
        "room_0/wall_1.ply": 2,
        "room_0/wall_2.ply": 2,
    }
    assert first.size == 4 * 6
    assert "9 shapes of 3 parts (floor, pump, wall)" in made.words.taken
    assert "--names is for the codes" in refusal(tmp_path / "rooms", parts=True, folders="pieces", names="0=top")


def test_files_with_labels_of_their_own_are_no_pieces(tmp_path):
    touch(tmp_path / "rooms", *ROOMS)
    made = found(tmp_path / "rooms", parts=True, labelled=True)
    assert len(made.files) == 36
    assert len(found(tmp_path / "rooms", parts=True, labelled=True, folders="pieces").files) == 9


def test_pieces_are_asked_about_where_classes_are_wanted(tmp_path):
    touch(tmp_path, *ROOMS)
    message = refusal(tmp_path)
    assert "--folders classes gives 9 classes (room_0, room_1, room_2, room_3 and 5 more) of 4 shapes each" in message
    assert "--task parts --folders pieces gives 9 shapes of 3 parts (floor, pump, wall)" in message
    assert len(found(tmp_path, folders="classes").files) == 36


@pytest.mark.parametrize("layout", ["{name}/{split}/{file}", "{name}_{split}/{file}"])
def test_what_lies_in_a_split_folder_is_no_shape_in_pieces(tmp_path, layout):
    for name in ("chair", "lamp"):
        for split in ("train", "test"):
            for file in (f"{name}_1.ply", f"{name}_2.ply", "copy.ply", "broken.ply"):
                touch(tmp_path, layout.format(name=name, split=split, file=file))
    made = found(tmp_path)
    assert made.classes == ("chair", "lamp")
    assert len(made.files) == 16
    assert "no folder holds files of several parts" in refusal(tmp_path, parts=True, folders="pieces")


def test_pieces_in_a_folder_of_their_own_with_splits_and_categories(tmp_path):
    files = [
        f"{split}/{area}/{area}{i}/Annotations/{part}_1.txt"
        for split in ("train", "test")
        for area in ("office", "kitchen")
        for i in range(3)
        for part in ("wall", "chair")
    ]
    touch(tmp_path, *files, "train/office/office0/office0.txt")
    made = found(tmp_path, parts=True, labelled=False)
    assert {(file.class_name, file.split) for file in made.files} == {
        (area, split) for area in ("office", "kitchen") for split in ("train", "test")
    }
    assert made.files[0].file == "test/kitchen/kitchen0"
    assert made.warnings == (
        "files left out because they are no parts of a shape: 1, such as train/office/office0/office0.txt",
    )


# ---- classes


def test_a_folder_a_scan_in_classes(tmp_path):
    touch(tmp_path, *some("chair/{}/scan.ply", "lamp/{}/scan.ply"))
    assert places(tmp_path) == {("chair", ""), ("lamp", "")}
    assert places(tmp_path, folders="scans") == {("chair", ""), ("lamp", "")}


def test_folders_that_name_no_class_are_asked_about(tmp_path):
    dates = touch(tmp_path / "dates", *some("2024-01/{}.ply", "2024-02/{}.ply"))
    message = refusal(dates)
    assert "the folders are dates (2024-01, 2024-02) and name no classes" in message
    assert "--task parts gives one category of 6 shapes" in message
    assert "--folders classes gives 2 classes (2024-01, 2024-02) of 3 shapes each" in message
    assert found(dates, folders="classes").classes == ("2024-01", "2024-02")
    scans = touch(tmp_path / "scans", *some("{}/pc.ply"))
    assert "each of the 3 folders (0, 1, 2) holds one scan" in refusal(scans)
    assert found(touch(tmp_path / "screws", *some("M8/{}.ply", "M10/{}.ply"))).classes == ("M10", "M8")


def test_flags_that_fit_no_classes(tmp_path):
    touch(tmp_path, "a/1.ply", "b/2.ply")
    assert "--task parts" in refusal(tmp_path, folders="pieces")
    assert "one class only" in refusal(tmp_path, folders="none")
    with pytest.raises(PointkitError, match="--folders must be one of classes, scans, pieces, none, got 'piece'"):
        Asked(folders="piece")
    with pytest.raises(PointkitError, match="--category names the one category"):
        Asked(folders="classes", category="table")


def test_what_was_found_and_taken_in_words(tmp_path):
    touch(tmp_path, *some("bolt/{}.ply", "nut/{}.txt"), "bolt/0.rcp", "bolt/x.labelled.ply")
    words = found(tmp_path).words
    assert words.found == (
        "3 .ply, 3 .txt files in 2 folders (bolt, nut); 1 that pointkit wrote, passed over; not read: 1 .rcp"
    )
    assert words.taken == "2 classes (bolt, nut), 6 shapes; split 70/10/20 made here"
    assert words.otherwise == (
        "--task parts if points have labels",
        "--table FILE.csv for labels, splits and groups of your own",
    )


def test_label_files_are_no_shapes(tmp_path):
    touch(tmp_path, *some("a/{}/upper.ply", "b/{}/upper.ply"))
    for place in tmp_path.glob("*/*"):
        (place / "upper.txt").write_text("0\n1\n1\n")
    assert [file.file for file in found(tmp_path).files][:2] == ["a/0/upper.ply", "a/1/upper.ply"]
    made = found(tmp_path, parts=True)
    assert made.files[0].labels == ("a/0/upper.txt",)
    assert made.files[0].size == 12
    assert "6 files of labels beside them" in made.words.found


def test_a_text_beside_a_mesh_may_be_a_shape_of_its_own_where_classes_are_wanted(tmp_path):
    touch(tmp_path, "a/1.ply", "a/1.txt", "b/2.ply")
    assert [file.ident for file in found(tmp_path).files] == ["a/1.ply", "a/1.txt", "b/2"]
