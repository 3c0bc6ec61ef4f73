"""Reading many files of strangers: in a process of their own, so that one that hangs or dies costs that file alone."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from types import TracebackType

from pointkit import formats, machine
from pointkit.cloud import Shape
from pointkit.errors import FormatError
from pointkit.formats.columns import Meaning
from pointkit.pool import Pool, WorkerDied

DEADLINE = 300.0  # seconds for a file: a slow network disk is no hang


class Reader:
    """Reads files in another process, within ``deadline`` seconds each. It is a context manager, and ends the process.

    ``Reader.here()`` reads in this process, as befits a single file.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._pool: Pool | None = Pool(1, deadline or DEADLINE, machine.memory_limit())

    @classmethod
    def here(cls) -> Reader:
        """A reader without a process of its own."""
        reader = cls.__new__(cls)
        reader._pool = None
        return reader

    def reading(self, meaning: Meaning) -> Callable[[pathlib.Path], Shape]:
        """A function from a path to its shape. It raises as ``formats.read`` does."""
        return functools.partial(self._read, meaning)

    def _read(self, meaning: Meaning, path: pathlib.Path) -> Shape:
        if self._pool is None:
            return formats.read(path, meaning=meaning)
        try:
            return self._pool.submit(read, path, meaning).result()
        except WorkerDied as error:
            raise FormatError(f"{path}: {error}") from None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.__exit__(kind, error, trace)


def read(path: pathlib.Path, meaning: Meaning) -> Shape:
    """The shape in a file."""
    return formats.read(path, meaning=meaning)
