"""Curves and diagrams for reports: losses and accuracies by epoch, confusion, calibration.

Every function returns a matplotlib Figure of its own, as in ``plots``. All curves have one size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from pointkit.report.plots import BLUE, GREY, INK, RULE, SKY, VERMILLION, fit, width_of

_HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#9cc7e3", BLUE, "#003a5c"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#ffffff", "#f3bf95", VERMILLION, "#8a3c00"])

CURVE = (4.2, 3.0)  # inches
TITLES = {"loss": "loss", "accuracy": "accuracy", "miou": "mIoU"}


def curves(history: Sequence[Mapping[str, Any]], best_epoch: int | None = None) -> dict[str, Figure]:
    """A curve a figure, of training and of validation by epoch, with a mark at the epoch whose weights were chosen.

    Rows have ``epoch`` and any of ``loss``, ``val_loss``, ``accuracy``, ``val_accuracy``, ``val_miou`` and
    ``learning_rate``. What is missing is left out. The keys are "curve_loss", "curve_accuracy", "curve_miou" where
    there is one, and "curve_rate".
    """
    panels = ["loss", "accuracy", *(["miou"] if any("val_miou" in row for row in history) else [])]
    figures = {f"curve_{name}": _curve(history, name, best_epoch) for name in panels}
    figure, axes = _axes("learning rate")
    axes.plot(_column(history, "epoch"), _column(history, "learning_rate"), color=BLUE, drawstyle="steps-mid")
    axes.set_ylim(bottom=0)
    return figures | {"curve_rate": figure}


def _curve(history: Sequence[Mapping[str, Any]], name: str, best_epoch: int | None) -> Figure:
    figure, axes = _axes(TITLES[name])
    epochs = _column(history, "epoch")
    for key, label, color, marker, style in (
        (name, "train", BLUE, "o", "-"),
        (f"val_{name}", "validation", VERMILLION, "s", "--"),
    ):
        values = _column(history, key)
        if np.isfinite(values).any():
            size = 4 if len(values) <= 40 else 0
            axes.plot(epochs, values, style, color=color, marker=marker, markersize=size, linewidth=1.8, label=label)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=INK, linewidth=1, linestyle=":", label=f"chosen: epoch {best_epoch}")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)
    return figure


def _axes(ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=CURVE, layout="constrained")
    axes = figure.subplots()
    _plain(axes, xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes


def confusion_matrix(confusion: ArrayLike, classes: Sequence[str]) -> Figure:
    """Counts (K, K), row = truth. A cell is as dark as its share of the row, blue where right, orange where wrong.

    Up to 40 classes, cells have numbers. Raises ValueError where the counts are not K x K.
    """
    counts = np.asarray(confusion)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"confusion must be {len(classes)} x {len(classes)} for the classes, got {counts.shape}")
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cell, font = (0.52, 10.0) if len(classes) <= 12 else (0.34, 8.0)  # inches, points
    names = [fit(name, 1.9, font) for name in classes]
    side, room = cell * len(names), 0.45 + max(width_of(name, font) for name in names)
    figure = Figure(figsize=(side + room + 0.3, side + room + 0.3))
    width, height = figure.get_size_inches()
    axes = figure.add_axes((room / width, 0.15 / height, side / width, side / height))
    right = np.eye(len(classes), dtype=bool)
    for shades, hidden in ((_HEAT, ~right), (_WRONG, right)):
        axes.imshow(np.ma.masked_array(share, hidden), cmap=shades, vmin=0, vmax=1)
    _grid_of_cells(axes, names, font)
    digits = 10 if cell > 0.5 else 6.5
    for row, column in zip(*np.nonzero(counts), strict=True) if len(names) <= 40 else ():
        color = "white" if share[row, column] > 0.45 else INK
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=digits, color=color)
    return figure


def calibration_diagram(bins: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy by confidence, with the diagonal of a perfectly calibrated network; the counts below.

    Rows have ``low``, ``high``, ``count``, ``confidence`` and ``accuracy``, as in report.json.
    """
    figure = Figure(figsize=(4.6, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _plain(upper, xlabel="", ylabel="accuracy")
    _plain(lower, xlabel="confidence", ylabel="shapes")
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.2, label="as right as sure")
    full = [row for row in bins if row["count"]]
    low, width = [row["low"] for row in full], [row["high"] - row["low"] for row in full]
    upper.bar(
        low, [row["accuracy"] for row in full], width, align="edge", color=SKY, edgecolor="white", label="measured"
    )
    upper.plot(
        [row["confidence"] for row in full],
        [row["accuracy"] for row in full],
        "o",
        color=INK,
        markersize=4,
        label="mean of the bin",
    )
    lower.bar(low, [row["count"] for row in full], width, align="edge", color=GREY, edgecolor="white")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    upper.set(xlim=(0, 1), ylim=(0, 1.02))
    figure.legend(frameon=False, fontsize=9, loc="outside upper left", ncols=3, columnspacing=1.2, handlelength=1.6)
    return figure


def _plain(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(colors=GREY, labelsize=9)
    axes.grid(color=RULE, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)


def _grid_of_cells(axes: Axes, names: Sequence[str], font: float) -> None:
    places = np.arange(len(names))
    axes.set_xticks(places, names, rotation=90, parse_math=False, fontsize=font, color=INK)
    axes.set_yticks(places, names, parse_math=False, fontsize=font, color=INK)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(places[1:] - 0.5, minor=True)
    axes.set_yticks(places[1:] - 0.5, minor=True)
    axes.grid(which="minor", color=RULE, linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_color(RULE)
    axes.set_ylabel("truth", color=GREY)
    axes.set_xlabel("answer", color=GREY)
    axes.xaxis.set_label_position("top")


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    """One column of a history (E,), NaN where a row lacks it or has it empty."""
    return np.array([math.nan if row.get(key) in (None, "") else float(row[key]) for row in rows])
