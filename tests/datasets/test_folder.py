"""Which shapes a folder holds, of which class and split."""

import dataclasses
import os
import pathlib

import pytest

from pointkit import outputs
from pointkit.datasets import folder
from pointkit.errors import PointkitError

SUFFIXES = (".off", ".ply", ".txt")


def touch(root: pathlib.Path, *files: str) -> pathlib.Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(file))
    return root


def listed(root: pathlib.Path) -> dict[str, tuple[str, str]]:
    return {file.file: (file.class_name, file.split) for file in folder.find(root, SUFFIXES).files}


def refusal(root: pathlib.Path) -> str:
    with pytest.raises(PointkitError) as caught:
        folder.find(root, SUFFIXES)
    message = str(caught.value)
    assert message.startswith(str(root))
    assert "\n" not in message
    return message.removeprefix(str(root))


def test_classes_with_splits_inside(tmp_path):
    touch(tmp_path, "chair/train/a.off", "chair/test/b.off", "Bed/Training/c.off", "Bed/TEST/d.ply", "Bed/valid/e.off")
    found = folder.find(tmp_path, SUFFIXES)
    assert listed(tmp_path) == {
        "Bed/TEST/d.ply": ("Bed", "test"),
        "Bed/Training/c.off": ("Bed", "train"),
        "Bed/valid/e.off": ("Bed", "val"),
        "chair/test/b.off": ("chair", "test"),
        "chair/train/a.off": ("chair", "train"),
    }
    assert found.classes == ("Bed", "chair")
    assert found.root == tmp_path
    assert found.warnings == ()


def test_splits_with_classes_inside(tmp_path):
    touch(tmp_path, "train/chair/a.off", "validation/chair/b.off", "Testing/bed/c.off", "train/bed/deep/er/d.off")
    assert listed(tmp_path) == {
        "Testing/bed/c.off": ("bed", "test"),
        "train/bed/deep/er/d.off": ("bed", "train"),
        "train/chair/a.off": ("chair", "train"),
        "validation/chair/b.off": ("chair", "val"),
    }


def test_classes_without_splits(tmp_path):
    touch(tmp_path, "chair/a.off", "2-seater/b.off", "Ärmel/c.off", "_x/d.off", "chair/variant/e.off")
    found = folder.find(tmp_path, SUFFIXES)
    assert found.classes == ("2-seater", "_x", "chair", "Ärmel")  # every folder is a class, whatever its first letter
    assert listed(tmp_path)["chair/variant/e.off"] == ("chair", "")


@pytest.mark.parametrize(
    "files",
    [
        ("chair/train/a.off", "bed/test/b.off"),
        ("train/chair/a.off", "test/bed/b.off"),
        ("chair/a.off", "bed/b.off"),
        ("train/chair/a.off", "train/bed/b.off"),
    ],
)
@pytest.mark.parametrize("wrapper", ["ModelNet10", "data/ModelNet10"])
def test_a_wrapper_changes_nothing_but_the_root(tmp_path, files, wrapper):
    plain = touch(tmp_path / "plain", *files)
    wrapped = touch(tmp_path / "wrapped", *(f"{wrapper}/{file}" for file in files))
    touch(wrapped, "__MACOSX/ModelNet10/chair/train/._a.off", f"{wrapper}/stray.txt", "notes.md")
    found = folder.find(wrapped, SUFFIXES)
    assert listed(wrapped) == listed(plain)
    assert found.root == wrapped / wrapper
    assert found.prefix == wrapper
    assert [warning for warning in found.warnings if "no class folder" in warning]  # stray.txt


def test_what_a_set_says_of_itself_is_no_shape(tmp_path):
    touch(tmp_path, "chair/a.off", "bed/b.off", "README.txt", "chair/readme.txt", "LICENSE", "parts.json")
    assert folder.find(tmp_path, SUFFIXES).warnings == ()
    assert set(listed(tmp_path)) == {"chair/a.off", "bed/b.off"}


def test_a_single_split_is_no_wrapper(tmp_path):
    touch(tmp_path, "test/chair/a.off", "test/bed/b.off")
    assert set(listed(tmp_path).values()) == {("chair", "test"), ("bed", "test")}


def test_a_class_may_be_called_test_where_it_has_splits(tmp_path):
    touch(tmp_path, "test/train/a.off", "chair/train/b.off")
    assert set(listed(tmp_path).values()) == {("test", "train"), ("chair", "train")}


