"""What the command line shows: progress on standard error, results on standard output. Nothing is decided here."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from pointkit.signals import Stopped

if TYPE_CHECKING:
    from pointkit.predict import Predictor
    from pointkit.train import Outcome


class _Output(Console):
    """Whoever reads our output may leave early, like ``head``: that is no error."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


# A pipe has no width; tables must not be folded for it.
out = _Output(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """A line of the result."""
    out.print(line, markup=False)


def note(line: str) -> None:
    """A line beside the result."""
    err.print(line, markup=False)


def next_step(command: str) -> None:
    """What to type next."""
    note(f"next: {command}")


def print_json(value: object) -> None:
    """One JSON object on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent, or n/a."""
    return "n/a" if value is None else f"{100 * value:.{digits}f}"


def _bar(*columns: str) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn(column) for column in columns),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )


# --- fetch ---------------------------------------------------------------------------------------------------------


@contextmanager
def fetching(name: str) -> Iterator[Any]:
    """A bar of megabytes; yields the callback (bytes done, bytes in all)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as bar:
        task = bar.add_task(f"fetching {escape(name)}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def fetched(result: Any) -> None:
    """What was fetched, and where it lies."""
    for line in result.notes:
        note(line)
    say(f"{result.folder}: " + ", ".join(f"{count} {split}" for split, count in result.counts.items()))
    next_step(f"pointkit prepare {result.folder} -o STORE")


# --- prepare -------------------------------------------------------------------------------------------------------


@contextmanager
def preparing() -> Iterator[Any]:
    """Bars by class; yields the callback (files done, files in all, class -> (done, in all))."""
    with _bar() as bar:
        tasks: dict[str, TaskID] = {}

        def progress(done: int, total: int, classes: Mapping[str, tuple[int, int]]) -> None:
            for name, (read, there) in {**classes, "all": (done, total)}.items():
                if name not in tasks:
                    tasks[name] = bar.add_task(escape(name), total=there)
                bar.update(tasks[name], completed=read, total=there)

        yield progress


def prepared(result: Any) -> None:
    """Counts by class and split, what could not be read, and what to do next."""
    from pointkit.store import SPLITS

    store = result.store
    parts = [("parts",)] if store.parts else []
    table = Table("category" if parts else "class", *SPLITS, *(name for (name,) in parts))
    for name in store.classes:
        row = [sum(r.class_name == name and r.split == split for r in store.rows) for split in SPLITS]
        table.add_row(escape(name), *map(str, row), *(escape(_parts(store, name)) for _ in parts))
    table.add_row("all", *(str(len(store.select(split))) for split in SPLITS), style="bold")
    out.print(table)
    for line in result.warnings:
        note(f"warning: {line}")
    for file, reason in result.unread[:20]:
        note(f"not read: {file}: {reason}")
    if len(result.unread) > 20:
        note(f"... and {len(result.unread) - 20} more")
    if result.unread:
        note(f"{len(result.unread)} files could not be read: {store.path / 'unread.csv'}")
    if result.resumed:
        note(f"{result.resumed} files had been read by an earlier, interrupted call")
    say(f"{store.path}: {len(store.rows)} shapes" + (", prepared before; nothing to do" if result.already else ""))
    if len(store.select("train")):
        next_step(f"pointkit train {store.path} -o RUN")


def _parts(store: Any, category: str) -> str:
    """The parts of a category, with the colours that the set gives them."""
    names = store.parts[category]
    colors = store.manifest.get("colors", {}).get(category, ())
    said = [f"{name} ({color})" for name, color in zip(names, colors, strict=False)]
    return ", ".join([*said, *names[len(said) :]])


# --- train ---------------------------------------------------------------------------------------------------------


class TrainingBar:
    """A bar with loss, accuracy, rate and time left; a line an epoch. Implements ``train.Watcher``."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        self.bar = _bar("loss {task.fields[loss]}", "accuracy {task.fields[accuracy]}", "rate {task.fields[rate]}")
        self.task: TaskID | None = None
        self.steps = 0
        self.mentioned = 0.0

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Print what is trained on what."""
        settings, shapes = facts["settings"], facts["store"]["shapes"]
        say(f"settings ({self.reason}):")
        say("  " + ", ".join(f"{key}={value}" for key, value in settings.items() if value != ""))
        counts = ", ".join(f"{count} {split}" for split, count in shapes.items())
        parts = facts.get("parts", {})
        categories, ids = len(facts["classes"]), sum(map(len, parts.values()))
        say(f"shapes: {counts}; " + (f"categories: {categories}; parts: {ids}" if parts else f"classes: {categories}"))
        given, labels, weights = facts["batch"]
        named = given if isinstance(given, Mapping) else {"points": given}
        for name, array in {**named, "labels": labels, "weights": weights}.items():
            say(f"batch {name}: {array.shape} {array.dtype}")
        self.steps = facts["steps"]
        total = self.steps * facts["epochs"]
        say(f"steps per epoch: {self.steps}, total {total}")
        say(f"parameters: {facts['parameters']:,}; backend: {facts['backend']}")
        self.task = self.bar.add_task(
            "training", total=total, completed=self.steps * facts["done"], loss="", accuracy="", rate=""
        )

    def step(self, epoch: int, batch: int, logs: Mapping[str, float]) -> None:
        """Move the bar; where no terminal shows it, a line now and then."""
        assert self.task is not None
        self.bar.update(
            self.task,
            completed=(epoch - 1) * self.steps + batch,
            description=f"epoch {epoch}",
            loss=f"{logs['loss']:.3f}",
            accuracy=percent(logs["accuracy"]),
            rate=f"{logs['learning_rate']:.2g}",
        )
        now = time.monotonic()
        if not err.is_terminal and now - self.mentioned > 60:
            self.mentioned = now
            means = f"loss {logs['loss']:.3f}, accuracy {percent(logs['accuracy'])}"
            note(f"epoch {epoch}, step {batch} of {self.steps}: {means}")

    def epoch(self, row: Mapping[str, float], best: bool) -> None:
        """A line about the epoch."""
        self.bar.console.print(
            f"epoch {row['epoch']:.0f}: loss {row['loss']:.3f}, accuracy {percent(row['accuracy'])}, "
            f"val_loss {row['val_loss']:.3f}, val_accuracy {percent(row['val_accuracy'])}, "
            + (f"val_mIoU {percent(row['val_miou'])}, " if "val_miou" in row else "")
            + f"{row['seconds']:.0f} s"
            + (" (best so far)" if best else ""),
            markup=False,
        )

    def note(self, line: str) -> None:
        """Something that the user should know."""
        note(line)


@contextmanager
def training(path: Path, reason: str) -> Iterator[TrainingBar]:
    """The bar of a training; says how to go on after a stop."""
    watcher = TrainingBar(path, reason)
    try:
        with watcher.bar:
            yield watcher
    except Stopped as stop:
        note(f"{stop}; {path} is kept; the same command goes on from there")
        raise


def trained(outcome: Outcome) -> None:
    """How a training ended."""
    best = outcome.history[outcome.best_epoch - 1] if outcome.best_epoch else None
    kept = (
        f"kept epoch {outcome.best_epoch}, val_loss {best['val_loss']:.3f}"
        + (f", val_mIoU {percent(best['val_miou'])}" if "val_miou" in best else "")
        if best
        else "no epoch has a finite val_loss"
    )
    state = "was finished before; nothing to do (larger --epochs goes on)" if outcome.already else "finished"
    say(f"{outcome.path}: {state}; {len(outcome.history)} epochs, {kept}")
    next_step(f"pointkit evaluate {outcome.path}")


# --- evaluate ------------------------------------------------------------------------------------------------------


def report_table(report: Mapping[str, Any]) -> None:
    """The table of one run."""
    if report["task"] == "parts":
        _parts_table(report)
    else:
        _classes_table(report)
    for line in report["warnings"]:
        note(f"warning: {line}")


def _parts_table(report: Mapping[str, Any]) -> None:
    table = Table("category", "mIoU", "shapes", "IoU of each part")
    for row in report["categories"]:
        ious = ", ".join(f"{part['name']} {percent(part['iou'])}" for part in row["parts"])
        table.add_row(escape(row["name"]), percent(row["miou"]), str(row["shapes"]), escape(ious))
    out.print(table)
    say(
        f"{_miou(report)}: {report['num_shapes']} {report['split']} shapes on {report['points']['drawn']}, "
        f"weights of epoch {report['run']['best_epoch']} by {report['run']['selected_by']}"
    )
    if "draws" in report:
        d = report["draws"]
        means = (f"{name} {spread(d[key + '_mean'], d[key + '_sd'])} %" for key, name in MIOU.items())
        say(f"{d['k']} fresh draws of the points: {', '.join(means)}")
    if "votes" in report:
        say(f"with {report['votes']['k']} votes: {_miou(report['votes'])}")
    if "protocol" in report:
        p = report["protocol"]
        say(
            f"by {p['name']}'s terms: point accuracy {percent(p['point_accuracy'])} % of {p['shapes']} shapes, "
            f"{p['left_out']} left out"
        )


MIOU = {"instance_miou": "instance mIoU", "class_miou": "class mIoU", "point_accuracy": "point accuracy"}


def _miou(figures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {percent(figures[key])} %" for key, name in MIOU.items())


def _classes_table(report: Mapping[str, Any]) -> None:
    table = Table("class", "precision", "recall", "F1", "shapes")
    for row in report["classes"]:
        cells = [percent(row[key]) for key in ("precision", "recall", "f1")]
        table.add_row(escape(row["name"]), *cells, str(row["support"]))
    out.print(table)
    low, high = report["oa_interval"]
    say(
        f"OA {percent(report['oa'])} % (95 % interval {percent(low)} to {percent(high)}), "
        f"mAcc {percent(report['macc'])} %, ECE {percent(report['ece'])} %, loss {report['loss']:.3f}: "
        f"{report['num_shapes']} {report['split']} shapes, {report['points']['num_points']} points each, "
        f"weights of epoch {report['run']['best_epoch']} by {report['run']['selected_by']}"
    )
    if "draws" in report:
        d = report["draws"]
        oa, macc = spread(d["oa_mean"], d["oa_sd"]), spread(d["macc_mean"], d["macc_sd"])
        say(f"{d['k']} fresh draws of the points: OA {oa} %, mAcc {macc} %")
        if d["note"]:
            note(f"warning: {d['note']}")


def spread(mean: float, sd: float | None) -> str:
    """Mean ± standard deviation, in percent."""
    return percent(mean, 2) + (f" ± {percent(sd, 2)}" if sd is not None else "")


def evaluated(result: Mapping[str, Any], as_json: bool) -> None:
    """One run's table; of several runs a line each, mean ± sd of each group, and the differences."""
    groups: Mapping[str, Sequence[Mapping[str, Any]]] = result["groups"]
    reports = [report for group in groups.values() for report in group]
    if as_json:
        print_json(reports[0] if len(reports) == 1 else result)
        return
    if len(reports) == 1:
        report_table(reports[0])
        say(f"page: {result['page']}")
        next_step(f"pointkit predict {reports[0]['run']['path']} FILE...")
        return
    columns = MIOU if reports[0]["task"] == "parts" else {"oa": "OA", "macc": "mAcc", "ece": "ECE", "loss": "loss"}
    table = Table("run", *(name if key == "loss" else f"{name} %" for key, name in columns.items()))
    for name, group in groups.items():
        for report in group:
            cells = [f"{report[key]:.3f}" if key == "loss" else percent(report[key]) for key in columns]
            table.add_row(escape(report["run"]["path"]), *cells)
        figures = result["summary"]["groups"][name]
        cells = ["n/a" if not figures[key] else spread(*figures[key]) for key in columns if key != "loss"]
        if "loss" in columns:
            cells.append(f"{figures['loss'][0]:.3f}" if figures["loss"] else "n/a")
        table.add_row(f"{escape(name)}: mean ± sd of {len(group)}", *cells, style="bold")
        table.add_section()
    out.print(table)
    first, (lead, title) = next(iter(groups)), next(iter(columns.items()))
    for name, figures in result["summary"]["differences"].items():
        mean, error = figures[lead]
        within = f" ± {percent(error, 2)} (standard error)" if error is not None else ""
        say(f"{name} less {first}: {title} {100 * mean:+.2f}{within} points, on the same test inputs")
    for line in result["summary"]["warnings"]:
        note(f"warning: {line}")
    say(f"page: {result['page']}")


