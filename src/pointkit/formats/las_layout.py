"""What the bytes of a LAS record mean: fields of a point format, fields of single bits, and the file's extra bytes."""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array, Float64
from pointkit.errors import MissingExtraError
from pointkit.formats import records
from pointkit.formats.las_header import EXTRA, RECORD_BYTES, Header
from pointkit.formats.streams import Opened

ENTRY = 192  # bytes that describe an extra dimension
KINDS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")  # of extra dimensions, from 1 on
REST = "ExtraBytes"  # bytes of a record that no entry describes
_SCALE, _OFFSET = 8, 16  # bits that say what an entry has
_LONGEST = 32  # bytes of a name
_BLOCK = 1 << 14  # rows that are taken apart at a time: they fit a processor's cache


class Dimension(NamedTuple):
    """A field of a record: the bytes that hold it, and how its numbers come out of them.

    ``kind`` is the type of the bytes at ``place``. ``mask`` has the bits that are meant; 0 means all. A number is then
    multiplied by ``scale`` and ``offset`` is added, where these are given.
    """

    name: str
    place: int
    kind: np.dtype[Any]
    mask: int = 0
    scale: Float64 | None = None
    offset: Float64 | None = None

    @property
    def gives(self) -> np.dtype[Any]:
        """The type of the field."""
        if self.scale is None:
            return self.kind
        return np.dtype((np.float64, self.kind.shape))


def layout(opened: Opened, header: Header) -> list[Dimension]:
    """The fields of a file's records, in their order, without the coordinates. Those of the file come last."""
    found = standard(header.point_format)
    taken = {"x", "y", "z", *(dimension.name for dimension in found)}
    for dimension in _extra(opened, header):
        name = dimension.name or "extra"
        while name in taken:  # a standard one, or one that stands twice
            name = f"extra_{name}"
        taken.add(name)
        found.append(dimension._replace(name=name))
    return found


def standard(point_format: int) -> list[Dimension]:
    """The fields of a point format, in their order, without the coordinates."""
    dims = _laspy().point.dims
    found: list[Dimension] = []
    place = 0
    masks = dims.COMPOSED_FIELDS[point_format]
    for name in dims.ALL_POINT_FORMATS_DIMENSIONS[point_format]:
        kind = dims.DIMENSIONS_TO_TYPE[name].newbyteorder("<")
        if name in masks:
            found += [Dimension(bits.name, place, kind, bits.mask) for bits in masks[name]]
        elif name not in ("X", "Y", "Z"):
            found.append(Dimension(name, place, kind))
        place += kind.itemsize
    assert place == RECORD_BYTES[point_format]
    return found


def _laspy() -> Any:
    try:
        import laspy
    except ImportError:
        raise MissingExtraError("LAS files need the extra las: pip install 'pointkit[las]'") from None
    return laspy


def _extra(opened: Opened, header: Header) -> list[Dimension]:
    """The file's own fields, as its record of extra bytes describes them. What that leaves over is one field more."""
    found: list[Dimension] = []
    place, end = RECORD_BYTES[header.point_format], header.record_bytes
    vlr = header.find(*EXTRA)
    described = b"" if vlr is None else opened.at(vlr.start, vlr.end - vlr.start)
    for start in range(0, len(described) - ENTRY + 1, ENTRY):
        dimension = _described(described[start : start + ENTRY], place)
        if dimension is None or place + dimension.kind.itemsize > end:
            break
        found.append(dimension)
        place += dimension.kind.itemsize
    if place < end:
        found.append(Dimension(REST, place, np.dtype(("u1", (end - place,)))))
    return found


def _described(entry: bytes, place: int) -> Dimension | None:
    """The field that an entry describes; None where its type is not known."""
    number, options = entry[2], entry[3]
    name = entry[4:36].partition(b"\0")[0].decode("utf-8", "replace")
    if number == 0:  # so many bytes without a meaning
        return Dimension(name, place, np.dtype(("u1", (options,)))) if options else None
    if number > 3 * len(KINDS):
        return None
    width, kind = (number - 1) // len(KINDS) + 1, KINDS[(number - 1) % len(KINDS)]
    scale = np.array(struct.unpack_from("<3d", entry, 112)[:width]) if options & _SCALE else np.ones(width)
    offset = np.array(struct.unpack_from("<3d", entry, 136)[:width]) if options & _OFFSET else np.zeros(width)
    dtype = np.dtype(f"<{kind}") if width == 1 else np.dtype((f"<{kind}", (width,)))
    if not options & (_SCALE | _OFFSET):
        return Dimension(name, place, dtype)
    return Dimension(name, place, dtype, 0, scale, offset)


