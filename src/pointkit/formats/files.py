"""Opening a file that may be anything, naming it in a message, and replacing it whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO

from pointkit.errors import FormatError

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def shown(path: Path) -> str:
    """A path for a message of one line."""
    return printable(os.fsdecode(path))


def printable(text: str) -> str:
    """A text in one line: as it is where it can be printed, else with escapes."""
    return text if text.isprintable() else repr(text)[1:-1]


def size(path: Path) -> int:
    """Bytes in a regular file; FormatError for a folder, a pipe or a device, OSError where there is nothing."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"{shown(path)}: must be a regular file, got a {_kind(status.st_mode)}")
    return status.st_size


def load(path: Path) -> bytes:
    """The bytes of a regular file; FormatError where it is none or empty."""
    size(path)
    with open(path, "rb", buffering=0) as file:
        data = file.readall()
    if not data:
        raise FormatError(f"{shown(path)}: the file is empty")
    return data


@contextlib.contextmanager
def foreign(library: str) -> Iterator[None]:
    """A library at work on a file: whatever it raises about the file becomes a ValueError of one line."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:  # parsers raise IndexError, KeyError, SyntaxError ...
        raise ValueError(f"{library} cannot read it: {' '.join(str(error).split())[:200]}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file beside ``path``, on the disk and renamed into it when the block ends well, removed when it fails.

    An OSError of the writing itself, as on a full disk, names ``path``.
    """
    target = pathlib.Path(os.fsdecode(path))
    part = target.with_name(f".{secrets.token_hex(8)}.part")  # short: the name itself may fill all 255 bytes
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = shown(path)
        raise


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")
