"""PCD: all three storages, awkward headers, and LZF against a plain encoder."""

import os
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit import formats
from pointkit.cloud import PointCloud
from pointkit.errors import FormatError
from pointkit.formats import pcd
from tests import zoo

FIELDS = [("rgb", "F", 4, 1), ("x", "F", 4, 1), ("_", "U", 1, 3), ("y", "F", 4, 1), ("z", "F", 8, 1),
          ("ring", "I", 2, 1), ("code", "F", 4, 2), ("_", "I", 4, 1), ("label", "U", 4, 1)]  # fmt: skip


def header(fields, count, storage, **changes):
    entries = {
        "VERSION": "0.7",
        "FIELDS": " ".join(name for name, _, _, _ in fields),
        "SIZE": " ".join(str(size) for _, _, size, _ in fields),
        "TYPE": " ".join(kind for _, kind, _, _ in fields),
        "COUNT": " ".join(str(number) for _, _, _, number in fields),
        "WIDTH": str(count),
        "HEIGHT": "1",
        "VIEWPOINT": "0 0 0 1 0 0 0",
        "POINTS": str(count),
        "DATA": storage,
    } | changes
    lines = [f"{key} {value}" for key, value in entries.items() if value is not None]
    return "\n".join(["# .PCD v0.7 - Point Cloud Data file format", *lines, ""]).encode()


def columns_of(fields, count):
    rng = np.random.default_rng(5)
    return [rng.integers(0, 99, (count, n)).astype(f"<{kind.lower()}{size}") for _, kind, size, n in fields]


def literals(data):
    """LZF without any compression."""
    return b"".join(bytes([len(data[i : i + 32]) - 1]) + data[i : i + 32] for i in range(0, len(data), 32))


def body(columns, storage):
    if storage == "ascii":
        return b"".join(
            b" ".join(str(v).encode() for c in columns for v in c[i]) + b"\n" for i in range(len(columns[0]))
        )
    if storage == "binary":
        return b"".join(column[i].tobytes() for i in range(len(columns[0])) for column in columns)
    raw = b"".join(column.tobytes() for column in columns)
    packed = literals(raw)
    return np.array([len(packed), len(raw)], "<u4").tobytes() + packed


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "cloud.pcd"
        path.write_bytes(data)
        return formats.read(path)

    return read_bytes


XYZ = [("x", "F", 4, 1), ("y", "F", 4, 1), ("z", "F", 4, 1)]


