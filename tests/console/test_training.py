"""How a training is shown: why its settings are what they are, and how it ended."""

from pathlib import Path

import numpy as np
import pytest

from pointkit import config, console
from pointkit.console import training
from pointkit.console.training import TrainingBar, Why
from pointkit.watching import Outcome


def lines(given, chosen, reason="504 training shapes"):
    settings = config.combine(chosen, given).flat()
    return Why(given, reason).lines(settings)


def test_settings_are_what_differs_from_the_default_and_why():
    assert lines({"epochs": 7, "seed": None}, {"epochs": 100, "schedule": "cosine", "dataset": "x"}) == [
        "settings (504 training shapes):",
        "  chosen: schedule=cosine",
        "  by flags: epochs=7",
    ]


def test_a_flag_that_gives_the_default_is_said_too():
    assert lines({"schedule": "constant"}, {"schedule": "cosine", "scale": 0.25})[1:] == [
        "  chosen: scale=0.25",
        "  by flags: schedule=constant",
    ]


def test_nothing_but_defaults():
    assert lines({}, {}, "recipe mine.toml") == ["settings (recipe mine.toml): the defaults"]


def test_a_networks_own_settings_count():
    assert lines({"widths": "paper"}, {"transforms": "none"})[1:] == [
        "  chosen: transforms=none",
        "  by flags: widths=paper",
    ]


HISTORY = [{"epoch": e, "val_loss": 1.0 / e} for e in range(1, 6)]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(Path("r"), HISTORY[:1], 1, False), "r: finished; 1 epoch, kept epoch 1, val_loss"),
        (Outcome(Path("r"), HISTORY, 5, False), "r: finished; 5 epochs, kept epoch 5, val_loss 0.200"),
        (Outcome(Path("r"), HISTORY, 2, False, early=True), "stopped early, 3 epochs without a better one; 5 epochs"),
        (Outcome(Path("r"), HISTORY, 4, False, early=True), "stopped early, 1 epoch without a better one; 5 epochs"),
        (Outcome(Path("r"), HISTORY, 5, True), "finished before; nothing to do (larger --epochs goes on)"),
        (Outcome(Path("r"), HISTORY, 2, True, early=True), "nothing to do (larger --patience goes on)"),
        (Outcome(Path("r"), HISTORY, 0, False), "no epoch has a finite val_loss"),
    ],
)
def test_how_a_training_ended(outcome, words, capsys):
    training.trained(outcome)
    assert words in capsys.readouterr().out


def test_a_log_tells_of_the_compiler_and_quiet_does_not(capsys):
    facts = {
        "settings": config.Settings().flat(),
        "store": {"shapes": {"train": 3}},
        "classes": ["a", "b"],
        "batch": (np.zeros((1, 2, 3)),) * 3,
        "steps": 2,
        "epochs": 1,
        "done": 0,
        "parameters": 10,
        "backend": "jax",
    }
    for quiet in (False, True):
        console.hush(quiet)
        bar = TrainingBar(Path("r"), Why({}, "for a test"))
        bar.begin(facts)
        bar.compiling("training", 12)
        row = {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5, "seconds": 1.0}
        bar.epoch(row, True)
        captured = capsys.readouterr()
        assert ("compiling, once, about 12 s" in captured.err) is not quiet
        assert ("epoch 1: loss 1.000" in captured.err) is not quiet
        assert ("settings (for a test): the defaults" in captured.out) is not quiet
        assert (captured.out + captured.err == "") is quiet
    console.hush(False)
