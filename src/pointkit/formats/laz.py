"""The points of LAZ files, compressed and decompressed by ``lazrs`` in a process of their own.

A damaged file may end the process that decompresses it, or keep it at work for hours. It may also give other points
without a word, as LAZ has no checksums. So the bytes that each chunk takes are compared with those that the file's
table gives it, as LASzip itself does.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit import machine
from pointkit.errors import MissingExtraError
from pointkit.formats import las_header
from pointkit.formats.files import foreign
from pointkit.formats.las_header import Header
from pointkit.formats.streams import Opened, opened
from pointkit.pool import WorkerDied, apart, is_apart

Bytes = NDArray[np.uint8]

DEADLINE = 120.0  # seconds for a piece: a slow network disk is no hang
MEMORY = 1 << 30  # bytes that a process may take beside ten times the file's size


class Chunk(NamedTuple):
    """Points that are compressed together: the first one's number, how many, and where their bytes begin and end."""

    first: int
    points: int
    start: int
    end: int


def points(source: Opened, header: Header, rows: int) -> Iterator[Bytes]:
    """The records of a compressed file in pieces of ``rows`` points, each a row of bytes (n, record's bytes).

    They are decompressed in other processes, two of which take turns where there is much to do. Raises ValueError where
    the file is damaged.
    """
    lazrs()
    memory = MEMORY + 10 * source.size
    turns = 1 if is_apart() else min(2, machine.cores(), -(-header.count // rows))
    how: dict[str, Any] = {"deadline": DEADLINE, "memory": memory}
    taken = 0
    try:
        with contextlib.ExitStack() as stack:
            some = [apart(decoded, source.source, rows, turn, turns, **how) for turn in range(turns)]
            for each in some:
                stack.enter_context(contextlib.closing(each))
            for piece in itertools.chain.from_iterable(itertools.zip_longest(*some)):
                if piece is not None:
                    taken += len(piece)
                    yield piece
    except WorkerDied as error:
        raise ValueError(f"its compressed points are damaged: {error}") from None
    except MemoryError:
        raise ValueError(f"its compressed points take more than the {memory >> 20:,} MB that they may") from None
    if taken != header.count:
        raise ValueError(f"the header promises {header.count} points, got {taken}")


def lazrs() -> Any:
    """The library that compresses. Raises MissingExtraError where it is not installed."""
    try:
        import lazrs as library
    except ImportError:
        raise MissingExtraError("LAZ files need the extra las: pip install 'pointkit[las]'") from None
    return library


def decoded(source: str | bytes, rows: int, turn: int = 0, turns: int = 1) -> Generator[Bytes, None, None]:
    """Every ``turns``-th piece of a file's records, from the one with the number ``turn`` on. For another process."""
    file = opened(source)
    with file.file:
        header = las_header.read(file)
        vlr = header.find(*las_header.LASZIP)
        assert vlr is not None
        record = file.at(vlr.start, vlr.end - vlr.start)
        with foreign("lazrs"):
            chunks = _chunks(file, header, record)
            number = 0
            for group in _groups(chunks, rows):
                count = group[-1].first + group[-1].points - group[0].first
                numbers = range(number, number + -(-count // rows))
                number = numbers.stop
                if any(each % turns == turn for each in numbers):
                    for each, piece in zip(numbers, _pieces(file, header, record, group, rows), strict=True):
                        if each % turns == turn:
                            yield piece


def _chunks(file: Opened, header: Header, record: bytes) -> list[Chunk]:
    """The chunks of a file. Raises ValueError where its table does not fit the points and their bytes."""
    file.file.seek(header.start)
    table = lazrs().read_chunk_table(file.file, lazrs().LazVlr(record))
    first, place = 0, header.start + 8
    chunks = []
    for count, size in table:
        count = min(count, header.count - first)
        chunks.append(Chunk(first, count, place, place + size))
        first, place = first + count, place + size
        if count <= 0 or place > header.end:
            break
    if first != header.count or len(chunks) < len(table) or place > header.end:
        raise ValueError(f"its {len(table)} chunks must hold {header.count} points, got {first} up to byte {place}")
    return chunks


def _groups(chunks: Sequence[Chunk], rows: int) -> Iterator[list[Chunk]]:
    """Consecutive chunks of ``rows`` points together, or one that has more."""
    group: list[Chunk] = []
    for chunk in chunks:
        if group and chunk.first + chunk.points - group[0].first > rows:
            yield group
            group = []
        group.append(chunk)
    yield group


def _pieces(file: Opened, header: Header, record: bytes, group: Sequence[Chunk], rows: int) -> Iterator[Bytes]:
    """The records of consecutive chunks in pieces. Raises ValueError where a chunk ends elsewhere than it should."""
    source = _Chunks(file, record, group)
    points = lazrs().LasZipDecompressor(source, record)
    count = group[-1].first + group[-1].points - group[0].first
    piece = np.empty((min(rows, count), header.record_bytes), np.uint8)
    filled = 0
    for chunk in group:
        source.limit = chunk.end
        left = chunk.points
        while left:
            some = min(left, len(piece) - filled)
            points.decompress_many(piece[filled : filled + some].reshape(-1))
            filled, left, count = filled + some, left - some, count - some
            if filled == len(piece):
                yield piece
                piece = np.empty((min(rows, count), header.record_bytes), np.uint8)
                filled = 0
        if source.place != chunk.end:
            where = f"points {chunk.first:,} to {chunk.first + chunk.points - 1:,}"
            raise ValueError(f"its compressed points are damaged: {where} end {chunk.end - source.place} bytes early")


class _Chunks(io.RawIOBase):
    """Consecutive chunks as a LAZ file of their own: where the table is, the chunks' bytes, the table.

    Nothing is read beyond ``limit``, and what is near it byte by byte. So ``place``, which is one of the file, tells
    how many bytes the points took, though the library reads ahead.
    """

    def __init__(self, file: Opened, record: bytes, group: Sequence[Chunk]) -> None:
        table = io.BytesIO()
        sizes = [(chunk.points, chunk.end - chunk.start) for chunk in group]
        lazrs().write_chunk_table(table, sizes, lazrs().LazVlr(record))
        self.file, self.start, self.end = file, group[0].start - 8, group[-1].end
        self.head = (self.end - self.start).to_bytes(8, "little")
        self.table = table.getvalue()
        self.place = self.start
        self.limit: int | None = None

    def readinto(self, buffer: Any) -> int:
        count = len(buffer)
        if self.limit is not None:
            left = self.limit - self.place
            count = min(count, left - 16 if left > 16 else min(left, 1))
        if self.place < self.start + 8:
            data = self.head[self.place - self.start :][:count]
        elif self.place < self.end:
            self.file.file.seek(self.place)
            data = self.file.file.read(min(count, self.end - self.place))
        else:
            data = self.table[self.place - self.end :][:count]
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def seek(self, place: int, whence: int = 0) -> int:
        base = {0: self.start, 1: self.place, 2: self.end + len(self.table)}[whence]
        self.place = base + place
        return self.place - self.start

    def tell(self) -> int:
        return self.place - self.start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def record(point_format: int, extra_bytes: int) -> bytes:
    """What a LAZ file's record says of how points of a format, with so many extra bytes, are compressed."""
    made: bytes = lazrs().LazVlr.new_for_compression(point_format, extra_bytes).record_data()
    return made


def encoded(pieces: Iterable[Bytes], record: bytes, start: int) -> list[bytes]:
    """Records, in pieces, as the bytes of a LAZ file from ``start`` on: where the table is, the chunks, the table."""
    sink = io.BytesIO(b"\0" * start)
    sink.seek(start)
    points = lazrs().LasZipCompressor(sink, lazrs().LazVlr(record))
    for piece in pieces:
        points.compress_many(np.ascontiguousarray(piece).reshape(-1))
    points.done()
    return [sink.getvalue()[start:]]
