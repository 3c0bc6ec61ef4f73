"""What a folder is taken for before it is read, and the user's word about it on the way into the store."""

import json
import pathlib
import shlex

import numpy as np
import pytest

from pointkit.cli import run
from pointkit.datasets.asked import Asked
from pointkit.errors import PointkitError, StoreError
from pointkit.prepare import ready, survey
from tests.prepare.test_prepare import quick


def clouds(root: pathlib.Path, *files: str, labelled: bool = True, title: str = "x y z label") -> pathlib.Path:
    for i, file in enumerate(files):
        rows = np.c_[np.random.default_rng(i).normal(size=(20, 3)).round(3), np.repeat([1, 2], 10)]
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        lines = [" ".join(f"{x:g}" for x in row[: 4 if labelled else 3]) for row in rows]
        (root / file).write_text("\n".join([title] * labelled + lines) + "\n")
    return root


def refusal(source: pathlib.Path, output: pathlib.Path, kind: type[Exception] = PointkitError, **more: object) -> str:
    with pytest.raises(kind) as caught:
        quick(source, output, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def table(text: str) -> list[list[str]]:
    """The cells of a printed table."""
    rows = [line for line in text.splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in row.strip("│┃").replace("┃", "│").split("│")] for row in rows]


@pytest.fixture
def set_(tmp_path):
    files = [f"{kind}/{kind}_{i}.xyz" for kind in ("bolt", "nut") for i in range(10)]
    clouds(tmp_path / "my set", *files)
    for split, numbers in (("train", range(7)), ("test", range(7, 10))):
        names = [f"{kind}_{i}\n" for kind in ("bolt", "nut") for i in numbers]
        (tmp_path / "my set" / f"my_{split}.txt").write_text("".join(names))
    return tmp_path / "my set"


# ---- the first lines, and a look that writes nothing


