"""Damaged LAS, LAZ and COPC files: one line for each, at once, with little memory, and never a part as the whole."""

import io
import os
import pathlib
import re
import resource
import struct
import sys
import time

import numpy as np
import pytest

pytest.importorskip("laspy", reason="the extra las is not installed")

from pointkit import formats, info, laz_points, preprocess
from pointkit.errors import FormatError
from pointkit.formats import las_header, laz, streams
from tests.formats.las_files import judged, made

DATA = pathlib.Path(os.environ.get("POINTKIT_DATA", ""))
KINDS = {"las": False, "laz": True}
FILES = {name: made(6, 3000, compressed=packed, evlr=True) for name, packed in KINDS.items()}


def header_of(data):
    return las_header.read(streams.Opened(io.BytesIO(data), data, len(data)))


def changed(data, form, place, value):
    data = bytearray(data)
    struct.pack_into(form, data, place, *(value if isinstance(value, tuple) else (value,)))
    return bytes(data)


def read(data, suffix=".las"):
    """The cloud in a file, and "", or None and the one line with which it is refused: soon, whatever it holds."""
    start = time.monotonic()
    try:
        cloud, message = formats.read(data, suffix), ""
    except FormatError as error:
        cloud, message = None, str(error)
    assert time.monotonic() - start < 10
    assert cloud is not None or message.startswith("the given bytes: ")
    assert message.isprintable() or not message
    assert len(message) < 400
    return cloud, message


def refused(data, suffix=".las"):
    """The line with which a file is refused."""
    cloud, message = read(data, suffix)
    assert cloud is None
    return message


