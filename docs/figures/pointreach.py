"""The drawing of docs/pointreach.md: ``python docs/figures/pointreach.py [FOLDER]``, by default beside this file."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from pointkit import neighbours
from pointkit.report import plots

NEIGHBOURS = 16


def outline(rng: np.random.Generator) -> Any:
    """Points (160, 2) along the side view of a chair."""
    back, seat, leg = np.linspace(0, 2.2, 84), np.linspace(0.03, 1, 38), np.linspace(0, 0.97, 38)
    whole = np.concatenate(
        [
            np.stack([0 * back, back], 1),
            np.stack([seat, 0 * seat + 1], 1),
            np.stack([0 * leg + 1, leg], 1),
        ]
    )
    return whole + rng.normal(0, 0.012, whole.shape)


def bare(axes: Any, title: str, near: bool) -> None:
    axes.text(0.5, 1.0, title, fontsize=10, color=plots.INK, ha="center", va="bottom", transform=axes.transAxes)
    axes.set(aspect="equal")
    axes.set(xlim=(-0.3, 0.5), ylim=(0.45, 1.55)) if near else axes.set(xlim=(-0.35, 1.3), ylim=(-0.06, 2.26))
    axes.set_axis_off()


def seen() -> Figure:
    """A centre's neighbours, their moments, how far they reach, and the points of the two stages."""
    rng = np.random.default_rng(3)
    points = outline(rng)
    centre = points[np.abs(points - [0.03, 1.0]).sum(1).argmin()]
    near = points[neighbours.nearest(points[None], centre[None, None], NEIGHBOURS)[0, 0]]
    figure = Figure(figsize=(9.6, 3.5))
    titles = ("neighbours", "moments", "reach", "stages")
    panels = [figure.add_subplot(1, 4, number) for number in range(1, 5)]
    for number, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        bare(axes, title, near=number < 3)
        axes.scatter(*points.T, s=7, color=plots.GREY, alpha=0.45, linewidths=0)
    for axes in panels[:3]:
        axes.scatter(*near.T, s=14, color=plots.BLUE, linewidths=0)
        axes.scatter(*centre, s=40, color=plots.ORANGE, linewidths=0, zorder=3)
    mean, (sizes, axes_of) = near.mean(0), np.linalg.eigh(np.cov(near.T))
    angle = float(np.degrees(np.arctan2(*axes_of[::-1, 1])))
    width, height = (float(4 * np.sqrt(size)) for size in sizes[::-1])
    panels[1].add_patch(Ellipse(tuple(mean), width, height, angle=angle, fill=False, color=plots.INK, linewidth=1.2))
    arrow = {"arrowstyle": "-|>", "color": plots.INK, "linewidth": 1.4}
    panels[1].annotate("", tuple(mean), tuple(centre), arrowprops=arrow)
    for degrees in range(0, 360, 45):
        way = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        far = ((near - centre) @ way).max()
        panels[2].plot(*np.stack([centre, centre + far * way]).T, color=plots.INK, linewidth=1.4)
    order = neighbours.progressive(points[None], np.random.default_rng(1))[0]
    panels[3].scatter(*points[order[:32]].T, s=16, color=plots.BLUE, linewidths=0)
    panels[3].scatter(*points[order[:8]].T, s=46, color=plots.ORANGE, linewidths=0)
    figure.subplots_adjust(0.01, 0.02, 0.99, 0.92, 0.05)
    return figure


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    (folder / "pointreach_seen.png").write_bytes(plots.png(seen(), dpi=160))


if __name__ == "__main__":
    main()
