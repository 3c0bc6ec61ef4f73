"""How fast large binary files are read: a PLY of mixed polygons, and compressed PCD.

    python benchmarks/large_files.py [--faces 1000000] [--points 2000000] [--rounds 3] [--json]

The files are made in memory, from fixed seeds. The PLY has a grid of vertices, of whose cells every second one (by
chance) is two triangles and the others are quads. The PCD files have the four columns x, y, z and intensity: ``noise``
does not compress, ``survey`` has two decimals, ``frame`` is a depth picture with holes. Times are the best of the
rounds in seconds.
"""

import argparse
import json
import time

import lzf
import numpy as np

from pointkit import formats


def mixed_ply(num_faces, rng):
    side = int(np.ceil(np.sqrt(num_faces)))
    x, y = np.meshgrid(np.arange(side + 1, dtype="<f4"), np.arange(side + 1, dtype="<f4"))
    points = np.stack([x, y, np.sin(x / 9) * np.cos(y / 7)], -1).reshape(-1, 3).astype("<f4")
    first = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).reshape(-1)
    quads = np.stack([first, first + 1, first + side + 2, first + side + 1], 1).astype("<i4")
    rows, number = [], 0
    for quad, halved in zip(quads, rng.random(len(quads)) < 0.5, strict=True):
        pieces = [quad[[0, 1, 2]], quad[[0, 2, 3]]] if halved else [quad]
        rows += [bytes([len(piece)]) + piece.tobytes() for piece in pieces[: num_faces - number]]
        number = len(rows)
        if number == num_faces:
            break
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    head = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{axes}element face {number}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    return head.encode() + points.tobytes() + b"".join(rows)


def pcd(columns):
    count = len(columns[0])
    raw = b"".join(np.ascontiguousarray(column, "<f4").tobytes() for column in columns)
    packed = lzf.compress(raw, 2 * len(raw) + 64)
    head = (
        f"VERSION 0.7\nFIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nWIDTH {count}\nHEIGHT 1\nPOINTS {count}\n"
        "DATA binary_compressed\n"
    )
    return head.encode() + np.array([len(packed), len(raw)], "<u4").tobytes() + packed


def clouds(num_points, rng):
    noise = rng.standard_normal((4, num_points))
    survey = np.round(rng.uniform(-50, 50, (4, num_points)), 2)
    u = np.linspace(-1, 1, num_points)
    depth = np.round(1 + 0.1 * np.sin(50 * u), 3)
    depth[num_points // 3 : num_points // 2] = np.nan
    return {"noise": noise, "survey": survey, "frame": [depth * u, depth * u[::-1], depth, np.round(100 * u)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--points", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    files = {"mixed.ply": mixed_ply(options.faces, rng)}
    files |= {f"{name}.pcd": pcd(columns) for name, columns in clouds(options.points, rng).items()}
    result = {}
    for name, data in files.items():
        taken = []
        for _ in range(options.rounds):
            begin = time.perf_counter()
            formats.read(data, name[-4:])
            taken.append(time.perf_counter() - begin)
        result[name] = {"megabytes": round(len(data) / 1e6, 1), "seconds": round(min(taken), 3)}
    if options.json:
        print(json.dumps(result))
        return
    for name, row in result.items():
        print(f"{name:12}{row['megabytes']:8.1f} MB{row['seconds']:9.3f} s")


if __name__ == "__main__":
    main()
