"""Awkward shapes, and the one way in which every format is tried on them: write, read, compare."""

import dataclasses

import numpy as np

from pointkit import formats
from pointkit.cloud import Mesh, Placement, PointCloud

MESH_SUFFIXES = (".off", ".ply", ".obj", ".stl", ".npz")
CLOUD_SUFFIXES = (".ply", ".pcd", ".npy", ".npz", ".xyz", ".txt", ".pts", ".asc", ".csv")
READ_ONLY = (".e57", ".glb", ".gltf", ".h5", ".hdf5", ".ptx")
SURVEY_SUFFIXES = (".las", ".laz")  # whole numbers of a scale: coordinates are rounded to it
KEEPS_TYPES = (".ply", ".pcd", ".npz")  # the others have one type for all numbers
KEEPS_FACE_FIELDS = (".ply", ".npz")

RNG = np.random.default_rng(20)
UTM = Placement(origin=[665187.0, 5648349.0, 241.0])


def _read_only(array):
    array = np.asarray(array)
    array.flags.writeable = False
    return array


def _cloud(points, placement=None, labels=None, **fields):
    points = _read_only(np.array(points, np.float32).reshape(-1, 3))
    fields = {name: _read_only(value) for name, value in fields.items()}
    return PointCloud(points, fields, labels, placement or Placement())


def _mesh(vertices, faces, placement=None, **face_fields):
    vertices = _read_only(np.array(vertices, np.float32).reshape(-1, 3))
    faces = _read_only(np.array(faces, np.int32).reshape(-1, 3))
    return Mesh(
        vertices, faces, {name: _read_only(value) for name, value in face_fields.items()}, placement or Placement()
    )


SQUARE = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
HALVES = [[0, 1, 2], [0, 2, 3]]
MANY = RNG.standard_normal((300, 3)).astype(np.float32)

CLOUDS = {
    "one point": _cloud([1.5, -2.25, 3.125]),
    "coincident": _cloud([[0.1, 0.2, 0.3]] * 4),
    "nine digits": _cloud(MANY),
    "a transposed view": _cloud(np.ascontiguousarray(MANY.T).T),
    "tiny and huge": _cloud([[1e-30, 1e30, -0.0], [1e-38, -1e30, 0.0]]),
    "UTM": _cloud(MANY, UTM),
    "normalised": _cloud(MANY, Placement(center=[1.0, 2.0, 3.0], scale=2.5)),
    "labels": _cloud(MANY[:3], labels=np.array([-1, 0, 2_000_000_000], np.int32)),
    "fields": _cloud(
        MANY[:3],
        red=np.array([0, 128, 255], np.uint8),
        ring=np.array([-5, 0, 7], np.int16),
        count=np.array([0, 1, 2**32 - 1], np.uint32),
        intensity=np.array([0.1, 0.2, 0.3], np.float32),
        time=np.array([1.1, 2.2, 3.3e8], np.float64),
        edge=np.array([True, False, True]),
        big_endian=np.array([1, 2, 3], ">i4"),
        half=np.array([0.5, 1.5, 2.5], np.float16),
        long=np.array([1, 2, -3], np.int64),
        normal=np.eye(3, dtype=np.float32),
        one_column=np.array([[1], [2], [3]], np.float32),
    ),
    "field label": _cloud(MANY[:2], labels=np.array([3, 1], np.int32), label=np.array([3, 1], np.uint8)),
}

MESHES = {
    "one triangle": _mesh(SQUARE[:3], [[0, 1, 2]]),
    "vertices alone": _mesh(SQUARE, []),
    "a vertex that no face uses": _mesh([*SQUARE, [9, 9, 9]], HALVES),
    "coincident vertices": _mesh(SQUARE + SQUARE, [[0, 1, 2], [4, 6, 7]]),
    "a face without area": _mesh(SQUARE, [[0, 1, 2], [0, 0, 1], [3, 3, 3]]),
    "the same face twice": _mesh(SQUARE, [[0, 1, 2], [0, 1, 2], [2, 1, 0]]),
    "UTM": _mesh(SQUARE, HALVES, UTM),
    "nine digits": _mesh(MANY, np.arange(300).reshape(-1, 3)),
    "face fields": _mesh(
        SQUARE,
        HALVES,
        part=np.array([2, 0], np.uint8),
        weight=np.array([0.1, 0.2]),
        color=np.array([[1, 2, 3], [255, 0, 9]], np.uint8),
    ),
}


def round_trip(path, shape):
    formats.write(path, shape)
    return formats.read(path)


def assert_same(again, shape, suffix):
    """What a format has room for has come back: coordinates, faces, fields, labels."""
    assert type(again) is type(shape)
    points, wanted = (x.vertices if isinstance(x, Mesh) else x.points for x in (again, shape))
    if suffix == ".stl":  # three vertices of its own a face
        points, wanted = points[again.faces], wanted[shape.faces]
    elif isinstance(shape, Mesh):
        np.testing.assert_array_equal(again.faces, shape.faces)
    if suffix in SURVEY_SUFFIXES:
        size = float(np.ptp(wanted.astype(np.float64), axis=0).max()) * shape.placement.scale
        np.testing.assert_allclose(
            again.placement.coordinates(points), shape.placement.restore(wanted), rtol=0, atol=1e-8 * size + 1e-9
        )
    elif dataclasses.astuple(shape.placement)[2] == 1 and not shape.placement.origin.any():
        np.testing.assert_array_equal(points, wanted)
        assert not again.placement.origin.any()
    else:  # survey coordinates keep a hundredth of a millimetre; STL has 32 bits, which are half a metre there
        tolerance = 0.5 if suffix == ".stl" else 1e-5
        np.testing.assert_allclose(
            again.placement.restore(points), shape.placement.restore(wanted), rtol=0, atol=tolerance
        )
    if isinstance(shape, Mesh):
        if suffix in KEEPS_FACE_FIELDS:
            _assert_fields(again.face_fields, shape.face_fields, suffix)
        return
    fields = dict(shape.fields)
    if shape.labels is not None:
        fields.setdefault("label", shape.labels)
    if suffix in SURVEY_SUFFIXES:
        flat = [name if array.ndim == 1 else f"{name}_0" for name, array in fields.items()]
        assert set(again.fields) >= set(flat)
        return
    if suffix == ".npy":
        numbers = [np.asarray(array, np.float64).reshape(len(points), -1) for array in fields.values()]
        wanted = np.hstack(numbers) if numbers else np.empty((len(points), 0))
        got = np.stack(list(again.fields.values()), 1) if again.fields else np.empty((len(points), 0))
        np.testing.assert_array_equal(got, wanted)
        return
    _assert_fields(again.fields, fields, suffix)
    if shape.labels is not None:
        np.testing.assert_array_equal(again.labels, shape.labels)


def _assert_fields(again, fields, suffix):
    if suffix not in KEEPS_TYPES:  # columns of one number
        fields = {
            (name if array.ndim == 1 else f"{name}_{i}"): column
            for name, array in fields.items()
            for i, column in enumerate(array.reshape(len(array), -1).T)
        }
    assert list(again) == list(fields)
    for name, array in fields.items():
        got = again[name].reshape(array.shape)
        np.testing.assert_array_equal(got.astype(array.dtype), array, err_msg=name)
        if suffix in KEEPS_TYPES and array.dtype.kind != "b" and array.dtype.itemsize in (4, 1):
            assert got.dtype == array.dtype.newbyteorder("="), name