# --- predict -------------------------------------------------------------------------------------------------------


def predicted(predictor: Predictor, files: Sequence[Path], problems: Sequence[Exception], as_json: bool) -> int:
    """A line a file; problems on standard error as they come. The exit code: 2 where any file failed."""
    width = max(len(str(file)) for file in files)

    def shown(file: Path, answer: Any) -> None:
        if as_json:
            print_json(_class_facts(file, answer))
        else:
            say(f"{file!s:<{width}}  {_class_line(answer)}")

    return _answers(predictor, predictor.files(files), problems, as_json, shown)


def explained(
    predictor: Predictor, answers: Iterable[tuple[Path, Any]], problems: Sequence[Exception], as_json: bool
) -> int:
    """Two lines a file: the answer, and how many points decided it. The exit code: 2 where any file failed."""

    def shown(file: Path, answer: Any) -> None:
        if as_json:
            facts = {"output": str(answer.path), **_explanation_facts(answer.explanation)}
            print_json({**_class_facts(file, answer.prediction), **facts})
        else:
            say(f"{file}  {_class_line(answer.prediction)}")
            say(f"  {answer.path}: {_explanation_line(answer.explanation)}")

    return _answers(predictor, answers, problems, as_json, shown)


def _class_line(answer: Any) -> str:
    return f"{answer.class_name} {percent(answer.probability)} %, then {answer.runner_up}"


