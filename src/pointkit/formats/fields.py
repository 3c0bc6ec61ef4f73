"""Fields in words, as messages and ``info`` show them: name, type, range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array, PointCloud, Shape


def all_described(shape: Shape) -> str:
    """All fields of a shape, in words."""
    if isinstance(shape, PointCloud):
        return described(shape.fields)
    levels = {"of faces": shape.face_fields, "of vertices": shape.vertex_fields}
    there = [f"{described(fields)} {where}" for where, fields in levels.items() if fields]
    return ", ".join(there) or "no fields"


def described(fields: Mapping[str, Array]) -> str:
    """Fields in words: name, type, and range. Of many the first sixteen."""
    words = [f"{name} ({_range(array)})" for name, array in list(fields.items())[:16]]
    more = f" and {len(fields) - 16} more" if len(fields) > 16 else ""
    return ", ".join(words) + more if words else "no fields"


def _range(array: Array) -> str:
    if array.dtype.kind == "U":
        return f"words, such as {array[0]!s}"
    kind = f"{array.dtype.name}" + (f" x {array.shape[1]}" if array.ndim == 2 else "")
    numbers = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if array.dtype.kind not in "biuf" or not numbers.size:
        return kind
    low, high = numbers.min(), numbers.max()
    whole = array.dtype.kind == "f" and not not_whole(numbers).any()
    return f"{kind}{', whole' if whole else ''}, {low:.6g} to {high:.6g}"


def not_whole(field: Array) -> NDArray[np.bool_]:
    """Which numbers are no whole ones of 32 bits."""
    with np.errstate(invalid="ignore"):
        wrong: NDArray[np.bool_] = (field < -(2**31)) | (field >= 2**31)
        return wrong if field.dtype.kind != "f" else wrong | (field != np.round(field))
