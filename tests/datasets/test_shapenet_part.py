"""Part annotations: each published layout in miniature, and what is odd in published sets."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from pointkit import formats, store
from pointkit.cli import run
from pointkit.cloud import Mesh, PointCloud
from pointkit.datasets import shapenet_part
from pointkit.errors import PointkitError
from pointkit.prepare import prepare

PARTS = {"Bag": ("handle", "body"), "Mug": ("handle", "rim", "wall")}
DIRECTORIES = {"Bag": "d01", "Mug": "d02"}
COLORS = {"Bag": ["red", "blue"], "Mug": ["red", "blue", "green"]}


def plan(shapes=10, points=12):
    """Category, id, split, points (N, 3), normals (N, 3), part of each point (N,)."""
    rng = np.random.default_rng(4)
    for category, parts in PARTS.items():
        for number in range(shapes):
            split = "test" if number < 2 else "val" if number < 4 else "train"
            part = rng.integers(0, len(parts), points + number)
            yield category, f"{number:03}", split, *rng.normal(size=(2, len(part), 3)).round(5), part


def put(path, rows, form):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, rows, form)


def annotation(root):
    for category, name, _, points, _, part in plan():
        folder = root / DIRECTORIES[category]
        put(folder / "points" / f"{name}.pts", points, "%.5f")
        for number, title in enumerate(PARTS[category]):
            put(folder / "points_label" / title / f"{name}.seg", part == number, "%d")
    facts = {
        name: {"directory": DIRECTORIES[name], "lables": list(PARTS[name]), "colors": COLORS[name]} for name in PARTS
    }
    (root / "metadata.json").write_text(json.dumps(facts))
    return root


def listed(root, layout, names=True):
    first = {"Bag": 0, "Mug": 2}
    splits = {"train": [], "val": [], "test": []}
    for category, name, split, points, normals, part in plan():
        folder = root / DIRECTORIES[category]
        if layout == "flat":
            put(folder / "points" / f"{name}.pts", points, "%.5f")
            put(folder / "points_label" / f"{name}.seg", part + 1, "%d")
        else:
            put(folder / f"{name}.txt", np.column_stack([points, normals, part + first[category]]), "%.5f")
        splits[split].append(f"shape_data/{DIRECTORIES[category]}/{name}")
    (root / "synsetoffset2category.txt").write_text("".join(f"{a}\t{b}\n" for a, b in DIRECTORIES.items()))
    (root / "train_test_split").mkdir()
    for split, idents in splits.items():
        (root / f"train_test_split/shuffled_{split}_file_list.json").write_text(json.dumps(idents))
    if names:
        (root / "parts.json").write_text(json.dumps({DIRECTORIES[name]: parts for name, parts in PARTS.items()}))
    return root


def flat(root):
    return listed(root, "flat")


def normal(root):
    return listed(root, "normal")


MAKERS = {"annotation": annotation, "flat": flat, "normal": normal}


def contents(opened):
    """Shape -> its points with the names of their parts, in the order of the coordinates."""
    names = [*(part for parts in opened.parts.values() for part in parts), "none"]
    answer = {}
    for i, row in enumerate(opened.rows):
        labels = opened.point_labels[opened.span(i)]
        rows = sorted(
            (*point, names[label]) for point, label in zip(opened.cloud(i).tolist(), labels.tolist(), strict=True)
        )
        answer[row.class_name, row.ident.split("/")[-1]] = rows
    return answer


@pytest.mark.parametrize("layout", MAKERS)
@pytest.mark.parametrize("wrapper", ["", "PartAnnotation"])
def test_every_layout_gives_the_same_points_and_parts(tmp_path, layout, wrapper):
    root = tmp_path / "set" / wrapper
    root.mkdir(parents=True)
    MAKERS[layout](root)
    done = prepare(tmp_path / "set", tmp_path / "store", workers=1)
    opened = done.store
    store.verify(opened)
    assert done.unread == ()
    assert opened.manifest["task"] == "parts"
    assert opened.classes == ("Bag", "Mug")
    assert opened.parts == PARTS
    wanted = {
        (category, name): sorted(
            (*point, PARTS[category][label])
            for point, label in zip(points.astype(np.float32).tolist(), part.tolist(), strict=True)
        )
        for category, name, _, points, _, part in plan()
    }
    assert contents(opened) == wanted, "all points are kept, each with its part"
    if layout != "annotation":
        official = {(category, name): split for category, name, split, *_ in plan()}
        assert {(row.class_name, row.ident.split("/")[-1]): row.split for row in opened.rows} == official
    else:
        assert {split: len(opened.select(split)) for split in store.SPLITS} == {"train": 14, "val": 2, "test": 4}
        assert opened.manifest["colors"] == COLORS
    assert (opened.features is None) == (layout != "normal")


def test_normals_stay_with_their_points(tmp_path):
    opened = prepare(normal(tmp_path), tmp_path / "store", workers=1).store
    assert opened.manifest["features"] == ["nx", "ny", "nz"]
    given = {(category, name): (points, normals) for category, name, _, points, normals, _ in plan()}
    for i, row in enumerate(opened.rows):
        points, normals = given[row.class_name, row.ident.split("/")[-1]]
        mine = np.column_stack([opened.cloud(i), opened.features[opened.span(i)]])
        theirs = np.column_stack([points, normals])
        np.testing.assert_allclose(mine[np.lexsort(mine.T[::-1])], theirs[np.lexsort(theirs.T[::-1])], atol=1e-6)


def test_a_missing_file_is_a_part_without_points_and_none_at_all_is_unlabelled(tmp_path, capsys):
    annotation(tmp_path / "set")
    labels = tmp_path / "set/d02/points_label"
    (labels / "rim/003.seg").unlink()
    for title in PARTS["Mug"]:
        (labels / title / "005.seg").unlink()
    assert run(["prepare", str(tmp_path / "set"), "-o", str(tmp_path / "store")]) == 0
    said = capsys.readouterr()
    opened = store.open(tmp_path / "store")
    assert (tmp_path / "store/unlabelled.csv").read_text() == "file\nd02/points/005.pts\n"
    assert len(opened.rows) == 19
    assert not any(row.ident == "d02/005" for row in opened.rows)
    _, _, _, _, _, part = next(shape for shape in plan() if shape[:2] == ("Mug", "003"))
    [i] = [i for i, row in enumerate(opened.rows) if row.ident == "d02/003"]
    assert np.bincount(opened.point_labels[opened.span(i)] + 1).tolist()[0] == (part == 1).sum()
    words = " ".join((said.out + said.err).split())
    assert "1 shapes lack the file of a part" in words
    assert "1 shapes have no part's file" in words
    assert f"{(part == 1).sum()} of" in words
    assert "handle (red), body (blue)" in words


def test_a_point_of_two_parts_belongs_to_the_last_and_one_of_none_is_unlabelled(tmp_path):
    annotation(tmp_path)
    for title, column in (("handle", [1, 1, 0]), ("rim", [0, 1, 0]), ("wall", [0, 0, 0])):
        put(tmp_path / f"d02/points_label/{title}/000.seg", np.array(column), "%d")
    put(tmp_path / "d02/points/000.pts", np.arange(9).reshape(3, 3), "%.5f")
    opened = prepare(tmp_path, tmp_path / "store", workers=1).store
    assert [row[3] for row in contents(opened)["Mug", "000"]] == ["handle", "rim", "none"]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("d01/points_label/body/004.seg", "1\n0\n", ["body/004.seg: must hold a label for each of 16 points, got 2"]),
        ("d01/points_label/body/004.seg", "2\n" * 16, ["body/004.seg: must hold a 0 or 1 for each point, got 2"]),
        ("d01/points_label/body/004.seg", "0.5\n" * 16, ["body/004.seg: labels must be whole numbers, got 0.5"]),
        ("d01/points_label/body/004.seg", "0 1\n" * 8, ["body/004.seg: must hold one number a line"]),
        ("d01/points_label/body/004.seg", "", ["body/004.seg: the file is empty"]),
        ("d01/points/004.pts", "1 2\n" * 16, ["a row must hold 3 numbers, got 2"]),
        ("d01/points/004.pts", "1 2 x\n" * 16, ["x"]),
    ],
)
def test_a_damaged_shape_is_listed_and_the_others_stay(tmp_path, file, text, words):
    annotation(tmp_path)
    (tmp_path / file).write_text(text)
    done = prepare(tmp_path, tmp_path / "store", workers=1)
    [(name, reason)] = done.unread
    assert name == "d01/points/004.pts"
    for word in words:
        assert word in reason
    assert str(tmp_path) not in reason
    assert len(done.store.rows) == 19


def test_text_in_other_spellings_gives_the_same_values(tmp_path):
    plain = contents(prepare(flat(tmp_path / "a"), tmp_path / "sa", workers=1).store)
    other = flat(tmp_path / "b")
    for i, path in enumerate(sorted(other.glob("*/points/*.pts"))):
        text = path.read_text()
        path.write_text([text.replace(" ", ","), "# x y z\n" + text, text.replace("\n", "\r\n"), text + "\n\n"][i % 4])
    for path in other.glob("*/points_label/*.seg"):
        path.write_text("".join(f"{line}.000\n" for line in path.read_text().split()))
    assert contents(prepare(other, tmp_path / "sb", workers=1).store) == plain


def test_the_codes_of_the_files_are_kept(tmp_path):
    assert prepare(flat(tmp_path / "a"), tmp_path / "sa").store.manifest["codes"] == {"Bag": [1, 2], "Mug": [1, 2, 3]}
    assert prepare(normal(tmp_path / "b"), tmp_path / "sb").store.manifest["codes"] == {"Bag": [0, 1], "Mug": [2, 3, 4]}
    assert "codes" not in prepare(annotation(tmp_path / "c"), tmp_path / "sc").store.manifest


def test_a_list_that_names_only_train_is_taken_as_it_is(tmp_path, capsys):
    root = flat(tmp_path / "set")
    for split in ("val", "test"):
        (root / f"train_test_split/shuffled_{split}_file_list.json").unlink()
    done = prepare(root, tmp_path / "store")
    assert {split: len(done.store.select(split)) for split in store.SPLITS} == {"train": 10, "val": 2, "test": 0}
    assert "8 shapes stand in no split list and are left out" in done.warnings
    assert any("no test shapes for Bag, Mug" in line for line in done.warnings)


def test_the_same_set_can_be_prepared_for_classification(tmp_path):
    prepare(flat(tmp_path / "set"), tmp_path / "classes", task="classification")
    shapes = store.open(tmp_path / "classes")
    assert shapes.task.name == "classification"
    assert list(shapes.classes) == ["d01", "d02"]  # the folders' names


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("metadata.json", "{", "not JSON"),
        ("metadata.json", "[]", "must hold a dict"),
        ("metadata.json", '{"Bag": {"directory": "d01"}}', "'Bag' must have a directory and the names of its parts"),
        ("metadata.json", '{"Bag": {"directory": "../d01", "lables": ["a"]}}', "'Bag' must have a directory"),
        ("metadata.json", '{"Bag": {"directory": "d01", "lables": ["../../b"]}}', "'Bag' must have a directory"),
        ("metadata.json", '{"Bag": {"directory": "d09", "lables": ["a"]}}', "no labelled shape in it"),
    ],
)
def test_metadata_that_is_not_as_published_is_named(tmp_path, file, text, words):
    annotation(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(PointkitError, match=words):
        prepare(tmp_path, tmp_path / "store")


def test_numbers_beyond_the_names_are_refused(tmp_path):
    root = flat(tmp_path / "set")
    (root / "parts.json").write_text(json.dumps({"d01": ["handle"], "d02": ["handle", "rim", "wall"]}))
    with pytest.raises(PointkitError, match="Bag has 1 parts, numbered from 1; found the number 2"):
        prepare(root, tmp_path / "store")


def test_without_names_the_parts_are_numbered(tmp_path):
    opened = prepare(listed(tmp_path / "set", "flat", names=False), tmp_path / "store").store
    assert opened.parts == {"Bag": ("part 1", "part 2"), "Mug": ("part 1", "part 2", "part 3")}


def test_labelled_clouds_and_meshes_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    codes = {"lamp": np.array([6, 2, 9]), "plant": np.array([2, 40])}
    for name, values in codes.items():
        for number in range(10):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            points = rng.normal(size=(20, 3)).astype(np.float32)
            label = values[rng.integers(0, len(values), 20)].astype(np.int32)
            formats.write(tmp_path / f"set/{name}/{number}.ply", PointCloud(points, {"label": label}))
    formats.write(tmp_path / "set/lamp/bare.ply", PointCloud(points))
    triangle = Mesh(np.eye(3, dtype="f4"), np.array([[0, 1, 2]]), {"scalar_Label": np.array([6], np.int32)})
    formats.write(tmp_path / "set/lamp/mesh.ply", triangle)
    done = prepare(tmp_path / "set", tmp_path / "store", task="parts")
    opened = done.store
    assert opened.manifest["codes"] == {"lamp": [2, 6, 9], "plant": [2, 40]}
    assert opened.parts == {"lamp": ("part 2", "part 6", "part 9"), "plant": ("part 2", "part 40")}
    assert [name for name, _ in done.unread] == ["lamp/bare.ply"]
    assert (
        "has no label for each point; found no fields; labels may also lie beside it, in a file of the same name"
        in done.unread[0][1]
    )
    counts = {row.ident: row.count for row in opened.rows}
    assert (counts["lamp/0"], counts["lamp/mesh"]) == (20, 2048)
    [i] = [i for i, row in enumerate(opened.rows) if row.ident == "lamp/mesh"]
    assert set(opened.point_labels[opened.span(i)].tolist()) == {1}


def test_info_counts_points_by_part_and_names_the_first(tmp_path, capsys):
    prepare(normal(tmp_path / "set"), tmp_path / "store")
    assert run(["info", str(tmp_path / "store"), "--show", "2", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    wanted = {name: dict.fromkeys(parts, 0) for name, parts in PARTS.items()}
    for category, *_, part in plan():
        for number, count in enumerate(np.bincount(part, minlength=len(PARTS[category]))):
            wanted[category][PARTS[category][number]] += count
    assert about["points_a_part"] == wanted
    first = about["shapes"][0]
    assert sum(first["points_a_part"].values()) == first["shape"][0]
    assert len(first["first_parts"]) == 3


def test_text_is_read_like_loadtxt_does(tmp_path):
    opened = prepare(flat(tmp_path), tmp_path / "store").store
    for i, row in enumerate(opened.rows):
        theirs = np.loadtxt(tmp_path / row.file).astype(np.float32)
        mine = opened.cloud(i)
        np.testing.assert_array_equal(mine[np.lexsort(mine.T)], theirs[np.lexsort(theirs.T)])


def test_somebody_elses_metadata_makes_no_set_of_parts(tmp_path):
    (tmp_path / "chair").mkdir()
    (tmp_path / "metadata.json").write_text('{"author": "me"}')
    assert shapenet_part.layout_of(tmp_path) is None


def test_layouts_are_told_apart(tmp_path):
    assert shapenet_part.layout_of(tmp_path) is None
    assert shapenet_part.layout_of(tmp_path / "nothing") is None
    for layout, make in MAKERS.items():
        root = tmp_path / layout
        root.mkdir()
        assert shapenet_part.layout_of(make(root)) == (root, layout)


def in_order(opened):
    """Shape -> its points with the ids of their parts (N, 4), in the order of the coordinates."""
    rows = {
        row.ident: np.column_stack([opened.cloud(i), opened.point_labels[opened.span(i)]])
        for i, row in enumerate(opened.rows)
    }
    return {name: table[np.lexsort(table.T[::-1])] for name, table in rows.items()}


def real(name):
    folder = pathlib.Path(os.environ.get("POINTKIT_DATA", "nowhere"), name)
    if not folder.is_dir():
        pytest.skip(f"needs the real parts: set POINTKIT_DATA to the folder that holds {name}")
    return folder


@pytest.mark.slow
def test_the_real_parts_are_the_same_in_all_layouts(tmp_path):
    stores = [prepare(real(f"parts_{layout}"), tmp_path / layout).store for layout in ("annotation", "flat", "normal")]
    assert [(len(opened.rows), len(opened.classes)) for opened in stores] == [(380, 19)] * 3
    assert {split: len(stores[1].select(split)) for split in store.SPLITS} == {"train": 228, "val": 57, "test": 95}
    assert stores[0].parts == stores[1].parts == stores[2].parts
    first, *others = map(in_order, stores)
    for other in others:
        assert first.keys() == other.keys()
        assert all((first[name] == other[name]).all() for name in first)
    splits = [{row.ident: row.split for row in opened.rows} for opened in stores[1:]]
    assert splits[0] == splits[1]


def test_the_real_samples_can_be_prepared(tmp_path, capsys):
    done = prepare(real("parts_sample16"), tmp_path / "store")
    assert (len(done.store.rows), len(done.store.classes), done.unread) == (16, 16, ())
    assert sum(len(names) for names in done.store.parts.values()) == 50
    assert (done.store.point_labels >= 0).all()
    assert run(["train", str(tmp_path / "store"), "-o", str(tmp_path / "run")]) == 2


@pytest.mark.parametrize("layout", ["annotation", "normal", pytest.param("flat", marks=pytest.mark.slow)])
def test_some_categories_have_the_same_points_and_parts_as_among_all(tmp_path, layout):
    root = MAKERS[layout](tmp_path / "set")
    prepare(root, tmp_path / "all")
    prepare(root, tmp_path / "some", classes=["Mug"])
    whole, some = store.open(tmp_path / "all"), store.open(tmp_path / "some")
    assert list(some.classes) == ["Mug"]
    assert list(some.parts) == ["Mug"]
    mugs = [i for i, row in enumerate(whole.rows) if row.class_name == "Mug"]
    assert [whole.rows[i].ident for i in mugs] == [row.ident for row in some.rows]
    for j, i in enumerate(mugs):
        np.testing.assert_array_equal(some.cloud(j), whole.cloud(i))
    first = whole.part_ids["Mug"].start
    for j, i in enumerate(mugs):
        np.testing.assert_array_equal(some.point_labels[some.span(j)], whole.point_labels[whole.span(i)] - first)


def test_numbers_run_on_over_categories_whose_folders_are_missing(tmp_path):
    root = listed(tmp_path / "set", "normal")
    shutil.rmtree(root / DIRECTORIES["Bag"])
    prepare(root, tmp_path / "store")
    assert list(store.open(tmp_path / "store").parts) == ["Mug"]


def test_a_category_that_is_not_there_is_named(tmp_path, capsys):
    root = listed(tmp_path / "set", "flat")
    assert run(["prepare", str(root), "-o", str(tmp_path / "store"), "--classes", "Mug,Bg"]) == 2
    assert "classes must be some of Bag, Mug, got 'Bg' (did you mean 'Bag'?)" in capsys.readouterr().err
