"""LAS, LAZ and COPC: what laspy reads of them, and files given back with classes."""

import io
import os
import pathlib
import struct

import numpy as np
import pytest

pytest.importorskip("laspy", reason="the extra las is not installed")

from pointkit import formats
from pointkit.cloud import PointCloud
from pointkit.errors import FormatError
from pointkit.formats import las_header, streams
from tests import zoo
from tests.formats.las_files import judged, made

DATA = pathlib.Path(os.environ.get("POINTKIT_DATA", ""))
REAL = [path for path in sorted(DATA.glob("sc*/*/*.la[sz]")) if os.environ.get("POINTKIT_DATA")]
FORMATS = range(11)


def _slow_if_large(path):
    return pytest.param(path, marks=[pytest.mark.slow] if path.stat().st_size > 500_000 else [])


def assert_as_laspy(cloud, data, rows=slice(None)):
    """Coordinates, names, types and numbers are those of the judge, to the last bit."""
    judge = judged(data) if isinstance(data, bytes) else data
    xyz = cloud.placement.coordinates(cloud.points) if isinstance(cloud, PointCloud) else cloud.xyz
    assert xyz.astype(np.float64).tobytes() == judge.xyz[rows].tobytes()
    names = [name for name in judge.point_format.dimension_names if name not in ("X", "Y", "Z")]
    assert list(cloud.fields) == names
    for name in names:
        wanted = np.asarray(judge[name])[rows]
        assert cloud.fields[name].dtype == wanted.dtype, name
        assert cloud.fields[name].tobytes() == np.ascontiguousarray(wanted).tobytes(), name
    whole = np.round((xyz - judge.header.offsets) / judge.header.scales)
    np.testing.assert_array_equal(whole, np.stack([judge.X, judge.Y, judge.Z], 1)[rows])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("point_format", FORMATS)
class TestRead:
    def test_every_field_is_the_judges(self, point_format, compressed):
        data = made(point_format, compressed=compressed)
        assert_as_laspy(formats.read(data, ".laz" if compressed else ".las"), data)

    def test_in_pieces(self, point_format, compressed):
        data = made(point_format, compressed=compressed)
        start = 0
        for piece in formats.pieces(data, ".las", rows=170):
            assert piece.start == start
            assert_as_laspy(piece, data, slice(start, start + 170))
            start += len(piece.xyz)
        assert start == 500


@pytest.mark.parametrize("version", [0, 1])
def test_the_oldest_versions(version):
    data = bytearray(made(1, version="1.2"))
    data[25] = version
    assert formats.read(bytes(data), ".las").fields["gps_time"].dtype == np.float64
    np.testing.assert_array_equal(formats.read(bytes(data), ".las").points, formats.read(made(1), ".las").points)


def test_undescribed_bytes_and_names_that_are_taken():
    data = bytearray(made(1))
    vlr = las_header.read(streams.Opened(io.BytesIO(data), b"", len(data))).find(*las_header.EXTRA)
    data[vlr.start + 4 : vlr.start + 36] = b"gps_time".ljust(32, b"\0")
    data[vlr.start + 2 * 192 + 2] = 31  # no type has this number
    fields = formats.read(bytes(data), ".las").fields
    assert list(fields)[-3:] == ["extra_gps_time", "Intensity", "ExtraBytes"]
    assert fields["ExtraBytes"].shape == (500, 12)
    assert fields["ExtraBytes"].tobytes() == np.asarray(judged(made(1))["tree"]).tobytes()


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files(path):
    assert_as_laspy(formats.read(path), path.read_bytes())


