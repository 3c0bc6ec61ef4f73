"""The points of LAZ files, compressed and decompressed: other processes do it, with a deadline and little memory."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pointkit import machine
from pointkit.cloud import Array
from pointkit.errors import MissingExtraError
from pointkit.formats.las_header import LASZIP, WHOLE, Header
from pointkit.formats.streams import ROWS, Opened
from pointkit.pool import WorkerDied, apart, in_turns
from pointkit.served import is_apart

if TYPE_CHECKING:
    from pointkit import laz_points

Bytes = NDArray[np.uint8]

DEADLINE = 120.0  # seconds for a piece: a slow network disk is no hang
# Point formats whose waveforms lazrs 0.8 compresses wrongly where several scanner channels take turns. It reads all
# that LASzip has compressed, so what is written is tried before.
LOSSY = (9, 10)
_CHUNKED = 2  # how points of the formats 0 to 5 are compressed, in a LASzip record
_FAR = 1000  # sizes of the header's box, beyond which no point is taken for one
MEMORY = 1 << 30  # bytes that a process may take beside ten times the file's size


def points(source: Opened, header: Header, rows: int) -> Iterator[Bytes]:
    """The records of a compressed file in pieces of ``rows`` points, each a row of bytes (n, record's bytes).

    They are decompressed in other processes, two of which take turns where there is much to do. Raises ValueError where
    the file is damaged.
    """
    lazrs()
    from pointkit import laz_points

    memory = MEMORY + 10 * source.size
    where = _where(source, header)
    turns = 1 if is_apart() else min(2, machine.cores(), -(-header.count // rows))
    jobs = [(laz_points.decoded, (source.source, where, rows, turn, turns)) for turn in range(turns)]
    taken = 0
    with _damage(memory), contextlib.closing(in_turns(jobs, deadline=DEADLINE, memory=memory)) as pieces:
        for piece in pieces:
            raw = np.frombuffer(piece, np.uint8).reshape(-1, header.record_bytes)
            taken += len(raw)
            yield raw
    if taken != header.count:
        raise ValueError(f"the header promises {header.count} points, got {taken}")


def _where(source: Opened, header: Header) -> laz_points.Where:
    """Where a file's compressed points lie, for the process that decompresses them."""
    from pointkit.laz_points import Where

    vlr = header.find(*LASZIP)
    assert vlr is not None
    record = source.at(vlr.start, vlr.end - vlr.start)
    whole = record[0] == WHOLE
    if whole:  # for lazrs it is one chunk of all points
        record = struct.pack("<H", _CHUNKED) + record[2:12] + struct.pack("<I", header.count) + record[16:]
    return Where(header.start, header.end, header.count, header.record_bytes, record, whole)


@contextlib.contextmanager
def _damage(memory: int) -> Iterator[int]:
    """Turn the death of a process that reads compressed points, within so much ``memory``, into a ValueError."""
    try:
        yield memory
    except WorkerDied as error:
        raise ValueError(f"its compressed points are damaged: {error}") from None
    except MemoryError:
        raise ValueError(f"its compressed points take more than the {memory >> 20:,} MB that they may") from None


def lazrs() -> Any:
    """The library that compresses. Raises MissingExtraError where it is not installed."""
    try:
        import lazrs as library
    except ImportError:
        raise MissingExtraError("LAZ files need the extra las: pip install 'pointkit[las]'") from None
    return library


def doubt(header: Header, piece: Bytes) -> str:
    """What is to be doubted about records that lie outside the header's box by more than its size; "" for nothing.

    Damage to the coordinates of a file in the formats 6 to 10 shows by this alone. In the others most damage shows by
    where the chunks end, but not that of a chunk's first point. Programs also leave boxes that are out of date, and
    those that nobody has filled in are passed over.
    Raises ValueError where a point lies so far away that no such box explains it.
    """
    size = header.high - header.low
    if not np.isfinite(size).all() or not (size > 0).all():
        return ""
    whole = np.ascontiguousarray(piece[:, :12]).view("<i4")
    ends = np.stack([whole.min(0), whole.max(0)]) * header.scale + header.offset
    beyond = np.maximum(header.low - ends.min(0), ends.max(0) - header.high)
    if not (beyond > size).any():
        return ""
    found = f"they lie at {_words(*ends)}, the header says {_words(header.low, header.high)}"
    if beyond.max() > _FAR * size.max():
        raise ValueError(f"its compressed points are damaged: {found}")
    return f"its points are damaged, or its header is out of date: {found}"


def _words(*corners: Array) -> str:
    return " to ".join("(" + ", ".join(f"{number:.10g}" for number in corner) + ")" for corner in corners)


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


def rewritten(
    source: Opened, header: Header, edit: Edit, record: bytes, start: int, size: int
) -> Iterator[tuple[int, bytes]]:
    """The points of a LAZ file, edited and compressed again: bytes, each with its place in the new file.

    They begin at ``start`` there. ``size`` are the bytes of the edit. Another process does the work.
    """
    with _damage(MEMORY + 10 * source.size + 4 * size) as memory:
        how = source.source, _where(source, header), edit, record, start
        yield from apart(recompressed, *how, deadline=DEADLINE, memory=memory)


def recompressed(
    source: str | bytes, where: laz_points.Where, edit: Edit, record: bytes, start: int
) -> Generator[tuple[int, bytes], None, None]:
    """What ``rewritten`` gives, in the process that does it."""
    from pointkit.laz_points import decoded

    sink = _Sink(start)
    points = lazrs().LasZipCompressor(sink, lazrs().LazVlr(record))
    row = 0
    for piece in decoded(source, where, ROWS):
        changed = edit.applied(row, np.frombuffer(piece, np.uint8).reshape(-1, where.size))
        row += len(changed)
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
