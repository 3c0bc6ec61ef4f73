"""One training step of the reference systems: ours beside layer-by-layer Keras and hand-written PyTorch, in turn.

    python benchmarks/train_step.py STORE --system a --backend jax
    python benchmarks/train_step.py STORE --system b --backend torch --rounds 15 --json
    python benchmarks/train_step.py STORE --dtype bfloat16

STORE is a prepared set (``pointkit prepare``). Its shapes need at least 2,048 points for system A (classification), and
1,024 for B (part segmentation). B's labels are fifths of the height, as the work does not depend on them. The batch is
32, in float32, or with products in bfloat16 and weights in float32 (Keras's mixed policy, PyTorch's autocast). Keras
contenders take a whole ``train_on_batch``: forward, backward, Adam, loss and accuracy. PyTorch's take forward, backward
and Adam alone, which favours them.

Contenders take their steps in turn (turns.py). Times are medians over the rounds. Memory is the peak of the process,
and how much of it is above the memory before the first step. A ratio is a rival's time over ours. "limit" counts the
multiply-adds that remain with exact pooling: 21 GFLOP for A, 174 for B. It is the share that ours reaches of this
machine's best rate of matrix products, measured in the same run. "pointkit fit" is a step of ``fit`` over the store's
largest split: an epoch's time over its steps, with loader, metrics and callbacks. Both have their memory in huge pages,
and keep it on PyTorch, as the commands do (pointkit.machine). So does "keras huge pages"; "pointkit default malloc"
does not.

Where the library has a GPU, steps, peak of memory and rate of products are measured there. PyTorch's times are then
those between two events on the device; the others' are by the clock until the loss has come back. "on the GPU" is the
time of a step's kernels there by the profiler's events, without waits between them. Their share of the limit is printed
beside the step's. Some contenders then mean nothing (pages, malloc): choose with --only.
"""

import argparse
import importlib.util
import json
import pathlib
import sys

import turns

POINTS = {"a": 2048, "b": 1024}
CLASSES = {"a": 10, "b": 5}
REMAIN = {"a": 21e9, "b": 174e9}  # operations, two for each multiply-add, batch 32
BATCH = 32
TORCH = ("torch eager", "torch eager tuned", "torch.compile", "torch.compile tuned")
RIVALS = ("keras layer by layer", "keras huge pages", *TORCH)
OURS = ("pointkit fit", "pointkit default malloc", "pointkit exact=False")


def options_of(parser, system=None):
    """The command's options. Where the store is not suitable, one line says why; workers need no check."""
    from pointkit.errors import StoreError

    options = parser.parse_args()
    if not options.worker:
        try:
            batch_of(options.store, system or options.system)
        except StoreError as error:
            parser.error(str(error))
    return options


def batch_of(store_path, system):
    """Points (32, N, 3) float32 and labels of the first shapes of a store that are large enough."""
    import numpy as np

    from pointkit import preprocess, store
    from pointkit.errors import StoreError

    opened = store.open(store_path)
    chosen = np.flatnonzero(opened.counts >= POINTS[system])[:BATCH]
    if len(chosen) < BATCH:
        rule = f"must hold {BATCH} shapes of at least {POINTS[system]} points"
        raise StoreError(f"{store_path}: {rule}, found {len(chosen)}")
    points = preprocess.normalise(np.stack([opened.cloud(i)[: POINTS[system]] for i in chosen]))[0]
    if system == "a":
        return points, opened.labels[chosen].astype("int32") % CLASSES["a"]
    return points, heights(points, system)