def test_a_cloud_that_is_written_is_the_judges(tmp_path):
    rng = np.random.default_rng(5)
    fields = {
        "intensity": rng.integers(0, 2**16, 60).astype(np.uint16),
        "classification": rng.integers(0, 256, 60).astype(np.int32),
        "return_number": rng.integers(0, 16, 60).astype(np.uint8),
        "withheld": rng.integers(0, 2, 60).astype(np.uint8),
        "red": np.arange(60, dtype=np.uint8), "green": np.arange(60, dtype=np.uint8),
        "blue": np.arange(60, dtype=np.uint8), "scan_angle": rng.standard_normal(60), "tree": np.arange(60) * 10**10,
    }  # fmt: skip
    cloud = PointCloud(rng.standard_normal((60, 3)) * 100, fields, placement=zoo.UTM)
    for suffix in (".las", ".laz"):
        formats.write(tmp_path / f"cloud{suffix}", cloud)
        judge = judged((tmp_path / f"cloud{suffix}").read_bytes())
        assert judge.header.point_format.id == 7
        np.testing.assert_allclose(judge.xyz, cloud.placement.restore(cloud.points), rtol=0, atol=1e-6)
        for name in ("intensity", "classification", "return_number", "withheld", "tree"):
            np.testing.assert_array_equal(np.asarray(judge[name]), fields[name])
        np.testing.assert_array_equal(judge.red, np.arange(60) * 257)
        np.testing.assert_array_equal(judge["source_scan_angle"], fields["scan_angle"])
        np.testing.assert_array_equal(judge.header.maxs, judge.xyz.max(0))
        np.testing.assert_array_equal(
            judge.header.number_of_points_by_return[:2], np.bincount(fields["return_number"])[1:3]
        )


# ---- given back


def ours_of(count, **more):
    rng = np.random.default_rng(count)
    return {"label": rng.integers(0, 32, count).astype(np.int32)} | more


def records(head):
    """Where the records of a file's head lie, by a plain walk: user, number, begin, end; and where the points begin."""
    place, points, number = struct.unpack_from("<HII", head, 94)
    found = []
    for _ in range(number):
        user, key, size = struct.unpack_from("<16sHH", head, place + 2)
        found.append((user.rstrip(b"\0").decode(), key, place, place + 54 + size))
        place = found[-1][-1]
    return found, points


def assert_given_back(before, after, ours):
    """All but the classes is as it was: fields by the judge, the head byte for byte, what lies behind the points."""
    old, new = judged(before), judged(after)
    classes = ours.get("label")
    if classes is not None:
        np.testing.assert_array_equal(np.asarray(new.classification), classes)
    for name in old.point_format.dimension_names:
        if name != "classification" or classes is None:
            np.testing.assert_array_equal(np.asarray(new[name]), np.asarray(old[name]), err_msg=name)
    assert [(one.user_id, one.record_id, one.record_data_bytes()) for one in new.evlrs or ()] == [
        (one.user_id, one.record_id, one.record_data_bytes()) for one in old.evlrs or () if one.user_id != "copc"
    ]
    theirs, points = records(before)
    if any(user == "copc" for user, *_ in theirs) or set(ours) - {"label"}:
        kept = ("copc", "laszip encoded", "LASF_Spec")
        for user, key, start, end in theirs:
            assert user in kept or before[start:end] in after[: records(after)[1]], (user, key)
        return
    assert records(after)[1] == points
    free = {*range(227, 247)} if struct.unpack_from("<B", before, 25)[0] >= 3 else set()
    for user, _, start, end in theirs:
        free |= {*range(start, end)} if user == "laszip encoded" else set()
    assert [i for i in range(points) if before[i] != after[i] and i not in free] == []
    if not before[104] & 0x80:
        assert len(before) == len(after)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("point_format", FORMATS)
class TestAnnotate:
    def test_classes_alone(self, tmp_path, point_format, compressed):
        suffix = ".laz" if compressed else ".las"
        data = made(point_format, compressed=compressed, evlr=point_format > 5)
        ours = ours_of(500)
        formats.annotate(data, tmp_path / f"out{suffix}", ours, ["a note"], suffix)
        assert_given_back(data, (tmp_path / f"out{suffix}").read_bytes(), ours)

    def test_with_extra_dimensions(self, tmp_path, point_format, compressed):
        suffix = ".laz" if compressed else ".las"
        more = {"probability": np.random.default_rng(1).random(500).astype(np.float32), "tree": np.arange(500)}
        for extra in (False, True):
            data = made(point_format, compressed=compressed, extra=extra, evlr=point_format > 5)
            formats.annotate(data, tmp_path / f"out{suffix}", ours_of(500) | more, [], suffix)
            after = (tmp_path / f"out{suffix}").read_bytes()
            judge = judged(after)
            np.testing.assert_array_equal(judge["probability"], more["probability"])
            np.testing.assert_array_equal(judge["tree"], more["tree"])
            if extra:
                np.testing.assert_array_equal(judge["source_tree"], judged(data)["tree"])
                struct_of = {one.name: one for one in judge.header.vlrs.get("ExtraBytesVlr")[0].extra_bytes_structs}
                assert struct_of[b"height above"].description == b"in cm"
            else:
                assert_given_back(data, after, ours_of(500) | more)
            assert list(formats.read(after, suffix).fields)[-2:] == ["probability", "tree"]


