"""The pictures of the page on notebooks: what cells of examples/*.ipynb show, photographed after a run.

    python docs/figures/notebooks.py

It needs nbclient, ipykernel and viser (pip install 'pointkit[dev]'), and a Chromium on the PATH. It takes minutes.
"""

from __future__ import annotations

import html
import pathlib
import re
import shutil
import subprocess
import tempfile

import matplotlib.image
import nbformat
import numpy as np
from nbclient import NotebookClient

HERE = pathlib.Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 900
SHOWN = {  # file -> the notebook, and the beginning of the cell whose output it shows
    "notebook_store": ("06_own_keras_model", "import pathlib"),
    "notebook_run": ("05_folder_to_labels", "run = "),
    "notebook_report": ("05_folder_to_labels", "pointkit.evaluate"),
    "notebook_view": ("05_folder_to_labels", "pointkit.view(answers"),
}
# Without a GPU the viewer says so in a corner.
QUIET = html.escape("<style>[class*=Notification]{display:none}</style>")


def executed(name: str, folder: pathlib.Path) -> nbformat.NotebookNode:
    """A notebook after all of its cells have run."""
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", 4)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def photographed(text: str, folder: pathlib.Path) -> np.ndarray:
    """The output of a cell as pixels, without the empty space below it."""
    page, target = folder / "cell.html", folder / "cell.png"
    style = "font:14px sans-serif;margin:8px;background:white"
    page.write_text(f'<meta charset="utf-8"><body style="{style}">{text}', encoding="utf-8")
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    flags = "--headless --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --hide-scrollbars"
    size = (f"--window-size={WIDTH},1200", "--virtual-time-budget=60000", f"--screenshot={target}")
    subprocess.run([browser, *flags.split(), *size, page.as_uri()], check=True, stderr=subprocess.DEVNULL)
    pixels = matplotlib.image.imread(target)[..., :3]
    used = np.flatnonzero((pixels < 1).any((1, 2)))
    return pixels[: used.max() + 8]


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        notebooks = {name: executed(name, folder) for name in {name for name, _ in SHOWN.values()}}
        for file, (name, beginning) in SHOWN.items():
            cell = next(cell for cell in notebooks[name].cells if cell.source.startswith(beginning))
            text = next(o.data["text/html"] for o in cell.outputs if o.output_type == "execute_result")
            text = re.sub(r"/[^\s<\"]*/tmp\w+/", "", text).replace('srcdoc="', f'srcdoc="{QUIET}')
            matplotlib.image.imsave(HERE / f"{file}.png", photographed(text, folder))
            print(f"{file}.png")


if __name__ == "__main__":
    main()
