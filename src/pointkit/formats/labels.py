"""Which field of a file holds the labels of its points or faces. All other modules ask this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array, PointCloud, Shape

LABEL = "label"  # the field that readers give as a cloud's ``labels``
PARTS = (LABEL, "part")
LABELS = (*PARTS, "classification")  # the last has the codes of surveys; pictures prefer a file's colours to it


def name_in(fields: Mapping[str, Array], names: Sequence[str] = LABELS, kinds: str = "biuf") -> str | None:
    """The first of ``names`` that is a field of one number a row, in a type of these ``kinds``; None where none is."""
    return next((n for n in names if n in fields and fields[n].ndim == 1 and fields[n].dtype.kind in kinds), None)


def of_fields(fields: Mapping[str, Array], names: Sequence[str]) -> NDArray[np.int32] | None:
    """The labels (N,) in the first of ``names`` that is a field of whole numbers; None where there is no such field.

    Raises ValueError where they do not fit 32 bits.
    """
    name = name_in(fields, names, "iu")
    if name is None:
        return None
    field = fields[name]
    wrong = field[(field < -(2**31)) | (field >= 2**31)]
    if len(wrong):
        raise ValueError(f"the field {name} must fit 32 bits, got {wrong[0]}")
    return field.astype(np.int32)


def of(shape: Shape) -> NDArray[np.int32] | None:
    """The label of each point of a cloud (N,), or of each face of a mesh (F,); None where it has none.

    These are a cloud's ``labels``, else a field of whole numbers with a name in ``LABELS``. Raises ValueError where
    they do not fit 32 bits.
    """
    if not isinstance(shape, PointCloud):
        return of_fields(shape.face_fields, LABELS)
    return shape.labels if shape.labels is not None else of_fields(shape.fields, LABELS)


def in_text(name: str, column: Array) -> Array:
    """A column of a text, whose numbers are floats: as whole numbers if its name is a label's and all are whole."""
    whole = name in LABELS and (column == np.round(column)).all() and (np.abs(column) < 2**31).all()
    return column.astype(np.int32) if whole else np.ascontiguousarray(column)
