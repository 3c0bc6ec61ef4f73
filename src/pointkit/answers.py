"""Files in, answers out: a run's answer for each file, and the files that are written with it.

A run of classes gives a class. A run of parts writes a labelled file: the source's own records, with the part of every
point or face added. An explained file has the field ``critical``, and a picture beside it. For a mesh whose class is
explained, the file holds the points that were drawn from it, as PLY.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pointkit import disk, explain, formats, label, outputs
from pointkit.asking import Answer, PartsPrediction
from pointkit.cloud import Array, Mesh, PointCloud
from pointkit.datasets.folder import is_about
from pointkit.errors import FormatError, MachineError, PointkitError, RunError
from pointkit.explain import Explanation
from pointkit.predict import Answered, Predictor

MORE = "; close other programs, or use a machine with more"


@dataclass(frozen=True)
class Result:
    """A file's answer. ``written`` is the file that holds it. ``explanation``, if asked for, says what decided."""

    answer: Answer
    written: pathlib.Path | None = None
    explanation: Explanation | None = None


class Listener(Protocol):
    """An object that is told what happens. The command line's prints it."""

    def begin(self, files: Sequence[pathlib.Path], notes: Sequence[str]) -> None:
        """Called before the first answer, with all files and notes about the run."""

    def problem(self, error: Exception) -> None:
        """Called where a file or folder cannot be answered."""

    def result(self, file: pathlib.Path, result: Result) -> None:
        """Called with a file's answer."""

    def end(self, failed: int, total: int) -> None:
        """Called after the last answer: ``failed`` of ``total`` files could not be answered."""


def answer_all(
    run: pathlib.Path,
    paths: Sequence[pathlib.Path],
    listener: Listener,
    *,
    category: str | None = None,
    output: pathlib.Path | None = None,
    explained: bool = False,
) -> bool:
    """Answer files by a run, search folders for them, and tell the listener. Returns whether all could be answered.

    Raises PointkitError for a faulty run, and for what it cannot answer at all.
    """
    if not paths:
        raise PointkitError("predict needs a file or folder, got none")
    files, problems = find_files(paths)
    predictor = Predictor(run) if files else None
    how: dict[str, Any] = {"category": category, "output": output, "explained": explained}
    answers = results(predictor, files, **how) if predictor else iter(())
    listener.begin(files, predictor.notes if predictor else ())
    for problem in problems:
        listener.problem(problem)
    failed = total = len(problems)
    for file, result in answers:
        total += 1
        if isinstance(result, Exception):
            failed += 1
            listener.problem(result)
        else:
            listener.result(file, result)
    listener.end(failed, total)
    return not failed


def results(
    predictor: Predictor,
    files: Sequence[pathlib.Path],
    *,
    category: str | None = None,
    output: pathlib.Path | None = None,
    explained: bool = False,
) -> Iterator[tuple[pathlib.Path, Result | Exception]]:
    """Each file with its answer, or with why there is none, in order. Files are written beside it, or into ``output``.

    Raises PointkitError for what the run cannot be asked (``Predictor.check``), where nothing is written into
    ``output``, and where two files would be written to one place.
    """
    mark = outputs.LABELLED if predictor.task.labels_points else outputs.EXPLAINED
    writes = predictor.task.labels_points or explained
    if output is not None and not writes:
        raise PointkitError(f"--output is for parts and --explain, {predictor.path} tells classes apart")
    predictor.check(category, mark=explained)
    targets = outputs.places(files, output, mark) if writes else {}
    if output is not None:
        disk.make(output, RunError)
    return _results(predictor, files, category, targets, explained)


def _results(
    predictor: Predictor,
    files: Iterable[pathlib.Path],
    category: str | None,
    targets: dict[pathlib.Path, pathlib.Path],
    explained: bool,
) -> Iterator[tuple[pathlib.Path, Result | Exception]]:
    for path, answered in predictor.answered(files, category, mark=explained):
        if isinstance(answered, Exception):
            yield path, answered
        elif path not in targets:
            yield path, Result(answered.answer)
        else:
            try:
                yield path, _written(path, targets[path], answered)
            except MemoryError:
                yield path, MachineError(f"{path}: out of memory while its answer is written{MORE}")
            except (OSError, PointkitError) as error:
                yield path, error


def _written(path: pathlib.Path, target: pathlib.Path, answered: Answered) -> Result:
    seen, answer = answered.seen, answered.answer
    if disk.stamp(path) != seen.stamp:  # the answer may be of other points than those that stand there now
        raise PointkitError(f"{path}: changed while it was answered; give the same command again")
    ours: dict[str, Array] = {}
    notes: list[str] = []
    if isinstance(answer, PartsPrediction):
        ours |= label.fields(answer)
        notes += label.notes(answer)
    explanation = None
    if answered.marks is not None:
        notes += explain.NOTES
        picture = target.with_name(f"{path.stem}{outputs.EXPLAINED}.png")
        explanation = explain.draw(picture, seen.query.points, answered.marks)
        ours |= explain.fields(seen, answered.marks)
    if isinstance(seen.shape, Mesh) and not isinstance(answer, PartsPrediction):
        assert answered.marks is not None
        cloud = PointCloud(seen.drawn.points, {explain.FIELD: answered.marks}, placement=seen.shape.placement)
        formats.write(target, cloud, notes=notes)
    else:
        formats.annotate(path, target, ours, notes)
    return Result(answer, target, explanation)


def find_files(paths: Iterable[pathlib.Path]) -> tuple[list[pathlib.Path], list[Exception]]:
    """The files in ``paths``, and what is wrong with others. Folders are searched for suffixes that can be read."""
    found: list[pathlib.Path] = []
    problems: list[Exception] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        readable = (p for p in path.rglob("*") if p.suffix.lower() in formats.SUFFIXES and not is_about(p.name))
        readable = (p for p in readable if not p.stem.endswith((outputs.LABELLED, outputs.EXPLAINED)))
        inside = sorted(p for p in readable if p.is_file())
        if not inside:
            problems.append(
                FormatError(
                    f"{path}: no file that can be read in this folder; suffixes are {', '.join(formats.SUFFIXES)}"
                )
            )
        found += inside
    return found, problems
