"""An answer about parts as fields of a shape or a file, beside the fields that it has already."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Mapping

from pointkit import formats, outputs
from pointkit.asking import PartsPrediction
from pointkit.cloud import Array, Mesh, Shape
from pointkit.errors import PointkitError


def fields(answer: PartsPrediction) -> dict[str, Array]:
    """The fields of an answer: ``label`` (N,) int32, as in the set's own files, and its ``probability``."""
    return {"label": answer.labels, "probability": answer.probability}


def for_copy(path: pathlib.Path, answer: PartsPrediction, extra_bytes: bool) -> dict[str, Array]:
    """The fields of an answer for the labelled copy of a file.

    In LAS and LAZ the label is the class of each point, and all else would make every record longer. Only with
    ``extra_bytes`` there is the probability, and labels that are no class have a field of their own.
    """
    ours = fields(answer)
    largest = formats.largest_code(path)
    if largest is None:
        return ours
    if not extra_bytes:
        return {"label": ours["label"]}
    if not fit(list(answer.codes.values()), largest):
        ours["label_id"] = ours.pop("label")
    return ours


def fit(codes: Collection[int], largest: int) -> bool:
    """Whether these codes may be the classes of points."""
    return all(0 <= code <= largest for code in codes)


def refusal(path: pathlib.Path, codes: Collection[int], extra_bytes: bool) -> PointkitError | None:
    """Why a file's copy has no room for some labels; None where it has."""
    largest = formats.largest_code(path)
    if largest is None or extra_bytes or fit(codes, largest):
        return None
    wrong = ", ".join(str(code) for code in sorted(codes) if not 0 <= code <= largest)
    return PointkitError(
        f"{path}: a class in this file is 0 to {largest}, the run also answers {wrong}; --extra-bytes writes labels "
        f"into a field of their own"
    )


def notes(answer: PartsPrediction) -> list[str]:
    """Comment lines that name the labels."""
    return [f"label {code} is {name}" for name, code in answer.codes.items()]


def labelled(shape: Shape, answer: PartsPrediction) -> tuple[Shape, Mapping[str, int]]:
    """The shape with the fields of an answer beside its own, and how many points, or faces, each part has."""
    ours = fields(answer)
    if isinstance(shape, Mesh):
        return dataclasses.replace(shape, face_fields=outputs.fields(shape.face_fields, ours)), answer.counts
    return dataclasses.replace(shape, fields=outputs.fields(shape.fields, ours), labels=None), answer.counts
