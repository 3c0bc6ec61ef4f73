"""What a stopped command says: what it leaves, and the command that goes on."""

import os
import signal

import pytest

from pointkit import cli, mistakes
from pointkit.mistakes import GOES_ON, answered, goes_on
from pointkit.signals import Stopped


def test_every_command_says_what_it_leaves():
    assert set(GOES_ON) == set(cli.flags())


@pytest.mark.parametrize("command", sorted(GOES_ON))
def test_ctrl_c_names_the_command_that_goes_on(command, capsys):
    arguments = [command, "a b/c", "-o", "R"]
    for error, code, words in (
        (KeyboardInterrupt(), 130, "stopped"),
        (Stopped(signal.SIGINT), 130, "stopped by SIGINT"),
        (Stopped(signal.SIGTERM), 143, "stopped by SIGTERM"),
    ):
        assert answered(error, arguments, {}) == code
        line = f"pointkit: {words}; {GOES_ON[command]}: pointkit {command} 'a b/c' -o R\n"
        assert capsys.readouterr().err == line


def test_without_a_command_there_is_nothing_to_go_on_with():
    assert goes_on(["--help"]) == "begin anew with: pointkit --help"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_within_a_command_is_one_line(signum, code, capsys, monkeypatch):
    from pointkit import info

    monkeypatch.setattr(info, "machine", lambda: os.kill(os.getpid(), signum))
    assert cli.run(["info"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"pointkit: stopped by {signum.name}; {GOES_ON['info']}: pointkit info\n"


def test_the_demo_says_how_the_whole_of_it_goes_on(tmp_path, capsys, monkeypatch):
    from pointkit import demo

    monkeypatch.setattr(demo, "commands", lambda folder: iter([["info"], ["view", "never"]]))
    monkeypatch.setattr(cli, "run", lambda arguments: 130)
    assert cli.demo(output=tmp_path / "d") == 130
    assert capsys.readouterr().err == f"the whole demo goes on with: pointkit demo -o {tmp_path / 'd'}\n"


def test_last_words_are_the_same(capsys):
    mistakes.stopped(["view", "a.off"])
    assert capsys.readouterr().err == f"pointkit: stopped; {goes_on(['view', 'a.off'])}\n"
