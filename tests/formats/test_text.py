"""Text: separators, names, counts and comments, worked by hand."""

import os
import pathlib

import numpy as np
import pytest

from pointkit import formats
from pointkit.errors import FormatError
from pointkit.formats import columns
from tests import zoo


@pytest.fixture
def read(tmp_path):
    def read_text(text, suffix=".xyz"):
        path = tmp_path / f"cloud{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return formats.read(path)

    return read_text


@pytest.mark.parametrize(
    "text",
    {
        "blanks": "1 2 3 0.5\n4 5 6 7\n",
        "tabs and many blanks": " 1\t2   3 0.5 \n\n4 5 6 7",
        "commas": "1,2,3,0.5\n4,5,6,7\n",
        "commas and blanks": "1, 2, 3, 0.5\n4, 5, 6, 7\n",
        "semicolons": "1;2;3;0.5\n4;5;6;7\n",
        "a separator at the end": "1,2,3,0.5,\n4,5,6,7,\n",
        "Windows": "1 2 3 0.5\r\n4 5 6 7\r\n",
        "old Macintosh": "1 2 3 0.5\r4 5 6 7\r",
        "comments": "# a scan\n1 2 3 0.5 # first\n// more\n4 5 6 7 // second\n",
        "the count first": "2\n1 2 3 0.5\n4 5 6 7\n",
        "a byte-order mark": b"\xef\xbb\xbf1 2 3 0.5\n4 5 6 7\n",
        "UTF-16": "1 2 3 0.5\n4 5 6 7\n".encode("utf-16"),
        "UTF-16 without a mark": "1 2 3 0.5\r\n4 5 6 7\r\n".encode("utf-16-be"),
        "decimal commas": "1,0 2,0 3,0 0,5\n4,0 5 6,0 7,0\n",
        "decimal commas and tabs": "1,0\t2,0\t3,0\t0,5\n4,0\t5\t6,0\t7,0\n",
        "decimal commas and semicolons": "1,0;2,0;3,0; 5,0e-1\n4,0;5;6,0;7,0;\n",
        "Fortran": " 1.0D+00 2.0d0 3.D0 5.0D-01\n 4.0D+00 5 6 7\n",
        "a separator at the ends of blank lines": "1 2 3 0.5,\n4 5 6 7,\n",
        "exponents": "1.0e0 2 3 5.0e-01\n4 5 6e+00 7\n",
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("suffix", [".xyz", ".txt", ".pts", ".asc", ".csv"])
def test_two_points_however_they_are_written(read, text, suffix):
    cloud = read(text[1], suffix)
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert {name: array.tolist() for name, array in cloud.fields.items()} == {"column3": [0.5, 7]}
    assert cloud.labels is None


@pytest.mark.parametrize(
    "text",
    {
        "a first line": "x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "in another order": "label,z,w,y,x\n7,3,0.5,2,1\n-1,6,0.5,5,4\n",
        "in capitals": "X;Y;Z;label;w\n1;2;3;7;0.5\n4;5;6;-1;0.5\n",
        "in quotes": '"x","y","z","label","w"\n1,2,3,7,0.5\n4,5,6,-1,0.5\n',
        "a first comment": "//X,Y,Z,label,w\n1,2,3,7,0.5\n4,5,6,-1,0.5\n",
        "a comment of another kind": "# x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "a comment and the count": "//x y z label w\n2\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "the count and a comment": "2\n# x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "names and the count": "x y z label w\n2\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "UTF-16 and a mark": "x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n".encode("utf-16"),
        "a mark before a comment": b"\xef\xbb\xbf# x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "Fortran": "x y z label w\n 1D0 2D0 3D0 7 5.0D-1\n 4 5 6 -1 0.5\n",
        "the second comment": "# exported by hand\n# x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "a comment that says so": "# columns: x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "behind prose": "# a point cloud with x y z label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "units": "X [m] Y [m] Z [m] label w\n1 2 3 7 0.5\n4 5 6 -1 0.5\n",
        "blanks between, commas in the rows": "# x y z label w\n1,2,3,7,0.5\n4,5,6,-1,0.5\n",
        "decimal commas": "x;y;z;label;w\n1,0;2;3;7;0,5\n4;5;6;-1;0,5\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_named_columns(read, text):
    cloud = read(text[1])
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cloud.labels.tolist() == [7, -1]
    assert sorted(cloud.fields) == ["label", "w"]
    assert cloud.fields["w"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("name", ["label", "part", "classification"])
def test_a_column_of_labels_is_of_whole_numbers(read, name):
    cloud = read(f"x y z {name}\n1 2 3 7\n4 5 6 -1\n")
    assert cloud.fields[name].dtype == "int32"
    assert columns.labels_of(cloud).tolist() == [7, -1]
    assert (cloud.labels is None) == (name != "label")


def test_a_comment_that_names_nothing(read):
    assert list(read("# made by hand today\n1 2 3 4\n").fields) == ["column3"]


def test_labels_that_are_no_whole_numbers_are_a_field(read):
    cloud = read("x y z label\n1 2 3 0.5\n")
    assert cloud.labels is None
    assert cloud.fields["label"].tolist() == [0.5]


def test_a_row_without_coordinates_is_no_point(read):
    assert np.isnan(read("1 2 3 nan\n").fields["column3"][0])
    cloud = read("1 2 3 7\n4 nan 6 8\n5 6 7 9\n0 0 0 1\n")
    assert cloud.there.tolist() == [True, False, True, True]
    assert cloud.fields["column3"].tolist() == [7, 9, 1]
    with pytest.raises(FormatError, match=r"no points: all 1 rows are without coordinates \(nan\)"):
        read("nan nan nan\n")
    with pytest.raises(FormatError, match=r"points must be finite float32 numbers, got \[4.0, inf, 6.0\] in row 1"):
        read("1 2 3\n4 inf 6\n")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("\n \n", "no points"),
        ("# nothing\n", "no points"),
        ("x y z\n", "no points"),
        ("0\n", "promises 0 points|no points"),
        ("1 2\n3 4\n", "a row must hold x, y and z, got 2 numbers"),
        ("1 2 3\n4 5\n", "rows must be equally long, got 3 numbers in row 0 and 2 in row 1"),
        ("1 2 3\n4 5 6 7\n", "3 numbers in row 0 and 4 in row 1"),
        ("3\n1 2 3\n4 5 6\n", "the first line promises 3 points, got 2"),
        ("1\n1 2 3\n4 5 6\n", "the first line promises 1 points, got 2"),
        ("x y z w\n1 2 3\n", "the first line names 4 columns, got 3 numbers in a row"),
        ("x y z w w\n1 2 3 4 5\n", "different names"),
        ("x y 3\n1 2 3\n", "must be names or numbers, got 'x y 3'"),
        ("1,2,3;4,5,6\n", "parted in one way, got commas and semicolons, and not as decimal commas"),
        ("1.234,5;2,5;3,5\n", "parted in one way, got commas and semicolons"),
        ("1,2,3\n4,5,6;\n", "parted in one way, got commas"),
        ("1,5 2,5 3,\n", "parted in one way, got commas and blanks"),
        ("1,2,3 0.5\n", "parted in one way, got commas and blanks"),
        ("1,2,3 4\n", "parted in one way, got commas and blanks"),
        ("1;2;3 4\n", "parted in one way, got semicolons and blanks"),
        ("1,2 3,4\n", "a row must hold x, y and z, got 2 numbers"),
        ("1,2,3,chair\n", "the first line must be names or numbers, got '1,2,3,chair'"),
        (
            "1 " * 150_000,
            "1 rows of 150,000 numbers: are these 1 points, or is it transposed, 150,000 points in columns",
        ),
        (
            "\n".join(["0.5 " * 60] * 3),
            "3 rows of 60 numbers: are these 3 points, or is it transposed, 60 points in columns",
        ),
        ("1 2 3 4\n" * 3, "transposed, 4 points in columns.* --columns names all 4 in their order, like x,y,z,-; else"),
        (("1 " * 1100 + "\n") * 1200, "a row must hold 1,024 numbers at most, got 1,100"),
        ("1 2 3\n" * 9000 + "4 5 6x\n" + "1 2 3\n" * 9000, "a number is expected, got '6x' in line 9001"),
        ("# a\n" + "1 2 3\n" * 9000 + "4 5 6\x00\n", "text must not hold control bytes in line 9002"),
        (b"600\n\x01\x3f" + bytes(range(256)), r"control bytes, got 0x01 in line 2; is the file binary\?"),
        ("2\n1 2 3\n4 5 6\n2\n7 8 9\n", "scan 2 promises 2 points, got 1"),
        ("3\n1 2 3\n4 5 6\n1\n7 8 9\n", "the first line promises 3 points, got 2"),
        ("600\n", "the first line promises 600 points, got 0"),
        ("1 2 3\n4 5 6\n".encode("utf-16")[:-1], r"UTF-16 holds bytes that are no characters: is it cut\?"),
        ("1.25 2.25 3.25\n" * 9 + "1.25 2.25 3.2", "the last line ends in '3.2' and without a line's end"),
        ("1,,3\n", "must not be empty"),
        (",1,2,3\n", "must not be empty"),
        ("1 2 3\nend of scan\n", "a number is expected, got 'end'"),
        ("1 2 3\n4 5 6\x00\n", "control bytes"),
        ("1 2 1e39\n", "in row 0"),
        (b"\x89PNG\r\n\x1a\n", "control bytes|no points|is expected"),
    ],
)
def test_what_is_refused_and_why(read, text, rule):
    with pytest.raises(FormatError, match=rule):
        read(text)


def test_several_scans_one_after_another_are_one_cloud(read):
    cloud = read("2\n1 2 3 0.5\n4 5 6 0.5\n1\n7 8 9 0.5\n", ".pts")
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_last_line_without_its_end_is_whole_where_it_has_as_many_decimals(read):
    assert len(read("1.25 2.25 3.25\n" * 9 + "1.25 2.25 3.25").points) == 10
    assert len(read("1.25 2.25 3\n" * 9 + "1.25 2.25 3").points) == 10
    assert len(read("1.25 2.25 3.5\n1.25 2.25 3.25\n" * 9 + "1.25 2.25 3").points) == 19


def test_survey_coordinates(read):
    cloud = read("665187.521 5648349.895 241.767\n665187.522 5648349.895 241.767\n")
    assert np.diff(cloud.placement.restore(cloud.points)[:, 0]) == pytest.approx(0.001, abs=1e-6)


def test_what_is_written(tmp_path):
    formats.write(tmp_path / "plain.xyz", zoo.CLOUDS["one point"])
    assert (tmp_path / "plain.xyz").read_text() == "1.5 -2.25 3.125\n"
    formats.write(tmp_path / "labels.pts", zoo._cloud([[1, 2, 3]], labels=np.array([4], np.int32)))
    assert (tmp_path / "labels.pts").read_text() == "1\n# x y z label\n1.0 2.0 3.0 4\n"


@pytest.mark.skipif("POINTKIT_DATA" not in os.environ, reason="the folder of real files is not named by POINTKIT_DATA")
def test_a_real_file_as_numpy_reads_it():
    path = pathlib.Path(os.environ["POINTKIT_DATA"], "scans", "files", "points_cloudcompare.xyz")
    cloud, table = formats.read(path), np.loadtxt(path)
    np.testing.assert_allclose(cloud.placement.restore(cloud.points), table[:, :3], rtol=0, atol=4e-6)
    np.testing.assert_array_equal(np.stack(list(cloud.fields.values()), 1), table[:, 3:])
