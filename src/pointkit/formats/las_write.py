"""A cloud as a new LAS 1.4 or LAZ file: for ``write``, and for answers about formats that cannot hold them.

Coordinates become whole numbers of the finest power of ten that reaches over the cloud, so they are rounded by at most
a hundred-millionth of its size. A field that the point format has takes its place there, if its numbers fit. All others
become extra dimensions of the file, in their own types.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from pointkit import disk
from pointkit.cloud import Array, Float64, PointCloud, Shape
from pointkit.formats import laz, records
from pointkit.formats.las_header import COMPRESSED, EXTRA, HEAD_BYTES, LASZIP, RECORD_BYTES
from pointkit.formats.las_layout import Dimension, entry, standard

_COLORS = ("red", "green", "blue")
_LARGEST = 2**31 - 1000


def write(path: disk.Path, shape: Shape) -> None:
    """Write a cloud as LAS, or as LAZ where the path ends so."""
    parts = encoded(shape, compressed=disk.shown(path).lower().endswith(".laz"))
    with disk.replacing(path) as file:
        file.writelines(parts)


def encoded(
    shape: Shape,
    *,
    compressed: bool,
    more: Mapping[str, Array] | None = None,
    grid: tuple[Float64, Float64] | None = None,
    vlrs: Sequence[bytes] = (),
) -> list[bytes]:
    """The bytes of a file that holds a cloud, in pieces. ``more`` are further fields, which come before the cloud's.

    ``grid``: scale and offset (3,) of the whole numbers that the coordinates are already, if they are. ``vlrs`` are
    further records. Raises ValueError where a field has no place in LAS.
    """
    if not isinstance(shape, PointCloud):
        raise ValueError("a .las file holds a cloud of points, got a mesh")
    theirs = records.flat({name: records.storable(name, array, 8) for name, array in records.columns(shape).items()})
    ours = {name: records.storable(name, array, 8) for name, array in (more or {}).items()}
    names = records.renamed(theirs, ours)
    columns = {names.get(name, name): array for name, array in theirs.items()} | ours
    point_format = _format(columns)
    places = {each.name: each for each in standard(point_format)}
    inside = {name: places[name] for name, array in columns.items() if name in places and _fits(array, places[name])}
    outside = {name: array for name, array in columns.items() if name not in inside}
    renamed = records.renamed(outside, places)
    outside = {renamed.get(name, name): array for name, array in outside.items()}
    described = b"".join(entry(name, array) for name, array in outside.items())
    scale, offset, whole = _whole(records.coordinates(shape).astype(np.float64), grid)
    raw = np.zeros((len(whole), RECORD_BYTES[point_format]), np.uint8)
    raw[:, :12] = whole.view(np.uint8)
    for name, place in inside.items():
        _place(raw, place, columns[name])
    wide = [np.ascontiguousarray(array).view(np.uint8).reshape(len(raw), -1) for array in outside.values()]
    raw = np.concatenate([raw, *wide], 1)
    vlrs = [*vlrs, vlr(*EXTRA, described)] if described else [*vlrs]
    record = laz.record(point_format, raw.shape[1] - RECORD_BYTES[point_format]) if compressed else b""
    if compressed:
        vlrs.append(vlr(*LASZIP, record))
    box = np.stack([whole.max(0), whole.min(0)], 1) * scale[:, None] + offset[:, None]
    head = _head(point_format | (COMPRESSED if compressed else 0), raw, vlrs, scale, offset, box)
    start = len(head) + sum(map(len, vlrs))
    return [head, *vlrs, *(laz.encoded([raw], record, start) if compressed else [raw.tobytes()])]


def vlr(user: str, number: int, body: bytes) -> bytes:
    """A variable length record with its head."""
    if len(body) >= 2**16:
        raise ValueError(f"a record of a LAS file holds {2**16 - 1} bytes at most, got {len(body)}")
    return struct.pack("<H16sHH32s", 0, user.encode(), number, len(body), b"") + body


def _format(columns: Mapping[str, Array]) -> int:
    """The point format that has room for the colours among the columns."""
    held = {name for name, array in columns.items() if array.dtype.kind == "u" and array.dtype.itemsize <= 2}
    if not held.issuperset(_COLORS):
        return 6
    return 8 if "nir" in held else 7


def _fits(array: Array, place: Dimension) -> bool:
    """Whether a field's place in the record holds all its numbers."""
    if place.kind.kind == "f":
        return array.dtype.kind == "f" and array.dtype.itemsize <= place.kind.itemsize
    if array.dtype.kind not in "iu" or not array.size:
        return False
    most = place.mask >> _shift(place) if place.mask else np.iinfo(place.kind).max
    least = 0 if place.mask else np.iinfo(place.kind).min
    return bool(least <= int(array.min()) and int(array.max()) <= most)


def _shift(place: Dimension) -> int:
    return (place.mask & -place.mask).bit_length() - 1


def _place(raw: Array, place: Dimension, array: Array) -> None:
    """Put a field into its place in the records."""
    if place.mask:
        raw[:, place.place] |= array.astype(np.uint8) << _shift(place)
        return
    if place.name in (*_COLORS, "nir") and array.dtype.itemsize == 1:
        array = array.astype(np.uint16) * 257  # 255 is the most of 8 bits, 65,535 that of 16
    raw[:, place.place : place.place + place.kind.itemsize] = (
        array.astype(place.kind).view(np.uint8).reshape(len(raw), -1)
    )


def _whole(xyz: Float64, grid: tuple[Float64, Float64] | None = None) -> tuple[Float64, Float64, Array]:
    """Scale and offset (3,) for coordinates (N, 3), and the coordinates as whole numbers (N, 3)."""
    if grid is not None:
        scale, offset = grid
        whole = np.round((xyz - offset) / scale)
        low, high = whole.min(0), whole.max(0)
        middle = np.where(np.maximum(high, -low) > _LARGEST, np.round((low + high) / 2), 0.0)
        if (high - low < 2 * _LARGEST).all():
            return scale, offset + middle * scale, np.ascontiguousarray(whole - middle, "<i4")
    low, high = xyz.min(0), xyz.max(0)
    offset = np.round((low + high) / 2)
    reach = np.maximum(high - offset, offset - low)
    scale = np.array([10.0 ** max(-9, math.ceil(math.log10(max(each, 1e-9) / _LARGEST))) for each in reach.tolist()])
    return scale, offset, np.ascontiguousarray(np.round((xyz - offset) / scale), "<i4")


def _head(form: int, raw: Array, vlrs: list[bytes], scale: Float64, offset: Float64, box: Float64) -> bytes:
    """The header of LAS 1.4. It says no day, so the same cloud makes the same file."""
    size, count = HEAD_BYTES[4], len(raw)
    returns = np.bincount(raw[:, 14] & 15, minlength=16)[1:16]
    with io.BytesIO() as head:
        head.write(struct.pack("<4sHH16sBB32s32s", b"LASF", 0, 16, b"", 1, 4, b"", b"pointkit"))  # 16: the CRS is WKT
        start = size + sum(map(len, vlrs))
        head.write(struct.pack("<HHHIIBHI", 0, 0, size, start, len(vlrs), form, raw.shape[1], 0))
        head.write(struct.pack("<5I", *[0] * 5))
        head.write(np.concatenate([scale, offset, box.reshape(-1)]).astype("<f8").tobytes())
        head.write(struct.pack("<QQIQ", 0, 0, 0, count))
        head.write(returns.astype("<u8").tobytes())
        return head.getvalue()
