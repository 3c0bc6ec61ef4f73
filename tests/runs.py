"""Runs made of another: with other facts, or with another network that nobody has trained."""

import json
import shutil

import numpy as np


def changed(folder, path, **changes):
    """A copy of a run in ``path`` whose facts have changed: dotted key -> value, ... to leave it out."""
    shutil.copytree(folder, path)
    facts = json.loads((path / "run.json").read_text())
    for key, value in changes.items():
        *above, last = key.split(".")
        inner = facts
        for name in above:
            inner = inner[name]
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
    (path / "run.json").write_text(json.dumps(facts))
    return path


def untrained(folder, path, noise=0.05, **changes):
    """As ``changed``, with the initial weights of the network that the changed facts describe, and some ``noise``."""
    from pointkit import models, run_folder
    from pointkit.task import Task

    changed(folder, path, **changes)
    before, _ = run_folder.load_checkpoint(path)
    facts = run_folder.read_facts(path)
    model = models.build(facts["settings"], **Task.of(facts).network)
    rng = np.random.default_rng(0)
    arrays = {f"best/{w.path}": np.array(w) + noise * rng.random(w.shape).astype("float32") for w in model.weights}
    (path / run_folder.REFERENCE).unlink(missing_ok=True)  # it is of the weights before
    run_folder.save_checkpoint(path, run_folder.Checkpoint(before.run, before.progress, arrays))
    return path
