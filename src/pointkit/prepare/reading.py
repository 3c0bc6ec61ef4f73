"""Reading all files of a set in chunks, on any executor. It goes on where an earlier try stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, as_completed

import pointkit
from pointkit import machine
from pointkit.cloud import Sample
from pointkit.datasets.folder import Found
from pointkit.pool import Pool, WorkerDied
from pointkit.prepare import chunks
from pointkit.prepare.chunks import ReadResult, Rule, Source

DEADLINE = 300.0  # seconds for a chunk, then again for each of its files: a slow network disk is no hang

Progress = Callable[[int, int, Mapping[str, tuple[int, int]]], None]


def sources(found: Found) -> list[Source]:
    """The files of a folder as they are to be read."""
    return [Source(file.file, file.stamps, file.labels, file.pieces) for file in found.files]


class Reading:
    """The chunks of a set: those that are there already, and the reading of the others."""

    def __init__(self, found: Found, rule: Rule, work: pathlib.Path) -> None:
        self.found, self.rule = found, rule
        self.sources = sources(found)
        self.slices = chunks.divide(self.sources)
        kept = rule._replace(meaning=rule.meaning.facts())  # type: ignore[arg-type] # as JSON has it
        whole = [pointkit.__version__, str(found.root.resolve()), kept, self.sources]
        key = hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]
        self.paths = [work / f"{key}-{i:06}.chunk" for i in range(len(self.slices))]
        for stale in set(work.iterdir()) - {*self.paths}:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        self.totals = Counter(file.class_name for file in found.files)
        self.done: Counter[str] = Counter()
        self.results: dict[int, list[ReadResult]] = {}
        self.resumed = 0

    def run(self, workers: int, executor: Executor | None, progress: Progress | None) -> list[ReadResult]:
        """Read what is not there yet. Gives the results in the order of the files."""
        for i, (some, path) in enumerate(zip(self.slices, self.paths, strict=True)):
            kept = chunks.check(path, some.stop - some.start)
            if kept is not None:
                self._finish(i, kept, None)
        self.resumed = self.done.total()
        todo = [i for i in range(len(self.slices)) if i not in self.results]
        self._tell(progress)
        if todo:
            with contextlib.ExitStack() as stack:
                own = executor or stack.enter_context(Pool(min(workers, len(todo)), DEADLINE, machine.memory_limit()))
                futures = {own.submit(chunks.read, *self._job(self.slices[i], self.paths[i])): i for i in todo}
                stack.callback(lambda: [future.cancel() for future in futures])
                for future in as_completed(futures):
                    i = futures[future]
                    error = future.exception()
                    if isinstance(error, OSError):  # its chunk file could not be written
                        raise error
                    self._finish(i, self._one_by_one(i) if error else future.result(), progress)
        return [result for i in range(len(self.slices)) for result in self.results[i]]

    def _job(self, some: slice, target: pathlib.Path) -> tuple[str, list[Source], Rule, str]:
        return str(self.found.root.absolute()), self.sources[some], self.rule, str(target)

    def _one_by_one(self, i: int) -> list[ReadResult]:
        """Read a chunk again whose process died or hung, a file at a time, so that only the faulty file is listed."""
        results: list[ReadResult] = []
        samples = []
        piece = self.paths[i].with_suffix(".piece")
        with Pool(1, DEADLINE, machine.memory_limit()) as pool:
            for number in range(self.slices[i].start, self.slices[i].stop):
                try:
                    pool.submit(chunks.read, *self._job(slice(number, number + 1), piece)).result()
                    [result], [sample] = chunks.load(piece)
                except WorkerDied as error:
                    result, sample = chunks.unread(str(error)), Sample.nothing()
                results.append(result)
                samples.append(sample)
        chunks.save(self.paths[i], results, samples)
        piece.unlink(missing_ok=True)
        return results

    def _finish(self, i: int, results: list[ReadResult], progress: Progress | None) -> None:
        self.results[i] = results
        self.done.update(file.class_name for file in self.found.files[self.slices[i]])
        self._tell(progress)

    def _tell(self, progress: Progress | None) -> None:
        if progress:
            classes = {name: (self.done[name], self.totals[name]) for name in self.found.classes}
            progress(self.done.total(), self.totals.total(), classes)
