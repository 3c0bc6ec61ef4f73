"""The answer about an E57 file is LAZ: what of the file it holds, and how exactly. laspy is the judge."""

import numpy as np
import pytest

pytest.importorskip("pye57", reason="the extra e57 is not installed")
pytest.importorskip("laspy", reason="the extra las is not installed")

from pointkit import answers, formats, info
from pointkit.errors import FormatError
from pointkit.formats.e57_laz import about_copy
from pointkit.predict import Predictor
from tests.formats.las_files import WKT, judged
from tests.formats.test_e57 import AXES, TURN, made, points_of, written, xyz  # noqa: F401  # a fixture
from tests.test_label import stick

RNG = np.random.default_rng(2024)


def answered(path, fields, name="scan.laz"):
    """The answer about a file, as laspy reads it."""
    target = path.with_name(name)
    formats.annotate(path, target, fields or {"label": np.ones(len(formats.read(path).points), np.int32)})
    return judged(target.read_bytes())


def in_steps(whole, steps, starts):
    """Whole numbers (N, 3) as fields with a step and a start each."""
    columns = zip(AXES, whole.T, steps, starts, strict=True)
    return {name: (column * step + start, (step, start)) for name, column, step, start in columns}


def test_every_field_is_there(made):  # noqa: F811
    fields = {
        "intensity": np.arange(9, dtype="u2") * 7000, "colorRed": np.arange(9, dtype="u1") * 28,
        "colorGreen": np.arange(9, dtype="u1"), "colorBlue": np.arange(9, dtype="u1"), 
        "rowIndex": np.arange(9, dtype="u2") + 300,
        "timeStamp": RNG.random(9) * 1e9, "ext:classification": np.arange(9, dtype="u1") % 3,
        "nor:normalX": RNG.random(9).astype("f4"), "ext:large": np.arange(9, dtype="q") * 2**40,
        f"ext:{'long' * 9}": np.arange(9, dtype="u1"), f"ext:{'long' * 8}": np.arange(9, dtype="u1") + 1,
    }  # fmt: skip
    path = made((xyz(RNG.normal(size=(9, 3))) | fields, None))
    judge = answered(path, {"label": np.arange(9, dtype=np.int32) * 31})
    assert judge.header.point_format.id == 7
    assert judge.classification.tolist() == [31 * i for i in range(9)]
    assert judge.red.tolist() == [28 * 257 * i for i in range(9)]
    source = formats.read(path).fields
    for name, here in {
        "intensity": "intensity", "rowIndex": "rowIndex", "timeStamp": "timeStamp", "nx": "nx", "large": "large",
        "classification": "source_classification", "long" * 8: "long" * 8, "long" * 9: f"{'long' * 7}_2",
    }.items():  # fmt: skip
        np.testing.assert_array_equal(judge[here], source[name])
        assert here == "intensity" or judge[here].dtype == source[name].dtype


@pytest.mark.parametrize(
    ("given", "gives"),
    [
        ([0.0, 0.5, 1.0], [0, 32768, 65535]),
        ([0.25, 0.25, 0.25], [16384] * 3),
        ([-20.0, 0.0, 20.0], [0, 32768, 65535]),
        ([7.0, 7.0, np.nan], [0, 0, 0]),
        ([0, 70_000, 35_000], [0, 65535, 32768]),
        ([-1, 0, 1], [0, 32768, 65535]),
        ([0, 1, 255], [0, 1, 255]),
    ],
)
def test_an_intensity_is_stretched_to_16_bits(made, given, gives):  # noqa: F811
    values = np.array(given)
    values = values.astype("f4" if values.dtype.kind == "f" else "q")
    judge = answered(made((xyz(np.eye(3)) | {"intensity": values}, None)), {})
    assert judge.intensity.tolist() == gives
    same = values.dtype.kind != "f" and values.min() >= 0 and values.max() < 2**16
    assert ("source_intensity" in judge.point_format.dimension_names) is not same
    if not same:
        np.testing.assert_array_equal(judge["source_intensity"], values)


def test_whole_numbers_come_back_in_the_steps_that_they_had(made):  # noqa: F811
    steps, starts, moved = (0.001, 0.0001, 0.0025), (0.5, 0.0, -1e-4), (665187.125, 5648349.5, 241.3)
    whole = RNG.integers(-(10**9), 10**9, (50, 3))
    near = in_steps(whole[:20], steps, starts), (None, moved)
    other = in_steps(whole[20:], steps, starts), (None, np.array(moved) + np.array(steps) * (1000, -7, 40))
    judge = answered(made(near, other), {})
    np.testing.assert_array_equal(judge.header.scales, steps)
    np.testing.assert_allclose(judge.header.offsets, np.array(starts) + moved, rtol=1e-15)
    whole[20:] += (1000, -7, 40)
    np.testing.assert_array_equal(np.stack([judge.X, judge.Y, judge.Z], 1), whole)


