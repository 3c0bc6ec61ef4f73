"""Which column is what: by its name, its type and its shape, and by the user's word."""

import numpy as np
import pytest

from pointkit import formats
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError, PointkitError
from pointkit.formats import columns
from pointkit.formats.columns import Meaning

POINTS = np.zeros((3, 3), np.float32)
NUMBERS = np.array([0, -1, 5])
ONE_FACE = np.array([[0, 1, 2]])


def cloud(**fields):
    return PointCloud(POINTS, fields)


class TestCoordinates:
    @pytest.mark.parametrize(
        "names",
        [
            "x y z", "X Y Z", "id z y x", "//X Y Z", "sensor channel pos_x pos_y pos_z charge",
            "Point,Easting,Northing,Height",
            "# id east north up", "Points:0 Points:1 Points:2", "E N H", "x_coord y_coord z_coord", "px py pz",
            "X[m] Y[m] Z[m]", '"x" "y" "z"', "scalar_x scalar_y scalar_z", "X Y Elevation",
            "Position.X Position.Y Position.Z",
        ],
    )  # fmt: skip
    def test_usual_names(self, names):
        words = names.lstrip("# ").replace(",", " ").split()
        found = columns.coordinates(words)
        wanted = {0: ("x", "east", "e", "0"), 1: ("y", "north", "n", "1"), 2: ("z", "h", "elev", "up", "2")}
        for axis, starts in wanted.items():
            bare = columns.plain(words[found[axis]]).split("_")
            assert any(part.startswith(starts) or part.endswith(starts) for part in bare), (names, found)
        assert len(set(found)) == 3

    def test_plain_names_go_before_others(self):
        assert columns.coordinates(["pos_x", "pos_y", "pos_z", "x", "y", "z"]) == [3, 4, 5]
        assert columns.coordinates(["x", "y", "height", "z"]) == [0, 1, 3]

    @pytest.mark.parametrize("names", [["a", "b", "c"], ["x", "y"], ["nx", "ny", "nz"], ["r", "g", "b", "label"]])
    def test_others_are_asked_about(self, names):
        with pytest.raises(ValueError, match=f"which columns are x, y and z. found {' '.join(names)}; --columns"):
            columns.coordinates(names, columns.asked_for(len(names)))


class TestTitles:
    @pytest.mark.parametrize(
        "words", ["x y z of id", "X Y Z", "id label what", "scalar_Intensity foo", "pos_x pos_y pos_z", "id red green"]
    )
    def test_usual_names(self, words):
        assert columns.is_title(words.split())

    @pytest.mark.parametrize("words", ["sensor channel u v w", "range azimuth elevation2", "X1 Y1", "n.obj"])
    def test_unknown_names_where_they_may_be_some(self, words):
        assert not columns.is_title(words.split())
        assert columns.is_title(words.split(), unknown=True)

    @pytest.mark.parametrize(
        "words",
        ["made by hand", "class of chair", "12 x", "name: bunny", "a = 3", "2024-05-01 noon", "u u v", "Bob's label"],
    )
    def test_prose(self, words):
        assert not columns.is_title(words.split(), unknown=True)

    def test_an_answer_is_proposed(self):
        whole, broken = np.array([1.0, 2, 3]), np.array([0.5, 1, 2])
        for names, values, wanted in (
            ("id p q s", [whole, broken, broken, broken], "id,x,y,z"),
            ("p q s t", [whole, whole, whole, broken], "x,y,z,t"),
            ("p q s t v", [broken, whole, broken, broken, broken], "p,q,x,y,z"),
            ("label k,l p q s", [broken, broken, broken, broken, whole], "label,x,y,z,s"),
            ("red green blue", [whole, whole, whole], "x,y,z"),
        ):
            with pytest.raises(ValueError, match=f"{len(values)} in their order, such as {wanted}$"):
                columns.coordinates(names.split(" "), values=values)


