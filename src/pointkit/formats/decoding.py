"""Decoding with a foreign library in another process, which may crash, hang or want too much memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from pointkit import pool
from pointkit.formats.files import foreign as _foreign
from pointkit.formats.streams import Opened

T = TypeVar("T")

DEADLINE = 120.0  # seconds for a piece: a slow network disk is no hang
MEMORY = 1 << 30  # bytes that a process may take beside ten times the file's size


def apart(fn: Callable[..., Generator[T, None, None]], opened: Opened, *args: Any) -> Iterator[T]:
    """What ``fn`` of a file's source and ``args`` yields, made in another process.

    Raises ValueError where that process dies, is too slow, or takes more memory than it may.
    """
    memory = MEMORY + 10 * opened.size
    try:
        yield from pool.apart(fn, opened.source, *args, deadline=DEADLINE, memory=memory)
    except pool.WorkerDied as error:
        raise ValueError(f"it is damaged: {error}") from None
    except MemoryError:
        raise ValueError(f"it takes more than the {memory >> 20:,} MB that it may: is it damaged?") from None


@contextlib.contextmanager
def foreign(library: str) -> Iterator[None]:
    """``files.foreign`` for a library that opens the file itself: its OSError is about what the file holds."""
    with _foreign(library):
        try:
            yield
        except OSError as error:
            raise RuntimeError(str(error)) from None
