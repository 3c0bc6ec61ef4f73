"""A block on neighbourhoods: ours beside the same block edge by edge, in turn, forward and backward.

    python benchmarks/grouped.py --backend jax
    python benchmarks/grouped.py --backend torch --channels 128 --json
    python benchmarks/grouped.py --layer dgcnn --backend jax

``--layer block`` is linear + batch norm over all edges + ReLU + maximum over 20 neighbours, on 16 clouds of 1,024
points and 64 features. ``--layer dgcnn`` is the four of them that DGCNN stacks, 3-64-64-128-256, with leaky ReLU,
graphs given (16 clouds as well). Points lie on spheres, and neighbours are the nearest. A step computes the sum of the
outputs times random numbers, and its gradient by inputs and weights.

- "pointkit": ``nn.EdgeBlock``;
- "exact=False": the same layer edge by edge;
- "edge form": edge by edge in the backend's own words, as one would write it: gather, concatenate, product, moments,
  maximum;
- "torch edge form": ``get_graph_feature``, ``Conv2d``, ``BatchNorm2d``, ReLU and ``max``, as DGCNN's public code in
  PyTorch has them.

Contenders are processes of their own that take their steps in turn, by default with one thread each. Times are
processor time, so that other work on the machine counts less; wall time stands beside. The least of all steps is taken,
which other work disturbs least. Memory is the process's peak above what it held before the first step. A ratio is a
contender's processor time over ours; a memory ratio is ours over the contender's. Where the backend has a GPU, the wall
time is what counts.
"""

import argparse
import importlib.util
import itertools
import json
import os
import sys

import turns

CLOUDS, POINTS, NEIGHBOURS, FEATURES = 16, 1024, 20, 64
DGCNN = (3, 64, 64, 128, 256)
NAMES = ("pointkit", "exact=False", "edge form", "torch edge form")


def data(widths):
    """Features (B, N, K), lists (B, N, M), kernels, gammas and betas for the widths, and a weight for each output."""
    import numpy as np

    from pointkit import neighbours

    rng = np.random.default_rng(0)
    points = rng.normal(size=(CLOUDS, POINTS, 3)).astype("float32")
    points /= np.linalg.norm(points, axis=2, keepdims=True)
    x = points if widths[0] == 3 else rng.normal(size=(CLOUDS, POINTS, widths[0])).astype("float32")
    layers = [
        [
            a.astype("float32")
            for a in (rng.normal(size=(2 * k, c)) / (2 * k) ** 0.5, rng.normal(size=c), rng.normal(size=c))
        ]
        for k, c in itertools.pairwise(widths)
    ]
    return x, neighbours.nearest(points, points, NEIGHBOURS), layers, rng.normal(size=(*x.shape[:2], widths[-1]))


def with_keras(name, widths, slope):
    """A step of a stack of ``nn.EdgeBlock``; the backend's own means take the gradient."""
    import keras
    from keras import ops

    from pointkit.nn import EdgeBlock

    x, index, layers, goal = data(widths)
    points, lists = keras.Input(x.shape[1:]), keras.Input(index.shape[1:], dtype="int32")
    y = points
    for i, (kernel, gamma, beta) in enumerate(layers):
        block = EdgeBlock(kernel.shape[1], negative_slope=slope, use_bias=False, exact=name == "pointkit", name=f"e{i}")
        y = block([y, lists])
        block.set_weights([kernel, gamma, beta, *block.get_weights()[3:]])
    model = keras.Model([points, lists], y)
    goal, index, x = (ops.convert_to_tensor(a) for a in (goal.astype("float32"), index, x))

    def loss(trainable, others, x):
        out, others = model.stateless_call(trainable, others, [x, index], training=True)
        return ops.sum(out * goal), others

    return {"jax": _jax_step, "torch": _torch_step, "tensorflow": _tensorflow_step}[keras.backend.backend()](
        model, loss, x, [index], goal
    )


def _jax_step(model, loss, x, rest, goal):
    import jax

    step = jax.jit(jax.value_and_grad(loss, (0, 2), has_aux=True))
    weights = [[w.value for w in each] for each in (model.trainable_variables, model.non_trainable_variables)]
    return lambda: jax.block_until_ready(step(*weights, x))


def _torch_step(model, loss, x, rest, goal):
    import torch

    x = x.detach().requires_grad_()
    wanted = [*(w.value for w in model.trainable_variables), x]

    def step():
        total = (model([x, *rest], training=True) * goal).sum()
        return torch.autograd.grad(total, wanted)[-1].flatten()[0].item()

    return step


def _tensorflow_step(model, loss, x, rest, goal):
    import tensorflow as tf

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(model([x, *rest], training=True) * goal)
        return tape.gradient(total, [*(w.value for w in model.trainable_variables), x])

    return lambda: gradients()[-1].numpy()[0, 0, 0]


def jax_edges(widths, slope):
    import jax
    import jax.numpy as jnp

    x, index, layers, goal = (jax.tree.map(jnp.asarray, each) for each in data(widths))

    def total(x, layers):
        for kernel, gamma, beta in layers:
            other = jax.vmap(lambda x, i: x[i])(x, index)
            e = jnp.concatenate([jnp.broadcast_to(x[:, :, None], other.shape), other - x[:, :, None]], -1) @ kernel
            e = (e - e.mean((0, 1, 2))) * jax.lax.rsqrt(e.var((0, 1, 2)) + 1e-3) * gamma + beta
            x = jax.nn.leaky_relu(e, slope).max(2)
        return (x * goal).sum()

    step = jax.jit(jax.value_and_grad(total, (0, 1)))
    return lambda: jax.block_until_ready(step(x, layers))


