"""The cards of stores, runs, reports, shapes and answers: what Python and notebooks show of them (``cards``).

Pictures are drawn when a notebook asks for them, so the text of a card costs nothing.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pointkit.cards import Card, Pictures, listed
from pointkit.cloud import Array, Mesh, Shape
from pointkit.disk import shown
from pointkit.store import SPLITS, Store
from pointkit.task import TASKS

if TYPE_CHECKING:
    from pointkit.api.collected import Answers
    from pointkit.asking import PartsPrediction, Prediction
    from pointkit.evaluate.groups import Evaluated
    from pointkit.learn import Learned
    from pointkit.prepare import Prepared
    from pointkit.preprocess import Warned
    from pointkit.watching import Outcome

Rows = tuple[tuple[str, str], ...]
MOST = 12  # classes, answers or seeds that are shown


def counted(number: int, word: str, plural: str = "") -> str:
    """A number with its word: 1 shape, 2,048 shapes."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def percent(value: float | None) -> str:
    """A share in percent, or n/a."""
    return "n/a" if value is None else f"{100 * value:.1f} %"


# ---- shapes


def of_shape(shape: Shape) -> Card:
    """Sizes, the box in the file's units, the fields; a picture."""
    if isinstance(shape, Mesh):
        title = f"Mesh: {counted(len(shape.vertices), 'vertex', 'vertices')}, {counted(len(shape.faces), 'face')}"
        points = shape.vertices
        fields: list[tuple[str, Mapping[str, Array]]] = [
            ("face fields", shape.face_fields),
            ("vertex fields", shape.vertex_fields),
        ]
    else:
        title = f"PointCloud: {counted(len(shape.points), 'point')}"
        points = shape.points
        labels = {} if shape.labels is None else {"label": shape.labels}
        fields = [("fields", {**shape.fields, **labels})]
    rows: list[tuple[str, str]] = []
    if len(points):
        low, high = shape.placement.restore(points.min(0)), shape.placement.restore(points.max(0))
        rows += [("from", _triple(low)), ("to", _triple(high)), ("size", _triple(high - low))]
    rows += [(name, _fields(some)) for name, some in fields if some]
    return Card(title, tuple(rows), lambda: _picture(shape))


def _picture(shape: Shape) -> Pictures:
    from pointkit.view import picture, scene

    words = "its surface, and points drawn from it" if isinstance(shape, Mesh) and len(shape.faces) else "its points"
    return {words: picture(scene(shape), 0.4)}


def _triple(values: Array) -> str:
    return ", ".join(f"{value:,.3f}".rstrip("0").rstrip(".") if abs(value) >= 1 else f"{value:.4g}" for value in values)


def _fields(fields: Mapping[str, Array]) -> str:
    return listed(f"{name} ({array.dtype})" for name, array in fields.items())


# ---- stores


def of_store(opened: Store) -> Card:
    """What can be learned, the counts, the points; the first training shape of each class."""
    task, counts = opened.task, opened.counts
    splits = ", ".join(f"{len(opened.select(split)):,} {split}" for split in SPLITS)
    rows = [(task.group[1], f"{len(task.classes):,}: {listed(map(shown, task.classes))}"), ("shapes", splits)]
    if task.parts:
        rows.insert(1, ("parts", listed(f"{shown(name)} {len(parts)}" for name, parts in task.parts.items())))
    if len(counts):
        span = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
        rows.append(("points a shape", span))
    if task.features:
        rows.append(("features", listed(task.features)))
    rows += [("warning", line) for line in opened.manifest.get("warnings", ())]
    title = f"Store {_place(opened.path)}: {counted(len(opened.rows), 'shape')} for {task.name}"
    return Card(title, tuple(rows), lambda: _shapes_of(opened))


