"""An answer about parts as fields of a shape or a file, beside the fields that it has already."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pointkit import outputs
from pointkit.asking import PartsPrediction
from pointkit.cloud import Array, Mesh, Shape


def fields(answer: PartsPrediction) -> dict[str, Array]:
    """The fields of an answer: ``label`` (N,) int32, as in the set's own files, and its ``probability``."""
    return {"label": answer.labels, "probability": answer.probability}


def notes(answer: PartsPrediction) -> list[str]:
    """Comment lines that name the labels."""
    return [f"label {code} is {name}" for name, code in answer.codes.items()]


def labelled(shape: Shape, answer: PartsPrediction) -> tuple[Shape, Mapping[str, int]]:
    """The shape with the fields of an answer beside its own, and how many points, or faces, each part has."""
    ours = fields(answer)
    if isinstance(shape, Mesh):
        return dataclasses.replace(shape, face_fields=outputs.fields(shape.face_fields, ours)), answer.counts
    return dataclasses.replace(shape, fields=outputs.fields(shape.fields, ours), labels=None), answer.counts
