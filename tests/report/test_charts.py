"""Curves and diagrams: of one size, of what there is, and no text hides another or the bars."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from pointkit import metrics
from pointkit.report import charts, plots
from tests.figures import boxes_of_text, overlapping, pixels, same_twice

RNG = np.random.default_rng(0)
BINS = metrics.classification_report(RNG.normal(0, 2, (200, 4)), RNG.integers(0, 4, 200), "abcd")["calibration"]
HISTORY = [
    {"epoch": e, "loss": 2 / e, "accuracy": 1 - 0.5 / e, "val_loss": 2.2 / e, "val_accuracy": 1 - 0.6 / e}
    for e in range(1, 9)
]
FIGURES = {
    **{name: lambda name=name: charts.curves(HISTORY, 6)[name] for name in ("curve_loss", "curve_accuracy")},
    "curve_rate": lambda: charts.curves([{"epoch": e, "learning_rate": 1e-3 / e} for e in (1, 2, 3)])["curve_rate"],
    "confusion_matrix": lambda: charts.confusion_matrix([[5, 1], [0, 7]], ["bed", "chair"]),
    "calibration_diagram": lambda: charts.calibration_diagram(BINS),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_png_and_the_same_twice(name):
    same_twice(FIGURES[name])


@pytest.mark.parametrize("num_classes", [2, 10, 12, 13, 60, pytest.param(40, marks=pytest.mark.slow)])
def test_names_in_the_confusion_matrix_do_not_overlap(num_classes):
    names = [f"a_class_with_a_long_name_{i}" for i in range(num_classes)]
    counts = RNG.integers(0, 4, (num_classes, num_classes)) + np.diag(np.full(num_classes, 150))
    figure = charts.confusion_matrix(counts, names)
    boxes = boxes_of_text(figure)
    assert len(boxes) >= 2 * num_classes + 2
    assert overlapping(boxes) == 0
    assert boxes.min() >= 0
    assert (boxes[:, 2:] <= figure.get_size_inches() * figure.dpi).all()


def test_names_are_text_and_never_formulas():
    assert plots.png(charts.confusion_matrix([[1, 0], [0, 1]], ["$\\frac{1}{0$ \n <b> 椅子", "b"]))


def test_a_confusion_matrix_must_fit_its_names():
    with pytest.raises(ValueError, match=r"must be 3 x 3 for the classes, got \(2, 2\)"):
        charts.confusion_matrix([[1, 0], [0, 1]], "abc")


def test_an_absent_class_has_an_empty_row():
    assert plots.png(charts.confusion_matrix([[3, 1], [0, 0]], ["bed", "chair"]))


def test_calibration_bars_are_the_bins():
    bars = [patch for patch in charts.calibration_diagram(BINS).axes[0].patches if isinstance(patch, Rectangle)]
    full = [row for row in BINS if row["count"]]
    np.testing.assert_allclose([bar.get_height() for bar in bars], [row["accuracy"] for row in full])
    np.testing.assert_allclose([bar.get_x() for bar in bars], [row["low"] for row in full])


def test_curves_show_what_there_is():
    found = charts.curves(HISTORY, 6)
    assert [*found] == ["curve_loss", "curve_accuracy", "curve_rate"]
    loss, accuracy, rate = (figure.axes[0] for figure in found.values())
    words = ["train", "validation", "chosen: epoch 6"]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == words
    lines = accuracy.get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), [row["accuracy"] for row in HISTORY])
    np.testing.assert_allclose(lines[1].get_ydata(), [row["val_accuracy"] for row in HISTORY])
    assert list(lines[2].get_xdata()) == [6, 6]
    assert not np.isfinite(rate.get_lines()[0].get_ydata()).any(), "an old history has no rates"
    train_only = charts.curves([{"epoch": "1", "loss": "0.5", "val_loss": ""}])
    assert [len(figure.axes[0].get_lines()) for figure in train_only.values()] == [1, 0, 1]
    assert all(plots.png(figure) for figure in charts.curves([]).values())


def test_curves_have_one_size_however_many_there_are():
    more = [{**row, "val_miou": 0.5, "learning_rate": 0.001} for row in HISTORY]
    shapes = {pixels(figure).shape for rows in (HISTORY, more) for figure in charts.curves(rows, 6).values()}
    assert len(shapes) == 1
    assert "curve_miou" in charts.curves(more)


def test_the_legend_of_the_calibration_hides_no_bar():
    figure = charts.calibration_diagram(BINS)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    legend = figure.legends[0].get_window_extent(renderer)
    assert legend.y0 >= figure.axes[0].get_window_extent(renderer).y1
    assert 0 <= legend.x0 < legend.x1 <= figure.get_size_inches()[0] * figure.dpi
