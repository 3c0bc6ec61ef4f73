"""How fast LAS and LAZ are read, beside laspy, and how much memory it takes.

    python benchmarks/las_files.py [--points 2000000] [--file SCAN.laz] [--rounds 3] [--json]

Without a file a LAZ and a LAS of point format 3 are made, of points along the path of a scanner, from a fixed seed.
Each way to read is a process of its own. ``laspy`` is ``laspy.read`` and its ``xyz``; ``fields`` also makes an array of
every field, as ``pointkit`` does (``formats.read``); ``pieces`` goes through the file (``formats.pieces``). Seconds are
the best of the rounds, of the clock and of the processor (all processes together). Memory is the largest that a process
had, and that of its two helpers together.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time


def made(folder, count):
    """Write a LAZ and a LAS of as many points."""
    import laspy
    import numpy as np

    rng = np.random.default_rng(0)
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.scales = [0.01] * 3
    las = laspy.LasData(header)
    las.points = laspy.ScaleAwarePointRecord.zeros(count, header=header)
    for name, step in zip("XYZ", (40, 10, 25), strict=True):
        las.points.array[name] = rng.integers(-step, step + 1, count).cumsum()
    las.points.array["gps_time"] = 2e5 + np.arange(count) * 1e-5
    for name, most in {"intensity": 255, "red": 65535, "green": 65535, "blue": 65535}.items():
        las.points.array[name] = (np.abs(np.sin(np.arange(count) / 5e4)) * most).astype(np.uint16)
    las.classification = rng.choice([1, 2, 5, 6], count)
    for suffix in ("las", "laz"):
        las.write(folder / f"made.{suffix}")


def read(how, path):
    """Read a file in one way, in this process: points, seconds of the clock and of the processor, megabytes."""
    import resource

    import laspy
    import numpy as np

    from pointkit import formats, pool
    from pointkit.formats import laz  # noqa: F401  # imports are no part of reading

    begin = time.perf_counter(), time.process_time()
    if how == "pointkit":
        count = len(formats.read(path).points)
    elif how == "pieces":
        count = sum(len(piece.xyz) for piece in formats.pieces(path))
    else:
        las = laspy.read(path)
        kept = [las.xyz, *(np.array(las[name]) for name in las.point_format.dimension_names if how == "fields")]
        count = len(kept[0])
    clock = time.perf_counter() - begin[0]
    pool._end_spare()
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = time.process_time() - begin[1] + helpers.ru_utime + helpers.ru_stime
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 2 * helpers.ru_maxrss / 1024
    return count, clock, processor, *memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=2_000_000)
    parser.add_argument("--file", type=pathlib.Path, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        made(options.make, options.points)
        return
    if options.one:
        print(json.dumps(read(*options.one)))
        return
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        if not options.file:  # in a process of its own: a process hands its largest memory on to those that it starts
            subprocess.run([sys.executable, __file__, "--make", folder, "--points", str(options.points)], check=True)
        for path in options.file or sorted(pathlib.Path(folder).iterdir()):
            for how in ("laspy", "fields", "pointkit", "pieces"):
                command = [sys.executable, __file__, "--one", how, str(path)]
                runs = [
                    json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                    for _ in range(options.rounds)
                ]
                result[f"{path.name} {how}"] = {
                    "million_points": runs[0][0] / 1e6,
                    "seconds": round(min(run[1] for run in runs), 2),
                    "processor_seconds": round(min(run[2] for run in runs), 2),
                    "megabytes": round(max(run[3] for run in runs)),
                    "megabytes_of_helpers": round(max(run[4] for run in runs)),
                }
    if options.json:
        print(json.dumps(result))
        return
    for name, row in result.items():
        print(name, *(f"{key.replace('_', ' ')} {value}" for key, value in row.items()), sep=", ")


if __name__ == "__main__":
    main()
