"""Files in, answers out: a run's answer for each file, and the files that are written with it.

A run of classes gives a class. A run of parts writes a labelled file: the source's own records, with the part of every
point or face added. An explained file has the fields of ``explain``, and a picture beside it. For a mesh whose class is
explained, the file holds the points that were drawn from it, as PLY.

Nothing that stands is replaced, unless the user says so. An answer of the same run to the same bytes is left as it is.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pointkit import checks, disk, explain, formats, label, outputs, predictions, upright
from pointkit.asking import Answer, PartsPrediction, codes_of
from pointkit.cloud import Array, Mesh, PointCloud
from pointkit.datasets import lists, tree
from pointkit.errors import FormatError, MachineError, PointkitError, RunError
from pointkit.explain import Explanation, Influences
from pointkit.machine import lean_keras
from pointkit.reader import Reader
from pointkit.watching import Waiting

if TYPE_CHECKING:
    from pointkit.predict import Answered, Predictor

MORE = "; close other programs, or use a machine with more"
REPLACES = "--force replaces it"


@dataclass(frozen=True)
class Result:
    """A file's answer. ``written`` is the file that holds it. ``explanation``, if asked for, says what decided.

    The answer is None for a file that was answered before and has not changed since.
    """

    answer: Answer | None
    written: pathlib.Path | None = None
    explanation: Explanation | Influences | None = None


@dataclass
class Found:
    """The files to answer, and what else lay in the folders.

    ``below``: file -> its place below the folder to write into. ``problems`` are folders without a file to read.
    ``ours`` counts answers of ours that are passed over, ``lists`` those of a split, as ``prepare`` passes over them,
    ``ignored`` the suffixes that nothing here reads.
    """

    files: list[pathlib.Path] = field(default_factory=list)
    below: dict[pathlib.Path, pathlib.PurePath] = field(default_factory=dict)
    problems: list[Exception] = field(default_factory=list)
    ours: int = 0
    lists: int = 0
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def notes(self) -> list[str]:
        """What the user should know about the folders."""
        notes = []
        if self.ours:
            notes.append(f"passed over {self.ours:,} files that hold pointkit's own answers")
        if self.lists:
            notes.append(f"passed over {self.lists:,} lists of names (train, test ...)")
        if self.ignored:
            counts = (f"{count:,} {disk.shown(suffix) or 'without suffix'}" for suffix, count in self.ignored.items())
            notes.append(f"left out files whose suffix is not read: {', '.join(sorted(counts))}")
        return notes


class Listener(Protocol):
    """An object that is told what happens. The command line's prints it."""

    def begin(self, files: Sequence[pathlib.Path], notes: Sequence[str]) -> None:
        """Called before the first answer, with all files and notes about the run and the folders."""

    def problem(self, error: Exception) -> None:
        """Called where a file or folder cannot be answered."""

    def result(self, file: pathlib.Path, result: Result) -> None:
        """Called with a file's answer."""

    def end(self, problems: Sequence[Exception], skipped: int, total: int) -> None:
        """Called after the last answer: ``problems`` and ``skipped`` of ``total`` files were not answered."""


def answer_all(
    run: str | os.PathLike[str] | Predictor,
    paths: Sequence[str | os.PathLike[str]],
    listener: Listener,
    *,
    category: str | None = None,
    output: str | os.PathLike[str] | None = None,
    explained: bool = False,
    force: bool = False,
    extra_bytes: bool = False,
    meaning: formats.columns.Meaning | None = None,
    up: str | None = None,
    deadline: float | None = None,
    top_k: int | None = None,
    waiting: Waiting | None = None,
) -> bool:
    """Answer files by a run, search folders for them, and tell the listener. Returns whether all could be answered.

    ``output`` is the folder to write into; it also gets a table of all answers (``predictions.NAME``). ``force``
    replaces what stands there. With ``extra_bytes`` the copies of LAS and LAZ files also get the probability, which
    makes their records longer. ``meaning`` is the user's word about columns, instead of the run's, and ``up`` that
    about the axis that points up. Several files are read in another process (``Reader``), within ``deadline`` seconds
    each. ``top_k``: so many classes of each shape go into the table. ``waiting`` is told of what takes long.

    Raises PointkitError for a faulty run, and for what it cannot answer at all.
    """
    if not paths:
        raise PointkitError("predict needs a file or folder, got none")
    found = find_files(paths)
    output = None if output is None else pathlib.Path(output)
    if found.files:
        checks.to_predict(pathlib.Path(run), category=category, output=output, top_k=top_k)
    predictor = _predictor(run, waiting, up) if any(map(_is_there, found.files)) else None
    copies = _about_copies(found.files) if predictor and predictor.task.labels_points else ()
    listener.begin(found.files, [*(predictor.notes if predictor else ()), *found.notes, *copies])
    problems = [*found.problems, *([] if predictor else map(_missing, found.files))]
    for problem in problems:
        listener.problem(problem)
    skipped, total = 0, len(problems)
    rows = predictions.Rows(top_k)
    with contextlib.ExitStack() as stack:
        how: dict[str, Any] = {"category": category, "output": output, "explained": explained, "force": force}
        how["extra_bytes"] = extra_bytes
        if predictor is not None:
            if len(found.files) > 1:
                how["reader"] = stack.enter_context(Reader(deadline))
            answers = results(predictor, found.files, below=found.below, meaning=meaning, **how)
            if output is not None:
                stack.enter_context(predictions.kept(output, rows))
            for file, result in answers:
                total += 1
                rows.add(file, result)
                if isinstance(result, Exception):
                    problems.append(result)
                    listener.problem(result)
                    continue
                skipped += result.answer is None
                listener.result(file, result)
    listener.end(problems, skipped, total)
    return not problems


