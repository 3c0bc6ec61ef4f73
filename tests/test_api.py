"""The commands as functions: their arguments are the flags, text is as good as a path, and nothing is printed."""

import inspect
import logging
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest

import pointkit
from pointkit import Mesh, PointCloud, api, datasets, formats, notebook, run_folder, store, synthetic
from pointkit.answers import find_files
from pointkit.api import progress
from pointkit.cli import app
from pointkit.config import RULES, seeded
from pointkit.datasets.asked import Said
from pointkit.errors import PointkitError, StoreError
from pointkit.info import describe
from pointkit.models.families import FAMILIES
from pointkit.prepare.survey import look
from tests import shapes

# What a flag is called in Python, or None where it makes no sense there.
ELSEWHERE = {"json": None, "dry_run": None, "help": None, "version": None, "quiet": None}


@pytest.fixture
def files(tmp_path):
    """A folder of two classes, three files each."""
    rng = np.random.default_rng(0)
    for i in range(3):
        for name in ("box", "stick"):
            path = tmp_path / f"files/{name}/{i}.xyz"
            path.parent.mkdir(parents=True, exist_ok=True)
            formats.write(path, shapes.MAKERS[name](rng, 80))
    return tmp_path / "files"


@pytest.fixture
def run(tiny_run, tmp_path):
    return pathlib.Path(shutil.copytree(tiny_run, tmp_path / "run"))


def flags(command):
    """The flags of a command, as Python's words."""
    names = {name for argument in app[command].assemble_argument_collection() for name in argument.names}
    words = {name[2:].replace("-", "_") for name in names if name.startswith("--")}
    return {ELSEWHERE.get(word, word) for word in words} - {None}


@pytest.mark.parametrize("command", ["prepare", "learn", "train", "evaluate", "predict", "view"])
def test_every_flag_is_an_argument(command):
    arguments = set(inspect.signature(getattr(api, command)).parameters)
    if command in ("prepare", "learn"):
        arguments |= set(Said.__annotations__)
    if command == "train":
        arguments |= {*RULES, *(name for family in FAMILIES.values() for name in family.settings)}
    assert flags(command) - arguments == set()


@pytest.mark.parametrize("command", ["prepare", "learn", "train", "evaluate", "predict", "view"])
def test_every_argument_is_described(command):
    function = getattr(api, command)
    described = inspect.getdoc(function).partition("Parameters\n")[2]
    for name in inspect.signature(function).parameters:
        assert f"\n{name}\n    " in described, name


# ---- what is made


def test_prepare_makes_the_store_of_the_command(files, tmp_path, capsys):
    made = pointkit.prepare(str(files), str(tmp_path / "a"), classes=["box", "stick"], num_points=64, split="40/30/30")
    assert app(["prepare", str(files), "-o", str(tmp_path / "b"), "--num-points", "64", "--split", "40/30/30"],
               result_action="return_value") is None  # fmt: skip
    assert made.store.checksum == store.open(tmp_path / "b").checksum
    capsys.readouterr()
    again = pointkit.prepare(files, tmp_path / "a", num_points=64, split="40/30/30", classes="box,stick")
    assert again.already
    assert capsys.readouterr() == ("", "")