def test_hidden_and_foreign_things_are_passed_over_and_counted(tmp_path):
    touch(
        tmp_path, "a/1.off", "b/2.off", ".git/c/3.off", "a/.4.off", "__MACOSX/a/5.off", "a/1.mtl", "b/2.MTL", "Makefile"
    )
    touch(tmp_path, "docs/pictures/6.jpg", "store/points.npy", "store/manifest.json", "store/8.txt")
    found = folder.find(tmp_path, SUFFIXES)
    assert [file.file for file in found.files] == ["a/1.off", "b/2.off"]
    assert found.ignored == {".mtl": 2, "": 1, ".jpg": 1}
    assert found.warnings == (
        "files left out because nothing here reads their suffix: 1 without suffix, 1 .jpg, 2 .mtl",
        "folders without a file to read are no classes: docs",
    )


def test_sizes_times_and_the_suffix_in_any_case(tmp_path):
    touch(tmp_path, "a/1.OFF", "b/2.off")
    os.utime(tmp_path / "a/1.OFF", ns=(5, 7))
    first = folder.find(tmp_path, SUFFIXES).files[0]
    assert (first.file, first.ident, first.size, first.mtime_ns) == ("a/1.OFF", "a/1", 7, 7)


def test_names_in_the_set_are_different(tmp_path):
    touch(tmp_path, "a/1.off", "a/1.ply", "a/2.off", "b/1.off")
    assert [file.ident for file in folder.find(tmp_path, SUFFIXES).files] == ["a/1.off", "a/1.ply", "a/2", "b/1"]


def test_links(tmp_path):
    touch(tmp_path, "set/a/1.off", "set/b/2.off", "elsewhere/3.off")
    (tmp_path / "set/a/loop").symlink_to(tmp_path / "set")
    (tmp_path / "set/0").symlink_to(tmp_path / "set/b")  # sorted before the folder that it leads to
    (tmp_path / "set/c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/b/4.off").symlink_to(tmp_path / "elsewhere/3.off")
    (tmp_path / "set/b/5.off").symlink_to("nothing.off")
    found = folder.find(tmp_path / "set", SUFFIXES)
    assert [file.file for file in found.files] == ["a/1.off", "b/2.off", "b/4.off", "b/5.off", "c/3.off"]
    assert found.warnings == ("links to folders that were read already are left out: 0, a/loop",)


def test_the_order_does_not_depend_on_the_file_system(tmp_path):
    names = ["b/2.off", "a/9.off", "a/10.off", "a-b/1.off", "b/1.off"]
    touch(tmp_path / "one", *names)
    touch(tmp_path / "two", *reversed(names))
    assert list(listed(tmp_path / "one")) == list(listed(tmp_path / "two")) == sorted(names)


def test_names_that_are_no_text(tmp_path):
    touch(tmp_path, "a/1.off", "b/2.off", os.fsdecode(b"c\xff\n/3.off"))
    assert folder.find(tmp_path, SUFFIXES).classes == ("a", "b", os.fsdecode(b"c\xff\n"))


def test_some_classes_keep_their_own_files_and_files_without_labels(tmp_path):
    found = folder.find(touch(tmp_path, "a/1.off", "b/2.off", "b/3.off", "c/4.off"), SUFFIXES)
    found = dataclasses.replace(found, unlabelled=("a/5.off", "b/6.off", "b/b/7.off", "c/b/8.off"))
    some = found.only(["c", "a", "c"])
    assert some.classes == ("a", "c")
    assert [file.file for file in some.files] == ["a/1.off", "c/4.off"]
    assert some.unlabelled == ("a/5.off", "c/b/8.off")
    assert found.only(found.classes) == found
    with pytest.raises(PointkitError, match=r"classes must be some of a, b, c, got 'd'"):
        found.only(["a", "d"])


