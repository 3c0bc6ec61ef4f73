"""What the answers say: whether the network has learned anything, and what it mixes up."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

from pointkit.metrics.chance import dominating, guessing, kappa, most_mixed_up
from pointkit.task import TASKS, Classification, Figure
from pointkit.verdict.line import (
    WIDE,
    Line,
    Matrix,
    Report,
    listed,
    matrices,
    path_of,
    percent,
    run_of,
    settings_of,
    training,
)

SURE = 2.0  # standard deviations above guessing
LITTLE = 0.1  # kappa of points: nothing learned. Points are so many that even little is more than chance
NEARLY_ALL = 0.8  # share of a category's points that one part is answered for
MARGIN = 0.01  # a network that leads by less is no better
ALMOST_ALL = 0.95  # where so much is right, a simple rule may do as well: the task is easy
FITTING = 0.2  # share of what always the commonest class gets wrong that copying must get right, if labels fit
BY_HEART = 0.6  # accuracy on training shapes
MIXED = 0.05  # share of two classes' shapes that are taken for each other
FEWEST = 2  # shapes
SHORT, LONG = 10, 60  # epochs: a shorter training says nothing of its rate; so many are proposed at the least
UNEVEN = 2  # times as many training shapes as in the smallest class


def chance(report: Report) -> Line | None:
    """The answers do not hang on the shapes: as many are right as if they were dealt out at random."""
    found = matrices(report)
    if not found:
        return None
    if "" in found:
        if _only(found[""][1]) == _commonest_place(report, found[""][0]):
            return None  # that is another fault, and has a line of its own
        guess = guessing(found[""][1])
        right, total = sum(row[i] for i, row in enumerate(found[""][1])), sum(map(sum, found[""][1]))
        if guess.above >= SURE:
            return None
        words = f"at chance: {right} of {total} shapes are right, and guessing would get about {guess.expected:.0f}"
    else:
        kappas = [value for _, matrix in found.values() if (value := kappa(matrix)) is not None]
        if not kappas or sum(kappas) / len(kappas) >= LITTLE:
            return None
        words = "at chance: the answers hardly hang on where a point lies"
        if all(_largest_share(matrix) >= NEARLY_ALL for _, matrix in found.values() if kappa(matrix) is not None):
            words += ", one part is answered nearly everywhere"
    return Line(*_why(report, words))


def _largest_share(matrix: Matrix) -> float:
    """The share of the answers that are of one class."""
    return max(map(sum, zip(*matrix, strict=True))) / sum(map(sum, matrix))


def _only(matrix: Matrix) -> int | None:
    """The only class that is ever answered, or None."""
    answered = [i for i in range(len(matrix)) if any(row[i] for row in matrix)]
    return answered[0] if len(answered) == 1 else None


def _commonest_place(report: Report, names: Sequence[str]) -> int:
    """The place of the class that clearly most training shapes are of, or -1."""
    name = ((report.get("baselines") or {}).get("commonest") or {}).get("name")
    return names.index(name) if name in names and not _alike(report) else -1


def _why(report: Report, words: str) -> tuple[str, str]:
    """What a network at chance needs. Where copying works, the labels fit and the training is at fault."""
    constant, copied = _rival(report, "commonest"), _rival(report, "nearest")
    if copied and constant and copied[1] > constant[1] + FITTING * (1 - constant[1]):
        fit = f"copying the most similar training shape scores {percent(copied[1])}, so the labels fit the shapes"
        if settings_of(report).get("epochs", 20) < SHORT:
            return f"{words}. But {fit}. Train longer.", _longer(report)
        rate = settings_of(report).get("learning_rate", 0.001) / 3
        command = training(report, "slower", epochs=_more_epochs(report), learning_rate=f"{rate:.2g}")
        return f"{words}. But {fit}. Train longer, at a lower rate.", command
    accuracies = [row["accuracy"] for row in report.get("history") or [] if isinstance(row.get("accuracy"), float)]
    known = max(accuracies, default=0.0)
    heart = f"It knows {percent(known)} of its training {_unit(report)} by heart. " if known >= BY_HEART else ""
    other = "Copying the most similar training shape does no better. " if copied else ""
    return f"{words}. {heart}{other}Do the labels fit the shapes?", _info(report)


def _unit(report: Report) -> str:
    return "points" if report.get("task") == "parts" else "shapes"


def _info(report: Report) -> str:
    words = shlex.split(run_of(report).get("command") or "")
    return shlex.join(["pointkit", "info", words[2] if len(words) > 2 else "STORE"])


def _lead(report: Report) -> tuple[Figure, float] | None:
    """The first figure of the task, and its value in the report."""
    figure = TASKS.get(report.get("task") or "", Classification).figures[0]
    value = report.get(figure.key)
    return (figure, float(value)) if isinstance(value, int | float) and math.isfinite(value) else None


def _rival(report: Report, name: str) -> tuple[dict[str, Any], float] | None:
    """A baseline of the report, and its value of the task's first figure."""
    lead, found = _lead(report), (report.get("baselines") or {}).get(name) or {}
    value = found.get(lead[0].key) if lead else None
    return (found, float(value)) if value is not None else None


