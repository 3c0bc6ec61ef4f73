"""Reading all files of a set: in chunks, on any executor, going on where an earlier try stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, as_completed

import pointkit
from pointkit.cloud import Sample
from pointkit.datasets.folder import Found
from pointkit.prepare import chunks
from pointkit.prepare.chunks import Outcome, Rule, Source
from pointkit.prepare.pool import Pool, WorkerDied

DEADLINE = 300.0  # seconds for a chunk, then again for each of its files: a slow network disk is no hang

Progress = Callable[[int, int, Mapping[str, tuple[int, int]]], None]


class Reading:
    """The chunks of a set: which are there already, and the reading of the others."""

    def __init__(self, found: Found, rule: Rule, work: pathlib.Path) -> None:
        self.found, self.rule = found, rule
        self.sources = [Source(file.file, file.size, file.mtime_ns, file.labels) for file in found.files]
        self.parts = chunks.divide(self.sources)
        whole = [pointkit.__version__, str(found.root.resolve()), rule, self.sources]
        key = hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]
        self.paths = [work / f"{key}-{i:06}.chunk" for i in range(len(self.parts))]
        for stale in set(work.iterdir()) - {*self.paths, work / "pid"}:
            stale.unlink()
        self.totals = Counter(file.class_name for file in found.files)
        self.done: Counter[str] = Counter()
        self.outcomes: dict[int, list[Outcome]] = {}
        self.resumed = 0

    def run(self, workers: int, executor: Executor | None, progress: Progress | None) -> list[Outcome]:
        """Read what is not there yet; the outcomes in the order of the files."""
        for i, (part, path) in enumerate(zip(self.parts, self.paths, strict=True)):
            kept = chunks.check(path, part.stop - part.start)
            if kept is not None:
                self._finish(i, kept, None)
        self.resumed = self.done.total()
        todo = [i for i in range(len(self.parts)) if i not in self.outcomes]
        self._tell(progress)
        if todo:
            with contextlib.ExitStack() as stack:
                own = executor or stack.enter_context(Pool(min(workers, len(todo)), DEADLINE, _memory_limit()))
                futures = {own.submit(chunks.read, *self._job(self.parts[i], self.paths[i])): i for i in todo}
                stack.callback(lambda: [future.cancel() for future in futures])
                for future in as_completed(futures):
                    i = futures[future]
                    error = future.exception()
                    if isinstance(error, OSError):  # its chunk file could not be written
                        raise error
                    self._finish(i, self._one_by_one(i) if error else future.result(), progress)
        return [outcome for i in range(len(self.parts)) for outcome in self.outcomes[i]]

    def _job(self, part: slice, target: pathlib.Path) -> tuple[str, list[Source], Rule, str]:
        return str(self.found.root.absolute()), self.sources[part], self.rule, str(target)

    def _one_by_one(self, i: int) -> list[Outcome]:
        """Read a chunk whose process died or hung again, a file at a time, so that only the guilty one is listed."""
        outcomes: list[Outcome] = []
        samples = []
        piece = self.paths[i].with_suffix(".piece")
        with Pool(1, DEADLINE, _memory_limit()) as pool:
            for place in range(self.parts[i].start, self.parts[i].stop):
                try:
                    pool.submit(chunks.read, *self._job(slice(place, place + 1), piece)).result()
                    [outcome], [sample] = chunks.load(piece)
                except WorkerDied as error:
                    outcome, sample = chunks.unread(str(error)), Sample.nothing()
                outcomes.append(outcome)
                samples.append(sample)
        chunks.save(self.paths[i], outcomes, samples)
        piece.unlink(missing_ok=True)
        return outcomes

    def _finish(self, i: int, outcomes: list[Outcome], progress: Progress | None) -> None:
        self.outcomes[i] = outcomes
        self.done.update(file.class_name for file in self.found.files[self.parts[i]])
        self._tell(progress)

    def _tell(self, progress: Progress | None) -> None:
        if progress:
            classes = {name: (self.done[name], self.totals[name]) for name in self.found.classes}
            progress(self.done.total(), self.totals.total(), classes)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_limit() -> int:
    """Bytes of address space for a process that reads: three quarters of the memory, however many they are."""
    return max(2 << 30, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 * 3)
