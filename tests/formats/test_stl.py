"""STL in bytes and in text, with trimesh as the judge."""

import io

import numpy as np
import pytest
import trimesh

from pointkit import formats
from pointkit.errors import FormatError
from tests import zoo

FACET = "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 1 1 0\nendloop\nendfacet\n"
TRIANGLES = np.arange(18, dtype=np.float32).reshape(2, 3, 3)


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "mesh.stl"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return formats.read(path)

    return read_bytes


def in_bytes(triangles, count=None, header=b"made by hand"):
    kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows = np.zeros(len(triangles), kind)
    rows["corners"] = triangles
    return header.ljust(80) + np.array([len(triangles) if count is None else count], "<u4").tobytes() + rows.tobytes()


@pytest.mark.parametrize("header", [b"made by hand", b"solid but bytes", b"\0\xff"])
def test_bytes(read, header):
    mesh = read(in_bytes(TRIANGLES, header=header))
    np.testing.assert_array_equal(mesh.vertices, TRIANGLES.reshape(-1, 3))
    assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "text",
    [
        f"solid\n{FACET}endsolid\n",
        f"solid a facet of a name\n{FACET}endsolid a facet of a name",
        f"SOLID\n{FACET.upper()}ENDSOLID\n",
        f"\n solid x\n{FACET}endsolid x\n".replace("\n", "\r\n"),
        f"solid\n{FACET}endsolid\n".replace(" 1 ", "   1.0e0\t"),
    ],
)
def test_text(read, text):
    mesh = read(text)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_two_solids_in_one_text(read):
    assert len(read(f"solid a\n{FACET}endsolid a\nsolid b\n{FACET}{FACET}endsolid b\n").faces) == 3


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (in_bytes(TRIANGLES, 3), "must fit its 184 bytes, got 3"),
        (in_bytes(TRIANGLES, 1), "must fit its 184 bytes, got 1"),
        (in_bytes(TRIANGLES, 10**9), "must fit its 184 bytes"),
        (in_bytes(TRIANGLES, 2**32 - 1), "must fit its 184 bytes, got 4294967295"),
        (in_bytes(TRIANGLES)[:-1], "must fit its 183 bytes"),
        (in_bytes(TRIANGLES[:0]), "no triangles"),
        (in_bytes(TRIANGLES * np.float32(np.nan)), "finite float32 numbers"),
        ("solid\nendsolid\n", "no triangles"),
        (f"solid\n{FACET}{FACET[:60]}", "a facet of three vertices is expected, got 'facet normal"),
        (f"solid\n{FACET}", "must end with endsolid, got 1 facets"),
        (f"solid\n{FACET}endsolid\n".replace("vertex 1 1 0\n", ""), "a facet of three vertices is expected"),
        (
            f"solid\n{FACET}endsolid\n".replace("endloop", "vertex 0 1 0\nendloop"),
            "a facet of three vertices is expected",
        ),
        (f"solid\n{FACET}endsolid\n".replace("1 1 0", "1 one 0"), "a number is expected, got 'one'"),
        (f"solid\n{FACET}junk\nendsolid\n", "expected, got 'junk"),
        ("nothing", "must fit its 7 bytes, got None"),
    ],
)
def test_what_is_refused_and_why(read, data, rule):
    with pytest.raises(FormatError, match=rule):
        read(data)


def test_survey_coordinates_of_a_text(read):
    far = FACET.replace("vertex ", "vertex 66518").replace(" 0\n", ".521 5648349.895\n")
    mesh = read(f"solid\n{far}endsolid\n".replace(" 0.521", " 241.521").replace(" 1.521", " 242.521"))
    restored = mesh.placement.restore(mesh.vertices)
    assert mesh.placement.origin.any()
    np.testing.assert_allclose(restored[:, 2], 5648349.895, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["stl", "stl_ascii"])
def test_we_read_what_trimesh_writes(read, kind):
    judge = trimesh.creation.icosphere(2)
    data = judge.export(file_type=kind)
    mesh = read(data)
    np.testing.assert_allclose(mesh.vertices[mesh.faces], judge.triangles, atol=1e-6)


def test_trimesh_reads_what_we_write(tmp_path):
    path = tmp_path / "mesh.stl"
    shape = zoo.MESHES["nine digits"]
    formats.write(path, shape)
    judge = trimesh.load(io.BytesIO(path.read_bytes()), file_type="stl", process=False)
    np.testing.assert_array_equal(judge.triangles.astype(np.float32), shape.vertices[shape.faces])
    lengths = np.linalg.norm(judge.face_normals, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
