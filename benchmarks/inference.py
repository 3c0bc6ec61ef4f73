"""Prediction by the reference systems: ours beside Keras layer by layer, PyTorch, onnxruntime and OpenVINO, in turn.

    python benchmarks/inference.py STORE --system a --backend jax --batch 32
    python benchmarks/inference.py STORE --system b --backend jax --batch 1 --rounds 30 --json
    python benchmarks/inference.py STORE --system b --backend jax --points 1000000

STORE is as for train_step.py. Ours is ``models.answering``, as in ``pointkit predict``. Keras runs
``predict_on_batch``. onnxruntime and OpenVINO run the hand-written PyTorch network, exported to ONNX. "limit" counts
the multiply-adds of ours, of which the others have no fewer: it is the share that ours reaches of this machine's best
rate of matrix products, measured in the same run. With ``--points`` ours alone answers one cloud of so many points,
some at a time (``models.InParts``); its time and its peak of memory are printed. Contenders take turns (turns.py), and
times are medians. A ratio is a rival's time over ours.
"""

import argparse
import importlib.util
import json
import pathlib
import sys
import tempfile
import time

import train_step
import turns

MULTIPLY_ADDS = {"a": 107_712, "b": 1_532_928}  # a point

RIVALS = {"keras layer by layer": "", "torch eager": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino"}


def contender(name, options):
    """A function that answers the batch."""
    if name == "products":
        return turns.products()
    points = train_step.batch_of(options.store, options.system)[0][: options.batch]
    classes = train_step.CLASSES[options.system]
    if name == "torch eager":
        import torch
        from rivals import torch_system

        model, x = torch_system(options.system, classes).eval(), torch.from_numpy(points)

        def eager():
            with torch.inference_mode():
                return model(x)[0].numpy()

        return eager
    if name in ("onnxruntime", "openvino"):
        from rivals import onnx_file

        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "model.onnx"
            onnx_file(options.system, classes, points.shape[1], file)
            if name == "openvino":
                import openvino

                compiled = openvino.compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
                return lambda: compiled(points)[0]
            import onnxruntime

            running = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            return lambda: running.run(None, {"points": points})[0]
    if name == "keras layer by layer":
        import keras
        from rivals import keras_system

        model = keras_system(options.system, classes)
        return lambda: keras.ops.convert_to_numpy(model.predict_on_batch(points))
    model = network(options.system)
    from pointkit.models import answering

    answer = answering(model)
    return lambda: answer(points)


def network(system):
    """Our network."""
    from pointkit.cli import use_backend
    from pointkit.machine import lean_keras

    use_backend(None)  # as `pointkit predict` does
    lean_keras()
    from pointkit import models

    return (models.classifier if system == "a" else models.segmenter)("pointnet", train_step.CLASSES[system], seed=0)


def one_cloud(options):
    """Time and peak memory of ours on one cloud, made of the store's shapes."""
    import numpy as np

    from pointkit import models

    points = train_step.batch_of(options.store, options.system)[0].reshape(-1, 3)
    rng = np.random.default_rng(0)
    points = points[rng.integers(len(points), size=options.points)]
    points = (points + rng.normal(0, 0.01, points.shape)).astype("float32")[None]
    model = models.InParts(network(options.system))
    start = time.perf_counter()
    model(points)
    first = time.perf_counter() - start
    start = time.perf_counter()
    model(points)
    return {
        "points": options.points,
        "seconds_with_compiling": round(first, 2),
        "seconds": round(time.perf_counter() - start, 2),
        "peak_mib": round(turns.peak()),
    }


def measure(options):
    names = ["pointkit", *RIVALS, "products"]
    skipped = {name: f"{needs} is not installed" for name, needs in RIVALS.items() if needs and not _there(needs)}
    command = [sys.executable, *sys.argv, "--worker"]
    commands = {name: [*command, name] for name in names if name not in skipped}
    taken = turns.take(commands, backend=options.backend, rounds=options.rounds, turn=options.turn)
    rate = 1e11 / taken.pop("products")[0]
    ours = taken["pointkit"][0]
    work = 2 * MULTIPLY_ADDS[options.system] * options.batch * train_step.POINTS[options.system]
    return {
        "system": options.system,
        "backend": options.backend,
        "batch": options.batch,
        "milliseconds": {name: round(1000 * figures[0], 2) for name, figures in taken.items()},
        "peak_mib": {name: round(figures[1]) for name, figures in taken.items()},
        "ratios": {name: round(figures[0] / ours, 2) for name, figures in taken.items() if name != "pointkit"},
        "gflops": round(rate / 1e9),
        "limit": round(work / rate / ours, 2),
        "skipped": skipped,
    }


def _there(module):
    return importlib.util.find_spec(module) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=pathlib.Path)
    parser.add_argument("--system", choices=("a", "b"), default="a")
    parser.add_argument("--backend", choices=("jax", "torch", "tensorflow"), default="jax")
    parser.add_argument("--batch", type=int, default=32, help="clouds, at most 32")
    parser.add_argument("--points", type=int, help="answer one cloud of so many points instead")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--turn", type=float, default=1.0, help="seconds of answers that a contender gives in its turn")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = train_step.options_of(parser)
    if options.worker:
        turns.work(lambda: contender(options.worker, options))
        return
    result = one_cloud(options) if options.points else measure(options)
    if options.json or options.points:
        print(json.dumps(result))
        return
    print(f"system {options.system.upper()}, batch {options.batch}, on {options.backend}")
    print(f"{'':24}{'ms':>10}{'ratio':>8}{'peak MiB':>10}")
    for name, value in result["milliseconds"].items():
        print(f"{name:24}{value:10.2f}{result['ratios'].get(name, 1.0):8.2f}{result['peak_mib'][name]:10}")
    for name, why in result["skipped"].items():
        print(f"{name:24}{why:>28}")
    print(f"products: {result['gflops']} GFLOP/s; ours stands at {100 * result['limit']:.0f} % of that limit")


if __name__ == "__main__":
    main()