@pytest.mark.parametrize("path", [*map(_slow_if_large, REAL)], ids=lambda path: path.name)
def test_real_files_are_given_back(tmp_path, path):
    target = tmp_path / f"out{path.suffix}"
    before, count = path.read_bytes(), len(formats.read(path).points)
    for ours in (ours_of(count), ours_of(count, probability=np.linspace(0, 1, count, dtype=np.float32))):
        formats.annotate(path, target, ours)
        assert_given_back(before, target.read_bytes(), ours)


@pytest.mark.parametrize("point_format", [9, 10])
def test_waveforms_that_the_library_would_change_are_refused(tmp_path, point_format):
    data = made(point_format, compressed=True, channels=4)
    with pytest.raises(
        FormatError, match="cannot compress its waveforms without loss; decompress the file to LAS first"
    ):
        formats.annotate(data, tmp_path / "out.laz", ours_of(500), [], ".laz")
    assert not os.listdir(tmp_path)


def test_the_source_may_be_the_target(tmp_path):
    for compressed in (False, True):
        path = tmp_path / ("a.laz" if compressed else "a.las")
        path.write_bytes(before := made(6, compressed=compressed, evlr=True))
        formats.annotate(path, path, ours_of(500))
        assert_given_back(before, path.read_bytes(), ours_of(500))


def test_ranges_of_extra_dimensions_and_the_numbers_of_old_programs_stay():
    """What laspy itself loses when it writes: min and max, and the legacy count of 1.4."""
    data = bytearray(made(3, version="1.4"))
    header = las_header.read(streams.Opened(io.BytesIO(data), b"", len(data)))
    vlr = header.find(*las_header.EXTRA)
    data[vlr.start + 3] |= 6
    struct.pack_into("<QQ", data, vlr.start + 64, 1, 205)
    struct.pack_into("<I", data, 107, 500)
    stream = io.BytesIO()
    from pointkit.formats import las_annotate

    las_annotate.annotate(streams.Opened(io.BytesIO(data), bytes(data), len(data)), stream, ours_of(500))
    assert_given_back(bytes(data), stream.getvalue(), ours_of(500))


@pytest.mark.parametrize(("point_format", "code", "largest"), [(3, 32, 31), (3, -1, 31), (7, 256, 255), (7, -1, 255)])
def test_a_class_that_has_no_place(tmp_path, point_format, code, largest):
    ours = {"label": np.full(500, code, np.int32)}
    with pytest.raises(
        FormatError, match=rf"^the given bytes: classes in point format \d are 0 to {largest}, got {code}"
    ):
        formats.annotate(made(point_format), tmp_path / "out.las", ours, [], ".las")
    assert not os.listdir(tmp_path)


def test_what_is_said_of_copies(tmp_path):
    for point_format, largest in ((3, 31), (7, 255)):
        path = tmp_path / f"{point_format}.las"
        path.write_bytes(made(point_format))
        assert (formats.largest_code(path), formats.about_copy(path)) == (largest, "")
    assert (formats.largest_code(tmp_path / "a.ply"), formats.about_copy(tmp_path / "a.ply")) == (None, "")
    for path in REAL:
        if ".copc." in path.name:
            assert formats.about_copy(path) == "COPC is answered as LAZ, without its index"


@pytest.mark.parametrize(
    ("point_format", "encoding", "told"), [(4, 4, True), (10, 20, True), (9, 2, False), (7, 4, False)]
)
def test_waveforms_in_a_file_beside_keep_its_name(tmp_path, point_format, encoding, told):
    data = bytearray(made(point_format))
    data[6] = encoding
    path = tmp_path / "a.las"
    path.write_bytes(data)
    assert (".wdp" in formats.about_copy(path)) is told


def test_without_the_library_one_line_says_what_to_do(monkeypatch):
    import sys

    data = {".las": made(), ".laz": made(compressed=True)}
    monkeypatch.setitem(sys.modules, "laspy", None)
    monkeypatch.setitem(sys.modules, "lazrs", None)
    for suffix, given in data.items():
        with pytest.raises(formats.FormatError, match=r"LAS files need the extra las: pip install 'pointkit\[las\]'"):
            formats.read(given, suffix)
