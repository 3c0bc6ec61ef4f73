"""A run measured on its store: the report, what is written beside it, and what is printed."""

import csv
import html
import json
import re
import shlex
import shutil

import numpy as np
import pytest

from pointkit import metrics, store, verdict
from pointkit.cli import run
from pointkit.errors import RunError
from pointkit.evaluate import evaluate
from pointkit.predict import Predictor
from pointkit.run_folder import load_checkpoint
from tests.runs import changed


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


def test_pictures_and_mistakes_are_there(measured):
    path, report = measured
    for name in (
        "grid",
        "curve_loss",
        "curve_accuracy",
        "curve_rate",
        "confusion",
        "calibration",
        *(m["picture"] for m in report["mistakes"]),
    ):
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


def test_refuses_another_store_and_a_split_without_shapes(tiny_run, tiny_store, tmp_path):
    rows = [(tiny_store.rows[i], tiny_store.cloud(i)) for i in tiny_store.select("train")]
    other = store.write(tmp_path / "other", rows, tiny_store.classes, {"task": "classification"})
    with pytest.raises(RunError, match=r"not the store that .* was trained on"):
        evaluate(tiny_run, store_path=other.path)
    path = changed(tiny_run, tmp_path / "run", **{"store.checksum": other.checksum})
    with pytest.raises(RunError, match=rf"^{other.path}: has no shapes in the split 'test' to evaluate {path} on$"):
        evaluate(path, store_path=other.path)


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123456 bytes.")]
)
def test_memory_that_runs_out_is_one_line_with_advice(
    tiny_run, tiny_parts_run, tmp_path, capsys, monkeypatch, error, parts
):
    def no_memory(given):
        raise error

    path = changed(tiny_parts_run if parts else tiny_run, tmp_path / "run")
    before = sorted(path.iterdir())
    monkeypatch.setattr(Predictor, "_answer", property(lambda predictor: no_memory))
    for more in ([], ["--draws", "2"]):
        assert run(["evaluate", str(path), *more]) == 1
        captured = capsys.readouterr()
        words = "out of memory while the network answers; close other programs, or use a machine with more"
        assert captured.err == f"pointkit: {words}\n"
        assert captured.out == ""
    assert sorted(path.iterdir()) == before


def test_its_commands_can_be_typed_again(measured, capsys):
    path, report = measured
    before = (path / "checkpoint.safetensors").read_bytes()
    assert run(shlex.split(report["run"]["command"])[1:]) == 0, "other settings than the run's would be refused"
    assert (path / "checkpoint.safetensors").read_bytes() == before
    assert report["command"].startswith(f"pointkit evaluate {path} --store ")
    assert report["command"].endswith(" --draws 3")
    assert report["command"] in re.sub("</?span>", "", (path / "report.html").read_text())


def test_another_split_has_a_folder_of_its_own(measured, tiny_store, capsys):
    path, _ = measured
    before = (path / "report.json").read_bytes()
    assert run(["evaluate", str(path), "--store", str(tiny_store.path), "--split", "val"]) == 0
    assert json.loads((path / "val" / "report.json").read_text())["split"] == "val"
    assert (path / "report.json").read_bytes() == before
    assert str(path / "val" / "report.html") in capsys.readouterr().out.replace("\n", "")


def test_a_store_that_has_moved_can_be_named(measured, tiny_store, tmp_path):
    path = changed(measured[0], tmp_path / "run", **{"store.path": str(tmp_path / "gone")})
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


def test_the_verdict_and_what_it_rests_on_are_in_the_report_on_the_page_and_printed(measured, tiny_store, capsys):
    path, report = measured
    assert report["verdict"] == verdict.of(report)
    assert [row["train"] for row in report["classes"]] == [9, 8, 8]
    assert report["findings"] == tiny_store.manifest.get("findings", [])
    assert report["run"]["shapes"] == {"train": 25, "val": 6, "test": 9}
    assert report["baselines"]["commonest"]["name"] == "box"
    assert {*report["baselines"]["nearest"]} == {"how", "oa", "macc"}
    assert "mixed_up" not in report or (path / "mixed_up.png").is_file()
    assert run(["evaluate", str(path), "--store", str(tiny_store.path)]) == 0
    captured = capsys.readouterr()
    page = html.unescape((path / "report.html").read_text())
    said = captured.out.partition("verdict:\n")[2]
    for line in report["verdict"]:
        assert line["text"] in page
        assert line["text"] in said
    assert "next: pointkit" in captured.err
