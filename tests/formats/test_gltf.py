"""glTF and GLB: meshes and points where the nodes put them, numbers in every layout, damage, no other file."""

import base64
import copy
import json
import os
import pathlib
import struct
import time

import numpy as np
import pytest
import trimesh

from pointkit import disk, formats
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError
from tests import damage

CODES = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
SQUARE = np.float32([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
HALVES = np.uint16([[0, 1, 2], [0, 2, 3]])


class Made:
    """A glTF file in the making: arrays are added to its one buffer, and the rest is JSON."""

    def __init__(self, **more):
        self.data = b""
        self.json = {"asset": {"version": "2.0"}, "bufferViews": [], "accessors": [], "meshes": [], **more}

    def view(self, data, **more):
        self.data += b"\0" * (-len(self.data) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **more})
        self.data += data
        return len(self.json["bufferViews"]) - 1

    def numbers(self, array, stride=0, **more):
        """The index of an accessor of an array (N, width)."""
        array = np.asarray(array).reshape(len(array), -1)
        raw = array.tobytes()
        size = array.shape[1] * array.itemsize
        if stride:
            rows = np.full((len(array), stride), 0xEE, np.uint8)
            rows[:, :size] = np.frombuffer(raw, np.uint8).reshape(len(array), -1)
            raw = rows.tobytes()[: -(stride - size) or None]
        view = self.view(raw, **({"byteStride": stride} if stride else {}))
        accessor = {"bufferView": view, "componentType": CODES[array.dtype.name], "count": len(array)}
        kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[array.shape[1]]
        self.json["accessors"].append({**accessor, "type": kind, **more})
        return len(self.json["accessors"]) - 1

    def mesh(self, *primitives):
        self.json["meshes"].append({"primitives": list(primitives)})
        return self

    def glb(self):
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        data = self.data + b"\0" * (-len(self.data) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

    def gltf(self, uri=None):
        uri = uri or "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        self.json["buffers"] = [{"byteLength": len(self.data), "uri": uri}]
        return json.dumps(self.json).encode()


def square(**more):
    made = Made(**more)
    return made.mesh({"attributes": {"POSITION": made.numbers(SQUARE)}, "indices": made.numbers(HALVES.reshape(-1))})


def points(array=SQUARE, **fields):
    made = Made()
    attributes = {"POSITION": made.numbers(array)} | {name: made.numbers(each) for name, each in fields.items()}
    return made.mesh({"attributes": attributes, "mode": 0})


def read(made):
    return formats.read(made.glb() if isinstance(made, Made) else made, ".glb")


# ---- shapes


def test_a_mesh_in_all_three_containers(tmp_path):
    made = square()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a b.bin").write_bytes(made.data)
    (tmp_path / "beside.gltf").write_bytes(made.gltf("parts/a%20b.bin"))
    for shape in (read(made), formats.read(made.gltf(), ".gltf"), formats.read(tmp_path / "beside.gltf")):
        assert isinstance(shape, Mesh)
        np.testing.assert_array_equal(shape.vertices, SQUARE)
        np.testing.assert_array_equal(shape.faces, HALVES)


def test_points_with_colours_normals_and_fields_of_their_own():
    colors = np.uint8([[255, 0, 9, 255], [0, 128, 9, 0], [1, 2, 3, 4], [5, 6, 7, 8]])
    normals = np.float32([[0, 0, 1]] * 4)
    cloud = read(points(COLOR_0=colors, NORMAL=normals, _LABEL=np.uint16([4, 5, 6, 7]), TEXCOORD_0=SQUARE[:, :2]))
    assert isinstance(cloud, PointCloud)
    assert list(cloud.fields) == ["red", "green", "blue", "alpha", "nx", "ny", "nz", "_LABEL"]
    np.testing.assert_array_equal(np.stack([cloud.fields[n] for n in ("red", "green", "blue", "alpha")], 1), colors)
    assert cloud.fields["red"].dtype == np.uint8
    assert cloud.fields["nz"].tolist() == [1] * 4
    assert formats.columns.labels_of(cloud).tolist() == [4, 5, 6, 7]


def test_points_that_indices_choose():
    made = points()
    made.json["meshes"][0]["primitives"][0]["indices"] = made.numbers(np.uint8([3, 1]))
    np.testing.assert_array_equal(read(made).points, SQUARE[[3, 1]])


def test_vertices_of_points_and_lines_beside_triangles_belong_to_no_face():
    made = square()
    more = made.numbers(SQUARE[:2] + 9)
    made.json["meshes"][0]["primitives"] += [{"attributes": {"POSITION": more}, "mode": mode} for mode in (0, 1)]
    mesh = read(made)
    np.testing.assert_array_equal(mesh.faces, HALVES)
    np.testing.assert_array_equal(mesh.vertices, [*SQUARE, *(SQUARE[:2] + 9)])


def test_strips_and_fans():
    made = Made()
    corners = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0]])
    at = made.numbers(corners)
    made.mesh(
        {"attributes": {"POSITION": at}, "mode": 5},
        {"attributes": {"POSITION": at}, "mode": 6, "indices": made.numbers(np.uint32([0, 1, 3, 2]))},
        {"attributes": {"POSITION": at}, "mode": 5, "indices": made.numbers(np.uint8([0, 1, 2, 2, 3, 3, 4, 1]))},
    )
    mesh = read(made)
    np.testing.assert_array_equal(mesh.vertices, corners)  # one block for three primitives
    wanted = [[0, 1, 2], [1, 3, 2], [2, 3, 4], [1, 3, 0], [3, 2, 0], [0, 1, 2], [3, 1, 4]]
    np.testing.assert_array_equal(mesh.faces, wanted)


