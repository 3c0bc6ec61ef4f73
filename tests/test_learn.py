"""Learning in one go: every stage, the time, and what the same or another command does afterwards."""

import json
import shutil

import pytest

from pointkit import audit, cli, config, learn, run_folder
from pointkit.errors import PointkitError, RunError
from pointkit.learn import Pace
from pointkit.signals import Stopped
from tests import shapes

SMALL = {"model": "small", "num_points": 64, "batch_size": 8, "epochs": 3}


@pytest.fixture
def folder(tmp_path):
    """A folder of two classes, ten files each; one more cannot be read."""
    return shapes.write_files(tmp_path / "mine")


@pytest.fixture
def small(monkeypatch):
    """The small network of the tests is what is chosen for any data."""
    monkeypatch.setitem(config.CHOICES, "classification", lambda task, shapes, model: (dict(SMALL), "small"))


class Recorder(learn.Listener):
    def __init__(self):
        self.told = []

    def found(self, what):
        self.told.append("found")

    def prepared(self, result, page):
        assert page.is_file()
        self.told.append("prepared")

    def planned(self, line):
        self.told.append(line)


def test_from_a_folder_to_a_report(folder, tmp_path, small):
    listener = Recorder()
    result = learn.learn(folder, tmp_path / "run", minutes=5, listener=listener)
    assert listener.told[:2] == ["found", "prepared"]
    assert "3 epochs in about" in listener.told[2]
    assert result.facts["num_shapes"] == 4
    assert result.report["store"]["folder"] == str(folder.resolve())
    assert result.facts["findings"] == result.store.manifest.get("findings", [])
    for name in ("learn.json", "data.html", "report.html", "report.json", "run.json", "store/manifest.json"):
        assert (tmp_path / "run" / name).is_file()
    page = (tmp_path / "run" / "data.html").read_text()
    assert "broken.xyz" in page
    assert "3 epochs in about" in page
    assert page.count("<img") == 8  # four shapes of each class
    # Again: nothing is read or trained anew.
    weights = (tmp_path / "run" / run_folder.CHECKPOINT).read_bytes()
    again = Recorder()
    assert learn.learn(str(folder), str(tmp_path / "run"), minutes=5, listener=again).facts == result.facts
    assert again.told == ["found", "prepared"]
    assert (tmp_path / "run" / run_folder.CHECKPOINT).read_bytes() == weights


def test_the_run_and_its_store_move_together(folder, tmp_path, small):
    from pointkit.evaluate import evaluate

    result = learn.learn(folder, tmp_path / "run", minutes=5)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert evaluate(tmp_path / "moved")["oa"] == result.report["oa"]


def test_a_stopped_training_goes_on_with_the_epochs_that_were_planned(folder, tmp_path, small, monkeypatch):
    from pointkit import watching

    plans = []

    def two(seconds, measured, wanted):
        plans.append(wanted)
        return 2

    monkeypatch.setattr("pointkit.pace.epochs_within", two)

    class Stops(watching.Silent):
        def epoch(self, row, best):
            raise Stopped(15)

    class Listening(Recorder):
        def training(self, reason):
            from contextlib import nullcontext

            return lambda path: nullcontext(Stops())

    with pytest.raises(Stopped):
        learn.learn(folder, tmp_path / "run", listener=Listening())
    assert run_folder.load_checkpoint(tmp_path / "run")[0].progress.epoch == 1
    learn.learn(folder, tmp_path / "run")
    checkpoint, _ = run_folder.load_checkpoint(tmp_path / "run")
    assert checkpoint.progress.epoch == 2
    assert plans == [3]


def begun(path):
    """What a training leaves in ``path`` that has begun."""
    for name in (run_folder.FACTS, run_folder.CHECKPOINT):
        (path / name).touch()


def test_other_words_are_refused_once_a_training_has_begun(folder, tmp_path):
    learn._begin(tmp_path / "run", folder, {"minutes": 20.0, "seed": 0, "classes": [], "task": None})
    begun(tmp_path / "run")
    learn._begin(tmp_path / "run", folder, {"minutes": 20.0, "seed": 0, "classes": [], "task": None})
    with pytest.raises(RunError, match=r"run: was begun with minutes 20.0, got 5; give -o another folder"):
        learn._begin(tmp_path / "run", folder, {"minutes": 5, "seed": 0})
    with pytest.raises(RunError, match="was begun with task nothing, got parts"):
        learn._begin(tmp_path / "run", folder, {"minutes": 20.0, "seed": 0, "task": "parts"})