@pytest.mark.parametrize("storage", ["ascii", "binary", "binary_compressed"])
class TestAllStorages:
    def test_coordinates_among_other_fields(self, read, storage):
        columns = columns_of(FIELDS, 5)
        cloud = read(header(FIELDS, 5, storage) + body(columns, storage))
        by_name = {name: column for (name, _, _, _), column in zip(FIELDS, columns, strict=True)}
        np.testing.assert_array_equal(cloud.points, np.hstack([by_name[axis] for axis in "xyz"]))
        assert list(cloud.fields) == ["rgb", "ring", "code", "label"]
        for name, array in cloud.fields.items():
            assert array.dtype == by_name[name].dtype
            np.testing.assert_array_equal(array.reshape(5, -1), by_name[name])
        np.testing.assert_array_equal(cloud.labels, by_name["label"][:, 0])
        assert not cloud.fields["code"].flags.writeable

    @pytest.mark.parametrize(
        "changes",
        [{"TYPE": "f f f"}, {"COUNT": None}, {"VIEWPOINT": None}, {"POINTS": None}, {"WIDTH": None, "HEIGHT": None},
         {"FIELDS": "X Y Z"}, {"WIDTH": "2", "HEIGHT": "2"}, {"VERSION": ".7"}, {"FIELDS": None, "COLUMNS": "x y z"}],
    )  # fmt: skip
    def test_headers_that_are_fine(self, read, storage, changes):
        columns = columns_of(XYZ, 4)
        changes = {"FIELDS": "x y z"} | changes
        if "COLUMNS" in changes:  # before DATA, which ends the header
            data = header(XYZ, 4, storage).replace(b"FIELDS", b"COLUMNS")
        else:
            data = header(XYZ, 4, storage, **changes)
        np.testing.assert_array_equal(read(data + body(columns, storage)).points, np.hstack(columns))

    def test_points_without_echo_are_left_out(self, read, storage):
        fields = [*XYZ, ("ring", "U", 1, 1)]
        columns = columns_of(fields, 4)
        columns[0][1], columns[2][3] = np.nan, np.nan
        cloud = read(header(fields, 4, storage) + body(columns, storage))
        np.testing.assert_array_equal(cloud.points, np.hstack(columns[:3])[[0, 2]])
        np.testing.assert_array_equal(cloud.fields["ring"], columns[3][[0, 2], 0])
        assert cloud.there.tolist() == [True, False, True, False]
        assert cloud.left_out == 2

    def test_infinite_coordinates_are_damage(self, read, storage):
        columns = columns_of(XYZ, 4)
        columns[2][3] = np.inf
        with pytest.raises(FormatError, match="must be finite"):
            read(header(XYZ, 4, storage) + body(columns, storage))

    def test_all_without_echo(self, read, storage):
        columns = [np.full((3, 1), np.nan, "<f4")] * 3
        with pytest.raises(FormatError, match="no points: all 3 rows are without coordinates"):
            read(header(XYZ, 3, storage) + body(columns, storage))

    def test_cut_and_longer_files_are_refused(self, read, storage):
        data = header(XYZ, 4, storage) + body(columns_of(XYZ, 4), storage)
        read(data)
        for length in range(len(data) - (5 if storage == "ascii" else 0)):
            with pytest.raises(FormatError):
                read(data[:length])
        with pytest.raises(FormatError, match="the header promises"):
            read(data + b"1 2 3\n")

    @pytest.mark.parametrize(
        ("changes", "rule"),
        [
            ({"FIELDS": "x y w"}, "which columns are x, y and z"),
            ({"FIELDS": "x y y"}, "none twice"),
            ({"FIELDS": "x y"}, "equally long, got 2, 3, 3, 3"),
            ({"SIZE": "4 4 3"}, "the field z must be F 4 8"),
            ({"SIZE": "4 4 -4"}, "SIZE must be whole numbers"),
            ({"TYPE": "F F Q"}, "got Q 4"),
            ({"TYPE": "F F"}, "equally long"),
            ({"COUNT": "1 1 2"}, "COUNT must be 1 for coordinates, got 2 for z"),
            ({"COUNT": "1 1 0"}, "got 0 for z"),
            ({"COUNT": "1 1 1000000000"}, "got 1000000000 for z"),
            ({"POINTS": "3"}, "POINTS must be WIDTH times HEIGHT, got 3 and 4"),
            ({"POINTS": "0", "WIDTH": "0"}, "no points"),
            ({"POINTS": None, "WIDTH": None}, "no points"),
            ({"POINTS": "4000000000", "WIDTH": "4000000000"}, "the header promises 4000000000 points"),
            ({"POINTS": "5", "WIDTH": "5"}, "the header promises"),
            ({"DATA": "zipped"}, "must be ascii, binary or binary_compressed, got zipped"),
        ],
    )
    def test_headers_that_are_refused(self, read, storage, changes, rule):
        with pytest.raises(FormatError, match=rule):
            read(header(XYZ, 4, storage, **changes) + body(columns_of(XYZ, 4), storage))


def test_no_header(read):
    with pytest.raises(FormatError, match="a header that ends with DATA"):
        read(b"1 2 3\n4 5 6\n")


def test_a_count_of_a_billion_in_another_field(read):
    fields = [*XYZ, ("code", "F", 4, 10**9)]
    with pytest.raises(FormatError, match="the header promises 1 points"):
        read(header(fields, 1, "binary") + bytes(100))


def test_text_keeps_more_digits_than_its_type(read):
    text = b"665187.521 5648349.895 241.767\n665187.522 5648349.895 241.767\n"
    cloud = read(header(XYZ, 2, "ascii") + text)
    assert np.diff(cloud.placement.restore(cloud.points)[:, 0]) == pytest.approx(0.001, abs=1e-6)


def test_a_number_that_its_type_does_not_hold(read):
    fields = [*XYZ, ("ring", "U", 1, 1)]
    with pytest.raises(FormatError, match="ring must fit uint8, got 7 to 256"):
        read(header(fields, 2, "ascii") + b"0 0 0 7\n1 1 1 256\n")


def test_bytes_of_packed_colours_stay_as_they_are(tmp_path):
    colour = np.array([0x00FF8040, 0x7FC00001], np.uint32).view(np.float32)  # the second is a NaN with a payload
    cloud = PointCloud(np.zeros((2, 3), np.float32), {"rgb": colour})
    again = zoo.round_trip(tmp_path / "cloud.pcd", cloud)
    assert again.fields["rgb"].view(np.uint32).tolist() == colour.view(np.uint32).tolist()