def _class_facts(file: Path, answer: Any) -> dict[str, Any]:
    return {
        "file": str(file),
        "class": answer.class_name,
        "probability": round(answer.probability, 6),
        "runner_up": answer.runner_up,
        "warnings": list(answer.warnings),
    }


def _explanation_line(explanation: Any) -> str:
    decided, turned, total = explanation.decided, explanation.turned, explanation.others
    total += decided + turned
    return f"{decided:,} of {total:,} points decided, {turned:,} more turned the cloud; {explanation.picture}"


def _explanation_facts(explanation: Any) -> dict[str, Any]:
    counts = {name: getattr(explanation, name) for name in ("decided", "turned", "others")}
    return {"picture": str(explanation.picture), "critical": counts}


def labelled(
    predictor: Predictor, answers: Iterable[tuple[Path, Any]], problems: Sequence[Exception], as_json: bool
) -> int:
    """A line a labelled file: where it is, and how much of it each part is. The exit code: 2 where any file failed."""

    def shown(file: Path, answer: Any) -> None:
        total = sum(answer.counts.values())
        if as_json:
            print_json(
                {
                    "file": str(file),
                    "output": str(answer.path),
                    "category": answer.category,
                    "parts": answer.counts,
                    "probability": round(answer.probability, 6),
                    "warnings": list(answer.warnings),
                    **(_explanation_facts(answer.explanation) if answer.explanation else {}),
                }
            )
        else:
            shares = ", ".join(f"{name} {percent(count / total)} %" for name, count in answer.counts.items() if count)
            say(f"{answer.path}: {answer.category}: {shares}; mean probability {percent(answer.probability)} %")
            if answer.explanation:
                say(f"  {_explanation_line(answer.explanation)}")

    return _answers(predictor, answers, problems, as_json, shown)


