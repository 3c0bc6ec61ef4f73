"""The points of LAZ files, compressed and decompressed by ``lazrs`` in a process of their own.

A damaged file may end the process that decompresses it, or keep it at work for hours. It may also give other points
without a word, as LAZ has no checksums. So the bytes that each chunk takes are compared with those that the file's
table gives it, as LASzip itself does.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import struct
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pointkit import machine
from pointkit.cloud import Array
from pointkit.errors import MissingExtraError
from pointkit.formats import las_header
from pointkit.formats.las_header import Header
from pointkit.formats.streams import ROWS, Opened, opened
from pointkit.pool import WorkerDied, apart, is_apart

Bytes = NDArray[np.uint8]

DEADLINE = 120.0  # seconds for a piece: a slow network disk is no hang
# Point formats whose waveforms lazrs 0.8 compresses wrongly where several scanner channels take turns. It reads all
# that LASzip has compressed, so what is written is tried before.
LOSSY = (9, 10)
LAYERED = 3  # how points of the formats 6 to 10 are compressed: each field by itself
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
    with contextlib.ExitStack() as stack:
        stack.enter_context(_damage(memory))
        some = [apart(decoded, source.source, rows, turn, turns, **how) for turn in range(turns)]
        for each in some:
            stack.enter_context(contextlib.closing(each))
        for piece in itertools.chain.from_iterable(itertools.zip_longest(*some)):
            if piece is not None:
                taken += len(piece)
                yield piece
    if taken != header.count:
        raise ValueError(f"the header promises {header.count} points, got {taken}")


@contextlib.contextmanager
def _damage(memory: int) -> Iterator[int]:
    """Turn the death of a process that reads compressed points, within so much ``memory``, into a ValueError."""
    try:
        yield memory
    except WorkerDied as error:
        raise ValueError(f"its compressed points are damaged: {error}") from None
    except MemoryError:
        raise ValueError(f"its compressed points take more than the {memory >> 20:,} MB that they may") from None


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turn an error of the library into a ValueError of one line."""
    try:
        yield
    except (MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # what Rust calls a panic is no Exception
        raise ValueError(f"its compressed points are damaged (lazrs: {' '.join(str(error).split())[:200]})") from None


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
        number = 0
        for group in _groups(_chunks(file, header, record), rows):
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
    with _reading():
        table = lazrs().read_chunk_table(file.file, lazrs().LazVlr(record))
    first, place = 0, header.start + 8
    chunks = []
    for count, size in table:
        count = min(count, header.count - first)
        chunks.append(Chunk(first, count, place, place + size))
        first, place = first + count, place + size
        if count <= 0 or place > header.end:
            break
        if record[0] == LAYERED:  # such a chunk says itself how many points it has
            (said,) = struct.unpack("<I", file.at(place - size + header.record_bytes, 4))
            if said != count:
                raise ValueError(f"the header promises {count} points in a chunk that has {said}")
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
    with _reading():
        points = lazrs().LasZipDecompressor(source, record)
    count = group[-1].first + group[-1].points - group[0].first
    piece = np.empty((min(rows, count), header.record_bytes), np.uint8)
    filled = 0
    for chunk in group:
        source.limit = chunk.end
        left = chunk.points
        while left:
            some = min(left, len(piece) - filled)
            with _reading():
                points.decompress_many(piece[filled : filled + some].reshape(-1))
            filled, left, count = filled + some, left - some, count - some
            if filled == len(piece):
                _check_box(header, piece)
                yield piece
                piece = np.empty((min(rows, count), header.record_bytes), np.uint8)
                filled = 0
        if source.place != chunk.end:
            where = f"points {chunk.first:,} to {chunk.first + chunk.points - 1:,}"
            raise ValueError(f"its compressed points are damaged: {where} end {chunk.end - source.place} bytes early")


def _check_box(header: Header, piece: Bytes) -> None:
    """Raise ValueError where records lie far outside the header's box.

    Damage to the coordinates of a file in the formats 6 to 10 shows by this alone. Boxes that are a little too small
    are common, and so are those that nobody has filled in.
    """
    size = header.high - header.low
    if not np.isfinite(size).all() or not (size > 0).all():
        return
    whole = np.ascontiguousarray(piece[:, :12]).view("<i4")
    ends = np.stack([whole.min(0), whole.max(0)]) * header.scale + header.offset
    if (ends.min(0) < header.low - size).any() or (ends.max(0) > header.high + size).any():
        got, box = _words(*ends), _words(header.low, header.high)
        raise ValueError(f"its compressed points are damaged: they lie at {got}, the header says {box}")


def _words(*corners: Array) -> str:
    return " to ".join("(" + ", ".join(f"{number:.10g}" for number in corner) + ")" for corner in corners)


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


def can_compress(record: bytes) -> bool:
    """Whether points can be compressed as a file's record says; the oldest ways can only be read."""
    try:
        lazrs().LasZipCompressor(io.BytesIO(), lazrs().LazVlr(record))
    except Exception:
        return False
    return True


def encoded(pieces: Iterable[Bytes], record: bytes, start: int) -> list[bytes]:
    """Records, in pieces, as the bytes of a LAZ file from ``start`` on: where the table is, the chunks, the table."""
    sink = io.BytesIO(b"\0" * start)
    sink.seek(start)
    points = lazrs().LasZipCompressor(sink, lazrs().LazVlr(record))
    for piece in pieces:
        points.compress_many(np.ascontiguousarray(piece).reshape(-1))
    points.done()
    return [sink.getvalue()[start:]]


class Edit(Protocol):
    """A change of records."""

    @property
    def point_format(self) -> int:
        """The point format of the records."""

    def applied(self, start: int, raw: Bytes) -> Bytes:
        """Records (n, bytes) from the number ``start`` on, changed."""


def rewritten(source: Opened, edit: Edit, record: bytes, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The points of a LAZ file, edited and compressed again: bytes, each with its place in the new file.

    They begin at ``start`` there. ``size`` are the bytes of the edit. Another process does the work.
    """
    with _damage(MEMORY + 10 * source.size + 4 * size) as memory:
        yield from apart(recompressed, source.source, edit, record, start, deadline=DEADLINE, memory=memory)


def recompressed(
    source: str | bytes, edit: Edit, record: bytes, start: int
) -> Generator[tuple[int, bytes], None, None]:
    """What ``rewritten`` gives, in the process that does it."""
    sink = _Sink(start)
    points = lazrs().LasZipCompressor(sink, lazrs().LazVlr(record))
    row = 0
    for piece in decoded(source, ROWS):
        changed = edit.applied(row, piece)
        row += len(piece)
        if edit.point_format in LOSSY:
            _check_kept(changed, record)
        points.compress_many(changed.reshape(-1))
        yield from sink.taken()
    points.done()
    yield from sink.taken()


def _check_kept(raw: Bytes, record: bytes) -> None:
    """Raise ValueError where records do not come back as they were once they are compressed."""
    again = np.empty_like(raw)
    packed = lazrs().compress_points(lazrs().LazVlr(record), raw.reshape(-1), False)
    lazrs().decompress_points(packed, record, again.reshape(-1), False)
    if not np.array_equal(raw, again):
        raise ValueError("lazrs cannot compress its waveforms without loss; decompress the file to LAS first")


class _Sink(io.RawIOBase):
    """A file that is taken away while it is written."""

    def __init__(self, place: int) -> None:
        self.place = self.end = place
        self.parts: list[tuple[int, bytes]] = []

    def write(self, data: Any) -> int:
        self.parts.append((self.place, bytes(data)))
        self.place += len(data)
        self.end = max(self.end, self.place)
        return len(data)

    def seek(self, place: int, whence: int = 0) -> int:
        self.place = place + (0, self.place, self.end)[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def taken(self) -> list[tuple[int, bytes]]:
        """What was written since the last time."""
        parts, self.parts = self.parts, []
        return parts

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
