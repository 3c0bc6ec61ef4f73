"""Folders as users have them: the same labelled tables in many forms give the same parts, or a question.

A table's top has the label 1 and lies above 0.65; its legs have the label 2 and lie below. So the labels in a store can
be told right from wrong by the points themselves.
"""

import json

import numpy as np
import pytest

from pointkit import formats
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import PointkitError
from pointkit.formats.columns import Meaning
from pointkit.prepare import chunks, prepare
from pointkit.prepare.chunks import Rule, Source

COUNT = 60


def table(seed):
    """Points (60, 3) of a table, shuffled, and their labels."""
    rng = np.random.default_rng(seed)
    top = np.c_[rng.uniform(-0.6, 0.6, (COUNT // 2, 2)), rng.uniform(0.7, 0.75, COUNT // 2)]
    legs = np.c_[rng.choice([-0.55, 0.55], (COUNT // 2, 2)), rng.uniform(0, 0.6, COUNT // 2)]
    order = rng.permutation(COUNT)
    return np.r_[top, legs].astype(np.float32)[order], np.repeat([1, 2], COUNT // 2)[order]


def text(path, points, *columns, title="", separator=" ", comments=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.c_[(points, *columns)]
    words = ["%d" if (column == np.round(column)).all() else "%.5f" for column in rows.T]
    np.savetxt(path, rows, separator.join(words), header=title, comments=comments)


def arrays(path, **named):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, *named.values())
    else:
        np.savez(path, **named)


def cloud(path, points, **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    formats.write(path, PointCloud(points, fields))


def mesh(path, points, labels):
    """Each point is a small triangle, whose vertices have the labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    corners = (points[:, None] + 0.01 * np.eye(3)).reshape(-1, 3).astype(np.float32)
    faces = np.arange(3 * len(points)).reshape(-1, 3)
    formats.write(path, Mesh(corners, faces, vertex_fields={"scalar_label": np.repeat(labels, 3).astype(np.float32)}))


def lines(labels):
    return "".join(f"{label}\n" for label in labels)


def beside(folder, points, name, data):
    """A folder a scan: its points, and a file with their labels."""
    cloud(folder / "pc.ply", points)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def pieces(folder, points, labels):
    """A folder a scan: a file for each of its parts."""
    for name, code in (("top_1", 1), ("legs_1", 2)):
        cloud(folder / f"{name}.ply", points[labels == code])


RGB = np.tile([200, 100, 50], (COUNT, 1))
SURVEY = {"title": "Point,Easting,Northing,Height,label", "separator": ","}
SLASHES = {"title": "X,Y,Z,Label", "separator": ",", "comments": "//"}
# How a table is written into a folder, from its points and labels; and the user's word about columns.
FORMS = {
    "a float of CloudCompare": (lambda at, p, b: cloud(at / "a.ply", p, scalar_Classification=b.astype("f4")), ""),
    "another name and case": (lambda at, p, b: cloud(at / "a.pcd", p, Class=b.astype("u1")), ""),
    "a title": (lambda at, p, b: text(at / "a.xyz", p, b, title="X Y Z part"), ""),
    "a title behind slashes": (lambda at, p, b: text(at / "a.txt", p, b, **SLASHES), ""),
    "a survey": (lambda at, p, b: text(at / "a.csv", np.c_[np.arange(COUNT), p], b, **SURVEY), ""),
    "columns in the user's order": (lambda at, p, b: text(at / "a.txt", p, RGB, b), "x,y,z,r,g,b,label"),
    "an array": (lambda at, p, b: arrays(at / "a.npy", a=np.c_[p, b]), "x,y,z,label"),
    "arrays by name": (lambda at, p, b: arrays(at / "a.npz", points=p, labels=b), ""),
    "vertices of a mesh": (lambda at, p, b: mesh(at / "a.ply", p, b), ""),
    "a list": (lambda at, p, b: beside(at, p, "label.txt", lines(b)), ""),
    "bytes": (lambda at, p, b: beside(at, p, "pc.label", b.astype("<u4").tobytes()), ""),
    "json": (lambda at, p, b: beside(at, p, "pc.json", json.dumps({"labels": b.tolist()})), ""),
    "a file for each part": (pieces, ""),
}


@pytest.mark.parametrize(
    ("form", "category"),
    [*((form, "table") for form in FORMS), *((form, "") for form in ("a title",))],
)
def test_labelled_tables(tmp_path, form, category):
    make, columns = FORMS[form]
    for number in range(6):
        make(tmp_path / "set" / category / f"scan_{number}", *table(number))
    made = prepare(tmp_path / "set", tmp_path / "store", task="parts", columns=columns, num_points=40)
    assert made.unread == ()
    assert len(made.store.rows) == 6
    [(name, parts)] = made.store.task.parts.items()
    assert name == (category or "set")
    names = [{"part 1": "top", "part 2": "legs"}.get(part, part) for part in parts]
    assert sorted(names) == ["legs", "top"]
    high = made.store.points[:, 2] > 0.65
    np.testing.assert_array_equal(np.array(names)[made.store.point_labels] == "top", high)
    assert 0.3 < high.mean() < 0.7
    assert made.store.manifest.get("meaning", {}) == Meaning.said(columns=columns).facts()


def test_codes_that_mean_nothing_and_names_for_the_others(tmp_path):
    for number in range(6):
        points, labels = table(number)
        labels[::3] = 0
        cloud(tmp_path / "set" / f"{number}.ply", points, label=labels)
    made = prepare(tmp_path / "set", tmp_path / "store", task="parts", unlabelled="0", names="1=top,2=legs")
    assert made.store.task.parts == {"set": ("top", "legs")}
    assert (made.store.point_labels == -1).sum() == 6 * COUNT // 3


def test_rows_without_coordinates_are_left_out_and_said(tmp_path):
    for number in range(6):
        points, labels = table(number)
        points[: number // 2] = np.nan
        text(tmp_path / "set" / f"{number}.xyz", points, labels, title="x y z label")
    made = prepare(tmp_path / "set", tmp_path / "store", task="parts")
    words = "6 rows without coordinates (nan) are left out: 2.xyz, 3.xyz, 4.xyz, 5.xyz"
    assert words in made.warnings
    assert sorted(made.store.counts.tolist()) == [58, 58, 59, 59, 60, 60]
    np.testing.assert_array_equal(made.store.point_labels == 0, made.store.points[:, 2] > 0.65)


def short(path, points, labels):
    """A label too few beside it."""
    cloud(path / "a.ply", points)
    (path / "a.txt").write_text(lines(labels[1:]))


NAMELESS = {"title": "id a b c label"}
ROWS = np.arange(COUNT)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda at, p, b: text(at / "a.txt", p, b), r"column3 looks like labels: --label-field column3 takes it"),
        (lambda at, p, b: text(at / "a.txt", np.c_[ROWS, p], b, **NAMELESS), "which columns are x, y and z"),
        (lambda at, p, b: cloud(at / "a.ply", p, label=b + 4710, **{"class": b}), r"class \(.*1 to 2\); --label-field"),
        (short, "a.txt holds 59 labels, and the file has 60 points"),
    ],
)  # fmt: skip
def test_what_is_asked(tmp_path, make, words):
    for number in range(4):
        make(tmp_path / "set" / f"table_{number}", *table(number))
    with pytest.raises(PointkitError, match=words):
        prepare(tmp_path / "set", tmp_path / "store", task="parts")
    assert not (tmp_path / "store").exists()


def of(number, one, other):
    """One of two ways of writing a table: the first for the first four."""
    return one if number < 4 else other


def test_labels_of_different_fields_are_asked_about(tmp_path):
    """The codes of ``label`` and of ``class`` may mean two things, and would become one store without a word."""
    for number in range(6):
        points, labels = table(number)
        cloud(tmp_path / "set" / f"{number}.ply", points, **of(number, {"label": labels}, {"Class": labels + 7}))
    words = (
        r"set: labels come from different fields: label in 4, such as 0.ply; class in 2, such as 4.ply; .* "
        r"--label-field NAME takes one field"
    )
    with pytest.raises(PointkitError, match=words):
        prepare(tmp_path / "set", tmp_path / "store", task="parts")
    assert not (tmp_path / "store").exists()
    made = prepare(tmp_path / "set", tmp_path / "store", task="parts", label_field="label")
    assert len(made.store.rows) == 4
    assert [file for file, _ in made.unread] == ["4.ply", "5.ply"]


@pytest.mark.parametrize("own", ["scalar_Label", "LABEL", "label"])
def test_one_field_by_its_names(tmp_path, own):
    for number in range(6):
        points, labels = table(number)
        fields = {"label": labels} if number else {own: labels, "class": labels}  # two fields that hold the same
        cloud(tmp_path / "set" / f"{number}.ply", points, **fields)
    assert len(prepare(tmp_path / "set", tmp_path / "store", task="parts").store.rows) == 6


def test_labels_in_some_files_and_beside_others_are_asked_about(tmp_path):
    for number in range(6):
        points, labels = table(number)
        cloud(tmp_path / "set" / f"{number}.ply", points, **of(number, {"part": labels}, {}))
        if number >= 4:
            (tmp_path / "set" / f"{number}.txt").write_text(lines(labels))
    words = "part in 4, such as 0.ply; files beside the shapes in 2, such as 4.ply"
    with pytest.raises(PointkitError, match=words):
        prepare(tmp_path / "set", tmp_path / "store", task="parts")
    made = prepare(tmp_path / "set", tmp_path / "store", task="parts", label_field="part")
    assert [row.file for row in made.store.rows] == ["0.ply", "1.ply", "2.ply", "3.ply"]


def test_labels_beside_that_are_the_files_own_too(tmp_path):
    for number in range(6):
        points, labels = table(number)
        cloud(tmp_path / "set" / f"{number}.ply", points, **of(number, {"part": labels}, {}))
        (tmp_path / "set" / f"{number}.txt").write_text(lines(labels))
    assert len(prepare(tmp_path / "set", tmp_path / "store", task="parts").store.rows) == 6


def test_a_place_among_columns_is_one_field_only_where_the_rows_are_alike(tmp_path):
    """The fourth column is the label in some files, and red in the others."""
    for number in range(6):
        points, labels = table(number)
        text(tmp_path / "set" / f"{number}.txt", points, *of(number, (labels,), (RGB, labels)))
    words = "column3 of 4 in 4, such as 0.txt; column3 of 7 in 2, such as 4.txt; .* write titles"
    with pytest.raises(PointkitError, match=words):
        prepare(tmp_path / "set", tmp_path / "store", task="parts", label_field="column3")


@pytest.mark.parametrize(
    ("columns", "title", "keep", "words"),
    [
        ((RGB,), "", "color", r"set: --features color, but 4 of 4 files have no color \(.*\), such as class 0/0.txt; "
         "its 6 columns have no names: --columns names them in their order, like x,y,z,r,g,b$"),
        ((RGB, np.ones(COUNT)), "", "intensity", "its 7 columns have no names: .* like x,y,z,intensity,-,-,-$"),
        ((), "", "color", "such as class 0/0.txt$"),
        ((RGB,), "x y z Rot Gruen Blau", "color", r"0.txt; found Rot \(float64, whole, 200 to 200\), Gruen .*, Blau"),
    ],
)  # fmt: skip
def test_features_that_are_asked_for_and_not_there(tmp_path, columns, title, keep, words):
    for number in range(4):
        text(tmp_path / "set" / f"class {number % 2}" / f"{number}.txt", table(number)[0], *columns, title=title)
    with pytest.raises(PointkitError, match=words):
        prepare(tmp_path / "set", tmp_path / "store", keep=keep)


def test_names_of_columns_for_files_that_name_their_own(tmp_path):
    for number in range(4):
        cloud(tmp_path / "set" / f"class {number % 2}" / f"{number}.ply", table(number)[0])
    with pytest.raises(PointkitError, match=r"is for texts and arrays, found none; class 0/0\.ply names its"):
        prepare(tmp_path / "set", tmp_path / "store", columns="x,y,z,label")


def test_colours_of_some_vertices_alone_are_said_or_refused(tmp_path):
    for number in range(8):
        points = table(number)[0]
        color = [" 200 0 0" if row or number % 4 else "" for row in range(COUNT)]
        rows = "".join(f"v {x:.4f} {y:.4f} {z:.4f}{c}\n" for (x, y, z), c in zip(points, color, strict=True))
        path = tmp_path / "set" / f"class {number % 2}" / f"{number}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rows + "f 1 2 3\n")
    lost = "color of some vertices or faces alone is left out"
    with pytest.raises(PointkitError, match=f"2 of 8 files have no color .* such as class 0/0.obj; {lost}"):
        prepare(tmp_path / "set", tmp_path / "store", keep="color")
    assert not prepare(tmp_path / "set", tmp_path / "plain").store.task.features
    rule = Rule(10, 0, features=("color",))
    status = path.parents[1].joinpath("class 0/0.obj").stat()
    source = Source("class 0/0.obj", ((status.st_size, status.st_mtime_ns),))
    [result] = chunks.read(str(tmp_path / "set"), [source], rule, str(tmp_path / "chunk"))
    assert result.warnings == (lost,)


def test_two_readings_are_named_with_their_flags(tmp_path):
    for number in range(4):
        pieces(tmp_path / "set" / f"room_{number}", *table(number))
    words = r"--folders classes gives 4 classes .* --task parts --folders pieces gives 4 shapes of 2 parts"
    with pytest.raises(PointkitError, match=words):
        prepare(tmp_path / "set", tmp_path / "store")


def channels(*names):
    return {name: np.full(COUNT, value, "u1") for name, value in zip(names, (230, 25, 5), strict=True)}


COLORS = {
    "rgba of PCL": {"rgba": np.full(COUNT, 255 << 24 | 230 << 16 | 25 << 8 | 5, "u4")},
    "diffuse": channels("diffuse_red", "diffuse_green", "diffuse_blue"),
    "letters": channels("R", "G", "B"),
}


@pytest.mark.parametrize("name", COLORS)
def test_colours_under_their_usual_names(tmp_path, name):
    for number in range(6):
        cloud(tmp_path / "set" / f"class {number % 2}" / f"{number}.pcd", table(number)[0], **COLORS[name])
    made = prepare(tmp_path / "set", tmp_path / "store", keep="color")
    np.testing.assert_allclose(np.unique(made.store.features, axis=0), [[230 / 255, 25 / 255, 5 / 255]], rtol=1e-6)
