"""The drawings of docs/pointnet.md are what their script draws: ``python .ci/check_drawings.py``; 1 if not."""

import pathlib
import subprocess
import sys
import tempfile

import matplotlib.image
import numpy as np

FIGURES = pathlib.Path(__file__).parents[1] / "docs/figures"


def main() -> int:
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([sys.executable, FIGURES / "pointnet.py", made], check=True)
        drawings = sorted(pathlib.Path(made).glob("*.png"))
        assert {path.name for path in drawings} == {path.name for path in FIGURES.glob("pointnet_*.png")}
        stale = []
        for path in drawings:
            new, kept = (matplotlib.image.imread(folder / path.name) for folder in (path.parent, FIGURES))
            # Another processor may round a few pixels otherwise; one changed digit is some 60.
            if new.shape != kept.shape or (np.abs(new - kept).max(-1) > 0.1).sum() > 20:
                stale.append(path.name)
    for name in stale:
        print(f"docs/figures/{name} is not what docs/figures/pointnet.py draws: run it, and look at the picture")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
