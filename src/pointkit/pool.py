"""Processes for work that may crash, hang or exhaust memory: only the job that does so fails.

``concurrent.futures.ProcessPoolExecutor`` gives up all jobs when one of its processes dies, cannot end a job that
hangs, and has every process import the caller's main script again. Here a thread serves each process. A death or a
deadline fails that job alone, and the next one gets a fresh process. A process starts in the time that its imports
take. The pool is an ``Executor``, so any other one can take its place.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import TracebackType
from typing import IO, Any, TypeVar

from pointkit.served import FAILED, MORE, is_apart, within

T = TypeVar("T")
Job = tuple[Callable[..., Any], tuple[Any, ...]]


# Jobs come by the standard input and answers go by the standard output, as every system has these. A job itself reads
# nothing from there, and what it prints is dropped.
_CHILD = (
    "import os, pickle, sys; jobs, answers = os.fdopen(os.dup(0), 'rb'), os.fdopen(os.dup(1), 'wb'); "
    "nowhere = os.open(os.devnull, os.O_RDWR); os.dup2(nowhere, 0); os.dup2(nowhere, 1); "
    "sys.path[:] = pickle.loads(pickle.load(jobs)); from pointkit.served import serve; serve(jobs, answers)"
)

_ENVIRONMENT = {
    # Reading needs no linear algebra: the threads of a BLAS would only cost time at the start.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # By default glibc returns large arrays to the system and takes them anew: a fifth of the time of reading.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}


class WorkerDied(RuntimeError):
    """The process that ran a job died, or was ended at the deadline. The message says how."""


class _Worker:
    """A process that runs one job after another."""

    def __init__(self, memory: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a library that complains must not write into the caller's output
            # The caller handles Ctrl-C. Each system ignores the other's setting.
            process_group=0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self._process.stdin
        assert self._process.stdout
        self._jobs, self._answers = self._process.stdin, self._process.stdout
        self.give([entry for entry in sys.path if entry])
        self.give(memory)

    def give(self, thing: object) -> None:
        """Hand a job over, or at the start what the process must know."""
        data = pickle.dumps(thing)
        with contextlib.suppress(OSError):  # the process is dead, as the missing answer will show
            pickle.dump(data, self._jobs)  # pickled twice: the other end can read it whole before it loads it
            self._jobs.flush()

    def call(self, job: Job, deadline: float) -> Any:
        """The answer to a job."""
        self.give(job)
        return self.answer(deadline)[1]

    def answer(self, deadline: float) -> tuple[bool, Any]:
        """The next answer to the job at work, and whether more may come: a generator's pieces, after them None."""
        late = threading.Event()

        def too_late() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(deadline, too_late)
        timer.start()
        try:
            answer = _taken(self._answers)
        except (EOFError, pickle.UnpicklingError):  # it ended, perhaps in the middle of an answer
            answer = None
        finally:
            timer.cancel()
            timer.join()
        if late.is_set():
            raise WorkerDied(f"no answer within {deadline:g} seconds")
        if answer is None:
            code = self._process.wait()
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise WorkerDied(f"the process that read it died ({how})")
        kind, value = pickle.loads(answer[0], buffers=answer[1])
        if kind == FAILED:
            raise value
        return kind == MORE, value

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):  # what was not yet given
            self._jobs.close()
        self._answers.close()


class Pool(Executor):
    """``workers`` processes. A job has ``deadline`` seconds, its process ``memory`` bytes of address space (0: any).

    A job's function must be importable and its arguments and answer picklable. A job whose process dies raises
    WorkerDied; the others go on. An error in a ``with`` block ends all processes at once.
    """

    def __init__(self, workers: int, deadline: float, memory: int = 0) -> None:
        self.deadline, self.memory = deadline, memory
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pointkit-pool")
        self._own = threading.local()
        self._workers: set[_Worker] = set()
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn(*args)`` in one of the processes."""
        if kwargs:
            raise ValueError(f"a job takes positional arguments only, got {', '.join(kwargs)}")
        return self._threads.submit(self._run, fn, args)

    def _run(self, fn: Callable[..., T], args: tuple[Any, ...]) -> T:
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = _Worker(self.memory)
            self._workers.add(worker)
            if self._closed:
                worker._process.kill()
        try:
            answer: T = worker.call((fn, args), self.deadline)
        except WorkerDied:
            self._own.worker = None
            self._workers.discard(worker)
            worker.end()
            raise
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the jobs, or with ``cancel_futures`` end them, and end the processes."""
        if cancel_futures:
            self._closed = True
            for worker in tuple(self._workers):
                worker._process.kill()
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            while self._workers:
                self._workers.pop().end()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(cancel_futures=error is not None)


_spare: list[tuple[int, _Worker]] = []  # processes without work, each with the process that started it
_NOTHING = object()


def apart(
    fn: Callable[..., Generator[T, None, None]], *args: Any, deadline: float, memory: int = 0
) -> Generator[T, None, None]:
    """What the generator function ``fn`` yields, made in another process, piece by piece: ``in_turns`` of one job."""
    yield from in_turns([(fn, args)], deadline=deadline, memory=memory)


def in_turns(jobs: Sequence[Job], *, deadline: float, memory: int = 0) -> Generator[Any, None, None]:
    """What generator functions yield, each with its arguments, made side by side in a process for each.

    Pieces come in turn: the first of each job, the second of each, and so on. Each has ``deadline`` seconds from when
    it is asked for, a process ``memory`` bytes of address space (0: any). The functions must be importable, arguments
    and pieces picklable; arrays are not copied on their way. Raises WorkerDied where a process dies or is too slow, and
    what a function raises. In a pool's process the functions run right there: a fault then ends that process, which its
    pool expects.

    Processes are kept for the next call, as a start takes longer than many a job.
    """
    if is_apart():
        for pieces in itertools.zip_longest(*(fn(*args) for fn, args in jobs), fillvalue=_NOTHING):
            yield from (piece for piece in pieces if piece is not _NOTHING)
        return
    here = os.getpid()
    workers = [_idle(here) or _Worker(0) for _ in jobs]
    at_work = list(workers)
    try:
        for worker, job in zip(workers, jobs, strict=True):
            worker.give((within, (memory, *job)))
        while at_work:
            for worker in tuple(at_work):
                try:
                    more, piece = worker.answer(deadline)
                except WorkerDied:
                    raise
                except Exception:  # of the job itself: the process lives
                    at_work.remove(worker)
                    raise
                if more:
                    yield piece
                else:
                    at_work.remove(worker)
    finally:
        for worker in workers:
            if worker in at_work:
                worker.end()
            else:
                _spare.append((here, worker))


def _idle(here: int) -> _Worker | None:
    """A process without work that this one started, if there is one."""
    while _spare and _spare[-1][0] != here:  # a fork of the one that started it must not use it
        _spare.pop()
    return _spare.pop()[1] if _spare else None


@atexit.register
def _end_spare() -> None:
    while _spare:
        started, worker = _spare.pop()
        if started == os.getpid():
            worker.end()


def _taken(pipe: IO[bytes]) -> tuple[bytes, list[bytearray]]:
    """An answer, still pickled, and the bytes of its arrays. Raises EOFError where the pipe ends before."""
    data, sizes = pickle.load(pipe)
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        if pipe.readinto(buffer) < len(buffer):  # type: ignore[attr-defined]
            raise EOFError
    return data, buffers
