"""How figures are shown: the table of one run, and several runs side by side."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from pointkit.console import note, out, percent, print_json, say
from pointkit.console.verdict import said
from pointkit.evaluate.groups import Evaluated
from pointkit.evaluate.shapes import TURNS
from pointkit.task import TASKS, Figure

Report = Mapping[str, Any]


def report_table(report: Report) -> None:
    """The table of one run."""
    TABLES[report["task"]](report)
    for line in report["warnings"]:
        note(f"warning: {line}")


def _parts_table(report: Report) -> None:
    table = Table("category", "mIoU", "shapes", "IoU of each part")
    for row in report["categories"]:
        ious = ", ".join(
            f"{part['name']} {percent(part['iou'])}" if part["shapes"] else f"{part['name']} never occurs"
            for part in row["parts"]
        )
        table.add_row(escape(row["name"]), percent(row["miou"]), str(row["shapes"]), escape(ious))
    out.print(table)
    say(
        f"{_figures(report)}: {report['num_shapes']} {report['split']} shapes on {report['points']['drawn']}, "
        f"weights of epoch {report['run']['best_epoch']} by {report['run']['selected_by']}"
    )
    _further_lines(report)
    if "protocol" in report:
        p = report["protocol"]
        say(
            f"by {p['name']}'s terms: point accuracy {percent(p['point_accuracy'])} % of {p['shapes']} shapes, "
            f"{p['left_out']} left out"
        )


def _figures(report: Report) -> str:
    """The task's figures in one line, each followed by its interval where it has one."""
    texts = []
    for figure in TASKS[report["task"]].figures:
        text = f"{figure.title} {_figure(report, figure)}" + (" %" if figure.share else "")
        if interval := report.get(figure.interval):
            low, high = interval
            text += f" (95 % interval {percent(low)} to {percent(high)})"
        texts.append(text)
    return ", ".join(texts)


def _figure(report: Report, figure: Figure) -> str:
    return percent(report[figure.key]) if figure.share else f"{report[figure.key]:.3f}"


def _further_lines(report: Report) -> None:
    """What was measured beside the table: on other draws of the points, on turned shapes, on foreign ones."""
    if "draws" in report:
        say(f"{report['draws']['k']} fresh draws of the points: {_spreads(report, 'draws')}")
        if report["draws"].get("note"):
            note(f"warning: {report['draws']['note']}")
    if "votes" in report:
        say(f"with {report['votes']['k']} votes: {_figures({**report['votes'], 'task': report['task']})}")
        if report["votes"].get("note") and "draws" not in report:
            note(f"warning: {report['votes']['note']}")
    if "rotated" in report:
        about = TURNS[report["rotated"]["about"]]
        say(f"turned {about}, {report['rotated']['k']} times: {_spreads(report, 'rotated')}")
    marks = report["foreign"]
    if marks["marked"] is not None:
        say(f"foreign: {percent(marks['marked'])} % of these shapes would be marked as unlike all training shapes")
    if others := marks.get("others"):
        left = f"; {others['unread']} files could not be read" if others["unread"] else ""
        names = ", ".join([*others["classes"], f"from {others['name']}"])
        found = f"{percent(others['found'])} % would be, AUROC {others['auroc']:.3f}"
        say(f"of {others['shapes']} truly foreign shapes ({escape(names)}) {found}{left}")


def _spreads(report: Report, key: str) -> str:
    """Mean ± standard deviation of each figure that was measured several times."""
    d = report[key]
    figures = [figure for figure in TASKS[report["task"]].figures if f"{figure.key}_mean" in d]
    return ", ".join(f"{f.title} {spread(d[f'{f.key}_mean'], d[f'{f.key}_sd'])} %" for f in figures)


def _classes_table(report: Report) -> None:
    table = Table("class", "precision", "recall", "F1", "shapes")
    for row in report["classes"]:
        cells = [percent(row[key]) for key in ("precision", "recall", "f1")]
        table.add_row(escape(row["name"]), *cells, str(row["support"]))
    out.print(table)
    say(
        f"{_figures(report)}: {report['num_shapes']} {report['split']} shapes, "
        f"{report['points']['num_points']} points each, "
        f"weights of epoch {report['run']['best_epoch']} by {report['run']['selected_by']}"
    )
    _further_lines(report)


TABLES = {"classification": _classes_table, "parts": _parts_table}


def spread(mean: float, sd: float | None) -> str:
    """Mean ± standard deviation, in percent."""
    return percent(mean, 2) + (f" ± {percent(sd, 2)}" if sd is not None else "")


def evaluated(result: Evaluated, as_json: bool) -> None:
    """One run's table. For several runs a line each, mean ± sd of each group, and the differences."""
    if as_json:
        print_json(result.whole)
    elif result.together is None:
        [report] = result.reports
        report_table(report)
        say(f"page: {result.page}")
        said(report["verdict"], f"pointkit predict {shlex.quote(report['run']['path'])} FILE...")
    else:
        _side_by_side(result, result.together["summary"])
        say(f"page: {result.page}")
        said(result.together["verdict"], "")


def _side_by_side(result: Evaluated, summary: Mapping[str, Any]) -> None:
    figures = TASKS[result.reports[0]["task"]].figures
    table = Table("run", *(f"{figure.title} %" if figure.share else figure.title for figure in figures))
    for name, group in result.groups.items():
        for report in group:
            table.add_row(escape(report["run"]["path"]), *(_figure(report, figure) for figure in figures))
        if len(group) > 1:
            means = [_mean(summary["groups"][name][figure.key], figure) for figure in figures]
            table.add_row(f"{escape(name)}: mean ± sd of {len(group)}", *means, style="bold")
        table.add_section()
    out.print(table)
    first, lead = next(iter(result.groups)), figures[0]
    for name, differences in summary["differences"].items():
        mean, error = differences[lead.key]
        within = f" ± {percent(error, 2)} (standard error)" if error is not None else ""
        say(f"{name} less {first}: {lead.title} {100 * mean:+.2f}{within} points, on the same test inputs")
    for line in summary["warnings"]:
        note(f"warning: {line}")


def _mean(pair: tuple[float, float | None] | None, figure: Figure) -> str:
    if not pair:
        return "n/a"
    return spread(*pair) if figure.share else f"{pair[0]:.3f}"
