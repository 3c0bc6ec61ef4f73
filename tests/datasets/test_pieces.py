"""Shapes whose parts are files: which folders are such shapes, and one shape of several files."""

import numpy as np
import pytest

from pointkit.cloud import Mesh, PointCloud, place
from pointkit.datasets import pieces


def found(*paths):
    answer = pieces.find([tuple(path.split("/")) for path in paths])
    return {
        "/".join(folder): {"/".join(path): part for path, part in files} for folder, files in answer.shapes.items()
    }, {"/".join(path) for path in answer.whole}


@pytest.mark.parametrize(
    ("name", "part"),
    [("wall_1.ply", "wall"), ("wall-02.ply", "wall"), ("wall12.ply", "wall"), ("wall (2).ply", "wall"), ("7.ply", ""),
     ("top.ply", "top"),
     ("left_arm_3.txt", "left_arm")],
)  # fmt: skip
def test_the_part_that_a_file_is_named_after(name, part):
    assert pieces.part_of(name) == part


def test_a_folder_for_each_shape():
    files = [f"room_{i}/{part}.ply" for i in range(3) for part in ("wall_1", "wall_2", "floor_1")]
    shapes, whole = found(*files)
    assert list(shapes) == ["room_0", "room_1", "room_2"]
    assert shapes["room_1"] == {"room_1/floor_1.ply": "floor", "room_1/wall_1.ply": "wall", "room_1/wall_2.ply": "wall"}
    assert not whole


def test_annotations_beside_the_whole():
    files = [f"Area_1/office_{i}/Annotations/{part}_1.txt" for i in range(2) for part in ("wall", "chair")]
    shapes, whole = found(*files, "Area_1/office_0/office_0.txt", "Area_1/office_1/office_1.txt")
    assert list(shapes) == ["Area_1/office_0", "Area_1/office_1"]
    assert whole == {"Area_1/office_0/office_0.txt", "Area_1/office_1/office_1.txt"}


@pytest.mark.parametrize(
    "files",
    [
        [f"{kind}/{kind}_{i}.ply" for kind in ("bolt", "nut") for i in range(3)],  # classes
        [f"{kind}/{i}.ply" for kind in ("bolt", "nut") for i in range(3)],
        [f"table/{i}/pc.ply" for i in range(5)],  # a folder a scan
        ["room/wall_1.ply", "room/floor_1.ply"],  # one folder
        [f"{kind}/{name}.ply" for kind, name in (("a", "x"), ("a", "y"), ("b", "z"), ("b", "w"))],  # no part twice
    ],
)
def test_other_folders(files):
    assert found(*files) == ({}, set())


def test_one_shape_of_several():
    first = PointCloud(np.eye(3), {"r": np.arange(3), "label": np.arange(3)})
    second = PointCloud(2 * np.eye(3)[:2], {"r": np.arange(2), "g": np.arange(2)})
    cloud = pieces.join([first, second], [1, 0])
    assert cloud.points.tolist() == [*np.eye(3).tolist(), *(2 * np.eye(3)[:2]).tolist()]
    assert cloud.labels.tolist() == [1, 1, 1, 0, 0]
    assert {name: array.tolist() for name, array in cloud.fields.items()} == {"r": [0, 1, 2, 0, 1]}


def test_surveys_keep_their_millimetres():
    exact = np.array([[694386.212, 5155487.512, 381.036], [694386.213, 5155487.514, 381.037]])
    some = [
        PointCloud(points, placement=placement)
        for points, placement in map(place, (exact, exact + np.array([40.001, 0, 0])))
    ]
    joined = pieces.join(some, [0, 1])
    wanted = np.concatenate([exact, exact + np.array([40.001, 0, 0])])
    np.testing.assert_array_equal(joined.placement.coordinates(joined.points), wanted)


def test_meshes():
    mesh = Mesh(np.eye(3), [[0, 1, 2]])
    joined = pieces.join([mesh, mesh], [0, 3])
    assert joined.faces.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert joined.face_fields["label"].tolist() == [0, 3]
    with pytest.raises(ValueError, match="all clouds or all meshes"):
        pieces.join([mesh, PointCloud(np.eye(3))], [0, 1])
