"""The built-in set: each style is a sound mesh with named parts, shapes differ, the same seed gives the same bytes."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pointkit import formats, preprocess, synthetic
from pointkit.cloud import Mesh
from pointkit.errors import PointkitError
from pointkit.synthetic import CLASSES, make, plan, write
from pointkit.synthetic.solids import face_areas

STYLES = [(name, style) for name, kind in CLASSES.items() for style in kind.styles + kind.test_styles]
ALWAYS = {  # the parts without which the thing is none
    "airplane": {"body", "wing", "tail"},
    "bicycle": {"wheel", "frame", "handlebar", "saddle", "pedal"},
    "bookshelf": {"side", "shelf"},
    "bottle": {"body", "neck", "cap"},
    "car": {"body", "cabin", "wheel", "bumper"},
    "chair": {"back", "seat", "leg"},
    "guitar": {"body", "neck", "head", "bridge"},
    "lamp": {"base", "pole", "shade"},
    "mug": {"cup", "handle"},
    "sailboat": {"hull", "keel", "mast", "sail"},
    "spectacles": {"rim", "lens", "bridge", "temple"},
    "table": {"top", "leg"},
}
ORDER = [  # class, axis, the part further along it, the part less far
    ("airplane", 0, "body", "tail"),
    ("bicycle", 0, "handlebar", "saddle"),
    ("bicycle", 2, "saddle", "wheel"),
    ("bookshelf", 0, "book", "back"),
    ("bottle", 2, "neck", "body"),
    ("bottle", 2, "cap", "neck"),
    ("car", 2, "cabin", "body"),
    ("car", 2, "body", "wheel"),
    ("chair", 0, "seat", "back"),
    ("chair", 2, "back", "seat"),
    ("chair", 2, "seat", "leg"),
    ("guitar", 2, "head", "neck"),
    ("guitar", 2, "neck", "body"),
    ("lamp", 2, "shade", "base"),
    ("mug", 1, "cup", "handle"),
    ("sailboat", 2, "sail", "hull"),
    ("sailboat", 2, "hull", "keel"),
    ("spectacles", 0, "lens", "temple"),
    ("table", 2, "top", "leg"),
]


@pytest.fixture(scope="module")
def made() -> list[tuple[synthetic.Planned, Mesh]]:
    """The whole set."""
    return [(shape, make(shape.class_name, shape.style, shape.seed)) for shape in plan()]


def part_names(name: str, mesh: Mesh) -> set[str]:
    return {CLASSES[name].part_names[number] for number in np.unique(mesh.face_fields["part"])}


def part_middle(name: str, part: str, mesh: Mesh):
    """The mean (3,) of a part's faces by area, or None where the shape has no such part."""
    faces = mesh.faces[mesh.face_fields["part"] == CLASSES[name].part_names.index(part)]
    if not len(faces):
        return None
    return np.average(mesh.vertices[faces].mean(1), axis=0, weights=face_areas(mesh.vertices, faces))


def pieces(mesh: Mesh, cells: int = 40) -> int:
    """Into how many pieces the surface falls, where gaps below about a fortieth of the shape's size do not count."""
    corners = mesh.vertices[mesh.faces]
    share = np.linspace(0, 1, 60)[:, None, None, None]
    edges = corners * share + np.roll(corners, 1, 1) * (1 - share)
    drawn = preprocess.draw(mesh, 30_000).points
    points = np.concatenate([edges.reshape(-1, 3), drawn])
    low = points.min(0)
    index = ((points - low) / np.ptp(points, axis=0).max() * (cells - 1)).astype(int)
    grid = np.zeros((cells, cells, cells), bool)
    grid[tuple(index.T)] = True
    return ndimage.label(grid, np.ones((3, 3, 3)))[1]


def test_the_facts():
    assert list(CLASSES) == sorted(CLASSES)
    assert len(CLASSES) >= 12
    assert set(ALWAYS) == set(CLASSES)
    assert sum(synthetic.SHARES.values()) == pytest.approx(1)
    for kind in CLASSES.values():
        assert 2 <= len(kind.part_names) <= 6
        assert len(set(kind.part_names)) == len(kind.part_names)
        assert len(kind.styles) >= 5
        assert 1 <= len(kind.test_styles) <= 2
        assert not set(kind.styles) & set(kind.test_styles)


@pytest.mark.parametrize(("name", "style"), STYLES)
def test_every_style_is_a_sound_mesh_in_one_piece(name, style):
    for seed in (1, 2, 3):
        mesh = make(name, style, [seed, 5])
        assert mesh.vertices.dtype == np.float32
        assert mesh.faces.dtype == np.int32
        assert 50 < len(mesh.faces) < 5000
        assert np.isfinite(mesh.vertices).all()
        assert face_areas(mesh.vertices.astype(np.float64), mesh.faces).min() > 0
        part = mesh.face_fields["part"]
        assert part.dtype == np.uint8
        assert part.shape == (len(mesh.faces),)
        assert part.max() < len(CLASSES[name].part_names)
        assert part_names(name, mesh) >= ALWAYS[name]
    assert pieces(mesh) == 1


