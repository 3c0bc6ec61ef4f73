"""The points that decided an answer, back in the user's file: counted, drawn, and enough for the same answer."""

import json

import numpy as np
import pytest

from pointkit import formats, models, preprocess
from pointkit.cli import run
from pointkit.cloud import Mesh, Placement, PointCloud
from pointkit.errors import PointkitError
from pointkit.explain import explain_files
from pointkit.label import label_files
from pointkit.predict import Predictor, find_files
from tests import shapes

UTM = Placement(origin=[665187.0, 5648349.0, 241.0])


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor(tiny_run)


def explained(predictor, path, output=None):
    answer = dict(explain_files(predictor, [path], output))[path]
    if isinstance(answer, Exception):
        raise answer
    return answer


def cloud(count=900, **fields):
    rng = np.random.default_rng(5)
    return PointCloud(
        shapes.stick(rng, count), {"ring": rng.integers(0, 9, count).astype("uint8"), **fields}, None, UTM
    )


def test_the_marked_points_alone_give_the_same_answer(predictor, tmp_path):
    path = tmp_path / "one.pcd"
    formats.write(path, cloud())
    answer = explained(predictor, path)
    before, after = formats.read(path), formats.read(answer.path)
    np.testing.assert_array_equal(after.points, before.points)
    np.testing.assert_array_equal(after.placement.origin, before.placement.origin)
    np.testing.assert_array_equal(after.fields["ring"], before.fields["ring"])
    marks = after.fields["critical"]
    seen = preprocess.draw(before, predictor.facts["input"]["drawn"], predictor.facts["input"]["seed"]).index
    seen = seen[: predictor.num_points]
    assert not np.delete(marks, seen).any()
    points = preprocess.normalise(before.points[seen])[0]
    deciding = points[marks[seen] > 0]
    assert 0 < len(deciding) < len(points)
    np.testing.assert_allclose(predictor.logits(deciding[None]), predictor.logits(points[None]), rtol=1e-5, atol=1e-5)
    said = answer.explanation
    assert (said.decided, said.turned) == ((marks == 2).sum(), (marks == 1).sum())
    assert said.decided + said.turned + said.others == len(seen)
    assert answer.path == tmp_path / "one.explained.pcd"
    assert answer.explanation.picture.read_bytes()[:4] == b"\x89PNG"
    assert answer.prediction.class_name == predictor.file(path).class_name
    assert find_files([tmp_path])[0] == [path]


def test_a_meshs_drawn_points_are_marked(predictor, tmp_path):
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    formats.write(tmp_path / "one.off", Mesh(square, np.array([[0, 1, 2], [0, 2, 3]], np.int32)))
    answer = explained(predictor, tmp_path / "one.off", tmp_path)
    assert answer.path == tmp_path / "one.explained.ply"
    written = formats.read(answer.path)
    contract = predictor.facts["input"]
    drawn = preprocess.draw(formats.read(tmp_path / "one.off"), contract["drawn"], contract["seed"]).points
    np.testing.assert_array_equal(written.points, drawn[: predictor.num_points])
    points, marks = preprocess.normalise(written.points)[0], written.fields["critical"]
    deciding = points[marks > 0]
    assert 0 < len(deciding) < len(points)
    np.testing.assert_allclose(predictor.logits(deciding[None]), predictor.logits(points[None]), rtol=1e-5, atol=1e-5)


def test_a_small_cloud_is_marked_where_its_points_are_first_seen(predictor, tmp_path):
    formats.write(tmp_path / "one.xyz", cloud(10))
    answer = explained(predictor, tmp_path / "one.xyz")
    said = answer.explanation
    assert said.decided + said.turned + said.others == 10
    assert said.decided > 0
    assert "only 10 points" in answer.warnings[0]


def test_every_window_of_a_labelled_cloud_has_its_deciding_points(tiny_parts_run, tmp_path, monkeypatch):
    predictor = Predictor(tiny_parts_run)
    network = predictor.task.network
    predictor.model = models.segmenter(
        "pointnet", network["num_classes"], widths="half", seed=0, parts=network["parts"]
    )
    path = tmp_path / "one.ply"
    for name in "ab":
        (tmp_path / name).mkdir()
    formats.write(path, cloud(700, critical=np.arange(700, dtype="int32")))
    plain = dict(label_files(predictor, [path], category="stick", output=tmp_path / "a"))[path]
    answer = dict(label_files(predictor, [path], category="stick", output=tmp_path / "b", critical=True))[path]
    before, after = formats.read(plain.path), formats.read(answer.path)
    for name in ("label", "probability"):
        np.testing.assert_array_equal(after.fields[name], before.fields[name])
    np.testing.assert_array_equal(after.fields["source_critical"], np.arange(700))
    assert answer.explanation.picture == tmp_path / "b" / "one.explained.png"
    drawn = preprocess.draw(formats.read(path), 1, predictor.facts["input"]["seed"], whole=True)
    marks = after.fields["critical"][drawn.index]
    for places in preprocess.windows(700, predictor.num_points):
        assert (marks[places] == 2).any()
    assert plain.explanation is None


def test_two_files_of_one_name_and_a_bad_one(predictor, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        formats.write(tmp_path / name / "one.xyz", cloud(50))
    with pytest.raises(PointkitError, match=r"both .*a/one\.xyz and .*b/one\.xyz would be written here"):
        list(explain_files(predictor, [tmp_path / "a/one.xyz", tmp_path / "b/one.xyz"], tmp_path))
    (tmp_path / "bad.off").write_text("OFF\n1")
    answers = dict(explain_files(predictor, [tmp_path / "bad.off", tmp_path / "a" / "one.xyz"]))
    assert isinstance(answers[tmp_path / "bad.off"], PointkitError)
    assert answers[tmp_path / "a" / "one.xyz"].path.exists()


def test_the_command(tiny_run, tiny_parts_run, tmp_path, capsys, monkeypatch):
    path = tmp_path / "stick" / "one.xyz"
    path.parent.mkdir()
    formats.write(path, cloud(300))
    out = tmp_path / "out"
    assert run(["predict", str(tiny_run), str(path), "--explain", "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["output"] == str(out / "one.explained.xyz")
    assert sum(said["critical"].values()) <= 300
    assert (out / "one.explained.png").samefile(said["picture"])
    assert run(["predict", str(tiny_run), str(path), "--explain"]) == 0
    assert "points decided" in capsys.readouterr().out
    assert run(["predict", str(tiny_run), str(path), "-o", str(out)]) == 2
    assert "--output is for parts and --explain" in capsys.readouterr().err
    assert run(["predict", str(tiny_parts_run), str(path), "--explain", "-o", str(out)]) == 2
    assert "no maximum over points decides in this network" in capsys.readouterr().err
