"""Clouds in pieces: what formats give whose files may be larger than the memory, and how a cloud is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from pointkit.cloud import Array, Float64, Mesh, Shape

ROWS = 250_000  # of a piece, unless the caller wants another number


class Piece(NamedTuple):
    """Consecutive rows of a file.

    ``start``: the number of the first in the file. ``xyz`` (n, 3) are coordinates as the file has them, nan where a
    row has none; ``fields``: name -> (n, ...) array in the file's own type. ``doubt``: why these rows may be damaged.
    """

    start: int
    xyz: Float64
    fields: Mapping[str, Array]
    doubt: str = ""


@dataclass(frozen=True)
class Opened:
    """A file that a reader may seek in. ``source`` is its absolute path, or its bytes where it has none."""

    file: BinaryIO
    source: str | bytes
    size: int

    def at(self, place: int, count: int) -> bytes:
        """``count`` bytes from ``place`` on; ValueError where the file ends before."""
        self.file.seek(place)
        data = self.file.read(count)
        if len(data) < count:
            raise ValueError(f"ends in the middle: {count} bytes were expected at {place}, got {len(data)}")
        return data

    def blocks(self, start: int, end: int, most: int = 1 << 22) -> Iterator[bytes]:
        """The bytes from ``start`` to ``end`` in blocks."""
        while start < end:
            data = self.at(start, min(most, end - start))
            start += len(data)
            yield data


def sliced(shape: Shape, rows: int) -> Iterator[Piece]:
    """A cloud in pieces, as one of a file that was read whole. Raises ValueError for a mesh."""
    from pointkit.formats import records

    if isinstance(shape, Mesh):
        raise ValueError("a mesh does not come in pieces, only clouds do")
    there, count = records.rows_of(shape)
    xyz = np.full((count, 3), np.nan)
    xyz[there] = shape.placement.coordinates(shape.points)
    fields = records.spread(shape.fields, there, count)
    for start in range(0, count, rows):
        some = slice(start, start + rows)
        yield Piece(start, xyz[some], {name: array[some] for name, array in fields.items()})