HEADS = {  # kind -> where, as what, the values that lie there, and what is said
    "the signature": ("<4s", 0, (b"LASE", b"\0\0\0\0"), "begins with LASF"),
    "the version": ("<BB", 24, ((2, 0), (1, 5), (0, 0)), "version must be 1.0 to 1.4"),
    "the header's size": ("<H", 94, (0, 100, 374, 65535), "the header of LAS 1.4 has 375 bytes or more"),
    "where the points begin": ("<I", 96, (0, 374, 2**31, 2**32 - 1), "before the points|must begin in the file"),
    "the number of records": ("<I", 100, (1000, 10**6, 2**32 - 1), "promises .* records|record .* of"),
    "the point format": (
        "<B",
        104,
        (11, 63, 64, 127, 139),
        "point format must be|LASzip|promises|points",
    ),
    "the bytes of a point": ("<H", 105, (0, 1, 29, 65535), "has 30 bytes or more|promises|describe points"),
    "the old number of points": ("<I", 107, (1, 2999, 2**32 - 1), "two numbers of points"),
    "a scale of nan": ("<d", 131, (float("nan"), float("inf"), 0.0), "must be finite, and no scale 0"),
    "an offset of nan": ("<d", 163, (float("nan"), float("-inf")), "must be finite"),
    "where the last records begin": ("<Q", 235, (2**63, 2**64 - 1, 10**9), "promises 1 records"),
    "the number of the last records": ("<I", 243, (2, 10**6, 2**32 - 1), "records at|behind the points"),
    "more points than there are": ("<Q", 247, (3001, 10**6, 2**40, 2**64 - 1), "promises|chunks|damaged"),
    "fewer points than there are": ("<Q", 247, (1500, 1), "promises|chunks|end .* early"),
    "no points": ("<Q", 247, (0,), "no points"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_before_its_points(kind):
    for length in (300, 400):  # in the header, and behind it
        said = refused(FILES[kind][:length])
        assert f"the points must begin in the file's {length} bytes" in said
        assert said.endswith(": is it cut?")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", HEADS)
def test_a_head_that_lies(what, kind):
    form, place, values, said = HEADS[what]
    for value in values:
        message = refused(changed(FILES[kind], form, place, value))
        assert re.search(said, message), message


@pytest.mark.parametrize("kind", KINDS)
def test_records_that_lie(kind):
    data = FILES[kind]
    header = header_of(data)
    first, last = header.vlrs[0], header.evlrs[0]
    assert "record 0 of" in refused(changed(data, "<H", first.head + 20, 65535))
    assert "behind the points" in refused(changed(data, "<Q", last.head + 20, 2**60))
    assert "behind the points" in refused(changed(data, "<Q", last.head + 20, len(data)))


PACKED = {  # of the LASzip record: where in its body, as what, values, what is said
    "the kind": ("<H", 0, (0, 1, 4, 65535), "compressed in chunks"),
    "the coder": ("<H", 2, (1, 65535), "compressed in chunks"),
    "the size of chunks": ("<I", 12, (0, 1, 2999), "chunks"),
    "the number of items": ("<H", 32, (0, 1, 65535), "LASzip record"),
    "an item's kind": ("<H", 34, (3, 999), "LASzip record"),
    "an item's bytes": ("<H", 36, (0, 29, 65535), "LASzip record"),
    "an item's version": ("<H", 38, (0, 99), "damaged"),
}


@pytest.mark.parametrize("what", PACKED)
def test_a_laszip_record_that_lies(what):
    data = FILES["laz"]
    form, place, values, said = PACKED[what]
    start = header_of(data).find(*las_header.LASZIP).start
    for value in values:
        assert re.search(said, refused(changed(data, form, start + place, value)))


def test_no_laszip_record():
    data = FILES["laz"]
    vlr = header_of(data).find(*las_header.LASZIP)
    assert "no LASzip record" in refused(changed(data, "<H", vlr.head + 18, 1))
    assert "no LASzip record" in refused(changed(FILES["las"], "<B", 104, 6 | 0x80))
    assert "promises" in refused(changed(data, "<B", 104, 6))


def test_a_table_of_chunks_that_lies():
    data = FILES["laz"]
    header = header_of(data)
    (table,) = struct.unpack_from("<q", data, header.start)
    for place in (0, -2, header.start, table + 10**6, 2**62):
        assert "table of chunks must lie between" in refused(changed(data, "<q", header.start, place))
    for count in (0, 2, 10**6, 2**32 - 1):
        assert "the table has" in refused(changed(data, "<I", table + 4, count))
    assert "the table has" in refused(changed(data, "<I", table, 1))
    for place in range(table + 8, header.tail):  # some bits of the table's last bytes mean nothing
        cloud, _ = read(changed(data, "<B", place, data[place] ^ 0xFF))
        assert cloud is None or np.array_equal(cloud.points, formats.read(data, ".laz").points)


def test_a_table_at_the_end_as_streams_have_it(tmp_path):
    data = made(3, 1000, compressed=True, extra=False)
    start = header_of(data).start
    table = data[start : start + 8]
    cloud = formats.read(changed(data, "<q", start, -1) + table, ".laz")
    np.testing.assert_array_equal(cloud.points, formats.read(data, ".laz").points)


@pytest.mark.parametrize(
    "point_format", [0, 6, pytest.param(3, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)]
)
def test_compressed_points_that_are_damaged_are_not_taken_for_points(point_format):
    """LAZ has no checksums. In formats 0 to 5 most damage shows by where a chunk ends."""
    data = made(point_format, 5000, compressed=True, extra=False, smooth=True)
    header = header_of(data)
    (end,) = struct.unpack_from("<q", data, header.start)
    rng = np.random.default_rng(point_format)
    whole = formats.read(data, ".laz")
    same = {False: 0, True: 0}
    for place in rng.integers(header.start + 8, end, 60).tolist():
        got, _ = read(changed(data, "<B", place, data[place] ^ int(rng.integers(1, 256))))
        if got is not None and not got.doubts:
            same[np.array_equal(got.points, whole.points)] += 1
    assert same[False] == 0
    assert (same[True] > 0) == (point_format > 5)


def shifted(data, *sizes):
    """A file whose box says that the points lie so many sizes of the box away, along each axis."""
    box = np.frombuffer(data, "<f8", 6, 179).reshape(3, 2)
    moved = box + np.multiply(sizes, box[:, 0] - box[:, 1])[:, None]
    return changed(data, "<6d", 179, tuple(moved.reshape(-1).tolist()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point_format", [3, 6])
def test_a_box_that_is_out_of_date(point_format, kind, tmp_path):
    """The points are what they are. But where they are compressed the box may show damage, and is worth a word."""
    data = made(point_format, 500, compressed=KINDS[kind], smooth=True)
    whole = formats.read(data, ".laz")
    for sizes, said in (((0, 0.9, 0), False), ((0, 0, -3), True), ((20, -20, 1), True)):
        stale = shifted(data, *sizes)
        cloud = formats.read(stale, ".laz")
        np.testing.assert_array_equal(cloud.points, whole.points)
        said = said and kind == "laz"
        assert [line[:52] for line in cloud.doubts] == ["its points are damaged, or its header is out of date"] * said
        assert [bool(piece.doubt) for piece in formats.pieces(stale, ".laz")] == [said]
        assert [warned.kind for warned in preprocess.draw(cloud, 100, 0).warnings] == ["doubt"] * said
    (tmp_path / "a.laz").write_bytes(stale)
    assert info.describe(tmp_path / "a.laz").get("doubts", []) == list(cloud.doubts)
    far, message = read(shifted(data, 5000, 5000, 5000))
    refusal = kind == "laz"
    assert (far is None) == refusal
    assert ("its compressed points are damaged: they lie at" in message) == refusal


@pytest.mark.parametrize("point_format", range(6))
def test_points_without_chunks_as_the_oldest_files_have_them(point_format, tmp_path):
    """LASzip 1 wrote all points as one chunk: neither the place of a table nor a table is there."""
    data = made(point_format, 700, compressed=True)
    header = header_of(data)
    (table,) = struct.unpack_from("<q", data, header.start)
    start = header.find(*las_header.LASZIP).start
    old = changed(data[: header.start] + data[header.start + 8 : table], "<H", start, 1)
    old = changed(old, "<I", start + 12, 0)
    whole, cloud = formats.read(data, ".laz"), formats.read(old, ".laz")
    np.testing.assert_array_equal(cloud.points, whole.points)
    for name, field in whole.fields.items():
        np.testing.assert_array_equal(cloud.fields[name], field)
    assert [len(piece.xyz) for piece in formats.pieces(old, ".laz", rows=300)] == [300, 300, 100]
    formats.annotate(old, tmp_path / "b.laz", {"label": np.arange(700) % 32}, suffix=".laz")
    after = judged((tmp_path / "b.laz").read_bytes())
    np.testing.assert_array_equal(after.classification, np.arange(700) % 32)
    for length in (header.start, header.start + 40, len(old) - 1):
        refused(old[:length])
    assert "end 9 bytes early" in refused(old + bytes(9))


def test_a_library_that_dies_hangs_or_fills_the_memory(monkeypatch):
    data = FILES["laz"]
    source = streams.Opened(io.BytesIO(data), data, len(data))
    for job, said in ((_dies, "died (signal SIGABRT)"), (_hangs, "no answer within 0.5 seconds"), (_fills, "MB")):
        monkeypatch.setattr(laz_points, "decoded", job)
        monkeypatch.setattr(laz, "DEADLINE", 0.5 if job is _hangs else 60)
        with pytest.raises(ValueError, match="its compressed points") as caught:
            list(laz.points(source, header_of(data), 1000))
        assert said in str(caught.value)


def _dies(*arguments):
    os.abort()
    yield


def _hangs(*arguments):
    time.sleep(60)
    yield


def _fills(*arguments):
    yield bytearray(1 << 34)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere(kind):
    data = made(3, 20, compressed=KINDS[kind], extra=False)
    for length in range(1, len(data)):
        refused(data[:length])
    with pytest.raises(FormatError, match="the file is empty"):
        formats.read(b"", ".las")


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_behind_the_points(kind):
    data = made(3, 20, compressed=KINDS[kind], extra=False)
    if kind == "las":
        assert "promises 20 points" in refused(data + bytes(34))
        assert len(formats.read(data + bytes(33), ".las").points) == 20
    else:
        assert len(formats.read(data + bytes(33), ".laz").points) == 20


def mutants(data, seed, count):
    """Copies with bytes changed, numbers exchanged, pieces left out or put in twice, as a seed decides."""
    rng = np.random.default_rng(seed)
    head = header_of(data).start + 40
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(head if rng.random() < 0.7 else len(mutant)))
            how = rng.integers(4)
            if how == 0:
                mutant[place] = int(rng.integers(256))
            elif how == 1:
                value = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, int(rng.integers(2**32))]))
                mutant[place : place + 4] = struct.pack("<I", value)
            elif how == 2:
                del mutant[place : place + int(rng.integers(1, 60))]
            else:
                mutant[place:place] = mutant[place : place + int(rng.integers(1, 60))]
        yield bytes(mutant)


