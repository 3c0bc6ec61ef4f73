"""E57: scans in their poses, fields in their types, invalid points, damage, and pye57 as the judge."""

import os
import pathlib
import struct

import numpy as np
import pytest

from pointkit import formats
from pointkit.errors import FormatError
from pointkit.formats import decoding, files
from tests import damage

pye57 = pytest.importorskip("pye57", reason="the extra e57 is not installed")

RNG = np.random.default_rng(57)
AXES = ("cartesianX", "cartesianY", "cartesianZ")
TURN = (0.5, 0.1, -0.7, 0.5)  # w, x, y, z, to be made as long as 1


def xyz(points):
    return dict(zip(AXES, np.asarray(points).T, strict=True))


def node_of(file, array, scale):
    lib = pye57.libe57
    if scale:
        return lib.ScaledIntegerNode(file, 0, -(2**40), 2**40, *scale)
    if array.dtype.kind == "f":
        return lib.FloatNode(file, 0.0, lib.E57_SINGLE if array.dtype.itemsize == 4 else lib.E57_DOUBLE)
    return lib.IntegerNode(file, int(array.min()), int(array.min()), int(array.max()))


def written(path, *scans, crs=""):
    """A file of scans, each the fields (N,) and the pose (rotation, translation), either of which may be None.

    A field that is whole numbers in steps is a pair of its numbers and (step, start).
    """
    lib = pye57.libe57
    file = lib.ImageFile(str(path), "w")
    root = file.root()
    file.extensionsAdd("", lib.E57_V1_0_URI)
    file.extensionsAdd("nor", "http://www.libe57.org/E57_NOR_surface_normals.txt")
    file.extensionsAdd("ext", "http://www.example.org/ext")
    root.set("formatName", lib.StringNode(file, "ASTM E57 3D Imaging Data File"))
    root.set("guid", lib.StringNode(file, "{0}"))
    if crs:
        root.set("coordinateMetadata", lib.StringNode(file, crs))
    data = lib.VectorNode(file, True)
    root.set("data3D", data)
    for fields, pose in scans:
        scan, prototype, buffers = lib.StructureNode(file), lib.StructureNode(file), lib.VectorSourceDestBuffer()
        scan.set("guid", lib.StringNode(file, "{1}"))
        for name, values in zip(("rotation", "translation"), pose or (), strict=False):
            if values is not None:
                if not scan.isDefined("pose"):
                    scan.set("pose", lib.StructureNode(file))
                part = lib.StructureNode(file)
                for axis, value in zip("wxyz" if name == "rotation" else "xyz", values, strict=True):
                    part.set(axis, lib.FloatNode(file, float(value)))
                scan["pose"].set(name, part)
        arrays = {}
        for name, array in fields.items():
            array, scale = array if isinstance(array, tuple) else (np.asarray(array), ())
            arrays[name] = np.ascontiguousarray(array)
            prototype.set(name, node_of(file, arrays[name], scale))
            buffers.append(lib.SourceDestBuffer(file, name, arrays[name], len(arrays[name]), True, bool(scale)))
        points = lib.CompressedVectorNode(file, prototype, lib.VectorNode(file, True))
        scan.set("points", points)
        data.append(scan)
        writer = points.writer(buffers)
        writer.write(len(next(iter(arrays.values()))))
        writer.close()
    file.close()
    return path


@pytest.fixture
def made(tmp_path):
    return lambda *scans, **how: written(tmp_path / "scan.e57", *scans, **how)


def points_of(cloud):
    return cloud.placement.coordinates(cloud.points)


def test_scans_stand_in_their_poses(made):
    first, second = RNG.normal(size=(50, 3)), RNG.normal(size=(30, 3))
    moved = (665187.125, 5648349.5, 241)
    cloud = formats.read(made((xyz(first), (TURN, moved)), (xyz(second), None)))
    w, x, y, z = np.array(TURN) / np.linalg.norm(TURN)
    twin = []
    for point in first:  # p + 2 w (v x p) + 2 v x (v x p), one by one
        once = np.cross((x, y, z), point)
        twin.append(point + 2 * w * once + 2 * np.cross((x, y, z), once) + moved)
    np.testing.assert_allclose(points_of(cloud), [*twin, *second], rtol=0, atol=1e-9)
    assert cloud.fields["scan"].tolist() == [0] * 50 + [1] * 30


