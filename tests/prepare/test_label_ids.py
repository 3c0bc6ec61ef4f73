"""From labels in files to the ids of a store: which names the codes get."""

import pathlib
from collections import Counter

import numpy as np
import pytest

from pointkit.cloud import Sample
from pointkit.datasets.codes import CodeNames
from pointkit.datasets.folder import Found, FoundFile
from pointkit.errors import PointkitError
from pointkit.prepare.label_ids import LabelIds, part_names
from pointkit.store import ShapeRow

TOP_LEGS = CodeNames("classes.txt", {1: "top", 2: "legs"})


def found(layout="fields", classes=("table",), **more):
    files = tuple(FoundFile(f"{name}/a.ply", f"{name}/a", name, "train", ((1, 1),)) for name in classes)
    return Found(pathlib.Path("set"), files, classes, (), layout=layout, **more)


def ids(some, *labels):
    """The ids of a set with one shape a category, with these labels."""
    rows = [ShapeRow(ident=name, file=name, split="train", class_name=name, group="") for name in some.classes]
    samples = [Sample(np.zeros((len(each), 3), np.float32), np.array(each, np.int32)) for each in labels]
    made = LabelIds(some, rows, samples)
    return made, [sample.labels.tolist() for sample in made.apply(rows, samples)]


def test_without_names_parts_are_called_by_their_codes():
    made, labels = ids(found(), [7, -1, 2, 7])
    assert made.names == {"table": ("part 2", "part 7")}
    assert labels == [[1, -1, 0, 1]]


@pytest.mark.parametrize("codes", [{"": TOP_LEGS}, {"table": TOP_LEGS}])
def test_names_by_code(codes):
    made, labels = ids(found(codes=codes), [2, 1, -1])
    assert made.names == {"table": ("top", "legs")}
    assert made.codes == {"table": [1, 2]}
    assert labels == [[1, 0, -1]]


def test_codes_without_a_name_are_refused():
    with pytest.raises(
        PointkitError, match=r"^set: classes.txt names the codes 1=top, 2=legs; the labels also hold 0: name them"
    ):
        ids(found(codes={"": TOP_LEGS}), [0, 1, 2])


def test_what_the_user_does_not_name_the_format_does():
    asprs = {2: "ground", 6: "building", 64: "class 64"}
    seen = {"table": Counter([2, 64, 6])}
    some = found(codes={"": CodeNames("--names", {64: "wire", 65: "mast"})})
    names = {"table": ("ground", "building", "wire", "mast")}
    assert part_names(some, seen, asprs.get) == (names, {"table": [2, 6, 64, 65]})
    some = found(codes={"": CodeNames("--names", {64: "building"})})
    with pytest.raises(ValueError, match=r"--names and the format call 6 and 64 both building: name them otherwise"):
        part_names(some, seen, asprs.get)
    some = found(codes={"": CodeNames("classes.txt", {0: "tree", 2: "car"})})  # perhaps of other codes than the ASPRS's
    with pytest.raises(ValueError, match=r"classes.txt names the codes 0=tree, 2=car; the labels also hold 6, 64"):
        part_names(some, seen, asprs.get)


def test_names_of_categories_are_not_names_of_parts():
    named = CodeNames("classes.txt", {0: "lamp", 1: "table"})
    made, _ = ids(found(classes=("lamp", "table"), codes={"": named}), [1, 2], [1, 2])
    assert made.names == {"lamp": ("part 1", "part 2"), "table": ("part 1", "part 2")}
    assert "classes.txt names categories, and no codes of parts: it is not used" in made.warnings


@pytest.mark.parametrize(("labels", "codes"), [([0, 1, 1], [0, 1]), ([1, 2, 2], [1, 2]), ([1, 1], [0, 1])])
def test_a_list_of_names_is_of_the_codes_from_0_on_or_from_1(labels, codes):
    made, _ = ids(found(part_names={"table": ("top", "legs")}), labels)
    assert made.names == {"table": ("top", "legs")}
    assert made.codes == {"table": codes}
    said = "table: parts.json names the codes from 1 on, as no point has the code 0"
    assert (said in made.warnings) == (codes == [1, 2])


@pytest.mark.parametrize("layout", ["fields", "flat", "normal"])
def test_a_list_of_names_that_does_not_cover_the_codes_is_refused(layout):
    with pytest.raises(ValueError, match=r"table has 2 parts, numbered from .; found the number"):
        part_names(found(layout, part_names={"table": ("top", "legs")}), {"table": Counter([0, 1, 5])})