def entries(opened: Opened, header: Header, taken: Collection[str]) -> list[bytes]:
    """The descriptions of a file's extra dimensions, for a record that more follow.

    A dimension whose name is ``taken`` by a new one is renamed to source_NAME. Bytes without a description get one.
    """
    vlr = header.find(*EXTRA)
    if vlr is not None and vlr not in header.vlrs:
        raise ValueError("its extra dimensions are described behind the points, where no more can be added")
    described = b"" if vlr is None else opened.at(vlr.start, vlr.end - vlr.start)
    found = _extra(opened, header)
    result = []
    names = records.renamed([dimension.name for dimension in found], taken)
    for i, dimension in enumerate(found):
        if dimension.name == REST and dimension.kind.shape:
            width = dimension.kind.itemsize
            result += [_packed(f"{REST}_{at}", 0, min(255, width - at)) for at in range(0, width, 255)]
            continue
        own = described[i * ENTRY : (i + 1) * ENTRY]
        name = names.get(dimension.name)
        result.append(own[:4] + _named(name) + own[36:] if name else own)
    return result


def entry(name: str, array: Array) -> bytes:
    """The description of a new extra dimension."""
    return _packed(name, KINDS.index(f"{array.dtype.kind}{array.dtype.itemsize}") + 1, 0)


def _packed(name: str, number: int, options: int) -> bytes:
    return struct.pack("<2xBB32s", number, options, _named(name)).ljust(ENTRY, b"\0")


def _named(name: str) -> bytes:
    data = name.encode()
    if len(data) > _LONGEST:
        raise ValueError(f"a field's name in a LAS file has {_LONGEST} bytes at most, got {name!r}")
    return data.ljust(_LONGEST, b"\0")


class Columns:
    """Columns for ``count`` rows of a file: ``xyz`` (count, 3) float64, and ``fields`` in their own types."""

    def __init__(self, header: Header, dimensions: Sequence[Dimension], count: int) -> None:
        self.scale, self.offset = header.scale, header.offset
        self.dimensions = dimensions
        self.xyz = np.empty((count, 3))
        self.fields: dict[str, Array] = {
            each.name: np.empty((count, *each.kind.shape), each.gives.base) for each in dimensions
        }
        kinds = [each.kind for each in dimensions]
        self._record = np.dtype(
            {
                "names": ["xyz", *map(str, range(len(kinds)))],
                "formats": [("<i4", (3,)), *kinds],
                "offsets": [0, *(each.place for each in dimensions)],
                "itemsize": header.record_bytes,
            }
        )

    def take(self, start: int, raw: NDArray[np.uint8]) -> None:
        """Put records (n, bytes) into the rows from ``start`` on."""
        records = np.ascontiguousarray(raw).reshape(-1).view(self._record)
        columns = list(self.fields.values())
        for first in range(0, len(records), _BLOCK):
            some = records[first : first + _BLOCK]
            rows = slice(start + first, start + first + len(some))
            for i, scale in enumerate(self.scale):  # in these steps, as all programs do it
                axis = self.xyz[rows, i]
                np.multiply(some["xyz"][:, i], scale, out=axis)
                axis += self.offset[i]
            flags: dict[int, Array] = {}  # place -> bytes that several dimensions share, one after another
            for i, (dimension, column) in enumerate(zip(self.dimensions, columns, strict=True)):
                values = some[str(i)]
                if dimension.mask:
                    if dimension.place not in flags:
                        flags[dimension.place] = np.ascontiguousarray(values)
                    values = flags[dimension.place]
                _put(values, dimension, column[rows])


def _put(values: Array, dimension: Dimension, column: Array) -> None:
    if dimension.mask:
        low = dimension.mask & -dimension.mask
        np.right_shift(values & dimension.mask, low.bit_length() - 1, out=column, casting="unsafe")
    elif dimension.scale is not None and dimension.offset is not None:
        wide = len(dimension.scale) > 1
        np.multiply(values, dimension.scale if wide else dimension.scale[0], out=column)
        column += dimension.offset if wide else dimension.offset[0]
    else:
        column[...] = values