def heights(points, system):
    """Labels (B, N) of system B: fifths of the height."""
    height = points[..., 2].argsort(1).argsort(1)
    return (height * CLASSES[system] // POINTS[system]).astype("int32")


def epoch_of(model, store_path, system):
    """A function that fits a model for an epoch and returns the number of steps."""
    from pointkit import store
    from pointkit.loader import Batches

    class Labelled(Batches):
        """Batches with the labels that the bare step has, too."""

        def __getitem__(self, batch):
            points, labels, weights = super().__getitem__(batch)
            return (points, labels, weights) if system == "a" else (points, heights(points, system))

    opened = store.open(store_path)
    largest = max(store.SPLITS, key=lambda split: len(opened.select(split)))
    batches = Labelled(opened, largest, num_points=POINTS[system], batch_size=BATCH, training=True)

    def epoch():
        model.fit(batches, epochs=1, shuffle=False, verbose=0)
        return batches.num_batches

    return epoch


def as_train_does():
    """Set up memory as `pointkit train` does."""
    from pointkit.cli import use_backend
    from pointkit.machine import in_huge_pages, lean_keras

    in_huge_pages()
    use_backend(None)
    lean_keras()


def products_by_keras(dtype):
    """A function that multiplies matrices on Keras's device and returns how often it did 0.1 TFLOP."""
    from keras import ops

    size, times = 8192, 8  # 8.8 TFLOP
    a = ops.full((size, size), 1 / size, dtype)

    def multiply():
        last = a
        for _ in range(times):
            last = ops.matmul(a, last)
        ops.convert_to_numpy(last[:1, :1])  # waits; a copy of all of it would take longer than the products
        return round(2 * size**3 * times / 1e11)

    return multiply


def contender(name, system, store_path, dtype="float32"):
    """A function that takes one step."""
    if name in ("pointkit", "pointkit fit", "keras huge pages"):
        as_train_does()
    points, labels = batch_of(store_path, system)
    if name.startswith("torch"):
        from rivals import torch_step

        step, prepared = torch_step(system, CLASSES[system], compiled="compile" in name, dtype=dtype)
        batch = prepared(points, labels)
        return lambda: step(*batch)
    import keras

    if name == "products":
        return products_by_keras(dtype) if turns.gpu() else turns.products()
    if dtype != "float32":
        keras.config.set_dtype_policy(f"mixed_{dtype}")
    if name.startswith("keras"):
        from rivals import keras_system

        model = keras_system(system, CLASSES[system])
    else:
        from pointkit import models

        build = models.classifier if system == "a" else models.segmenter
        model = build("pointnet", CLASSES[system], seed=0, exact="exact=False" not in name)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    if name == "pointkit fit":
        return epoch_of(model, store_path, system)
    return lambda: float(model.train_on_batch(points, labels, return_dict=True)["loss"])


def skipped(name, backend):
    """Why a contender cannot take part, or nothing."""
    needs = "torch" if name.startswith("torch") else {"jax": "jax", "torch": "torch"}.get(backend, "tensorflow")
    return f"{needs} is not installed" if importlib.util.find_spec(needs) is None else ""


def measure(options):
    names = ["pointkit", *OURS, *RIVALS, "products"]
    if options.only:
        names = [name for name in names if name in ("pointkit", "products", *options.only)]
    left_out = {name: why for name in names if (why := skipped(name, options.backend))}
    command = [sys.executable, __file__, str(options.store), "--system", options.system]
    command += ["--dtype", options.dtype, "--worker"]
    commands = {name: [*command, name] for name in names if name not in left_out}
    taken = turns.take(commands, backend=options.backend, rounds=options.rounds, turn=options.turn)
    seconds, peaks, extra, kernels = ({name: figures[i] for name, figures in taken.items()} for i in range(4))
    rate = 1e11 / seconds.pop("products")
    kernels = {name: kernels[name] for name in seconds if kernels[name] is not None}
    ours = seconds["pointkit"]
    rivals = [name for name in seconds if name != "pointkit"]
    return {
        "system": options.system,
        "backend": options.backend,
        "dtype": options.dtype,
        "milliseconds": {name: round(1000 * value, 1) for name, value in seconds.items()},
        "peak_mib": {name: round(peaks[name]) for name in seconds},
        "step_mib": {name: round(extra[name]) for name in seconds},
        "ratios": {name: round(seconds[name] / ours, 2) for name in rivals},
        "memory_ratios": {name: round(peaks["pointkit"] / peaks[name], 2) for name in rivals},
        "gflops": round(rate / 1e9),
        "limit": round(REMAIN[options.system] / rate / ours, 2),
        "skipped": left_out,
        **(on_the_gpu(kernels, REMAIN[options.system] / rate) if kernels else {}),
    }


def on_the_gpu(kernels, limit):
    """Figures of the kernels' own seconds, and the share of the limit that ours reach."""
    ours = kernels["pointkit"]
    return {
        "gpu_milliseconds": {name: round(1000 * value, 2) for name, value in kernels.items()},
        "gpu_ratios": {name: round(value / ours, 2) for name, value in kernels.items() if name != "pointkit"},
        "gpu_limit": round(limit / ours, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=pathlib.Path)
    parser.add_argument("--system", choices=("a", "b"), default="a")
    parser.add_argument("--backend", choices=("jax", "torch", "tensorflow"), default="jax")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--turn", type=float, default=4.0, help="seconds of a turn, its steps back to back")
    parser.add_argument(
        "--only",
        action="append",
        choices=(*OURS, *RIVALS),
        help="run this one; several times for several (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = options_of(parser)
    if options.worker:
        turns.work(lambda: contender(options.worker, options.system, options.store, options.dtype))
        return
    result = measure(options)
    if options.json:
        print(json.dumps(result))
        return
    size = f"batch {BATCH}, {POINTS[options.system]:,} points"
    print(f"system {options.system.upper()}, {size}, on {options.backend}, {options.dtype}")
    print(f"{'':24}{'ms':>10}{'ratio':>8}{'peak MiB':>10}{'step MiB':>10}")
    for name, value in result["milliseconds"].items():
        ratio = result["ratios"].get(name, 1.0)
        print(f"{name:24}{value:10.1f}{ratio:8.2f}{result['peak_mib'][name]:10}{result['step_mib'][name]:10}")
    for name, why in result["skipped"].items():
        print(f"{name:24}{why:>38}")
    for name, value in result.get("gpu_milliseconds", {}).items():
        print(f"{name + ', on the GPU':34}{value:10.2f}{result['gpu_ratios'].get(name, 1.0):8.2f}")
    print(f"products: {result['gflops']} GFLOP/s; ours stands at {100 * result['limit']:.0f} % of that limit")
    if "gpu_limit" in result:
        print(f"its kernels alone at {100 * result['gpu_limit']:.0f} %")


if __name__ == "__main__":
    main()
