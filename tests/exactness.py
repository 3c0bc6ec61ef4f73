"""How far exact pooling is from layer by layer: loss, output, gradients and statistics, in float64 and in float32.

    python -m tests.exactness [--system a|b] [--batch 4] [--points 128] [--seeds 3] [STORE]

Prints one JSON object: for each seed, every relative error. The truth is layer by layer in float64. The clouds are
the STORE's, or else random; gammas have both signs, weights and statistics are not those that they start from.
"""

import argparse
import json
import os

import numpy as np

CLASSES = {"a": 10, "b": 5}


def relative(a, b):
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300))


def network(system, exact, dtype, seed):
    """System A or B without dropout, in a precision, its weights far from where they start."""
    import keras

    from pointkit import models

    keras.config.set_dtype_policy(dtype)
    build = models.classifier if system == "a" else models.segmenter
    model = build("pointnet", CLASSES[system], dropout=0.0, exact=exact, blank=True)
    rng = np.random.default_rng(seed)
    values = []
    for weight, start in zip(model.weights, model.get_weights(), strict=True):
        kernel = start.ndim == 2 and "matrix" not in weight.path
        value = start + (np.sqrt(2 / sum(start.shape)) if kernel else 0.02) * rng.standard_normal(start.shape)
        if weight.path.endswith("gamma"):
            value *= rng.choice([-1, 1], start.shape)
        if weight.path.endswith("variance"):
            value = np.abs(value)
        values.append(value.astype("float32"))  # the same in both precisions
    model.set_weights(values)
    return model


def cross_entropy(truth):
    import keras
    from keras import ops

    def loss(logits):
        logits = ops.cast(logits, keras.config.dtype_policy().compute_dtype)
        return ops.mean(keras.losses.sparse_categorical_crossentropy(truth, logits, from_logits=True))

    return loss


def call(system, exact, dtype, seed, points, truth):
    from tests.gradients import training_call

    model = network(system, exact, dtype, seed)
    return training_call(model, [points.astype(dtype)], cross_entropy(truth))


def errors(result, truth):
    """Relative errors of a call's result, the gradient as one vector and weight by weight."""
    whole = [np.concatenate([g.ravel() for g in r["gradients"].values()]) for r in (result, truth)]
    size = np.linalg.norm(whole[1])
    # A bias before a norm has no effect: its gradient is zero, but for rounding.
    each = [
        relative(result["gradients"][k], g) for k, g in truth["gradients"].items() if np.linalg.norm(g) > 1e-6 * size
    ]
    stats = [np.concatenate([s.ravel() for s in r["statistics"].values()]) for r in (result, truth)]
    return {
        "loss": abs(result["loss"] - truth["loss"]) / abs(truth["loss"]),
        "output": relative(result["output"], truth["output"]),
        "gradient": relative(*whole),
        "median weight's gradient": float(np.median(each)),
        "points' gradient": relative(result["inputs"][0], truth["inputs"][0]),
        "statistics": relative(*stats),
    }


def compare(system, seed, points):
    """Errors against layer by layer in float64: ours in float64, layer by layer in float32, ours in float32."""
    rng = np.random.default_rng(seed)
    shape = points.shape[:1] if system == "a" else points.shape[:2]
    truth = rng.integers(0, CLASSES[system], shape)
    arguments = (seed, points, truth)
    right = call(system, False, "float64", *arguments)
    return {
        "exact float64": errors(call(system, True, "float64", *arguments), right),
        "layer by layer float32": errors(call(system, False, "float32", *arguments), right),
        "exact float32": errors(call(system, True, "float32", *arguments), right),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", nargs="?")
    parser.add_argument("--system", choices=("a", "b"), default="a")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--points", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if os.environ.get("KERAS_BACKEND", "jax") == "jax":
        os.environ["JAX_ENABLE_X64"] = "1"
    import pointkit  # names the backend
    from pointkit import preprocess

    results = []
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        if options.store:
            store = pointkit.store.open(options.store)
            chosen = rng.choice(np.flatnonzero(store.counts >= options.points), options.batch, replace=False)
            clouds = np.stack([store.cloud(i)[: options.points] for i in chosen])
            points = preprocess.normalise(clouds)[0]
        else:
            points = rng.uniform(-1, 1, (options.batch, options.points, 3)).astype("float32")
        results.append(compare(options.system, seed, points))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
