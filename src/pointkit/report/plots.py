"""Pictures of shapes for reports: one, grids of answers, parts. ``charts`` draws the curves and diagrams.

Every function returns a matplotlib Figure of its own, drawn without pyplot, so nothing is shared between threads or
left open. ``png`` gives its bytes, the same for the same input. z is up, all shapes are seen from one place, and colour
is never the only sign of what matters.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from numpy.typing import ArrayLike, NDArray

from pointkit.cloud import Mesh
from pointkit.report import raster

# Okabe and Ito's colours, which can be told apart with every common kind of colour blindness.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW, BLACK)
# Parts beyond eight: Tol's, each far from the others in lightness or hue. Unlabelled points are light grey.
PARTS = (*PALETTE[:7], "#882255", "#117733", "#332288", "#999933", "#661100", BLACK)
UNLABELLED = "#c9ced4"
INK, GREY, RULE = "#1f2933", "#6b7785", "#d5dbe1"

_DEPTH = LinearSegmentedColormap.from_list("depth", ["#c3d9ea", "#5b9dcb", BLUE, "#003a5c"])  # far to near
_SHARE = LinearSegmentedColormap.from_list("share", ["#dbe3ea", ORANGE, VERMILLION, "#4a0d0d"])  # of influence
_SURFACE = (0.74, 0.84, 0.94)


def png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as PNG: the same bytes whenever the same figure is drawn."""
    buffer = io.BytesIO()
    with _boxes_for_missing_glyphs():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def cloud(points: ArrayLike, colors: ArrayLike | None = None) -> Figure:
    """One cloud (N, 3). ``colors``: (N, 3) RGB 0 to 1, or one number a point (N,); without them, nearer is darker."""
    figure = Figure(figsize=(3.2, 3.2))
    draw_cloud(_bare_axes(figure.add_axes((0, 0, 1, 1))), points, colors, inches=3.2)
    return figure


