"""A table of the shapes: --table shapes.csv."""

import pathlib

import pytest

from pointkit.datasets import folder
from pointkit.datasets.asked import Asked
from pointkit.errors import PointkitError


def touch(root: pathlib.Path, *files: str) -> pathlib.Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("1 2 3\n")
    return root


def found(root: pathlib.Path, text: str, parts: bool = False) -> folder.Found:
    (root / "shapes.csv").write_text(text)
    return folder.find(root, (".ply", ".csv"), parts=parts, asked=Asked(table=root / "shapes.csv"))


def refusal(root: pathlib.Path, text: str, parts: bool = False) -> str:
    with pytest.raises(PointkitError) as caught:
        found(root, text, parts)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{root / 'shapes.csv'}: ")


def rows(made: folder.Found) -> dict[str, tuple[str, str]]:
    return {file.file: (file.class_name, file.split) for file in made.files}


@pytest.fixture
def flat(tmp_path):
    return touch(tmp_path, "1.ply", "2.ply", "sub/3.ply", "sub/4.ply")


@pytest.mark.parametrize(
    "text",
    [
        "file,label,split\n1.ply,bolt,train\n2.ply,nut,train\nsub/3.ply,bolt,test\n",
        "Split;FILE;Class\nTraining;1.ply;bolt\ntrain;2;nut\nTest_set;3;bolt\n",
        "\ufeffpath\tcategory\tsubset\n./1.ply\tbolt\ttrain\n2.ply\tnut\ttrain\n\nsub\\3.ply\tbolt\ttesting\n",
    ],
)
def test_a_table_names_classes_and_splits(flat, text):
    made = found(flat, text)
    assert rows(made) == {"1.ply": ("bolt", "train"), "2.ply": ("nut", "train"), "sub/3.ply": ("bolt", "test")}
    assert made.classes == ("bolt", "nut")
    assert made.warnings == ("files left out because they are not in the table: 1, such as sub/4.ply",)
    assert "split from the table, val held out of train" in made.words.taken
    assert made.asked["table"]


def test_a_table_may_leave_the_classes_to_the_folders(tmp_path):
    touch(tmp_path, "bolt/1.ply", "bolt/2.ply", "nut/3.ply", "nut/4.ply")
    made = found(tmp_path, "file,group\nbolt/1.ply,g\nbolt/2.ply,g\nnut/3.ply,\n")
    assert rows(made) == {"bolt/1.ply": ("bolt", ""), "bolt/2.ply": ("bolt", ""), "nut/3.ply": ("nut", "")}
    assert made.groups == {"bolt/1.ply": "g", "bolt/2.ply": "g", "nut/3.ply": ""}


def test_for_parts_a_table_names_the_files_of_labels(flat):
    touch(flat, "labels/a.txt", "elsewhere/b.npy")
    made = found(flat, "file,label\n1.ply,labels/a.txt\n2.ply,elsewhere/b.npy\n", parts=True)
    assert [(file.file, file.labels) for file in made.files] == [
        ("1.ply", ("labels/a.txt",)),
        ("2.ply", ("elsewhere/b.npy",)),
    ]
    assert made.files[0].size == 12
    assert made.classes == (flat.name,)
    made = found(flat, "file,label,class\n1.ply,labels/a.txt,bolt\n2.ply,elsewhere/b.npy,nut\n", parts=True)
    assert made.classes == ("bolt", "nut")
    assert "line 2: no file 'none.txt' with the labels" in refusal(flat, "file,label\n1.ply,none.txt\n", parts=True)


def test_label_files_are_also_looked_for_beside_the_table(tmp_path):
    touch(tmp_path, "set/1.ply", "set/2.ply", "a.txt")
    (tmp_path / "shapes.csv").write_text("file,label\n1.ply,a.txt\n2.ply,a.txt\n")
    asked = Asked(table=tmp_path / "shapes.csv")
    assert folder.find(tmp_path / "set", (".ply",), parts=True, asked=asked).files[0].labels == ("../a.txt",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,class\n1,a\n", "needs the column file, and any of label, class, split, group; found name, class"),
        ("", "needs the column file, and any of label, class, split, group; found none"),
        ("file\n1.ply\n", "needs the column file, and any of label, class, split, group; found file"),
        ("file,label\n", "must have a line for each file, found none"),
        ("file,label\n1.ply,a\n9.ply,b\n", "line 3: no file '9.ply' to read in the folder"),
        ("file,label\n1.ply,a\n1,b\n", "lines 2 and 3 are about the same file 1.ply"),
        ("file,label\n1.ply,a\n2.ply,a\n", "one class only (a), a classifier needs two"),
        ("file,label\n1.ply,a\n2.ply\n", "line 3: needs a label, found none"),
        ("file,split\n1.ply,fold1\n", "line 2: a split must be train, val or test, got 'fold1'"),
        ("file,label,labels\n1.ply,a,b\n", "two columns say the label: 'label' and 'labels'"),
    ],
)
def test_mistakes_are_named_by_line(flat, text, said):
    assert refusal(flat, text) == said


def test_a_table_that_is_not_there(flat):
    with pytest.raises(PointkitError, match=r"none\.csv: cannot be read as a CSV file"):
        folder.find(flat, (".ply",), asked=Asked(table=flat / "none.csv"))
