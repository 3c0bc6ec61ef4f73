"""Polygons as triangles: the area of the shoelace formula, whatever their form, and every corner in its place."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit import formats
from pointkit.formats import polygons

DENT = [[0, 0], [4, 0], [4, 4], [3, 1]]
FORMS = {
    "a dent": DENT,
    "an L": [[0, 0], [3, 0], [3, 1], [1, 1], [1, 3], [0, 3]],
    "a U": [[0, 0], [5, 0], [5, 5], [4, 5], [4, 1], [1, 1], [1, 5], [0, 5]],
    "corners on the sides": [[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [1, 1], [0, 2], [0, 1]],
    "a hole by a bridge": [[0, 0], [9, 0], [9, 9], [0, 9], [0, 0], [3, 3], [3, 6], [6, 6], [6, 3], [3, 3]],
    "a comb": [*([i, 1 + 4 * (i % 2)] for i in range(41)), [40, 0], [0, 0]],
}


def shoelace(ring):
    x, y = np.asarray(ring, np.float64).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def areas(points, faces):
    """The area of each triangle along z: negative where it is turned over."""
    one, two, three = (points[faces[:, i]].astype(np.float64) for i in range(3))
    return np.cross(two - one, three - one)[:, 2] / 2


def cut(ring):
    points = np.column_stack([ring, np.zeros(len(ring))]).astype(np.float32)
    faces, _ = polygons.triangles(points, np.arange(len(ring)), np.array([len(ring)]))
    return points, faces


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backwards", [False, True])
def test_each_form_from_each_corner(form, backwards):
    for start in range(len(FORMS[form])):
        ring = np.roll(np.array(FORMS[form], float), start, 0)[:: -1 if backwards else 1]
        points, faces = cut(ring)
        assert len(faces) == len(ring) - 2
        assert np.abs(areas(points, faces)).sum() == pytest.approx(abs(shoelace(ring)), rel=1e-6)
        assert areas(points, faces).sum() == pytest.approx(shoelace(ring), rel=1e-6), "the side that is out stays"


@given(st.integers(4, 60), st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_stars_in_space(count, seed):
    rng = np.random.default_rng(seed)
    angle = (np.arange(count) + rng.uniform(0, 0.9, count)) * 2 * np.pi / count
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], 1) * rng.uniform(0.1, 1, (count, 1))
    points = (ring @ np.linalg.qr(rng.standard_normal((3, 3)))[0] + [5, -3, 2]).astype(np.float32)
    faces, owner = polygons.triangles(points, np.arange(count), np.array([count]))
    one, two, three = (points[faces[:, i]].astype(np.float64) for i in range(3))
    area = np.linalg.norm(np.cross(two - one, three - one), axis=1).sum() / 2
    assert area == pytest.approx(abs(shoelace(ring[:, :2])), rel=2e-4)
    assert owner.tolist() == [0] * (count - 2)


def test_convex_polygons_are_fans_around_their_first_corner():
    angle = np.arange(7) * 2 * np.pi / 7
    faces = cut(np.stack([np.cos(angle), np.sin(angle)], 1))[1]
    assert faces.tolist() == [[0, i, i + 1] for i in range(1, 6)]


def test_polygons_of_all_kinds_side_by_side():
    rings = [[[0, 0], [1, 0], [1, 1]], DENT, [[0, 0], [1, 0]], FORMS["a U"], [[0, 0], [1, 0], [1, 1], [0, 1]], [[7, 7]]]
    counts = np.array([len(ring) for ring in rings])
    points = np.concatenate([np.column_stack([ring, np.zeros(len(ring))]) for ring in rings]).astype(np.float32)
    faces, owner = polygons.triangles(points, np.arange(len(points)), counts)
    assert owner.tolist() == [0, 1, 1, *[3] * 6, 4, 4]
    assert faces[-2:].tolist() == [[17, 18, 19], [17, 19, 20]]
    for polygon in (0, 1, 3, 4):
        area = areas(points, faces[owner == polygon])
        assert (area >= 0).all()
        assert area.sum() == pytest.approx(shoelace(rings[polygon]))


def test_damaged_polygons_still_give_their_triangles():
    for ring in ([[0, 0], [1, 1], [1, 0], [0, 1], [0.5, 3]], [[0, 0]] * 6, [[0, 0], [1, 0], [2, 0], [3, 0], [1, 0]]):
        faces = cut(np.array(ring, float))[1]
        assert faces.shape == (len(ring) - 2, 3)
    pentagram = [[np.cos(a), np.sin(a)] for a in np.arange(20) * 7 * 2 * np.pi / 20]
    assert cut(np.array(pentagram))[1].shape == (18, 3)


def test_a_spiral_of_3000_corners_takes_no_minute():
    angle = np.linspace(0, 12 * np.pi, 1500)
    outer, inner = ((angle + width)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) for width in (6, 4))
    ring = np.concatenate([outer, inner[::-1]])
    begin = time.perf_counter()
    points, faces = cut(ring)
    assert time.perf_counter() - begin < 20
    assert np.abs(areas(points, faces)).sum() == pytest.approx(abs(shoelace(ring)), rel=1e-5)


@pytest.mark.parametrize("suffix", [".obj", ".off", ".ply"])
def test_in_all_formats(suffix):
    rows = "".join(f"{x} {y} 0\n" for x, y in DENT)
    text = {
        ".obj": "".join(f"v {row}\n" for row in rows.splitlines()) + "f 1 2 3 4\n",
        ".off": f"OFF\n4 1 0\n{rows}4 0 1 2 3\n",
        ".ply": "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face 1\nproperty list uchar int vertex_indices\nend_header\n{rows}4 0 1 2 3\n",
    }[suffix]
    mesh = formats.read(text.encode(), suffix)
    assert areas(mesh.vertices, mesh.faces).tolist() == [2, 2]
    assert mesh.polygons.tolist() == [0, 0]


def test_a_polygon_beyond_the_vertices():
    with pytest.raises(ValueError, match=r"must index the 3 vertices, got 9"):
        polygons.mesh(np.eye(3), np.array([0, 1, 2, 9]), np.array([4]))