def test_strips_are_as_a_naive_twin_cuts_them():
    rng = np.random.default_rng(5)
    ring = rng.integers(0, 6, 40)
    made = Made()
    at = made.numbers(rng.normal(size=(6, 3)).astype("f4"))
    made.mesh({"attributes": {"POSITION": at}, "mode": 5, "indices": made.numbers(ring.astype("u2"))})
    twin = []
    for i in range(38):
        a, b, c = ring[i], ring[i + 1 + i % 2], ring[i + 2 - i % 2]
        if len({a, b, c}) == 3:
            twin.append([a, b, c])
    np.testing.assert_array_equal(read(made).faces, twin)


# ---- nodes


def test_nodes_place_and_mirror():
    turn = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]  # a quarter round z
    made = square(
        scene=0,
        scenes=[{"nodes": [0, 3]}],
        nodes=[
            {"translation": [10, 0, 0], "children": [1, 2]},
            {"mesh": 0, "rotation": turn, "scale": [2, 1, 1]},
            {"mesh": 0, "matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 5, 1]},
            {"mesh": 0},
            {"mesh": 0, "translation": [99, 0, 0]},  # in no scene
        ],
    )
    mesh = read(made)
    turned = [[10, 0, 0], [10, 2, 0], [9, 2, 0], [9, 0, 0]]
    mirrored = [[10, 0, 5], [9, 0, 5], [9, 1, 5], [10, 1, 5]]
    np.testing.assert_allclose(mesh.vertices, [*turned, *mirrored, *SQUARE], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, [*HALVES, *(HALVES[:, ::-1] + 4), *(HALVES + 8)])
    assert [
        len(read(square(nodes=nodes)).faces) for nodes in ([{"mesh": 0}] * 3, [{"children": [1]}, {"mesh": 0}])
    ] == [6, 2]


def test_normals_turn_with_their_surface():
    rng = np.random.default_rng(6)
    corners = rng.normal(size=(30, 3)).astype("f4")
    edges = corners[1::3] - corners[::3], corners[2::3] - corners[::3]
    normals = np.cross(*edges)
    normals = np.repeat(normals / np.linalg.norm(normals, axis=1, keepdims=True), 3, 0).astype("f4")
    for scale in ([1, 2, 3], [-1, 1, 2]):
        made = Made(nodes=[{"mesh": 0, "scale": scale, "rotation": [0.5, 0.1, 0.2, 0.8]}])
        made.mesh({"attributes": {"POSITION": made.numbers(corners), "NORMAL": made.numbers(normals)}})
        mesh = read(made)
        one, two, three = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
        wanted = np.cross(two - one, three - one)
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        got = np.stack([mesh.vertex_fields[name] for name in ("nx", "ny", "nz")], 1)[mesh.faces[:, 0]]
        np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_a_scan_far_from_zero_keeps_its_millimetres():
    cloud = read(_at([{"mesh": 0, "translation": [665187.125, 241.5, -5648349.25]}]))
    wanted = SQUARE.astype("f8") * [1, 1, 1] + [665187.125, 241.5, -5648349.25]
    np.testing.assert_array_equal(cloud.placement.restore(cloud.points), wanted)


def _at(nodes):
    made = points()
    made.json["nodes"] = nodes
    return made


def test_a_tree_as_deep_as_the_file_is_long():
    nodes = [{"translation": [1, 0, 0], "children": [i + 1]} for i in range(5000)]
    made = square(nodes=[*nodes, {"mesh": 0}])
    np.testing.assert_array_equal(read(made).vertices, SQUARE + np.float32([5000, 0, 0]))


# ---- numbers


@pytest.mark.parametrize("stride", [12, 16, 32, 252])
def test_rows_apart(stride):
    made = Made()
    at = made.numbers(SQUARE, stride)
    made.mesh({"attributes": {"POSITION": at}, "mode": 0})
    np.testing.assert_array_equal(read(made).points, SQUARE)


def test_rows_of_two_attributes_beside_each_other():
    made = Made()
    colors = np.uint8([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]])
    both = b"".join(row.tobytes() + color.tobytes() for row, color in zip(SQUARE, colors, strict=True))
    view = made.view(both, byteStride=16)
    for kind, name, offset in (("float32", "VEC3", 0), ("uint8", "VEC4", 12)):
        accessor = {"bufferView": view, "byteOffset": offset, "componentType": CODES[kind], "count": 4, "type": name}
        made.json["accessors"].append(accessor)
    cloud = read(made.mesh({"attributes": {"POSITION": 0, "COLOR_0": 1}, "mode": 0}))
    np.testing.assert_array_equal(cloud.points, SQUARE)
    assert cloud.fields["alpha"].tolist() == [4, 8, 12, 16]