class TestLzf:
    def test_a_copy_that_overlaps_itself(self):
        assert pcd._lzf(b"\x01ab" + bytes([5 << 5, 1]), 9) == b"abababab" + b"a"
        assert pcd._lzf(b"\x00a" + bytes([7 << 5, 200, 0]), 210) == b"a" * 210

    def test_a_copy_from_far_behind(self):
        assert pcd._lzf(literals(bytes(range(256)) * 32) + bytes([(1 << 5) | 31, 255]), 8195)[-3:] == b"\x00\x01\x02"

    @pytest.mark.parametrize(
        ("data", "size", "rule"),
        [
            (b"\x01ab" + bytes([1 << 5, 2]), 5, "are damaged"),  # a copy from before the beginning
            (b"\x01ab" + bytes([1 << 5]), 5, "are damaged"),
            (b"\x01ab" + bytes([7 << 5]), 5, "are damaged"),
            (b"\x01a", 2, "are damaged"),
            (b"\x01ab", 3, "must give 3 bytes, got 2"),
            (b"\x02abc", 2, "must give 2 bytes, got more"),
            (b"\x00a" + bytes([7 << 5, 255, 0]) * 1000, 2, "got more"),
        ],
    )
    def test_damage(self, data, size, rule):
        with pytest.raises(ValueError, match=rule):
            pcd._lzf(data, size)

    @given(
        st.binary(min_size=1, max_size=2000)
        | st.lists(st.sampled_from([b"ab", b"abc", b"\0" * 9, b"xyz"]), min_size=1, max_size=300).map(b"".join)
    )
    @settings(deadline=None)
    def test_against_a_plain_encoder(self, data):
        assert pcd._lzf(encoded(data), len(data)) == data

    @given(st.binary(max_size=300), st.integers(0, 1000))
    @settings(deadline=None)
    def test_any_bytes_end_well_or_in_a_ValueError(self, data, size):
        try:
            assert len(pcd._lzf(data, size)) == size
        except ValueError as error:
            assert "compressed points" in str(error)  # noqa: PT017


def encoded(data):
    """LZF as one would write it in ten lines: the longest earlier copy at each place, or one literal."""
    out, at = b"", 0
    while at < len(data):
        best, back = 0, 0
        for offset in range(1, min(at, 64) + 1):
            length = 0
            while length < 264 and at + length < len(data) and data[at + length - offset] == data[at + length]:
                length += 1
            best, back = max((best, back), (length, offset))
        if best < 3:
            out, at = out + b"\x00" + data[at : at + 1], at + 1
        else:
            head = bytes([(best - 2) << 5]) if best < 9 else bytes([7 << 5, best - 9])
            out, at = out + head + bytes([back - 1]), at + best
    return out


def test_zeros_behind_the_points_are_a_page_filled_up(read):
    data = header(XYZ, 4, "binary") + body(columns_of(XYZ, 4), "binary")
    np.testing.assert_array_equal(read(data + bytes(4000)).points, read(data).points)
    with pytest.raises(FormatError, match="the header promises 4 points in 48 bytes, got 4049 bytes"):
        read(data + bytes(4000) + b"\x01")
    ours = {"label": np.arange(4, dtype=np.int32)}
    assert pcd.annotate(data + bytes(4000), ours, []) == pcd.annotate(data, ours, [])


def test_zeros_behind_the_compressed_points_are_a_page_filled_up(read):
    data = header(XYZ, 4, "binary_compressed") + body(columns_of(XYZ, 4), "binary_compressed")
    assert len(read(data + bytes(4000)).points) == 4
    with pytest.raises(FormatError, match="the header promises 48 bytes"):
        read(data + bytes(4000) + b"\x01")


@pytest.mark.parametrize("sizes", [(50, 47), (49, 48), (51, 48)])
def test_compressed_sizes_that_do_not_fit(read, sizes):
    packed = body(columns_of(XYZ, 4), "binary_compressed")[8:]
    with pytest.raises(FormatError, match=r"the header promises 48 bytes|must give"):
        read(header(XYZ, 4, "binary_compressed") + np.array(sizes, "<u4").tobytes() + packed)


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="the folder of real files is not named by POINTKIT_DATA")
def test_the_text_of_a_real_scan_as_numpy_reads_it():
    path = pathlib.Path(os.environ["POINTKIT_DATA"], "scans", "files", "ism_train_cat.pcd")
    np.testing.assert_array_equal(formats.read(path).points, np.loadtxt(path, skiprows=11).astype(np.float32))