def test_also_those_that_lie_far_from_where_they_begin(made):  # noqa: F811
    whole = RNG.integers(0, 10**6, (30, 3)) + np.array([2**36, 0, -(2**35)])
    judge = answered(made((in_steps(whole, (0.001,) * 3, (0.0,) * 3), None)), {})
    found = np.stack([judge.X, judge.Y, judge.Z], 1) + np.round(judge.header.offsets / 0.001).astype(np.int64)
    np.testing.assert_array_equal(found, whole)
    assert judge.header.scales.tolist() == [0.001] * 3


@pytest.mark.parametrize("kind", ["floats", "turned", "between", "other steps", "too far apart"])
def test_other_coordinates_are_rounded_to_a_hundred_millionth_of_the_size(made, kind):  # noqa: F811
    whole = RNG.integers(0, 10**5, (40, 3))
    first, second = (in_steps(some, (0.001,) * 3, (0.0,) * 3) for some in (whole[:20], whole[20:]))
    scans = {
        "floats": [(xyz(RNG.normal(size=(40, 3)) + 500_000), None)],
        "turned": [(first, (TURN, (1, 2, 3)))],
        "between": [(first, None), (second, (None, (0.0004, 0, 0)))],
        "other steps": [(first, None), (in_steps(whole, (0.0007,) * 3, (0.0,) * 3), None)],
        "too far apart": [(first, None), (second, (None, (2**33 * 0.001, 0, 0)))],
    }[kind]
    path = made(*scans)
    cloud = points_of(formats.read(path))
    judge = answered(path, {})
    size = (cloud.max(0) - cloud.min(0)).max()
    assert np.abs(judge.xyz - cloud).max() <= size * 1e-8 / 2 * 1.001
    assert kind == "too far apart" or np.abs(judge.xyz - cloud).max() < 1e-6


def test_the_reference_system_comes_along(made):  # noqa: F811
    path = made((xyz(np.eye(3)), (None, (1, 0, 0))), crs=WKT)
    about = info.describe(path)
    assert (about["crs"], about["format"]) == ("Somewhere / UTM 32N (EPSG:32632)", "E57")
    assert (about["scans"], about["scans_with_a_pose"]) == (1, 1)
    answered(path, {})
    assert info.describe(path.with_name("scan.laz"))["crs"] == about["crs"]
    judge = answered(made((xyz(np.eye(3)), None), crs="EPSG:25832"), {}, "other.laz")
    [vlr] = judge.header.vlrs.get_by_id("LASF_Spec", [3])
    assert vlr.record_data.rstrip(b"\0") == b"EPSG:25832"
    assert info.describe(path)["crs"] == "EPSG:25832"


def test_points_without_a_place_have_none_in_the_answer(made):  # noqa: F811
    state = {"cartesianInvalidState": np.uint8([0, 2, 0, 1, 0]), "rowIndex": np.arange(5, dtype="u1")}
    judge = answered(made((xyz(RNG.normal(size=(5, 3))) | state, None)), {"label": np.int32([7, 8, 9])})
    assert (judge["rowIndex"].tolist(), judge.classification.tolist()) == ([0, 2, 4], [7, 8, 9])


def test_codes_that_are_no_class_are_refused(made):  # noqa: F811
    path = made((xyz(np.eye(3)), None))
    for codes, found in (([0, 1, 256], "0 to 256"), ([-1, 3, 3], "-1 to 3")):
        with pytest.raises(FormatError, match=rf"scan.e57: classes in LAZ are 0 to 255, got {found}"):
            formats.annotate(path, path.with_name("scan.laz"), {"label": np.int32(codes)})
    assert not path.with_name("scan.laz").exists()
    with pytest.raises(FormatError, match=r"a .e57 file with further fields must be named .laz"):
        formats.annotate(path, path.with_name("scan.las"), {})


def test_predict_answers_as_laz_and_without_the_extra_as_ply(tiny_parts_run, tmp_path, capsys, monkeypatch):
    from pointkit.cli import run

    path = written(tmp_path / "stick.e57", (xyz(stick(120, seed=1)), (None, (5000.0, 0, 0))))
    [(_, answer)] = answers.results(Predictor(tiny_parts_run), [path], category="stick")
    assert answer.written == tmp_path / "stick.labelled.laz"
    judge = judged(answer.written.read_bytes())
    np.testing.assert_array_equal(judge.classification, answer.answer.labels)
    np.testing.assert_allclose(judge.xyz, points_of(formats.read(path)), rtol=0, atol=1e-7)
    assert "probability" not in judge.point_format.dimension_names
    command = ["predict", str(tiny_parts_run), str(path), "--category", "stick"]
    assert run([*command, "--force", "--extra-bytes"]) == 0
    assert "1 file: E57 is answered as LAZ, without invalid points; " in capsys.readouterr().err
    np.testing.assert_array_equal(judged(answer.written.read_bytes())["probability"], answer.answer.probability)
    monkeypatch.setitem(__import__("sys").modules, "lazrs", None)
    assert run(command) == 0
    said = "1 file: E57 is answered as PLY; with the extra las it is LAZ: pip install 'pointkit[las]'"
    assert said in capsys.readouterr().err
    assert about_copy(None) == said[8:]
    np.testing.assert_array_equal(formats.read(tmp_path / "stick.labelled.ply").labels, answer.answer.labels)