def test_prepare_says_first_what_it_found(set_, tmp_path, capsys):
    assert run(["prepare", str(set_), "-o", str(tmp_path / "a store"), "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[:2] == [
        "found: 20 .xyz files in 2 folders (bolt, nut); lists my_test.txt (6), my_train.txt (14)",
        "taken as: 2 classes (bolt, nut), 20 shapes; split from the lists, val held out of train",
    ]
    assert said.out.splitlines()[2].startswith("otherwise: --split 70/10/20 for a new split, --task parts")
    assert ["bolt", "6", "1", "3"] in table(said.out)
    [line] = [line for line in said.err.splitlines() if line.startswith("next: ")]
    assert shlex.split(line.removeprefix("next: "))[:3] == ["pointkit", "train", str(tmp_path / "a store")]


@pytest.mark.parametrize("output", [["-o", "S"], []])
def test_a_dry_run_says_the_same_and_writes_nothing(set_, capsys, monkeypatch, output):
    monkeypatch.chdir(set_.parent)
    assert run(["prepare", str(set_), *output, "--dry-run", "--task", "parts", "--folders", "none"]) == 0
    out = capsys.readouterr().out
    assert "taken as: 1 category (my set), 20 shapes with labelled points; split from the lists" in out
    assert table(out) == [["category", "train", "val", "test"], ["all", "13", "1", "6"], ["my set", "13", "1", "6"]]
    assert [path.name for path in set_.parent.iterdir()] == ["my set"]


@pytest.mark.parametrize("name", ["set.npz", "set.npy"])
def test_arrays_of_many_shapes_say_how_to_go_on(tmp_path, name):
    array = np.zeros((40, 256, 3), np.float32)
    (tmp_path / "set").mkdir()
    if name == "set.npz":
        np.savez(tmp_path / "set" / name, points=array, labels=np.zeros(40, int))
    else:
        np.save(tmp_path / "set" / name, array)
    words = refusal(tmp_path / "set", tmp_path / "S")
    assert f"{name}: " in words
    assert "40 shapes of 256 points in one file: write each as a file of its own" in words


def test_without_an_output_nothing_is_prepared(set_, capsys):
    assert run(["prepare", str(set_)]) == 2
    assert "prepare needs -o STORE" in capsys.readouterr().err


def test_info_describes_a_folder(set_, tmp_path, capsys):
    assert run(["info", str(set_), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["kind"] == "folder"
    assert about["task"] == "classification"
    assert about["counts"] == {
        "train": {"bolt": 6, "nut": 6},
        "val": {"bolt": 1, "nut": 1},
        "test": {"bolt": 3, "nut": 3},
    }
    assert about["found"].startswith("20 .xyz files")
    assert about["taken_as"].startswith("2 classes (bolt, nut)")
    assert run(["info", str(set_)]) == 0
    assert "split: official, a tenth of train held out" in capsys.readouterr().out


def test_info_says_why_a_folder_is_of_parts(tmp_path, capsys):
    clouds(tmp_path / "flat", "1.xyz", "2.xyz", "3.xyz")
    assert run(["info", str(tmp_path / "flat"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["with"] == "--task parts"
    assert "needs one folder a class" in about["as_classes"]
    assert about["counts"]["train"] == {"flat": 1}
    (tmp_path / "empty").mkdir()
    assert run(["info", str(tmp_path / "empty")]) == 2


def test_the_counts_are_those_of_the_store(set_, tmp_path):
    for i, asked in enumerate(({}, {"split": "50/25/25"}, {"split": "80/20"})):
        made = quick(set_, tmp_path / str(i), **asked).store.manifest
        looked = survey.look(set_, asked=Asked(**asked))
        assert looked.counts == made["counts"]
        assert looked.how == made["split"]


# ---- a split of one's own


def test_shares_of_ones_own(set_, tmp_path):
    three = quick(set_, tmp_path / "three", split="60/20/20").store
    assert three.manifest["counts"]["val"] == {"bolt": 2, "nut": 2}
    assert three.manifest["split"] == "60/20/20 by class and group, seed 0"
    two = quick(set_, tmp_path / "two", split="0.8/0.2").store
    assert {split: sum(some.values()) for split, some in two.manifest["counts"].items()} == {
        "train": 14,
        "val": 2,
        "test": 4,
    }
    assert (
        two.manifest["split"] == "80/20 by class and group, a tenth of train held out as val by class and group, seed 0"
    )
    assert "made with other split_asked" in refusal(set_, tmp_path / "two", StoreError, split="70/30")


@pytest.mark.parametrize("text", ["70", "70/20", "80/20/0", "a/b", "25/25/25/25", "110/-10", "nan/20"])
def test_shares_that_make_up_no_whole(set_, tmp_path, text):
    assert refusal(set_, tmp_path / "out", split=text).startswith(
        "--split must be shares of train/val/test or train/test"
    )


def test_a_list_that_changed_makes_another_store(set_, tmp_path):
    quick(set_, tmp_path / "out")
    assert quick(set_, tmp_path / "out").already
    (set_ / "my_test.txt").write_text("bolt_7\nnut_7\n")
    assert "made with other files, lists" in refusal(set_, tmp_path / "out", StoreError)


def test_a_table_brings_groups_and_splits(set_, tmp_path):
    rows = "".join(
        f"{kind}/{kind}_{i}.xyz,{kind},{'train' if i < 6 else 'val' if i < 8 else 'test'},{kind}{i // 2}\n"
        for kind in ("bolt", "nut")
        for i in range(10)
    )
    (set_ / "shapes.csv").write_text("File,Class,Split,Group\n" + rows)
    made = quick(set_, tmp_path / "out", table=set_ / "shapes.csv").store
    assert made.manifest["counts"]["val"] == {"bolt": 2, "nut": 2}
    assert made.manifest["split"] == "official"
    assert made.rows[1].group == "bolt/bolt_0"
    (set_ / "shapes.csv").write_text(
        "file,group\n" + "".join(f"bolt_{i},g{i % 3}\nnut_{i},h{i % 3}\n" for i in range(10))
    )
    rows = quick(set_, tmp_path / "other", table=set_ / "shapes.csv", split="70/10/20").store.rows
    assert len({(row.group, row.split) for row in rows}) == 6


# ---- the user's word about columns


def test_what_columns_mean_is_kept(tmp_path):
    clouds(tmp_path / "set", "1.xyz", "2.xyz", "3.xyz", title="x y z quality")
    said = {"label_field": "quality", "unlabelled": "1", "names": "2=legs"}
    made = quick(tmp_path / "set", tmp_path / "out", **said).store
    assert made.manifest["task"] == "parts"
    assert made.manifest["meaning"] == {"label_field": "quality", "unlabelled": [1]}
    assert made.manifest["parts"] == {"set": ["legs"]}
    assert "names" in made.manifest
    assert "made with other" in refusal(tmp_path / "set", tmp_path / "out", StoreError, label_field="quality")
    plain = quick(clouds(tmp_path / "plain", "1.xyz", "2.xyz", "3.xyz"), tmp_path / "plain out", task="parts").store
    assert {"meaning", "names"} & plain.manifest.keys() == set()


def test_flags_for_labels_are_for_parts(set_, tmp_path):
    for flag, value in (("label_field", "label"), ("category", "x"), ("names", "1=a"), ("folders", "pieces")):
        message = refusal(set_, tmp_path / "out", task="classification", **{flag: value})
        assert message.startswith(f"--{flag.replace('_', '-')}")
        assert "is for labelled points" in message


# ---- a set that is too small, or cannot be read


def test_next_names_no_command_that_refuses(tmp_path, capsys):
    small = clouds(tmp_path / "small", "1.xyz", "2.xyz")
    assert run(["prepare", str(small), "-o", str(tmp_path / "S"), "--task", "parts", "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "next:" not in said.err
    assert "training needs shapes in the split val, found none; a split needs at least 3 shapes" in said.err
    assert "category, found small (2)" in said.err
    only = clouds(tmp_path / "only", *(f"{i}.xyz" for i in range(5)), title="x y z label")
    made = quick(only, tmp_path / "one part", task="parts", unlabelled="1").store
    assert ready.lacks(made) == "training needs two parts to tell apart, found part 2 alone"
    tests = clouds(tmp_path / "tests", *(f"test/{kind}/{i}.xyz" for kind in "ab" for i in range(3)))
    assert ready.lacks(quick(tests, tmp_path / "T").store) == "training needs shapes in the split train, found none"


def test_a_class_with_few_shapes_is_named(tmp_path, capsys):
    files = [*(f"bolt/{i}.xyz" for i in range(6)), "nut/1.xyz", "nut/2.xyz"]
    made = quick(clouds(tmp_path / "set", *files), tmp_path / "out")
    assert ready.too_few(made.store) == "a split needs at least 3 shapes (or groups) of each class, found nut (2)"
    assert ready.lacks(made.store) == ""


def test_one_reason_for_all_files_is_given_once(tmp_path):
    source = clouds(tmp_path / "set", *(f"table/scan_{i}.xyz" for i in range(9)), labelled=False)
    message = refusal(source, tmp_path / "out", task="parts")
    assert message.startswith(f"{source}: none of 9 files could be read: ")
    assert message.count("scan_") <= 2
    assert "(such as table/scan_0.xyz); all are listed in" in message
    assert "lost all its files" not in message


def test_a_link_to_itself_costs_a_line(tmp_path):
    source = clouds(tmp_path / "set", *(f"{kind}/{i}.xyz" for kind in "ab" for i in range(3)))
    (source / "a/loop.xyz").symlink_to("loop.xyz")
    [(file, reason)] = quick(source, tmp_path / "out").unread
    assert file == "a/loop.xyz"
    assert "symbolic links" in reason


def test_names_with_control_bytes_are_printed_escaped(tmp_path, capsys):
    source = clouds(tmp_path / "set", *(f"{kind}/{i}.xyz" for kind in ("a", "b\x1b[31m") for i in range(3)))
    (source / "a" / "evil\x1b[31m.xyz").write_text("nothing")
    assert run(["prepare", str(source), "-o", str(tmp_path / "S"), "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "\x1b[31m" not in said.out + said.err
    assert "evil\\x1b[31m.xyz" in said.err


def test_findings_do_not_grow_with_the_set(tmp_path):
    source = clouds(tmp_path / "set", *(f"{kind}/{i}.xyz" for kind in "ab" for i in range(40)))
    first = (source / "a/0.xyz").read_text()
    for path in source.glob("*/*.xyz"):
        path.write_text(first)
    [finding] = [one for one in quick(source, tmp_path / "out").store.manifest["findings"] if one["kind"] == "copies"]
    assert len(finding["files"]) == 80
    assert len(finding["text"]) < 250


def test_warnings_do_not_grow_with_the_set(tmp_path):
    source = clouds(tmp_path / "set", *(f"{kind}/{i}.xyz" for kind in "ab" for i in range(40)))
    table = "".join(f"{file.relative_to(source)},one\n" for file in sorted(source.glob("*/*.xyz")))
    (tmp_path / "groups.csv").write_text("file,group\n" + table)
    [warning] = [
        line
        for line in quick(source, tmp_path / "out", groups=tmp_path / "groups.csv").warnings
        if "different classes" in line
    ]
    assert len(warning) < 200
    assert warning.endswith("and 75 more")
