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
        f"solid cube\n{FACET}end solid cube\n",
        f"solid cube {FACET}endsolid cube".replace("\n", " "),
        f"solid {FACET}endsolid ".replace("\n", " "),
        f"solid # made by hand\n# a facet normal\n{FACET}# the end\nendsolid # cube\n# nothing\n",
        f"\ufeffsolid\n{FACET}endsolid\n",
        f"solid\n{FACET}endsolid\n".encode("utf-16"),
        f"solid\n{FACET}endsolid\n".replace("\n", "\r"),
    ],
)
def test_text(read, text):
    mesh = read(text)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_two_solids_in_one_text(read):
    assert len(read(f"solid a {FACET} endsolid a solid b {FACET}{FACET} end solid b".replace("\n", " ")).faces) == 3
    assert len(read(f"solid a\n{FACET}endsolid a\nsolid b\n{FACET}{FACET}endsolid b\n").faces) == 3


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (in_bytes(TRIANGLES, 3), "promises 3 triangles in 234 bytes, got 184 with 2 whole triangles: the file is cut"),
        (in_bytes(TRIANGLES, 1), "promises 1 triangles in 134 bytes, got 184, 50 too many: keep the first 134"),
        (in_bytes(TRIANGLES, 10**9), "promises 1,000,000,000 triangles in 50,000,000,084 bytes, got 184 with 2 whole"),
        (in_bytes(TRIANGLES, 2**32 - 1), "promises 4,294,967,295 triangles"),
        (
            in_bytes(TRIANGLES)[:-1],
            "promises 2 triangles in 184 bytes, got 183 with 1 whole triangles: the file is cut",
        ),
        (in_bytes(TRIANGLES) + b"\n", "promises 2 triangles in 184 bytes, got 185, 1 too many: keep the first 184"),
        (in_bytes(TRIANGLES[:0]), "no triangles"),
        (in_bytes(TRIANGLES * np.float32(np.nan)), "finite float32 numbers"),
        ("solid\nendsolid\n", "no triangles"),
        (f"solid\n{FACET}{FACET[:60]}", "a facet of three vertices is expected, got 'facet normal"),
        (f"solid\n{FACET}", "must end with endsolid, got 1 facets and then nothing: the file is cut"),
        (f"solid\n{FACET}endsolid\n".replace("vertex 1 1 0\n", ""), "a facet of three vertices is expected"),
        (
            f"solid\n{FACET}endsolid\n".replace("endloop", "vertex 0 1 0\nendloop"),
            "a facet of three vertices is expected",
        ),
        (f"solid\n{FACET}endsolid\n".replace("1 1 0", "1 one 0"), "a number is expected, got 'one'"),
        (f"solid\n{FACET}junk\nendsolid\n", "expected, got 'junk"),
        ("nothing", "begins with solid, or with 84 bytes before its triangles, got 7 bytes"),
        (in_bytes(np.where(TRIANGLES == 5, np.float32(np.inf), TRIANGLES)), "finite float32 numbers"),
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
