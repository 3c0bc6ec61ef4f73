"""The shaded pictures of meshes: against a plain pixel-by-pixel twin, and what a picture must show."""

from __future__ import annotations

import numpy as np
import pytest

from pointkit.cloud import Mesh
from pointkit.report import raster

WHITE = (1.0, 1.0, 1.0)


def random_mesh(seed, faces=12):
    rng = np.random.default_rng(seed)
    return Mesh(rng.normal(size=(3 * faces, 3)), np.arange(3 * faces).reshape(-1, 3))


def box(low, high):
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (np.array(high) - low) + low
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Mesh(corners, [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])


def slow_picture(mesh, size):
    """For each pixel: the nearest face's depth and index, and how near the pixel's middle is to any side."""
    eye = raster.to_square(raster.project(mesh.vertices))
    depth, owner, doubt = np.full((size, size), -np.inf), np.full((size, size), -1), np.full((size, size), np.inf)
    for row in range(size):
        for column in range(size):
            x = ((column + 0.5) * 2 / size - 1) / raster.FILL
            y = (1 - (row + 0.5) * 2 / size) / raster.FILL
            for i, face in enumerate(mesh.faces):
                (ax, ay, az), (bx, by, bz), (cx, cy, cz) = eye[face]
                area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
                u = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
                v = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
                inside = min(u, v, 1 - u - v)
                doubt[row, column] = min(doubt[row, column], abs(inside))
                z = az + u * (bz - az) + v * (cz - az)
                if inside >= 0 and z > depth[row, column]:
                    depth[row, column], owner[row, column] = z, i
    return depth, owner, doubt


@pytest.mark.parametrize("seed", range(4))
def test_every_pixel_has_the_face_and_depth_of_the_slow_twin(seed):
    mesh = random_mesh(seed)
    depth, owner = raster._buffers(mesh, 24)
    slow_depth, slow_owner, doubt = slow_picture(mesh, 24)
    sure = doubt > 1e-9
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(owner[sure], slow_owner[sure])
    np.testing.assert_allclose(depth[sure & (owner >= 0)], slow_depth[sure & (owner >= 0)], atol=1e-9)
    assert (owner >= 0).any()
    assert (owner < 0).any()


def test_batches_change_nothing(monkeypatch):
    mesh = random_mesh(5, faces=60)
    whole = raster.shade(mesh, 40, WHITE)
    monkeypatch.setattr(raster, "FRAGMENTS", 500)
    np.testing.assert_array_equal(raster.shade(mesh, 40, WHITE), whole)


def test_a_near_wall_hides_a_small_box_behind_it():
    near = raster.project(np.eye(3))[:, 2] * 3  # the direction of the eye, three units long
    ball = box([-0.1] * 3, [0.1] * 3)
    right, up = np.linalg.svd(near[None])[2][1:]
    wall = np.array([near - right - up, near + right - up, near + right + up, near - right + up])
    both = Mesh(np.concatenate([ball.vertices, wall]), np.concatenate([ball.faces, [[8, 9, 10], [8, 10, 11]]]))
    owner = raster._buffers(both, 64)[1]
    assert set(np.unique(owner)) == {-1, 12, 13}
    behind = Mesh(np.concatenate([ball.vertices, wall - 2 * near]), both.faces)
    assert set(np.unique(raster._buffers(behind, 64)[1])) & set(range(12))


def test_z_is_up():
    up = raster.project([[0, 0, 1], [0, 0, 0]])
    assert up[0, 1] > up[1, 1]
    assert up[0, 0] == pytest.approx(up[1, 0])


def test_projection_keeps_lengths():
    points = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(np.linalg.norm(raster.project(points), axis=1), np.linalg.norm(points, axis=1))


def test_a_box_fills_the_picture_and_has_three_tones():
    picture = raster.shade(box([0, 0, 0], [1, 1, 1]), 128, WHITE)
    assert picture.shape == (128, 128, 4)
    assert 0 <= picture.min() <= picture.max() <= 1
    solid = picture[..., 3] == 1
    assert 0.4 < solid.mean() < 0.8
    seen = np.flatnonzero((picture[..., 3] > 0).any(1) | (picture[..., 3] > 0).any(0))
    assert seen[0] <= 6
    assert seen[-1] >= 121
    tones, counts = np.unique(np.round(picture[solid][:, 0], 6), return_counts=True)
    assert len(tones[counts > 500]) == 3  # three sides are seen, each with its own light


def test_which_way_a_face_looks_does_not_matter():
    mesh = box([0, 0, 0], [1, 2, 3])
    turned = Mesh(mesh.vertices, mesh.faces[:, ::-1])
    np.testing.assert_allclose(raster.shade(mesh, 32, WHITE), raster.shade(turned, 32, WHITE), atol=1e-9)


def test_vertices_without_a_face_do_not_shrink_the_picture():
    mesh = box([0, 0, 0], [1, 1, 1])
    stray = Mesh(np.concatenate([mesh.vertices, [[1e6, 0, 0]]]), mesh.faces)
    np.testing.assert_array_equal(raster.shade(mesh, 32, WHITE), raster.shade(stray, 32, WHITE))


@pytest.mark.parametrize(
    "mesh",
    [
        Mesh(np.zeros((3, 3)), [[0, 1, 2]]),
        Mesh(np.eye(3), [[0, 0, 0]]),
        Mesh(np.eye(3), np.zeros((0, 3), int)),
        Mesh(np.zeros((0, 3)), np.zeros((0, 3), int)),
    ],
    ids=["a face in one point", "one corner thrice", "no face", "nothing"],
)
def test_meshes_without_area_give_a_picture(mesh):
    picture = raster.shade(mesh, 16, WHITE)
    assert picture.shape == (16, 16, 4)
    assert np.isfinite(picture).all()


def test_the_mesh_is_not_written_into():
    mesh = random_mesh(1)
    before = mesh.vertices.copy()
    raster.shade(mesh, 16, WHITE)
    np.testing.assert_array_equal(mesh.vertices, before)