def commonest(report: Report) -> Line | None:
    """No better than always the commonest class, or in each category its commonest part."""
    lead, rival = _lead(report), _rival(report, "commonest")
    if not lead or not rival or lead[1] >= min(rival[1] + MARGIN, 1):
        return None
    always = f"always answering {rival[0]['name']!r}" if "name" in rival[0] else "one part for all points of a category"
    words = (
        f"no better than {always}: that scores {percent(rival[1])} in {lead[0].words}, the network {percent(lead[1])}"
    )
    return Line(f"{words}.", _fairer(report))


def nearest(report: Report) -> Line | None:
    """No better than the answer of the most similar training shape, which needs no network."""
    lead, rival = _lead(report), _rival(report, "nearest")
    if not lead or not rival or lead[1] >= ALMOST_ALL or lead[1] >= rival[1] + MARGIN:
        return None
    low, high = report.get(lead[0].interval) or (0, 0)
    if high - low > WIDE and rival[1] - lead[1] < (high - low) / 2:  # among few shapes, that may be luck
        return None
    words = f"copying {'the parts of ' if _unit(report) == 'points' else ''}the most similar training shape"
    text = f"no better than {words}: that scores {percent(rival[1])} in {lead[0].words}, the network {percent(lead[1])}"
    return Line(f"{text}. Train longer, with variation.", _longer(report, "longer", scale=0.25, rotate=10))


def _longer(report: Report, ending: str = "longer", **more: object) -> str:
    settings = {name: value for name, value in more.items() if not settings_of(report).get(name)}
    return training(report, ending, epochs=_more_epochs(report), **settings)


def _more_epochs(report: Report) -> int:
    return max(3 * int(settings_of(report).get("epochs", 20)), LONG)


def dominates(report: Report) -> Line | None:
    """One class draws most of the other classes' shapes to itself; or one part the points of the others."""
    found = matrices(report)
    texts = []
    for category, (names, matrix) in found.items():
        which = dominating(matrix)
        if which is None:
            continue
        if category:
            share = percent(which.wrong / which.others)
            texts.append(f"{category}: {share} of the points of other parts are {names[which.top]!r}")
        else:
            answered, there = sum(row[which.top] for row in matrix), sum(matrix[which.top])
            total = sum(map(sum, matrix))
            texts.append(
                f"{answered} of {total} answers are {names[which.top]!r}, though {there} of the shapes are: "
                f"{which.wrong} of the {which.others} others are taken for it"
            )
    if not texts or (len(texts) < len(found) / 2):  # of parts, a category or two may simply be hard
        return None
    return Line(f"one answer dominates: {listed(texts, 3)}.", _fairer(report))


def _fairer(report: Report) -> str:
    """The training with all classes, or parts, weighed alike, or longer, where they are alike in number or weight."""
    if _alike(report) or settings_of(report).get("class_weight") == "balanced":
        return _longer(report)
    return training(report, "balanced", class_weight="balanced")


def _alike(report: Report) -> bool:
    """Whether the classes have about as many training shapes each; parts are never alike."""
    counts = [row["train"] for row in report.get("classes") or [] if row.get("train")]
    return report.get("task") != "parts" and max(counts, default=1) < UNEVEN * min(counts, default=1)


def good(report: Report) -> Line | None:
    """What is reached, and how far above the rules that need no network."""
    lead = _lead(report)
    if lead is None:
        return None
    figure, value = lead
    interval = report.get(figure.interval) if figure.interval else None
    within = f" (95 % interval {100 * interval[0]:.1f} to {percent(interval[1])})" if interval else ""
    text = f"{percent(value)} {figure.words}{within}"
    rivals = []
    if rival := _rival(report, "commonest"):
        what = f"always answering {rival[0]['name']!r}" if "name" in rival[0] else "one part for each category"
        rivals.append(f"{what} scores {percent(rival[1])}")
    if rival := _rival(report, "nearest"):
        rivals.append(f"copying the most similar training shape {percent(rival[1])}")
    if rivals:
        text += f"; {', '.join(rivals)}"
    easy = rival is not None and rival[1] + MARGIN > value
    return Line(
        text + (". These shapes are easy to tell apart." if easy else "."),
        f"pointkit predict {path_of(report)} FILE...",
    )


def mixed_up(report: Report) -> Line | None:
    """The two classes, or parts of a category, that are most often taken for each other."""
    found = [
        (mixed.there + mixed.back, category, names, matrix, mixed)
        for category, (names, matrix) in matrices(report).items()
        if (mixed := most_mixed_up(matrix))
    ]
    if not found:
        return None
    count, category, names, matrix, mixed = max(found, key=lambda each: each[0])
    both = sum(matrix[mixed.first]) + sum(matrix[mixed.second])
    if count < FEWEST or count < MIXED * both:
        return None
    first, second = names[mixed.first], names[mixed.second]
    what = "points" if category else "shapes"
    where = f" in {category}" if category else ""
    counts = f"{mixed.there:,} {what} of {first} answered as {second}, {mixed.back:,} the other way"
    text = f"most mixed up{where}: {first} and {second} ({counts}, {percent(count / both)} of both)"
    return Line(f"{text}. The report shows some side by side.", f"pointkit predict {path_of(report)} FILE --explain")