def test_a_mistyped_folder_does_not_bind_the_output(folder, tmp_path, small):
    with pytest.raises(PointkitError, match="no such folder"):
        learn.learn(tmp_path / "mien", tmp_path / "run", minutes=5)
    assert learn.learn(folder, tmp_path / "run", minutes=5).report["num_shapes"] == 4


def test_a_mended_folder_and_other_words_are_read_anew_until_a_training_has_begun(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(learn, "_trained", lambda store, *rest: {"read": len(store.rows)})
    run = tmp_path / "run"
    assert learn.learn(folder, run).report == {"read": 20}
    (folder / "box" / "broken.xyz").unlink()
    (folder / "box" / "9.xyz").unlink()
    assert learn.learn(folder, run).report == {"read": 19}
    assert learn.learn(folder, run, minutes=3, split="60/20/20").report == {"read": 19}
    assert json.loads((run / run_folder.LEARN).read_bytes())["split"] == "60/20/20"
    begun(run)
    (folder / "box" / "8.xyz").unlink()
    with pytest.raises(RunError, match="run: was begun with other files; give -o another folder"):
        learn.learn(folder, run, minutes=3, split="60/20/20", force=True)


def test_other_words_do_not_touch_what_another_process_trains_on(folder, tmp_path):
    learn._begin(tmp_path / "run", folder, {"minutes": 20.0})
    with run_folder.locked(tmp_path / "run"), pytest.raises(RunError, match="in use by the process"):
        learn._begin(tmp_path / "run", folder, {"minutes": 5})


def test_a_folder_of_other_things_is_refused(folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    with pytest.raises(RunError, match="not a run"):
        learn.learn(folder, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_no_time_is_refused(folder, tmp_path, minutes):
    with pytest.raises(PointkitError, match="--minutes must be above 0"):
        learn.learn(folder, tmp_path / "run", minutes=minutes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("measured", "epochs", "wanted", "left", "words"),
    [
        (Pace(0.5, 1, 18), 20, 20, 600, "a step takes 0.5 s here, an epoch 10 s: 20 epochs in about 3 minutes"),
        (Pace(0.5, 1, 18), 6, 20, 60, "6 epochs in about 60 s, as --minutes 2 allows; 20 would take 3 minutes"),
        (Pace(0.5, 1, 18), 1, 20, 5, "1 epoch in about 10 s, which is longer than --minutes 2 leaves"),
        (Pace(0.5, 1, 18), 1, 20, -5, "1 epoch in about 10 s, which is longer than --minutes 2 leaves"),
    ],
)
def test_the_plan_in_words(measured, epochs, wanted, left, words):
    assert learn._expected(measured, epochs, wanted, 2, left).endswith(words)


def test_a_set_that_cannot_be_trained_on_is_refused_in_any_case(folder, tmp_path, capsys):
    shutil.rmtree(folder / "stick")
    for words in ([], ["--force"]):
        assert cli.run(["learn", str(folder), "-o", str(tmp_path / "run"), *words]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("pointkit: ")
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_worthless_training_is_stopped_before_it_starts_unless_forced(folder, tmp_path, small, capsys):
    for name in ("box", "stick"):
        for i in range(10):
            split = "train" if i < 8 else "val"
            (folder / name / split).mkdir(exist_ok=True)
            (folder / name / f"{i}.xyz").rename(folder / name / split / f"{i}.xyz")
    (folder / "box" / "broken.xyz").unlink()
    command = ["learn", str(folder), "-o", str(tmp_path / "run")]
    assert cli.run(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "not worth a training: " in line
    assert line.endswith("; --force trains all the same")
    assert (tmp_path / "run" / "data.html").is_file()
    assert not (tmp_path / "run" / "run.json").exists()
    assert cli.run([*command, "--force"]) == 0
    out = capsys.readouterr().out
    assert f"page: {tmp_path / 'run' / 'val' / 'report.html'}" in out
    assert json.loads((tmp_path / "run" / "val" / "report.json").read_text())["split"] == "val"


@pytest.mark.compiles
def test_json_alone_on_standard_output(folder, tmp_path, small, capsys):
    assert cli.run(["learn", str(folder), "-o", str(tmp_path / "run"), "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    about = json.loads(line)
    assert about["task"] == "classification"
    assert isinstance(about["findings"], list)
    assert audit.of_store is not None