class TestFeatures:
    @pytest.mark.parametrize(
        ("names", "kind"),
        [
            ("red green blue", "color"), ("R G B", "color"), ("diffuse_red diffuse_green diffuse_blue", "color"),
            ("Rf Gf Bf", "color"), ("nx ny nz", "normals"), ("normal_x normal_y normal_z", "normals"),
            ("Nx Ny Nz", "normals"), ("scalar_Intensity", "intensity"), ("Reflectance", "intensity"),
        ],
    )  # fmt: skip
    def test_usual_names(self, names, kind):
        fields = {name: np.arange(3) for name in ["other", *names.split()]}
        assert columns.feature(fields, kind) == names.split()
        assert columns.feature({"other": NUMBERS}, kind) is None

    def test_colours_packed_or_in_one_field(self):
        assert columns.feature({"rgba": np.zeros(3, "u4")}, "color") == ["rgba"]
        assert columns.feature({"rgb": np.zeros(3, "f4")}, "color") == ["rgb"]
        assert columns.feature({"colors": np.zeros((3, 4), "u1")}, "color") == ["colors"]
        assert columns.feature({"rgb": np.zeros(3, "u1")}, "color") is None
        both = {"rgb": np.zeros(3, "f4"), "r": NUMBERS, "g": NUMBERS, "b": NUMBERS}
        assert columns.feature(both, "color") == ["r", "g", "b"]

    UNIT = np.eye(3)[[0, 1, 2, 0]] * [[1.005], [-1], [1], [1]]

    def test_unit_vectors_behind_the_coordinates_are_normals(self):
        vectors = dict(zip(("column3", "column4", "column5"), self.UNIT.T, strict=True))
        assert columns.feature(vectors, "normals") == ["column3", "column4", "column5"]
        assert columns.feature(vectors | {"column6": np.arange(4)}, "normals") == ["column3", "column4", "column5"]
        assert columns.feature(vectors, "color") is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda fields: {name: np.abs(array) for name, array in fields.items()},  # pure colours
            lambda fields: {name: array * 1.02 for name, array in fields.items()},
            lambda fields: fields | {"label": np.arange(4)},
            lambda fields: fields | {"column6": np.arange(4), "column7": np.arange(4)},
        ],
    )
    def test_else_they_are_none(self, change):
        vectors = dict(zip(("column3", "column4", "column5"), self.UNIT.T, strict=True))
        assert columns.feature(change(vectors), "normals") is None

    def test_words_are_none(self):
        words = np.array(["a", "b", "c"])
        assert columns.feature({"intensity": words}, "intensity") is None
        assert columns.feature({"r": words, "g": words, "b": words}, "color") is None


class TestNumberedRows:
    """A column that counts the rows is no coordinate, unless the user or a title says so."""

    @staticmethod
    def rows(first, count=20, width=4):
        columns = np.random.default_rng(0).random((count, width)).round(3)
        columns[:, 0] = first + np.arange(count)
        return columns

    @pytest.mark.parametrize("suffix", [".txt", ".npy"])
    @pytest.mark.parametrize(("first", "width"), [(0, 4), (1, 5), (4711, 7)])
    def test_it_is_asked_about(self, tmp_path, suffix, first, width):
        rows, path = self.rows(first, width=width), tmp_path / f"a{suffix}"
        np.save(path, rows) if suffix == ".npy" else np.savetxt(path, rows, "%g")
        names = ",".join(["-", *"xyz", *"-" * (width - 4)])
        words = rf"first of {width} columns without names counts the rows \({first} to {first + 19}\): .* like {names}$"
        with pytest.raises(FormatError, match=words):
            formats.read(path)
        for said, first_axis in ((names, 1), (",".join([*"xyz", *"-" * (width - 3)]), 0)):
            cloud = formats.read(path, meaning=Meaning.said(columns=said))
            wanted = rows[:, first_axis : first_axis + 3]
            np.testing.assert_allclose(cloud.placement.restore(cloud.points), wanted, rtol=0, atol=1e-4)

    def test_what_is_read_all_the_same(self, tmp_path):
        few, three, halves = self.rows(0, count=9), self.rows(0, width=3), self.rows(0.5)
        jumps = self.rows(0)
        jumps[7, 0] = 0
        for rows in (few, three, halves, jumps):
            np.savetxt(tmp_path / "a.txt", rows, "%g")
            np.testing.assert_allclose(formats.read(tmp_path / "a.txt").points, rows[:, :3])
        np.savetxt(tmp_path / "a.txt", self.rows(0), "%g", header="x y z w")
        assert formats.read(tmp_path / "a.txt").points[:, 0].tolist() == list(range(20))


