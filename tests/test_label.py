"""Files labelled: every point in its place, everything else as it was, and the same answers as evaluation's."""

import json
import re

import numpy as np
import pytest

from pointkit import formats
from pointkit.cli import run
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import PointkitError
from pointkit.label import label_files
from pointkit.predict import Predictor, find_files
from tests import shapes


@pytest.fixture
def predictor(tiny_parts_run):
    return Predictor(tiny_parts_run)


def stick(count=700, seed=3):
    return shapes.stick(np.random.default_rng(seed), count)


def thirds(points):
    """The true part of each point of a stick."""
    z = points[:, 2]
    return np.minimum(((z - z.min()) / np.ptp(z) * 3).astype(int), 2)


def labelled(predictor, path, **how):
    answer = dict(label_files(predictor, [path], **how))[path]
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.mark.parametrize("suffix", [".xyz", ".pts", ".pcd", ".ply", ".txt"])
def test_every_point_keeps_its_place_and_fields_and_gets_its_part(predictor, tmp_path, suffix):
    points = stick()
    rng = np.random.default_rng(0)
    fields = {"intensity": rng.random(700).astype("float32"), "ring": rng.integers(0, 9, 700).astype("uint8")}
    path = tmp_path / f"one{suffix}"
    formats.write(path, PointCloud(points, fields))
    answer = labelled(predictor, path, category="stick")
    assert answer.path == tmp_path / f"one.labelled{suffix}"
    before, after = formats.read(path), formats.read(answer.path)
    np.testing.assert_array_equal(after.points, before.points)
    for name, array in before.fields.items():
        assert after.fields[name].dtype == array.dtype
        np.testing.assert_array_equal(after.fields[name], array)
    assert list(after.fields)[-2:] == ["label", "probability"]
    assert (after.fields["label"] == thirds(points)).mean() > 0.8
    assert ((after.fields["probability"] > 1 / 3 - 1e-6) & (after.fields["probability"] <= 1)).all()
    assert answer.counts == {
        name: int((after.fields["label"] == i).sum()) for i, name in enumerate(shapes.PARTS["stick"])
    }
    assert answer.probability == pytest.approx(after.fields["probability"].mean(), rel=1e-5)
    assert b"label 1 is middle" in answer.path.read_bytes()


def test_an_array_gets_two_more_columns(predictor, tmp_path):
    np.save(tmp_path / "one.npy", np.c_[stick(), np.arange(700)].astype("float32"))
    answer = labelled(predictor, tmp_path / "one.npy", category="stick")
    after = np.load(answer.path)
    np.testing.assert_array_equal(after[:, :4], np.load(tmp_path / "one.npy"))
    assert (after[:, 4] == thirds(after[:, :3])).mean() > 0.8


def test_coordinates_that_single_precision_cannot_hold_stay_as_they_were(predictor, tmp_path):
    """A stick in UTM coordinates to a tenth of a millimetre, and one near zero with ten digits."""
    for number, moved in enumerate((stick() * 3.0 + [500_123.4567, 5_400_321.1234, 210.5], stick() / 3.0)):
        text = "".join(f"{x:.10g} {y:.11g} {z:.9g}\n" for x, y, z in moved.astype(float) + 1e-9)
        path = tmp_path / f"{number}.xyz"
        path.write_text(text)
        lines = labelled(predictor, path, category="stick").path.read_text().splitlines()
        rows = [line.split()[:3] for line in lines if not line.startswith("#")]
        assert [list(map(float, row)) for row in rows] == [list(map(float, line.split())) for line in text.splitlines()]


def test_the_users_own_codes_and_his_own_label_come_back(tiny_parts_run, tmp_path):
    predictor = Predictor(tiny_parts_run)
    predictor.facts["codes"] = {"box": [0, 1], "stick": [10, 20, 7]}
    path = tmp_path / "one.ply"
    theirs = np.arange(700, dtype=np.int32)
    formats.write(path, PointCloud(stick(), {"label": theirs}))
    after = formats.read(labelled(predictor, path, category="stick").path)
    assert set(after.fields["label"]) <= {10, 20, 7}
    assert (after.fields["label"] == np.array([10, 20, 7])[thirds(stick())]).mean() > 0.8
    np.testing.assert_array_equal(after.fields["source_label"], theirs)


def test_a_meshs_faces_are_labelled(predictor, tmp_path):
    """A tall box of many small faces, and one of a few large ones: their parts go by their height."""
    for rings in (30, 3):
        z = np.repeat(np.linspace(-1, 1, rings + 1), 4)
        corners = np.tile([[0.05, 0.05], [-0.05, 0.05], [-0.05, -0.05], [0.05, -0.05]], (rings + 1, 1))
        low = np.arange(4 * rings)
        right = low - low % 4 + (low + 1) % 4
        faces = np.concatenate([np.c_[low, right, right + 4], np.c_[low, right + 4, low + 4]])
        path = tmp_path / f"{rings}.off"
        formats.write(path, Mesh(np.c_[corners, z].astype("float32"), faces))
        answer = labelled(predictor, path, category="stick")
        assert answer.path.name == f"{rings}.labelled.ply"
        after = formats.read(answer.path)
        np.testing.assert_array_equal(after.faces, formats.read(path).faces)
        middle = after.vertices[after.faces].mean(1)[:, 2]
        wanted = np.minimum((middle + 1) / 2 * 3, 2).astype(int)
        assert (after.face_fields["label"] == wanted).mean() > 0.85
        assert sum(answer.counts.values()) == len(faces)


