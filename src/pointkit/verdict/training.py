"""What the curves of a training say: whether it was stopped too early, or went on too long."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pointkit.task import TASKS, Classification
from pointkit.verdict.line import Line, Report, percent, run_of, settings_of, training

FEWEST = 3  # epochs that show a trend
GAIN = 0.05  # share by which the loss must still fall from one fifth of the epochs to the next
POINT = 0.01  # by which mIoU must still rise
NOTHING_LEFT = 0.98  # validation accuracy that leaves nothing to gain
GAP = 0.10  # between the accuracy on training and on validation shapes
FALL = 0.10  # of the first figure when shapes are turned
RISEN = 1.5  # times the lowest validation loss


def _columns(report: Report, *names: str) -> list[list[float]] | None:
    """Columns of the history, or None where a number is missing."""
    rows = report.get("history") or []
    if len(rows) < FEWEST or any(not isinstance(row.get(name), int | float) for row in rows for name in names):
        return None
    columns = [[float(row[name]) for row in rows] for name in names]
    return columns if all(math.isfinite(number) for column in columns for number in column) else None


def still_improving(report: Report) -> Line | None:
    """The last epochs were the best ones, and clearly better than those before."""
    by_miou = settings_of(report).get("select") == "miou"
    columns = _columns(report, "val_miou" if by_miou else "val_loss", "val_accuracy", "loss")
    if columns is None:
        return None
    judged, accuracy, loss = columns
    last = max(1, len(judged) // 5)
    before, now = _mean(judged[-2 * last : -last]), _mean(judged[-last:])
    gained = now - before > POINT if by_miou else now < before * (1 - GAIN)
    best = judged.index(max(judged) if by_miou else min(judged))
    falling = _mean(loss[-last:]) < _mean(loss[-2 * last : -last])
    if not (gained and falling) or best < len(judged) - last or accuracy[-1] >= NOTHING_LEFT:
        return None
    change = f"loss fell from {before:.3f} to {now:.3f}"
    if by_miou:
        change = f"mIoU rose from {percent(before)} to {percent(now)}"
    spread = f"the last {last} epochs" if last > 1 else "the last epoch"
    ending = "" if settings_of(report).get("schedule", "constant") == "constant" else "longer"
    text = f"still improving when it ended: over {spread}, validation {change}. Train longer."
    return Line(text, training(report, ending, epochs=2 * len(judged)))


def turned(report: Report) -> Line | None:
    """The figure falls where the shapes are turned (``evaluate --rotate``)."""
    rotated = report.get("rotated") or {}
    figure = TASKS.get(report.get("task") or "", Classification).figures[0]
    plain, mean = report.get(figure.key), rotated.get(f"{figure.key}_mean")
    if plain is None or mean is None or plain - mean < FALL:
        return None
    about = rotated.get("about")
    how = "in any direction" if about == "any" else "about the up axis"
    text = (
        f"it knows shapes only as they stand: turned {how}, {figure.words} falls from {percent(plain)} to "
        f"{percent(mean)}. If your files may stand so, train with turned shapes."
    )
    return Line(text, training(report, "turned", rotate=180, **({"tilt": 180} if about == "any" else {})))


def over_fitting(report: Report) -> Line | None:
    """It knows its training shapes far better than the validation shapes, or the validation loss rises again."""
    columns = _columns(report, "loss", "accuracy", "val_loss", "val_accuracy")
    best = run_of(report).get("best_epoch")
    if columns is None or not isinstance(best, int) or not 0 < best <= len(columns[0]):
        return None
    loss, accuracy, val_loss, val_accuracy = columns
    gap = accuracy[best - 1] - val_accuracy[best - 1]
    low = min(val_loss)
    lowest = val_loss.index(low)
    risen = _mean(val_loss[-max(1, len(val_loss) // 5) :])
    if gap >= GAP + _noise(report, val_accuracy[best - 1]):
        known, others = percent(accuracy[best - 1]), percent(val_accuracy[best - 1])
        text = f"over-fitting: at epoch {best}, {known} of the training answers are right, of validation {others}"
    elif risen > RISEN * low and loss[-1] < loss[lowest] and accuracy[-1] > val_accuracy[-1]:
        text = (
            f"over-fitting: validation loss was lowest at epoch {lowest + 1} ({low:.3f}) and rose to {risen:.3f}, "
            f"while training loss went on falling"
        )
    else:
        return None
    return Line(f"{text}. More training shapes help most, then more variation.", _varied(report))


def _noise(report: Report, share: float) -> float:
    """Two standard errors of the validation accuracy; nothing where the number of shapes is not known, or of points."""
    count = (run_of(report).get("shapes") or {}).get("val")
    return 2 * math.sqrt(share * (1 - share) / count) if count else 0.0


def _varied(report: Report) -> str:
    """The training with the augmentations and the dropout that it lacks."""
    settings = settings_of(report)
    wanted = {"scale": 0.25, "rotate": 10, "jitter": 0.01, "dropout": 0.5, "weight_decay": 0.05}
    return training(
        report, "varied", **{name: value for name, value in wanted.items() if settings.get(name, 0) < value}
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
