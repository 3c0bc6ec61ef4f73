"""What tests look at in matplotlib figures: their pixels, their texts, and whether these overlap."""

import io

import matplotlib.image
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from pointkit.report import plots


def decoded(data):
    return matplotlib.image.imread(io.BytesIO(data))


def pixels(figure):
    return decoded(plots.png(figure))


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def boxes_of_text(figure):
    """Where each visible text lies once drawn, in pixels: (texts, 4), x0 y0 x1 y1."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return np.array([text.get_window_extent(renderer).extents for text in texts(figure)])


def overlapping(boxes):
    """The number of pairs that overlap by more than a pixel's breadth."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    return int(np.triu((high - low > 1).all(-1), 1).sum())


def same_twice(draw):
    """A function gives a figure with something on it, and the same PNG whenever it is called."""
    figure = draw()
    assert isinstance(figure, Figure)
    data = plots.png(figure)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"Software" not in data
    assert data == plots.png(draw())
    assert decoded(data)[..., :3].std() > 0.01  # not an empty sheet
