"""Unpack a zip archive without trusting it.

Each member is checked by our own rules, because the library's extractor follows links and applies modes.
"""

from __future__ import annotations

import errno
import functools
import os
import pathlib
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from pointkit.disk import disk_errors
from pointkit.errors import FormatError, PointkitError

CHUNK = 1 << 16  # bytes written at once


@dataclass(frozen=True)
class _Member:
    """One entry of an archive; ``kind`` is "file", "folder" or a word for what is refused; ``size`` is as claimed."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes]]


_DAMAGE = (
    zipfile.BadZipFile, EOFError, zlib.error, struct.error, NotImplementedError, OverflowError, ValueError, OSError,
)  # fmt: skip


def extract(archive: pathlib.Path, folder: pathlib.Path, *, max_bytes: int, max_members: int) -> None:
    """Unpack a zip into ``folder``, which must not exist yet and stays only when all went well.

    Files get plain modes, whatever the archive says. ``__MACOSX``, ``.DS_Store`` and ``._*`` are left out. Raises
    FormatError, one line that names the archive and the member, for

    - a name that is absolute, climbs (``..``) or is not possible on every system,
    - a link, device, pipe or encrypted member,
    - two members of one name, or of names that differ in case alone,
    - more than ``max_bytes`` unpacked or ``max_members`` members,
    - a wrong checksum or an early end.
    """
    with disk_errors(archive), archive.open("rb") as raw, disk_errors(folder):
        folder.mkdir()
        try:
            if raw.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
                raise FormatError(f"{archive}: must be a zip archive, got a file that begins otherwise")
            _unpack(archive, _zip_members(archive, raw, max_bytes, max_members), folder, max_bytes, max_members)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            # The file system's own errors have a number. EINVAL comes from a zip that says that a member
            # begins before the file does.
            number = getattr(error, "errno", None)
            if isinstance(error, PointkitError) or not isinstance(error, _DAMAGE) or number not in (None, errno.EINVAL):
                raise
            raise FormatError(f"{archive}: damaged archive ({str(error) or type(error).__name__})") from None


def _unpack(
    archive: pathlib.Path, members: Iterator[_Member], folder: pathlib.Path, max_bytes: int, max_members: int
) -> None:
    """Check and write each member in turn."""
    names = _Names()
    total = 0
    for number, member in enumerate(members, 1):
        total += member.size
        if number > max_members or member.size < 0 or total > max_bytes:
            raise FormatError(f"{archive}: holds more than {max_members:,} members or {max_bytes:,} bytes, its bounds")
        try:
            parts = names.add(member)
        except ValueError as error:
            raise FormatError(f"{archive}: member {member.name[:200]!r} {error}") from None
        if not parts or parts[0] == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._"):
            continue
        place = folder.joinpath(*parts)
        if member.kind == "folder":
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with member.open() as source, place.open("xb") as file:
            while written <= member.size and (chunk := source.read(CHUNK)):
                file.write(chunk)
                written += len(chunk)
        if written != member.size:
            raise FormatError(
                f"{archive}: member {member.name[:200]!r} claims {member.size:,} bytes, holds {written:,}"
            )
    if not names.files:
        raise FormatError(f"{archive}: holds no file")


class _Names:
    """The names seen so far. Two names are one where any file system would take them for one."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}  # folded -> as the archive wrote it
        self.files: set[str] = set()
        self.folders: set[str] = set()

    def add(self, member: _Member) -> list[str]:
        """The parts of a safe, new name; none for the root. Raises ValueError for any other name."""
        if member.kind not in ("file", "folder"):
            raise ValueError(f"is a {member.kind}; only plain files and folders are unpacked")
        if member.name.startswith("/") or any(c in "\\:" or not c.isprintable() for c in member.name):
            raise ValueError("has a name that is absolute, or that not every system can hold")
        parts = [part for part in member.name.rstrip("/").split("/") if part != "."]
        if any(part in ("", "..") or len(part.encode()) > 255 for part in parts):
            raise ValueError("has a name that leads out of the folder, or that not every system can hold")
        path = folded = ""
        for depth, part in enumerate(parts, 1):
            path += "/" + part
            folded = unicodedata.normalize("NFC", path).casefold()
            if self.written.setdefault(folded, path) != path:
                raise ValueError(f"differs from {self.written[folded][1:]!r} in case alone")
            if folded in self.files:
                raise ValueError("is there twice" if depth == len(parts) else f"lies in a file, {path[1:]!r}")
            if depth < len(parts) or member.kind == "folder":
                self.folders.add(folded)
        if member.kind == "file":
            if folded in self.folders or not parts:
                raise ValueError("is a file and a folder")
            self.files.add(folded)
        return parts


def _zip_members(archive: pathlib.Path, raw: IO[bytes], max_bytes: int, max_members: int) -> Iterator[_Member]:
    """The members of a zip. The size of its list is checked before the library reads it: a million take a gigabyte."""
    length = raw.seek(0, os.SEEK_END)
    raw.seek(max(0, length - (1 << 16) - 98))
    tail = raw.read()
    end, end64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    if end < 0:
        raise FormatError(f"{archive}: the archive ends early (a zip's list of members is missing)")
    listed = int.from_bytes(tail[end64 + 40 : end64 + 48] if end64 >= 0 else tail[end + 12 : end + 16], "little")
    if listed > max_members * 512:
        raise FormatError(f"{archive}: holds more than {max_members:,} members (their list takes {listed:,} bytes)")
    with zipfile.ZipFile(raw) as file:
        claimed = sum(info.file_size for info in file.infolist())
        if claimed > max_bytes:
            raise FormatError(f"{archive}: unpacks to {claimed:,} bytes, the bound is {max_bytes:,}")
        for info in file.infolist():
            kind = "folder" if info.filename.endswith("/") else "file"  # is_dir() fails on an empty name
            if info.flag_bits & 1:
                kind = "encrypted file"
            elif stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "link, device or pipe"
            yield _Member(info.filename, kind, info.file_size, functools.partial(file.open, info))
