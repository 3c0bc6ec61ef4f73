"""The points that decided an answer, back in the user's file: counted, drawn, and enough for the same answer."""

import json

import keras
import numpy as np
import pytest

from pointkit import explain, formats, marking, models, outputs, preprocess
from pointkit.answers import find_files, results
from pointkit.asking import Query, Seen
from pointkit.cli import run
from pointkit.cloud import Mesh, Placement, PointCloud
from pointkit.errors import PointkitError
from pointkit.predict import Predictor
from tests import shapes, towers
from tests.annotated import stripped
from tests.runs import untrained

UTM = Placement(origin=[665187.0, 5648349.0, 241.0])
MEAN = {"settings.model": "mean", "settings.units": ...}


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor(tiny_run)


def explained(predictor, path, **how):
    result = dict(results(predictor, [path], explained=True, **how))[path]
    if isinstance(result, Exception):
        raise result
    return result


def cloud(count=900, **fields):
    rng = np.random.default_rng(5)
    return PointCloud(
        shapes.stick(rng, count), {"ring": rng.integers(0, 9, count).astype("uint8"), **fields}, None, UTM
    )


def assert_enough(predictor, points, marks):
    """The marked points alone are answered as all."""
    deciding = points[marks > 0]
    assert 0 < len(deciding) < len(points)
    whole, some = (preprocess.normalise(points)[0] for _ in range(2))
    some = some[marks > 0]
    np.testing.assert_allclose(predictor.logits(some[None]), predictor.logits(whole[None]), rtol=1e-5, atol=1e-5)


def test_the_marked_points_alone_give_the_same_answer(predictor, tmp_path):
    path = tmp_path / "one.pcd"
    formats.write(path, cloud())
    result = explained(predictor, path)
    before, after = formats.read(path), formats.read(result.written)
    np.testing.assert_array_equal(after.points, before.points)
    np.testing.assert_array_equal(after.placement.origin, before.placement.origin)
    np.testing.assert_array_equal(after.fields["ring"], before.fields["ring"])
    marks = after.fields["critical"]
    assert marks.dtype == np.uint8
    seen = preprocess.draw(before, predictor.contract.drawn, predictor.contract.seed).index[: predictor.num_points]
    assert not np.delete(marks, seen).any()
    assert_enough(predictor, before.points[seen], marks[seen])
    said = result.explanation
    assert (said.decided, said.turned) == ((marks == 2).sum(), (marks == 1).sum())
    assert said.decided + said.turned + said.others == len(seen)
    assert result.written == tmp_path / "one.explained.pcd"
    assert result.explanation.picture == tmp_path / "one.explained.png"
    assert result.explanation.picture.read_bytes()[:4] == b"\x89PNG"
    assert result.answer.class_name == predictor.file(path).class_name
    assert find_files([tmp_path]).files == [path]


def test_an_explained_cloud_is_the_source_and_one_field(predictor, tmp_path):
    path = tmp_path / "one.xyz"
    points = shapes.stick(np.random.default_rng(0), 90)
    path.write_text("# x y z\n" + "".join(f"{x:+.4f}  {y:.5e}\t{z:.3f}\n" for x, y, z in points))
    result = explained(predictor, path)
    marks = formats.read(result.written).fields["critical"]
    data = result.written.read_bytes()
    assert (
        stripped(data, ".xyz", {"critical": marks}, [*explain.NOTES, outputs.marked(result.written)])
        == path.read_bytes()
    )
    for note in explain.NOTES:
        assert note.encode() in data


@pytest.mark.parametrize("quads", [False, True])
def test_a_meshs_drawn_points_are_marked(predictor, tmp_path, quads):
    path = tmp_path / ("one.ply" if quads else "one.off")
    if quads:
        path.write_bytes(towers.ply(20))
    else:
        square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
        formats.write(path, Mesh(square, np.array([[0, 1, 2], [0, 2, 3]], np.int32)))
    result = explained(predictor, path, output=tmp_path)
    assert result.written == tmp_path / "one.explained.ply"
    written = formats.read(result.written)
    drawn = preprocess.draw(formats.read(path), predictor.contract.drawn, predictor.contract.seed).points
    np.testing.assert_array_equal(written.points, drawn[: predictor.num_points])
    assert list(written.fields) == ["critical"]
    assert_enough(predictor, written.points, written.fields["critical"])


def test_the_picture_names_the_file_and_its_answer(predictor, tmp_path, monkeypatch):
    headings = []
    monkeypatch.setattr(explain, "draw", lambda target, points, marks, heading: headings.append(heading))
    formats.write(tmp_path / "one.pcd", cloud())
    answer = explained(predictor, tmp_path / "one.pcd").answer
    assert headings == [f"one.pcd: {answer.class_name} {100 * answer.probability:.1f} %"]