def _predictor(run: str | os.PathLike[str] | Predictor, waiting: Waiting | None, up: str | None) -> Predictor:
    """The run's network. Keras is imported here, as it takes seconds: after all that can be refused without it."""
    lean_keras()
    from pointkit.predict import Predictor

    if isinstance(run, Predictor):
        return run
    return Predictor(run, waiting, up=up)


def _about_copies(files: Iterable[pathlib.Path]) -> list[str]:
    """What the user should know of the files' copies, with how many files it is about."""
    words: Counter[str] = Counter()
    for file in files:
        with contextlib.suppress(OSError, PointkitError):  # told when the file is read
            words[formats.about_copy(file)] += 1
    return [f"{count:,} {'file' if count == 1 else 'files'}: {text}" for text, count in words.items() if text]


def _is_there(file: pathlib.Path) -> bool:
    return os.path.exists(formats.within(file)[0])


def _missing(file: pathlib.Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))


def results(
    predictor: Predictor,
    files: Sequence[str | os.PathLike[str]],
    *,
    category: str | None = None,
    output: str | os.PathLike[str] | None = None,
    explained: bool = False,
    force: bool = False,
    extra_bytes: bool = False,
    below: Mapping[pathlib.Path, pathlib.PurePath] | None = None,
    meaning: formats.columns.Meaning | None = None,
    reader: Reader | None = None,
) -> Iterator[tuple[pathlib.Path, Result | Exception]]:
    """Each file with its answer, or with why there is none, in order. Files are written beside it, or into ``output``.

    Raises PointkitError for what the run cannot be asked (``Predictor.check``), and where two files would be written to
    one place.
    """
    every = [pathlib.Path(file) for file in files]
    output = None if output is None else pathlib.Path(output)
    ending = outputs.LABELLED if predictor.task.labels_points else outputs.EXPLAINED
    writes = predictor.task.labels_points or explained
    predictor.check(category)
    targets = outputs.places(every, output, ending, below) if writes else {}
    if output is not None:
        disk.make(output, RunError)
    said = predictor.contract.meaning if meaning is None else meaning
    job = _Job(predictor, targets, category, explained, force, extra_bytes, said, reader or Reader.here())
    return job.results(every)