@pytest.mark.parametrize("view", [True, False])
def test_sparse_numbers(view):
    made = points()
    accessor = made.json["accessors"][0]
    if not view:
        del accessor["bufferView"]
    at, values = made.view(np.uint16([1, 3]).tobytes()), made.view(np.float32([[7, 7, 7], [8, 8, 8]]).tobytes())
    accessor["sparse"] = {
        "count": 2, "indices": {"bufferView": at, "componentType": 5123}, "values": {"bufferView": values},
    }  # fmt: skip
    wanted = SQUARE.copy() if view else np.zeros((4, 3))
    wanted[[1, 3]] = [[7] * 3, [8] * 3]
    np.testing.assert_array_equal(read(made).points, wanted)


@pytest.mark.parametrize(("kind", "largest"), [("int8", 127), ("uint8", 255), ("int16", 32767), ("uint16", 65535)])
def test_normalised_positions(kind, largest):
    made = Made(extensionsRequired=["KHR_mesh_quantization"], nodes=[{"mesh": 0, "scale": [2, 2, 2]}])
    low = np.iinfo(kind).min
    at = made.numbers(np.array([[largest, 0, low]], kind), 4 if "8" in kind else 8, normalized=True)
    cloud = read(made.mesh({"attributes": {"POSITION": at}, "mode": 0}))
    np.testing.assert_allclose(cloud.points, [[2, 0, -2 if low else 0]], rtol=1e-6)
    made.json["accessors"][0]["normalized"] = False
    np.testing.assert_allclose(read(made).points, [[2 * largest, 0, 2 * low]])


def test_what_some_vertices_lack_is_left_out_and_said():
    made = Made()
    both = {"POSITION": made.numbers(SQUARE), "COLOR_0": made.numbers(np.uint8([[1, 2, 3]] * 4), 4, normalized=True)}
    shares = {"POSITION": made.numbers(SQUARE), "COLOR_0": made.numbers(np.float32([[0.5, 0, 1]] * 4))}
    cloud = read(made.mesh({"attributes": both, "mode": 0}, {"attributes": shares, "mode": 0}))
    np.testing.assert_allclose(cloud.fields["red"], [1 / 255] * 4 + [0.5] * 4)  # of two types: as shares
    bare = {"attributes": {"POSITION": shares["POSITION"]}, "mode": 0}
    cloud = read(made.mesh(*made.json["meshes"].pop()["primitives"], bare))
    assert (cloud.partial, dict(cloud.fields)) == (("color",), {})


