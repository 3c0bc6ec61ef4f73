"""Several runs side by side."""

import json
import shutil

import pytest

from pointkit import verdict
from pointkit.cli import run
from pointkit.errors import PointkitError, RunError
from pointkit.evaluate import groups
from pointkit.evaluate.groups import evaluate_groups
from pointkit.run_folder import find_runs
from pointkit.watching import Patient
from tests.runs import changed, untrained


@pytest.fixture
def seeds(tiny_run, tmp_path):
    """Two folders of seeds, of two runs and of one."""
    for seed in ("a/seed-0", "a/seed-1", "b/seed-0"):
        shutil.copytree(tiny_run, tmp_path / seed)
    return tmp_path / "a", tmp_path / "b"


def test_groups_stand_side_by_side_and_runs_are_summed_up(seeds, tiny_store):
    a, b = seeds
    result = evaluate_groups([a, b], store_path=tiny_store.path)
    names = [str(a), str(b)]
    assert list(result.groups) == names
    assert [len(group) for group in result.groups.values()] == [2, 1]
    assert result.reports == [*result.groups[names[0]], *result.groups[names[1]]]
    report = result.reports[0]
    figures = result.together["summary"]["groups"][names[0]]
    assert figures["runs"] == 2
    for key in ("oa", "macc", "ece", "loss"):
        assert figures[key][0] == pytest.approx(report[key])
        assert figures[key][1] == 0
        assert result.together["summary"]["differences"][names[1]][key][0] == pytest.approx(0)
    written = json.loads((a / "report.json").read_text())
    assert written == json.loads(json.dumps(result.together))
    assert written["oa"] == pytest.approx(report["oa"])
    assert (written["task"], written["split"], written["num_shapes"]) == ("classification", "test", 9)
    assert result.page == a / "report.html"
    assert result.page.is_file()
    assert written["verdict"] == verdict.of_groups(result.groups)
    assert len(written["verdict"]) >= 1
    assert result.whole == {**result.together, "page": str(result.page)}
    for folder in (a / "seed-0", a / "seed-1", b / "seed-0"):
        assert json.loads((folder / "report.json").read_text())["run"]["path"] == str(folder)


class Told(Patient):
    """Keeps what one is told who waits."""

    def __init__(self):
        self.calls = []

    def begin(self, what):
        self.calls.append(what)

    def compiling(self, what, seconds):
        self.calls.append(("compiling", what))

    def done(self, number, total):
        self.calls.append((number, total))


def test_one_run_has_its_own_page_and_nothing_besides(tiny_run, tiny_store, tmp_path):
    path = changed(tiny_run, tmp_path / "run")
    told = Told()
    result = evaluate_groups([path], store_path=tiny_store.path, waiting=told)
    assert told.calls == [
        f"measuring {path}",
        *((number, 9) for number in range(9)),
        (9, 9),
        ("compiling", "answers"),
        f"writing the report of {path}",
    ]
    assert result.together is None
    assert result.page == path / "report.html"
    assert result.whole == result.reports[0] == json.loads((path / "report.json").read_text())
    assert not (path / "comparison.json").exists()


def test_a_folder_of_one_seed_has_the_page_of_that_seed(seeds, tiny_store):
    result = evaluate_groups([seeds[1]], store_path=tiny_store.path, split="val")
    assert result.page == seeds[1] / "seed-0" / "val" / "report.html"
    assert result.page.is_file()


def test_single_runs_are_compared_in_the_first(tiny_run, tiny_store, tmp_path, capsys):
    one, other = changed(tiny_run, tmp_path / "one"), untrained(tiny_run, tmp_path / "other", noise=0.5)
    assert run(["evaluate", str(one), "--against", str(other), "--store", str(tiny_store.path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["groups"]) == [str(one), str(other)]
    assert run(["evaluate", str(one), str(other), "--store", str(tiny_store.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == printed  # two runs are compared with and without --against
    losses = [report["loss"] for group in printed["groups"].values() for report in group]
    assert losses[0] != losses[1]
    assert printed["summary"]["differences"][str(other)]["loss"][0] == pytest.approx(losses[1] - losses[0])
    assert printed.pop("page") == str(one / "comparison.html")
    assert (one / "comparison.html").is_file()
    assert json.loads((one / "comparison.json").read_text()) == printed


def test_seeds_stand_in_their_order(tiny_run, tmp_path):
    for seed in (10, 2, 0):
        shutil.copytree(tiny_run, tmp_path / f"seed-{seed}")
    assert [folder.name for folder in find_runs(tmp_path)] == ["seed-0", "seed-2", "seed-10"]
    with pytest.raises(RunError, match="not a run"):
        find_runs(tmp_path / "nothing")


def test_folders_of_seeds_form_groups_and_every_other_run_its_own(seeds, tiny_run):
    a, b = seeds
    runs = [a / "seed-0", b / "seed-0"]
    assert groups._grouped([*runs, tiny_run]) == ({str(run): [run] for run in (*runs, tiny_run)}, [])
    assert groups._grouped([a, tiny_run, b]) == (
        {str(a): [a / "seed-0", a / "seed-1"], str(tiny_run): [tiny_run], str(b): [b / "seed-0"]},
        [],
    )


def test_two_trainings_in_one_folder_are_not_averaged(tiny_run, tmp_path):
    one = changed(tiny_run, tmp_path / "a" / "seed-0")
    other = changed(tiny_run, tmp_path / "a" / "seed-1", **{"settings.learning_rate": 0.5, "settings.seed": 1})
    grouped, warnings = groups._grouped([tmp_path / "a"])
    assert grouped == {str(one): [one], str(other): [other]}
    assert warnings == [f"{tmp_path / 'a'}: its runs differ in learning_rate: they are compared, not averaged"]


def test_runs_of_two_tasks_cannot_be_compared(tiny_run, tiny_parts_run, tmp_path):
    """Each is measured on the store that it was trained on."""
    one, other = changed(tiny_run, tmp_path / "one"), changed(tiny_parts_run, tmp_path / "parts")
    with pytest.raises(RunError) as caught:
        evaluate_groups([one, other])
    words = "it is of another task (parts, not classification)"
    assert str(caught.value) == f"{other} cannot be compared with {one}: {words}"


def test_what_is_asked_for_must_make_sense(tiny_run):
    with pytest.raises(PointkitError, match="evaluate needs a run"):
        evaluate_groups([])
    for name in ("draws", "votes"):
        with pytest.raises(PointkitError, match=f"{name} must be at least 0, got -1"):
            evaluate_groups([tiny_run], **{name: -1})
