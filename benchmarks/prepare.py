"""How fast ``pointkit prepare`` is, beside the plain loop of trimesh.load(file).sample(2048), file after file.

    python benchmarks/prepare.py FOLDER [--copies 10] [--workers 2] [--json]

FOLDER holds meshes in one of the layouts that prepare knows. They are copied ``--copies`` times into a temporary folder
and read once, so that they are in the cache of the system. Then both run on them, one after the other. The time of
prepare is that of a fresh process from start to end. The loop is timed without the import of trimesh.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from pointkit.datasets import folder

SUFFIXES = (".off", ".ply", ".obj", ".stl")
POINTS = 2048


def copy(source: pathlib.Path, target: pathlib.Path, copies: int) -> list[pathlib.Path]:
    found = folder.find(source, SUFFIXES)
    paths = []
    for file in found.files:
        for i in range(copies):
            stem, suffix = os.path.splitext(file.file)
            paths.append(target / f"{stem}-{i}{suffix}")
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found.root / file.file, paths[-1])
    return paths


def prepare_seconds(source: pathlib.Path, output: pathlib.Path, workers: int) -> float:
    script = (
        "import sys; from pointkit.prepare import prepare; prepare(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", script, source, output, str(workers)], check=True)
    return time.perf_counter() - start


def loop_seconds(paths: list[pathlib.Path]) -> float:
    import trimesh

    start = time.perf_counter()
    for path in paths:
        trimesh.load(path, force="mesh").sample(POINTS)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        source = pathlib.Path(temporary, "set")
        paths = copy(options.folder, source, options.copies)
        size = sum(len(path.read_bytes()) for path in paths)
        ours = prepare_seconds(source, pathlib.Path(temporary, "store"), options.workers)
        loop = loop_seconds(paths)
    result = {
        "files": len(paths),
        "megabytes": round(size / 1e6, 1),
        "workers": options.workers,
        "cores": os.cpu_count(),
        "prepare_seconds": round(ours, 3),
        "trimesh_seconds": round(loop, 3),
        "ratio": round(loop / ours, 2),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{len(paths):,} files, {size / 1e6:,.0f} MB, {options.workers} workers on {os.cpu_count()} cores")
        print(f"prepare {ours:.2f} s, the loop of trimesh {loop:.2f} s: {loop / ours:.1f} times as fast")


if __name__ == "__main__":
    main()
