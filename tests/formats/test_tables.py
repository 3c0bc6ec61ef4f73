"""Texts as tables: titles that must be asked about, and what programs for tables write."""

import numpy as np
import pytest

from pointkit import formats
from pointkit.errors import FormatError
from pointkit.formats import columns
from pointkit.formats.fields import described
from tests import zoo


@pytest.fixture
def read(tmp_path):
    def read_text(text, suffix=".txt", said=""):
        path = tmp_path / f"cloud{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return formats.read(path, meaning=columns.Meaning.said(columns=said))

    return read_text


def test_usual_names_of_other_kinds(read):
    cloud = read("Point,Easting,Northing,Height,label\n9,1,2,3,7\n8,4,5,6,-1\n")
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert {name: array.tolist() for name, array in cloud.fields.items()} == {"Point": [9, 8], "label": [7, -1]}
    assert read("Rechtswert;Hochwert;Höhe\n1,5;2;3\n".encode("latin-1")).points.tolist() == [[1.5, 2, 3]]


class TestNeverPositional:
    """Where a title names other columns, it is asked which ones are x, y and z."""

    TITLE = "sensor channel u v w time"
    ROWS = "".join(f"{i} 3 {i / 7:.3f} {i / 9:.3f} {i / 11:.3f} 12.50\n" for i in range(1, 30))

    @pytest.mark.parametrize("mark", ["", "# ", "//", "#"])
    @pytest.mark.parametrize("by", [" ", ",", ";", "\t", ", "])
    def test_unknown_names_are_shown_with_values_and_an_answer(self, read, mark, by):
        for title in (self.TITLE, self.TITLE.replace(" ", by)):
            with pytest.raises(FormatError) as caught:
                read(f"{mark}{title}\n" + self.ROWS.replace(" ", by))
            assert str(caught.value).endswith(
                "which columns are x, y and z? found sensor (1 2 3 ...), channel (3 3 3 ...), u (0.143 0.286 0.429 "
                "...), v (0.111 0.222 0.333 ...), w (0.091 0.182 0.273 ...), time (12.5 12.5 12.5 ...); "
                "--columns names all 6 in their order, such as sensor,channel,x,y,z,time"
            )

    def test_the_answer_is_taken(self, read):
        for words in ("sensor,channel,x,y,z,time", "-,-,x,y,z,-"):
            cloud = read(f"# {self.TITLE}\n{self.ROWS}", said=words)
            assert cloud.points[0].tolist() == pytest.approx([0.143, 0.111, 0.091])
            assert ("sensor" in cloud.fields) == (words[0] == "s")

    @pytest.mark.parametrize("names", ["range azimuth inclination", "x y intensity", "lat lon depth", "a1 b1 c1"])
    def test_three_names(self, read, names):
        for mark in ("", "# "):
            with pytest.raises(FormatError, match=r"which columns are x, y and z\? found .*such as x,y,z$"):
                read(f"{mark}{names}\n1 2 3\n4 5 6\n")

    @pytest.mark.parametrize(
        "comment",
        [
            "made by hand today",
            "scan 12 of 40",
            "2024-05-01 10:30 room B",
            "bunny: a model here",
            "four of a",
            "u v w w",
        ],
    )
    def test_prose_is_no_title(self, read, comment):
        assert list(read(f"# {comment}\n1 2 3 4\n").fields) == ["column3"]

    def test_coordinates_in_another_order(self, read):
        assert read("# z y x\n1 2 3\n").points.tolist() == [[3, 2, 1]]
        assert read("# exported by hand\n# id x y z\n7 1 2 3\n").points.tolist() == [[1, 2, 3]]
        assert read("# x y z\n1 2 3 7\n").points.tolist() == [[1, 2, 3]]

    def test_a_comment_that_names_another_number_of_columns(self, read):
        with pytest.raises(FormatError, match=r"a comment names 4 columns \(id x y z\), got 5 numbers in a row; --col"):
            read("# id x y z\n7 1 2 3 4\n")

    def test_titles_that_only_count(self, read):
        for title, row in ((",0,1,2", "0,1.5,2.5,3.5"), ("0,1,2", "1.5,2.5,3.5")):
            with pytest.raises(FormatError, match=r"which columns are x, y and z\? found .*, 2 \(3.5 \.\.\.\)"):
                read(f"{title}\n{row}\n", ".csv")
        assert len(read("0,1,2\n3,4,5\n", ".csv").points) == 2  # a row as well as the other


