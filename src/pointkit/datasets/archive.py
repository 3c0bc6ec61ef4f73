"""A published set that comes as one archive, fetched whole or not at all: from the network, an archive or a folder.

A set has its facts as fields, and three methods about a folder: where the set's files lie, which they are, and whether
they are the whole set.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pointkit.datasets import FetchResult
from pointkit.datasets.download import NetworkError, Patience, Progress, download
from pointkit.datasets.unpack import extract
from pointkit.disk import disk_errors, file_digest, held, making, replace
from pointkit.errors import FormatError, PointkitError


@dataclass(frozen=True, kw_only=True)
class ArchiveSet(ABC):
    """The set's facts. ``fetch`` brings it. ``dataclasses.replace`` gives it another address, size or bound."""

    name: str
    title: str
    url: str
    size: int | None  # bytes of the archive; None where only the server says it
    sha256: str | None
    sha256_source: str
    max_bytes: int  # unpacked
    max_members: int
    homepage: str
    licence: str
    citation: str
    classes: tuple[str, ...]

    # ---- what differs from set to set

    def root(self, folder: pathlib.Path) -> pathlib.Path:
        """Where the set's files lie: in ``folder``/title or in ``folder`` itself."""
        return folder / self.title if (folder / self.title).is_dir() else folder

    @abstractmethod
    def files(self, root: pathlib.Path) -> Iterator[pathlib.Path]:
        """The set's files under ``root``, always in the same order."""

    @abstractmethod
    def census(self, root: pathlib.Path, origin: str) -> tuple[dict[str, int], int]:
        """How many shapes there are of each kind, and their bytes in all.

        Raises FormatError, which names ``origin``, where that is not the set.
        """

    # ---- what is the same for all

    def fetch(
        self,
        folder: str | os.PathLike[str],
        source: str | pathlib.Path | None = None,
        *,
        progress: Progress | None = None,
        force: bool = False,
        patience: Patience | None = None,
    ) -> FetchResult:
        """Bring the set to ``folder``/title, whole or not at all; do nothing where it already stands.

        ``source`` is another http(s) address of the same archive, an archive on disk, or an unpacked folder, which is
        copied. None is the set's own address. ``progress`` is called with (bytes done, bytes in all) during the
        download. ``force`` replaces what stands there. A downloaded archive stays in ``folder``. A small title.json
        beside it says what came from where.

        Raises PointkitError for what the caller can mend (a source that is not the set, a folder that cannot be
        written) and MachineError for failures of the network and the disk.
        """
        folder = pathlib.Path(folder)
        local = None if source is None or _is_address(source) else pathlib.Path(source)
        if local is not None and not local.exists():
            raise PointkitError(
                f"{local}: no such file or folder; the source of {self.title} is an archive, a folder or an address"
            )
        target = folder / self.title
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not force and (standing := self._standing(folder)):  # looking must work in a read-only folder, too
                return standing
            with held(target, "fetches it"), making(target, self.root) as staging:
                if local is None:
                    sha256, notes = self._from_network(folder, staging, str(source or self.url), progress, patience)
                elif local.is_dir():
                    sha256, notes = None, self._from_folder(local, staging)
                else:
                    sha256, notes = self._from_archive(local, staging)
                counts, total = self.census(self.root(staging), str(source or self.url))
                self._record(folder, str(source or self.url), sha256, counts, total)
        return FetchResult(target, sha256, counts, notes)

    # ---- where it may come from

    def _from_network(
        self,
        folder: pathlib.Path,
        staging: pathlib.Path,
        url: str,
        progress: Progress | None,
        patience: Patience | None,
    ) -> tuple[str, tuple[str, ...]]:
        """Download (or take an earlier download) and unpack. Gives the SHA-256, and notes for the user."""
        archive = folder / f"{self.title}.zip"
        record = self._recorded(folder)
        recorded = record.get("sha256") if _is_address(str(record.get("source", ""))) else None
        expected = self.sha256 or recorded
        if archive.is_file() and self.size in (None, archive.stat().st_size) and expected == file_digest(archive):
            sha256, notes = expected, [f"{archive} was there already, with the right SHA-256; nothing was downloaded"]
        else:
            try:
                sha256 = download(
                    url,
                    archive,
                    size=self.size,
                    max_bytes=self.max_bytes,
                    sha256=expected,
                    magic=b"PK\x03\x04",
                    progress=progress,
                    patience=patience,
                )
            except NetworkError as error:
                raise NetworkError(f"{error}; {self._advice()}") from None
            notes = [f"{archive} ({archive.stat().st_size:,} bytes) is kept and may be deleted"]
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
            self.census(self.root(staging), url)
        except FormatError as error:
            archive.unlink()
            raise NetworkError(f"{error}; the download is removed; {self._advice()}") from None
        return sha256, tuple(notes)

    def _from_archive(self, archive: pathlib.Path, staging: pathlib.Path) -> tuple[str, tuple[str, ...]]:
        """Unpack the user's own archive. Its checksum may differ, as somebody may have packed the set anew."""
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
        """Copy the set's files from an unpacked folder."""
        root = self.root(folder)
        self.census(root, str(folder))
        for path in self.files(root):
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
        """The set that already stands under ``folder``, or None. Raises PointkitError where only a part of it does."""
        root = self.root(folder)
        record = self._recorded(folder) if root != folder else {}
        try:
            counts, total = self.census(root, str(root))
            if record.get("unpacked_bytes", total) != total:
                raise FormatError(f"{root}: holds {total} bytes, {record['unpacked_bytes']} were unpacked")
        except FormatError as error:
            if root == folder:  # some other folder, not ours
                return None
            raise PointkitError(f"{error}; remove the folder and fetch again") from None
        note = f"{root} is there already and complete ({listed(counts)}); nothing was done"
        if not record:
            note += "; pointkit did not fetch it, so its content was not compared"
        return FetchResult(root, record.get("sha256"), counts, (note,))

    # ---- the record beside it

    def _recorded(self, folder: pathlib.Path) -> dict[str, Any]:
        """The record of an earlier fetch; empty where there was none."""
        try:
            record = json.loads((folder / f"{self.title}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _record(
        self, folder: pathlib.Path, source: str, sha256: str | None, counts: Mapping[str, int], total: int
    ) -> None:
        facts = {"set": self.name, "source": source, "sha256": sha256, "counts": dict(counts), "unpacked_bytes": total}
        replace(folder / f"{self.title}.json", (json.dumps(facts, indent=1) + "\n").encode())


def _is_address(source: str | pathlib.Path) -> bool:
    """Whether a source is an address; raises PointkitError for one that is neither http nor https."""
    scheme, separator, _ = str(source).partition("://")
    if not separator or isinstance(source, pathlib.Path):
        return False
    if scheme.lower() not in ("http", "https"):
        raise PointkitError(f"{source}: only http:// and https:// addresses are fetched; give a local copy as a path")
    return True


def listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {split}" for split, number in counts.items())
