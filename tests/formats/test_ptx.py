"""PTX: several scans in their places, rows of nothing, damage, and the file back with one more column."""

import pathlib

import numpy as np
import pytest

from pointkit import formats
from pointkit.cloud import PointCloud
from pointkit.errors import FormatError
from tests import damage

TURNED = "0 1 0 0\n-1 0 0 0\n0 0 1 0\n665187.25 5648349.5 241 1\n"  # a quarter turn to the left, then to UTM
STILL = "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
AXES = "0 0 0\n1 0 0\n0 1 0\n0 0 1\n"
NOTHING = "0 0 0 0.500000"
FIRST = ["1 0 0.5 0.25", NOTHING, "0 2 0 1", "3.125 -1 7 0.0625"]
SECOND = ["0 0 0 0.7", NOTHING]


def scan(rows, matrix=STILL, columns=None):
    return f"{columns or len(rows)}\n{1 if columns is None else len(rows) // columns}\n{AXES}{matrix}" + "".join(
        f"{row}\n" for row in rows
    )


TWO = scan(FIRST, TURNED, 2) + scan(SECOND)


def read(text):
    return formats.read(text.encode() if isinstance(text, str) else text, ".ptx")


def test_each_scan_stands_where_its_matrix_says():
    cloud = read(TWO)
    assert isinstance(cloud, PointCloud)
    wanted = np.array([[0, 1, 0.5], [-2, 0, 0], [1, 3.125, 7], [-665187.25, -5648349.5, -241]])
    wanted += [665187.25, 5648349.5, 241]
    np.testing.assert_allclose(cloud.placement.coordinates(cloud.points), wanted, rtol=0, atol=1e-9)
    assert cloud.there.tolist() == [True, False, True, True, True, False]
    assert cloud.left_out == 2
    assert cloud.fields["intensity"].tolist() == [0.25, 1, 0.0625, 0.7]
    assert cloud.fields["scan"].tolist() == [0, 0, 0, 1]


def test_a_matrix_is_applied_as_to_a_row():
    """A naive twin: (x, y, z, 1) times the matrix, one point at a time."""
    rng = np.random.default_rng(4)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[3, :3] = turn, rng.normal(size=3) * 1000
    points = rng.normal(size=(20, 3)).round(4)
    text = "".join(" ".join(map(repr, row)) + "\n" for row in matrix.tolist())
    cloud = read(scan([" ".join(map(repr, [*point, 0.1])) for point in points.tolist()], text))
    twin = [[sum([*point, 1][i] * matrix[i, j] for i in range(4)) for j in range(3)] for point in points.tolist()]
    np.testing.assert_allclose(cloud.placement.coordinates(cloud.points), twin, rtol=0, atol=1e-9)


def test_one_scan_that_does_not_move_keeps_its_digits():
    cloud = read(scan(["0.1 0.2 0.3 0.5", "1 2 3 0"]))
    assert "scan" not in cloud.fields
    assert cloud.there is None
    assert cloud.placement.coordinates(cloud.points).tolist() == [[0.1, 0.2, 0.3], [1, 2, 3]]


def test_a_point_at_the_scanner_with_an_intensity_of_its_own_is_a_point():
    assert len(read(scan(["0 0 0 0.7", "0 0 0 0", "1 1 1 1", "nan nan nan 0.3"])).points) == 2


def test_colours():
    cloud = read(scan(["1 2 3 0.5 255 0 9", "0 0 0 0.5 0 0 0", "1 2 4 0.5 1 2 3"]))
    assert list(cloud.fields) == ["intensity", "red", "green", "blue"]
    assert [cloud.fields[name].tolist() for name in ("red", "green", "blue")] == [[255, 1], [0, 2], [9, 3]]
    assert cloud.fields["red"].dtype == np.uint8
    shares = read(scan(["1 2 3 0.5 1 0 0.25"]))
    assert shares.fields["blue"].dtype == np.float32


