"""The drawings of networks in docs are what their scripts draw: ``python .ci/check_drawings.py``; 1 if not."""

import pathlib
import subprocess
import sys
import tempfile

import matplotlib.image
import numpy as np

FIGURES = pathlib.Path(__file__).parents[1] / "docs/figures"
SCRIPTS = ("pointnet", "pointreach")


def main() -> int:
    with tempfile.TemporaryDirectory() as made:
        for name in SCRIPTS:
            subprocess.run([sys.executable, FIGURES / f"{name}.py", made], check=True)
        drawings = sorted(pathlib.Path(made).glob("*.png"))
        assert {path.name for path in drawings} == {
            path.name for script in SCRIPTS for path in FIGURES.glob(f"{script}_*.png")
        }
        stale = []
        for path in drawings:
            new, kept = (matplotlib.image.imread(folder / path.name) for folder in (path.parent, FIGURES))
            # Another processor may round a few pixels otherwise; one changed digit is some 60.
            if new.shape != kept.shape or (np.abs(new - kept).max(-1) > 0.1).sum() > 20:
                stale.append(path.name)
    for name in stale:
        print(f"docs/figures/{name} is not what its script there draws: run it, and look at the picture")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
