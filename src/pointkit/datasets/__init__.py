"""The data sets that pointkit knows: name -> facts, and how to fetch it. A set's module loads when it is asked for."""

from __future__ import annotations

import importlib
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from pointkit.errors import PointkitError
from pointkit.rules import suggest

if TYPE_CHECKING:  # it loads ssl and http, which listing a folder does not need
    from pointkit.datasets.download import Progress

__all__ = ["DATASETS", "Dataset", "FetchResult", "find"]


@dataclass(frozen=True)
class FetchResult:
    """What ``fetch`` brought.

    ``folder`` holds the set. ``sha256`` is that of the archive it came from, None where that is not known. ``counts``
    are the numbers of shapes by split, or with and without labels. ``notes`` are lines for the user.
    """

    folder: pathlib.Path
    sha256: str | None
    counts: Mapping[str, int]
    notes: tuple[str, ...]


class Dataset(Protocol):
    """What every entry of ``DATASETS`` has."""

    @property
    def name(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def licence(self) -> str: ...
    @property
    def citation(self) -> str: ...

    def fetch(
        self,
        folder: pathlib.Path,
        source: str | pathlib.Path | None = None,
        *,
        progress: Progress | None = None,
        force: bool = False,
    ) -> FetchResult: ...


class _Registry(Mapping[str, Dataset]):
    """Name -> data set. A set's module is imported when it is first asked for."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Dataset:
        module, _, attribute = self._places[name].partition(":")
        return cast(Dataset, getattr(importlib.import_module(module), attribute))

    def __contains__(self, name: object) -> bool:
        return name in self._places  # Mapping's own would import

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


DATASETS: Mapping[str, Dataset] = _Registry(
    {
        "modelnet10": "pointkit.datasets.modelnet:MODELNET10",
        "shapenet-part": "pointkit.datasets.shapenet:SHAPENET_PART",
    }
)


def find(name: str) -> Dataset:
    """A data set by its name. Raises PointkitError that suggests one where there is none of that name."""
    if name not in DATASETS:
        raise PointkitError(f"data set must be one of {', '.join(DATASETS)}, got {name!r}{suggest(name, DATASETS)}")
    return DATASETS[name]
