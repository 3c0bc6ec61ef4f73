"""LAS 1.0 to 1.4 in point formats 0 to 10, LAZ and COPC: the files of surveys and laser scans.

A point is a record of whole numbers. Its coordinates are three of them, each times the file's scale plus its offset.
They come as the float64 numbers that all programs make of them, so the whole numbers can be had back from them. All
other fields come by the names that the format and the file give them, each in its own type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import PointCloud
from pointkit.formats import las_header, laz, records
from pointkit.formats.las_header import Header
from pointkit.formats.las_layout import Columns, layout
from pointkit.formats.streams import ROWS, Opened, Piece


def read(opened: Opened) -> PointCloud:
    """The points of a file, with all its fields."""
    header = las_header.read(opened)
    dimensions = layout(opened, header)
    try:
        columns = Columns(header, dimensions, header.count)
    except MemoryError:
        raise ValueError(f"its {header.count:,} points take more memory than there is") from None
    start, doubt = 0, ""
    for raw in _raw(opened, header, ROWS):
        doubt = doubt or _doubt(header, raw)
        columns.take(start, raw)
        start += len(raw)
    cloud = records.cloud(columns.xyz, columns.fields)
    return dataclasses.replace(cloud, doubts=(doubt,)) if doubt else cloud


def pieces(opened: Opened, rows: int) -> Iterator[Piece]:
    """The points of a file in pieces of ``rows``, in their order."""
    header = las_header.read(opened)
    dimensions = layout(opened, header)
    start = 0
    for raw in _raw(opened, header, rows):
        columns = Columns(header, dimensions, len(raw))
        columns.take(0, raw)
        yield Piece(start, columns.xyz, columns.fields, _doubt(header, raw))
        start += len(raw)


def _doubt(header: Header, raw: NDArray[np.uint8]) -> str:
    return laz.doubt(header, raw) if header.compressed else ""


def _raw(opened: Opened, header: Header, rows: int) -> Iterator[NDArray[np.uint8]]:
    """The records of a file as rows of bytes, in pieces of ``rows``."""
    if header.compressed:
        yield from laz.points(opened, header, rows)
        return
    end = header.start + header.count * header.record_bytes
    for data in opened.blocks(header.start, end, rows * header.record_bytes):
        yield np.frombuffer(data, np.uint8).reshape(-1, header.record_bytes)
