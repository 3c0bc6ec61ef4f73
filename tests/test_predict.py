import json

import numpy as np
import pytest

from pointkit import formats, metrics, preprocess
from pointkit.cli import run
from pointkit.cloud import Mesh, PointCloud
from pointkit.errors import FormatError, RunError
from pointkit.evaluate import split_logits
from pointkit.predict import Predictor, find_files
from pointkit.prepare import prepare


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor(tiny_run)


@pytest.fixture
def files(tiny_store, tmp_path):
    """The test shapes of the store as files of their own, with their class names."""
    chosen = tiny_store.select("test")
    paths = []
    for i in chosen:
        paths.append(tmp_path / f"{i:03d}.xyz")
        formats.write(paths[-1], PointCloud(tiny_store.cloud(i)))
    return paths, [tiny_store.rows[i].class_name for i in chosen]


def said(capsys):
    captured = capsys.readouterr()
    return [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_a_file_is_seen_as_prepared_and_answered_as_evaluated(predictor, tiny_store, tmp_path):
    contract = predictor.facts["input"]
    for i in range(len(tiny_store.rows)):
        path = tmp_path / "set" / tiny_store.rows[i].class_name / f"{i:03d}.xyz"
        path.parent.mkdir(parents=True, exist_ok=True)
        formats.write(path, PointCloud(tiny_store.cloud(i)))
    store = prepare(tmp_path / "set", tmp_path / "store", num_points=contract["drawn"], seed=contract["seed"]).store
    measured = metrics.softmax(split_logits(predictor, store, "test"))
    paths = [tmp_path / "set" / store.rows[i].file for i in store.select("test")]
    answers = [answer.probabilities for _, answer in predictor.files(paths)]
    np.testing.assert_array_equal(answers, measured)
    assert len(np.unique(measured[:, 0])) == len(measured)  # the network tells the shapes apart, if not yet rightly


def test_probabilities_are_those_of_all_classes_and_name_the_two_best(predictor, tiny_store):
    answer = predictor.shape(PointCloud(tiny_store.cloud(0)))
    order = np.argsort(-answer.probabilities)
    assert answer.probabilities.sum() == pytest.approx(1)
    assert answer.class_name == predictor.classes[order[0]]
    assert answer.runner_up == predictor.classes[order[1]]
    assert answer.probability == answer.probabilities[order[0]]


def test_a_file_alone_is_answered_bit_for_bit_as_among_others_and_elsewhere(predictor, files, tmp_path):
    paths, _ = files
    together = {path: answer.probabilities for path, answer in predictor.files(paths)}
    backwards = {path: answer.probabilities for path, answer in predictor.files(paths[::-1])}
    moved = tmp_path / "elsewhere.xyz"
    moved.write_bytes(paths[1].read_bytes())
    for other in (predictor.file(paths[1]), predictor.file(moved)):
        np.testing.assert_array_equal(other.probabilities, together[paths[1]])
    assert all((backwards[path] == together[path]).all() for path in paths)


def test_scale_and_place_of_a_shape_do_not_matter(predictor, tiny_store):
    points = tiny_store.cloud(3)
    near = predictor.logits(preprocess.normalise(points[None, :64])[0])
    far = predictor.logits(preprocess.normalise(points[None, :64] * 1000 + 50)[0])
    np.testing.assert_allclose(far, near, atol=1e-2)


def test_logits_of_any_number_of_clouds_are_padded_to_one_size(predictor, tiny_store):
    points = np.stack([preprocess.normalise(tiny_store.cloud(i % 20)[:64])[0] for i in range(35)])
    points.flags.writeable = False
    whole = predictor.logits(points)
    assert whole.shape == (35, len(predictor.classes))
    np.testing.assert_array_equal(predictor.logits(points[:3]), whole[:3])


def test_warns_of_far_fewer_points_and_of_a_mesh_without_faces(predictor):
    few = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    assert predictor.shape(PointCloud(few)).warnings == (
        f"only 5 points, the network was trained on {predictor.num_points}",
    )
    bare = Mesh(np.random.default_rng(0).standard_normal((200, 3)), np.zeros((0, 3), int))
    assert predictor.shape(bare).warnings == ("mesh without faces: its vertices are taken as a cloud",)


def test_goes_on_after_a_bad_file(predictor, files):
    paths, _ = files
    bad = paths[0].with_name("bad.off")
    bad.write_text("OFF\n3 1 0\n0 0 0\n")
    answers = dict(predictor.files([paths[0], bad, paths[1]]))
    assert isinstance(answers[bad], FormatError)
    assert str(bad) in str(answers[bad])
    assert not isinstance(answers[paths[1]], Exception)
    with pytest.raises(FormatError):
        predictor.file(bad)
    with pytest.raises(FileNotFoundError):
        predictor.file(bad.with_name("missing.off"))


def test_finds_the_files_of_folders_in_order(tmp_path):
    for name in ("b/2.off", "a/1.PLY", "a/notes.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    found, problems = find_files([tmp_path, tmp_path / "empty", tmp_path / "x.off"])
    assert found == [tmp_path / "a/1.PLY", tmp_path / "b/2.off", tmp_path / "x.off"]
    assert [str(problem).split(": ")[0] for problem in problems] == [str(tmp_path / "empty")]


def test_what_a_folder_says_of_itself_is_not_asked_for_its_class(tmp_path):
    for name in ("README.txt", "a/readme.TXT", "LICENSE.txt", "a/1.off"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("about")
    assert find_files([tmp_path]) == ([tmp_path / "a/1.off"], [])
    assert find_files([tmp_path / "README.txt"]) == ([tmp_path / "README.txt"], []), "what the user names is asked for"


def test_json_holds_what_others_rely_on_and_nothing_else_is_printed(tiny_run, files, capsys):
    paths, _ = files
    assert run(["predict", str(tiny_run), str(paths[0]), str(paths[1]), "--json"]) == 0
    lines, _ = said(capsys)
    assert [set(line) for line in lines] == [{"file", "class", "probability", "runner_up", "warnings"}] * 2
    assert [line["file"] for line in lines] == [str(path) for path in paths[:2]]


def test_one_bad_file_among_good_ones_exits_2_with_one_line(tiny_run, files, capsys):
    paths, _ = files
    bad = paths[0].with_name("bad.ply")
    bad.write_bytes(b"ply\nformat ascii 1.0\n")
    assert run(["predict", str(tiny_run), str(bad), str(paths[0]), str(paths[0].with_name("no.off")), "--json"]) == 2
    lines, err = said(capsys)
    assert len(lines) == 1
    named = [line for line in err.splitlines() if line.startswith("pointkit: ")]
    assert len(named) == 2
    assert str(bad) in named[0]
    assert "no.off" in named[1]


def test_refuses_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match="not a run"):
        Predictor(tmp_path)


def test_a_stranger_run_cannot_name_another_network(tiny_run, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_run, copy)
    facts = json.loads((copy / "run.json").read_text())
    facts["settings"]["widths"] = "paper"
    (copy / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match="weights do not fit its settings"):
        Predictor(copy)
