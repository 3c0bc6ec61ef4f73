"""Points that are arrays already, from a simulation or a sensor, become a store without any files.

    python examples/04_arrays_to_store.py [FOLDER]

Each shape's points must lie in random order. Training takes stretches of them as fresh random subsets.
"""

import pathlib
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

from pointkit import store

CLASSES = ("ball", "cube")  # in sorted order: a class's id is its place here
POINTS = 200


def shapes(rng: np.random.Generator) -> Iterator[tuple[store.ShapeRow, np.ndarray]]:
    for number in range(20):
        split = "test" if number < 4 else "val" if number < 6 else "train"
        for name in CLASSES:
            points = rng.normal(size=(POINTS, 3))
            points /= (
                np.linalg.norm(points, axis=1, keepdims=True) if name == "ball" else np.abs(points).max(1)[:, None]
            )
            yield store.ShapeRow(f"{name}_{number}", "", split, name, 0, 0), points.astype(np.float32)


def main(folder: pathlib.Path) -> None:
    facts = {"task": "classification", "num_points_drawn": POINTS, "seed": 0, "source": "examples/04"}
    written = store.write(folder / "store", shapes(np.random.default_rng(0)), CLASSES, facts)
    store.verify(written)
    for split in store.SPLITS:
        print(f"{split}: {len(written.select(split))} shapes")
    print(f"all points: {written.points.shape} {written.points.dtype}, read from the disk as they are used")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(pathlib.Path(temporary))
