"""A small set of shapes that a network learns in a minute: spheres, boxes and sticks, each of its own proportions."""

import numpy as np

from pointkit import store
from pointkit.cloud import Sample

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


def write_files(folder, broken="broken.xyz", points=80):
    """A folder of two classes, ten files of text each, and one file in it that cannot be read. Returns the folder."""
    rng = np.random.default_rng(0)
    for name in ("box", "stick"):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            np.savetxt(folder / name / f"{i}.xyz", MAKERS[name](rng, points))
    (folder / "box" / broken).write_text("1 2\n")
    return folder


PARTS = {"box": ("low", "high"), "stick": ("foot", "middle", "head")}


def tiny_labelled(seed=0, points=POINTS, codes=None):
    """Rows and samples of boxes and sticks whose parts lie one above the other, of different numbers of points.

    One point in ten has no label; ``codes``: category -> the label of each part, by default the store's ids.
    """
    rng = np.random.default_rng(seed)
    first = {"box": 0, "stick": 2}
    for split, count in COUNTS.items():
        for name, parts in PARTS.items():
            for i in range(count):
                ident = f"{name}/{split}/{name}_{i:04d}"
                cloud = MAKERS[name](rng, points + 7 * i)
                z = cloud[:, 2]
                part = np.minimum(((z - z.min()) / np.ptp(z) * len(parts)).astype(int), len(parts) - 1)
                labels = (np.array(codes[name])[part] if codes else first[name] + part).astype(np.int32)
                labels[rng.random(len(labels)) < 0.1] = -1
                normals = cloud / np.linalg.norm(cloud, axis=1, keepdims=True)
                row = store.ShapeRow(ident, f"{ident}.xyz", split, name, 0, 0)
                yield row, Sample(cloud, labels, normals.astype(np.float32))


def write_tiny_parts(path, shapes=None, **facts):
    """That set as a store of parts: 16 shapes to train on, 4 to validate, 6 to test."""
    whole = {"task": "parts", "num_points_drawn": POINTS, "seed": 0, "parts": PARTS, "features": ["nx", "ny", "nz"]}
    return store.write(path, shapes or tiny_labelled(), tuple(PARTS), whole | facts)
