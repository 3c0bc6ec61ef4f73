"""Pictures: they are PNG, the same each time, text does not overlap, and they do not need what is missing."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy import ndimage

from pointkit import sampling
from pointkit.cloud import Mesh
from pointkit.report import plots
from tests.figures import boxes_of_text, overlapping, pixels, same_twice, texts

RNG = np.random.default_rng(0)
CLOUD = RNG.normal(size=(200, 3)).astype(np.float32)
CLOUD.flags.writeable = False
TETRAHEDRON = Mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
FIGURES = {
    "cloud": lambda: plots.cloud(CLOUD),
    "coloured cloud": lambda: plots.cloud(CLOUD, np.full((200, 3), 0.5)),
    "numbered cloud": lambda: plots.cloud(CLOUD, np.arange(200)),
    "mesh_and_points": lambda: plots.mesh_and_points(TETRAHEDRON, CLOUD, "a tetrahedron.off"),
    "cloud_grid": lambda: plots.cloud_grid([CLOUD] * 8, ["chair"] * 7 + ["bed\nit is a sofa"], [False] * 7 + [True]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_png_and_the_same_twice(name):
    same_twice(FIGURES[name])


def test_pyplot_is_never_loaded():
    code = (
        "import sys, numpy as np; from pointkit.report import plots;"
        "plots.png(plots.cloud(np.eye(3))); print('matplotlib.pyplot' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_mistakes_are_marked_by_more_than_colour():
    titles = ["chair", "bed\nit is a sofa"]
    figure = plots.cloud_grid([CLOUD, CLOUD], titles, [False, True])
    shown = [text.get_text() for text in texts(figure)]
    assert shown == ["✓ chair", "✗ bed", "it is a sofa"]
    frames = [frame for frame in figure.findobj(Rectangle) if not frame.get_fill()]
    assert frames[1].get_linewidth() > 2 * frames[0].get_linewidth()


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9])
def test_grids_of_any_number(count):
    figure = plots.cloud_grid([CLOUD] * count, ["x"] * count, [False] * count)
    assert len(figure.axes) == count
    assert all(axes.get_aspect() == 1 for axes in figure.axes)


@pytest.mark.parametrize(("clouds", "titles", "wrong"), [([], [], []), ([CLOUD], ["a", "b"], [True])])
def test_grids_refuse_lists_that_do_not_fit(clouds, titles, wrong):
    with pytest.raises(ValueError, match="must be equally many"):
        plots.cloud_grid(clouds, titles, wrong)


def ink(figure):
    """Where the picture is not white: (height, width) bool."""
    return pixels(figure)[..., :3].min(-1) < 0.97


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.full((5, 3), 7.0), [[1e9, 2e9, 3e9]]])
def test_points_in_one_place_are_a_dot_in_the_middle(points):
    drawn = ink(plots.cloud(points))
    for axis in (0, 1):
        lines = np.flatnonzero(drawn.any(axis))
        assert 1 < len(lines) < 0.1 * drawn.shape[axis - 1]
        assert lines.mean() == pytest.approx(drawn.shape[axis - 1] / 2, abs=1.5)


def test_two_points_are_two_dots():
    assert ndimage.label(ink(plots.cloud([[0, 0, 0], [1, 1, 1]])))[1] == 2


@pytest.mark.parametrize("factor", [2.0**-66, 2.0**66])
def test_a_tiny_and_a_huge_cloud_look_as_any_other(factor):
    np.testing.assert_array_equal(pixels(plots.cloud(CLOUD * factor)), pixels(plots.cloud(CLOUD)))


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros(3)])
def test_no_points_no_picture(points):
    with pytest.raises(ValueError, match=r"needs points \(N, 3\), at least one"):
        plots.cloud(points)


def test_a_mesh_and_its_points_lie_alike():
    points = sampling.surface(TETRAHEDRON, 20_000, np.random.default_rng(0)).points
    picture = pixels(plots.mesh_and_points(TETRAHEDRON, points))
    ink = (picture[..., :3].min(-1) < 0.97)[: int(0.9 * len(picture))]
    left, right = ink[:, : ink.shape[1] // 2], ink[:, ink.shape[1] // 2 :]
    for axis in (0, 1):  # both begin and end at the same pixels, two more or less
        ends = [np.flatnonzero(half.any(axis))[[0, -1]] for half in (left, right)]
        np.testing.assert_allclose(*ends, atol=2)
    assert (left & right).sum() > 0.98 * right.sum()


def test_a_heading_stands_above_the_clouds_and_is_cut_to_their_width():
    for heading in ("chair.ply: chair 98.8 %", "long " * 60):
        figure = plots.labelled_clouds([CLOUD, CLOUD], [np.zeros(200, int)] * 2, ["a", "b"], ["c"], heading=heading)
        boxes, shown = boxes_of_text(figure), [text.get_text() for text in texts(figure)]
        place = next(i for i, text in enumerate(shown) if text[:5] == heading[:5])
        assert (boxes[place, 1] > np.delete(boxes[:, 3], place)).all()
        assert boxes[:, 2].max() <= figure.get_size_inches()[0] * figure.dpi
        assert overlapping(boxes) == 0


def test_a_mesh_without_faces_shows_its_points():
    picture = pixels(plots.mesh_and_points(Mesh(CLOUD, np.zeros((0, 3), int)), CLOUD))
    assert (picture[..., :3].min(-1) < 0.9).any()


@pytest.mark.parametrize("titles", ["a" * 60 + "\n" + "b" * 60, "MMMMMMMMMMMMMMMMMMMMMMMMMMMM"])
def test_long_titles_stay_in_their_cell(titles):
    figure = plots.cloud_grid([CLOUD] * 4, [titles] * 4, [True] * 4)
    boxes = boxes_of_text(figure)
    assert overlapping(boxes) == 0
    assert all("…" in text.get_text() for text in texts(figure))


def test_names_are_text_and_never_formulas():
    name = "$\\frac{1}{0$ \n <b> 椅子"
    for figure in (
        plots.cloud_grid([CLOUD], [name], [True]),
        plots.mesh_and_points(TETRAHEDRON, CLOUD, name),
    ):
        assert plots.png(figure)


def test_the_palette_is_told_apart_in_grey_where_lines_share_axes():
    def luminance(color):
        return np.dot([int(color[i : i + 2], 16) for i in (1, 3, 5)], [0.299, 0.587, 0.114])

    assert len(set(plots.PALETTE)) == 8
    assert abs(luminance(plots.BLUE) - luminance(plots.VERMILLION)) > 20


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="needs the real files: set POINTKIT_DATA to their folder")
def test_real_meshes():
    trimesh = pytest.importorskip("trimesh")
    files = sorted((pathlib.Path(os.environ["POINTKIT_DATA"]) / "off_sample").rglob("*.off"))[::77]
    assert files
    for file in files:
        found = trimesh.load(file, process=False)
        mesh = Mesh(found.vertices, found.faces)
        points = sampling.surface(mesh, 1024, np.random.default_rng(0)).points
        picture = pixels(plots.mesh_and_points(mesh, points, file.name))
        assert (picture[..., :3].min(-1) < 0.9).mean() > 0.02, file
