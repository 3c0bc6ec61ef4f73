"""Tests of pointkit.view: what is shown of a file, where it is written, and the page in a real browser."""

from __future__ import annotations

import html
import html.parser
import io
import os
import pathlib
import re
import struct
import sys
import threading
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
import trimesh
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointkit import formats, view
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError, MissingExtraError, PointkitError
from pointkit.report import raster
from tests import browser

BLUE, ORANGE, GREEN = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)
GREY = (0xC9, 0xCE, 0xD4)


def box(low, high):
    """The twelve triangles of a box."""
    corners = np.array([[(low, high)[i >> k & 1][k] for k in range(3)] for i in range(8)], np.float32)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    return corners, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)


def three_boxes(field="part", numbers=(0, 1, 2)):
    """Three boxes side by side along y, far from zero and 300 units large; each has its number in a face field."""
    vertices, faces, parts = [], [], []
    for i, number in enumerate(numbers):
        v, f = box((1000, 100 * i, 0), (1100, 100 * i + 90, 80))
        vertices.append(v)
        faces.append(f + 8 * i)
        parts += [number] * len(f)
    return Mesh(np.concatenate(vertices), np.concatenate(faces), {field: np.array(parts, np.uint8)} if field else {})


@pytest.fixture
def mesh_file(tmp_path):
    path = tmp_path / "boxes.ply"
    formats.write(path, three_boxes())
    return path


@pytest.fixture
def cloud_file(tmp_path):
    path = tmp_path / "ball.xyz"
    formats.write(path, PointCloud(np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)))
    return path


class Recorder:
    """Takes what is put into a viser server, to look at."""

    def __init__(self):
        self.meshes, self.points, self.glb, self.initial_camera = {}, {}, {}, SimpleNamespace()
        self.scene = SimpleNamespace(
            add_mesh_simple=self.add_mesh, add_point_cloud=self.add_points, add_glb=self.add_glb
        )

    def add_mesh(self, name, vertices, faces, *, color, position, **_):
        self.meshes[name] = SimpleNamespace(vertices=vertices, faces=faces, color=tuple(color), position=position)

    def add_glb(self, name, data, *, position):
        self.glb[name] = SimpleNamespace(data=data, position=position)

    def add_points(self, name, points, colors, *, position, point_size, **_):
        self.points[name] = SimpleNamespace(points=points, colors=colors, position=position, size=point_size)

    def everything(self):
        """All corners and points where they stand, (M, 3)."""
        return np.concatenate(
            [m.vertices + m.position for m in self.meshes.values()]
            + [p.points + p.position for p in self.points.values()]
        )


def filled(scene):
    recorder = Recorder()
    view._fill(recorder, scene)
    return recorder


def seen(recorder):
    """Where all that was put in appears (M, 2), the upper and lower edge of the window being at 1 and -1."""
    camera = recorder.initial_camera
    forward = camera.look_at - camera.position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    relative = recorder.everything() - camera.position
    plane = np.stack([relative @ right, relative @ np.cross(right, forward)], 1)
    return plane / (relative @ forward)[:, None] / np.tan(camera.fov / 2)


class Addresses(html.parser.HTMLParser):
    """What a page would fetch, and its title."""

    def __init__(self, text):
        super().__init__()
        self.found, self.title, self._inside = [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        self.found += [value for key, value in attrs if key in ("src", "href", "srcset", "action")]

    def handle_data(self, data):
        self.title += data if self._inside == "title" else ""

    def handle_endtag(self, tag):
        self._inside = ""


def image(path):
    return matplotlib.image.imread(io.BytesIO(path.read_bytes()))[..., :3]


# Where it is written


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("cloud_file", ".png"), ("cloud_file", ".PNG"), ("cloud_file", ".html"), ("mesh_file", ".html")],
)
def test_writes_what_the_suffix_says_and_nothing_else(kind, suffix, request, tmp_path, capfd):
    path = request.getfixturevalue(kind)
    before, threads = path.read_bytes(), threading.active_count()
    output = tmp_path / f"out{suffix}"
    assert view.view(path, output) == output
    start = b"\x89PNG" if suffix.lower() == ".png" else b"<!doctype html>"
    assert output.read_bytes()[: len(start)] == start
    assert sorted(tmp_path.iterdir()) == sorted([path, output])
    assert path.read_bytes() == before
    assert capfd.readouterr() == ("", "")
    assert threading.active_count() == threads, "a server still runs"