def test_lists_and_mappings_stand_for_words(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    for i in range(6):
        table = np.column_stack([rng.random((50, 3)), rng.integers(3, 5, 50)])
        np.savetxt(tmp_path / f"scans/{i}.txt", table, fmt="%g")
    made = pointkit.prepare(
        tmp_path / "scans",
        tmp_path / "store",
        task="parts",
        columns=["x", "y", "z", "label"],
        names={3: "top", 4: "leg"},
    )
    assert list(made.store.parts.values()) == [("top", "leg")]


@pytest.mark.compiles
def test_train_trains_and_takes_a_store_for_its_folder(tiny_store, tmp_path, capsys):
    how = {"model": "small", "num_points": 64, "batch_size": 8, "epochs": 1}
    outcome = pointkit.train(tiny_store, str(tmp_path / "run"), **how)
    assert (outcome.path, len(outcome.history), outcome.already) == (tmp_path / "run", 1, False)
    assert pointkit.train(str(tiny_store.path), outcome, **how).already
    several = pointkit.train(tiny_store.path, tmp_path / "runs", seeds=range(2), **how)
    assert [one.path.name for one in several] == ["seed-0", "seed-1"]
    first = run_folder.load_checkpoint(str(several[0].path))[0]
    assert first.progress.epoch == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"epoch": 3}, "unknown setting 'epoch' (did you mean 'epochs'?)"),
        ({"epochs": "3"}, "epochs must be of type int, got '3'"),
        ({"epochs": True}, "epochs must be of type int, got True"),
        ({"seed": 1, "seeds": [1, 2]}, "seed and seeds exclude each other"),
        ({"seeds": "1,a"}, "whole numbers"),
        ({"backend": "mxnet"}, "KERAS_BACKEND must be one of jax, torch, tensorflow, got 'mxnet'"),
        ({"recipe": "best"}, "recipe 'best' is neither a file nor one of"),
        ({"model": "small", "widths": "half"}, "widths is a setting of pointnet and"),
    ],
)
def test_train_refuses_what_it_does_not_know(tiny_store, tmp_path, monkeypatch, how, words):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(PointkitError) as caught:
        pointkit.train(tiny_store, tmp_path / "run", **how)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_prepare_refuses_what_it_does_not_know(files, tmp_path):
    with pytest.raises(TypeError, match=r"unknown argument 'colums' \(did you mean 'columns'"):
        pointkit.prepare(files, tmp_path / "store", colums="x")
    with pytest.raises(PointkitError, match=r"task must be one of classification, parts, got 'part' \(did you mean"):
        pointkit.prepare(files, tmp_path / "store", task="part")
    assert not (tmp_path / "store").exists()


@pytest.mark.compiles
def test_evaluate_takes_runs_in_every_form(run, tiny_store, tmp_path):
    shutil.copytree(run, tmp_path / "other")
    once = pointkit.evaluate(pointkit.Predictor(str(run)), store=str(tiny_store.path))
    assert once.page == run / "report.html"
    assert once.reports[0]["num_shapes"] == 9
    both = pointkit.evaluate(run, against=str(tmp_path / "other"), split="val")
    assert [len(group) for group in both.groups.values()] == [1, 1]
    with pytest.raises(PointkitError, match="split must be one of train, val, test, got 'tset'"):
        pointkit.evaluate(run, split="tset")
    with pytest.raises(PointkitError, match="protocol must be one of"):
        pointkit.evaluate(run, protocol="reference-c")


@pytest.mark.compiles
def test_predict_answers_files_and_shapes_alike(run, tmp_path, capsys):
    cloud = shapes.box(np.random.default_rng(5), 80)
    formats.write(tmp_path / "new.ply", cloud)
    predictor = pointkit.Predictor(run)
    by_file = pointkit.predict(str(run), str(tmp_path / "new.ply"))[tmp_path / "new.ply"].answer
    answers = pointkit.predict(predictor, cloud, PointCloud(cloud), cloud.astype(np.float64).tolist())
    assert list(answers) == [0, 1, 2]
    for result in answers.values():
        assert np.array_equal(result.answer.probabilities, by_file.probabilities)
    assert capsys.readouterr() == ("", "")


@pytest.mark.compiles
def test_predict_keeps_what_went_wrong_beside_the_answers(run, tmp_path):
    (tmp_path / "in/empty").mkdir(parents=True)
    formats.write(tmp_path / "in/good.ply", shapes.box(np.random.default_rng(5), 80))
    (tmp_path / "in/bad.ply").write_text("no ply")
    answers = pointkit.predict(run, tmp_path / "in/empty", tmp_path / "in", tmp_path / "gone.ply")
    assert set(answers) == {tmp_path / name for name in ("in/empty", "in/bad.ply", "in/good.ply", "gone.ply")}
    assert set(answers.problems) == {tmp_path / name for name in ("in/empty", "in/bad.ply", "gone.ply")}
    assert answers[tmp_path / "in/good.ply"].answer.class_name in shapes.CLASSES
    for lost in ("gone.ply", "in/empty"):
        with pytest.raises((PointkitError, OSError), match=lost):
            pointkit.predict(run, tmp_path / lost)
    mixed = pointkit.predict(run, np.zeros((0, 3)), shapes.box(np.random.default_rng(5), 80))
    assert list(mixed.problems) == [0]


