"""Lists of names beside the shapes: which texts are lists, which shapes their lines mean, and what they leave open."""

import json
import pathlib

import pytest

from pointkit.datasets import folder
from pointkit.datasets.asked import Asked
from pointkit.datasets.lists import Index
from pointkit.errors import PointkitError

SUFFIXES = (".off", ".txt")


def write(root: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return root


def classes(*numbers: int) -> dict[str, str]:
    """Clouds of two classes, a_1.txt and so on."""
    return {f"{name}/{name}_{i}.txt": "1 2 3\n4 5 6\n" for name in ("bolt", "nut") for i in numbers or range(1, 5)}


def both(*numbers: int, suffix: str = "") -> str:
    return "".join(f"{name}_{i}{suffix}\n" for name in ("bolt", "nut") for i in numbers)


def found(root: pathlib.Path, **asked: str) -> folder.Found:
    return folder.find(root, SUFFIXES, asked=Asked(**asked))


def splits(root: pathlib.Path, **asked: str) -> dict[str, str]:
    return {file.ident: file.split for file in found(root, **asked).files}


def refusal(root: pathlib.Path, **asked: str) -> str:
    with pytest.raises(PointkitError) as caught:
        found(root, **asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


HALVES = {f"{name}/{name}_{i}": "train" if i < 3 else "test" for name in ("bolt", "nut") for i in range(1, 5)}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("my_train.txt", "my_test.txt"),
        ("train.lst", "TEST.LST"),
        ("train_files.txt", "test_files.txt"),
        ("splits/training", "splits/testing"),
        ("modelnet40_train.csv", "modelnet40_test.csv"),
    ],
)
def test_lists_beside_the_classes_make_the_split(tmp_path, train, test):
    write(tmp_path, {**classes(), train: both(1, 2), test: both(3, 4)})
    assert splits(tmp_path) == HALVES
    made = found(tmp_path)
    assert made.warnings == ()
    assert f"{train} (4)" in made.words.found
    assert "split from the lists, val held out of train" in made.words.taken
    assert "--split" in made.words.otherwise[0]


@pytest.mark.parametrize(
    "line",
    ["{0}", "{0}.txt", "{1}/{0}.txt", "./{1}/{0}.txt", "data/mine/{1}/{0}.txt", "{1}\\{0}", "{0}.off", "{0}.txt,7",
     "{0} 7", '"{0}.txt";bolt', "{0}\t1\tx", "/far/away/{1}/more/{0}.txt"],
)  # fmt: skip
def test_a_line_may_be_a_path_or_a_name(tmp_path, line):
    def text(*numbers: int) -> str:
        return "\n".join(line.format(f"{name}_{i}", name) for name in ("bolt", "nut") for i in numbers) + "\n"

    write(tmp_path, {**classes(), "train.txt": text(1, 2), "test.txt": "# who tests\n\n" + text(3, 4)})
    assert splits(tmp_path) == HALVES


def test_a_title_and_json(tmp_path):
    train = "file,label\n" + "".join(f"{name}_{i}.txt,{name}\n" for name in ("bolt", "nut") for i in (1, 2))
    write(tmp_path, {**classes(), "train.csv": train, "test.json": json.dumps(both(3, 4).split())})
    assert splits(tmp_path) == HALVES
    assert found(tmp_path).warnings == ()


def test_texts_about_the_set_are_no_shapes(tmp_path):
    more = {"my_shape_names.txt": "bolt\nnut\n", "filelist.txt": "bolt/bolt_1.txt\n", "test_notes.txt": "I was here.\n"}
    write(tmp_path, {**classes(), **more})
    made = found(tmp_path)
    assert len(made.files) == 8
    assert "split 70/10/20 made here" in made.words.taken


def test_a_cloud_is_no_list_whatever_its_name(tmp_path):
    files = {f"{name}/{word}_{i}.txt": "1 2 3\n" for name in "ab" for word in ("train", "test") for i in range(3)}
    assert len(found(write(tmp_path, files)).files) == 12


def test_what_lists_leave_out_is_said(tmp_path):
    write(tmp_path, {**classes(), "train.txt": both(1, 2, 77), "test.txt": both(3)})
    made = found(tmp_path)
    assert len(made.files) == 6
    assert made.warnings == (
        "the list train.txt names 2 shapes that are not there, such as bolt_77",
        "2 shapes are in no list of a split and are left out, such as bolt/bolt_4.txt",
    )


def test_with_a_list_of_tests_alone_the_others_train(tmp_path):
    write(tmp_path, {**classes(), "test.txt": both(3, 4)})
    assert splits(tmp_path) == HALVES
    assert "the shapes in no list train" in found(tmp_path).words.taken