def tensorflow_edges(widths, slope):
    import tensorflow as tf

    x, index, layers, goal = data(widths)
    x, goal = tf.constant(x), tf.constant(goal.astype("float32"))
    layers = [[tf.constant(a) for a in layer] for layer in layers]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch([x, layers])
            y = x
            for kernel, gamma, beta in layers:
                other = tf.gather(y, index, batch_dims=1)
                e = tf.concat([tf.broadcast_to(y[:, :, None], tf.shape(other)), other - y[:, :, None]], -1) @ kernel
                mean, variance = tf.nn.moments(e, (0, 1, 2))
                e = tf.nn.batch_normalization(e, mean, variance, beta, gamma, 1e-3)
                y = tf.reduce_max(tf.nn.leaky_relu(e, slope), 2)
            total = tf.reduce_sum(y * goal)
        return tape.gradient(total, [x, layers])

    return lambda: step()[0].numpy()[0, 0, 0]


def torch_edges(widths, slope):
    """DGCNN's public PyTorch code: features first, (B, K, N); edges (B, 2 K, N, M)."""
    import torch
    from torch import nn

    arrays, index, layers, goal = data(widths)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, goal = (torch.tensor(a.transpose(0, 2, 1).astype("float32"), device=device) for a in (arrays, goal))
    x.requires_grad_()
    index = torch.tensor(index, dtype=torch.int64, device=device)
    flat = (index + torch.arange(CLOUDS, device=device)[:, None, None] * POINTS).view(-1)
    stack = []
    for kernel, gamma, beta in layers:
        conv, norm = nn.Conv2d(*kernel.shape, 1, bias=False), nn.BatchNorm2d(kernel.shape[1], eps=1e-3)
        with torch.no_grad():
            half = len(kernel) // 2  # the code's order is the difference first
            conv.weight.copy_(torch.tensor(kernel[[*range(half, 2 * half), *range(half)]]).T[:, :, None, None])
            norm.weight.copy_(torch.tensor(gamma))
            norm.bias.copy_(torch.tensor(beta))
        stack.append((conv.to(device), norm.to(device)))

    def graph_feature(x):
        rows = x.transpose(2, 1).contiguous()
        other = rows.view(CLOUDS * POINTS, -1)[flat, :].view(CLOUDS, POINTS, NEIGHBOURS, -1)
        own = rows.view(CLOUDS, POINTS, 1, -1).repeat(1, 1, NEIGHBOURS, 1)
        return torch.cat((other - own, own), dim=3).permute(0, 3, 1, 2).contiguous()

    def step():
        y = x
        for conv, norm in stack:
            y = nn.functional.leaky_relu(norm(conv(graph_feature(y))), slope).max(dim=-1)[0]
        (y * goal).sum().backward()
        return x.grad.flatten()[0].item()

    return step


def contender(name, backend, widths, slope):
    """A function that takes one step and waits for it."""
    if backend == "torch" or name == "torch edge form":
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if name in ("pointkit", "exact=False"):
        return with_keras(name, widths, slope)
    if name == "torch edge form" or backend == "torch":
        return torch_edges(widths, slope)
    return {"jax": jax_edges, "tensorflow": tensorflow_edges}[backend](widths, slope)


def widths_of(options):
    return DGCNN if options.layer == "dgcnn" else (FEATURES, options.channels)


def measure(options):
    """Milliseconds of processor and wall time and MiB above the start by contender, and what stands out of them."""
    names = [name for name in NAMES if options.backend != "torch" or name != "edge form"]
    if importlib.util.find_spec("torch") is None:
        names.remove("torch edge form")
    shared = ["--layer", options.layer, "--backend", options.backend, "--channels", str(options.channels)]
    commands = {name: [sys.executable, __file__, *shared, "--worker", name] for name in names}
    taken = turns.take_by_processor(commands, backend=options.backend, threads=options.threads, rounds=options.rounds)
    result = turns.figures(taken)
    if options.backend == "torch":  # public code is the edge form there
        for each in (result["ratios"], result["memory_ratios"]):
            if "torch edge form" in each:
                each["edge form"] = each["torch edge form"]
    about = {"layer": options.layer, "backend": options.backend, "threads": options.threads}
    return {**about, "channels": list(widths_of(options)), **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", choices=("block", "dgcnn"), default="block")
    parser.add_argument("--backend", choices=("jax", "torch", "tensorflow"), default="jax")
    parser.add_argument("--channels", type=int, default=64, help="of the block's output")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        slope = 0.0 if options.layer == "block" else 0.2
        turns.work_by_processor(lambda: contender(options.worker, options.backend, widths_of(options), slope))
        return
    result = measure(options)
    if options.json:
        print(json.dumps(result))
        return
    widths = "-".join(map(str, result["channels"]))
    print(f"{options.layer} {widths} on {options.backend}, threads: {options.threads}, load {result['load']}")
    turns.table(result)


if __name__ == "__main__":
    main()
