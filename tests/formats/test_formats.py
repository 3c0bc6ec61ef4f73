"""What holds for every format: round trips through the zoo, damaged files, names, and one line for each mistake."""

import io
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pointkit import formats
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError
from tests import zoo

CLOUD = zoo.CLOUDS["nine digits"]
MESH = zoo.MESHES["one triangle"]
ONE_A_READER = (".csv", ".npy", ".npz", ".obj", ".off", ".pcd", ".ply", ".pts", ".stl", ".xyz")


def shape_for(suffix):
    return MESH if suffix in (".off", ".obj", ".stl") else CLOUD


def read_or_one_line(path):
    """The shape in a file, or None where it is refused as it should be; any other exception fails the test."""
    try:
        return formats.read(path)
    except FormatError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert message.isprintable(), message
    return None


def test_every_format_is_read_and_most_are_written():
    assert set(formats.READERS) - set(zoo.READ_ONLY) == set(formats.WRITERS)
    assert set(formats.WRITERS) == {*zoo.MESH_SUFFIXES, *zoo.CLOUD_SUFFIXES, *zoo.SURVEY_SUFFIXES}
    assert set(zoo.READ_ONLY) < set(formats.READERS)
    assert tuple(formats.READERS) == formats.SUFFIXES


@pytest.mark.parametrize("name", zoo.CLOUDS)
@pytest.mark.parametrize("suffix", [*zoo.CLOUD_SUFFIXES, *zoo.SURVEY_SUFFIXES])
def test_cloud_comes_back(tmp_path, suffix, name):
    path = tmp_path / f"cloud{suffix}"
    again = zoo.round_trip(path, zoo.CLOUDS[name])
    zoo.assert_same(again, zoo.CLOUDS[name], suffix)
    assert not again.points.flags.writeable


@pytest.mark.parametrize("name", zoo.MESHES)
@pytest.mark.parametrize("suffix", zoo.MESH_SUFFIXES)
def test_mesh_comes_back(tmp_path, suffix, name):
    path = tmp_path / f"mesh{suffix}"
    if not len(zoo.MESHES[name].faces):
        if suffix != ".stl":  # without faces it is a cloud
            assert isinstance(zoo.round_trip(path, zoo.MESHES[name]), PointCloud)
        else:
            with pytest.raises(FormatError, match="file holds faces, got none"):
                formats.write(path, zoo.MESHES[name])
        return
    again = zoo.round_trip(path, zoo.MESHES[name])
    zoo.assert_same(again, zoo.MESHES[name], suffix)
    assert not again.faces.flags.writeable


@pytest.mark.parametrize("suffix", formats.WRITERS)
def test_the_shape_that_a_format_has_no_room_for(tmp_path, suffix):
    other = CLOUD if isinstance(shape_for(suffix), Mesh) else MESH
    path = tmp_path / f"file{suffix}"
    if suffix in (".ply", ".npz"):
        zoo.assert_same(zoo.round_trip(path, other), other, suffix)
        return
    with pytest.raises(FormatError) as caught:
        formats.write(path, other)
    assert str(caught.value).startswith(f"{path}: a")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", formats.WRITERS)