def test_a_small_cloud_is_marked_where_its_points_are_first_seen(predictor, tmp_path):
    formats.write(tmp_path / "one.xyz", cloud(10))
    result = explained(predictor, tmp_path / "one.xyz")
    said = result.explanation
    assert said.decided + said.turned + said.others == 10
    assert said.decided > 0
    assert "only 10 points" in result.answer.warnings[0].text


def test_every_window_of_a_labelled_cloud_has_its_deciding_points(tiny_parts_run, tmp_path):
    """With a network that has T-Nets: some points have turned the cloud, and no more."""
    predictor = Predictor(tiny_parts_run)
    network = predictor.task.network
    predictor.model = models.segmenter(
        "pointnet", network["num_classes"], widths="half", seed=0, parts=network["parts"]
    )
    rng = np.random.default_rng(0)
    predictor.reference = None  # it is of another network
    for weight in predictor.model.weights:  # T-Nets that turn
        weight.assign(weight + 0.02 * rng.random(weight.shape))
    path = tmp_path / "one.ply"
    for name in "ab":
        (tmp_path / name).mkdir()
    formats.write(path, cloud(700, critical=np.arange(700, dtype="int32")))
    plain = dict(results(predictor, [path], category="stick", output=tmp_path / "a"))[path]
    result = explained(predictor, path, category="stick", output=tmp_path / "b")
    before, after = formats.read(plain.written), formats.read(result.written)
    for name in ("label", "probability"):
        np.testing.assert_array_equal(after.fields[name], before.fields[name])
    assert list(after.fields) == ["ring", "source_critical", "label", "probability", "critical"]
    np.testing.assert_array_equal(after.fields["source_critical"], np.arange(700))
    assert result.explanation.picture == tmp_path / "b" / "one.explained.png"
    assert result.written == tmp_path / "b" / "one.labelled.ply"
    drawn = preprocess.draw(formats.read(path), 1, predictor.contract.seed, whole=True)
    marks = after.fields["critical"][drawn.index]
    for places in preprocess.windows(700, predictor.num_points):
        assert (marks[places] == 2).any()
    said = result.explanation
    assert (said.decided, said.turned, said.others) == tuple((marks == mark).sum() for mark in (2, 1, 0))
    assert said.turned > 0
    assert plain.explanation is None


def test_a_point_in_two_windows_keeps_the_stronger_mark(tiny_parts_run):
    """The second window goes round the end, so some points of the first are seen once more."""
    predictor = Predictor(tiny_parts_run)
    points = shapes.stick(np.random.default_rng(1), 70)
    points[64:] = np.repeat(np.eye(3), 2, 0) * [
        [4],
        [-4],
        [4],
        [-4],
        [4],
        [-4],
    ]  # they win all that others have won before
    query = Query(points, None, 1)
    [found] = marking.critical(predictor, predictor.asker, [query])
    wanted = np.zeros((2, 70), np.uint8)
    windows = preprocess.windows(70, predictor.num_points)
    for row, places in zip(wanted, windows, strict=True):
        row[places] = predictor.marks(predictor.inputs([(query, places)]))[0]
    again = np.intersect1d(*windows)
    assert (wanted[0, again] > wanted[1, again]).any()
    np.testing.assert_array_equal(found, wanted.max(0))


def test_the_strongest_mark_of_its_points_is_a_faces(tmp_path):
    drawn = preprocess.Drawn(np.zeros((5, 3), np.float32), np.array([3, 0, 3, 1, 0]))
    marks = np.array([2, 0, 1, 1, 0], np.uint8)
    marks.flags.writeable = False
    found = explain.fields(Seen(drawn, None, 4), {"critical": marks})
    assert found["critical"].tolist() == [0, 1, 0, 2]


