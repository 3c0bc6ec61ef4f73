# ruff: noqa: ANN001, ANN201
"""Draws exact_pooling.svg: what a block makes of a cloud on its way to the maximum, as areas to scale.

python docs/figures/exact_pooling.py
"""

import pathlib

import matplotlib.pyplot as plt

N, K, C = 2048, 64, 512
GAP = 420
GREY, BLUE, ORANGE = "#b8bec8", "#3b6fb6", "#d97a2b"


def box(axes, x, top, width, height, colour, name, size):
    """A matrix of ``height`` points and ``width`` features; returns where it ends."""
    axes.add_patch(plt.Rectangle((x, top - height), width, height, facecolor=colour, edgecolor="black", linewidth=0.8))
    axes.text(x + width / 2, top + 60, name, ha="center", va="bottom", fontsize=11)
    axes.text(x + width / 2, top - height - 60, size, ha="center", va="top", fontsize=9)
    return x + width


def arrow(axes, start, words, y, length=GAP):
    """An arrow from ``start`` on; returns where the next box begins."""
    axes.annotate("", (start + length - 30, y), (start + 30, y), arrowprops={"arrowstyle": "->", "linewidth": 1})
    axes.text(start + length / 2, y + 50, words, ha="center", va="bottom", fontsize=9)
    return start + length


def main() -> None:
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "pointkit"
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 7.6))
    end = box(above, 0, 0, K, N, GREY, "x", f"{N:,} × {K}")
    for name, words in (("y", "linear"), ("norm of y", "norm"), ("z", "ReLU")):
        end = box(above, arrow(above, end, words, -N / 2), 0, C, N, ORANGE, name, f"{N:,} × {C}")
    box(above, arrow(above, end, "maximum", -N / 2), -N / 2, C, 36, BLUE, "out", f"1 × {C}")
    above.set_title("layer by layer", loc="left", fontsize=12)
    end = box(below, 0, 0, K, N, GREY, "x", f"{N:,} × {K}")
    moments = box(below, arrow(below, end, "moments", -250), -220, K, K, BLUE, "S", f"{K} × {K}")
    arrow(below, moments, "norm of y before there is any y", -250, 2 * GAP + 2 * C - K)
    product = arrow(below, end, "linear, and the maximum as it is made", -1200, 3 * GAP + 2 * C)
    winners = box(below, product, -1170, C, 72, BLUE, "max, winner", f"2 × {C}")
    box(below, arrow(below, winners, "norm, ReLU", -1200), -1180, C, 36, BLUE, "out", f"1 × {C}")
    below.set_title("exact pooling", loc="left", fontsize=12)
    for axes in (above, below):
        axes.set_xlim(-200, 4 * (C + GAP) + 200)
        axes.set_ylim(-N - 300, 300)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(pathlib.Path(__file__).with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