class TestWordsAndEmptyCells:
    @pytest.mark.parametrize("suffix", [".csv", ".txt"])
    @pytest.mark.parametrize("by", [",", ";", "\t"])
    def test_worked_case(self, read, suffix, by):
        text = 'x|y|z|w|class_name\n1.5|2|3||"a, b"\n4|5|6|7|chair #2\n|||8|table\n'
        cloud = read(text.replace("|", by), suffix)
        assert cloud.points.tolist() == [[1.5, 2, 3], [4, 5, 6]]
        assert cloud.there.tolist() == [True, True, False]
        np.testing.assert_array_equal(cloud.fields["w"], [np.nan, 7])
        assert cloud.fields["class_name"].tolist() == ["a, b", "chair #2"]
        assert described(cloud.fields) == "w (float64, whole, 7 to 7), class_name (words, such as a, b)"

    @pytest.mark.parametrize(
        "text",
        {
            "all": "x,y,z,w\n1,2,3,\n4,5,6,\n", "the first": "w,x,y,z\n,1,2,3\n,4,5,6\n",
            "two at once": "x,v,w,y,z\n1,,,2,3\n4,,,5,6\n", "of tabs": "x\ty\tz\tw\n1\t2\t3\t\n4\t5\t6\t\n",
            "said": "x,y,z,w\n1,2,3,NA\n4,5,6,n/a\n", "with blanks": "x, y, z, w\n1, 2, 3, \n4, 5, 6, \n",
            "between": "x,y,w,z\n1,2, ,3\n4,5,,6\n",
        }.items(),
        ids=lambda item: item[0],
    )  # fmt: skip
    def test_columns_without_numbers(self, read, text):
        cloud = read(text[1], ".csv")
        assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert np.isnan(cloud.fields["w"]).all()

    @pytest.mark.parametrize("text", ["x,y,z\n1,2,3,\n4,5,6,\n", "x,y,z,\n1,2,3,\n4,5,6,\n", "1,2,3,\n4,5,6,\n"])
    def test_separators_at_the_ends_make_no_column(self, read, text):
        cloud = read(text, ".csv")
        assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert not cloud.fields

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            (",x,y,z\n0,1.5,2.5,3.5\n", "column0"),
            ("Unnamed: 0,x,y,z\n0,1.5,2.5,3.5\n", "Unnamed:_0"),
            ('"","x","y","z"\n"0",1.5,2.5,3.5\n', "column0"),
            ('"x" "y" "z"\n"0" 1.5 2.5 3.5\n', "column0"),
            ("Point ID,X (m),Y (m),Z (m)\n0,1.5,2.5,3.5\n", "Point_ID"),
            ('"row","x","y","z"\n"0","1,5","2,5","3,5"\n', "row"),
        ],
    )
    def test_numbers_of_rows_are_no_coordinates(self, read, text, name):
        cloud = read(text, ".csv")
        assert cloud.points.tolist() == [[1.5, 2.5, 3.5]]
        assert {key: array.tolist() for key, array in cloud.fields.items()} == {name: [0]}

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("x,y,z,w\n1,2,3,4\n1,2,3,5.x\n", "column w must hold numbers or words, got both, such as '5.x' in line 3"),
            ("x,y,z\n1,2,3\n1,2.5.1,3\n", "column y must hold numbers or words, got both, such as '2.5.1' in line 3"),
            ("x,y,z,w\n1,2,a,4\n1,2,b,4\n", "the column z must hold numbers, got words such as 'a'"),
            ("x,y,z,w\n1,2,3,a\n\n1,2,3\n", "line 4 holds 3 columns, 4 have names"),
            ('x,y,z,w\n1,2,3,"a\nb"\n', "a quoted cell must end in its own line"),
            ("x,y,z,w\n1,2,3,a\x01\n" + "1,2,3,b\n" * 2000, "control bytes, got 0x01 in line 2"),
            ("x,y,z,w\n" + "1,2,3,b\n" * 2000 + "1,2,3,a\x01\n", "control bytes"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, read, text, rule):
        with pytest.raises(FormatError, match=rule):
            read(text, ".csv")

    def test_words_are_no_labels(self, read):
        cloud = read("x,y,z,label\n1,2,3,chair\n4,5,6,table\n", ".csv")
        with pytest.raises(
            ValueError, match=r"labels must be whole numbers, the field label has words \(chair, table\)"
        ):
            columns.labels_of(cloud)
        both = read("x,y,z,class,label\n1,2,3,chair,7\n4,5,6,table,8\n", ".csv")
        assert columns.labels_of(both).tolist() == [7, 8]

    def test_a_column_left_out_may_hold_anything(self, read):
        assert read("1,2,3,chair\n4,5,6,7\n", ".csv", "x,y,z,-").points.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_what_is_written(tmp_path):
    fields = {"R": np.array([255.0, 0]), "w": np.array([0.5, 1]), "zero": np.array([-0.0, 1])}
    cloud = zoo._cloud([[1, 2, 3], [4, 5, 6]], labels=np.array([4, 5], np.int32), **fields)
    formats.write(tmp_path / "a.csv", cloud, ["a note"])
    assert (tmp_path / "a.csv").read_text() == (
        "x,y,z,R,w,zero,label\n1.0,2.0,3.0,255,0.5,-0.0,4\n4.0,5.0,6.0,0,1.0,1.0,5\n"
    )
    formats.write(tmp_path / "a.txt", cloud, ["a note"])
    assert (tmp_path / "a.txt").read_text() == (
        "# x y z R w zero label\n# a note\n1.0 2.0 3.0 255 0.5 -0.0 4\n4.0 5.0 6.0 0 1.0 1.0 5\n"
    )