def _answers(
    predictor: Predictor,
    answers: Iterable[tuple[Path, Any]],
    problems: Sequence[Exception],
    as_json: bool,
    shown: Callable[[Path, Any], None],
) -> int:
    unanswered(problems)
    for line in predictor.notes:
        note(f"warning: {line}")
    failed, total = len(problems), len(problems)
    for file, answer in answers:
        total += 1
        if isinstance(answer, Exception):
            failed += 1
            note(f"pointkit: {_line(answer)}")
            continue
        shown(file, answer)
        for line in answer.warnings if not as_json else ():
            note(f"warning: {file}: {line}")
    if failed:
        note(f"{failed} of {total} could not be answered")
    return 2 if failed else 0


def unanswered(problems: Sequence[Exception]) -> int:
    """What is wrong with files, a line each. The exit code."""
    for problem in problems:
        note(f"pointkit: {_line(problem)}")
    return 2


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


# --- view and info -------------------------------------------------------------------------------------------------


def viewed(path: Path) -> None:
    """Where the picture is."""
    say(str(path))


def facts(about: Mapping[str, Any], as_json: bool) -> None:
    """Facts as JSON, or as lines; nested ones are indented."""
    if as_json:
        print_json(about)
    else:
        _lines(about, "")


def _lines(about: Mapping[str, Any], indent: str) -> None:
    for key, value in about.items():
        if isinstance(value, Mapping):
            say(f"{indent}{key}:")
            _lines(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            say(f"{indent}{key}:")
            for entry in value:
                _lines(entry, indent + "  ")
        elif isinstance(value, (list, tuple)):
            say(f"{indent}{key}: {', '.join(map(str, value))}")
        else:
            say(f"{indent}{key}: {value}")


def layer_table(about: Mapping[str, Any], as_json: bool) -> None:
    """The layers of a network: name, type, shape, parameters, inputs, and the totals."""
    if as_json:
        print_json(about)
        return
    table = Table("name", "type", "shape", "parameters", "inputs")
    for layer in about["layers"]:
        shape = "(" + ", ".join("None" if n is None else str(n) for n in layer["shape"]) + ")"
        table.add_row(layer["name"], layer["type"], shape, f"{layer['parameters']:,}", ", ".join(layer["inputs"]))
    out.print(table)
    frozen = about["parameters"] - about["trainable_parameters"]
    say(f"parameters: {about['parameters']:,} ({about['trainable_parameters']:,} trainable, {frozen:,} not)")


# --- demo ----------------------------------------------------------------------------------------------------------


def command(arguments: Sequence[str]) -> None:
    """A command of the demo, as one would type it; of many files, the first."""
    many = arguments[0] == "predict" and len(arguments) > 6
    options = list(itertools.dropwhile(lambda word: not word.startswith("-"), arguments))
    shown = [*arguments[:4], "...", *options] if many else arguments
    say(f"\n$ pointkit {' '.join(shown)}")


def demo_done(folder: Path) -> None:
    """Where the demo's pages are, and how to do the same with one's own files."""
    say(f"\nThe report on classes: {folder / 'run' / 'report.html'}")
    say(f"The report on parts: {folder / 'parts_run' / 'report.html'}")
    say("The same with your own files, one folder a class (--task parts where the files name the parts):")
    say("  pointkit prepare MY_FOLDER -o STORE")
    say("  pointkit train STORE -o RUN")
    say("  pointkit evaluate RUN")
    say("  pointkit predict RUN FILE...")
