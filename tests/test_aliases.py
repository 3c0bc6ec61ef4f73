"""The usual words for a flag are answered with the flag here."""

import shlex

import pytest

from pointkit import aliases
from pointkit.cli import flags, run

FLAGS = {"train": {"--epochs", "--lr", "--output", "-o"}, "predict": {"--top-k", "--output", "-o"}}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("S --epoch 3", "train has no --epoch: it is --epochs here."),
        ("S --epoch=3", "train has no --epoch: it is --epochs here."),
        ("S --num_epochs 3", "train has no --num_epochs: it is --epochs here."),
        ("S -e 3", "train has no -e: it is --epochs here."),
        ("S --out R", "train has no --out: it is --output here."),
        ("S -o R --topk 3", "train has no --topk: predict has --top-k."),
        ("S --resume", "train has no --resume: the same command goes on where it stopped."),
        ("S --epochs 3 --lr 1 -o R", ""),
        ("S --strange", ""),
        ("S -o R -- --epoch", ""),
    ],
)
def test_a_usual_word_is_answered_with_the_flag(words, answer):
    assert aliases.answer("train", words.split(), FLAGS) == answer


def test_every_flag_that_is_named_exists_and_no_alias_hides_one():
    known = flags()
    everywhere = set().union(*known.values())
    assert set(aliases.FLAGS) <= everywhere
    for command, theirs in known.items():
        for alias in aliases.SPELT:
            assert alias not in theirs or aliases.answer(command, [alias], known) == ""
    assert len(aliases.SPELT) == sum(map(len, aliases.FLAGS.values()))  # no word stands for two flags


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train S -o R --lr 0.1", "it is --learning-rate here"),
        ("train S -o R --bs 8", "it is --batch-size here"),
        ("train S -o R --device cuda", "--backend chooses that"),
        ("train S -o R --gpu", "'pointkit info' lists it"),
        ("train S --out R", "it is --output here"),
        ("predict R f.ply --batch-size 3", "train has --batch-size"),
        ("evaluate R --device cpu", "--backend"),
        ("prepare F --out S", "it is --output here"),
    ],
)
def test_the_commands_answer_in_one_line(command, words, capsys):
    assert run(shlex.split(command)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
