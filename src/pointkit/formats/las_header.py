"""The head of a LAS file, checked against the file's size before a library sees a byte of it.

A header promises numbers of points and of records. A library that believes them may loop four billion times, or take
all memory. Here each number is compared with the bytes that are there.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointkit.cloud import Float64
from pointkit.formats.files import refuse_bomb
from pointkit.formats.streams import Opened

HEAD_BYTES = {0: 227, 1: 227, 2: 227, 3: 235, 4: 375}  # minor version -> bytes of the header
RECORD_BYTES = (20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67)  # point format -> bytes of its record, without extra ones
COMPRESSED = 0x80
LEGACY = 6  # formats before this one have five bits for a class
LASZIP = ("laszip encoded", 22204)
EXTRA = ("LASF_Spec", 4)
VLR_HEAD, EVLR_HEAD = 54, 60
WHOLE = 1  # the kind of compression of the oldest files: no chunks, and no table of them
_ANY_SIZE = 2**32 - 1  # chunks that say themselves how many points they have
_ITEMS = 34  # bytes of a LASzip record before its items
_EXTRA_ITEMS = (0, 14)  # of any number of bytes
_SIZES = {6: 20, 7: 8, 8: 6, 9: 29, 10: 30, 11: 6, 12: 8, 13: 29}  # item -> its bytes in a point


class Vlr(NamedTuple):
    """A variable length record: whose it is, its number, where its head begins, and where its body begins and ends."""

    user: str
    number: int
    head: int
    start: int
    end: int

    @property
    def key(self) -> tuple[str, int]:
        return self.user, self.number


@dataclass(frozen=True)
class Header:
    """What the head of a LAS file says. ``start`` is where the points begin, ``end`` where they must end at the latest.

    ``tail`` is where the records behind the points begin, such as EVLRs; the file's size where there are none.
    ``waves`` is where waveforms in the file begin; 0 where it has none. ``chunk`` is the number of points that are
    compressed together; 0 where they are not, or where each chunk has a number of its own.
    """

    version: int
    size: int
    start: int
    end: int
    tail: int
    point_format: int
    record_bytes: int
    count: int
    scale: Float64
    offset: Float64
    low: Float64
    high: Float64
    compressed: bool
    vlrs: tuple[Vlr, ...]
    evlrs: tuple[Vlr, ...]
    waves: int
    chunk: int
    software: str
    day: tuple[int, int]

    def find(self, user: str, number: int) -> Vlr | None:
        """The first record of that key; None where there is none."""
        return next((vlr for vlr in (*self.vlrs, *self.evlrs) if vlr.key == (user, number)), None)

    @property
    def is_copc(self) -> bool:
        return any(vlr.user == "copc" for vlr in self.vlrs)

    @property
    def extra_bytes(self) -> int:
        """The bytes of a record behind those of its format."""
        return self.record_bytes - RECORD_BYTES[self.point_format]


def read(opened: Opened) -> Header:
    """The head of a file. Raises ValueError where it promises what the file does not hold."""
    start = opened.at(0, min(opened.size, HEAD_BYTES[4]))
    if start[:4] != b"LASF":
        raise ValueError(f"a LAS file begins with LASF, got {start[:4]!r}")
    if len(start) < HEAD_BYTES[0]:
        raise ValueError(f"a LAS header has {HEAD_BYTES[0]} bytes or more, got {len(start)}")
    major, minor = start[24], start[25]
    if major != 1 or minor not in HEAD_BYTES:
        raise ValueError(f"the version must be 1.0 to 1.4, got {major}.{minor}")
    day, year, size, points, vlrs, form, record_bytes, legacy = struct.unpack_from("<HHHIIBHI", start, 90)
    least = HEAD_BYTES[minor]
    if points > opened.size:
        raise ValueError(f"the points must begin in the file's {opened.size} bytes, got {points}: is it cut?")
    if not least <= size <= points:
        rule = f"the header of LAS 1.{minor} has {least} bytes or more, before the points"
        raise ValueError(f"{rule}; got {size}, the points begin at {points}")
    point_format = form & 0x3F
    if point_format >= len(RECORD_BYTES) or form & 0x40:
        raise ValueError(f"the point format must be 0 to {len(RECORD_BYTES) - 1}, got {form & 0x7F}")
    if record_bytes < RECORD_BYTES[point_format]:
        needed = RECORD_BYTES[point_format]
        raise ValueError(f"a point of format {point_format} has {needed} bytes or more, got {record_bytes}")
    numbers = np.frombuffer(start, "<f8", 12, 131)
    scale, offset, box = numbers[:3], numbers[3:6], numbers[6:]
    if not (np.isfinite(numbers[:6]).all() and scale.all()):
        raise ValueError(f"scale and offset must be finite, and no scale 0, got {scale.tolist()} and {offset.tolist()}")
    count, waves, tail, evlrs = legacy, 0, 0, 0
    if minor >= 3:
        (waves,) = struct.unpack_from("<Q", start, 227)
    if minor >= 4:
        tail, evlrs, count = struct.unpack_from("<QIQ", start, 235)
        if legacy not in (0, count):
            raise ValueError(f"the header has two numbers of points, which must be the same, got {legacy} and {count}")
    if not count:
        raise ValueError("no points")
    records = _vlrs(opened, size, points, vlrs)
    behind = _evlrs(opened, points, tail, evlrs)
    known = sorted(place for place in (tail if evlrs else 0, waves) if points <= place <= opened.size and place)
    header = Header(
        version=minor, size=size, start=points, end=known[0] if known else opened.size,
        tail=known[0] if known else opened.size, point_format=point_format, record_bytes=record_bytes, count=count,
        scale=scale, offset=offset, low=box[1::2], high=box[::2], compressed=bool(form & COMPRESSED), vlrs=records,
        evlrs=behind, waves=waves, chunk=0, software=_text(start[58:90]), day=(day, year),
    )  # fmt: skip
    return _compressed(opened, header) if header.compressed else _plain(opened, header)


def _vlrs(opened: Opened, place: int, end: int, count: int) -> tuple[Vlr, ...]:
    """The records between the header and the points."""
    if count * VLR_HEAD > end - place:
        raise ValueError(
            f"the header promises {count} records in {end - place} bytes, which hold {VLR_HEAD} each or more"
        )
    found = []
    for number in range(count):
        if place + VLR_HEAD > end:
            raise ValueError(f"record {number} of {count} begins at {place}, behind the points at {end}")
        head = opened.at(place, VLR_HEAD)
        key, (size,) = _key(head), struct.unpack_from("<H", head, 20)
        found.append(Vlr(*key, place, place + VLR_HEAD, place + VLR_HEAD + size))
        place = found[-1].end
        if place > end:
            raise ValueError(f"record {number} of {count} ends at {place}, behind the points' beginning at {end}")
    return tuple(found)


def _evlrs(opened: Opened, points: int, place: int, count: int) -> tuple[Vlr, ...]:
    """The records behind the points."""
    if not count:
        return ()
    if not points <= place <= opened.size or count * EVLR_HEAD > opened.size - place:
        raise ValueError(f"the header promises {count} records at {place}, in a file of {opened.size} bytes")
    found = []
    for number in range(count):
        if place + EVLR_HEAD > opened.size:
            raise ValueError(f"record {number} of {count} behind the points begins at {place} of {opened.size} bytes")
        head = opened.at(place, EVLR_HEAD)
        key, (size,) = _key(head), struct.unpack_from("<Q", head, 20)
        found.append(Vlr(*key, place, place + EVLR_HEAD, place + EVLR_HEAD + size))
        place = found[-1].end
        if place > opened.size:
            raise ValueError(f"record {number} of {count} behind the points ends at {place}, the file at {opened.size}")
    return tuple(found)


def _key(head: bytes) -> tuple[str, int]:
    return _text(head[2:18]), struct.unpack_from("<H", head, 18)[0]


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _plain(opened: Opened, header: Header) -> Header:
    """The header of a file that is not compressed, once the number of points is compared with the bytes."""
    needed, there = header.count * header.record_bytes, header.end - header.start
    if needed > there or there - needed >= header.record_bytes:
        points = f"{header.count} points of {header.record_bytes} bytes"
        raise ValueError(f"the header promises {points}, which are {needed} bytes, got {there}")
    return header


def _compressed(opened: Opened, header: Header) -> Header:
    """The header of a LAZ file, once what says how its points are compressed is compared with the bytes."""
    vlr = header.find(*LASZIP)
    if vlr is None:
        raise ValueError("the points are compressed, but no LASzip record says how")
    body = opened.at(vlr.start, vlr.end - vlr.start)
    if len(body) < _ITEMS or len(body) < _ITEMS + 6 * struct.unpack_from("<H", body, 32)[0]:
        raise ValueError(f"the LASzip record is too short, with {len(body)} bytes")
    (kind, coder), (chunk,), (number,) = (
        struct.unpack_from(form, body, place) for form, place in (("<HH", 0), ("<I", 12), ("<H", 32))
    )
    items = [struct.unpack_from("<HHH", body, _ITEMS + 6 * i) for i in range(number)]
    whole = kind == WHOLE and header.point_format < LEGACY
    if coder or not (whole or (kind in (2, 3) and chunk)):
        raise ValueError(
            f"points must be compressed in chunks (2 or 3), got the kind {kind}, {coder} of {chunk} points"
        )
    known = all(item in _EXTRA_ITEMS or _SIZES.get(item) == size for item, size, _ in items)
    if not known or sum(size for _, size, _ in items) != header.record_bytes:
        sizes = ", ".join(f"{item}: {size}" for item, size, _ in items[:16])
        raise ValueError(f"the LASzip record must describe points of {header.record_bytes} bytes, got {sizes}")
    if whole:
        refuse_bomb(header.count * header.record_bytes, opened.size)
        return header
    return dataclasses.replace(header, chunk=_chunks(opened, header, 0 if chunk == _ANY_SIZE else chunk))


def _chunks(opened: Opened, header: Header, chunk: int) -> int:
    """The size of chunks, once their table is found to have as many as the points need, and bytes for each."""
    (table,) = struct.unpack("<q", opened.at(header.start, 8))
    if table == -1:  # a writer that could not go back to put it there
        (table,) = struct.unpack("<q", opened.at(opened.size - 8, 8))
    if not header.start + 8 <= table <= header.end - 8:
        between = f"must lie between {header.start + 8} and {header.end - 8}, got {table}"
        raise ValueError(f"the table of chunks {between}: is the file cut, or was it never written to its end?")
    version, count = struct.unpack("<II", opened.at(table, 8))
    needed = -(-header.count // chunk) if chunk else 1
    if (
        version
        or count < needed
        or (chunk and count > needed)
        or count * header.record_bytes > table - header.start - 8
    ):
        points = f"{header.count} points in chunks of {chunk or 'their own size'}"
        raise ValueError(f"the table has {count} chunks in {table - header.start - 8} bytes, for {points}")
    return chunk
