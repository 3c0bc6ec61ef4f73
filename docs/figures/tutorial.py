"""The pictures of the tutorial: its own commands are run, one after another, and what they leave is photographed.

    python docs/figures/tutorial.py [FOLDER]

FOLDER is where the commands run, by default a temporary one. Where it holds the runs already, they are not trained
again, and the picture of the data has no expected time. It takes over ten minutes, and needs a Chromium on the PATH.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import matplotlib.image
import numpy as np

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parent / "tutorial.md"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = {"tutorial_data": ("runs/kinds/data.html", 995), "tutorial_report": ("runs/kinds/report.html", 688)}
PICTURES = {"tutorial_lying": "lying.png", "tutorial_labelled": "labelled.png"}
WIDTH = 900  # of a page's picture, in pixels; PAGES has the heights


def typed(folder: pathlib.Path) -> None:
    """Run the programs and commands of the page in ``folder``, as a reader does."""
    place = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for language, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "sh":
            for line in text.splitlines():
                print(f"$ {line}", flush=True)
                subprocess.run(line, shell=True, cwd=folder, env=place, check=True)
        elif not (folder / "shapes").exists():
            subprocess.run([sys.executable, "-c", text], cwd=folder, env=place, check=True)


def photographed(page: pathlib.Path, height: int, target: pathlib.Path) -> None:
    """The head of a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{height}")
    subprocess.run(
        [browser, *flags, f"--screenshot={target}", page.resolve().as_uri()], check=True, stderr=subprocess.DEVNULL
    )


def halved(picture: pathlib.Path, target: pathlib.Path) -> None:
    """A picture made for print, at half its size and without its empty margins."""
    pixels = matplotlib.image.imread(picture)[..., :3]  # (H, W, 3)
    height, width = (size // 2 for size in pixels.shape[:2])
    small = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
    used = (small < small[0, 0] - 0.01).any(2)
    rows, columns = np.flatnonzero(used.any(1)), np.flatnonzero(used.any(0))
    top, left = max(rows[0] - 8, 0), max(columns[0] - 8, 0)
    matplotlib.image.imsave(target, small[top : rows[-1] + 9, left : columns[-1] + 9])


def main(folder: pathlib.Path) -> None:
    typed(folder)
    for name, (page, height) in PAGES.items():
        photographed(folder / page, height, HERE / f"{name}.png")
    for name, picture in PICTURES.items():
        halved(folder / picture, HERE / f"{name}.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(pathlib.Path(temporary))