@pytest.mark.compiles
def test_predict_of_parts_writes_labelled_files_for_files_alone(tiny_parts_run, tmp_path):
    cloud = shapes.stick(np.random.default_rng(5), 120)
    normals = cloud / np.linalg.norm(cloud, axis=1, keepdims=True)
    shape = PointCloud(cloud, dict(zip(("nx", "ny", "nz"), normals.T, strict=True)))
    formats.write(tmp_path / "new.ply", shape)
    told = pointkit.predict(tiny_parts_run, tmp_path / "new.ply", category="stick", output=str(tmp_path / "out"))
    written = told[tmp_path / "new.ply"].written
    assert written.parent == tmp_path / "out"
    alone = pointkit.predict(tiny_parts_run, shape, category="stick")[0]
    assert alone.written is None
    assert np.array_equal(formats.read(written).fields["label"], alone.answer.labels)
    with pytest.raises(PointkitError, match="shapes and arrays are answered alone"):
        pointkit.predict(tiny_parts_run, shape, output=tmp_path / "out")


def test_predict_needs_something_to_answer(tmp_path):
    with pytest.raises(PointkitError, match="needs a file or folder, got none"):
        pointkit.predict(tmp_path / "run")


def test_view_looks_at_files_shapes_and_arrays(tmp_path):
    mesh = synthetic.make("mug", "stein", 1)
    seen = pointkit.view(mesh, str(tmp_path / "mug.png"))
    assert seen.path == tmp_path / "mug.png"
    assert seen.path.read_bytes().startswith(b"\x89PNG")
    formats.write(tmp_path / "mug.ply", mesh)
    assert pointkit.view(str(tmp_path / "mug.ply")).scene.title.startswith("mug.ply: 596 vertices")
    assert pointkit.view(np.eye(3)).scene.title == "3 points"
    with pytest.raises(PointkitError, match="exists already"):
        pointkit.view(mesh, tmp_path / "mug.png")
    for nothing, words in ((np.zeros((0, 3)), "at least one point"), (5, "got int"), (np.zeros((4, 2)), r"\(4, 2\)")):
        with pytest.raises(PointkitError, match=words):
            pointkit.view(nothing)


# ---- text is as good as a path


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda place, run: store.open(f"{place}/store"), id="store.open"),
        pytest.param(lambda place, run: describe(f"{place}/store"), id="info.describe"),
        pytest.param(lambda place, run: look(f"{place}/files"), id="survey.look"),
        pytest.param(lambda place, run: find_files([f"{place}/files"]), id="answers.find_files"),
        pytest.param(lambda place, run: shapes.write_tiny(f"{place}/again"), id="store.write"),
        pytest.param(lambda place, run: pointkit.view.view(f"{place}/a.ply", f"{place}/a.png"), id="view.view"),
        pytest.param(lambda place, run: formats.write(f"{place}/b.ply", np.eye(3)), id="formats.write"),
        pytest.param(lambda place, run: run_folder.find_runs(f"{run}"), id="run_folder.find_runs"),
        pytest.param(lambda place, run: run_folder.read_facts(f"{run}"), id="run_folder.read_facts"),
        pytest.param(lambda place, run: run_folder.load_checkpoint(f"{run}"), id="run_folder.load_checkpoint"),
        pytest.param(lambda place, run: seeded(None, f"{place}/runs", None)[0][0].name, id="config.seeded"),
    ],
)
def test_text_is_as_good_as_a_path(call, files, tiny_run, tiny_store, tmp_path):
    shutil.copytree(tiny_store.path, tmp_path / "store")
    formats.write(tmp_path / "a.ply", np.eye(3))
    assert call(tmp_path, tiny_run) is not ...  # it does not raise


