"""NPY: arrays of every order and type, and headers that lie."""

import io
import pickle

import numpy as np
import pytest

from pointkit import formats
from pointkit.cloud import PointCloud
from pointkit.errors import FormatError
from pointkit.formats.columns import Meaning
from tests import zoo


@pytest.fixture
def read(tmp_path):
    def read_array(array):
        path = tmp_path / "cloud.npy"
        if isinstance(array, bytes):
            path.write_bytes(array)
        else:
            np.save(path, array)
        return formats.read(path)

    return read_array


TABLE = np.arange(20.0).reshape(4, 5)


@pytest.mark.parametrize(
    "array",
    [TABLE, np.asfortranarray(TABLE), TABLE.astype(">f8"), TABLE.astype("f4"), TABLE.astype("f2"), TABLE.astype("i8"),
     TABLE.astype("u1"), TABLE.astype(np.longdouble), np.asfortranarray(TABLE.astype(">f4"))],
    ids=lambda array: f"{array.dtype}",
)  # fmt: skip
def test_orders_and_types(read, array):
    cloud = read(array)
    assert cloud.points.tolist() == TABLE[:, :3].tolist()
    assert cloud.points.dtype == "float32"
    assert list(cloud.fields) == ["column3", "column4"]
    assert cloud.fields["column4"].tolist() == TABLE[:, 4].tolist()
    assert cloud.fields["column4"].dtype.isnative


def test_survey_coordinates(read):
    points = np.array([[665187.521, 5648349.895, 241.767], [665187.522, 5648349.896, 241.768]])
    cloud = read(points)
    np.testing.assert_allclose(cloud.placement.restore(cloud.points), points, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("array", "rule"),
    [
        (np.zeros((4, 2)), r"\(N, 3 or more\) is expected, got float64 \(4, 2\)"),
        (np.zeros(12), "is expected"),
        (
            np.zeros((1, 4, 3)),
            r"is expected, got float64 \(1, 4, 3\): 1 shapes of 4 points in one file: write each as ",
        ),
        (
            np.zeros((3, 4)),
            "transposed, 4 points in columns.* --columns names all 4 in their order, like x,y,z,-; else",
        ),
        (np.zeros((3, 20)), "3 rows of 20 numbers: are these 3 points, or is it transposed, 20 points in columns"),
        (np.zeros((3, 60)), "3 rows of 60 numbers: are these 3 points, or is it transposed, 60 points in columns"),
        (
            np.zeros((6, 2048)),
            "6 rows of 2,048 numbers: are these 6 points, or is it transposed, 2,048 points in columns",
        ),
        (np.zeros((2000, 1500)), "a row must hold 1,024 numbers at most"),
        (np.zeros(0, [("x", "f4"), ("y", "f4"), ("z", "f4")]), "no points"),
        (
            np.zeros(4, [("id", "i4"), ("u", "f4"), ("v", "f4"), ("w", "f4")]),
            r"found id \(0 0 0 \.\.\.\), u .* such as x,y,z,w",
        ),
        (np.zeros((2, 2), [("x", "f4"), ("y", "f4"), ("z", "f4")]), r"is expected, got records \(2, 2\)"),
        (np.zeros((4, 3), complex), "got complex128"),
        (np.zeros((4, 3), bool), "got bool"),
        (np.array([["a", "b", "c"]]), "is expected"),
        (np.zeros(4, [("x", "f4")]), "which columns are x, y and z. found x"),
        (np.zeros((0, 3)), "no points"),
        (np.array([[0, 0, 0], [0, np.inf, 0]]), r"got \[0.0, inf, 0.0\] in row 1"),
        (np.array([[0, 0, 1e300]]), "in row 0"),
    ],
)
def test_arrays_that_are_refused(read, array, rule):
    with pytest.raises(FormatError, match=rule):
        read(array)


RECORDS = np.array(
    [(7, 1.5, 2, 3, 4, (1, 2, 3), "a"), (8, 4, 5, 6, -1, (4, 5, 6), "b")],
    [("id", "<u4"), ("X", ">f8"), ("Y", "<f4"), ("Z", "i2"), ("label", "i1"), ("rgb", "u1", (3,)), ("word", "U2")],
)


@pytest.mark.parametrize("align", [False, True])
def test_records_with_names(read, align):
    cloud = read(RECORDS.astype(np.dtype(RECORDS.dtype.descr, align=align)))
    assert cloud.points.tolist() == [[1.5, 2, 3], [4, 5, 6]]
    assert {name: (str(array.dtype), array.tolist()) for name, array in cloud.fields.items()} == {
        "id": ("uint32", [7, 8]), "label": ("int8", [4, -1]), "rgb": ("uint8", [[1, 2, 3], [4, 5, 6]]),
        "word": ("<U2", ["a", "b"]),
    }  # fmt: skip
    assert cloud.labels.tolist() == [4, -1]