def test_an_empty_scan_among_others():
    assert len(read(f"0\n0\n{AXES}{STILL}{scan(FIRST)}").points) == 3


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_other_line_ends_and_codings(ending):
    text = TWO.replace("\n", ending)
    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16")):
        np.testing.assert_array_equal(read(data).points, read(TWO).points)


# ---- back


def annotated(tmp_path, text, ours, name="scan.ptx"):
    source, target = tmp_path / name, tmp_path / f"target-{name}"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    formats.annotate(source, target, ours, ["a note"])
    return target.read_bytes()


def test_one_more_column_and_nothing_else(tmp_path):
    ours = {"label": np.int32([7, 8, 0, 9]), "probability": np.float32([0.5, 0.6, 0.7, 0.8])}
    data = annotated(tmp_path, TWO, ours).decode()
    rows = [f"{FIRST[0]} 7", f"{NOTHING} -1", f"{FIRST[2]} 8", f"{FIRST[3]} 0"]
    assert data == scan(rows, TURNED, 2) + scan([f"{SECOND[0]} 9", f"{NOTHING} -1"])
    again = read(data)
    assert again.labels.tolist() == [7, 8, 0, 9]
    np.testing.assert_array_equal(again.points, read(TWO).points)
    assert list(again.fields) == ["intensity", "label", "scan"]


def test_colours_get_an_eighth_column_and_labels_of_the_source_stay(tmp_path):
    text = scan(["1 2 3 0.5 255 0 9 4", "1 2 4 0.5 1 2 3 5"])
    assert read(text).labels.tolist() == [4, 5]
    again = read(annotated(tmp_path, text, {"label": np.int32([1, 2])}))
    assert list(again.fields) == ["intensity", "red", "green", "blue", "source_label", "label"]
    assert (again.labels.tolist(), again.fields["source_label"].tolist()) == ([1, 2], [4, 5])
    with pytest.raises(FormatError, match=r"room for one label and that of the source, got more"):
        annotated(tmp_path, (tmp_path / "target-scan.ptx").read_bytes(), {"label": np.int32([1, 2])})


def test_line_ends_blanks_and_coding_stay(tmp_path):
    text = scan(["1 2 3 0.5\t", "", "  1 2 4 0.5"], columns=1).replace("\n1\n3\n", "\n").replace("\n", "\r\n")
    text = "2\r\n1\r\n" + text.partition("\r\n")[2].partition("\r\n")[2]
    for data in (text.encode(), text.encode("utf-16")):
        coding = "utf-16" if data[:2] == b"\xff\xfe" else "utf-8"
        again = annotated(tmp_path, data, {"label": np.int32([3, 4])}).decode(coding)
        assert again == text.replace("0.5\t", "0.5 3\t").replace("2 4 0.5", "2 4 0.5 4")


def test_a_field_of_another_name_where_none_is_the_label(tmp_path):
    assert annotated(tmp_path, scan(SECOND), {"critical": np.uint8([1])}).decode() == scan(
        [f"{SECOND[0]} 1", f"{NOTHING} 0"]
    )


def test_it_is_not_written(tmp_path):
    with pytest.raises(FormatError, match=r"cannot write the suffix '.ptx', only .asc .csv"):
        formats.write(tmp_path / "cloud.ptx", np.zeros((2, 3)))


# ---- damage

