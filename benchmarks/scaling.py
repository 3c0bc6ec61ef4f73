"""Time and memory of a training step against the number of points N and the width C of the pooled layer, as a picture.

    python benchmarks/scaling.py STORE --backend jax -o benchmarks/scaling.png

For N it takes system A in the reference widths, batch 32. For C it takes a block of 64 features, a pooled block of C on
2,048 points and a linear layer, batch 32. Ours and layer by layer (``exact=False``) take turns, in one process each
(turns.py). Layer by layer is left out where it would take more than --memory GiB. STORE is as for train_step.py. Where
its shapes have fewer than N points, these are repeated with a little noise.
"""

import argparse
import json
import pathlib
import sys

import train_step
import turns

POINTS = (256, 1024, 4096, 16384, 65536)
CHANNELS = (128, 512, 2048, 8192)
FORMS = {"exact": "exact pooling", "plain": "layer by layer"}


def gib_layer_by_layer(axis, value):
    """About how much layer by layer takes: the arrays kept for the backward pass, and those of the step itself."""
    points, channels = (value, 2400) if axis == "n" else (2048, 4 * value)
    return 32 * points * channels * 4 / 2**30


def contender(axis, value, form, store):
    """A function that takes one step."""
    import keras
    import numpy as np

    from pointkit import models
    from pointkit.nn import PointwiseBlock, PooledBlock

    if form == "exact":
        train_step.as_train_does()
    clouds, labels = train_step.batch_of(store, "a")
    if axis == "n":
        rng = np.random.default_rng(0)
        clouds = clouds[:, np.arange(value) % clouds.shape[1]]
        clouds = (clouds + rng.normal(0, 1e-3, clouds.shape)).astype("float32")
        model = models.classifier("pointnet", 10, seed=0, exact=form == "exact")
    else:
        points = keras.Input((None, 3))
        x = PointwiseBlock(64, exact=form == "exact")(points)
        model = keras.Model(points, keras.layers.Dense(10)(PooledBlock(value, exact=form == "exact")(x)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return lambda: float(model.train_on_batch(clouds, labels))


def measure(options):
    rows = []
    for axis, values in (("n", POINTS), ("c", CHANNELS)):
        for value in values:
            forms = [f for f in FORMS if f == "exact" or gib_layer_by_layer(axis, value) < options.memory]
            command = [sys.executable, __file__, str(options.store), "--worker"]
            commands = {form: [*command, axis, str(value), form] for form in forms}
            taken = turns.take(commands, backend=options.backend, rounds=3, turn=0)
            for form, (seconds, peak, *_) in taken.items():
                rows.append({"axis": axis, "value": value, "form": form, "seconds": seconds, "peak_mib": peak})
                print(f"{axis} {value:6} {FORMS[form]:16}{1000 * seconds:10.1f} ms{peak:10.0f} MiB", flush=True)
    return rows


def draw(rows, path):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(9, 6.5), sharex="col")
    titles = {"n": "points of a cloud, N (system A)", "c": "channels of the pooled block, C"}
    for column, axis in zip(panels.T, titles, strict=True):
        for panel, key, scale, unit in (
            (column[0], "seconds", 1000, "a step, ms"),
            (column[1], "peak_mib", 1, "peak memory, MiB"),
        ):
            for form, marker in zip(FORMS, "os", strict=True):
                chosen = [row for row in rows if row["axis"] == axis and row["form"] == form]
                x, y = [row["value"] for row in chosen], [scale * row[key] for row in chosen]
                panel.loglog(x, y, marker=marker, label=FORMS[form])
            panel.set_ylabel(unit)
            panel.grid(True, which="both", alpha=0.25)
        column[1].set_xlabel(titles[axis])
        ticks = POINTS if axis == "n" else CHANNELS
        column[1].set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        column[1].minorticks_off()
    panels[0, 0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=pathlib.Path)
    parser.add_argument("--backend", choices=("jax", "torch", "tensorflow"), default="jax")
    parser.add_argument("--output", "-o", type=pathlib.Path, default=pathlib.Path("scaling.png"))
    parser.add_argument("--memory", type=float, default=16, help="GiB that layer by layer may take")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = train_step.options_of(parser, "a")
    if options.worker:
        axis, value, form = options.worker
        turns.work(lambda: contender(axis, int(value), form, options.store))
        return
    rows = measure(options)
    draw(rows, options.output)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