def test_records_with_one_field_of_coordinates(read):
    cloud = read(np.array([((1, 2, 3), 4)], [("xyz", "f4", (3,)), ("w", "f4")]))
    assert cloud.points.tolist() == [[1, 2, 3]]
    assert list(cloud.fields) == ["w"]


def test_the_users_names_of_columns(tmp_path):
    np.save(tmp_path / "a.npy", TABLE)
    cloud = formats.read(tmp_path / "a.npy", meaning=Meaning.said(columns="-,x,y,z,label"))
    assert cloud.points.tolist() == TABLE[:, 1:4].tolist()
    assert list(cloud.fields) == ["label"]
    np.save(tmp_path / "a.npy", np.zeros((4, 60)))
    wide = Meaning.said(columns=",".join(["x", "y", "z", *"-" * 57]))
    assert len(formats.read(tmp_path / "a.npy", meaning=wide).points) == 4


class Trap:
    opened = False

    def __reduce__(self):
        return (setattr, (Trap, "opened", True))


def test_pickles_stay_closed(read):
    stream = io.BytesIO()
    np.save(stream, np.array([[Trap(), 0, 0]], object), allow_pickle=True)
    with pytest.raises(FormatError, match="an array of numbers"):
        read(stream.getvalue())
    with pytest.raises(FormatError, match="NumPy cannot read it"):
        read(pickle.dumps(Trap()))
    assert not Trap.opened


def altered(text, old, new):
    return text.replace(old.encode(), new.encode().ljust(len(old)))


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("(4, 5)", "(9, 5)", r"promises \(9, 5\), which is 360 bytes, got 160"),
        ("(4, 5)", "(3, 5)", "which is 120 bytes, got 160"),
        ("(4, 5), }           ", "(400000000000, 5), }", "which is 16000000000000 bytes"),
        ("(4, 5), ", "(-4, -5)", "promises"),
        ("(4, 5), ", "(4, -5)", "promises"),
        ("(4, 5), ", "(-4, 5), ", "promises"),
        ("False", "0    ", "NumPy cannot read it"),
        ("'<f8'", "'<q9'", "NumPy cannot read it"),
        ("'<f8'", "f(1) ", r"NumPy cannot read it: [^0-9]*line 1: <ast.Call object>$"),  # no address
        ("{", "(", "NumPy cannot read it"),
        ("\x01\x00v", "\x09\x00v", "version"),
    ],
)
def test_headers_that_lie(read, old, new, rule):
    stream = io.BytesIO()
    np.save(stream, TABLE)
    with pytest.raises(FormatError, match=rule):
        read(altered(stream.getvalue(), old, new))


def test_the_second_version_of_the_format(read):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, TABLE, version=(2, 0))
    assert len(read(stream.getvalue()).points) == 4


def test_a_type_is_chosen_that_holds_all_columns(tmp_path):
    path = tmp_path / "cloud.npy"
    formats.write(path, zoo.CLOUDS["nine digits"])
    assert np.load(path).dtype == "float32"
    formats.write(path, zoo.CLOUDS["labels"])
    assert np.load(path)["x"].dtype == "float64"
    assert np.load(path)["label"].tolist() == [-1, 0, 2_000_000_000]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_three_points_with_fields_are_records(tmp_path, count):
    """An array (3, 5) may also be five points in columns. Ours comes back, also with the labels of ``predict``."""
    rng = np.random.default_rng(count)
    cloud = PointCloud(rng.random((count, 3)).astype("f4"), {"label": np.arange(count), "more": rng.random(count)})
    formats.write(tmp_path / "a.npy", cloud)
    array, again = np.load(tmp_path / "a.npy"), formats.read(tmp_path / "a.npy")
    assert array.dtype.names == (("x", "y", "z", "label", "more") if count == 3 else None)
    np.testing.assert_array_equal(again.points, cloud.points)
    np.testing.assert_array_equal(list(again.fields.values()), list(cloud.fields.values()))
    for suffix in (".npy", ".csv", ".txt", ".pts", ".xyz"):
        plain, labelled = tmp_path / f"b{suffix}", tmp_path / f"c{suffix}"
        formats.write(plain, PointCloud(cloud.points))
        formats.annotate(plain, labelled, dict(cloud.fields))
        again = formats.read(labelled)
        np.testing.assert_array_equal(again.points, cloud.points)
        np.testing.assert_allclose(list(again.fields.values()), list(cloud.fields.values()))