# ---- the judge


def test_trimesh_finds_the_same_scene(tmp_path):
    rng = np.random.default_rng(8)
    scene = trimesh.Scene()
    for i in range(4):
        place = trimesh.transformations.random_rotation_matrix(rng.random(3))
        place[:3, 3] = rng.normal(size=3) * 10
        shape = trimesh.creation.icosphere(1, radius=i + 1) if i % 2 else trimesh.creation.box((1, 2, 3))
        scene.add_geometry(shape, f"piece {i}", transform=place)
    for suffix in (".glb", ".gltf"):
        scene.export(tmp_path / f"scene{suffix}")
        mesh = formats.read(tmp_path / f"scene{suffix}")
        judge = trimesh.load(tmp_path / f"scene{suffix}", process=False).to_mesh()
        assert len(mesh.faces) == len(judge.faces) == 12 * 2 + 80 * 2
        got = np.sort(mesh.vertices[mesh.faces].reshape(len(mesh.faces), -1), 0)
        np.testing.assert_allclose(got, np.sort(judge.triangles.reshape(len(mesh.faces), -1), 0), atol=1e-5)


def test_trimesh_finds_the_same_points(tmp_path):
    rng = np.random.default_rng(9)
    cloud = trimesh.PointCloud(rng.normal(size=(50, 3)), rng.integers(0, 256, (50, 4), np.uint8))
    trimesh.Scene(cloud).export(tmp_path / "cloud.glb")
    ours = formats.read(tmp_path / "cloud.glb")
    np.testing.assert_allclose(ours.points, cloud.vertices, rtol=1e-6)
    np.testing.assert_array_equal(ours.fields["green"], cloud.colors[:, 1])


# ---- back, as PLY


def test_labels_go_into_a_ply(tmp_path):
    (tmp_path / "mesh.glb").write_bytes(square(nodes=[{"mesh": 0, "translation": [5, 0, 0]}]).glb())
    formats.annotate(tmp_path / "mesh.glb", tmp_path / "mesh.ply", {"label": np.int32([4, 7])}, ["a note"])
    again = formats.read(tmp_path / "mesh.ply")
    assert again.face_fields["label"].tolist() == [4, 7]
    np.testing.assert_array_equal(again.vertices, SQUARE + np.float32([5, 0, 0]))
    made = points(np.float32([[1, 2, 3], [np.nan] * 3, [4, 5, 6]]), _WEIGHT=np.float32([1, 2, 3]))
    (tmp_path / "points.gltf").write_bytes(made.gltf("points.bin"))
    (tmp_path / "points.bin").write_bytes(made.data)
    formats.annotate(tmp_path / "points.gltf", tmp_path / "points.ply", {"label": np.int32([4, 7])})
    again = formats.read(tmp_path / "points.ply")
    assert (again.there.tolist(), again.labels.tolist()) == ([True, False, True], [4, 7])
    assert again.fields["_WEIGHT"].tolist() == [1, 3]


# ---- files beside


OUTSIDE = ("../secret.bin", "a/../../secret.bin", "..%2Fsecret.bin", "{folder}/secret.bin", "/etc/passwd", "a\\..\\s",
           "http://localhost/secret.bin", "https://localhost/x", "file:///etc/passwd", "file:secret.bin", "ftp://x/y",
           "C:\\secret.bin", "\\\\host\\secret.bin", "link.bin", "inner/secret.bin", "", "x\0.bin")  # fmt: skip


@pytest.mark.parametrize("uri", OUTSIDE)
def test_no_file_outside_is_opened(tmp_path, monkeypatch, uri):
    made = square()
    (tmp_path / "secret.bin").write_bytes(made.data)
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "inner").symlink_to(tmp_path)
    (folder / "mesh.gltf").write_bytes(made.gltf(uri.format(folder=tmp_path) or "?"))
    if not uri:
        (folder / "mesh.gltf").write_bytes(made.gltf("?").replace(b'"?"', b'""'))
    opened = []
    monkeypatch.setattr(
        "builtins.open",
        lambda path, *args, __open=open, **more: (opened.append(str(path)), __open(path, *args, **more))[1],
    )
    with pytest.raises(FormatError, match=r"mesh.gltf: a file beside must lie in the same folder"):
        formats.read(folder / "mesh.gltf")
    assert opened == [str(folder / "mesh.gltf")]


