"""A whole training step of a network that sees neighbourhoods: ours beside the public PyTorch way, in turn.

    python benchmarks/steps.py --network dgcnn --backend jax
    python benchmarks/steps.py --network dgcnn --backend torch --threads 2 --json

A step is ``train_on_batch`` of a classifier of 40 classes on 16 clouds of 1,024 points: forward, backward, Adam, loss.
Points lie on spheres. DGCNN has 20 neighbours and finds its four graphs in the step, as all contenders do. PointNet++
SSG and PointNeXt-S are given their lists of neighbours, as a training finds these beside the step.

- "pointkit": ``models.classifier``;
- "pointkit and lists": order and lists are found in the step, too, on the host and in the same thread;
- "exact=False": the same network edge by edge;
- "torch": the network in plain PyTorch, as public code has it (neighbours by ``topk`` of all distances, an array of all
  edges, ``Conv2d``, ``BatchNorm2d``, maximum), in ``public_networks.py`` and ``public_balls.py``;
- "torch and search": it also finds centres, by farthest point sampling, and balls, by all distances;
- "torch_geometric": the same with that package's ``EdgeConv``, where it is installed. Its ``DynamicEdgeConv`` needs
  pyg-lib, so neighbours come from ``topk`` here, too.

Contenders are processes of their own that take their steps in turn (turns.py), by default with one thread each. Times
are the least of all steps, in processor time, so that other work on the machine counts less. Memory is the process's
peak above what it held before the first step. A ratio is a contender's processor time over ours; a memory ratio is ours
over the contender's. A new network is a line in ``NETWORKS`` and a function in ``public_networks.py``.
"""

import argparse
import importlib.util
import json
import os
import sys

import turns

CLOUDS, POINTS, CLASSES = 16, 1024, 40
BALLS = "pointkit", "pointkit and lists", "exact=False", "torch", "torch and search"
NETWORKS = {  # and who can be asked to take part
    "dgcnn": ("pointkit", "exact=False", "torch", "torch_geometric"),
    "pointnet2": BALLS,
    "pointnext": BALLS,
}


def batch():
    """Points (16, 1024, 3) float32 on spheres, and classes (16,)."""
    import numpy as np

    rng = np.random.default_rng(0)
    points = rng.normal(size=(CLOUDS, POINTS, 3)).astype("float32")
    return points / np.linalg.norm(points, axis=2, keepdims=True), rng.integers(0, CLASSES, CLOUDS).astype("int32")


def contender(name, network):
    """A function that takes one step and waits for it."""
    points, labels = batch()
    if name == "torch and search" or (name.startswith("torch") and network == "dgcnn"):
        import public_networks

        return public_networks.step(network, CLASSES, points, labels, geometric=name == "torch_geometric")
    import keras
    import numpy as np

    from pointkit import models, neighbours

    model = models.classifier(network, CLASSES, dropout=0.5, seed=0, exact=name != "exact=False")
    lists, model = models.lists(model), models.listed(model)
    given = neighbours.with_lists(points, lists, np.random.default_rng(0))[0] if lists else points
    if name == "torch":
        import public_networks

        return public_networks.step(network, CLASSES, given["points"], labels, [given[each] for each in lists])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)
    if name == "pointkit and lists":
        rng = np.random.default_rng(0)
        return lambda: float(model.train_on_batch(neighbours.with_lists(points, lists, rng)[0], labels))
    return lambda: float(model.train_on_batch(given, labels))


def measure(options):
    """Milliseconds, MiB and ratios by contender."""
    needed = {"torch": "torch", "torch and search": "torch", "torch_geometric": "torch_geometric"}
    names = [name for name in NETWORKS[options.network] if importlib.util.find_spec(needed.get(name, "keras"))]
    names = [name for name in names if name == "pointkit" or not options.only or name in options.only]
    shared = ["--network", options.network, "--backend", options.backend]
    taken = turns.take_by_processor(
        {name: [sys.executable, __file__, *shared, "--worker", name] for name in names},
        backend=options.backend,
        threads=options.threads,
        rounds=options.rounds,
    )
    about = {"network": options.network, "backend": options.backend, "threads": options.threads}
    return {**about, **turns.figures(taken)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=tuple(NETWORKS), default="dgcnn")
    parser.add_argument("--backend", choices=("jax", "torch", "tensorflow"), default="jax")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", action="append", help="run this rival; several times for several (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        if options.backend == "torch" or options.worker.startswith("torch"):
            import torch

            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        turns.work_by_processor(lambda: contender(options.worker, options.network))
        return
    result = measure(options)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{options.network} on {options.backend}, threads: {options.threads}, load {result['load']}")
    turns.table(result)


if __name__ == "__main__":
    main()