def test_mistakes_are_named(tmp_path):
    assert refusal(tmp_path / "missing") == ": no such folder"
    assert refusal(touch(tmp_path, "file.off") / "file.off") == ": must be a folder, found a file"
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty") == ": no file to read in it (one of .off .ply .txt)"
    found = refusal(touch(tmp_path / "pictures", "a/1.jpg", "a/2.jpg"))
    assert found == ": no file to read in it (one of .off .ply .txt); it has 2 .jpg"
    assert "needs one folder a class" in refusal(touch(tmp_path / "flat", "1.off", "2.off"))
    assert "needs one folder a class" in refusal(touch(tmp_path / "flat splits", "train/1.off", "test/2.off"))
    for i, file in enumerate(("chair/1.off", "chair/train/1.off", "train/chair/1.off", "x/chair/train/1.off")):
        assert "one class only (chair)" in refusal(touch(tmp_path / f"one {i}", file))
    assert "'test' is the name of a split and 'other' is not" in refusal(
        touch(tmp_path / "mixed", "train/chair/1.off", "test/chair/2.off", "other/bed/3.off")
    )
    assert "found a/test/1.off and a/2.off" in refusal(touch(tmp_path / "half", "a/test/1.off", "a/2.off", "b/3.off"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed(tmp_path):
    touch(tmp_path, "a/1.off", "b/2.off")
    (tmp_path / "b").chmod(0)
    assert "/b: cannot be listed" in refusal(tmp_path)


def test_links_to_themselves_and_to_nothing_are_files_that_cannot_be_read(tmp_path):
    touch(tmp_path, "a/1.off", "b/2.off")
    (tmp_path / "a/loop.off").symlink_to("loop.off")
    (tmp_path / "b/nothing.off").symlink_to("nowhere.off")
    (tmp_path / "b/loop").symlink_to("loop")
    found = folder.find(tmp_path, SUFFIXES)
    assert [(file.file, file.size) for file in found.files if not file.size] == [
        ("a/loop.off", 0),
        ("b/nothing.off", 0),
    ]
    assert found.ignored == {"": 1}


def test_what_pointkit_wrote_is_passed_over_by_name_and_by_mark(tmp_path):
    touch(tmp_path, "table/1.ply", "table/2.ply", "table/1.labelled.ply", "table/2.explained.txt")
    mark = outputs.mark(tmp_path / "table/1.ply", "0123", "labels")
    (tmp_path / "table/renamed.ply").write_text(f"ply\ncomment {mark}\n")
    found = folder.find(tmp_path, SUFFIXES, parts=True)
    assert [file.file for file in found.files] == ["table/1.ply", "table/2.ply"]
    assert found.warnings == ("files that pointkit wrote are passed over: 3, such as table/1.labelled.ply",)
    assert "3 that pointkit wrote, passed over" in found.words.found


def test_stores_runs_and_tables_of_ours_are_no_shapes(tmp_path):
    """They hold tables and arrays whose suffixes are read."""
    for name in ("a/1.csv", "b/2.csv", "predictions.csv", "a/predictions.csv", "store.unread.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x,y,z\n1,2,3\n")
    for name in (
        "a/store/manifest.json",
        "a/store/points.npy",
        "a/store/shapes.csv",
        "b/run/run.json",
        "b/run/history.csv",
    ):
        touch(tmp_path, name)
    found = folder.find(tmp_path, (*SUFFIXES, ".csv", ".npy"))
    assert [file.file for file in found.files] == ["a/1.csv", "b/2.csv"]


def test_texts_about_the_set():
    for name in ("README.md", "licence.txt", "my_shape_names.txt", "filelist.txt", "file_list.lst", "classes.txt"):
        assert folder.is_about(name)
    for name in ("names.ply", "train_file_list.txt", "chair.txt", "list.txt", "notes.md"):
        assert not folder.is_about(name)


def test_the_buffers_beside_a_gltf_are_a_part_of_it(tmp_path):
    files = ("a/1/scene.gltf", "a/1/scene.bin", "b/2.off", "b/x.bin")
    found = folder.find(touch(tmp_path / "set", *files), (*SUFFIXES, ".gltf"))
    assert found.ignored == {".bin": 1}
    assert [file.file for file in found.files] == ["a/1/scene.gltf", "b/2.off"]


def test_suffixes_that_are_not_read_say_what_they_need(tmp_path):
    found = folder.find(touch(tmp_path / "set", "a/1.off", "b/2.off", "a/3.RCP", "b/4.dp", "b/5.fbx"), SUFFIXES)
    assert found.warnings == (
        "files left out because nothing here reads their suffix: 1 .dp, 1 .fbx, 1 .rcp",
        ".dp .rcp: not read; CloudCompare saves it as PLY",
        ".fbx: not read; Blender or MeshLab saves it as PLY, OBJ or STL",
    )
    message = refusal(touch(tmp_path / "scans", "a/1.rcp"))
    assert message.endswith("it has 1 .rcp; .rcp: " + found.warnings[1].partition(": ")[2])