def test_text_is_as_good_as_a_path_for_a_data_set(tmp_path):
    with pytest.raises(PointkitError, match=r"no\.zip: no such file"):
        datasets.find("modelnet10").fetch(str(tmp_path), source=f"{tmp_path}/no.zip")


@pytest.mark.compiles
def test_text_is_as_good_as_a_path_for_runs(tiny_store, run, tmp_path):
    from pointkit.answers import results
    from pointkit.config import Settings
    from pointkit.evaluate import evaluate
    from pointkit.evaluate.groups import evaluate_groups
    from pointkit.train import train

    formats.write(tmp_path / "a.ply", shapes.box(np.random.default_rng(5), 80))
    assert evaluate(str(run), store_path=str(tiny_store.path))["num_shapes"] == 9
    assert evaluate_groups([str(run)], store_path=str(tiny_store.path)).page == run / "report.html"
    settings = Settings(model="small", num_points=64, batch_size=8, epochs=2)
    assert train(tiny_store, str(run), settings).already
    ((file, _),) = results(pointkit.Predictor(run), [str(tmp_path / "a.ply")], output=str(tmp_path / "out"))
    assert file == tmp_path / "a.ply"


# ---- progress


@pytest.mark.parametrize(("wanted", "inside", "shown"), [(None, True, 1), (None, False, 0), (False, True, 0)])
def test_bars_are_shown_in_notebooks(files, tmp_path, monkeypatch, wanted, inside, shown):
    bars = []
    monkeypatch.setattr(notebook, "running", lambda: inside)
    monkeypatch.setattr(notebook.Bar, "show", lambda self, done, total, *_: bars.append((done, total)))
    pointkit.prepare(files, tmp_path / "store", workers=1, progress=wanted)
    assert bool(bars) == bool(shown)
    assert not bars or bars[-1] == (6, 6)


def test_asked_for_outside_of_a_notebook_bars_are_the_command_lines(tmp_path):
    from pointkit.console import Work
    from pointkit.console.training import TrainingBar

    with progress.watch(True, {}, "because")(tmp_path) as watcher:
        assert isinstance(watcher, TrainingBar)
    with progress.watch(None, {}, "because")(tmp_path) as watcher:
        assert type(watcher) is notebook.Quiet
    with progress.bars(True, "x") as move:
        move(1, 2, {})
    with progress.waiting(True) as waiting:
        assert isinstance(waiting, Work)
    with progress.waiting(None) as waiting:
        assert waiting is None


@pytest.mark.compiles
def test_what_the_command_line_notes_goes_to_the_logger(tiny_store, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "pointkit"):
        pointkit.train(tiny_store, tmp_path / "run", model="small", num_points=4096, batch_size=8, epochs=1)
    assert "the network sees 96, not 4096" in caplog.text


# ---- a backend


def test_a_backend_is_refused_once_keras_runs_on_another(monkeypatch, tmp_path):
    class Keras:
        class backend:
            backend = staticmethod(lambda: "jax")

    monkeypatch.setitem(sys.modules, "keras", Keras)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr("pointkit.machine.importlib.util.find_spec", lambda name: object())  # as if all were installed
    with pytest.raises(PointkitError, match="Keras already runs on jax in this Python; torch needs a new one"):
        pointkit.predict(tmp_path, "x.ply", backend="torch")
    with pytest.raises(StoreError, match="does not exist"):
        pointkit.train(tmp_path / "none", tmp_path / "run", backend="jax")


def test_what_is_returned_stands_for_its_folder(tiny_store, tmp_path):
    assert os.fspath(tiny_store) == str(tiny_store.path)
    assert store.open(tiny_store).checksum == tiny_store.checksum
    assert isinstance(Mesh(np.eye(3), [[0, 1, 2]]), Mesh)
