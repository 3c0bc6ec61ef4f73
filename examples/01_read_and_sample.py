"""Read a mesh, draw points from its surface, write them as text.

    python examples/01_read_and_sample.py [FILE] [FOLDER]

Without FILE it takes a chair of the built-in shapes. Without FOLDER it writes into a temporary one.
"""

import pathlib
import sys
import tempfile

import numpy as np

from pointkit import PointCloud, formats, sampling, synthetic


def main(folder: pathlib.Path, file: pathlib.Path | None = None) -> None:
    if file is None:
        file = folder / "chair.ply"
        formats.write(file, synthetic.make("chair", "windsor", seed=7))

    mesh = formats.read(file)
    print(f"{file.name}: {len(mesh.vertices):,} vertices, {len(mesh.faces):,} faces")

    sample = sampling.surface(mesh, 2048, np.random.default_rng(0))
    print(f"drawn: points {sample.points.shape}, normals {sample.normals.shape}, faces {sample.faces.shape}")

    # Reading took an origin off the file's own coordinates. formats.write adds it again.
    nx, ny, nz = sample.normals.T
    cloud = PointCloud(sample.points, {"nx": nx, "ny": ny, "nz": nz}, placement=mesh.placement)
    formats.write(folder / "points.xyz", cloud)
    print(f"written: points.xyz, {len(formats.read(folder / 'points.xyz').points):,} lines")


if __name__ == "__main__":
    given = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if len(sys.argv) > 2:
        main(pathlib.Path(sys.argv[2]), given)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(pathlib.Path(temporary), given)
