"""A small set of shapes that a network learns in a minute: spheres, boxes and sticks, each of its own proportions."""

import numpy as np

from pointkit import store

CLASSES = ("box", "sphere", "stick")
POINTS = 96
COUNTS = {"train": 8, "val": 2, "test": 3}  # of each class; boxes have one more to train on


def sphere(rng, count):
    """Points (count, 3) float32 on an ellipsoid."""
    x = rng.normal(size=(count, 3))
    return (x / np.linalg.norm(x, axis=1, keepdims=True) * rng.uniform(0.9, 1.1, 3)).astype(np.float32)


def box(rng, count):
    """Points (count, 3) float32 on the faces of a box."""
    x = rng.uniform(-1, 1, (count, 3))
    axis = rng.integers(3, size=count)
    x[np.arange(count), axis] = np.sign(x[np.arange(count), axis])
    return (x * rng.uniform(0.7, 1.3, 3)).astype(np.float32)


def stick(rng, count):
    """Points (count, 3) float32 on an upright stick."""
    x = rng.normal(size=(count, 3)) * (0.05, 0.05, 0)
    x[:, 2] = rng.uniform(-1, 1, count)
    return (x * rng.uniform(0.8, 1.2, 3)).astype(np.float32)


MAKERS = {"box": box, "sphere": sphere, "stick": stick}


def tiny_shapes(seed=0, points=POINTS):
    """Rows and points of the whole set: 40 shapes."""
    rng = np.random.default_rng(seed)
    for split, count in COUNTS.items():
        for name in CLASSES:
            for i in range(count + (name == "box" and split == "train")):
                ident = f"{name}/{split}/{name}_{i:04d}"
                yield store.ShapeRow(ident, f"{ident}.xyz", split, name, 0, 0), MAKERS[name](rng, points)


def write_tiny(path, seed=0, points=POINTS, shapes=None, **facts):
    """The set as a store."""
    whole = {"task": "classification", "num_points_drawn": points, "seed": seed, **facts}
    return store.write(path, tiny_shapes(seed, points) if shapes is None else shapes, CLASSES, whole)


def small_network(settings, num_classes, **_):
    """What ``models.build`` gives, in small: quick to compile, with batch norm, dropout and seeds of its own."""
    import keras
    from keras import layers

    from pointkit.models import seed_stream
    from pointkit.nn import PooledBlock
    from pointkit.nn.pointwise import glorot

    seeds = seed_stream(settings["seed"])
    points = keras.Input((None, 3), name="points")
    x = PooledBlock(16, settings["momentum"], kernel_initializer=glorot(seeds), name="pointwise")(points)
    x = layers.Dropout(settings["dropout"], seed=next(seeds), name="dropout")(x)
    x = layers.Dense(num_classes, kernel_initializer=glorot(seeds), name="logits")(x)
    return keras.Model(points, x, name="small")
