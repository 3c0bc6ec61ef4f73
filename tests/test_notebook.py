"""Bars in a notebook: a stand-in for IPython keeps what is displayed."""

import sys
from types import SimpleNamespace

import pytest

from pointkit import notebook


class Handle:
    def __init__(self, first):
        self.shown = [first]

    def update(self, value):
        self.shown.append(value)


@pytest.fixture
def displays(monkeypatch):
    """The handles of everything displayed."""
    handles = []

    def display(value, display_id=False):
        assert display_id
        handles.append(Handle(value))
        return handles[-1]

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    return handles


def test_a_notebook_is_told_from_a_terminal(monkeypatch, displays):
    assert notebook.running()
    for shell in (None, SimpleNamespace()):  # IPython in a terminal has no kernel
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert not notebook.running()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.running()


def test_a_bar_is_drawn_in_its_place_and_taken_away(displays, monkeypatch):
    monkeypatch.setattr(notebook, "EVERY", 0)
    with notebook.bars("preparing <x>") as move:
        move(1, 4, {"chair": (1, 2), "done": (3, 3), "waits": (0, 2)})
        move(4, 4, {})
    (handle,) = displays
    first, last, gone = handle.shown
    assert 'value="1" max="4"' in first
    assert "1 of 4" in first
    assert "chair: 1 of 2" in first
    assert "done" not in first
    assert "waits" not in first
    assert "preparing &lt;x&gt;" in first
    assert 'value="4"' in last
    assert gone == ""


def test_a_bar_is_drawn_five_times_a_second_at_most(displays, monkeypatch):
    moment = [100.0]
    monkeypatch.setattr(notebook.time, "monotonic", lambda: moment[0])
    bar = notebook.Bar("x")
    for done in range(100):
        bar.show(done, 100)
        moment[0] += 0.01
    assert 5 <= len(displays[0].shown) <= 6
    bar.show(100, 100, now=True)
    assert 'value="100"' in displays[0].shown[-1]


def test_a_bar_goes_away_after_an_error_too(displays, monkeypatch):
    monkeypatch.setattr(notebook, "EVERY", 0)

    def fails():
        with notebook.bars("x") as move:
            move(1, 2, {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert displays[0].shown[-1] == ""


def test_a_training_shows_its_last_epochs(displays, monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "EVERY", 0)
    with notebook.training(tmp_path / "run") as watcher:
        watcher.begin({"steps": 5, "epochs": 9, "done": 1})
        watcher.compiling("training", 30.0)
        watcher.step(2, 3, {"loss": 1.25})
        for epoch in range(2, 10):
            row = {"epoch": epoch, "loss": 0.5, "accuracy": 0.25, "val_accuracy": 0.5, "val_loss": 1.0}
            watcher.epoch(row, best=epoch == 9)
    shown = displays[0].shown
    assert 'value="5" max="45"' in shown[0]
    assert "compiling for training, once, about 30 s" in shown[1]
    assert 'value="8"' in shown[2]
    assert "epoch 2, loss 1.250" in shown[2]
    assert "epoch 3:" not in shown[-2]
    assert "epoch 9: loss 0.500, accuracy 25.0 %, val_accuracy 50.0 %, best so far" in shown[-2]
    assert shown[-1] == ""


def test_an_evaluation_shows_the_shapes_done(displays, monkeypatch):
    monkeypatch.setattr(notebook, "EVERY", 0)
    with notebook.waiting() as waiting:
        waiting.begin("measuring runs/a")
        waiting.compiling("answers", 20.0)
        waiting.done(3, 9)
    first, compiling, done, gone = displays[0].shown
    assert "measuring runs/a" in first
    assert "compiling for answers, once, about 20 s" in compiling
    assert "3 of 9, measuring runs/a" in done
    assert gone == ""


def test_what_one_should_know_goes_to_the_logger(caplog):
    notebook.Quiet().note("going on after epoch 2")
    assert caplog.messages == ["going on after epoch 2"]
    assert caplog.records[0].name == "pointkit"


def test_nothing_is_printed_within_a_hush(capsys):
    with notebook.hushed():
        print("a greeting")
    print("a line")
    assert capsys.readouterr().out == "a line\n"