def mesh_and_points(
    mesh: Mesh,
    points: ArrayLike,
    title: str = "",
    parts: tuple[ArrayLike, ArrayLike, Sequence[str]] | None = None,
    colors: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """A shaded mesh, and beside it the points (N, 3) drawn from its surface, seen from the same place.

    ``parts``: the part of each face (F,) and of each point (N,), counted from 0, and the parts' names for the legend.
    ``colors`` are RGB, 0 to 1, of each face (F, 3) and of each point (N, 3), where there are no parts.
    """
    if parts is not None:
        colors = part_colors(parts[0]), part_colors(parts[1])
    count = len(np.asarray(points))
    entries = [] if parts is None else legend(parts[:1], parts[2])
    lines = _lines(entries, 8)
    foot = 0.22 * len(lines) + (0.14 if lines else 0)  # inches
    height = 4.3 + foot
    figure = Figure(figsize=(8, height))
    names = (f"{len(mesh.faces):,} faces", f"{count:,} points")
    for i, name in enumerate(names):
        axes = _bare_axes(figure.add_axes((0.5 * i, (foot + 0.34) / height, 0.5, 3.66 / height)))
        figure.text(0.25 + 0.5 * i, (foot + 0.11) / height, name, ha="center", color=GREY, fontsize=10)
        if i:
            draw_cloud(axes, points, None if colors is None else colors[1], inches=4)
        else:
            axes.imshow(
                raster.shade(mesh, 640, _SURFACE if colors is None else colors[0]),
                extent=(-1, 1, -1, 1),
                interpolation="lanczos",
            )
    _draw_legend(figure, entries, lines, foot)
    _title(figure, title)
    return figure


def cloud_grid(clouds: Sequence[ArrayLike], titles: Sequence[str], wrong: Sequence[bool], columns: int = 4) -> Figure:
    """Clouds (N, 3) in rows of ``columns``, each with its title; the wrong ones have an orange frame and a cross.

    A title may have two lines ("sofa" over "it is a bed"); a long line is cut with an ellipsis. Raises ValueError where
    the three are not equally long, or empty.
    """
    if not len(clouds) == len(titles) == len(wrong) or not len(clouds):
        raise ValueError(
            f"clouds, titles and wrong must be equally many, got {len(clouds)}, {len(titles)} and {len(wrong)}"
        )
    columns = min(columns, len(clouds))
    rows = math.ceil(len(clouds) / columns)
    side, head, gap = 2.4, 0.5, 0.12  # inches
    width, height = columns * (side + gap) + gap, rows * (side + head + gap) + gap
    figure = Figure(figsize=(width, height))
    for i, (points, title, is_wrong) in enumerate(zip(clouds, titles, wrong, strict=True)):
        row, column = divmod(i, columns)
        x, y = gap + column * (side + gap), height - (row + 1) * (side + head + gap)
        color = VERMILLION if is_wrong else RULE
        frame = Rectangle(
            (x / width, y / height),
            side / width,
            (side + head) / height,
            fill=False,
            edgecolor=color,
            linewidth=2.2 if is_wrong else 0.8,
            transform=figure.transFigure,
        )
        figure.add_artist(frame)
        draw_cloud(
            _bare_axes(figure.add_axes((x / width, y / height, side / width, side / height))), points, None, inches=side
        )
        name, *more = title.split("\n")
        top = y + side + head - 0.08
        figure.text(
            (x + 0.1) / width,
            top / height,
            fit(("✗ " if is_wrong else "✓ ") + name, side - 0.2, 10.5, "bold"),
            va="top",
            fontsize=10.5,
            fontweight="bold",
            color=VERMILLION if is_wrong else INK,
            parse_math=False,
        )
        if more:
            line = fit(more[0], side - 0.2, 9)
            figure.text(
                (x + 0.1) / width, (top - 0.2) / height, line, va="top", fontsize=9, color=GREY, parse_math=False
            )
    return figure


def part_colors(labels: ArrayLike) -> NDArray[np.float64]:
    """RGB (N, 3), 0 to 1, of parts (N,) counted from 0; light grey for -1. Beyond thirteen, colours repeat."""
    ids = np.asarray(labels)
    table = np.array([to_rgb(color) for color in (*PARTS, UNLABELLED)])
    return table[np.where(ids < 0, len(PARTS), ids % len(PARTS))]


def labelled_clouds(
    clouds: Sequence[ArrayLike],
    labels: Sequence[ArrayLike],
    titles: Sequence[str],
    names: Sequence[str],
    columns: int = 4,
    rest: str = "unlabelled",
    side: float = 2.4,
    heading: str = "",
) -> Figure:
    """Clouds (N, 3) in rows of ``columns``, coloured by their parts (N,), each with its title; the parts' legend below.

    ``rest`` is what the legend calls points of part -1. ``side`` is the length of a cloud's side in inches. A
    ``heading`` stands above all.

    Raises ValueError where the first three are not equally many, or none.
    """
    if not len(clouds) == len(labels) == len(titles) or not len(clouds):
        raise ValueError(
            f"clouds, labels and titles must be equally many, got {len(clouds)}, {len(labels)} and {len(titles)}"
        )
    colors = [part_colors(ids) for ids in labels]
    return _coloured_clouds(clouds, colors, titles, legend(labels, names, rest), columns, side, heading)


def graded_clouds(
    clouds: Sequence[ArrayLike],
    shares: Sequence[ArrayLike],
    titles: Sequence[str],
    side: float = 3.2,
    heading: str = "",
) -> Figure:
    """Clouds (N, 3) side by side, each point coloured by a share (N,) from 0, light, to 1, dark, each with its title.

    The first line of the ``heading``, which stands above all, is bold.
    """
    colors = [_SHARE(np.asarray(each))[:, :3] for each in shares]
    entries = [(f"{share:g}", _SHARE(share)[:3]) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return _coloured_clouds(clouds, colors, titles, entries, len(clouds), side, heading)


def _coloured_clouds(
    clouds: Sequence[ArrayLike],
    colors: Sequence[ArrayLike],
    titles: Sequence[str],
    entries: Sequence[tuple[str, Any]],
    columns: int,
    side: float,
    heading: str,
) -> Figure:
    columns = min(columns, len(clouds))
    head = 0.3  # inches
    lines = _lines(entries, columns * side)
    rows = math.ceil(len(clouds) / columns)
    foot = 0.22 * len(lines) + 0.14
    headings = heading.split("\n") if heading else []
    top = 0.3 * len(headings)
    width, height = columns * side, rows * (side + head) + foot + top
    figure = Figure(figsize=(width, height))
    for number, (line, size, weight) in enumerate(zip(headings, (10.5, 9.0), ("bold", "normal"), strict=False)):
        style: dict[str, Any] = {"fontsize": size, "fontweight": weight, "color": INK, "parse_math": False}
        figure.text(
            0.15 / width, (height - 0.22 - 0.26 * number) / height, fit(line, width - 0.3, size, weight), **style
        )
    for i, (points, paint, title) in enumerate(zip(clouds, colors, titles, strict=True)):
        row, column = divmod(i, columns)
        x, y = column * side, height - top - (row + 1) * (side + head)
        axes = _bare_axes(figure.add_axes((x / width, y / height, side / width, side / height)))
        draw_cloud(axes, points, paint, inches=side)
        text = fit(title, side - 0.2, 10)
        figure.text(
            (x + side / 2) / width,
            (y + side + 0.1) / height,
            text,
            ha="center",
            fontsize=10,
            color=INK,
            parse_math=False,
        )
    _draw_legend(figure, entries, lines, foot)
    return figure


def legend(labels: Sequence[ArrayLike], names: Sequence[str], rest: str = "unlabelled") -> list[tuple[str, Any]]:
    """Name and colour of each part, and of ``rest`` where a point has no part."""
    entries = [(name, part_colors([i])[0]) for i, name in enumerate(names)]
    if any((np.asarray(ids) < 0).any() for ids in labels):
        entries.append((rest, part_colors([-1])[0]))
    return entries


def _lines(entries: Sequence[tuple[str, Any]], width: float) -> list[list[int]]:
    """The entries of a legend in each line, by their numbers, for a figure of ``width`` inches."""
    return _wrapped([width_of(name, 9.5) + 0.4 for name, _ in entries], width - 0.2)


def _draw_legend(
    figure: Figure, entries: Sequence[tuple[str, Any]], lines: Sequence[Sequence[int]], top: float
) -> None:
    """A dot and a name for each entry, the first line ``top`` inches above the figure's lower edge."""
    width, height = figure.get_size_inches()
    for number, line in enumerate(lines):
        x, y = 0.15, top - 0.22 * (number + 1)
        for entry in line:
            name, color = entries[entry]
            figure.text(x / width, y / height, "●", color=color, fontsize=11)
            text = fit(name, width - 0.6, 9.5)
            figure.text((x + 0.17) / width, y / height, text, color=INK, fontsize=9.5, parse_math=False)
            x += width_of(name, 9.5) + 0.4


def _wrapped(widths: Sequence[float], room: float) -> list[list[int]]:
    """Things of these ``widths`` in lines of so much ``room``: the indices in each line, in order, at least one."""
    lines: list[list[int]] = []
    left = 0.0
    for i, width in enumerate(widths):
        if not lines or width > left:
            lines.append([])
            left = room
        lines[-1].append(i)
        left -= width
    return lines


def parts_pairs(
    clouds: Sequence[ArrayLike],
    truths: Sequence[ArrayLike],
    answers: Sequence[ArrayLike],
    titles: Sequence[str],
    names: Sequence[str],
) -> Figure:
    """Each cloud (N, 3) twice: its true parts (N,) and those answered. Points without a true part are grey in both."""
    shown = [np.where(np.asarray(t) < 0, -1, a) for t, a in zip(truths, answers, strict=True)]
    return labelled_clouds(
        [points for points in clouds for _ in range(2)],
        [ids for pair in zip(truths, shown, strict=True) for ids in pair],
        [text for title in titles for text in ("truth", title)],
        names,
        columns=2 * len(clouds),
    )


def draw_cloud(axes: Axes, points: ArrayLike, colors: ArrayLike | None, inches: float) -> None:
    """Draw points (N, 3) into bare axes of ``inches`` a side: far ones first, nearer ones larger."""
    eye = raster.project(points)
    if eye.ndim != 2 or not len(eye):
        raise ValueError(f"a picture needs points (N, 3), at least one, got the shape {eye.shape}")
    eye = raster.to_square(eye) * [raster.FILL, raster.FILL, 1]
    order = np.argsort(eye[:, 2], kind="stable")
    nearness = 0.5 + eye[:, 2] / (float(np.ptp(eye[:, 2])) or 1.0)
    area = np.clip(2.2 * inches * (1000 / len(eye)) ** 0.8, 0.2, 40) * (0.6 + 0.8 * nearness)
    paint: dict[str, Any]
    if colors is None:
        paint = {"c": nearness[order], "cmap": _DEPTH, "vmin": 0, "vmax": 1}
    else:
        shown = np.asarray(colors)[order]
        paint = {"color": shown} if shown.ndim == 2 else {"c": shown, "cmap": "viridis"}
    axes.scatter(eye[order, 0], eye[order, 1], s=area[order], linewidths=0, **paint)


def _bare_axes(axes: Axes) -> Axes:
    axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
    axes.set_axis_off()
    return axes


def _title(figure: Figure, title: str) -> None:
    if title:
        figure.text(0.5, 0.97, fit(title, 7.6, 12), ha="center", va="top", fontsize=12, color=INK, parse_math=False)


def fit(text: str, inches: float, size: float, weight: str = "normal") -> str:
    """``text`` on one line of printable characters, cut with an ellipsis where it is wider than ``inches``."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:300])
    if width_of(line, size, weight) <= inches:
        return line
    while line and width_of(line + "…", size, weight) > inches:
        line = line[:-1]
    return line + "…"


def width_of(text: str, size: float, weight: str = "normal") -> float:
    """The width of a line in inches, in the default font."""
    with _boxes_for_missing_glyphs():
        width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)
    return float(width) / 72


@contextlib.contextmanager
def _boxes_for_missing_glyphs() -> Iterator[None]:
    """A class name in a script that the font lacks is drawn as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