def test_two_files_of_one_name_and_a_bad_one(predictor, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        formats.write(tmp_path / name / "one.xyz", cloud(50))
    both = [tmp_path / "a/one.xyz", tmp_path / "b/one.xyz"]
    with pytest.raises(PointkitError, match=r"both .*a/one\.xyz and .*b/one\.xyz would be written here"):
        results(predictor, both, output=tmp_path, explained=True)
    (tmp_path / "bad.off").write_text("OFF\n1")
    answers = dict(results(predictor, [tmp_path / "bad.off", both[0]], explained=True))
    assert isinstance(answers[tmp_path / "bad.off"], PointkitError)
    assert answers[both[0]].written.exists()


class TestNetworksWhosePointsMeetElsewhere:
    """``mean`` has a maximum, and a mean before it: all points have an influence, some neighbourhoods win."""

    @pytest.mark.parametrize("parts", [False, True])
    def test_the_command_writes_the_influence_of_each_point(self, tiny_run, tiny_parts_run, tmp_path, capsys, parts):
        path = untrained(tiny_parts_run if parts else tiny_run, tmp_path / "run", **MEAN)
        file = tmp_path / "stick" / "one.xyz"
        file.parent.mkdir()
        formats.write(file, cloud(90))
        ask = ["predict", str(path), str(file), "--explain"]
        assert run(ask) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        assert run([*ask, "--json", "-o", str(tmp_path / "out")]) == 0
        said = json.loads(capsys.readouterr().out)
        written = tmp_path / "out" / f"one.{'labelled' if parts else 'explained'}.xyz"
        assert said["output"] == str(written)
        after = formats.read(written).fields
        influence, critical = after["influence"], after["critical"]
        assert set(np.unique(critical)) == {0, 2}
        assert influence.max() == 1
        seen = 90 if parts else 64
        assert (influence > 0).sum() == seen
        assert said["critical"] == {"won": (critical == 2).sum(), "others": seen - (critical == 2).sum()}
        falling = np.sort(influence)[::-1].cumsum()
        half = int((falling < falling[-1] / 2).sum()) + 1
        assert said["influence"] == {"half": half, "points": seen}
        assert f"{half} of {seen} points hold half of the influence (a gradient: how much the answer would" in line
        assert "not what decided it" in line
        assert f"{said['critical']['won']} neighbourhoods won a channel" in line
        for note in explain.notes(after):
            assert note in written.read_text()
        assert explain.NOTES[1] not in written.read_text()
        assert written.with_name("one.explained.png").read_bytes()[:4] == b"\x89PNG"
        assert run([*ask, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["skipped"]

    def test_the_gradients_of_all_windows_are_summed(self, tiny_parts_run, tmp_path):
        predictor = Predictor(untrained(tiny_parts_run, tmp_path / "run", **MEAN))
        query = Query(shapes.stick(np.random.default_rng(1), 70), None, 1)
        [found] = marking.gradients(predictor, predictor.asker, [query])
        whole = np.zeros((70, 3), np.float32)
        for places in preprocess.windows(70, predictor.num_points):
            np.add.at(whole, places, predictor.gradients(predictor.inputs([(query, places)]))[0, :, :3])
        np.testing.assert_allclose(found[:, :3], whole, rtol=1e-5, atol=1e-6)

    def test_an_answer_that_no_point_can_change_is_refused_in_a_line(self, tiny_run, tmp_path):
        predictor = Predictor(untrained(tiny_run, tmp_path / "run", **MEAN))
        for weight in predictor.model.trainable_weights:
            weight.assign(weight * 0)
        formats.write(tmp_path / "one.xyz", cloud(90))
        with pytest.raises(PointkitError, match=r"one\.xyz: cannot be explained, as no small move of a point would"):
            explained(predictor, tmp_path / "one.xyz")
        assert not (tmp_path / "one.explained.xyz").exists()

    def test_a_family_that_promises_too_much_is_found_out(self, tiny_run):
        predictor = Predictor(tiny_run)
        points = keras.Input((None, 3), name="points")
        mean = keras.layers.GlobalAveragePooling1D(name="mean")(points)
        predictor.model = keras.Model(points, keras.layers.Dense(3)(mean))
        with pytest.raises(PointkitError, match=rf"^{tiny_run}: points must meet in pooled maxima alone, .* mean"):
            predictor.marks(np.zeros((1, 64, 3), np.float32))


def test_the_command(tiny_run, tmp_path, capsys):
    path = tmp_path / "stick" / "one.xyz"
    path.parent.mkdir()
    formats.write(path, cloud(300))
    out = tmp_path / "out"
    assert run(["predict", str(tiny_run), str(path), "--explain", "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"file", "class", "probability", "runner_up", "warnings", "output", "picture", "critical"}
    assert said["output"] == str(out / "one.explained.xyz")
    assert list(said["critical"]) == ["decided", "turned", "others"]
    assert sum(said["critical"].values()) == 64
    assert (out / "one.explained.png").samefile(said["picture"])
    assert run(["predict", str(tiny_run), str(path), "--explain"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{path}  ")
    decided = f"{said['critical']['decided']} of 64 points decided, {said['critical']['turned']} more turned the cloud"
    written = path.with_name("one.explained.xyz")
    assert second == f"  {written}: {decided}; {written.with_suffix('.png')}"


def test_the_command_on_parts(tiny_parts_run, tmp_path, capsys):
    path = tmp_path / "stick" / "one.xyz"
    path.parent.mkdir()
    formats.write(path, cloud(300))
    assert run(["predict", str(tiny_parts_run), str(path), "--explain", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"file", "output", "category", "parts", "probability", "warnings", "picture", "critical"}
    assert said["output"] == str(path.with_name("one.labelled.xyz"))
    assert said["picture"] == str(path.with_name("one.explained.png"))
    assert sum(said["critical"].values()) == 300