def test_train_and_val_together_count_only_without_lists_of_their_own(tmp_path):
    write(tmp_path, {**classes(), "trainval.txt": both(1, 2), "test.txt": both(3, 4)})
    assert splits(tmp_path) == HALVES
    write(tmp_path, {"train.txt": both(1), "val.txt": both(2)})
    assert splits(tmp_path)["nut/nut_2"] == "val"


def test_lists_of_a_part_of_the_set_may_lie_beside_those_of_all(tmp_path):
    some = {"ten_train.txt": "bolt_1\n", "ten_test.txt": "bolt_3\n"}
    write(tmp_path, {**classes(), **some, "all_train.txt": both(1, 2), "all_test.txt": both(3, 4)})
    assert splits(tmp_path) == HALVES


def test_lists_that_contradict_are_refused(tmp_path):
    write(tmp_path, {**classes(), "train.txt": both(1, 2), "test.txt": both(2, 3)})
    message = refusal(tmp_path)
    assert "bolt/bolt_2.txt is in the lists test.txt (test) and train.txt (train)" in message
    assert "--split 70/10/20" in message
    made = found(tmp_path, split="70/10/20")
    assert {file.split for file in made.files} == {""}
    assert "the lists are not used" in made.words.taken


def test_lists_that_contradict_split_folders_are_refused(tmp_path):
    clouds = {f"{name}/{split}/{name}_{i}.txt": "1 2 3\n" for name in ("bolt", "nut")
              for split, i in (("train", 1), ("train", 2), ("test", 3), ("test", 4))}  # fmt: skip
    write(tmp_path, {**clouds, "train.txt": both(1, 2), "test.txt": both(3, 4)})
    assert found(tmp_path).words.taken.endswith("split from the folders, val held out of train")
    write(tmp_path, {"train.txt": both(1), "test.txt": both(2, 3, 4)})
    assert "bolt/train/bolt_2.txt lies in a folder of train, and a list says test" in refusal(tmp_path)


def test_a_list_of_other_shapes_is_refused(tmp_path):
    write(tmp_path, {**classes(), "train.txt": "ply_data_train0.h5\nply_data_train1.h5\n"})
    assert "the list train.txt names 2 shapes, and none of them is here, such as ply_data_train0.h5" in refusal(
        tmp_path
    )
    assert len(found(tmp_path, split="70/10/20").files) == 8


def test_a_name_of_several_shapes_is_refused(tmp_path):
    write(tmp_path, {"a/1.txt": "1 2 3\n", "b/1.txt": "1 2 3\n", "train.txt": "1\n"})
    assert "names 1, which may be a/1.txt or b/1.txt" in refusal(tmp_path)


def test_what_a_text_may_mean():
    index = Index([("table", "100", "pc.ply"), ("table", "101", "pc.ply"), ("chair", "scan.v2.ply")])
    assert index.find("100") == [("table", "100", "pc.ply")]
    assert index.find("table/101") == [("table", "101", "pc.ply")]
    assert index.find("101/pc") == [("table", "101", "pc.ply")]
    assert index.find("pc.ply") == [("table", "100", "pc.ply"), ("table", "101", "pc.ply")]
    assert index.find("scan.v2") == [("chair", "scan.v2.ply")]
    assert index.find("scan.v1") == index.find("table/scan.v2") == index.find("") == index.find("./") == []
    assert index.find("pc.ply", ("table", "100")) == [("table", "100", "pc.ply")]


def test_numbers_may_be_names(tmp_path):
    files = {f"{name}/{i}/scan.off": "" for name in ("a", "b") for i in range(4 if name == "a" else 7)}
    files = {f"{name}/{100 * (name == 'b') + i}/scan.off": "" for name in "ab" for i in range(3)}
    write(tmp_path, {**files, "train.txt": "0\n1\n100\n101\n", "test.txt": "2\n102\n"})
    assert sorted(splits(tmp_path).values()) == ["test"] * 2 + ["train"] * 4


def test_the_names_of_all_files_may_say_the_split(tmp_path):
    files = {f"{name}/{word}_{i}.txt": "1 2 3\n" for name in "ab" for word in ("train", "test") for i in range(3)}
    made = found(write(tmp_path, files))
    assert {(file.file.split("/")[1][:4], file.split) for file in made.files} == {("trai", "train"), ("test", "test")}
    assert "split from the files' names" in made.words.taken
    (tmp_path / "a" / "more.txt").write_text("1 2 3\n")
    assert {file.split for file in found(tmp_path).files} == {""}