@pytest.mark.parametrize("name", ["out.jpg", "out", "out.html.gz", "boxes.ply"])
def test_other_suffixes_are_refused(mesh_file, tmp_path, name):
    before = mesh_file.read_bytes()
    with pytest.raises(PointkitError, match=r"must end in \.png or \.html") as caught:
        view.view(mesh_file, tmp_path / name, force=True)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == [mesh_file]
    assert mesh_file.read_bytes() == before


@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_an_existing_file_stays_unless_forced(cloud_file, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    output.write_text("precious")
    with pytest.raises(PointkitError, match="exists already; --force replaces it"):
        view.view(cloud_file, output)
    assert output.read_text() == "precious"
    view.view(cloud_file, output, force=True)
    assert output.stat().st_size > 2000
    view.view(cloud_file, output, force=True)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_input_is_never_replaced(cloud_file, tmp_path, link):
    output = tmp_path / "out.png"
    link(cloud_file, output)
    before = cloud_file.read_bytes()
    with pytest.raises(PointkitError, match="is the file to be drawn"):
        view.view(cloud_file, output, force=True)
    assert cloud_file.read_bytes() == output.read_bytes() == before


def test_a_folder_in_the_way_or_missing_is_named(cloud_file, tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PointkitError, match=r"folder\.png: --output must be a file"):
        view.view(cloud_file, tmp_path / "folder.png", force=True)
    with pytest.raises(PointkitError, match=r"out\.png: --output must lie in a folder that can be written to"):
        view.view(cloud_file, tmp_path / "nowhere" / "out.png")


def test_a_bad_file_leaves_the_earlier_picture(tmp_path):
    bad = tmp_path / "bad.off"
    bad.write_text("OFF\n3 1 0\n0 0 0\n")
    output = tmp_path / "out.png"
    output.write_text("precious")
    with pytest.raises(FormatError, match="^" + str(bad)):
        view.view(bad, output, force=True)
    with pytest.raises(FileNotFoundError):
        view.view(tmp_path / "missing.off", output, force=True)
    assert output.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_mesh_without_area_is_named(tmp_path):
    flat = tmp_path / "flat.off"
    formats.write(flat, Mesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]])))
    with pytest.raises(PointkitError, match=r"flat\.off: .*area"):
        view.view(flat, tmp_path / "out.html")


