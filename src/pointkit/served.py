"""The other end of a pool: what its processes do. Only what that needs is imported, as each process has to load it."""

from __future__ import annotations

import pickle
from types import GeneratorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import BinaryIO

DONE, MORE, FAILED = "done", "more", "failed"  # what an answer is
_apart = False  # whether this is a pool's process


def is_apart() -> bool:
    """Whether this is a pool's process, which may die without harm to others."""
    return _apart


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """The work of a pool's process: take jobs until the input is closed."""
    global _apart
    _apart = True
    limit(pickle.loads(pickle.load(jobs)))
    while True:
        try:
            job = pickle.load(jobs)
        except EOFError:
            return
        try:
            fn, args = pickle.loads(job)
            answer = fn(*args)
            if isinstance(answer, GeneratorType):
                for piece in answer:
                    _hand(answers, (MORE, piece))
                answer = None
            last = DONE, answer
        except Exception as error:
            last = FAILED, error
        _hand(answers, last)


def limit(memory: int) -> None:
    """Allow this process so many bytes of address space; 0 changes nothing."""
    if memory:
        try:
            import resource

            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (memory if hard < 0 else min(memory, hard), hard))
        except (ImportError, ValueError, OSError):  # not every system knows such a limit
            pass


def _hand(pipe: BinaryIO, answer: tuple[str, Any]) -> None:
    """Write an answer. The bytes of its arrays follow as they are: no copy of them is made."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(answer, 5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    pickle.dump((data, [each.nbytes for each in raw]), pipe)
    for each in raw:
        pipe.write(each)
    pipe.flush()


def within(
    memory: int, fn: Callable[..., Generator[Any, None, None]], args: tuple[Any, ...]
) -> Generator[Any, None, None]:
    """What ``fn`` yields, within so much memory."""
    limit(memory or 1 << 62)  # the limit of the job before may stand
    return fn(*args)