def test_each_field_comes_in_its_type_and_by_its_name(made):
    fields = {
        "intensity": RNG.random(9).astype("f4"), "colorRed": np.arange(9, dtype="u1") * 28,
        "colorGreen": np.arange(9, dtype="u1"), "colorBlue": np.arange(9, dtype="u1"),
        "rowIndex": np.arange(9, dtype="u2") + 300, "timeStamp": RNG.random(9) * 1e9,
        "ext:classification": np.arange(9, dtype="u1") % 3, "nor:normalX": np.zeros(9, "f4"),
        "nor:normalY": np.zeros(9, "f4"), "nor:normalZ": np.ones(9, "f4"), "returnIndex": np.arange(9, dtype="i1") - 4,
        "ext:large": np.arange(9, dtype="q") * 2**40,
        "columnIndex": np.arange(9, dtype="q") + 70_000,
    }  # fmt: skip
    cloud = formats.read(made((xyz(RNG.normal(size=(9, 3)).astype("f4")) | fields, None)))
    names = ["intensity", "red", "green", "blue", "rowIndex", "timeStamp", "classification", "nx", "ny", "nz"]
    assert list(cloud.fields) == [*names, "returnIndex", "large", "columnIndex"]
    for name, array in zip(cloud.fields, fields.values(), strict=True):
        np.testing.assert_array_equal(cloud.fields[name], array)
    kinds = {name: array.dtype.name for name, array in cloud.fields.items()}
    assert (kinds["red"], kinds["rowIndex"], kinds["columnIndex"]) == ("uint8", "uint16", "uint32")
    assert (kinds["returnIndex"], kinds["large"]) == ("int8", "int64")
    assert (kinds["intensity"], kinds["timeStamp"]) == ("float32", "float64")
    assert formats.columns.labels_of(cloud).tolist() == [0, 1, 2] * 3