def _shapes_of(opened: Store) -> Pictures:
    from pointkit.report import plots

    pictures: dict[str, bytes] = {}
    for name, index in list(_first(opened).items())[:MOST]:
        colors = None
        if opened.point_labels is not None:
            ids = opened.point_labels[opened.span(index)][:2048]
            colors = plots.part_colors(np.where(ids < 0, -1, ids - opened.part_ids[name].start))
        pictures[shown(name)] = plots.png(plots.cloud(opened.cloud(index)[:2048], colors), 45)
    return pictures


def _first(opened: Store) -> dict[str, int]:
    """Class -> its first training shape, or its first where it has none; in the order of the classes."""
    order = sorted(range(len(opened.rows)), key=lambda index: opened.rows[index].split != "train")
    first = {opened.rows[index].class_name: index for index in reversed(order)}
    return {name: first[name] for name in opened.classes if name in first}


def of_prepared(made: Prepared) -> Card:
    """The store's card, with what could not be read and what the user should know."""
    whole = of_store(made.store)
    lost = (("not read", f"{counted(len(made.unread), 'file')}, see {made.store.path / 'unread.csv'}"),)
    before = (("prepared", "before; nothing to do"),) if made.already else ()
    rows = tuple(row for row in whole.rows if row[0] != "warning")
    warnings = tuple(("warning", line) for line in made.warnings)
    return Card(whole.title, (*before, *rows, *(lost if made.unread else ()), *warnings), whole.pictures)


# ---- runs


def of_run(path: pathlib.Path, facts: Mapping[str, Any], history: Sequence[Mapping[str, float]], best: int) -> Card:
    """What was trained on what, the figures of the epoch that was kept; the curves."""
    settings, shapes = facts["settings"], facts["store"]["shapes"]
    kind = TASKS[facts["task"]]
    sees = counted(settings["num_points"], "point") + "".join(f", {name}" for name in facts.get("features", ()))
    rows = [
        (kind.group[1], f"{len(facts['classes']):,}: {listed(map(shown, facts['classes']))}"),
        ("network", f"{settings['model']}, {facts['parameters']:,} parameters; sees {sees} of a shape"),
        ("trained on", f"{shown(facts['store']['name'])}: " + ", ".join(f"{n:,} {s}" for s, n in shapes.items())),
        ("epochs", f"{len(history):,} of {settings['epochs']:,}"),
    ]
    if best:
        rows.append((f"epoch {best}, kept", ", ".join(_validated(history[best - 1], kind.validated))))
    report = path / "report.html"
    rows.append(("report", _place(report) if report.is_file() else "none yet; pointkit.evaluate makes it"))
    return Card(
        f"Run {_place(path)}: {kind.name} with Keras on {facts['backend']}", tuple(rows), lambda: _curves(history, best)
    )


def _validated(row: Mapping[str, float], columns: Iterable[str]) -> list[str]:
    return [f"{name} {row[name]:.3f}" if name == "val_loss" else f"{name} {percent(row[name])}" for name in columns]


def _curves(history: Sequence[Mapping[str, float]], best: int) -> Pictures:
    from pointkit.report import charts, plots

    figures = charts.curves(history, best or None) if history else {}
    return {
        name.removeprefix("curve_"): plots.png(figure, 80) for name, figure in figures.items() if name != "curve_rate"
    }


def of_outcome(outcome: Outcome) -> Card:
    """The card of the run that a training made."""
    from pointkit import run_folder

    return of_run(outcome.path, run_folder.read_facts(outcome.path), outcome.history, outcome.best_epoch)


# ---- reports


def of_report(measured: Evaluated) -> Card:
    """The figures of a run, or of each group of runs; the confusion, or shapes beside their answers."""
    first = measured.reports[0]
    figures = TASKS[first["task"]].figures
    rows: list[tuple[str, str]] = []
    if measured.together is None:
        rows += [(figure.words, _interval(first, *figure[:1], figure.share, figure.interval)) for figure in figures]
        rows += [("verdict", line["text"]) for line in first.get("verdict", ())]
        rows += [("warning", line) for line in first.get("warnings", ())]
    else:
        for name, group in measured.together["summary"]["groups"].items():
            mean, spread = group[figures[0].key] or (None, None)
            more = "" if spread is None else f" ± {100 * spread:.1f}"
            rows.append((_place(name), f"{figures[0].title} {percent(mean)}{more} ({counted(group['runs'], 'run')})"))
    title = f"Report {_place(measured.page)}: {counted(first['num_shapes'], 'shape')} of the {first['split']} split"
    return Card(title, tuple(rows), lambda: _measured(measured))


