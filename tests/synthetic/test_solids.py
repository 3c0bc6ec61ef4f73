"""Solids against the volumes and areas of the textbook; closed ones are watertight and look outward."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit.synthetic import solids
from pointkit.synthetic.solids import Solid


def volume(solid: Solid) -> float:
    """The volume inside, positive where faces look outward."""
    a, b, c = (solid.vertices[solid.faces[:, k]] for k in range(3))
    return float(np.einsum("fd,fd->", a, np.cross(b, c)) / 6)


def area(solid: Solid) -> float:
    return float(solids.face_areas(solid.vertices, solid.faces).sum())


def open_edges(solid: Solid) -> int:
    """Directed edges without their opposite: 0 on a closed surface whose faces agree on the outside.

    Vertices of one place count as one: a ring shrunk to a point has several.
    """
    places = np.unique(np.round(solid.vertices, 9), axis=0, return_inverse=True)[1].reshape(-1)
    edges = np.concatenate([places[solid.faces[:, [k, (k + 1) % 3]]] for k in range(3)]).tolist()
    counted: dict[tuple[int, int], int] = {}
    for a, b in edges:
        counted[a, b] = counted.get((a, b), 0) + 1
    return sum(count != counted.get((b, a), 0) for (a, b), count in counted.items())


L_SHAPE = [(0, 0), (2, 0), (2, 1.5), (1.5, 1.5), (1.5, 2), (0, 2)]  # of area 3.75, star-shaped about its mean
CLOSED = {
    "box": solids.box([1, 2, 3], [1, 2, 3]),
    "prism": solids.prism(L_SHAPE, -1, 1),
    "prism along x": solids.prism(L_SHAPE, -1, 1, "x"),
    "prism along y": solids.prism(L_SHAPE, -1, 1, "y"),
    "clockwise prism": solids.prism(L_SHAPE[::-1], -1, 1),
    "frustum": solids.prism(solids.circle(2, 12), 0, 3, shrink=0.5),
    "cone": solids.lathe([(1, 0), (0, 2)]),
    "double cone": solids.lathe([(0, -1), (1, 0), (0, 1)]),
    "cup": solids.lathe([(1, 0), (1, 2), (0.9, 2), (0.9, 0.1)]),
    "ball": solids.ball([1, 1, 1], [1, 2, 3]),
    "rod": solids.rod([0, 0, 0], [1, 1, 1], 0.1),
    "pointed rod": solids.rod([0, 0, 0], [0, 0, 1], 0.1, 0.0),
    "bent tube": solids.tube([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]], [0.1, 0.2, 0.2, 0.1]),
    "strap": solids.tube([[0, 0, 0], [1, 0, 0], [1, 1, 0]], 0.1, flat=0.3),
    "ring": solids.ring([0, 0, 0], 1, 0.2),
    "ring about y": solids.ring([3, 0, 0], 1, 0.2, "y"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_solids_are_watertight_look_outward_and_have_no_flat_face(name):
    solid = CLOSED[name]
    assert open_edges(solid) == 0
    assert volume(Solid(solid.vertices - solid.vertices.mean(0), solid.faces)) > 0
    assert solids.face_areas(solid.vertices, solid.faces).min() > 0
    assert np.array_equal(np.unique(solid.faces), np.arange(len(solid.vertices)))  # no vertex lies idle


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("axis", "xyz")
def test_moving_turning_and_mirroring_keep_volume_and_outside(name, axis):
    solid = CLOSED[name]
    expected = pytest.approx(volume(solid))
    assert volume(solids.mirror(solid, axis)) == expected
    assert volume(solids.turn(solid, axis, 33, [1, 2, 3])) == expected
    assert volume(solids.move(solid, [1, -2, 3])) == expected
    assert volume(solids.both(solid, axis)) == pytest.approx(2 * volume(solid))


def test_volumes_and_areas_by_hand():
    assert volume(CLOSED["box"]) == pytest.approx(6)
    assert area(CLOSED["box"]) == pytest.approx(2 * (2 + 3 + 6))
    for name in ("prism", "prism along x", "prism along y", "clockwise prism"):
        assert volume(CLOSED[name]) == pytest.approx(7.5)
    base = 6 * 2**2 * math.sin(math.pi / 6)  # a regular 12-gon of circumradius 2
    assert volume(CLOSED["frustum"]) == pytest.approx(base * 3 / 3 * (1 + 0.5 + 0.25))
    sixteen = 8 * math.sin(math.pi / 8)
    assert volume(CLOSED["cone"]) == pytest.approx(sixteen * 2 / 3)
    assert volume(CLOSED["cup"]) == pytest.approx(sixteen * (2 - 0.81 * 1.9))


def test_round_things_come_near_the_formulas():
    fine = solids.lathe([(1, 0), (1, 2)], outline=solids.circle(1, 256))
    assert volume(fine) == pytest.approx(2 * math.pi, rel=1e-3)
    assert area(fine) == pytest.approx(6 * math.pi, rel=1e-3)
    assert volume(solids.ring([5, 5, 5], 2, 0.5, count=128, sides=64)) == pytest.approx(math.pi**2, rel=5e-3)
    assert volume(CLOSED["ball"]) == pytest.approx(4 / 3 * math.pi * 6, rel=0.08)
    assert volume(solids.rod([0, 0, 0], [3, 4, 12], 1, sides=128)) == pytest.approx(13 * math.pi, rel=1e-3)


def test_a_straight_tube_is_round_whichever_way_it_runs():
    for end in ([0, 0, 2], [0, 2, 0], [2, 0, 0], [0, 0, -2]):
        tube = solids.tube([[0, 0, 0], end], 0.5, 64)
        assert volume(tube) == pytest.approx(0.5 * math.pi, rel=2e-3)


def test_a_tube_does_not_twist():
    """Corresponding points of neighbouring rings stay near: a helix of a tube would cross over itself."""
    t = np.linspace(0, 4 * np.pi, 60)
    path = np.stack([np.cos(t), np.sin(t), 0.2 * t], 1)
    rings = solids.tube(path, 0.1, 8).vertices[: 60 * 8].reshape(60, 8, 3)
    offsets = rings - path[:, None]
    assert np.linalg.norm(offsets, axis=-1) == pytest.approx(0.1)
    cosine = np.einsum("rkd,rkd->rk", offsets[1:], offsets[:-1]) / 0.01
    assert cosine.min() > 0.9


def test_turn_goes_counter_clockwise_about_a_point():
    point = Solid(np.array([[2.0, 1.0, 0.0]]), np.empty((0, 3), np.int64))
    assert solids.turn(point, "z", 90, [1, 1, 0]).vertices[0] == pytest.approx([1, 2, 0])
    assert solids.turn(point, "x", 90).vertices[0] == pytest.approx([2, 0, 1])
    assert solids.turn(point, "y", 90).vertices[0] == pytest.approx([0, 1, -2])


def test_prism_puts_the_outline_in_the_other_two_axes():
    outline = [(0, 0), (2, 0), (2, 5), (0, 5)]
    for axis, extents in (("x", [1, 2, 5]), ("y", [2, 1, 5]), ("z", [2, 5, 1])):
        assert np.ptp(solids.prism(outline, 0, 1, axis).vertices, axis=0) == pytest.approx(extents)


def test_join_keeps_each_solid():
    box, cone = CLOSED["box"], CLOSED["cone"]
    joined = solids.join(box, cone)
    assert len(joined.faces) == len(box.faces) + len(cone.faces)
    assert volume(joined) == pytest.approx(volume(box) + volume(cone))
    assert np.array_equal(joined.vertices[joined.faces[12:]], cone.vertices[cone.faces])


def test_sheet_is_open_and_has_the_area_of_its_cloth():
    y, x = np.mgrid[0:3, 0:5].astype(float)
    cloth = solids.sheet(np.stack([x, y, 0 * x], -1))
    assert area(cloth) == pytest.approx(2 * 4)
    assert len(cloth.faces) == 2 * 2 * 4
    assert open_edges(cloth) == 2 * (2 + 4)


def test_sheet_may_end_in_a_point():
    rows = np.array([[[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[1, 1, 0]] * 3], float)
    assert area(solids.sheet(rows)) == pytest.approx(1)
    assert len(solids.sheet(rows).faces) == 2


def test_lathe_without_caps_is_open():
    shade = solids.lathe([(1, 0), (0.5, 1)], caps=False)
    assert open_edges(shade) == 2 * 16


@given(
    a=st.floats(0.1, 10), b=st.floats(0.1, 10), power=st.floats(1, 12), count=st.integers(1, 12).map(lambda n: 4 * n)
)
def test_superellipse_lies_on_its_curve(a, b, power, count):
    outline = solids.superellipse(a, b, power, count)
    assert outline.shape == (count, 2)
    assert np.abs(outline[:, 0] / a) ** power + np.abs(outline[:, 1] / b) ** power == pytest.approx(1, abs=1e-9)
    assert outline[0].tolist() == [a, 0]  # and the roots of rounded zeros do not push the axes' points aside
    assert outline[count // 4, 0] == 0


def test_polygon_and_circle():
    assert solids.polygon(2, 4) == pytest.approx(np.array([[2, 0], [0, 2], [-2, 0], [0, -2]]))
    assert solids.polygon(1, 3, 90)[0] == pytest.approx([0, 1])
    assert solids.circle(3, 8) == pytest.approx(solids.polygon(3, 8))


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=2, max_size=5))
def test_bezier_agrees_with_the_bernstein_sum(controls):
    degree = len(controls) - 1
    for t, point in zip(np.linspace(0, 1, 7), solids.bezier(controls, 7), strict=True):
        weights = [math.comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)]
        assert point == pytest.approx(np.array(weights) @ np.array(controls), abs=1e-9)


def test_nothing_writes_into_its_input():
    frozen = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])
    outline = solids.circle(1, 8)
    for array in (frozen, outline):
        array.flags.writeable = False
    solid = solids.join(
        solids.tube(frozen, 0.1), solids.prism(outline, 0, 1), solids.lathe([(1, 0), (1, 1)], outline=outline)
    )
    fixed = Solid(solid.vertices.copy(), solid.faces.copy())
    for array in fixed:
        array.flags.writeable = False
    for changed in (
        solids.turn(fixed, "z", 5),
        solids.move(fixed, [1, 0, 0]),
        solids.mirror(fixed),
        solids.both(fixed),
    ):
        assert np.isfinite(changed.vertices).all()
    assert np.array_equal(fixed.vertices, solid.vertices)
