import csv
import json
import shlex
import shutil

import numpy as np
import pytest

from pointkit import metrics
from pointkit.cli import run
from pointkit.errors import RunError
from pointkit.evaluate import evaluate, evaluate_groups
from pointkit.run_folder import find_runs, load_checkpoint


@pytest.fixture(scope="module")
def measured(tiny_run, tiny_store, tmp_path_factory):
    """A copy of the run, and its report on the test split with three draws."""
    copy = tmp_path_factory.mktemp("measured") / "run"
    shutil.copytree(tiny_run, copy)
    return copy, evaluate(copy, store_path=tiny_store.path, draws=3)


def test_report_has_at_its_top_what_others_rely_on(measured, tiny_store):
    path, report = measured
    assert json.loads((path / "report.json").read_text()) == report
    top = ["task", "split", "num_shapes", "oa", "oa_interval", "macc", "ece", "loss"]
    assert list(report)[: len(top)] == top
    assert (report["task"], report["split"]) == ("classification", "test")
    assert report["num_shapes"] == len(tiny_store.select("test"))
    assert report["oa_interval"][0] <= report["oa"] <= report["oa_interval"][1]
    assert report["run"]["selected_by"] == "validation loss"


def test_predictions_recompute_the_figures_and_name_every_test_file_once(measured, tiny_store):
    path, report = measured
    rows = list(csv.DictReader((path / "predictions.csv").open()))
    assert list(rows[0]) == ["file", "truth", "answer", "probability"]
    assert [row["file"] for row in rows] == [tiny_store.rows[i].file for i in tiny_store.select("test")]
    assert np.mean([row["truth"] == row["answer"] for row in rows]) == pytest.approx(report["oa"])
    ids = {name: i for i, name in enumerate(tiny_store.classes)}
    matrix = metrics.confusion([ids[r["truth"]] for r in rows], [ids[r["answer"]] for r in rows], len(ids))
    assert matrix.tolist() == report["confusion"]


def test_the_same_command_writes_the_same_bytes_and_touches_no_training_state(measured, tiny_store):
    path, _ = measured
    names = ["report.json", "report.html", "predictions.csv", "grid.png", "checkpoint.safetensors"]
    before = [(path / name).read_bytes() for name in names]
    evaluate(path, store_path=tiny_store.path, draws=3)
    assert [(path / name).read_bytes() for name in names] == before


def test_draws_are_a_line_of_their_own(measured):
    draws = measured[1]["draws"]
    assert draws["k"] == 3
    assert 0 <= draws["oa_mean"] <= 1
    assert draws["oa_sd"] >= 0
    assert draws["note"] == ""


def test_pictures_and_mistakes_are_there(measured):
    path, report = measured
    for name in ("grid", "curves", "confusion", "calibration", *(m["picture"] for m in report["mistakes"])):
        assert (path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    confidences = [mistake["probability"] for mistake in report["mistakes"]]
    assert confidences == sorted(confidences, reverse=True)
    page = (path / "report.html").read_text()
    assert all(mistake["file"] in page for mistake in report["mistakes"])
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_weights_measured_are_those_of_the_best_epoch(measured):
    path, report = measured
    progress = load_checkpoint(path)[0].progress
    losses = [row["val_loss"] for row in progress.history]
    assert report["run"]["best_epoch"] == 1 + int(np.argmin(losses))


def test_several_runs_are_summed_up_and_groups_stand_side_by_side(measured, tiny_store, tmp_path):
    path, report = measured
    for seed in ("a/seed-0", "a/seed-1", "b/seed-0"):
        shutil.copytree(path, tmp_path / seed)
    result = evaluate_groups([tmp_path / "a", tmp_path / "b"], store_path=tiny_store.path)
    names = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert list(result["groups"]) == names
    figures = result["summary"]["groups"][names[0]]
    assert figures["runs"] == 2
    assert figures["oa"][0] == pytest.approx(report["oa"])
    assert figures["oa"][1] == 0
    assert result["summary"]["differences"][names[1]]["oa"][0] == 0
    written = json.loads((tmp_path / "a" / "report.json").read_text())
    assert written["oa"] == pytest.approx(report["oa"])
    assert (tmp_path / "a" / "report.html").is_file()


def test_finds_seeds_in_their_order(tiny_run, tmp_path):
    for seed in (10, 2, 0):
        shutil.copytree(tiny_run, tmp_path / f"seed-{seed}")
    assert [folder.name for folder in find_runs(tmp_path)] == ["seed-0", "seed-2", "seed-10"]
    with pytest.raises(RunError, match="not a run"):
        find_runs(tmp_path / "nothing")


def test_refuses_another_store_and_a_split_without_shapes(tiny_run, tiny_store, tmp_path):
    from pointkit import store

    rows = [(tiny_store.rows[i], tiny_store.cloud(i)) for i in tiny_store.select("train")]
    other = store.write(tmp_path / "other", rows, tiny_store.classes, {"task": "classification"})
    with pytest.raises(RunError, match=r"not the store that .* was trained on"):
        evaluate(tiny_run, store_path=other.path)


def test_its_commands_can_be_typed_again(measured, capsys):
    path, report = measured
    before = (path / "checkpoint.safetensors").read_bytes()
    assert run(shlex.split(report["run"]["command"])[1:]) == 0, "other settings than the run's would be refused"
    assert (path / "checkpoint.safetensors").read_bytes() == before
    assert report["command"].startswith(f"pointkit evaluate {path} --store ")
    assert report["command"].endswith(" --draws 3")
    assert report["command"] in (path / "report.html").read_text()


def test_another_split_has_a_folder_of_its_own(measured, tiny_store, capsys):
    path, _ = measured
    before = (path / "report.json").read_bytes()
    assert run(["evaluate", str(path), "--store", str(tiny_store.path), "--split", "val"]) == 0
    assert json.loads((path / "val" / "report.json").read_text())["split"] == "val"
    assert (path / "report.json").read_bytes() == before
    assert str(path / "val" / "report.html") in capsys.readouterr().out.replace("\n", "")


def test_a_store_that_has_moved_can_be_named(measured, tiny_store, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(measured[0], path)
    facts = json.loads((path / "run.json").read_text())
    facts["store"]["path"] = str(tmp_path / "gone")
    (path / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"gone: not a store .*--store says where it is now"):
        evaluate(path)
    assert evaluate(path, store_path=tiny_store.path)["split"] == "test"


def test_prints_a_table_or_json_alone(measured, tiny_store, capsys):
    path, report = measured
    assert run(["evaluate", str(path), "--store", str(tiny_store.path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["oa"] == report["oa"]
    assert run(["evaluate", str(path), "--store", str(tiny_store.path)]) == 0
    captured = capsys.readouterr()
    assert "OA" in captured.out
    assert str(path / "report.html") in captured.out