def test_a_floating_part_would_be_seen():
    chair = make("chair", "four-legged", 0)
    legs = np.unique(chair.faces[chair.face_fields["part"] == CLASSES["chair"].part_names.index("leg")])
    vertices = chair.vertices.copy()
    vertices[legs] -= [0, 0, 0.2 * np.ptp(vertices, axis=0).max()]
    assert pieces(chair) == 1
    assert pieces(Mesh(vertices, chair.faces)) > 1


def test_every_part_is_learnt_from_training_shapes(made):
    seen = {name: set() for name in CLASSES}
    for shape, mesh in made:
        if shape.split == "train":
            seen[shape.class_name] |= part_names(shape.class_name, mesh)
    assert seen == {name: set(kind.part_names) for name, kind in CLASSES.items()}


def test_shapes_stand_as_their_class_does(made):
    for name, axis, further, nearer in ORDER:
        for shape, mesh in made:
            if shape.class_name == name:
                ahead, behind = (part_middle(name, part, mesh) for part in (further, nearer))
                if ahead is not None and behind is not None:
                    away = 1 if axis == 2 else -1  # z up, but front at -x and left at -y
                    assert away * ahead[axis] > away * behind[axis], (shape, further, nearer)


def test_the_turn_about_z_is_small_and_units_differ(made):
    for shape, mesh in made:
        if shape.class_name in ("car", "bicycle"):
            long, wide, _ = np.ptp(mesh.vertices, axis=0)
            assert long > 1.3 * wide
    sizes = [np.ptp(mesh.vertices, axis=0).max() for shape, mesh in made if shape.class_name == "mug"]
    assert 2.5 < max(sizes) / min(sizes) < 8


def test_no_two_shapes_are_alike(made):
    """Each shape's proportions, and the parts' shares in its surface, differ from every other's whatever the scale."""
    for name, kind in CLASSES.items():
        rows = []
        for shape, mesh in made:
            if shape.class_name == name:
                extents = np.ptp(mesh.vertices, axis=0)
                areas = face_areas(mesh.vertices, mesh.faces)
                shares = np.bincount(mesh.face_fields["part"], areas, len(kind.part_names)) / areas.sum()
                rows.append([*(extents / extents.max()), *shares])
        distance = np.linalg.norm(np.array(rows)[:, None] - np.array(rows), axis=-1)
        assert distance[~np.eye(len(rows), dtype=bool)].min() > 2e-3
        assert np.median(distance) > 0.1


def test_test_shapes_resemble_their_class(made):
    """The nearest training shape, by where its points lie, is of the right class for 19 in 20 of the unseen styles."""
    clouds = np.stack([preprocess.normalise(preprocess.draw(mesh, 1024).points)[0] for _, mesh in made])
    cell = np.floor((clouds + 1) * 3).clip(0, 5).astype(int) @ [36, 6, 1]
    filled = np.stack([np.bincount(row, minlength=216) for row in cell]) / 1024
    features = np.sqrt(ndimage.gaussian_filter(filled.reshape(-1, 6, 6, 6), (0, 0.6, 0.6, 0.6)).reshape(-1, 216))
    labels = np.array([shape.class_name for shape, _ in made])
    splits = np.array([shape.split for shape, _ in made])
    train, test = features[splits == "train"], features[splits == "test"]
    nearest = np.linalg.norm(test[:, None] - train, axis=-1).argmin(1)
    assert (labels[splits == "train"][nearest] == labels[splits == "test"]).mean() >= 0.95


def test_the_same_seed_makes_the_same_shape():
    for name, style in STYLES[::7]:
        first, again, other = make(name, style, 3), make(name, style, np.random.default_rng(3)), make(name, style, 4)
        assert np.array_equal(first.vertices, again.vertices)
        assert np.array_equal(first.faces, again.faces)
        assert np.array_equal(first.face_fields["part"], again.face_fields["part"])
        assert first.vertices.shape != other.vertices.shape or not np.array_equal(first.vertices, other.vertices)


def test_coordinates_lie_on_the_grid_exactly():
    vertices = make("mug", "bell", 0).vertices.astype(np.float64) / synthetic.GRID
    assert np.array_equal(vertices, np.round(vertices))


def test_plan_counts_and_styles():
    planned = plan()
    assert len(planned) == 60 * len(CLASSES)
    assert list(dict.fromkeys(shape.class_name for shape in planned)) == list(CLASSES)
    for name, kind in CLASSES.items():
        mine = [shape for shape in planned if shape.class_name == name]
        assert Counter(shape.split for shape in mine) == {"train": 42, "val": 6, "test": 12}
        assert [shape.number for shape in mine] == list(range(1, 61))
        styles = {split: {shape.style for shape in mine if shape.split == split} for split in synthetic.SHARES}
        assert styles["train"] == set(kind.styles)
        assert styles["val"] <= set(kind.styles)
        assert styles["test"] == set(kind.test_styles)
    assert planned[0].path == "airplane/train/airplane_0001.ply"
    assert planned[-1].path == "table/test/table_0060.ply"


