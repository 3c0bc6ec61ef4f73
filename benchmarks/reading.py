"""How fast meshes are read and sampled, by ours and other ways, file after file on one core.

    python benchmarks/reading.py FOLDER [--points 2048] [--rounds 5] [--json]

FOLDER holds OFF files at any depth. Each way reads all of them in one process. The ways take turns, so that other work
on the machine slows all alike. One way only loads the bytes, which shows what is left to gain. Times are medians over
the rounds in seconds, of the clock and of the processor. A ratio is a way's time by the clock over that of our reader.
The import of the libraries is not timed. Whole ``prepare`` runs are compared in benchmarks/prepare.py.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import time

import numpy as np

from pointkit import formats, sampling


def the_bytes(path, points):
    path.read_bytes()


def ours(path, points):
    sampling.surface(formats.read(path), points, np.random.default_rng(0))


def trimesh_loop(path, points):
    import trimesh

    trimesh.load(path).sample(points)


def trimesh_forced(path, points):
    import trimesh

    trimesh.load(path, force="mesh").sample(points)


def open3d(path, points):
    import open3d

    open3d.io.read_triangle_mesh(str(path)).sample_points_uniformly(points)


def plain_numpy(path, points):
    """A reader that one writes in five minutes: split, NumPy, sample. It takes triangles and a separate header only."""
    words = path.read_bytes().split()
    num_vertices, num_faces = int(words[1]), int(words[2])
    vertices = np.array(words[4 : 4 + 3 * num_vertices], np.float64).reshape(-1, 3)
    faces = np.array(words[4 + 3 * num_vertices :], np.int64).reshape(num_faces, 4)[:, 1:]
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.sqrt((cross**2).sum(1))
    chosen = corners[np.random.default_rng(0).choice(num_faces, points, p=area / area.sum())]
    u, v = np.random.default_rng(1).random((2, points, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return chosen[:, 0] + u * (chosen[:, 1] - chosen[:, 0]) + v * (chosen[:, 2] - chosen[:, 0])


WAYS = {
    "pointkit": ours,
    "trimesh": trimesh_loop,
    "trimesh force=mesh": trimesh_forced,
    "Open3D": open3d,
    "plain NumPy": plain_numpy,
    "the bytes alone": the_bytes,
}
NEEDS = {"trimesh": "trimesh", "trimesh force=mesh": "trimesh", "Open3D": "open3d"}


def once(way, paths, points):
    clock, processor = time.perf_counter(), time.process_time()
    for path in paths:
        way(path, points)
    return time.perf_counter() - clock, time.process_time() - processor


def measure(paths, points, rounds):
    there = {name: way for name, way in WAYS.items() if name not in NEEDS or importlib.util.find_spec(NEEDS[name])}
    for way in there.values():
        way(paths[0], points)  # the imports
    taken = {name: [] for name in there}
    for _ in range(rounds):
        for name, way in there.items():
            taken[name].append(once(way, paths, points))
    seconds = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in taken.items()}
    return {
        "files": len(paths),
        "megabytes": round(sum(path.stat().st_size for path in paths) / 1e6, 1),
        "points": points,
        "rounds": rounds,
        "seconds": {name: round(clock, 4) for name, (clock, _) in seconds.items()},
        "processor_seconds": {name: round(processor, 4) for name, (_, processor) in seconds.items()},
        "ratio": {name: round(clock / seconds["pointkit"][0], 2) for name, (clock, _) in seconds.items()},
        "skipped": sorted(set(WAYS) - set(there)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.off"))
    if not paths:
        parser.error(f"{options.folder}: no .off files")
    result = measure(paths, options.points, options.rounds)
    if options.json:
        print(json.dumps(result))
        return
    size = f"{result['files']:,} files, {result['megabytes']:,} MB"
    print(f"{size}, {options.points:,} points each, {options.rounds} rounds")
    print(f"{'':20}{'seconds':>10}{'processor':>12}{'ratio':>8}")
    for name, clock in result["seconds"].items():
        print(f"{name:20}{clock:10.3f}{result['processor_seconds'][name]:12.3f}{result['ratio'][name]:8.2f}")
    for name in result["skipped"]:
        print(f"{name:20}{'not installed':>30}")


if __name__ == "__main__":
    main()
