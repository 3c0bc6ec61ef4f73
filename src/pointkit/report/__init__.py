"""report.json to a page that anybody can open: one HTML file without scripts, which loads nothing.

``render`` shows one run, ``render_groups`` several side by side. What a report lacks is left out of its page. Names of
classes and files are shown as text, whatever they contain.
"""

from __future__ import annotations

import base64
import functools
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import jinja2

from pointkit import verdict
from pointkit.metrics import mean_sd
from pointkit.task import TASKS, Classification, Figure, Task


class Measured(NamedTuple):
    """What a report is made of: its ``figures`` ready for JSON, the text of predictions.csv, and name -> PNG."""

    figures: dict[str, Any]
    predictions: str
    pictures: dict[str, bytes]


def render(report: Mapping[str, Any], pictures: Mapping[str, bytes] | None = None) -> str:
    """The page of one report. ``pictures``: name -> PNG bytes, shown where they belong: "curve_loss" and the
    other curves, "calibration", "grid" (test shapes with their answers), "sampling" (before and after), and those that
    ``mistakes``, ``mixed_up`` and ``categories`` name.
    """
    shown = {name: data_uri(name, data) for name, data in (pictures or {}).items()}
    matrix = report.get("confusion") or []
    page: str = template("report.html.j2").render(
        report=report,
        pictures=shown,
        task=_task(report),
        rows=[{"counts": row, "total": sum(row)} for row in matrix],
        settings=_flat((report.get("run") or {}).get("settings") or {}),
        verdict=_verdict(report.get("verdict") or verdict.of(report)),
    )
    return page


def render_groups(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The page of several runs: ``groups`` maps a group's name to the reports of its runs."""
    task = _task(next(iter(groups.values()))[0])
    page: str = template("groups.html.j2").render(
        groups=groups, summary=summarise_groups(groups), task=task, verdict=_verdict(verdict.of_groups(groups))
    )
    return page


def _verdict(lines: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The lines of a verdict, each with how grave it is."""
    return [{**line, "level": verdict.level(line["kind"])} for line in lines]


def _task(report: Mapping[str, Any]) -> type[Task]:
    """The record of a report's task."""
    return TASKS[report.get("task", Classification.name)]


def summarise_groups(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The summary of several runs, ready for JSON.

    ``groups``: name -> {runs, and for each of the task's figures: (mean, sample sd or None), or None}.
    ``differences``: each later group minus the first, with the standard error of that difference (None for single
    runs). ``warnings``: why the runs cannot be compared. Raises ValueError where a group is empty.
    """
    if not groups or not all(groups.values()):
        raise ValueError("groups must each hold at least one report")
    keys = [figure.key for figure in _task(next(iter(groups.values()))[0]).figures]
    figures = {
        name: {"runs": len(reports), **{key: _mean_sd(reports, key) for key in keys}}
        for name, reports in groups.items()
    }
    first, *others = figures
    differences = {name: {key: _difference(figures[first], figures[name], key) for key in keys} for name in others}
    return {"groups": figures, "differences": differences, "warnings": _comparison_warnings(groups)}


def _mean_sd(reports: Sequence[Mapping[str, Any]], key: str) -> tuple[float, float | None] | None:
    values = [report.get(key) for report in reports]
    return mean_sd([float(v) for v in values if v is not None]) if None not in values else None


def _difference(first: Mapping[str, Any], other: Mapping[str, Any], key: str) -> tuple[float, float | None] | None:
    if first[key] is None or other[key] is None:
        return None
    (mean1, sd1), (mean2, sd2) = first[key], other[key]
    error = None if None in (sd1, sd2) else math.sqrt(sd1**2 / first["runs"] + sd2**2 / other["runs"])
    return mean2 - mean1, error


def _comparison_warnings(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    reports = [report for group in groups.values() for report in group]
    warnings = []
    for words, path in (
        ("stores", ("store", "checksum")),
        ("splits", ("split",)),
        ("numbers of shapes", ("num_shapes",)),
        ("numbers of points", ("points", "num_points")),
    ):
        if len({json.dumps(_at(report, path), default=str) for report in reports}) > 1:
            warnings.append(f"not the same test inputs: the runs were measured on different {words}")
    warnings += [
        f"{name}: {len(group)} run{'s' if len(group) > 1 else ''}; a figure to publish needs three seeds"
        for name, group in groups.items()
        if len(group) < 3
    ]
    return warnings


def _at(report: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = report
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as name -> text; a nested table gives dotted names."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return flat


def data_uri(name: str, data: bytes) -> str:
    """A PNG as an address that a page can hold. Raises ValueError for other bytes."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"picture {name!r} must be PNG, got bytes that begin with {bytes(data[:8])!r}")
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _percent(value: object, digits: int = 1) -> str:
    """0.905 as "90.5 %", on one line; None and what is no number as "n/a"."""
    number = _number(value)
    return "n/a" if number is None else f"{100 * number:.{digits}f}\u00a0%"


def _decimal(value: object, digits: int = 3) -> str:
    number = _number(value)
    return "n/a" if number is None else f"{number:.{digits}f}"


def _shown(value: object, figure: Figure) -> str:
    """A figure of the report in its unit."""
    return _percent(value) if figure.share else _decimal(value)


def _short(value: object) -> str:
    """A number with four significant digits; a text as it is."""
    number = _number(value)
    return f"{number:.4g}" if number is not None else "n/a" if value in (None, "") else str(value)


def _whole(value: object) -> str:
    number = _number(value)
    return "n/a" if number is None else f"{number:,.0f}"


def _mean(pair: Sequence[float | None] | None, unit: str = "", signed: bool = False) -> str:
    """(0.905, 0.004) as "0.905 ± 0.004", or with a unit, in hundredths, as "90.5 ± 0.4 %"."""
    if pair is None or _number(pair[0]) is None:
        return "n/a"
    factor, digits = (100, 1) if unit else (1, 3)
    mean, spread = (None if value is None else factor * value for value in pair)
    text = f"{mean:{'+' if signed else ''}.{digits}f}".replace("-", "−")
    return text + ("" if spread is None else f" ± {spread:.{digits}f}") + (f"\u00a0{unit}" if unit else "")


@functools.cache
def template(name: str) -> jinja2.Template:
    """A template with the filters that our pages use."""
    folder = resources.files("pointkit.report") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(
            {file: (folder / file).read_text(encoding="utf-8") for file in ("page.html.j2", "verdict.html.j2", name)}
        ),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "shown": _shown,
        "decimal": _decimal,
        "short": _short,
        "whole": _whole,
        "mean": _mean,
    }
    return environment.get_template(name)