@given(seed=st.integers(0, 2**31), count=st.integers(10, 500), name=st.sampled_from(sorted(CLASSES)))
def test_plan_of_any_size(seed, count, name):
    planned = plan(seed, count, [name])
    assert len({shape.path for shape in planned}) == len({shape.seed for shape in planned}) == count
    counts = Counter(shape.split for shape in planned)
    for split, share in synthetic.SHARES.items():
        assert abs(counts[split] - share * count) <= 1
    assert {shape.style for shape in planned if shape.split == "test"} == set(CLASSES[name].test_styles)
    assert planned == plan(seed, count, [name])


def test_a_class_does_not_depend_on_the_others():
    assert plan(5, 20, ["mug", "chair"]) == [s for s in plan(5, 20) if s.class_name in ("chair", "mug")]
    assert plan(5, 20, ["mug"])[0].seed != plan(6, 20, ["mug"])[0].seed


def test_write_twice_gives_the_same_bytes_and_what_make_made(tmp_path):
    classes = ("mug", "lamp")
    planned = write(tmp_path / "a", 7, 10, classes)
    write(tmp_path / "b", 7, 10, classes)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert sorted(path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*") if path.is_file()) == files
    assert len(files) == 20 + 2
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert json.loads((tmp_path / "a/parts.json").read_text()) == {
        name: list(CLASSES[name].part_names) for name in classes
    }
    assert "Apache-2.0" in (tmp_path / "a/README.txt").read_text()
    for shape in planned:
        mesh, read = make(shape.class_name, shape.style, shape.seed), formats.read(tmp_path / "a" / shape.path)
        assert isinstance(read, Mesh)
        assert np.array_equal(read.vertices, mesh.vertices)
        assert np.array_equal(read.faces, mesh.faces)
        assert np.array_equal(read.face_fields["part"], mesh.face_fields["part"])
        assert read.face_fields["part"].dtype == np.uint8
        assert not read.placement.origin.any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_another_seed_writes_other_shapes(tmp_path):
    for seed in (0, 1):
        write(tmp_path / str(seed), seed, 10, ["mug"])
    for path in (tmp_path / "0").rglob("*.ply"):
        assert path.read_bytes() != (tmp_path / "1" / path.relative_to(tmp_path / "0")).read_bytes()


def test_the_header_names_style_and_parts(tmp_path):
    (tmp_path / "set").mkdir()  # an empty folder is taken
    write(tmp_path / "set", shapes_per_class=10, classes=["chair"])
    header = (tmp_path / "set/chair/train/chair_0001.ply").read_bytes().partition(b"end_header")[0].decode("ascii")
    assert re.findall(r"comment part (\d) (\w+)", header) == [("0", "back"), ("1", "seat"), ("2", "leg"), ("3", "arm")]
    assert f"comment style {plan(0, 10, ['chair'])[0].style}\n" in header


def test_write_takes_no_folder_that_holds_something(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(PointkitError, match=r"needs a new or an empty folder"):
        write(tmp_path)
    with pytest.raises(PointkitError, match=r"mine\.txt: .* needs a folder, this is a file"):
        write(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_a_failure_leaves_no_folder_and_the_next_write_starts_clean(tmp_path, monkeypatch):
    def full(path, mesh):
        if path.name == "mug_0004.ply":
            raise OSError(28, "No space left on device")
        path.write_bytes(b"element vertex ")

    with monkeypatch.context() as patch:
        patch.setattr(formats, "write", full)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path / "set", shapes_per_class=10, classes=["mug"])
    assert not (tmp_path / "set").exists()
    write(tmp_path / "set", shapes_per_class=10, classes=["mug"])
    assert len(list((tmp_path / "set").rglob("*.ply"))) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_mistakes_name_the_argument_the_rule_and_what_was_found():
    with pytest.raises(PointkitError, match=r"class must be one of airplane, .*got 'chiar' \(did you mean 'chair'\?\)"):
        make("chiar", "windsor", 0)
    with pytest.raises(PointkitError, match=r"style of a chair must be one of four-legged, .*, got 'throne'"):
        make("chair", "throne", 0)
    with pytest.raises(PointkitError, match=r"class must be one of .*got 'boat'"):
        plan(classes=["boat"])
    with pytest.raises(PointkitError, match=r"shapes_per_class must be at least 10, .*got 9"):
        plan(shapes_per_class=9)
    with pytest.raises(PointkitError, match=r"seed must not be negative, got -1"):
        plan(-1)
