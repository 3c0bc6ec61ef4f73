"""The points of LAZ files, decompressed by ``lazrs``: the work of a process of its own, which loads little else.

A damaged file may end the process, or keep it at work for hours. It may also give other points without a word, as LAZ
has no checksums. So the bytes that each chunk takes are compared with those that the file's table gives it, as LASzip
itself does.
"""

from __future__ import annotations

import io
import pickle
from collections import namedtuple
from typing import TYPE_CHECKING, Any

import lazrs

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from typing import BinaryIO

LAYERED = 3  # how points of the formats 6 to 10 are compressed: each field by itself

# Where compressed points lie in a file: from byte ``start`` to ``end`` at most, ``count`` of ``size`` bytes each,
# compressed as the bytes ``record`` say. ``whole``: the oldest files have neither chunks nor a table of them.
# ``typing`` takes as long to import as all of this.
Where = namedtuple("Where", "start end count size record whole", defaults=(False,))
# Points that are compressed together: the first one's number, how many, and where their bytes begin and end.
Chunk = namedtuple("Chunk", "first points start end")


def decoded(source: str | bytes, where: Where, rows: int, turn: int = 0, turns: int = 1) -> Generator[Any, None, None]:
    """Every ``turns``-th piece of ``rows`` records, from the one with the number ``turn`` on, as bytes.

    ``source`` is a path, or the bytes of a file. Raises ValueError where the points are damaged.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")  # noqa: SIM115
    with file:
        number = 0
        for group in _groups(_chunks(file, where), rows):
            count = group[-1].first + group[-1].points - group[0].first
            numbers = range(number, number + -(-count // rows))
            number = numbers.stop
            if any(each % turns == turn for each in numbers):
                for each, piece in zip(numbers, _pieces(file, where, group, rows), strict=True):
                    if each % turns == turn:
                        yield pickle.PickleBuffer(piece)


def damage(error: BaseException) -> ValueError:
    """What the library raises about a file, in one line; its panics are no Exceptions."""
    if isinstance(error, MemoryError | KeyboardInterrupt | SystemExit | GeneratorExit):
        raise error
    return ValueError(f"its compressed points are damaged (lazrs: {' '.join(str(error).split())[:200]})")


def _chunks(file: BinaryIO, where: Where) -> list[Chunk]:
    """The chunks of a file. Raises ValueError where its table does not fit the points and their bytes."""
    if where.whole:
        return [Chunk(0, where.count, where.start, where.end)]
    file.seek(where.start)
    try:
        table = lazrs.read_chunk_table(file, lazrs.LazVlr(where.record))
    except BaseException as error:
        raise damage(error) from None
    first, place = 0, where.start + 8
    chunks = []
    for count, size in table:
        count = min(count, where.count - first)
        chunks.append(Chunk(first, count, place, place + size))
        first, place = first + count, place + size
        if count <= 0 or place > where.end:
            break
        if where.record[0] == LAYERED:  # such a chunk says itself how many points it has
            file.seek(place - size + where.size)
            said = int.from_bytes(file.read(4), "little")
            if said != count:
                raise ValueError(f"the header promises {count} points in a chunk that has {said}")
    if first != where.count or len(chunks) < len(table) or place > where.end:
        raise ValueError(f"its {len(table)} chunks must hold {where.count} points, got {first} up to byte {place}")
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


def _pieces(file: BinaryIO, where: Where, group: Sequence[Chunk], rows: int) -> Iterator[bytearray]:
    """The records of consecutive chunks in pieces. Raises ValueError where a chunk ends elsewhere than it should."""
    source = _Chunks(file, where, group)
    try:
        points = lazrs.LasZipDecompressor(source, where.record)
    except BaseException as error:
        raise damage(error) from None
    count = group[-1].first + group[-1].points - group[0].first
    piece = bytearray(min(rows, count) * where.size)
    filled = 0
    for chunk in group:
        source.limit = chunk.end
        left = chunk.points * where.size
        while left:
            some = min(left, len(piece) - filled)
            try:
                points.decompress_many(memoryview(piece)[filled : filled + some])
            except BaseException as error:
                raise damage(error) from None
            filled, left, count = filled + some, left - some, count - some // where.size
            if filled == len(piece):
                yield piece
                piece = bytearray(min(rows, count) * where.size)
                filled = 0
        if source.place != chunk.end:
            what = f"points {chunk.first:,} to {chunk.first + chunk.points - 1:,}"
            raise ValueError(f"its compressed points are damaged: {what} end {chunk.end - source.place} bytes early")


class _Chunks(io.RawIOBase):
    """Consecutive chunks as a LAZ file of their own: where the table is, the chunks' bytes, the table.

    Nothing is read beyond ``limit``, and what is near it byte by byte. So ``place``, which is one of the file, tells
    how many bytes the points took, though the library reads ahead.
    """

    def __init__(self, file: BinaryIO, where: Where, group: Sequence[Chunk]) -> None:
        table = io.BytesIO()
        sizes = [(chunk.points, chunk.end - chunk.start) for chunk in group]
        lazrs.write_chunk_table(table, sizes, lazrs.LazVlr(where.record))
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
            self.file.seek(self.place)
            data = self.file.read(min(count, self.end - self.place))
        else:
            data = self.table[self.place - self.end :][:count]
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def seek(self, place: int, whence: int = 0) -> int:
        base = {0: self.start, 1: self.place, 2: self.end + len(self.table)}[whence]
        self.place = base + place
        return self.tell()

    def tell(self) -> int:
        return int(self.place - self.start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
