"""The two pictures that the README leads with: the head of a report, and a cloud whose points a network has named.

    python docs/figures/tour.py [DEMO]

DEMO is a folder that ``pointkit demo -o DEMO`` has filled. Without one the demo runs first, in a temporary folder, for
some minutes. The report's picture needs a Chromium on the PATH. Without one the picture that lies here is kept.
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import tempfile

import matplotlib.image
import numpy as np

from pointkit import PointCloud, formats, sampling

HERE = pathlib.Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CATEGORY = "chair"
POINTS = 6144
WIDTH, HEIGHT = 1000, 980  # of the report's picture, in pixels


def pointkit(*words: str | pathlib.Path) -> None:
    """Run one command, as a user would type it."""
    subprocess.run([sys.executable, "-m", "pointkit", *map(str, words)], check=True)


def report(demo: pathlib.Path, target: pathlib.Path) -> None:
    """Photograph the head of the report on classes."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no browser found ({', '.join(BROWSERS)}): {target.name} stays as it is", file=sys.stderr)
        return
    page = (demo / "run/report.html").resolve().as_uri()
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    size = f"--window-size={WIDTH},{HEIGHT}"
    subprocess.run([browser, *flags, size, f"--screenshot={target}", page], check=True, stderr=subprocess.DEVNULL)


def labelled_cloud(demo: pathlib.Path, target: pathlib.Path, folder: pathlib.Path) -> None:
    """Draw points from a mesh that the network has never seen, have it name them, and draw the labelled file."""
    mesh = formats.read(min((demo / "unseen" / CATEGORY / "test").glob("*.ply")))
    sample = sampling.surface(mesh, POINTS, np.random.default_rng(0))
    normals = dict(zip(("nx", "ny", "nz"), sample.normals.T, strict=True))  # the demo's network sees them
    formats.write(folder / f"{CATEGORY}.ply", PointCloud(sample.points, normals, placement=mesh.placement))
    pointkit("predict", demo / "parts_run", folder / f"{CATEGORY}.ply", "--category", CATEGORY)
    pointkit("view", folder / f"{CATEGORY}.labelled.ply", "-o", folder / "large.png")
    pixels = matplotlib.image.imread(folder / "large.png")[..., :3]  # (H, W, 3), made for print: halved for a page
    height, width = (size // 2 for size in pixels.shape[:2])
    halved = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
    matplotlib.image.imsave(target, halved)


def main(demo: pathlib.Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        if demo is None:
            demo = folder / "demo"
            pointkit("demo", "-o", demo)
        report(demo, HERE / "tour_report.png")
        labelled_cloud(demo, HERE / "tour_labelled.png", folder)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None)