def test_a_file_beside_that_is_missing_cut_or_none(tmp_path):
    made = square()
    path = tmp_path / "mesh.gltf"
    path.write_bytes(made.gltf("mesh.bin"))
    with pytest.raises(
        FormatError, match=r"mesh.gltf: it needs the file 'mesh.bin' beside it, which cannot be read \(No"
    ):
        formats.read(path)
    with pytest.raises(FormatError, match=r"the given bytes: it needs the file 'mesh.bin' beside it: give its path"):
        formats.read(path.read_bytes(), ".gltf")
    (tmp_path / "mesh.bin").write_bytes(made.data[:-1])
    with pytest.raises(FormatError, match=r"mesh.gltf: buffer 0 promises 60 bytes, got 59: is it cut\?"):
        formats.read(path)
    (tmp_path / "mesh.bin").unlink()
    os.mkfifo(tmp_path / "mesh.bin")
    with pytest.raises(FormatError, match=r"mesh.bin: must be a regular file, got a pipe"):
        formats.read(path)


def test_a_folder_that_is_a_link_and_an_open_file(tmp_path):
    made = square()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mesh.bin").write_bytes(made.data)
    (tmp_path / "set" / "mesh.gltf").write_bytes(made.gltf("mesh.bin"))
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert len(formats.read(tmp_path / "link" / "mesh.gltf").faces) == 2
    with (tmp_path / "set" / "mesh.gltf").open("rb") as file:
        assert len(formats.read(file).faces) == 2


def test_the_digest_is_of_the_files_beside_too(tmp_path):
    made = square()
    path, buffer = tmp_path / "mesh.gltf", tmp_path / "mesh.bin"
    path.write_bytes(made.gltf("mesh.bin"))
    buffer.write_bytes(made.data)
    before = formats.digest(path)
    buffer.write_bytes(made.data + b"\0")
    assert formats.digest(path) != before
    buffer.unlink()
    assert formats.digest(path) == disk.file_digest(path)


# ---- damage


def changed(at, value):
    """The JSON of the square with one value replaced, or taken out where it is None."""
    made = square(nodes=[{"mesh": 0}], scenes=[{"nodes": [0]}])
    made.glb()
    place = made.json
    for key in at[:-1]:
        place = place[key]
    if value is None:
        del place[at[-1]]
    else:
        place[at[-1]] = value
    text = json.dumps(made.json).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(made.data), b"BIN\0") + made.data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