def test_scaled_coordinates_and_normals_that_turn(made):
    raw = RNG.integers(-(10**6), 10**6, (20, 3))
    normals = RNG.normal(size=(20, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    fields = {name: (column * 0.001, (0.001, 0.0)) for name, column in xyz(raw).items()}
    more = {f"nor:normal{axis}": column.astype("f4") for axis, column in zip("XYZ", normals.T, strict=True)}
    still = formats.read(made((fields | more, None)))
    np.testing.assert_allclose(points_of(still), raw * 0.001, rtol=0, atol=1e-10)
    turned = formats.read(made((fields | more, ((np.sqrt(0.5), 0, 0, np.sqrt(0.5)), None))))  # a quarter round z
    np.testing.assert_allclose(turned.fields["nx"], -still.fields["ny"], atol=1e-6)
    np.testing.assert_allclose(points_of(turned)[:, 1], raw[:, 0] * 0.001, atol=1e-9)


def test_spherical_coordinates(made):
    points = RNG.normal(size=(40, 3))
    far = np.linalg.norm(points, axis=1)
    around, up = np.arctan2(points[:, 1], points[:, 0]), np.arcsin(points[:, 2] / far)
    state = (np.arange(40) % 4 == 0).astype("u1")
    names = ("sphericalRange", "sphericalAzimuth", "sphericalElevation", "sphericalInvalidState")
    cloud = formats.read(made((dict(zip(names, (far, around, up, state), strict=True)), None)))
    np.testing.assert_allclose(points_of(cloud), points[state == 0], atol=1e-12)
    assert cloud.left_out == 10


def test_invalid_points_keep_their_places_in_a_labelled_copy(made, tmp_path):
    state = np.uint8([0, 2, 0, 1, 0])
    fields = {"cartesianInvalidState": state, "rowIndex": np.arange(5, dtype="u1")}
    path = made((xyz(RNG.normal(size=(5, 3))) | fields, None))
    cloud = formats.read(path)
    assert cloud.there.tolist() == [True, False, True, False, True]
    assert cloud.fields["rowIndex"].tolist() == [0, 2, 4]
    formats.annotate(path, tmp_path / "scan.ply", {"label": np.int32([7, 8, 9])})
    again = formats.read(tmp_path / "scan.ply")
    assert (again.there.tolist(), again.labels.tolist()) == (cloud.there.tolist(), [7, 8, 9])


def test_what_some_scans_lack_is_left_out_and_said(made):
    points = xyz(RNG.normal(size=(5, 3)))
    colors = {f"color{name}": np.arange(5, dtype="u1") for name in ("Red", "Green", "Blue")}
    first, second = points | colors | {"intensity": np.zeros(5)}, points | {"intensity": np.ones(5, "f4")}
    cloud = formats.read(made((first, None), (second, None)))
    assert (sorted(cloud.fields), cloud.partial) == (["scan"], ("color", "intensity"))


def test_more_points_than_a_piece(made):
    points = RNG.normal(size=(700_000, 3)).astype("f4")
    np.testing.assert_array_equal(formats.read(made((xyz(points), None))).points, points)


def test_in_pieces_it_is_the_same(made):
    state = {"cartesianInvalidState": (np.arange(30) % 7 == 0).astype("u1")}
    more = {"intensity": np.arange(30, dtype="u2"), "rowIndex": np.arange(30, dtype="u1")}
    first = xyz(RNG.normal(size=(30, 3))) | state | more, (TURN, (1, 2, 3))
    second = xyz(np.arange(36, dtype="q").reshape(12, 3)) | {name: array[:12] for name, array in (more | state).items()}
    second["rowIndex"] = np.arange(12, dtype="u2") + 300
    second["ext:own"] = np.arange(12, dtype="u1")
    path = made(first, (second, None))
    cloud = formats.read(path)
    pieces = list(formats.pieces(path, rows=8))
    assert [(piece.start, len(piece.xyz)) for piece in pieces] == [
        (0, 8), (8, 8), (16, 8), (24, 6), (30, 8), (38, 4),
    ]  # fmt: skip
    whole = np.concatenate([piece.xyz for piece in pieces])
    np.testing.assert_array_equal(np.isfinite(whole).all(1), cloud.there)
    np.testing.assert_allclose(whole[cloud.there], points_of(cloud), rtol=0, atol=1e-12)
    for piece in pieces:
        assert list(piece.fields) == list(cloud.fields) == ["intensity", "rowIndex", "scan"]
    for name, field in cloud.fields.items():
        joined = np.concatenate([piece.fields[name] for piece in pieces])
        assert joined.dtype == field.dtype
        np.testing.assert_array_equal(joined[cloud.there], field)
    with pytest.raises(FormatError, match="no points"):
        list(formats.pieces(made()))


def test_pye57_reads_the_same(made):
    fields = xyz(RNG.normal(size=(200, 3))) | {"cartesianInvalidState": (np.arange(200) % 7 == 0).astype("u1")}
    pose = np.array(TURN) / np.linalg.norm(TURN), (1, 2, 3)
    path = made((fields | {"intensity": RNG.random(200).astype("f4")}, pose))
    judge = pye57.E57(str(path)).read_scan(0, intensity=True)
    cloud = formats.read(path)
    np.testing.assert_allclose(points_of(cloud), np.stack([judge[axis] for axis in AXES], 1), atol=1e-12)
    np.testing.assert_array_equal(cloud.fields["intensity"], judge["intensity"])
    assert cloud.left_out == 29


# ---- damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("e57") / "whole.e57"
    points = np.random.default_rng(1).normal(size=(300, 3))
    return written(path, (xyz(points) | {"intensity": np.arange(300, dtype="u2")}, (None, (1, 2, 3)))).read_bytes()


def summed(page):
    """A page of a file with its checksum (CRC-32C) made anew, so that damage gets past it."""
    crc = 0xFFFFFFFF
    for byte in page[:1020]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return page[:1020] + struct.pack(">I", crc ^ 0xFFFFFFFF)


def replaced(data, old, new):
    """A file with a text of its XML replaced by one as long, and right checksums."""
    assert len(old) == len(new)
    assert data.count(old) >= 1
    changed = data.replace(old, new, 1)
    return b"".join(
        summed(changed[at : at + 1024]) if changed[at : at + 1024] != data[at : at + 1024] else data[at : at + 1024]
        for at in range(0, len(data), 1024)
    )


DAMAGED = {
    "cut in the head": (lambda data: data[:40], "an E57 file begins with ASTM-E57"),
    "no E57": (lambda data: b"nothing of the kind" * 10, "an E57 file begins with ASTM-E57"),
    "version 2": (lambda data: data[:8] + b"\2" + data[9:], "the version of an E57 file must be 1, got 2"),
    "cut by a page": (lambda data: data[:-1024], "in pages of 1,024, got"),
    "cut by a byte": (lambda data: data[:-1], "in pages of 1,024, got"),
    "bytes behind": (lambda data: data + b"\0" * 1024, "in pages of 1,024, got"),
    "pages of nothing": (lambda data: data[:40] + bytes(8) + data[48:], "in pages of 0"),
    "XML beyond the end": (lambda data: data[:24] + b"\xff" * 7 + data[31:], "the header promises XML of"),
    "XML of terabytes": (lambda data: data[:32] + b"\xff" * 6 + data[38:], "the header promises XML of"),
    "a wrong checksum": (lambda data: data[:1020] + bytes(4) + data[1024:], "pye57 cannot read it: "),
    "a byte of the points": (lambda data: data[:1500] + b"\xff" + data[1501:], "pye57 cannot read it: "),
    "zeros in the middle": (lambda data: data[:2048] + bytes(1024) + data[3072:], "pye57 cannot read it: "),
    "no XML": (lambda data: replaced(data, b"<?xml", b"<!xml"), "pye57 cannot read it: "),
    "XML that does not end": (lambda data: replaced(data, b"</e57Root>", b"</e57root>"), "pye57 cannot read it: "),
    "no scans": (lambda data: replaced(data, b"data3D", b"data4D").replace(b"/data3D", b"/data4D"), ""),
    "a count too large": (lambda data: replaced(data, b'recordCount="300"', b'recordCount="999"'), ""),
    "no z": (lambda data: replaced(data, b"<cartesianZ", b"<cartesianW"), ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_one_line(whole, kind):
    damaged, line = DAMAGED[kind]
    found = damage.refusal(damaged(whole), ".e57")
    assert found is not None
    assert line in found


def test_scans_without_places_or_points(made):
    with pytest.raises(FormatError, match=r"a scan has cartesianX cartesianY cartesianZ or spherical.* got intensity"):
        formats.read(made(({"intensity": np.ones(3)}, None)))
    with pytest.raises(FormatError, match="no points"):
        formats.read(made())
    with pytest.raises(FormatError, match="no points: all 3 rows are without coordinates"):
        formats.read(made((xyz(np.ones((3, 3))) | {"cartesianInvalidState": np.uint8([2, 2, 1])}, None)))
    with pytest.raises(FormatError, match=r"the rotation of a scan must be a quaternion, got \(0"):
        formats.read(made((xyz(np.ones((3, 3))), ((0, 0, 0, 0), None))))


def test_points_that_take_no_bytes_may_not_fill_the_memory(made, monkeypatch):
    """A field with one value takes no bits of a file, however many points it has."""
    fields = xyz(np.full((1_000_000, 3), 2**40, "q")) | {"bit": np.arange(1_000_000, dtype="q") % 2}
    path = made((fields, None))
    assert path.stat().st_size < 150_000
    assert len(formats.read(path).points) == 1_000_000
    monkeypatch.setattr(files, "_UNHARMED", 1 << 20)
    with pytest.raises(FormatError, match="may be made to fill the memory"):
        formats.read(path)


def test_mutants_are_read_or_refused(whole):
    read_anyway = sum(damage.refusal(mutant, ".e57") is None for mutant in damage.mutants(whole, 150, seed=24))
    assert read_anyway < 60  # most damage is found by the checksums
    pages = np.random.default_rng(5)
    for _ in range(60):  # damage with right checksums
        changed = bytearray(whole)
        at = int(pages.integers(48, len(whole)))
        changed[at] = int(pages.integers(256))
        page = at // 1024 * 1024
        changed[page : page + 1024] = summed(bytes(changed[page : page + 1024]))
        damage.refusal(bytes(changed), ".e57")


def test_without_the_library(whole, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pye57", None)
    with pytest.raises(FormatError, match=r"E57 files need the extra e57: pip install 'pointkit\[e57\]'"):
        formats.read(whole, ".e57")


def hangs(source):
    import time

    time.sleep(60)
    yield


def test_a_library_that_hangs_costs_its_file_alone(whole, monkeypatch):
    monkeypatch.setattr(decoding, "DEADLINE", 1.0)
    monkeypatch.setattr("pointkit.formats.e57.listed", hangs)
    assert damage.refusal(whole, ".e57") == "it is damaged: no answer within 1 seconds"


DATA = pathlib.Path(os.environ.get("POINTKIT_DATA", ""))


@pytest.mark.skipif(
    not (DATA / "scenes" / "formats").is_dir(), reason="POINTKIT_DATA names no folder that holds scenes/formats"
)
def test_real_files():
    folder = DATA / "scenes" / "formats"
    cloud = formats.read(folder / "translation_without_rotation.e57")
    judge = pye57.E57(str(folder / "translation_without_rotation.e57")).read_scan(0, ignore_missing_fields=True)
    np.testing.assert_array_equal(points_of(cloud), np.stack([judge[axis] for axis in AXES], 1))
    normals = formats.read(folder / "normals.e57")
    lengths = np.linalg.norm([normals.fields[name] for name in ("nx", "ny", "nz")], axis=0)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
