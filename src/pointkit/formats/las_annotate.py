"""LAS and LAZ files with classes of ours: each byte that does not have to change stays as it was.

``label`` becomes the classification of each point. Other fields become extra dimensions, which makes every record
longer. The header, the records before and behind the points, and all other fields of the points are copied. In LAZ, the
record that says how points are compressed may change, and the places of what lies behind them. COPC becomes LAZ: its
index would not fit the points any more.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array
from pointkit.formats import las_header, laz, records
from pointkit.formats.las_header import EXTRA, LASZIP, LEGACY, VLR_HEAD, Header
from pointkit.formats.las_layout import entries, entry, standard
from pointkit.formats.las_write import vlr
from pointkit.formats.streams import ROWS, Opened

Bytes = NDArray[np.uint8]
LABEL = "label"
_POINTERS = 227  # where the header of LAS 1.3 and 1.4 says where waveforms and EVLRs begin
_COPC = "copc"
_WAVEFORMS = (4, 5, 9, 10)  # the point formats that have them
_BESIDE = 4  # the bit of the header that says that they lie in a file of their own


@dataclass(frozen=True)
class Edit:
    """What is done to the records: the ``codes`` (N,) for their classes, and bytes (N, k) that follow each."""

    point_format: int
    codes: Bytes | None
    more: Bytes

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return self.more.nbytes + (0 if self.codes is None else self.codes.nbytes)

    def applied(self, start: int, raw: Bytes) -> Bytes:
        """Records (n, bytes) from the number ``start`` on, edited."""
        some = slice(start, start + len(raw))
        raw = np.concatenate([raw, self.more[some]], 1)
        if self.codes is not None:
            place, flags = (15, 0xE0) if self.point_format < LEGACY else (16, 0)
            raw[:, place] = raw[:, place] & flags | self.codes[some]
        return raw


def annotate(opened: Opened, file: BinaryIO, fields: Mapping[str, Array]) -> None:
    """Write a file with further ``fields`` of its points. Raises ValueError where they do not fit."""
    header = las_header.read(opened)
    edit, described = _edit(opened, header, fields)
    bodies: dict[tuple[str, int], bytes | None] = {EXTRA: described} if described else {}
    record = b""
    if header.compressed:
        record = _record(opened, header, edit.more.shape[1])
        bodies[LASZIP] = record
    head = _head(opened, header, bodies, edit.more.shape[1])
    file.write(head)
    if header.compressed:
        for place, data in laz.rewritten(opened, header, edit, record, len(head), edit.size):
            file.seek(place)
            file.write(data)
        file.seek(0, 2)
        behind = header.tail
    else:
        start = 0
        behind = header.start + header.count * header.record_bytes
        for data in opened.blocks(header.start, behind, ROWS * header.record_bytes):
            raw = np.frombuffer(data, np.uint8).reshape(-1, header.record_bytes)
            file.write(edit.applied(start, raw).tobytes())
            start += len(raw)
    _tail(opened, header, file, behind)


def largest(opened: Opened) -> int:
    """The largest code that a class of a file can have."""
    return _largest(las_header.read(opened))


def _largest(header: Header) -> int:
    return 31 if header.point_format < LEGACY else 255


def about_copy(opened: Opened) -> str:
    """What becomes of COPC, and of waveforms in a file beside; "" for other files."""
    header = las_header.read(opened)
    if header.is_copc:
        return "COPC is answered as LAZ, without its index"
    if header.point_format in _WAVEFORMS and opened.at(6, 1)[0] & _BESIDE:
        return "the waveforms stay in the .wdp file beside; programs look for it under the name of the labelled file"
    return ""


def _edit(opened: Opened, header: Header, fields: Mapping[str, Array]) -> tuple[Edit, bytes]:
    """What is done to the records, and the description of all extra dimensions where there are new ones."""
    ours = records.added(fields, header.count)
    codes = ours.pop(LABEL, None)
    if codes is not None:
        if codes.min() < 0 or codes.max() > _largest(header):
            found = f"{codes.min()} to {codes.max()}"
            raise ValueError(f"classes in point format {header.point_format} are 0 to {_largest(header)}, got {found}")
        codes = codes.astype(np.uint8)
    reserved = {dimension.name for dimension in standard(header.point_format)} & ours.keys()
    if reserved:
        raise ValueError(f"a field must not have a name that LAS uses itself, got {min(reserved)!r}")
    columns = records.flat({name: records.storable(name, array, 8) for name, array in ours.items()})
    wide = [np.ascontiguousarray(array).view(np.uint8).reshape(header.count, -1) for array in columns.values()]
    more = np.concatenate(wide, 1) if wide else np.empty((header.count, 0), np.uint8)
    if header.record_bytes + more.shape[1] >= 2**16:
        raise ValueError(f"a point takes {2**16 - 1} bytes at most, got {header.record_bytes + more.shape[1]}")
    described = b"".join([*entries(opened, header, columns), *(entry(*each) for each in columns.items())])
    return Edit(header.point_format, codes, more), described if columns else b""


def _record(opened: Opened, header: Header, added: int) -> bytes:
    """How the points are compressed: as they were, where that can be."""
    old = header.find(*LASZIP)
    assert old is not None
    record = opened.at(old.start, old.end - old.start)
    if header.chunk and not added and laz.can_compress(record):
        return record
    return laz.record(header.point_format, header.extra_bytes + added)


def _head(opened: Opened, header: Header, bodies: Mapping[tuple[str, int], bytes | None], added: int) -> bytes:
    """All that stands before the points, with other ``bodies`` of some records, and without what only COPC has."""
    head = bytearray(opened.at(0, header.size))
    parts: list[bytes] = []
    missing = dict(bodies)
    for each in header.vlrs:
        if each.user == _COPC:
            continue
        start = opened.at(each.head, VLR_HEAD)
        body = missing.pop(each.key, None)
        if body is None:
            body = opened.at(each.start, each.end - each.start)
        parts += [start[:20], struct.pack("<H", len(body)), start[22:], body]
    number = sum(each.user != _COPC for each in header.vlrs)
    for key, body in missing.items():
        assert body is not None
        parts.append(vlr(*key, body))
        number += 1
    end = header.vlrs[-1].end if header.vlrs else header.size
    parts.append(opened.at(end, header.start - end))
    start_of_points = header.size + sum(map(len, parts))
    struct.pack_into("<II", head, 96, start_of_points, number)
    struct.pack_into("<H", head, 105, header.record_bytes + added)
    return b"".join([bytes(head), *parts])


def _tail(opened: Opened, header: Header, file: BinaryIO, behind: int) -> None:
    """Write what lies behind the points, from the place ``behind`` in the source on; then say in the header where."""
    moved = file.tell() - behind
    kept = [each for each in header.evlrs if each.user != _COPC]
    if len(kept) == len(header.evlrs):
        for block in opened.blocks(behind, opened.size):
            file.write(block)
        first = header.evlrs[0].head + moved if kept else 0
    else:
        first = file.tell() if kept else 0
        for block in itertools.chain.from_iterable(opened.blocks(each.head, each.end) for each in kept):
            file.write(block)
    if header.version >= 3 and header.waves:
        file.seek(_POINTERS)
        file.write(struct.pack("<Q", header.waves + moved))
    if header.version >= 4 and header.evlrs:
        file.seek(_POINTERS + 8)
        file.write(struct.pack("<QI", first, len(kept)))