WHOLE = square().glb()
PRIMITIVE = ("meshes", 0, "primitives", 0)
DAMAGED = {
    "cut in the head": (WHOLE[:9], "a GLB file begins with 12 bytes, got 9"),
    "cut in the JSON": (WHOLE[:200], "the header promises"),
    "bytes behind": (WHOLE + b"\0\0\0\0", "the header promises"),
    "version 1": (WHOLE[:4] + b"\1" + WHOLE[5:], "the version of a GLB file must be 2, got 1"),
    "a chunk of 4 GiB": (WHOLE[:12] + b"\xff\xff\xff\xff" + WHOLE[16:], "chunk 0 promises 4,294,967,295 bytes"),
    "no JSON chunk": (WHOLE[:16] + b"BIN\0" + WHOLE[20:], "the first chunk of a GLB file must be JSON"),
    "no chunk": (struct.pack("<4sII", b"glTF", 2, 12), "the first chunk of a GLB file must be JSON"),
    "no JSON": (b"nothing of the kind", "a glTF file holds JSON, got none"),
    "half the JSON": (square().gltf()[:100], "a glTF file holds JSON, got none"),
    "deep JSON": (b"[" * 200_000, "a glTF file holds JSON, got none"),
    "a list": (b"[]", "the JSON must be an object, got []"),
    "no asset": (changed(("asset",), None), "asset must be an object, got None"),
    "glTF 1.0": (changed(("asset", "version"), "1.0"), "the version of a glTF file must be 2.0, got '1.0'"),
    "compressed": (changed(("extensionsRequired",), ["KHR_draco_mesh_compression"]), "it needs KHR_draco_mesh_compres"),
    "a count too large": (changed(("accessors", 0, "count"), 10**9), "POSITION needs 12,000,000,000 bytes of a view"),
    "a count of 2 to the 70": (changed(("accessors", 0, "count"), 2**70), "count must be a whole number"),
    "no numbers": (changed(("accessors", 0, "count"), 0), "POSITION must be rows of 3 numbers, got [0, 'VEC3', 5126]"),
    "half a count": (changed(("accessors", 0, "count"), 2.5), "count must be a whole number, got 2.5"),
    "another type": (changed(("accessors", 0, "componentType"), 5124), "got [4, 'VEC3', 5124]"),
    "pairs": (changed(("accessors", 0, "type"), "VEC2"), "POSITION must be rows of 3 numbers, got [4, 'VEC2', 5126]"),
    "an accessor of nothing": (changed(("accessors", 0, "bufferView"), None), "POSITION has no bufferView"),
    "an offset beyond": (changed(("accessors", 0, "byteOffset"), 4), "POSITION needs 52 bytes of a view of 48"),
    "a view beyond": (changed(("bufferViews", 0, "byteOffset"), 16), "of a view of 48 from byte 16 on, in a buffer of"),
    "a view without end": (changed(("bufferViews", 0, "byteLength"), 10**12), "of a view of 1,000,000,000,000 from"),
    "a stride too small": (changed(("bufferViews", 0, "byteStride"), 4), "POSITION needs 24 bytes of a view of 48"),
    "no such view": (changed(("accessors", 0, "bufferView"), 9), "bufferViews has 2 entries, got the index 9"),
    "no such accessor": (changed((*PRIMITIVE, "indices"), 7), "accessors has 2 entries, got the index 7"),
    "no such mesh": (changed(("nodes", 0, "mesh"), -1), "meshes has 1 entries, got the index -1"),
    "no such node": (changed(("scenes", 0, "nodes"), [1]), "nodes has 1 entries, got the index 1"),
    "no such scene": (changed(("scene",), 3), "scenes has 1 entries, got the index 3"),
    "an empty scene": (changed(("scenes", 0, "nodes"), []), "no triangles and no points"),
    "a buffer too short": (changed(("buffers", 0, "byteLength"), 61), "buffer 0 promises 61 bytes, got 60"),
    "no buffer": (changed(("buffers",), []), "buffers has 0 entries, got the index 0"),
    "a buffer of no file": (changed(("buffers", 0, "uri"), 5), "buffer 0 must have a uri, got 5"),
    "a buffer that is no base64": (changed(("buffers", 0, "uri"), "data:x;base64,!!"), "data must be base64 ("),
    "a buffer as text": (changed(("buffers", 0, "uri"), "data:,abc"), "a buffer's data must be base64, got 'data:'"),
    "no positions": (changed((*PRIMITIVE, "attributes"), {}), "a primitive must have the attribute POSITION"),
    "lines alone": (changed((*PRIMITIVE, "mode"), 1), "no triangles and no points"),
    "an index too large": (changed(("accessors", 0, "count"), 3), "faces must index the 3 vertices, got uint16"),
    "indices of floats": (changed(("accessors", 1, "componentType"), 5126), "indices needs 24 bytes of a view of 12"),
    "five corners": (changed(("accessors", 1, "count"), 5), "triangles have three corners each, got 5 indices"),
    "a node in itself": (changed(("nodes", 0, "children"), [0]), "node 0 must have one place in the tree of nodes"),
    "a matrix of nan": (changed(("nodes", 0, "matrix"), [float("nan")] * 16), "matrix must be 16 finite numbers"),
    "a short matrix": (changed(("nodes", 0, "matrix"), [1] * 15), "matrix must be 16 finite numbers"),
    "a matrix in rows": (changed(("nodes", 0, "matrix"), [1, 0, 0, 5, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]),
                         "the last row of a matrix must be 0 0 0 1"),
    "no rotation": (changed(("nodes", 0, "rotation"), [0, 0, 0, 0]), "rotation must not be 0 0 0 0"),
    "a scale too large": (changed(("nodes", 0, "scale"), [1e299] * 3), "vertices must be finite float32 numbers"),
    "instances": (changed(("nodes", 0, "extensions"), {"EXT_mesh_gpu_instancing": {}}), "node 0 has EXT_mesh_gpu_inst"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_one_line(kind):
    data, line = DAMAGED[kind]
    found = damage.refusal(data, ".glb")
    assert found is not None
    assert line in found


def test_vertices_of_nan_or_infinite():
    for value in (np.nan, np.inf):
        made = Made()
        array = SQUARE.copy()
        array[1, 1] = value
        at = made.numbers(array)
        made.mesh({"attributes": {"POSITION": at}, "indices": made.numbers(HALVES.reshape(-1))})
        assert "vertices" in damage.refusal(made.glb(), ".glb")


def test_a_small_file_that_names_its_numbers_a_million_times():
    """Without the count of what is taken this would be 48 GB."""
    made = square(nodes=[{"mesh": 0}] * 40_000)
    start = time.monotonic()
    big = np.zeros((3000, 3), np.float32)
    at = made.numbers(big)
    made.json["meshes"][0]["primitives"] = [{"attributes": {"POSITION": at}, "mode": 0}]
    assert "may be made to fill the memory" in damage.refusal(made.glb(), ".glb")
    assert time.monotonic() - start < 5
    made = Made()
    made.json["accessors"] = [{"count": 10**12, "componentType": 5126, "type": "VEC3", "sparse": {"count": 1}}]
    made.mesh({"attributes": {"POSITION": 0}})
    assert "may be made to fill the memory" in damage.refusal(made.glb(), ".glb")


def places(thing, at=()):
    """The way to each value in a tree of JSON."""
    yield at
    for key, value in thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ():
        yield from places(value, (*at, key))


def test_any_value_of_the_json_may_be_anything():
    made = Made(scene=0, scenes=[{"nodes": [0]}])
    sparse = {"count": 1, "indices": {"bufferView": 0, "componentType": 5121}, "values": {"bufferView": 1}}
    views = made.view(b"\1"), made.view(np.float32([1, 2, 3]).tobytes())
    assert views == (0, 1)
    attributes = {
        "POSITION": made.numbers(SQUARE, sparse=sparse),
        "COLOR_0": made.numbers(np.uint8([[1, 2, 3]] * 4), 4),
    }
    made.mesh({"attributes": attributes, "indices": made.numbers(HALVES.reshape(-1)), "mode": 4})
    made.json["nodes"] = [
        {"children": [1], "extensions": {}},
        {"mesh": 0, "scale": [1, 1, 1], "matrix": np.eye(4).ravel().tolist()},
    ]
    made.gltf()
    whole = copy.deepcopy(made.json)
    assert damage.refusal(json.dumps(whole).encode(), ".gltf") is None
    for at in list(places(whole))[1:]:
        for value in (None, True, -1, 3, 2**80, 1.5, float("nan"), "", "x", [], [[]], {}, {"a": 1}, [0, 0, 0]):
            tree = copy.deepcopy(whole)
            place = tree
            for key in at[:-1]:
                place = place[key]
            place[at[-1]] = value
            damage.refusal(json.dumps(tree).encode(), ".gltf")


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_mutants_are_read_or_refused(suffix):
    made = square(nodes=[{"mesh": 0, "scale": [1, 2, 1]}])
    data = made.glb() if suffix == ".glb" else made.gltf()
    read_anyway = sum(damage.refusal(mutant, suffix) is None for mutant in damage.mutants(data, 400, seed=24))
    assert 0 < read_anyway < 350


def test_cut_anywhere():
    for data in (WHOLE, square().gltf()):
        for length in range(1, len(data)):
            assert damage.refusal(data[:length], ".gltf"), length


DATA = pathlib.Path(os.environ.get("POINTKIT_DATA", ""))


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="the folder of real files is not named by POINTKIT_DATA")
@pytest.mark.parametrize("name", ["bunny.ply", "suzanne.ply", "fuze.ply", "ballA.off"])
def test_real_meshes_through_trimesh(tmp_path, name):
    judge = trimesh.load(DATA / "scans" / "files" / name, process=False)
    judge.export(tmp_path / "mesh.glb")
    mesh = formats.read(tmp_path / "mesh.glb")
    np.testing.assert_allclose(mesh.vertices[mesh.faces], judge.triangles, rtol=1e-6, atol=1e-6)