@dataclass
class _Job:
    """How files are answered: ``targets`` has the file to write for each."""

    predictor: Predictor
    targets: Mapping[pathlib.Path, pathlib.Path]
    category: str | None
    explained: bool
    force: bool
    extra_bytes: bool
    meaning: formats.columns.Meaning
    reader: Reader

    def results(self, files: Sequence[pathlib.Path]) -> Iterator[tuple[pathlib.Path, Result | Exception]]:
        """The results of files in their order; those that need no answer wait for those that do."""
        before = {file: self._before(file) for file in dict.fromkeys(files)}
        asked = [file for file in files if before[file] is None]
        read = self.reader.reading(self.meaning)
        answered = self.predictor.answered(asked, self.category, mark=self.explained, read=read)
        for file in files:
            known = before[file]
            yield (file, known) if known is not None else (file, self._result(*next(answered)))

    def _before(self, file: pathlib.Path) -> Result | Exception | None:
        """What is known of a file without the network: answered before, or not to be answered; else None."""
        if (refused := self._refused(file)) is not None or self.force:
            return refused
        if outputs.is_ours(file.name) or outputs.marked(file):
            return PointkitError(f"{file}: holds pointkit's own answers; --force answers it all the same")
        target = self.targets.get(file)
        if target is None or not target.exists():
            return None
        try:
            if target.is_file() and outputs.marked(target) == self._mark(file):
                return Result(None, target)
        except (OSError, PointkitError) as error:
            return error
        return None if target.is_file() and not formats.takes_notes(target) else _stands(target)

    def _refused(self, file: pathlib.Path) -> PointkitError | None:
        """Why the copy of a file has no room for the labels, which is better said before the work."""
        if not self.predictor.task.labels_points:
            return None
        try:
            codes = codes_of(self.predictor, self.predictor.asker.category(self.category, file))
            return label.refusal(file, list(codes.values()), self.extra_bytes)
        except (OSError, PointkitError):
            return None  # told when the file is read

    def _mark(self, file: pathlib.Path) -> str:
        what = "labels" if self.predictor.task.labels_points else "points"
        category = self.predictor.asker.category(self.category, file)
        words = f"{what}{f' of {category}' if category else ''}"
        if self.explained:
            words += " and what decided" if self.predictor.names_points else " and influence"
        if (up := self.predictor.contract.up) != self.predictor.facts["input"].get("up", upright.UP):
            words += f" with {up} up"
        return outputs.mark(file, self.predictor.weights, words)

    def _result(self, path: pathlib.Path, answered: Answered | Exception) -> Result | Exception:
        if isinstance(answered, Exception):
            return answered
        if path not in self.targets:
            return Result(answered.answer)
        try:
            return self._written(path, self.targets[path], answered)
        except MemoryError:
            return MachineError(f"{path}: out of memory while its answer is written{MORE}")
        except (OSError, PointkitError) as error:
            return error

    def _written(self, path: pathlib.Path, target: pathlib.Path, answered: Answered) -> Result:
        seen, answer = answered.seen, answered.answer
        if formats.stamps(path) != seen.stamps:  # the answer may be of other points than those that stand there now
            raise PointkitError(f"{path}: changed while it was answered; give the same command again")
        target.parent.mkdir(parents=True, exist_ok=True)
        ours: dict[str, Array] = {}
        notes: list[str] = []
        if isinstance(answer, PartsPrediction):
            ours |= label.for_copy(path, answer, self.extra_bytes)
            notes += label.notes(answer)
        explanation = None
        if answered.marks is not None:
            notes += explain.notes(answered.marks)
            stem = target.stem.removesuffix(outputs.LABELLED).removesuffix(outputs.EXPLAINED)
            picture = target.with_name(f"{stem}{outputs.EXPLAINED}.png")
            if picture.exists() and not (self.force or target.exists()):
                raise _stands(picture)
            heading = f"{disk.shown(path.name)}: {answer.named}"
            explanation = explain.draw(picture, seen.query.points, answered.marks, heading)
            ours |= explain.fields(seen, answered.marks)
        notes.append(self._mark(path))
        stands = target.exists() and not self.force
        place = disk.beside(target, "again").with_suffix(target.suffix) if stands else target
        try:
            if isinstance(seen.shape, Mesh) and not isinstance(answer, PartsPrediction):
                assert answered.marks is not None
                cloud = PointCloud(seen.drawn.points, dict(answered.marks), placement=seen.shape.placement)
                formats.write(place, cloud, notes=notes)
            else:
                formats.annotate(path, place, ours, notes, meaning=self.meaning)
            if stands and not filecmp.cmp(place, target, shallow=False):  # a format without room for the mark
                raise _stands(target)
        finally:
            if stands:
                place.unlink(missing_ok=True)
        return Result(answer, target, explanation)


def _stands(target: pathlib.Path) -> PointkitError:
    return PointkitError(f"{target}: exists already, and is not this answer; {REPLACES}")


def find_files(paths: Iterable[str | os.PathLike[str]]) -> Found:
    """The files in ``paths``. Folders are searched for suffixes that can be read; answers of ours are passed over."""
    given = [pathlib.Path(path) for path in paths]
    folders = [path for path in given if path.is_dir()]
    found = Found()
    for path in given:
        if path not in folders:
            found.files += _each(path)
            continue
        seen = tree.walk(path, formats.SUFFIXES)
        marked = [parts for parts in seen.files if outputs.marked(path.joinpath(*parts))]
        listing = seen.files.keys() & lists.candidates(path, seen).keys()
        ours = len(seen.answers) + len(marked)
        found.ours += ours
        found.lists += len(listing)
        found.ignored += seen.ignored
        files = sorted(seen.files.keys() - {*marked, *listing})
        if not files:
            notes = Found(ours=ours, lists=len(listing), ignored=seen.ignored).notes
            others = f"; {'; '.join(notes)}" if notes else ""
            suffixes = ", ".join(formats.SUFFIXES)
            error = FormatError(f"{path}: no file that can be read in this folder; suffixes are {suffixes}{others}")
            found.problems.append(error)
        for parts in files:
            for file in _each(path.joinpath(*parts)):
                found.files.append(file)
                above = (path.resolve().name,) if len(folders) > 1 else ()
                found.below[file] = pathlib.PurePath(*above, file.relative_to(path))
    return found


def _each(path: pathlib.Path) -> list[pathlib.Path]:
    """The shapes of a file that holds many, each under its number (``formats.within``); of any other file itself."""
    try:
        stack = formats.stack(path) if path.suffix.lower() in formats.STACKS else None
    except (OSError, PointkitError):  # the reader will say it
        stack = None
    return [path] if stack is None else [path / str(number) for number in range(stack.count)]