def of_learned(result: Learned) -> Card:
    """The card of the report, with the pages and what the audit found."""
    from pointkit.evaluate.groups import Evaluated

    whole = of_report(Evaluated({str(result.path): [result.report]}, result.path / "report.html"))
    pages = ("your data", _place(result.path / "data.html"))
    return Card(whole.title, (pages, *whole.rows, *(("found", one["text"]) for one in result.findings)), whole.pictures)


def _interval(report: Mapping[str, Any], key: str, share: bool, interval: str) -> str:
    value, bounds = report.get(key), report.get(interval)
    if value is None or not share:
        return "n/a" if value is None else f"{value:.3f}"
    return percent(value) + (f" (95 % interval {percent(bounds[0])} to {percent(bounds[1])})" if bounds else "")


def _measured(measured: Evaluated) -> Pictures:
    place = measured.page.parent
    if measured.together is not None:
        return {}
    names = {
        "confusion": "truth (rows) and answers (columns)",
        "category_0": "best, median and worst: truth and answer",
    }
    return {
        text: (place / f"{name}.png").read_bytes() for name, text in names.items() if (place / f"{name}.png").is_file()
    }


# ---- answers


def of_prediction(answer: Prediction, names: Sequence[str] = ()) -> Card:
    """The class, its probability and the runner-up."""
    second = float(np.sort(answer.probabilities)[-2])
    title = (
        f"{shown(answer.class_name)}: probability {answer.probability:.3f}; then {shown(answer.runner_up)} {second:.3f}"
    )
    return Card(f"Prediction {title}", _warned(answer.warnings))


def of_parts(answer: PartsPrediction) -> Card:
    """The points, or faces, of each part."""
    parts = listed(f"{shown(name)} {count:,}" for name, count in answer.counts.items())
    title = f"PartsPrediction {shown(answer.category)}: {parts}; mean probability {answer.mean_probability:.3f}"
    return Card(title, _warned(answer.warnings))


def _warned(warnings: Iterable[Warned]) -> Rows:
    return tuple(("warning", warned.text) for warned in warnings)


def of_answers(answers: Answers) -> Card:
    """A line for each of the first answers."""
    good = len(answers) - len(answers.problems)
    title = f"Answers to {good:,} of {counted(len(answers), 'file or shape', 'files or shapes')}"
    rows = [(_tail(shown(str(name))), _answer(result)) for name, result in answers.items()]
    rows.sort(key=lambda row: not row[1].startswith("no answer"))  # what went wrong comes first
    more = (("...", f"and {len(rows) - MOST:,} more"),) if len(rows) > MOST else ()
    return Card(title, (*rows[:MOST], *more))


def _place(path: str | os.PathLike[str]) -> str:
    """A path for a title, of which the rest must stay in sight, too."""
    return _tail(shown(path), 70)


def _tail(text: str, width: int = 60) -> str:
    """The end of a long path, which is what tells files apart."""
    return text if len(text) <= width else "…" + text[1 - width :]


def _answer(result: Any) -> str:
    if isinstance(result, Exception):
        return f"no answer: {result}"
    written = f"; written: {shown(result.written)}" if result.written else ""
    if result.answer is None:
        return f"answered before{written}"
    kinds = ", ".join(warned.kind for warned in result.answer.warnings)
    warned = f"; warning: {kinds}" if kinds else ""
    return repr(result.answer).split("\n")[0].partition(" ")[2] + warned + written
