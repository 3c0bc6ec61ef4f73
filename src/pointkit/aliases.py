"""Flags as other programs call them, and what they are called here: the usual words are answered, not guessed."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

FLAGS = {  # the flag here -> its usual names elsewhere
    "--learning-rate": ("--lr", "--lr0", "--rate"),
    "--batch-size": ("--bs", "-b", "--batch", "--batchsize"),
    "--epochs": ("--epoch", "-e", "--num-epochs", "--n-epochs", "--max-epochs", "--nepoch"),
    "--num-points": ("--points", "-n", "--n-points", "--npoints", "--num-point", "--npoint"),
    "--output": ("--out", "--out-dir", "--output-dir", "--save-dir", "--outdir", "--outf", "--log-dir", "--project"),
    "--weight-decay": ("--wd", "--decay", "--decay-rate"),
    "--patience": ("--early-stopping", "--early-stop"),
    "--init": ("--weights", "--pretrained", "--checkpoint", "--ckpt", "--finetune", "--from"),
    "--top-k": ("--topk", "--top", "--k"),
    "--json": ("--as-json", "--format"),
    "--force": ("--overwrite", "--exist-ok", "--yes"),
    "--quiet": ("--silent", "--no-progress"),
    "--workers": ("--num-workers", "--jobs", "--threads"),
    "--rotate": ("--rotation", "--augment"),
    "--schedule": ("--scheduler", "--lr-scheduler", "--cosine", "--cos-lr"),
    "--class-weight": ("--class-weights", "--balanced"),
    "--dropout": ("--drop-out", "--dropout-rate"),
    "--log": ("--logger", "--tensorboard", "--wandb", "--mlflow", "--use-wandb"),
    "--model": ("--arch", "--network", "--net"),
    "--features": ("--use-normals", "--normals", "--normal", "--use-colors", "--channels"),
    "--recipe": ("--config", "--cfg"),
    "--seed": ("--random-state", "--random-seed"),
    "--split": ("--subset", "--set"),
    "--against": ("--compare", "--versus", "--baseline"),
}
DEVICE = "networks run on the graphics card that the backend finds ('pointkit info' lists it); --backend chooses that"
SENTENCES = {  # for what has no flag here
    "--device": DEVICE,
    "--gpu": DEVICE,
    "--gpus": DEVICE,
    "--cuda": DEVICE,
    "--cpu": DEVICE,
    "--resume": "the same command goes on where it stopped",
    "--continue": "the same command goes on where it stopped",
    "--data": "the data come first, without a flag",
    "--dataset": "the data come first, without a flag",
    "--data-dir": "the data come first, without a flag",
    "--num-classes": "the classes are those of the store",
    "--num-category": "the classes are those of the store",
    "--optimizer": "Adam trains; with --weight-decay it is AdamW",
    "--verbose": "all is shown; --quiet shows less",
    "-v": "all is shown; --quiet shows less",
}
SPELT = {name: flag for flag, names in FLAGS.items() for name in names}


def answer(command: str, words: Sequence[str], flags: Mapping[str, Collection[str]]) -> str:
    """What to type instead of the first word that is no flag of the command; "" where nothing is known of any.

    ``words`` are what was typed after the command, ``flags`` those of each command.
    """
    for typed in itertools.takewhile(lambda word: word != "--", words):
        word = typed.partition("=")[0]
        if not word.startswith("-") or word in flags[command]:
            continue
        name = word.replace("_", "-").lower() if word.startswith("--") else word
        right = SPELT.get(name, name)
        if right in flags[command]:
            return f"{command} has no {word}: it is {right} here."
        if name in SENTENCES:
            return f"{command} has no {word}: {SENTENCES[name]}."
        if others := [other for other, theirs in flags.items() if right in theirs]:
            return f"{command} has no {word}: {' and '.join(others)} {'has' if len(others) == 1 else 'have'} {right}."
    return ""
