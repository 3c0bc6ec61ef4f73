"""ModelNet10: 4,899 meshes of ten kinds of furniture and fittings, in the official split of 3,991 and 908.

The archive holds ``ModelNet10/<class>/<split>/<class>_NNNN.off``. Its publisher gives no checksum; the one pinned
here is what three other projects recorded (``sha256_source``).
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointkit.datasets import FetchResult
from pointkit.download import NetworkError, Patience, Progress, alone, download, extract
from pointkit.errors import FormatError, PointkitError
from pointkit.formats.files import replacing
from pointkit.store import disk_errors, file_digest, sync


@dataclass(frozen=True)
class ModelNet10:
    """The set's facts; ``fetch`` brings it. Another address, size or split is one ``dataclasses.replace`` away."""

    name: str = "modelnet10"
    title: str = "ModelNet10"
    url: str = "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip"
    size: int = 473_402_300  # bytes of the archive
    sha256: str | None = "9d8679435fc07d1d26f13009878db164a7aa8ea5e7ea3c8880e42794b7307d51"
    sha256_source: str = (
        "as TensorFlow Datasets (url_checksums/modelnet10.txt, with the same size), Flux3D.jl (datasets/modelnet) and "
        "CompressAI (datasets/pointcloud/modelnet.py) recorded it"
    )
    classes: tuple[str, ...] = (
        "bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet",
    )  # fmt: skip
    counts: Mapping[str, int] = field(default_factory=lambda: {"train": 3991, "test": 908})
    max_bytes: int = 8_000_000_000  # unpacked; OFF text packs to a fifth, so 2.4e9 are expected
    max_members: int = 50_000
    homepage: str = "https://modelnet.cs.princeton.edu/"
    licence: str = "for academic research; the models' copyrights stay with their authors"
    citation: str = "Wu et al., 3D ShapeNets: A Deep Representation for Volumetric Shapes, CVPR 2015"

    def fetch(
        self,
        folder: str | os.PathLike[str],
        source: str | pathlib.Path | None = None,
        *,
        progress: Progress | None = None,
        force: bool = False,
        patience: Patience | None = None,
    ) -> FetchResult:
        """Bring the set to ``folder``/ModelNet10, whole or not at all; do nothing where it already stands.

        ``source`` is another http(s) address of the same archive, an archive on disk, or a folder unpacked before (it
        is copied); None is the set's own address. ``progress`` is called with (bytes done, bytes in all) during the
        download. ``force`` replaces what stands there. A downloaded archive stays in ``folder``, beside a small
        ModelNet10.json that says what came from where.

        Raises PointkitError for what the caller can mend (a source that is not the set, a folder that cannot be
        written) and MachineError for failures of the network and the disk.
        """
        folder = pathlib.Path(folder)
        local = None if source is None or _is_address(source) else pathlib.Path(source)
        if local is not None and not local.exists():
            raise PointkitError(
                f"{local}: no such file or folder; the source of {self.title} is an archive, a folder or an address"
            )
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with alone(folder):
                if not force and (standing := self._standing(folder)):
                    return standing
                staging = folder / f".{self.title}.unpacking"
                shutil.rmtree(staging, ignore_errors=True)
                try:
                    if local is None:
                        sha256, notes = self._from_network(folder, staging, str(source or self.url), progress, patience)
                    elif local.is_dir():
                        sha256, notes = None, self._from_folder(local, staging)
                    else:
                        sha256, notes = self._from_archive(local, staging)
                    counts, total = self._census(self._root(staging), str(source or self.url))
                    self._record(folder, str(source or self.url), sha256, counts, total)
                    self._put(self._root(staging), folder / self.title)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
        return FetchResult(folder / self.title, sha256, counts, notes)

    # ---- where it may come from

    def _from_network(
        self,
        folder: pathlib.Path,
        staging: pathlib.Path,
        url: str,
        progress: Progress | None,
        patience: Patience | None,
    ) -> tuple[str, tuple[str, ...]]:
        """Download (or take the archive of an earlier time) and unpack. The SHA-256, and what to say."""
        archive = folder / f"{self.title}.zip"
        record = self._recorded(folder)
        recorded = record.get("sha256") if _is_address(str(record.get("source", ""))) else None
        expected = self.sha256 or recorded
        if archive.is_file() and archive.stat().st_size == self.size and expected == file_digest(archive):
            sha256, notes = expected, [f"{archive} was there already, with the right SHA-256; nothing was downloaded"]
        else:
            try:
                sha256 = download(
                    url,
                    archive,
                    size=self.size,
                    sha256=expected,
                    magic=b"PK\x03\x04",
                    progress=progress,
                    patience=patience,
                )
            except NetworkError as error:
                raise NetworkError(f"{error}; {self._advice()}") from None
            notes = [f"{archive} ({self.size:,} bytes) is kept and may be deleted"]
        if self.sha256:
            notes.append(f"SHA-256 {sha256}, {self.sha256_source}")
        elif recorded:
            notes.append(f"SHA-256 {sha256}, as at the first download")
        else:
            notes.append(
                f"no checksum is published for {self.title}: SHA-256 {sha256} is recorded, "
                "later downloads are compared with it"
            )
        try:
            self._unpack(archive, staging)
            self._census(self._root(staging), url)
        except FormatError as error:
            archive.unlink()
            raise NetworkError(f"{error}; the download is removed; {self._advice()}") from None
        return sha256, tuple(notes)

    def _from_archive(self, archive: pathlib.Path, staging: pathlib.Path) -> tuple[str, tuple[str, ...]]:
        """Unpack the user's own archive. One that somebody packed anew may be right with another checksum."""
        if not archive.is_file():
            raise PointkitError(f"{archive}: neither a plain file nor a folder")
        self._unpack(archive, staging)
        sha256 = file_digest(archive)
        if sha256 == self.sha256:
            return sha256, (f"SHA-256 {sha256}, {self.sha256_source}",)
        known = f"the published archive has {self.sha256}" if self.sha256 else "no checksum is published"
        return sha256, (
            f"SHA-256 {sha256}, {known}: names and numbers of the files are right, their content was not compared",
        )

    def _from_folder(self, folder: pathlib.Path, staging: pathlib.Path) -> tuple[str, ...]:
        """Copy the set's files out of a folder that was unpacked before."""
        root = self._root(folder)
        self._census(root, str(folder))
        for path in self._files(root):
            place = staging / self.title / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        return (f"copied from {root}: names and numbers of the files are right, their content was not compared",)

    def _unpack(self, archive: pathlib.Path, staging: pathlib.Path) -> None:
        extract(archive, staging, max_bytes=self.max_bytes, max_members=self.max_members)

    def _advice(self) -> str:
        return (
            f"the same command goes on from what has arrived; {self.title}.zip is also to be had by hand "
            f"({self.homepage}, a colleague's copy), then: pointkit fetch {self.name} DIR --source FILE_OR_FOLDER"
        )

    # ---- what stands

    def _standing(self, folder: pathlib.Path) -> FetchResult | None:
        """The set as it already stands under ``folder``, or None. Raises PointkitError where a part of it does."""
        root = self._root(folder)
        record = self._recorded(folder) if root != folder else {}
        try:
            counts, total = self._census(root, str(root))
            if record.get("unpacked_bytes", total) != total:
                raise FormatError(f"{root}: holds {total} bytes of meshes, {record['unpacked_bytes']} were unpacked")
        except FormatError as error:
            if root == folder:  # some other folder, not ours
                return None
            raise PointkitError(f"{error}; remove the folder and fetch again") from None
        note = f"{root} is there already and complete ({_listed(counts)}); nothing was done"
        if not record:
            note += "; pointkit did not fetch it, so its content was not compared"
        return FetchResult(root, record.get("sha256"), counts, (note,))

    def _root(self, folder: pathlib.Path) -> pathlib.Path:
        """Where the class folders lie: in ``folder``/ModelNet10 or in ``folder`` itself."""
        return folder / self.title if (folder / self.title).is_dir() else folder

    def _files(self, root: pathlib.Path) -> Iterator[pathlib.Path]:
        """The set's files under ``root``, in the order of classes, splits and names, and the publisher's README."""
        for name in self.classes:
            for split in self.counts:
                place = root / name / split
                yield from sorted(p for p in place.glob("*.off") if p.is_file()) if place.is_dir() else ()
        if (root / "README.txt").is_file():
            yield root / "README.txt"

    def _census(self, root: pathlib.Path, origin: str) -> tuple[dict[str, int], int]:
        """The number of meshes in each split and their bytes in all. Raises FormatError where that is not the set."""
        counts, total = dict.fromkeys(self.counts, 0), 0
        for path in self._files(root):
            if path.suffix == ".off":
                counts[path.parent.name] += 1
                total += path.stat().st_size
        others = sorted(
            p.name for p in root.iterdir() if p.is_dir() and p.name not in self.classes and p.name[0] not in "._"
        )
        missing = [name for name in self.classes if not (root / name).is_dir()]
        if counts != dict(self.counts) or others or missing:
            found = _listed(counts)
            found += f"; without {', '.join(missing)}" if missing else ""
            found += f"; with {', '.join(others[:5])}" if others else ""
            whole = f"{_listed(self.counts)} in {len(self.classes)} classes"
            raise FormatError(f"{origin}: not the whole of {self.title} ({found}), which has {whole}")
        return counts, total

    def _put(self, root: pathlib.Path, target: pathlib.Path) -> None:
        """Give the unpacked folder its final name by one rename; what stood there goes after it."""
        old = target.with_name(f".{target.name}.replaced")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        root.rename(target)
        sync(target.parent)
        shutil.rmtree(old, ignore_errors=True)

    # ---- the record beside it

    def _recorded(self, folder: pathlib.Path) -> dict[str, Any]:
        """What an earlier fetch wrote down; nothing where there was none."""
        try:
            record = json.loads((folder / f"{self.title}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _record(
        self, folder: pathlib.Path, source: str, sha256: str | None, counts: Mapping[str, int], total: int
    ) -> None:
        facts = {"set": self.name, "source": source, "sha256": sha256, "counts": dict(counts), "unpacked_bytes": total}
        path = folder / f"{self.title}.json"
        with replacing(path) as file:
            file.write((json.dumps(facts, indent=1) + "\n").encode())


def _is_address(source: str | pathlib.Path) -> bool:
    """Whether a source is an address; raises PointkitError for one that is neither http nor https."""
    scheme, separator, _ = str(source).partition("://")
    if not separator or isinstance(source, pathlib.Path):
        return False
    if scheme.lower() not in ("http", "https"):
        raise PointkitError(f"{source}: only http:// and https:// addresses are fetched; give a local copy as a path")
    return True


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {split}" for split, number in counts.items())


MODELNET10 = ModelNet10()
