"""ShapeNet's part annotations: clouds of sixteen categories, each point with its part, as the reference downloads them.

The archive holds ``PartAnnotation/metadata.json`` and the layout "annotation" of ``datasets.shapenet_part``. An archive
or a folder in one of the two later layouts is taken as well. The publisher gives neither checksum nor length. So the
checksum of the first download is recorded, and later ones are compared with it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

from pointkit.datasets import folder as folders
from pointkit.datasets import shapenet_part
from pointkit.datasets.archive import ArchiveSet
from pointkit.datasets.folder import Found
from pointkit.errors import FormatError, PointkitError
from pointkit.store import SPLITS


@dataclass(frozen=True, kw_only=True)
class PartAnnotations(ArchiveSet):
    """Labelled clouds in any of the published layouts; ``classes`` are the directories of the categories."""

    def root(self, folder: pathlib.Path) -> pathlib.Path:
        """Where the index of the layout lies: in ``folder``/title, in the only folder there, or ``folder`` itself."""
        place = super().root(folder)
        found = shapenet_part.layout_of(place)
        return found[0] if found else place

    def files(self, root: pathlib.Path) -> Iterator[pathlib.Path]:
        """The files that the layout's readers read: its lists, and the points and labels of each shape."""
        layout = shapenet_part.layout_of(root)
        return iter(()) if layout is None else _paths(shapenet_part.find(*layout))

    def census(self, root: pathlib.Path, origin: str) -> tuple[dict[str, int], int]:
        """The number of labelled and unlabelled shapes, and the bytes of all files."""
        layout = shapenet_part.layout_of(root)
        indices = f"{shapenet_part.METADATA} or {shapenet_part.DIRECTORIES}"
        if layout is None:
            raise FormatError(f"{origin}: not {self.title}: it has no {indices}")
        try:
            found = shapenet_part.find(*layout)
        except PointkitError as error:
            raise FormatError(f"{origin}: not {self.title}: {error}") from None
        here = {shape.file.split("/")[0] for shape in found.files}
        if missing := [name for name in self.classes if name not in here]:
            raise FormatError(f"{origin}: not the whole of {self.title}: no labelled shape in {', '.join(missing)}")
        total = sum(path.stat().st_size for path in _paths(found))
        return {"labelled": len(found.files), "unlabelled": len(found.unlabelled)}, total


def _paths(found: Found) -> Iterator[pathlib.Path]:
    lists = [shapenet_part.SPLIT_LIST.format(split) for split in SPLITS]
    for name in (shapenet_part.METADATA, shapenet_part.DIRECTORIES, folders.PARTS, *lists):
        if (found.root / name).is_file():
            yield found.root / name
    for shape in found.files:
        yield from (found.root / name for name in (shape.file, *shape.labels) if name)
    yield from (found.root / name for name in found.unlabelled)


SHAPENET_PART = PartAnnotations(
    name="shapenet-part",
    title="ShapeNetPart",
    url="https://git.io/JiY4i",
    size=None,
    sha256=None,
    sha256_source="",
    max_bytes=32_000_000_000,
    max_members=1_000_000,
    homepage="https://shapenet.org, after registration",
    licence="for academic research, under ShapeNet's terms of use",
    citation="Yi et al., A Scalable Active Framework for Region Annotation in 3D Shape Collections, SIGGRAPH Asia 2016",
    classes=tuple(sorted(shapenet_part.BENCHMARK)),
)
