"""A finding: something in a set that a training suffers from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pointkit.disk import shown

SHOWN = 3  # names in a line


class Finding(NamedTuple):
    """A finding of the audit.

    ``kind`` is a name in ``audit.KINDS``. ``files`` are the shapes' files that it is about, as shapes.csv names them.
    ``text`` says in one line what was found, why it matters, and what to do. ``stops``: a training on the set as it is
    would be worth nothing.
    """

    kind: str
    files: tuple[str, ...]
    text: str
    stops: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """The finding as a store and a report keep it."""
        return {"kind": self.kind, "files": list(self.files), "text": self.text}


def names(some: Sequence[str], most: int = SHOWN) -> str:
    """The first of several names, and the number of the others."""
    more = f" and {len(some) - most:,} more" if len(some) > most else ""
    return ", ".join(map(shown, some[:most])) + more


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things in words."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def kept(manifest: Mapping[str, Any]) -> list[Finding]:
    """The findings that a store keeps in its manifest, worst first; none in older stores."""
    stopping = manifest.get("stopping", 0)
    return [
        Finding(one["kind"], tuple(one["files"]), one["text"], stops=i < stopping)
        for i, one in enumerate(manifest.get("findings", ()))
    ]


def facts(found: Sequence[Finding]) -> dict[str, Any]:
    """Findings as a store keeps them: the first ``stopping`` of them make a training worthless."""
    return {"findings": [one.facts for one in found], "stopping": sum(one.stops for one in found)}