ROWS = scan(FIRST)
DAMAGED = {
    "a head alone": (f"4\n1\n{AXES}{STILL}", "scan 1 promises 4 columns of 1 points, got 0 lines"),
    "half a head": (ROWS[:20], "scan 1 begins with the numbers of columns and rows"),
    "a row too few": (scan(FIRST).replace(FIRST[2] + "\n", ""), "scan 1 promises 4 columns of 1 points, got 3 lines"),
    "a row too many": (ROWS + "1 2 3 4\n", "scan 2 begins with the numbers of columns and rows"),
    "a billion rows": (ROWS.replace("4\n1\n", "4000000\n1000000\n", 1), r"promises 4,000,000 columns of 1,000,000"),
    "more than 64 bits": (ROWS.replace("4\n1\n", "9e300\n1\n", 1), "columns and rows must be whole numbers"),
    "a product of 2 to the 64": (ROWS.replace("4\n1\n", f"{2**32}\n{2**32}\n", 1), "scan 1 promises 4,294,967,296"),
    "rows below zero": (ROWS.replace("4\n1\n", "-4\n-1\n", 1), "scan 1 promises -4 columns"),
    "half a row": (ROWS.replace("4\n1\n", "2.5\n1\n", 1), "columns and rows must be whole numbers, got 2.5"),
    "nan rows": (ROWS.replace("4\n1\n", "nan\n1\n", 1), "columns and rows must be whole numbers, got nan"),
    "no rows": (f"0\n5\n{AXES}{STILL}", "no points"),
    "rows of nothing alone": (scan([NOTHING] * 3), "no points: all 3 rows are without coordinates"),
    "three numbers": (scan(["1 2 3"] * 2), "then a label, got 3 numbers"),
    "ten numbers": (scan(["1 2 3 4 5 6 7 8 9 10"] * 2), "then a label, got 10 numbers"),
    "rows of other lengths": (scan(["1 2 3 4", "1 2 3 4 5"]), "got 4 numbers in row 0 and 5 in row 1"),
    "scans of other widths": (scan(["1 2 3 4"]) + scan(["1 2 3 4 5 6 7"]), "got 4 numbers in row 0 and 7 in row 1"),
    "a word": (ROWS.replace("7 0.0625", "seven 0.0625"), "a number is expected, got 'seven' in line 14"),
    "an infinite coordinate": (scan(["inf 1 2 0.5"]), "points must be finite float32 numbers"),
    "a matrix in columns": (
        ROWS.replace(STILL, "1 0 0 5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"), "must have lines that end in 0, 0, 0 and 1"),
    "a flat matrix": (ROWS.replace(STILL, "0 0 0 0\n0 0 0 0\n0 0 0 0\n0 0 0 1\n"), "the 4 x 4 matrix of scan 1"),
    "a matrix of nan": (ROWS.replace(STILL, STILL.replace("1 0", "nan 0", 1)), "the 4 x 4 matrix of scan 1"),
    "a matrix too large": (ROWS.replace("0 0 0 1\n1 0 0.5", "1e300 0 0 1\n1 0 0.5"), "points must be finite float32"),
    "bytes": (b"\x00\x01\x02" * 40, "text must not hold control bytes"),
    "a text of points": ("1 2 3\n4 5 6\n", "scan 1 begins with the numbers of columns and rows"),
    "a last number cut": ("".join(scan(["1.000 2.000 3.000 0.250"] * 12))[:-3], "is the file cut?"),
    "blank lines": ("\n\n \n", "no points"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_one_line(kind):
    text, line = DAMAGED[kind]
    found = damage.refusal(text if isinstance(text, bytes) else text.encode(), ".ptx")
    assert found is not None
    assert line in found


def test_a_file_cut_anywhere_is_refused_but_in_the_last_number_of_a_scan():
    data = TWO.encode()
    ends = [len(scan(FIRST, TURNED, 2)), len(data)]
    for length in range(1, len(data)):
        if not any(end - len("0.500000\n") < length <= end for end in ends):
            assert damage.refusal(data[:length], ".ptx"), length


def test_mutants_are_read_or_refused():
    read_anyway = sum(damage.refusal(data, ".ptx") is None for data in damage.mutants(TWO.encode(), 400, seed=24))
    assert 0 < read_anyway < 300


def test_the_file_is_named(tmp_path):
    path = pathlib.Path(tmp_path / "scan.PTX")
    path.write_text("1 2\n")
    with pytest.raises(FormatError, match=r"^.*/scan.PTX: scan 1 begins with"):
        formats.read(path)
