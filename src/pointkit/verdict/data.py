"""What the shapes themselves explain: too few of them, rare classes, wrong labels, parts that never occur."""

from __future__ import annotations

import math
import shlex
from typing import Any

from pointkit.metrics.classification import wilson_interval
from pointkit.task import TASKS, Classification
from pointkit.verdict.line import WIDE, Line, Report, folder_of, listed, path_of, percent, settings_of, training

RARE = 10  # times fewer training shapes than the largest class
BELOW = 0.10  # how much worse a rare class must do than the whole


def too_few_shapes(report: Report) -> Line | None:
    """The interval of the first figure is wider than ten points."""
    figure = TASKS.get(report.get("task") or "", Classification).figures[0]
    interval, total = report.get(figure.interval), report.get("num_shapes")
    value = report.get(figure.key)
    if not interval or not total or value is None or interval[1] - interval[0] <= WIDE:
        return None
    needed = _needed(float(value), total, interval[1] - interval[0], counted=figure.key == "oa")
    share = f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %"
    split = report.get("split") or "test"
    text = (
        f"too few shapes to tell: by {total} {split} shapes, {figure.words} lies anywhere from {share}. "
        f"About {needed:,} would narrow that to ten points."
    )
    return Line(text, f"pointkit prepare {shlex.quote(folder_of(report))} -o STORE --split 60/10/30")


def _needed(value: float, total: int, width: float, counted: bool) -> int:
    """How many shapes narrow the interval to ``WIDE``, rounded up to tens."""
    needed = math.ceil(total * (width / WIDE) ** 2 / 10) * 10
    while counted and needed > 10:
        low, high = wilson_interval(round(value * (needed - 10)), needed - 10)
        if high - low > WIDE:
            break
        needed -= 10
    return needed


def rare(report: Report) -> Line | None:
    """Classes, or categories, or parts, with few training shapes that do worse than the whole."""
    found = _rare(report.get("classes") or [], "recall", report.get("oa"))
    found += _rare(report.get("categories") or [], "miou", report.get("instance_miou"))
    for row in report.get("categories") or []:
        found += _rare(row["parts"], "iou", row["miou"], f"{row['name']} ")
    if not found:
        return None
    text = f"rare ones do badly: {listed(found)}. More training shapes of them help most."
    if settings_of(report).get("class_weight") == "none":
        return Line(f"{text} Or weigh all alike.", training(report, "balanced", class_weight="balanced"))
    return Line(text, f"pointkit prepare {shlex.quote(folder_of(report))} -o STORE")


def _rare(rows: list[dict[str, Any]], score: str, whole: float | None, where: str = "") -> list[str]:
    known = [row for row in rows if row.get("train") is not None and row.get(score) is not None]
    most = max((row["train"] for row in known), default=0)
    return [
        f"{where}{row['name']} ({row['train']} training shapes, {most} of the commonest; "
        f"{'IoU' if 'iou' in score else score} {percent(row[score])})"
        for row in known
        if whole is not None and row["train"] * RARE < most and row[score] < whole - BELOW
    ]


def mislabels(report: Report) -> Line | None:
    """Shapes whose label both the network and the most similar training shape speak against."""
    found = report.get("suspects") or []
    if not found:
        return None
    first = found[0]
    texts = [f"{each['file']} (labelled {each['truth']}, looks like {each['answer']})" for each in found]
    text = f"perhaps mislabelled: {listed(texts, 3)}. The network is sure, and the most similar training shape agrees."
    return Line(text, f"pointkit view {shlex.quote(folder_of(report) + '/' + first['file'])} -o look.png")


def absent(report: Report) -> Line | None:
    """Classes without test shapes, and parts that no test shape has: nothing is known about them."""
    classes = report.get("absent_classes") or []
    categories = report.get("categories") or []
    empty = [row["name"] for row in categories if not row.get("shapes")]
    parts = [
        f"{row['name']} {part['name']}"
        for row in categories
        if row.get("shapes")
        for part in row["parts"]
        if part.get("shapes") == 0
    ]
    texts = [f"no test shapes of {', '.join(classes)}: n/a, left out of mAcc"] if classes else []
    texts += [f"no test shapes of {', '.join(empty)}: n/a, left out of class mIoU"] if empty else []
    texts += [f"no test shape has the part {listed(parts)}: n/a, nothing is known about it"] if parts else []
    if not texts:
        return None
    return Line("; ".join(texts) + ".", f"pointkit evaluate {path_of(report)} --split val")
