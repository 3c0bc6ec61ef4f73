"""The three drawings of docs/pointnet.md: ``python docs/figures/pointnet.py [FOLDER]``, by default beside this file."""

from __future__ import annotations

import itertools
import pathlib
import sys
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from pointkit import preprocess, sampling, synthetic
from pointkit.models.pointnet import CLASSIFICATION, SEGMENTATION
from pointkit.report import plots

PAPER, LIGHT = "#ffffff", "#eef3f8"


def bare(figure: Figure, width: float, height: float) -> Any:
    """Axes over the whole figure, in inches."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return axes


def box(axes: Any, x: float, y: float, width: float, height: float, text: str, color: str, size: float = 9) -> None:
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch((x, y), width, height, style, facecolor=color, edgecolor=plots.INK, linewidth=0.9))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size, color=plots.INK)


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], bend: str = "arc3") -> None:
    style = {"arrowstyle": "-|>", "mutation_scale": 9, "color": plots.GREY, "linewidth": 1.1}
    axes.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, connectionstyle=bend, **style))


def network() -> Figure:
    """The whole network, with the widths of the code: to classes in the upper row, to parts in the lower one."""
    figure = Figure(figsize=(9.6, 3.8))
    axes = bare(figure, 9.6, 3.8)
    for y, title, widths in ((2.5, "class of a shape", CLASSIFICATION), (0.75, "part of each point", SEGMENTATION)):
        w = widths["reference"]
        axes.text(0.15, y + 0.98, title, fontsize=11, fontweight="bold", color=plots.INK)
        middle = y + 0.4
        steps = (
            (0.15, 0.75, "points\nN × 3", PAPER),
            (1.15, 0.8, "T-Net\n3 × 3", plots.YELLOW),
            (2.2, 1.1, "each point\n" + " → ".join(map(str, w.first)), LIGHT),
            (3.55, 0.8, f"T-Net\n{w.first[-1]} × {w.first[-1]}", plots.YELLOW),
            (4.6, 1.25, "each point\n" + " → ".join(map(str, w.second)), LIGHT),
            (6.1, 1.0, f"maximum\nover points\n{w.second[-1]}", plots.ORANGE),
        )
        for x, width, text, color in steps:
            box(axes, x, y, width, 0.8, text, color)
        for (x, width, *_), (following, *_) in itertools.pairwise(steps):
            arrow(axes, (x + width, middle), (following, middle))
        arrow(axes, (7.1, middle), (7.4, middle))
        units = " → ".join(map(str, w.head))
        if widths is CLASSIFICATION:
            box(axes, 7.4, y, 1.05, 0.8, f"dense\n{units}", LIGHT)
            last = "classes"
        else:
            box(axes, 7.4, y, 1.05, 0.8, f"each point\n{units}", LIGHT)
            axes.plot([2.75, 2.75, 7.9], [y, y - 0.35, y - 0.35], color=plots.GREY, linewidth=1.1)
            axes.plot([5.2, 5.2], [y, y - 0.35], color=plots.GREY, linewidth=1.1)
            arrow(axes, (7.9, y - 0.35), (7.9, y))
            said = "the features of each point, beside those of the whole cloud"
            axes.text(5.1, y - 0.55, said, fontsize=8.5, color=plots.GREY, ha="center")
            last = "N × parts"
        arrow(axes, (8.45, middle), (8.75, middle))
        box(axes, 8.75, y, 0.75, 0.8, last, PAPER)
    return figure


def maximum() -> Figure:
    """Features of six points in two orders: the winners are other rows, the maximum is the same."""
    rng = np.random.default_rng(5)
    features = rng.integers(0, 100, (6, 7)) / 100
    figure = Figure(figsize=(8, 3.9))
    axes = bare(figure, 8, 3.9)
    for left, order, title in ((0.9, np.arange(6), "six points"), (4.9, rng.permutation(6), "in another order")):
        cell, top = 0.36, 3.3
        axes.text(left, 3.5, title, fontsize=11, fontweight="bold", color=plots.INK)
        best = features[order].argmax(0)
        for row, point in enumerate(order):
            y = top - (row + 1) * cell
            axes.text(left - 0.12, y + cell / 2, f"point {point + 1}", ha="right", va="center", fontsize=9)
            for column in range(7):
                won = best[column] == row
                paint(axes, left + column * cell, y, cell, features[point, column], won)
        y = top - 7.6 * cell
        axes.text(left - 0.12, y + cell / 2, "maximum", ha="right", va="center", fontsize=9, fontweight="bold")
        for column in range(7):
            paint(axes, left + column * cell, y, cell, features[:, column].max(), True)
        idle = [f"{point + 1}" for row, point in enumerate(order) if row not in best]
        said = f"point {' and '.join(sorted(idle))} won nothing: without it, the same" if idle else ""
        axes.text(left, y - 0.2, said, fontsize=9, color=plots.GREY, va="top")
    return figure


def paint(axes: Any, x: float, y: float, side: float, value: float, won: bool) -> None:
    shade = 1 - 0.75 * abs(value)
    edge, width = (plots.VERMILLION, 2.2) if won else (plots.RULE, 0.6)
    color = (shade, 0.55 + 0.45 * shade, 1)
    style = {"facecolor": color, "edgecolor": edge, "linewidth": width, "zorder": 2 + won}
    axes.add_patch(FancyBboxPatch((x + 0.02, y + 0.02), side - 0.04, side - 0.04, "square,pad=0", **style))
    axes.text(x + side / 2, y + side / 2, f"{value:.2f}", ha="center", va="center", fontsize=7.5, zorder=4)


def tnet() -> Figure:
    """A cloud in a pose, the matrix that the T-Net predicts from it, and the cloud turned by it."""
    mesh = synthetic.make("chair", synthetic.CLASSES["chair"].styles[0], 3)
    points = preprocess.normalise(sampling.surface(mesh, 1500, np.random.default_rng(0)).points)[0]
    a, b = np.radians(50), np.radians(28)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = about_z @ about_x  # rows are points: they are multiplied from the left
    figure = Figure(figsize=(8.6, 3.2))
    axes = bare(figure, 8.6, 3.2)
    for left, cloud, title in ((0.05, points @ matrix.T, "as it came"), (5.75, points, "as the network sees it")):
        inner = figure.add_axes((left / 8.6, 0.06, 2.7 / 8.6, 2.7 / 3.2))
        inner.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
        inner.set_axis_off()
        plots.draw_cloud(inner, cloud, None, inches=2.7)
        axes.text(left + 1.35, 2.9, title, ha="center", fontsize=11, fontweight="bold", color=plots.INK)
    box(axes, 3.3, 2.1, 1.9, 0.62, "T-Net: a small PointNet\nwith 9 outputs", plots.YELLOW)
    for row in range(3):
        for column in range(3):
            paint(axes, 3.71 + 0.36 * column, 1.45 - 0.36 * row, 0.36, float(matrix[row, column]), False)
    axes.text(3.45, 1.27, "×", fontsize=16, ha="center", va="center", color=plots.INK)
    arrow(axes, (2.7, 2.41), (3.3, 2.41))
    arrow(axes, (4.25, 2.1), (4.25, 1.84))
    arrow(axes, (2.7, 1.27), (3.3, 1.27))
    arrow(axes, (4.95, 1.27), (5.7, 1.27))
    axes.text(4.25, 0.5, "a matrix of this cloud's own,\nat the start the identity", ha="center", va="top", fontsize=9)
    return figure


def main(folder: pathlib.Path) -> None:
    for name, draw in (("network", network), ("maximum", maximum), ("tnet", tnet)):
        (folder / f"pointnet_{name}.png").write_bytes(plots.png(draw(), dpi=140))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
