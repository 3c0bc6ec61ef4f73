"""The names of codes: in the user's words, and in texts beside a set."""

import pytest

from pointkit.datasets import codes
from pointkit.errors import PointkitError

TOP_LEGS = {1: "top", 2: "legs"}


def test_in_words_and_in_a_file(tmp_path):
    assert codes.said("1=top,2=legs").names == TOP_LEGS
    (tmp_path / "my.txt").write_text("1 top\n2 legs\n")
    assert codes.said(str(tmp_path / "my.txt")).names == TOP_LEGS


@pytest.mark.parametrize("words", ["top", "1=top,legs", "x=top", "1=top,1=legs", "1=top,2=top", "1="])
def test_words_that_are_no_names(words):
    with pytest.raises(PointkitError, match="--names must be like 1=top,2=legs, or a file, got"):
        codes.said(words)


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("classes.txt", "class 1 top\nclass 2 legs\n", TOP_LEGS),
        ("classes.txt", "1: top\n2: legs\n", TOP_LEGS),
        ("labels.txt", "# by hand\n1,top\n2,legs\n\n", TOP_LEGS),
        ("names.txt", "top 1\nlegs 2\n", TOP_LEGS),
        ("names.txt", "table top\nlegs\n", {0: "table top", 1: "legs"}),
        ("labels/schema.json", '{"top": 1, "legs": 2}', TOP_LEGS),
        ("classes.json", '{"1": "top", "2": "legs"}', TOP_LEGS),
        ("classes.json", '["top", "legs"]', {0: "top", 1: "legs"}),
        ("parts.json", '{"1": "top", "2": "legs"}', TOP_LEGS),
        ("parts.json", '{"top": 1, "legs": 2}', TOP_LEGS),
    ],
)
def test_beside_a_set(tmp_path, name, text, names):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    found = codes.of_set(tmp_path)
    assert found[""].names == names
    assert found[""].source == name
    assert codes.of_set(tmp_path, "5=five")[""].names == {5: "five"}


def test_of_each_category(tmp_path):
    (tmp_path / "parts.json").write_text('{"table": {"1": "top"}, "chair": {"seat": 4}}')
    assert {name: some.names for name, some in codes.of_set(tmp_path).items()} == {
        "table": {1: "top"},
        "chair": {4: "seat"},
    }


def test_lists_are_not_by_code(tmp_path):
    (tmp_path / "parts.json").write_text('{"table": ["top", "legs"]}')
    assert codes.of_set(tmp_path) == {}
    assert codes.of_set(tmp_path / "nothing") == {}


def test_codes_without_a_name_are_refused():
    named = codes.said("1=top,2=legs")
    assert named.of([2]) == TOP_LEGS
    with pytest.raises(
        ValueError, match="--names names the codes 1=top, 2=legs; the labels also hold 0, 7: name them, or leave"
    ):
        named.of([0, 1, 7])


@pytest.mark.parametrize(
    ("name", "text"), [("classes.txt", ""), ("classes.txt", "1 a\n1 b\n"), ("schema.json", "[1]"), ("labels.json", "{")]
)
def test_texts_that_are_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(PointkitError, match=name):
        codes.of_set(tmp_path)