def test_suffix_in_capitals_and_names_of_any_kind(tmp_path, suffix):
    for stem in (
        b"plain",
        b"with  space",
        b"new\nline",
        b"\xff\xfe bytes",
        "日本é".encode(),
        b"-o",
        b"n" * 240,
        b"a.b",
    ):
        path = os.fsencode(tmp_path) + b"/" + stem + suffix.upper().encode()
        formats.write(path, shape_for(suffix))
        again = formats.read(os.fsdecode(path))
        zoo.assert_same(again, shape_for(suffix), suffix)
        zoo.assert_same(formats.read(pathlib.Path(os.fsdecode(path))), again, suffix)


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
def test_an_unprintable_name_still_makes_one_line(tmp_path, suffix):
    path = os.fsencode(tmp_path) + b"/a\nb\xff" + suffix.encode()
    with open(path, "wb") as file:
        file.write(b"nothing of the kind \x00\x01")
    with pytest.raises(FormatError) as caught:
        formats.read(os.fsdecode(path))
    assert str(caught.value).startswith(f"{tmp_path}/a\\nb\\udcff{suffix}: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("suffix", ONE_A_READER)
def test_cut_anywhere_is_an_error_or_the_whole_shape(tmp_path, suffix):
    """Cut in the digits of its last number a text cannot tell; anywhere else it must, in one line."""
    whole = tmp_path / f"whole{suffix}"
    shape = zoo.MESHES["one triangle"] if suffix in zoo.MESH_SUFFIXES else zoo.CLOUDS["fields"]
    formats.write(whole, shape)
    data = whole.read_bytes()
    path = tmp_path / f"cut{suffix}"
    free = suffix in (
        ".obj",
        ".xyz",
        ".txt",
        ".asc",
        ".csv",
    )  # these promise no count, so whole lines fewer are no damage
    for length in range(len(data)):
        path.write_bytes(data[:length])
        again = read_or_one_line(path)
        in_the_last_line = suffix in (".off", ".pts", ".stl") and len(data) - length < 30
        assert again is None or free or in_the_last_line, length
        assert again is None or isinstance(again, type(shape)) or suffix == ".obj"


@pytest.mark.parametrize("suffix", ONE_A_READER)
def test_any_byte_changed_is_read_or_refused_in_one_line(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    formats.write(whole, shape_for(suffix) if suffix in zoo.MESH_SUFFIXES else zoo.CLOUDS["fields"])
    data = bytearray(whole.read_bytes()[:2000])
    path = tmp_path / f"changed{suffix}"
    rng = np.random.default_rng(3)
    for position in range(0, len(data), max(1, len(data) // 60)):
        for value in (0, 45, 57, int(rng.integers(256))):
            changed = data.copy()
            changed[position] = value
            path.write_bytes(changed)
            read_or_one_line(path)


@pytest.mark.parametrize("name", [name for name in zoo.CLOUDS if name not in ("UTM", "normalised")])
@pytest.mark.parametrize("suffix", [".ply", ".pcd"])
def test_float_coordinates_are_written_in_32_bits(tmp_path, suffix, name):
    """Read or made: programs that know only the type float find no x in a file of doubles."""
    formats.write(tmp_path / f"one{suffix}", zoo.CLOUDS[name])
    formats.write(tmp_path / f"two{suffix}", formats.read(tmp_path / f"one{suffix}"))
    for path in tmp_path.iterdir():
        head = path.read_bytes()[:400]
        assert (
            b"property float x\nproperty float y\nproperty float z\n" if suffix == ".ply" else b"SIZE 4 4 4"
        ) in head


@pytest.mark.parametrize("suffix", [".ply", ".stl"])
def test_float_coordinates_of_meshes_are_written_in_32_bits(tmp_path, suffix):
    formats.write(tmp_path / f"one{suffix}", zoo.MESHES["nine digits"])
    formats.write(tmp_path / "two.ply", formats.read(tmp_path / f"one{suffix}"))
    assert b"property float x\nproperty float y\nproperty float z\n" in (tmp_path / "two.ply").read_bytes()[:400]


@pytest.mark.parametrize("suffix", formats.WRITERS)
class TestBytes:
    def test_bytes_and_open_files_are_read_as_paths_are(self, tmp_path, suffix):
        path = tmp_path / f"file{suffix}"
        formats.write(path, shape_for(suffix))
        data = path.read_bytes()
        zoo.assert_same(formats.read(data, suffix), shape_for(suffix), suffix)
        zoo.assert_same(formats.read(data, suffix=suffix.upper()), shape_for(suffix), suffix)
        for name in (path, os.fsencode(path)):
            with open(name, "rb") as file:
                zoo.assert_same(formats.read(file), shape_for(suffix), suffix)
        zoo.assert_same(formats.read(io.BytesIO(data), suffix), shape_for(suffix), suffix)
        with tempfile.TemporaryFile() as file:  # its name is a number
            file.write(b"before" + data)
            file.seek(6)
            zoo.assert_same(formats.read(file, suffix), shape_for(suffix), suffix)

    def test_a_suffix_that_is_given_comes_before_the_paths(self, tmp_path, suffix):
        formats.write(tmp_path / f"file{suffix}", shape_for(suffix))
        (tmp_path / f"file{suffix}").rename(tmp_path / "file.dat")
        zoo.assert_same(formats.read(tmp_path / "file.dat", suffix), shape_for(suffix), suffix)

    def test_errors_say_what_was_given(self, tmp_path, suffix):
        path = tmp_path / f"file{suffix}"
        path.write_bytes(b"\x00nothing of the kind")
        with pytest.raises(FormatError, match=r"^the given bytes: "):
            formats.read(path.read_bytes(), suffix)
        with pytest.raises(FormatError, match=r"^the given bytes: the file is empty$"):
            formats.read(b"", suffix)
        with pytest.raises(FormatError, match=r"^the given file: "):
            formats.read(io.BytesIO(path.read_bytes()), suffix)
        with path.open("rb") as file, pytest.raises(FormatError, match=f"^{path}: "):
            formats.read(file)
        path.write_text("1 2 3")
        with path.open() as file, pytest.raises(FormatError, match=r"must be open for bytes \(mode 'rb'\), got str"):
            formats.read(file)


def test_bytes_of_no_known_format():
    with pytest.raises(FormatError, match=r"^the given bytes: of which format\? give the suffix of one, \.asc \.csv "):
        formats.read(b"1 2 3\n")
    with pytest.raises(FormatError, match=r"^the given file: of which format\?"):
        formats.read(io.BytesIO(b"1 2 3\n"))
    with pytest.raises(FormatError, match=r"^the given bytes: cannot read the suffix '.doc', only \.asc"):
        formats.read(b"1 2 3\n", ".doc")


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
class TestWhatIsNoFile:
    def test_missing(self, tmp_path, suffix):
        with pytest.raises(FileNotFoundError):
            formats.read(tmp_path / f"missing{suffix}")

    def test_empty(self, tmp_path, suffix):
        path = tmp_path / f"empty{suffix}"
        path.touch()
        with pytest.raises(FormatError, match="the file is empty"):
            formats.read(path)

    def test_folder(self, tmp_path, suffix):
        path = tmp_path / f"folder{suffix}"
        path.mkdir()
        with pytest.raises(FormatError, match="must be a regular file, got a folder"):
            formats.read(path)

    def test_pipe_is_refused_and_not_waited_for(self, tmp_path, suffix):
        path = tmp_path / f"pipe{suffix}"
        os.mkfifo(path)
        with ThreadPoolExecutor(1) as pool, pytest.raises(FormatError, match="got a pipe"):
            pool.submit(formats.read, path).result(5)

    def test_device(self, tmp_path, suffix):
        path = tmp_path / f"zeros{suffix}"
        path.symlink_to("/dev/zero")
        with pytest.raises(FormatError, match="got a device"):
            formats.read(path)


@pytest.mark.parametrize("suffix", formats.WRITERS)
def test_a_failed_write_leaves_the_older_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"file{suffix}"
    formats.write(path, shape_for(suffix))
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        formats.write(path, shape_for(suffix))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_a_written_file_has_the_mode_of_any_new_file(tmp_path):
    formats.write(tmp_path / "cloud.ply", CLOUD)
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_into_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        formats.write(tmp_path / "missing" / "cloud.ply", CLOUD)


@pytest.mark.parametrize("name", ["cloud.doc", "cloud", ".ply"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(FormatError, match=r"cannot read the suffix '.*', only \.asc \.csv "):
        formats.read(tmp_path / name)
    with pytest.raises(FormatError, match="cannot write"):
        formats.write(tmp_path / name, CLOUD)


@pytest.mark.parametrize("name", ["", "two words", "line\nbreak", "é", "x"])
@pytest.mark.parametrize("suffix", zoo.CLOUD_SUFFIXES)
def test_a_name_that_no_header_can_hold(tmp_path, suffix, name):
    cloud = PointCloud(np.zeros((2, 3), np.float32), {name: np.zeros(2)})
    with pytest.raises(FormatError, match="a field"):
        formats.write(tmp_path / f"cloud{suffix}", cloud)


@pytest.mark.parametrize("suffix", zoo.CLOUD_SUFFIXES)
def test_a_field_that_is_no_number(tmp_path, suffix):
    cloud = PointCloud(np.zeros((2, 3), np.float32), {"name": np.array(["a", "b"])})
    with pytest.raises(FormatError):
        formats.write(tmp_path / f"cloud{suffix}", cloud)


def test_labels_take_the_place_of_an_older_field(tmp_path):
    cloud = PointCloud(np.zeros((2, 3), np.float32), {"label": np.array([1, 2], np.uint8)}, np.array([5, -1], np.int32))
    again = zoo.round_trip(tmp_path / "cloud.ply", cloud)
    assert again.labels.tolist() == [5, -1]


def test_importing_formats_loads_no_library():
    code = (
        "import sys, pointkit.formats; print([m for m in ('trimesh', 'plyfile', 'scipy', 'keras') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


DATA = pathlib.Path(os.environ.get("POINTKIT_DATA", ""))


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="the folder of real files is not named by POINTKIT_DATA")
class TestRealFiles:
    def test_scans(self):
        counts = {}
        for path in sorted((DATA / "scans" / "files").iterdir()):
            if path.suffix in formats.SUFFIXES:
                shape = formats.read(path)
                counts[path.name] = len(shape.faces) if isinstance(shape, Mesh) else len(shape.points)
        assert counts == {
            "autzen_trim.laz": 110000, "ballA.off": 3796, "bunny.ply": 16301, "extrabytes.las": 1065, "fuze.ply": 1000,
            "ism_train_cat.pcd": 3400, "lamppost.pcd": 1771, "points_cloudcompare.xyz": 101,
            "points_emptyface.ply": 1024, "room_scan1.pcd": 112586, "simple.copc.laz": 1065, "simple.las": 1065,
            "simple.laz": 1065, "suzanne.ply": 968, "vegetation_1_3.las": 10683,
        }  # fmt: skip

    def test_airborne_scans(self):
        paths = sorted((DATA / "scans" / "isprs_ground").glob("*.pcd"))
        assert len(paths) == 30
        for path in paths:
            header = path.read_bytes()[:300].decode("ascii", "replace")
            assert len(formats.read(path).points) == int(header.split("POINTS ")[1].split()[0])

    def test_clouds_of_modelnet(self):
        paths = sorted((DATA / "mn10_points").glob("*/*/*_000[0-9].pcd"))
        assert len(paths) > 50
        for path in paths:
            assert formats.read(path).points.shape == (1024, 3)
