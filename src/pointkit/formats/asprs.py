"""The classes of LAS files, as the ASPRS names them in its specifications of LAS 1.2 and 1.4."""

from __future__ import annotations

FIELD = "classification"
NAMES = {
    0: "never classified", 1: "unclassified", 2: "ground", 3: "low vegetation", 4: "medium vegetation",
    5: "high vegetation", 6: "building", 7: "low noise", 8: "model key point", 9: "water", 10: "rail",
    11: "road surface", 12: "overlap", 13: "wire guard", 14: "wire conductor", 15: "transmission tower",
    16: "wire connector", 17: "bridge deck", 18: "high noise", 19: "overhead structure", 20: "ignored ground",
    21: "snow", 22: "temporal exclusion",
}  # fmt: skip


def name(code: int) -> str:
    """The name of a class; "class 64" where the specification leaves it to others."""
    return NAMES.get(code, f"class {code}")
