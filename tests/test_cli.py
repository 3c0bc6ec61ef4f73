"""Mistakes get one line and an exit code; results go to standard output alone."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pointkit import cli, config, console, formats, store
from pointkit.cli import app, run
from pointkit.cloud import Mesh, PointCloud
from pointkit.config import MEANT_FOR
from pointkit.models.families import FAMILIES


def complaint(capsys, arguments, code=2):
    """The one line on standard error of a command that must fail with ``code``."""
    assert run([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("pointkit: ")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.fixture
def two_classes(tmp_path):
    """A folder of two classes, twelve clouds each."""
    rng = np.random.default_rng(0)
    for name in ("box", "line"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(12):
            points = rng.uniform(-1, 1, (40, 3)) * ((1, 1, 1) if name == "box" else (1, 0.01, 0.01))
            formats.write(tmp_path / "set" / name / f"{i}.xyz", PointCloud(points.astype("float32")))
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ['"trian"', '"train"']),
        (["train", "S", "-o", "R", "--epoch", "3"], ["--epoch", "--epochs", "pointkit train --help"]),
        (["train", "S", "-o", "R", "--epochs", "three"], ["--epochs", "three"]),
        (["train", "S", "-o", "R", "--epochs", "2.5"], ["--epochs", "whole number", "'2.5'"]),
        (["evaluate", "R", "--draws=-3"], ["draws", "at least 0", "-3"]),
        (["train", "S"], ["-o", "needs"]),
        (["predict"], ["needs RUN, got none", "predict --help"]),
        (["train", "S", "T", "-o", "R"], ["unexpected argument 'T'", "train --help"]),
        (["train", "S", "-o", "R", "--class-weight", "even"], ["even"]),
        (["fetch", "modelnet11", "D"], ["modelnet11", "modelnet10"]),
        (["info", "--recipe", "modelnet10-referense"], ["modelnet10-referense", "did you mean 'modelnet10-reference'"]),
        (["evaluate"], ["needs a run"]),
        (["view", "missing.off"], ["missing.off", "No such file"]),
        (["info", "missing.off"], ["missing.off", "No such file"]),
        (["info", "missing.xyzzy"], ["missing.xyzzy"]),
        (["train", "missing", "-o", "R"], ["missing", "not a store"]),
        (["evaluate", "missing"], ["missing", "not a run"]),
        (["predict", "missing", "a.off"], ["missing", "not a run"]),
        (["prepare", "missing", "-o", "S"], ["missing"]),
    ],
)
def test_a_slip_gets_one_line_that_names_it(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = complaint(capsys, arguments)
    for word in words:
        assert word.lower() in line.lower()
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_with_a_slip_names_file_and_key(capsys, tiny_store, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("epoch = 3\n")
    line = complaint(capsys, ["train", tiny_store.path, "-o", tmp_path / "run", "--recipe", recipe])
    assert str(recipe) in line
    assert "'epoch'" in line
    assert "'epochs'" in line
    recipe.write_text("epochs = \n")
    assert "not TOML" in complaint(capsys, ["train", tiny_store.path, "-o", tmp_path / "run", "--recipe", recipe])
    assert not (tmp_path / "run").exists()


def test_an_empty_folder_and_a_single_class_cannot_be_prepared(capsys, two_classes, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in complaint(capsys, ["prepare", tmp_path / "empty", "-o", tmp_path / "S"])
    shutil.rmtree(two_classes / "box")
    assert "class" in complaint(capsys, ["prepare", two_classes, "-o", tmp_path / "S"])
    assert not (tmp_path / "S").exists()


def test_a_class_without_training_shapes_can_be_prepared_but_not_trained_on(capsys, two_classes, tmp_path):
    for split, numbers in (("train", range(8)), ("test", range(8, 12))):
        for name in ("box", "line"):
            (two_classes / name / split).mkdir()
            for i in numbers:
                (two_classes / name / f"{i}.xyz").rename(two_classes / name / split / f"{i}.xyz")
    shutil.rmtree(two_classes / "line" / "train")
    assert run(["prepare", str(two_classes), "-o", str(tmp_path / "S"), "--workers", "1"]) == 0
    assert "line" in capsys.readouterr().err
    line = complaint(capsys, ["train", tmp_path / "S", "-o", tmp_path / "R"])
    assert "every class needs training shapes, found none for line" in line
    assert not (tmp_path / "R").exists()


def test_a_class_without_test_shapes_is_a_warning_and_not_available(capsys, tiny_store, tiny_run, tmp_path):
    # The same shapes with one class taken out of the test split: another store, so the run is told that it is its own.
    rows = [
        (row if (row.split, row.class_name) != ("test", tiny_store.classes[0]) else None, tiny_store.cloud(i))
        for i, row in enumerate(tiny_store.rows)
    ]
    facts = {key: tiny_store.manifest[key] for key in ("task", "seed", "num_points_drawn")}
    other = store.write(tmp_path / "S", [pair for pair in rows if pair[0]], tiny_store.classes, facts)
    copy = tmp_path / "R"
    shutil.copytree(tiny_run, copy)
    about = json.loads((copy / "run.json").read_text())
    about["store"] |= {"checksum": other.checksum, "path": str(other.path)}
    (copy / "run.json").write_text(json.dumps(about))
    assert run(["evaluate", str(copy)]) == 0
    captured = capsys.readouterr()
    assert f"no test shapes of {tiny_store.classes[0]}" in captured.out  # in the verdict
    assert "n/a" in captured.out


def test_what_comes_from_a_newer_version_says_so(capsys, tiny_store, tiny_run, tmp_path):
    for source, name, file, command in (
        (tiny_store.path, "S", "manifest.json", ["info"]),
        (tiny_run, "R", "run.json", ["evaluate"]),
    ):
        shutil.copytree(source, tmp_path / name)
        about = json.loads((tmp_path / name / file).read_text())
        about["version"] = 99
        (tmp_path / name / file).write_text(json.dumps(about))
        assert "99" in complaint(capsys, [*command, tmp_path / name])


def test_another_run_setting_names_key_old_and_new(capsys, tiny_store, tiny_run):
    flags = ["--num-points", 64, "--batch-size", 8, "--epochs", 2, "--learning-rate", 0.5]
    line = complaint(capsys, ["train", tiny_store.path, "-o", tiny_run, *flags])
    assert "cannot change" in line or "can only grow" in line
    assert str(tiny_run) in line


@pytest.mark.parametrize("value", ["0,x", "1,1", ""])
def test_seeds_must_be_different_whole_numbers(capsys, tiny_store, tmp_path, value):
    assert "--seeds" in complaint(capsys, ["train", tiny_store.path, "-o", tmp_path / "R", "--seeds", value])


def test_seed_and_seeds_exclude_each_other(capsys, tiny_store, tmp_path):
    line = complaint(capsys, ["train", tiny_store.path, "-o", tmp_path / "R", "--seeds", "0,1", "--seed", 2])
    assert "exclude each other" in line


def test_the_demo_leaves_a_folder_of_the_user_alone(capsys, tmp_path):
    (tmp_path / "chair").mkdir()
    (tmp_path / "shape.png").write_text("mine")
    assert "found chair in it" in complaint(capsys, ["demo", "-o", tmp_path])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["chair", "shape.png"]
    assert (tmp_path / "shape.png").read_text() == "mine"


def test_a_backend_that_is_none_of_ours_is_named(capsys, monkeypatch, tiny_run):
    monkeypatch.setenv("KERAS_BACKEND", "foo")
    assert "must be one of jax, torch, tensorflow, got 'foo'" in complaint(capsys, ["evaluate", tiny_run])


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed")
def test_a_backend_that_is_not_installed_is_named(capsys, monkeypatch, tiny_run):
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # put back afterwards
    assert "pip install 'pointkit[torch]'" in complaint(capsys, ["evaluate", tiny_run, "--backend", "torch"])


@pytest.mark.parametrize("model", ["pointnet", "small"])
def test_every_setting_is_a_flag_that_gives_its_value(model):
    wanted = {"model": model}
    for name, rule in (config.RULES | FAMILIES[model].settings).items():
        if name not in (*MEANT_FOR, "model"):
            choices = {"features": ("normals",)}.get(name) or rule.choices
            wanted[name] = choices[-1] if choices else {int: 7, float: 0.25}[rule.kind]
    words = [word for name, value in wanted.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    _, bound, _ = app.parse_args(["train", "S", "-o", "R", *words], exit_on_error=False, print_error=False)
    given = {**bound.arguments["settings"], "seed": bound.arguments["seed"]}
    assert given == wanted
    assert {name: type(value) for name, value in given.items()} == {name: type(value) for name, value in wanted.items()}
    assert {name: value for name, value in config.combine(given).flat().items() if name in wanted} == wanted


def test_only_flags_that_are_given_count_as_given():
    _, bound, _ = app.parse_args(["train", "S", "-o", "R", "--epochs", "7"], exit_on_error=False, print_error=False)
    assert bound.arguments["settings"] == {"epochs": 7}


def test_a_fault_of_ours_is_one_line_with_the_place_of_its_report(capsys, monkeypatch, tmp_path):
    from pointkit import info

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(info, "machine", lambda: 1 / 0)
    line = complaint(capsys, ["info"], code=1)
    report = next(tmp_path.glob("pointkit-bug-*.txt"))
    assert str(report) in line
    assert "ZeroDivisionError" in report.read_text()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(28, "No space left on device", "x/y"), 1, "no space left"),
        (OSError(13, "Permission denied", "x/y"), 2, "x/y: Permission denied"),
        (MemoryError(), 1, "out of memory"),
    ],
)
def test_the_machine_and_the_user_are_told_apart(capsys, monkeypatch, error, code, words):
    from pointkit import info

    def fail():
        raise error

    monkeypatch.setattr(info, "machine", fail)
    assert words in complaint(capsys, ["info"], code)


def test_results_are_machine_readable(capsys, tiny_store, tiny_run, tmp_path):
    file = tmp_path / "m.off"
    formats.write(file, Mesh(np.eye(3, dtype="float32"), np.array([[0, 1, 2]])))
    for arguments, kind in (([tiny_store.path], "store"), ([tiny_run], "run"), ([file], "mesh")):
        assert run(["info", *map(str, arguments), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == kind


def test_info_describes_a_folder_of_seeds(capsys, tiny_run, tmp_path):
    for seed in (0, 1):
        shutil.copytree(tiny_run, tmp_path / f"seed-{seed}")
    assert run(["info", str(tmp_path), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["kind"] == "runs"
    assert [one["kind"] for one in about["runs"].values()] == ["run", "run"]
    assert list(about["runs"]) == ["seed-0", "seed-1"]


def test_info_shows_shapes_of_a_store_with_sizes_and_first_points(capsys, tiny_store):
    assert run(["info", str(tiny_store.path), "--show", "5", "--json"]) == 0
    shapes = json.loads(capsys.readouterr().out)["shapes"]
    assert len(shapes) == 5
    assert shapes[0]["shape"] == [96, 3]
    np.testing.assert_allclose(shapes[0]["first_points"], tiny_store.cloud(0)[:3], atol=1e-5)


def test_info_counts_the_parameters_of_a_recipe_with_its_own_classes(capsys):
    assert run(["info", "--recipe", "modelnet10-reference", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["parameters"], about["trainable_parameters"]) == (748_979, 742_899)
    assert run(["info", "--recipe", "modelnet10-reference"]) == 0
    table = capsys.readouterr().out
    assert "748,979 (742,899 trainable, 6,080 not)" in table
    assert "feature_tnet_matrix" in table


def test_the_doctor_finds_this_machine(capsys):
    assert run(["info", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["python"] == sys.version.split()[0]
    assert "jax" in about["backends"]
    assert about["cores"] >= 1
    assert set(about) >= {"packages", "memory_gb", "gpus", "extras", "formats"}


def test_a_name_that_begins_with_a_dash_comes_after_two(capsys, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    formats.write("-o.xyz", PointCloud(np.random.default_rng(0).standard_normal((70, 3)).astype("float32")))
    assert run(["predict", str(tiny_run), "--json", "--", "-o.xyz"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == "-o.xyz"


def test_a_reader_that_leaves_early_is_no_error(tiny_store):
    command = f"{sys.executable} -m pointkit info {tiny_store.path} --show 40 | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_the_main_job_from_a_folder_to_an_answer(capsys, two_classes, tmp_path):
    store_path, run_path = tmp_path / "S", tmp_path / "R"
    assert run(["prepare", str(two_classes), "-o", str(store_path), "--workers", "1"]) == 0
    flags = ["--num-points", "32", "--batch-size", "8", "--epochs", "2", "--seeds", "0,1", "--model", "small"]
    assert run(["train", str(store_path), "-o", str(run_path), *flags]) == 0
    said = capsys.readouterr()
    assert "batch points: (8, 32, 3) float32" in said.out
    assert "steps per epoch: 2, total 4" in said.out
    assert run(["evaluate", str(run_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["summary"]["groups"][str(run_path)]["runs"] == 2
    assert run(["predict", str(run_path / "seed-1"), str(two_classes), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 24
    assert {line["class"] for line in lines} <= {"box", "line"}


def test_the_demo_shows_a_command_of_many_files_shortened(capsys):
    console.command(["predict", "demo/run", *(f"{i}.ply" for i in range(9)), "-o", "demo/labelled"])
    assert capsys.readouterr().out.strip() == "$ pointkit predict demo/run 0.ply 1.ply ... -o demo/labelled"


@pytest.mark.parametrize(("command", "huge"), [("train", True), ("demo", True), ("predict", False), ("info", False)])
def test_commands_that_train_begin_in_huge_pages(command, huge, monkeypatch, capsys):
    begun = []
    monkeypatch.setattr(cli, "in_huge_pages", lambda: begun.append(command))
    monkeypatch.setattr(sys, "argv", ["pointkit", command, "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert begun == [command] * huge
