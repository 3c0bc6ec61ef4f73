"""Opening a file that may be anything, and reading one with a foreign library."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import stat
import urllib.parse
from collections.abc import Iterator

from pointkit.disk import Path, shown
from pointkit.errors import FormatError, PointkitError

_UNHARMED = 1 << 28  # bytes that the arrays of any file may take
_GROWTH = 100  # times its own size that those of a larger one may


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


def beside(path: Path | None, name: str) -> bytes:
    """The bytes of a file that the file ``path`` names, as a relative uri. Nothing outside of its folder is opened.

    Raises ValueError for any other name, and where there is no such file.
    """
    place = place_beside(path, name)
    try:
        return load(place)
    except OSError as error:
        raise ValueError(
            f"it needs the file {name[:80]!r} beside it, which cannot be read ({error.strerror})"
        ) from None


def place_beside(path: Path | None, name: str) -> pathlib.Path:
    """The path of a file that the file ``path`` names. Raises ValueError where it leads out of the folder."""
    wanted = urllib.parse.unquote(name)
    if ":" in wanted or wanted[:1] in ("/", "\\", "") or ".." in re.split(r"[/\\]", wanted) or "\0" in wanted:
        raise ValueError(f"a file beside must lie in the same folder, or in one below it, got {name[:80]!r}")
    if path is None:
        raise ValueError(f"it needs the file {name[:80]!r} beside it: give its path, not its bytes")
    folder = pathlib.Path(os.fsdecode(path)).parent
    if not (folder / wanted).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"a file beside must lie in the same folder, and {name[:80]!r} is a link to another place")
    return folder / wanted


def refuse_bomb(needed: int, size: int, advice: str = "save it without compression") -> None:
    """Raise ValueError where a file of ``size`` bytes makes ``needed`` ones of itself: far more than it may."""
    if needed > max(_UNHARMED, _GROWTH * size):
        raise ValueError(
            f"its arrays take {needed:,} bytes, more than {_GROWTH} times the file's {size:,}: it may be made to fill "
            f"the memory; {advice}"
        )


@contextlib.contextmanager
def foreign(library: str) -> Iterator[None]:
    """Turn whatever a library raises about a file into a ValueError of one line. Errors of ours stay."""
    try:
        yield
    except (OSError, MemoryError, PointkitError):
        raise
    except Exception as error:  # parsers raise IndexError, KeyError, SyntaxError ...
        reason = re.sub(r" at 0x[0-9a-fA-F]+", "", str(error))  # an object's address differs from run to run
        raise ValueError(f"{library} cannot read it: {' '.join(reason.split())[:200]}") from error


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")
