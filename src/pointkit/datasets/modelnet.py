"""ModelNet10: 4,899 meshes of ten kinds of furniture and fittings, in the official split of 3,991 and 908.

The archive holds ``ModelNet10/<class>/<split>/<class>_NNNN.off``. Its publisher gives no checksum. The one given here
was recorded by three other projects (``sha256_source``).
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pointkit.datasets.archive import ArchiveSet, listed
from pointkit.errors import FormatError


@dataclass(frozen=True, kw_only=True)
class ModelNet(ArchiveSet):
    """Meshes in folders ``<class>/<split>``."""

    counts: Mapping[str, int]  # split -> meshes

    def files(self, root: pathlib.Path) -> Iterator[pathlib.Path]:
        """The set's files under ``root``, in the order of classes, splits and names, and the publisher's README."""
        for name in self.classes:
            for split in self.counts:
                place = root / name / split
                yield from sorted(p for p in place.glob("*.off") if p.is_file()) if place.is_dir() else ()
        if (root / "README.txt").is_file():
            yield root / "README.txt"

    def census(self, root: pathlib.Path, origin: str) -> tuple[dict[str, int], int]:
        """The number of meshes in each split and their bytes in all. Raises FormatError where they are not the set."""
        counts, total = dict.fromkeys(self.counts, 0), 0
        for path in self.files(root):
            if path.suffix == ".off":
                counts[path.parent.name] += 1
                total += path.stat().st_size
        others = sorted(
            p.name for p in root.iterdir() if p.is_dir() and p.name not in self.classes and p.name[0] not in "._"
        )
        missing = [name for name in self.classes if not (root / name).is_dir()]
        if counts != dict(self.counts) or others or missing:
            found = listed(counts)
            found += f"; without {', '.join(missing)}" if missing else ""
            found += f"; with {', '.join(others[:5])}" if others else ""
            whole = f"{listed(self.counts)} in {len(self.classes)} classes"
            raise FormatError(f"{origin}: not the whole of {self.title} ({found}), which has {whole}")
        return counts, total


MODELNET10 = ModelNet(
    name="modelnet10",
    title="ModelNet10",
    url="http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
    size=473_402_300,
    sha256="9d8679435fc07d1d26f13009878db164a7aa8ea5e7ea3c8880e42794b7307d51",
    sha256_source=(
        "as TensorFlow Datasets (url_checksums/modelnet10.txt, with the same size), Flux3D.jl (datasets/modelnet) and "
        "CompressAI (datasets/pointcloud/modelnet.py) recorded it"
    ),
    max_bytes=8_000_000_000,  # OFF text packs to a fifth, so 2.4e9 are expected
    max_members=50_000,
    homepage="https://modelnet.cs.princeton.edu/",
    licence="for academic research; the models' copyrights stay with their authors",
    citation="Wu et al., 3D ShapeNets: A Deep Representation for Volumetric Shapes, CVPR 2015",
    classes=("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet"),
    counts={"train": 3991, "test": 908},
)