def test_the_category_is_given_or_the_nearest_folders(predictor, tmp_path):
    place = tmp_path / "box" / "stick" / "more"
    place.mkdir(parents=True)
    path = place / "one.xyz"
    formats.write(path, PointCloud(stick()))
    assert labelled(predictor, path).category == "stick"
    assert labelled(predictor, path, category="box").category == "box"
    elsewhere = tmp_path / "one.xyz"
    formats.write(elsewhere, PointCloud(stick()))
    with pytest.raises(PointkitError, match=r"of which category\? give --category, one of box, stick"):
        labelled(predictor, elsewhere)
    with pytest.raises(PointkitError, match="did you mean 'stick'"):
        next(label_files(predictor, [path], category="stik"))


def test_a_folder_may_have_the_name_of_the_sets_directory(predictor, tmp_path):
    (tmp_path / "0270").mkdir()
    path = tmp_path / "0270" / "one.xyz"
    formats.write(path, PointCloud(stick()))
    predictor.facts["directories"] = {"box": "0123", "stick": "0270"}
    assert labelled(predictor, path).category == "stick"


def test_a_run_that_sees_normals_wants_them(tiny_parts_run, tmp_path):
    predictor = Predictor(tiny_parts_run)
    object.__setattr__(predictor.task, "features", ("nx", "ny", "nz"))
    path = tmp_path / "one.xyz"
    formats.write(path, PointCloud(stick()))
    with pytest.raises(PointkitError, match=r"the network sees the normals of each point \(nx, ny, nz\), found none"):
        labelled(predictor, path, category="stick")


def test_one_bad_file_among_many_stops_nothing(predictor, tmp_path):
    paths = []
    for i, count in enumerate((1, 63, 64, 65, 1000, 2)):
        paths.append(tmp_path / f"{i}.xyz")
        formats.write(paths[-1], PointCloud(stick(count)))
    (tmp_path / "3.xyz").write_text("1 2\n")
    answers = dict(label_files(predictor, [*paths, tmp_path / "none.xyz"], category="stick"))
    assert [path.name for path, answer in answers.items() if isinstance(answer, Exception)] == ["3.xyz", "none.xyz"]
    for path in paths:
        if path.name != "3.xyz":
            assert len(formats.read(answers[path].path).points) == len(formats.read(path).points)


def test_two_runs_give_the_same_files_alone_or_among_others(predictor, tmp_path):
    paths = [tmp_path / f"{i}.ply" for i in range(5)]
    for i, path in enumerate(paths):
        formats.write(path, PointCloud(stick(100 + 50 * i, seed=i)))
    whole = {path: answer.path.read_bytes() for path, answer in label_files(predictor, paths, category="stick")}
    for path in paths:
        assert labelled(predictor, path, category="stick").path.read_bytes() == whole[path]


def test_files_of_one_name_do_not_overwrite_each_other(predictor, tmp_path):
    paths = [tmp_path / name / "one.xyz" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        formats.write(path, PointCloud(stick()))
    with pytest.raises(PointkitError, match="would be written here"):
        next(label_files(predictor, paths, category="stick", output=tmp_path))


def test_what_was_labelled_is_not_labelled_again(predictor, tmp_path):
    formats.write(tmp_path / "one.xyz", PointCloud(stick()))
    labelled(predictor, tmp_path / "one.xyz", category="stick")
    assert find_files([tmp_path])[0] == [tmp_path / "one.xyz"]


def test_the_command(tiny_parts_run, tiny_run, tmp_path, capsys, monkeypatch):
    path = tmp_path / "stick" / "one.xyz"
    path.parent.mkdir()
    formats.write(path, PointCloud(stick()))
    assert run(["predict", str(tiny_parts_run), str(path), "--json", "-o", str(tmp_path / "out")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["output"] == str(tmp_path / "out" / "one.labelled.xyz")
    assert (said["category"], sum(said["parts"].values())) == ("stick", 700)
    assert run(["predict", str(tiny_parts_run), str(path)]) == 0
    assert re.search(r"one.labelled.xyz: stick: foot \d+.\d %, middle", capsys.readouterr().out)
    assert run(["predict", str(tiny_parts_run), str(path), "--category", "stock"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.undo()
    assert run(["predict", str(tiny_run), str(path), "--category", "stick"]) == 2
    assert "--category is for parts" in capsys.readouterr().err
