"""Reading a set in chunks of files, each kept on disk once it is read: the part of ``prepare`` that runs elsewhere.

The division depends on the files alone, never on the number of workers. A chunk's file is one line of JSON (an
``Outcome`` a file) and then the drawn points, raw little-endian float32; it appears whole, by rename, so a killed
preparation leaves finished chunks and nothing else that counts. Only the readers and NumPy are imported here: this is
what each new process has to load.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pointkit import formats, preprocess
from pointkit.cloud import Float32
from pointkit.formats.files import shown

MAX_FILES = 32
MAX_BYTES = 4_000_000  # about 40 ms of reading text: small beside the whole, large beside the cost of handing it out


class Source(NamedTuple):
    """A file to read: its path relative to the set's folder, its size in bytes and its time of change in ns."""

    file: str
    size: int
    mtime_ns: int


class Outcome(NamedTuple):
    """What reading a file gave: ``size`` points with the checksum ``digest``, or the ``reason`` why there are none.

    ``warnings`` are what ``preprocess.draw`` said of the shape.
    """

    size: int
    digest: str
    warnings: tuple[str, ...]
    reason: str = ""


def unread(reason: str) -> Outcome:
    return Outcome(0, "", (), reason)


def divide(sources: Sequence[Source]) -> list[slice]:
    """Consecutive chunks of at most MAX_FILES files and MAX_BYTES bytes, but at least one file."""
    chunks: list[slice] = []
    start = size = 0
    for i, source in enumerate(sources):
        if i > start and (i - start == MAX_FILES or size + source.size > MAX_BYTES):
            chunks.append(slice(start, i))
            start, size = i, 0
        size += source.size
    return [*chunks, slice(start, len(sources))] if sources else []


def read(root: str, sources: Sequence[Source], num_points: int, seed: int, target: str) -> list[Outcome]:
    """Read files, draw up to ``num_points`` points of each, and keep both as the chunk file ``target``.

    A file that cannot be read gives an outcome with the reason. Raises OSError where the chunk file cannot be written.
    """
    outcomes: list[Outcome] = []
    clouds: list[Float32] = []
    for source in sources:
        outcome, points = _read_one(pathlib.Path(root), source, num_points, seed)
        outcomes.append(outcome)
        clouds.append(points)
    save(pathlib.Path(target), outcomes, clouds)
    return outcomes


def _read_one(root: pathlib.Path, source: Source, num_points: int, seed: int) -> tuple[Outcome, Float32]:
    path = root / source.file
    nothing = np.empty((0, 3), np.float32)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited on for ever
            return unread("must be a regular file"), nothing
        drawn = preprocess.draw(formats.read(path), num_points, seed)
        after = path.stat()
    except MemoryError:
        return unread("reading it takes more memory than there is"), nothing
    except OSError as error:
        return unread(one_line(error.strerror or str(error), path, source.file)), nothing
    except ValueError as error:
        return unread(one_line(str(error), path, source.file)), nothing
    except Exception as error:  # a library's own kind: the file is listed and the others go on
        return unread(one_line(f"{type(error).__name__}: {error}", path, source.file)), nothing
    if (after.st_size, after.st_mtime_ns) != (source.size, source.mtime_ns):
        return unread("changed while the set was prepared"), nothing
    points = np.ascontiguousarray(drawn.points, "<f4")
    return Outcome(len(points), _digest(points), drawn.warnings), points


def one_line(reason: str, path: pathlib.Path, file: str) -> str:
    """A reason on one line, without the place of the set's folder."""
    for name in (shown(path), str(path)):
        reason = reason.removeprefix(f"{name}: ").replace(name, file)
    return " ".join(reason.split()) or "cannot be read"


def _digest(points: Float32) -> str:
    return hashlib.sha256(points.data).hexdigest()


def save(target: pathlib.Path, outcomes: Sequence[Outcome], clouds: Sequence[Float32]) -> None:
    """Write a chunk file whole or not at all."""
    beside = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(json.dumps(outcomes).encode() + b"\n")
            file.writelines(points.data for points in clouds if len(points))
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def load(path: pathlib.Path) -> tuple[list[Outcome], list[Float32]]:
    """A chunk file's outcomes and clouds (size, 3). Raises OSError, or ValueError where it is not whole."""
    header, _, raw = path.read_bytes().partition(b"\n")
    outcomes = [Outcome(size, digest, tuple(said), reason) for size, digest, said, reason in json.loads(header)]
    if not outcomes or len(raw) != 12 * sum(outcome.size for outcome in outcomes):
        raise ValueError(f"{path}: damaged chunk")
    points = np.frombuffer(raw, "<f4").reshape(-1, 3)
    return outcomes, np.split(points, np.cumsum([outcome.size for outcome in outcomes])[:-1])


def check(path: pathlib.Path, count: int) -> list[Outcome] | None:
    """The outcomes of a chunk file of ``count`` files that an earlier try left; None where none is whole."""
    try:
        outcomes, clouds = load(path)
    except (OSError, ValueError, TypeError):
        return None
    whole = all(not o.size or o.digest == _digest(points) for o, points in zip(outcomes, clouds, strict=True))
    return outcomes if whole and len(outcomes) == count else None


def clouds(paths: Sequence[pathlib.Path]) -> Iterator[Float32]:
    """The clouds (size, 3) of chunk files one after another; (0, 3) for a file that could not be read."""
    for path in paths:
        yield from load(path)[1]