class TestLabels:
    @pytest.mark.parametrize("kind", ["i1", "u2", "i4", "u4", "i8", "f4", "f8"])
    @pytest.mark.parametrize(
        "name", [*columns.LABELS, "CLASS", "scalar_Classification", "scalar_scalar_label", "Label"]
    )
    def test_a_field_of_whole_numbers_with_a_usual_name(self, name, kind):
        values = np.abs(NUMBERS).astype(kind)
        for shape in (cloud(**{name: values}), Mesh(POINTS, np.zeros((3, 3), int), {name: values})):
            answer = columns.labels_of(shape)
            assert answer.dtype == "int32"
            assert answer.tolist() == [0, 1, 5]

    def test_several_that_differ_are_asked_about(self):
        fields = {"label": NUMBERS + 4711, "x_class": NUMBERS, "class": NUMBERS}
        with pytest.raises(
            ValueError, match=r"several fields may be the labels: label \(int32, 4710 to 4716\), class "
        ):
            columns.labels_of(cloud(**fields))
        assert columns.labels_of(cloud(**fields), Meaning("class")).tolist() == [0, -1, 5]
        assert columns.labels_of(cloud(label=NUMBERS, part=NUMBERS)).tolist() == [0, -1, 5]

    def test_the_users_field_goes_before(self):
        fields = {"label": NUMBERS, "kind": NUMBERS + 1, "scalar_Kind": NUMBERS + 2}
        assert columns.labels_of(cloud(**fields), Meaning("kind")).tolist() == [1, 0, 6]
        assert columns.labels_of(cloud(**fields), Meaning("scalar_Kind")).tolist() == [2, 1, 7]
        assert columns.labels_of(cloud(scalar_Kind=NUMBERS), Meaning("kind")).tolist() == [0, -1, 5]
        with pytest.raises(ValueError, match=r"each \(did you mean 'scan_part'\?\); found scalar_Scan_Part \(int64"):
            columns.labels_of(cloud(scalar_Scan_Part=NUMBERS), Meaning("scan_prt"))
        with pytest.raises(ValueError, match=r"no field what of one number each; found label \(int64, -1 to 5\)"):
            columns.labels_of(cloud(label=NUMBERS), Meaning("what"))

    def test_labels_from_elsewhere_count_before_fields(self):
        assert columns.labels_of(PointCloud(POINTS, {"part": NUMBERS}, NUMBERS + 3)).tolist() == [3, 2, 8]

    def test_codes_without_a_label(self):
        shape = cloud(label=np.array([0, 255, 7]))
        assert columns.labels_of(shape, Meaning(unlabelled=(0, 255))).tolist() == [-1, -1, 7]
        assert columns.labels_of(cloud(label=np.array([1, np.nan, 2]))).tolist() == [1, -1, 2]

    @pytest.mark.parametrize(
        "fields", [{}, {"what": NUMBERS}, {"label": np.zeros((3, 2), int)}, {"source_label": NUMBERS}]
    )
    def test_no_labels(self, fields):
        assert columns.labels_of(cloud(**fields)) is None

    @pytest.mark.parametrize("wrong", [2**31, -(2**31) - 1, 0.5, np.inf])
    def test_numbers_that_are_no_labels(self, wrong):
        with pytest.raises(ValueError, match=f"the field part has {wrong} in row 1$"):
            columns.labels_of(cloud(part=np.array([1, wrong, 2])))

    def test_a_face_has_the_label_of_its_corners(self):
        mesh = Mesh(
            np.zeros((4, 3)), [[0, 1, 2], [1, 2, 3], [3, 0, 0]], vertex_fields={"label": np.array([5, 7, 7, 9])}
        )
        assert columns.labels_of(mesh).tolist() == [7, 7, 5]
        three = Mesh(POINTS, ONE_FACE, vertex_fields={"label": np.array([3, 2, 1])})
        assert columns.labels_of(three).tolist() == [3]

    def test_what_is_missing_is_said_with_what_is_there(self):
        shape = cloud(scalar_Roughness=np.array([0.25, 0.5, 1]), column3=np.array([0.0, 1, 1]))
        assert columns.missing(shape) == (
            "has no label for each point; found scalar_Roughness (float64, 0.25 to 1), "
            "column3 (float64, whole, 0 to 1); column3 looks like labels: --label-field column3 takes it"
        )
        assert columns.missing(cloud()) == "has no label for each point; found no fields"

    def test_a_picture_takes_labels_of_any_numbers(self):
        assert columns.name_in({"Part": NUMBERS / 2, "label": np.zeros((3, 2))}) == "Part"
        assert columns.name_in({"classification": NUMBERS}, columns.PARTS) is None


class TestMeaning:
    def test_in_words_and_kept(self):
        meaning = Meaning.said("kind", "x,y,z,-,kind", "0,255")
        assert meaning == Meaning("kind", ("x", "y", "z", "-", "kind"), (0, 255))
        assert Meaning.of(meaning.facts()) == meaning
        assert Meaning.said().facts() == {}

    @pytest.mark.parametrize("words", ["x,y", "x,y,z,z", "x,,z,y", "a,b,c", "x,y,z,label,Label"])
    def test_columns_that_are_no_answer(self, words):
        with pytest.raises(PointkitError, match="--columns must name x, y, z and others, all different"):
            Meaning.said(columns=words)

    def test_codes_that_are_no_numbers(self):
        with pytest.raises(PointkitError, match="--unlabelled must be whole numbers like 0,255, got 'no'"):
            Meaning.said(unlabelled="no")

    def test_a_file_without_labels_has_fewer_columns(self):
        meaning = Meaning.said(columns="x,y,z,r,g,b,label")
        assert meaning.names(7) == [*"xyzrgb", "label"]
        assert meaning.names(6) == [*"xyzrgb"]
        with pytest.raises(ValueError, match=r"--columns names 7 columns \(x,y,z,r,g,b,label\), got 5"):
            meaning.names(5)
        assert Meaning().names(5) is None
