"""Points and labels as text: ours beside ``np.loadtxt``, on one core, in turn in one run.

    python benchmarks/part_text.py FOLDER

FOLDER is a set of part annotations in one of the published layouts (docs/prepare.md). Ours reads the texts of
thirty-two shapes at once, as ``prepare`` does. ``np.loadtxt`` reads file by file. The values must be the same.
"""

import argparse
import pathlib
import statistics
import time

import numpy as np

from pointkit.datasets import shapenet_part
from pointkit.prepare import chunks

ROUNDS = 5


def ours(root, found):
    """The points and labels of every shape."""
    answer = []
    for start in range(0, len(found.files), chunks.MAX_FILES):
        files = found.files[start : start + chunks.MAX_FILES]
        texts = [shapenet_part.load(root / file.file, root, file.labels) for file in files]
        answer += shapenet_part.clouds(found.layout, texts, [file.labels for file in files])
    return answer


def loadtxt(root, found):
    """The numbers of every text."""
    return [[np.loadtxt(root / name) for name in (file.file, *file.labels) if name] for file in found.files]


def the_bytes(root, found):
    """The texts alone."""
    return [[(root / name).read_bytes() for name in (file.file, *file.labels) if name] for file in found.files]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    root, layout = shapenet_part.layout_of(parser.parse_args().folder)
    found = shapenet_part.find(root, layout)
    contenders = {"pointkit": ours, "np.loadtxt": loadtxt, "the bytes alone": the_bytes}
    for cloud, tables in zip(ours(root, found), loadtxt(root, found), strict=True):
        np.testing.assert_array_equal(cloud.placement.restore(cloud.points), tables[0][:, :3].astype(np.float32))
    seconds = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            start = time.perf_counter()
            run(root, found)
            seconds[name].append(time.perf_counter() - start)
    number = sum(1 + sum(map(bool, file.labels)) for file in found.files)
    print(f"{number:,} texts of {len(found.files):,} shapes, median of {ROUNDS} rounds")
    own = statistics.median(seconds["pointkit"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:16} {median:7.3f} s {median / own:7.2f}")


if __name__ == "__main__":
    main()