def test_without_viser_a_page_names_the_extra_and_a_picture_works(cloud_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(MissingExtraError, match=r"pip install pointkit\[view\]"):
        view.view(cloud_file, tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()
    view.view(cloud_file, tmp_path / "out.png")


def test_the_server_is_the_machine_s_own_and_stops_after_a_failure(cloud_file, monkeypatch):
    viser = pytest.importorskip("viser")
    servers = []

    class Server(viser.ViserServer):
        def __init__(self, **settings):
            super().__init__(**settings)
            servers.append((self, settings))

    monkeypatch.setattr(viser, "ViserServer", Server)
    monkeypatch.setattr(view, "_fill", lambda *_: 1 / 0)
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        view.page(view.load(cloud_file))
    [(_, settings)] = servers
    assert settings["host"] == "127.0.0.1"
    assert threading.active_count() == threads


# What is shown


def test_a_mesh_comes_with_points_of_its_surface_in_the_colours_of_their_parts(mesh_file):
    scene = view.load(mesh_file)
    assert scene.title == "boxes.ply: 24 vertices, 36 faces, 2,048 points drawn"
    assert scene.points.shape == (2048, 3)
    number = (scene.points[:, 1] // 99).astype(int)
    np.testing.assert_array_equal(scene.labels.points, number)
    np.testing.assert_array_equal(scene.labels.faces, np.repeat([0, 1, 2], 12))
    points = filled(scene).points["/points"]
    np.testing.assert_array_equal(points.colors, np.array([BLUE, ORANGE, GREEN], np.uint8)[number])
    np.testing.assert_array_equal(scene.points, view.load(mesh_file).points)


def test_a_mesh_without_faces_is_a_cloud(tmp_path):
    path = tmp_path / "bare.off"
    path.write_text("OFF\n4 0 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n")
    scene = view.load(path)
    assert (scene.title, scene.mesh, scene.colors) == ("bare.off: 4 points", None, None)
    assert view.picture(scene)[:4] == b"\x89PNG"


def test_a_large_cloud_is_thinned_at_random_and_says_so(tmp_path):
    path = tmp_path / "many.npy"
    np.save(path, np.stack([np.arange(view.MOST + 500)] * 3, 1).astype(np.float32))
    scene = view.load(path)
    assert scene.title == "many.npy: 200,000 of 200,500 points"
    kept = np.unique(scene.points[:, 0])
    assert len(kept) == view.MOST
    left_out = np.setdiff1d(np.arange(view.MOST + 500), kept)
    assert left_out.min() < 20_000
    assert left_out.max() > 180_000, "not the end or the beginning, but points from everywhere"
    np.testing.assert_array_equal(scene.points, view.load(path).points)


def test_colours_follow_their_points_when_they_are_shuffled(tmp_path):
    points = np.arange(60, dtype=np.float32).reshape(20, 3)
    channels = {name: np.arange(i, 20 + i, dtype=np.uint8) for i, name in enumerate(("red", "green", "blue"))}
    formats.write(tmp_path / "c.ply", PointCloud(points, channels))
    scene = view.load(tmp_path / "c.ply")
    row = (scene.points[:, 0] // 3).astype(int)
    assert not np.array_equal(row, np.arange(20))
    np.testing.assert_array_equal(scene.colors, np.stack([row, row + 1, row + 2], 1))


def packed(red, green, blue):
    return struct.unpack("<f", bytes([blue, green, red, 0]))[0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"red": np.uint8([9, 0]), "green": np.uint8([8, 1]), "blue": np.uint8([7, 255])}, 0, id="bytes"),
        pytest.param(
            {"red": np.uint16([9 * 257, 0]), "green": np.uint16([8 * 257, 257]), "blue": np.uint16([7 * 257, 65535])},
            0,
            id="16 bits",
        ),
        pytest.param(
            {"red": np.float32([9, 0]) / 255, "green": np.float32([8, 1]) / 255, "blue": np.float32([7, 255]) / 255},
            0,
            id="shares",
        ),
        pytest.param({"rgb": np.float32([packed(9, 8, 7), packed(0, 1, 255)])}, 0, id="packed"),
        pytest.param({"red": np.uint8([9, 0]), "green": np.uint8([8, 1])}, None, id="a channel is missing"),
        pytest.param({"red": np.uint8([0, 0]), "green": np.uint8([0, 0]), "blue": np.uint8([0, 0])}, None, id="black"),
        pytest.param(
            {"red": np.float32([np.nan] * 2), "green": np.float32([0, 0]), "blue": np.zeros(2)}, None, id="nan"
        ),
        pytest.param({"intensity": np.float32([1, 2])}, None, id="none"),
    ],
)
def test_a_cloud_s_own_colours(tmp_path, fields, expected):
    path = tmp_path / "cloud.ply"
    formats.write(path, PointCloud(np.float32([[0, 0, 0], [1, 0, 0]]), fields))
    scene = view.load(path)
    if expected is None:
        assert scene.colors is None
    else:
        np.testing.assert_array_equal(scene.colors[scene.points[:, 0].argsort()], [(9, 8, 7), (0, 1, 255)])
        assert scene.colors.dtype == np.uint8


def painted(where):
    """The three boxes, red, green and blue by their vertices or their faces."""
    mesh = three_boxes(field=None)
    paint = np.repeat(np.eye(3) * 255, len(mesh.vertices if where == "vertices" else mesh.faces) // 3, 0).astype("u1")
    if where == "faces":
        return Mesh(mesh.vertices, mesh.faces, {"color": paint})
    return Mesh(mesh.vertices, mesh.faces, vertex_fields=dict(zip(("r", "g", "b"), paint.T, strict=True)))


@pytest.mark.parametrize("where", ["vertices", "faces"])
def test_a_mesh_s_own_colours(tmp_path, where):
    path = tmp_path / "boxes.ply"
    formats.write(path, painted(where))
    scene = view.load(path)
    box_of = (scene.points[:, 1] // 100).astype(int)
    np.testing.assert_array_equal(scene.colors, np.uint8(np.eye(3) * 255)[box_of])
    np.testing.assert_array_equal(
        scene.paint, np.uint8(np.eye(3) * 255)[np.repeat([0, 1, 2], 12)][:, None].repeat(3, 1)
    )
    output = view.view(path, tmp_path / "out.png")
    pixels = image(output).reshape(-1, 3)
    saturated = pixels[pixels.max(1) - pixels.min(1) > 0.3]
    assert [(saturated.argmax(1) == channel).sum() > 5000 for channel in range(3)] == [True] * 3
    recorder = filled(scene)
    (shown,) = recorder.glb.values()
    mesh = trimesh.load(io.BytesIO(shown.data), file_type="glb", process=False).to_mesh()
    np.testing.assert_allclose(
        mesh.triangles.mean(1), (scene.mesh.vertices[scene.mesh.faces].mean(1) - [1050, 145, 40]) / 290, atol=1e-6
    )
    corners = np.frombuffer(shown.data[-36 * 3 * 4 :], np.uint8).reshape(36, 3, 4)  # the last of the file
    np.testing.assert_array_equal(corners[..., :3], scene.paint)
    assert b'"doubleSided":true' in shown.data
    np.testing.assert_array_equal(recorder.points["/points"].colors, scene.colors)
    page = view.page(scene)
    assert len(page) < 2_000_000


def test_a_mesh_whose_colours_are_all_black_is_shown_plain(tmp_path):
    mesh = three_boxes(field=None)
    path = tmp_path / "boxes.ply"
    formats.write(path, Mesh(mesh.vertices, mesh.faces, vertex_fields=dict.fromkeys("rgb", np.zeros(24, "u1"))))
    scene = view.load(path)
    assert (scene.colors, scene.paint) == (None, None)


@pytest.mark.parametrize("field", ["label", "scalar_Label", "classification"])
def test_labels_of_vertices_are_those_of_the_faces_whose_corners_they_are(tmp_path, field):
    mesh = three_boxes(field=None)
    codes = np.repeat([4, 7, 9], 8).astype(np.float32)
    path = tmp_path / "boxes.ply"
    formats.write(path, Mesh(mesh.vertices, mesh.faces, vertex_fields={field: codes}))
    scene = view.load(path)
    assert scene.labels.faces.tolist() == np.repeat([0, 1, 2], 12).tolist()
    assert scene.labels.names == (f"{field} 4", f"{field} 7", f"{field} 9")
    np.testing.assert_array_equal(scene.labels.points, scene.points[:, 1] // 100)


COLORED = {"red": np.uint8([255] * 5), "green": np.uint8([0] * 5), "blue": np.uint8([0] * 5)}


def loaded(path, fields, notes=()):
    points = np.arange(15, dtype=np.float32).reshape(5, 3)
    formats.write(path, PointCloud(points, fields), notes)
    scene = view.load(path)
    order = np.argsort(scene.points[:, 0])
    numbers = None if scene.labels is None else scene.labels.points[order]
    return scene, numbers, filled(scene).points["/points"].colors[order]


def test_labels_come_before_a_clouds_own_colours_and_a_classification_after(tmp_path):
    labels = np.int32([4, 7, 4, 9, -1])
    expected = np.array([BLUE, ORANGE, BLUE, GREEN, GREY])
    for fields in ({"label": labels}, {"part": labels}, {"classification": labels}, {"label": labels, **COLORED}):
        scene, numbers, colors = loaded(tmp_path / "one.ply", fields)
        np.testing.assert_array_equal(numbers, [0, 1, 0, 2, -1])
        np.testing.assert_array_equal(colors, expected)
        field = next(iter(fields))
        assert scene.labels.names == (f"{field} 4", f"{field} 7", f"{field} 9")
    scene, numbers, colors = loaded(tmp_path / "one.ply", {"classification": labels, **COLORED})
    assert numbers is None
    np.testing.assert_array_equal(colors, [(255, 0, 0)] * 5)


def test_labels_have_the_names_and_colours_of_the_files_comments(tmp_path):
    notes = ["label 3 is wing", "label 5 is <tail>", "label 9 is body"]
    for suffix in (".ply", ".pcd", ".xyz"):
        scene, numbers, colors = loaded(tmp_path / f"one{suffix}", {"label": np.int32([9, 9, 3, 3, 9])}, notes)
        assert scene.labels.names == ("wing", "<tail>", "body")
        np.testing.assert_array_equal(numbers, [2, 2, 0, 0, 2])
        np.testing.assert_array_equal(colors, [GREEN, GREEN, BLUE, BLUE, GREEN])
    page = view._titled("<html><title>a</title><body></body>", scene)
    assert re.findall(r"background:(#\w+)\"></span>([^<]*)<", page) == [
        ("#0072b2", "wing"),
        ("#e69f00", "&lt;tail&gt;"),
        ("#009e73", "body"),
    ]
    scene, *_ = loaded(tmp_path / "one.ply", {"label": np.int32([9, 9, 3, 4, 9])}, notes)
    assert scene.labels.names == ("label 3", "label 4", "label 9"), "names that do not fit are not believed"


def test_labels_that_are_no_numbers_and_a_mesh_without_faces(tmp_path):
    scene, numbers, _ = loaded(tmp_path / "one.ply", {"label": np.float32([np.nan, 2, 2, np.nan, -1])})
    assert scene.labels.names == ("label 2", "label nan")
    np.testing.assert_array_equal(numbers, [1, 0, 0, 1, -1])
    bare = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
    bare += "element face 0\nproperty list uchar int vertex_indices\nproperty uchar label\nend_header\n0 0 0\n"
    (tmp_path / "bare.ply").write_text(bare)
    assert view.load(tmp_path / "bare.ply").labels is None


def test_height_colours_run_from_dark_to_light():
    points = np.zeros((101, 3), np.float32)
    points[:, 2] = np.arange(101)
    light = view._height_colors(points).astype(int).sum(1)
    assert (np.diff(light[1:-1]) >= 0).mean() > 0.9
    assert light[-1] > light[0] + 200
    points[-1, 2] = 1e6  # a stray does not stretch the scale
    assert abs(view._height_colors(points).astype(int).sum(1) - light)[:90].max() < 30
    assert len(np.unique(view._height_colors(np.zeros((7, 3), np.float32)), axis=0)) == 1


@settings(deadline=None)  # a busy machine is no fault
@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_pieces_hold_every_face_once_in_the_colour_of_its_part(num_parts, seed):
    rng = np.random.default_rng(seed)
    parts = rng.integers(-1, num_parts, 40)
    mesh = Mesh(rng.normal(size=(120, 3)), np.arange(120).reshape(40, 3))
    labels = view.Labels(parts, tuple(f"part {i}" for i in range(num_parts)), parts)
    pieces = list(view._pieces(mesh, labels))
    faces = np.concatenate([faces for _, faces, _ in pieces])
    np.testing.assert_array_equal(faces[np.argsort(faces[:, 0])], mesh.faces)
    expected = view._colors(parts)
    assert len({tuple(color) for *_, color in pieces}) == len(pieces) == len(np.unique(expected, axis=0))
    for name, faces, color in pieces:
        assert name.startswith(("part ", "unlabelled"))
        assert (expected[faces[:, 0] // 3] == color).all()


def test_pieces_are_named_by_their_parts(tmp_path):
    def names(mesh):
        formats.write(tmp_path / "one.ply", mesh)
        scene = view.load(tmp_path / "one.ply")
        return [name for name, *_ in view._pieces(scene.mesh, scene.labels)]

    assert names(three_boxes()) == ["part 0", "part 1", "part 2"]
    assert names(three_boxes("label", (3, 3, 8))) == ["label 3", "label 8"]
    assert names(three_boxes(None)) == ["surface"]
    triangle = np.eye(3, dtype=np.float32)
    many = Mesh(triangle, np.tile(np.int32([[0, 1, 2]]), (100, 1)), {"part": np.arange(100, dtype=np.int32)})
    assert names(many)[0] == "part 0, part 13, part 26, part 39, part 52, …"


def test_strays_are_the_far_few():
    rng = np.random.default_rng(0)
    room = rng.random((1000, 3)).astype(np.float32)
    room[:4] = [(9, 0, 0), (0, -7, 0), (0, 0, 5), (1, 1, 1)]
    np.testing.assert_array_equal(np.flatnonzero(~view._without_strays(room)), [0, 1, 2])
    assert view._without_strays(np.ones((1, 3), np.float32)).all()
    two_ends = np.float32([(0, 0, 0), (1e6, 0, 0)])
    assert view._without_strays(two_ends).all()


CLOUDS = hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.just(3)), elements=st.floats(-1000, 1000, width=32))


@settings(deadline=None)  # a busy machine is no fault
@given(CLOUDS)
@example(np.float32([[0, 0, 0], 400 * raster.project(np.eye(3))[:, 2]]))  # one behind the other
def test_the_camera_sees_every_point_of_a_cloud(points):
    near = points[view._without_strays(points)]
    recorder = filled(view.Scene("", near))
    inside = recorder.points["/points"].points
    assert np.abs(inside).max() <= 0.66
    plane = seen(recorder)
    assert np.abs(plane[:, 0]).max() <= view.ASPECT
    assert np.abs(plane[:, 1]).max() <= 1


def test_a_shape_fills_the_window_wherever_it_stood_and_however_large():
    shape = three_boxes()
    far = Mesh(shape.vertices * 1e-3 + np.float32((5, -2, 9)), shape.faces, shape.face_fields)
    points = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    for scene in (view.Scene("", points, None, shape), view.Scene("", points, None, far), view.Scene("", points)):
        if scene.mesh is not None:
            scene = view.Scene("", scene.mesh.vertices, None, scene.mesh)
        plane = seen(filled(scene))
        low, high = plane.min(0), plane.max(0)
        np.testing.assert_allclose(low, -high, atol=0.02)
        share = (high - low) / (2 * view.ASPECT, 2)
        assert 0.8 < share.max() <= 1 / view.MARGIN + 0.01


def test_a_mesh_stands_left_of_its_points_and_both_are_upright():
    mesh = three_boxes()
    parts = mesh.face_fields["part"].astype(int)
    labels = view.Labels(np.repeat([0, 1, 2], 8), ("part 0", "part 1", "part 2"), parts)
    recorder = filled(view.Scene("", mesh.vertices, None, mesh, labels))
    assert list(recorder.meshes) == ["/mesh/part 0", "/mesh/part 1", "/mesh/part 2"]
    assert [m.color for m in recorder.meshes.values()] == [BLUE, ORANGE, GREEN]
    left = np.concatenate([m.vertices + m.position for m in recorder.meshes.values()])
    right = recorder.points["/points"].points + recorder.points["/points"].position
    assert raster.project(left)[:, 0].max() < raster.project(right)[:, 0].min()
    assert np.ptp(left[:, 1]) == pytest.approx(1), "the longest side is one unit"
    assert np.ptp(left[:, 2]) == pytest.approx(80 / 290), "z stays up"
    np.testing.assert_allclose(left - left.mean(0), right - right.mean(0), atol=1e-3)


def test_vertices_of_no_face_do_not_shrink_the_mesh():
    mesh = three_boxes()
    more = Mesh(np.concatenate([mesh.vertices, [(1e6, 0, 0)]]), mesh.faces, mesh.face_fields)
    plain, padded = (filled(view.Scene("", mesh.vertices, None, m)) for m in (mesh, more))
    np.testing.assert_allclose(plain.everything(), padded.everything(), atol=1e-6)


def test_points_far_away_stay_finite_in_the_page():
    points = np.random.default_rng(0).random((500, 3)).astype(np.float32)
    points[0] = 1e30
    recorder = filled(view.Scene("", points))
    assert np.isfinite(recorder.everything().astype(np.float16)).all()
    assert np.linalg.norm(recorder.initial_camera.position) < 5


# The picture and the page


def test_pictures_show_the_shape(mesh_file, cloud_file, tmp_path):
    mesh, cloud = (image(view.view(path, tmp_path / f"{path.stem}.png")) for path in (mesh_file, cloud_file))
    assert mesh.shape[1] > mesh.shape[0] > 600
    middle = mesh.shape[1] // 2
    for half in (mesh[100:-100, :middle], mesh[100:-100, middle:], cloud[50:-50]):
        assert 0.03 < (half.min(-1) < 0.95).mean() < 0.9
    assert cloud.shape == (960, 960, 3)
    assert len(np.unique((cloud.reshape(-1, 3) * 255).astype(int), axis=0)) > 200, "coloured by height"


def test_the_page_is_one_file_of_the_promised_size(tmp_path):
    points = np.random.default_rng(0).normal(size=(100_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    np.save(tmp_path / "a & <b>.npy", points.astype(np.float32))
    output = view.view(tmp_path / "a & <b>.npy", tmp_path / "out.html")
    assert output.stat().st_size < 2_100_000
    text = output.read_text(encoding="utf-8")
    page = Addresses(text)
    assert page.title == "a & <b>.npy: 100,000 points"
    assert all(address.startswith("data:") for address in page.found), page.found
    assert text.count("a &amp; &lt;b&gt;.npy") == 2
    assert "a & <b>" not in text
    assert str(tmp_path) not in text


def looks_like(color):
    """Whether at least 50 pixels of the inner part of a photograph are of about this hue, shaded as may be."""
    direction = np.array(color) / np.linalg.norm(color)

    def holds(pixels):
        height, width = pixels.shape[:2]
        inner = pixels[height // 8 : -height // 8, width // 8 : -width // 8].reshape(-1, 3).astype(np.float64)
        length = np.linalg.norm(inner, axis=1)
        near = (inner @ direction > 0.97 * length) & (length > 0.2) & (np.ptp(inner, axis=1) > 0.3)
        return near.sum() > 50

    return holds


@pytest.mark.slow
def test_a_browser_shows_the_page_without_any_network(mesh_file, tmp_path):
    output = view.view(mesh_file, tmp_path / "out.html")
    with browser.opened(output, tmp_path / "profile") as page:
        pixels = page.until(lambda pixels: all(looks_like(color)(pixels) for color in (BLUE, ORANGE, GREEN)))
        inner = (pixels[60:-60, 100:-100] * 255).astype(int).reshape(-1, 3)
        assert len(np.unique(inner, axis=0)) > 50, "shaded, not blank"
        if page.run("document.querySelectorAll('.mantine-Notification-closeButton').length"):  # no GPU, it says
            page.click("document.querySelector('.mantine-Notification-closeButton')")
        page.click("[...document.querySelectorAll('[aria-label=\"Show scene tree\"]')].find(e => e.checkVisibility())")
        page.until(lambda _: "/points" in page.run("document.body.innerText"))
        text = page.run("document.body.innerText")
        assert "/mesh" in text
        assert "boxes.ply: 24 vertices, 36 faces, 2,048 points drawn" in text
        assert "part 0\npart 1\npart 2\n" in text
        page.click("[...document.querySelectorAll('[data-playback-scene-tree] .tabler-icon-eye')].at(-1)")
        page.until(lambda pixels: looks_like(BLUE)(pixels[:, :400]) and not looks_like(BLUE)(pixels[:, 400:]))
        assert page.run("document.title") == "boxes.ply: 24 vertices, 36 faces, 2,048 points drawn"
        assert page.errors == []
    outside = [url[:80] for url in page.requests if not url.startswith(("file://", "data:", "blob:"))]
    assert page.requests
    assert outside == []


# ---- what shows itself in a notebook


def test_a_view_shows_its_page_in_a_frame(mesh_file):
    seen_ = view.Viewed(view.load(mesh_file))
    text = seen_._repr_html_()
    frame = re.fullmatch(r'<iframe srcdoc="([^"]*)" title="boxes.ply: [^"]*" style="[^"]*"></iframe>', text)
    inside = html.unescape(frame[1])
    assert inside.startswith("<!")
    assert "<title>boxes.ply: 24 vertices, 36 faces, 2,048 points drawn</title>" in inside
    assert repr(seen_) == "View of boxes.ply: 24 vertices, 36 faces, 2,048 points drawn"


def test_a_view_that_was_written_as_a_picture_shows_the_picture(mesh_file, tmp_path):
    text = view.Viewed(view.load(mesh_file), tmp_path / "out.PNG")._repr_html_()
    assert "<iframe" not in text
    assert "data:image/png;base64," in text
    assert str(tmp_path / "out.PNG") in text


def test_a_view_without_viser_is_a_picture(mesh_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    text = view.Viewed(view.load(mesh_file))._repr_html_()
    assert "<iframe" not in text
    assert "data:image/png;base64," in text


@pytest.mark.slow
def test_a_browser_shows_the_frame(mesh_file, tmp_path):
    output = tmp_path / "cell.html"
    output.write_text(f"<p>a notebook</p>{view.Viewed(view.load(mesh_file))._repr_html_()}")
    with browser.opened(output, tmp_path / "profile", height=560) as page:
        page.until(lambda pixels: all(looks_like(color)(pixels) for color in (BLUE, ORANGE, GREEN)))


@pytest.mark.slow
def test_on_a_phone_nothing_is_cut_off(mesh_file, tmp_path):
    output = view.view(mesh_file, tmp_path / "out.html")
    with browser.opened(output, tmp_path / "profile", 390, 844) as page:
        pixels = page.until(lambda pixels: all(looks_like(color)(pixels) for color in (BLUE, ORANGE, GREEN)))
        body = pixels[250:650]  # between the browser's own remark and the legend
        columns = np.flatnonzero((np.ptp(body, axis=2) > 0.3).any(0))
        assert 5 < columns[0] < 60
        assert 330 < columns[-1] < 385
        assert page.errors == []


def test_a_narrow_window_sees_as_far_to_the_sides_as_a_wide_one(cloud_file):
    text = view._titled("<head><title>a</title></head><body></body>", view.load(cloud_file))
    wide, slope = re.search(r"narrow = ([\d.]+) \* innerHeight.*?atan\(([\d.]+) \* narrow\)", text, re.DOTALL).groups()
    narrow = float(wide) * 844 / 390
    fov = 2 * np.arctan(float(slope) * narrow)
    assert np.tan(fov / 2) * 390 / 844 == pytest.approx(np.tan(view.FOV / 2) * view.ASPECT)
    assert text.index("<script>") < text.index("<body>"), "before the client reads it"


REAL = (
    "scans/files/bunny.ply",
    "scans/files/suzanne.ply",
    "scans/files/room_scan1.pcd",
    "off_sample/ModelNet10/*/test/*.off",
    "mn10_points/*/test/*.pcd",
)


@pytest.mark.parametrize("pattern", REAL)
def test_real_files(pattern, tmp_path):
    if "POINTKIT_DATA" not in os.environ:
        pytest.skip("POINTKIT_DATA names no folder with the real files")
    path = min(pathlib.Path(os.environ["POINTKIT_DATA"]).glob(pattern), default=None)
    if path is None:
        pytest.skip(f"POINTKIT_DATA holds no {pattern}")
    plane = seen(filled(view.load(path)))
    middle = (np.abs(plane) < (view.ASPECT, 1)).all(1)
    assert middle.mean() > 0.98
    assert 0.5 < (plane[middle].max(0) - plane[middle].min(0)).max() / 2 <= view.ASPECT
    if path.suffix == ".pcd":  # pictures of meshes are tested with the others of plots
        picture = image(view.view(path, tmp_path / "out.png"))
        assert 0.01 < (picture.min(-1) < 0.95).mean() < 0.9
    assert view.view(path, tmp_path / "out.html").stat().st_size < 3_000_000
