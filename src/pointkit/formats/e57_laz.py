"""The answer about an E57 file: a new LAZ, as no library writes E57 with fields of one's own.

Coordinates stand as they are read, each scan in its pose. Where a file has whole numbers with a step, these very
numbers come back, about the same place. Floats are rounded to a hundred-millionth of the cloud's size or less.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import BinaryIO

import numpy as np

from pointkit.cloud import Array, Float64
from pointkit.errors import MissingExtraError
from pointkit.formats import e57, las_layout, las_write, laz, records, wkt
from pointkit.formats.e57 import Scan
from pointkit.formats.streams import Opened

LABEL, CLASS = "label", "classification"
LARGEST = 255  # the largest class in the point formats that are written
_STRETCHED = (("intensity",), ("red", "green", "blue"))
_MOST = 65535  # of 16 bits
_SAME = 1e-3  # of a step, by which two scans' whole numbers may lie beside each other
_LONGEST = 32  # bytes of a field's name
_CRS, _TEXT = ("LASF_Projection", 2112), ("LASF_Spec", 3)  # records of WKT, and of a text about the area


def available() -> bool:
    """Whether the extra that writes LAZ is installed."""
    try:
        laz.lazrs()
        las_layout.standard(0)
    except MissingExtraError:
        return False
    return True


def largest(opened: Opened) -> int | None:
    """The largest code of a class in the answer about a file; None where that is PLY, which takes any label."""
    return LARGEST if available() else None


def about_copy(opened: Opened) -> str:
    """What the user should know of the answer about a file."""
    if not available():
        return "E57 is answered as PLY; with the extra las it is LAZ: pip install 'pointkit[las]'"
    return (
        "E57 is answered as LAZ, without invalid points; an intensity that is no whole number of 16 bits is stretched "
        "to one, and stays in full as source_intensity"
    )


def annotate(opened: Opened, file: BinaryIO, fields: Mapping[str, Array]) -> None:
    """Write the points of a file, with further ``fields``, as LAZ. ``label`` becomes the class of each point.

    Raises ValueError where they do not fit.
    """
    about = e57.listing(opened)
    cloud = e57.cloud_of(opened, about.scans)
    ours = records.added(fields, len(cloud.points))
    if LABEL in ours:
        codes = ours.pop(LABEL)
        if codes.min() < 0 or codes.max() > LARGEST:
            raise ValueError(f"classes in LAZ are 0 to {LARGEST}, got {codes.min()} to {codes.max()}")
        ours[CLASS] = codes.astype(np.uint8)
    for names in _STRETCHED:
        if all(name in cloud.fields for name in names):
            ours = _stretched({name: cloud.fields[name] for name in names}) | ours
    theirs = dict(zip(_short(cloud.fields), cloud.fields.values(), strict=True))
    cloud = dataclasses.replace(cloud, fields=theirs)
    said = [las_write.vlr(*_key(about.crs), about.crs.encode() + b"\0")] if about.crs else []
    file.writelines(las_write.encoded(cloud, compressed=True, more=ours, grid=grid(about.scans), vlrs=said))


def grid(scans: Sequence[Scan]) -> tuple[Float64, Float64] | None:
    """The step and the start, (3,) each, of the whole numbers that the coordinates of all scans are, in their poses.

    None where they are floats, where a pose turns them, or where they lie between each other.
    """
    some = [scan for scan in scans if scan.points]
    steps = {scan.steps for scan in some}
    if len(steps) != 1 or () in steps or any(e57.matrix(scan.rotation) is not None for scan in some):
        return None
    step = np.array(steps.pop())
    starts = np.array([np.array(scan.starts) + scan.translation for scan in some])
    if not (np.isfinite(step).all() and (step > 0).all()):
        return None
    between = (starts - starts[0]) / step
    return (step, starts[0]) if (np.abs(between - between.round()) < _SAME).all() else None


def _stretched(fields: Mapping[str, Array]) -> dict[str, Array]:
    """Fields as whole numbers of 16 bits; none where they are such already.

    Floats from 0 to 1 are multiplied by 65,535. Of others the least becomes 0, and the largest 65,535.
    """
    values = np.stack([array.astype(np.float64) for array in fields.values()], 1)
    there = values[np.isfinite(values)]
    if not there.size:
        return {}
    low, high = float(there.min()), float(there.max())
    if all(array.dtype.kind in "iu" for array in fields.values()):
        if low >= 0 and high <= _MOST:
            return {}
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    wide = np.nan_to_num((values - low) / (high - low or 1.0), nan=0.0, posinf=1.0, neginf=0.0)
    return {name: np.round(wide[:, i] * _MOST).astype(np.uint16) for i, name in enumerate(fields)}


def _short(names: Collection[str]) -> list[str]:
    """Names of so many bytes as a LAZ file holds, each another. Those that are short enough stay."""
    taken, result = set(names), []
    for name in names:
        short, number = name[:_LONGEST], 1
        while short != name and short in taken:
            number += 1
            short = f"{name[: _LONGEST - 4]}_{number}"
        taken.add(short)
        result.append(short)
    return result


def _key(crs: str) -> tuple[str, int]:
    """The record for the text that names a reference system, which should be WKT, but may be anything."""
    return _CRS if wkt.name(crs) else _TEXT
