"""Stores for the tests of the audit: built-in shapes with faults planted in them."""

import numpy as np

from pointkit import store, synthetic
from pointkit.cloud import Sample
from pointkit.sampling import surface

POINTS = 2048


def plan(shapes_per_class=20, classes=None):
    return synthetic.plan(shapes_per_class=shapes_per_class, classes=classes)


def drawn(planned, rng, points=POINTS):
    """A fresh draw of a planned shape."""
    return surface(synthetic.make(planned.class_name, planned.style, planned.seed), points, rng).points


def turned(points, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def made(path, shapes, classes=None, facts=None, **more):
    """A store of (class, split, points or Sample); the file of shape 3 is class/3.ply."""
    rows = [
        (
            store.ShapeRow(f"{name}/{i}", f"{name}/{i}.ply", split, name),
            points if isinstance(points, Sample) else np.asarray(points, np.float32),
        )
        for i, (name, split, points) in enumerate(shapes)
    ]
    names = classes or sorted({name for name, _, _ in shapes})
    return store.write(path, rows, names, {"num_points_drawn": POINTS, "seed": 0, **(facts or {})}, **more)


def built_in(shapes_per_class=20, classes=None, seed=1):
    """(class, split, points) of built-in shapes."""
    rng = np.random.default_rng(seed)
    return [(one.class_name, one.split, drawn(one, rng)) for one in plan(shapes_per_class, classes)]