SEEDS = [
    "x,y,z,w\n1,2,3,\n4,5,6,7\n,,,8\n", 'x;y;z;k\n1,5;2;3;"a, b"\n4;5;6;c #2\n', "# id x y z\n7 1 2 3\n8 4 5 6\n",
    "1,5 2,5 3,5\n4,5 5 6\n", "2\n1 2 3\n4 5 6\n1\n7 8 9\n", "x y z label\r\n1 2 3 4\r\n5 6 7 8\r\n",
    ",x,y,z\n0,1.5,2.5,3.5\n1,2,3,4\n", "//X [m],Y [m],Z [m]\n1,2,3\n4,5,6\n", '"x" "y" "z"\n"1" 1.5 2.5 3.5\n',
    "x\ty\tz\tw\n1\t2\t3\t\n4\t5\t6\t7\n", "1.0D+00 2.0d0 3.5D-1 nan\n", "# a\n1 2 3 # b\n\n4 5 6\n",
]  # fmt: skip
PIECES = [*"0123456789.,;\t \n\r\"'#/-+eEdDxyzabc[]()", "nan", "//", "\n\n", ",,", "label", "ö", "\x00"]


def test_damaged_tables_are_refused_or_annotated_as_they_were_read(tmp_path):
    rng = np.random.default_rng(30)
    num_read = 0
    for _ in range(500):
        text = list(SEEDS[rng.integers(len(SEEDS))])
        for _ in range(rng.integers(1, 4)):
            start = int(rng.integers(len(text) + 1))
            text[start : start + int(rng.integers(3))] = [PIECES[rng.integers(len(PIECES))]] * int(rng.integers(2))
        data, suffix = "".join(text).encode(), [".csv", ".pts", ".txt"][rng.integers(3)]
        try:
            before = formats.read(data or b"\n", suffix)
        except FormatError:
            continue
        num_read += 1
        labels = np.arange(len(before.points)) + 3
        formats.annotate(data, tmp_path / f"a{suffix}", {"label": labels}, suffix=suffix)
        after = formats.read(tmp_path / f"a{suffix}")
        assert after.points.tolist() == before.points.tolist(), data
        assert after.labels is None or after.labels.tolist() == labels.tolist(), data
    assert num_read > 70