SEEDS = {
    "las 1": made(1, 200), "las 3": made(3, 200), "las 7": made(7, 200, evlr=True), "las 10": made(10, 200),
    "laz 1": made(1, 200, compressed=True), "laz 3": made(3, 200, compressed=True),
    "laz 6": made(6, 200, compressed=True, evlr=True), "laz 8": made(8, 200, compressed=True),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEDS)
def test_mutants_are_whole_or_refused(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    for mutant in mutants(SEEDS[name], 24, 100):
        cloud, _ = read(mutant)
        if cloud is not None:
            assert len(cloud.points) == header_of(mutant).count
            assert all(len(field) == len(cloud.points) for field in cloud.fields.values())
    assert time.monotonic() - start < 60
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 100e6


@pytest.fixture(params=["scans/files/simple.copc.laz", "scenes/formats/simple_with_page.copc.laz"])
def name(request):
    """A real file below the folder that POINTKIT_DATA names."""
    if "POINTKIT_DATA" not in os.environ or not (DATA / request.param).is_file():
        pytest.skip(f"POINTKIT_DATA names no folder that holds {request.param}")
    return request.param


class TestCopc:
    def test_mutants(self, name):
        for mutant in mutants((DATA / name).read_bytes(), 7, 60):
            cloud, _ = read(mutant)
            assert cloud is None or len(cloud.points) == header_of(mutant).count

    def test_heads_that_lie(self, name):
        data = (DATA / name).read_bytes()
        for form, place, values, _ in HEADS.values():
            for value in values:
                refused(changed(data, form, place, value))
