"""Files -> store: find the shapes of a folder, read them on every core, split them, write the store whole.

A hidden folder beside the store keeps finished chunks until the store is complete. So the same command goes on where a
killed one stopped. The store's bytes depend on the files and the settings alone: not on the number of workers, on
interruptions, on the path or the time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Unpack

from pointkit import audit, disk, features, formats, machine, store
from pointkit.cards import Card, Carded
from pointkit.datasets import DATASETS, shapenet_part
from pointkit.datasets.asked import Asked, Said
from pointkit.datasets.folder import Found
from pointkit.errors import PointkitError, StandingError
from pointkit.prepare import chunks, label_ids, reading, rows, splits, survey, unread
from pointkit.prepare.chunks import ReadResult
from pointkit.prepare.reading import Progress

NUM_POINTS = 2048  # drawn of each shape by default


@dataclass(frozen=True, repr=False)
class Prepared(Carded):
    """What ``prepare`` made: the store, the files it could not read and why, and what the user should know.

    ``already``: the store was there, made from the same files and settings, and nothing was done. ``resumed``: the
    number of files that an interrupted call had read before.
    """

    store: store.Store
    unread: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    already: bool = False
    resumed: int = 0

    def card(self) -> Card:
        from pointkit import shows

        return shows.of_prepared(self)

    def __fspath__(self) -> str:
        return str(self.store.path)


@dataclass(frozen=True)
class _Plan:
    """The plan of a store: ``output`` from the shapes ``found`` in ``source``, by a ``rule``.

    ``keep`` names the features asked for, None where nothing was asked. ``groups``: file -> group. ``shares`` are those
    of the split that is asked for, split -> share, and ``full_scales`` those that are asked for, kind -> number.
    """

    source: pathlib.Path
    output: pathlib.Path
    found: Found
    rule: chunks.Rule
    keep: str | None
    groups: Mapping[str, str]
    shares: Mapping[str, float]
    full_scales: Mapping[str, float]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that decide a store: the same ones give the same bytes."""
        found, rule = self.found, self.rule
        listing = [[file.file, file.size] for file in found.files]
        layout = {"layout": found.layout, "whole_clouds": rule.whole} if found.layout else {}
        groups = json.dumps(sorted(self.groups.items())).encode()
        meaning = rule.meaning.facts()
        names = json.dumps({key: dict(sorted(named.names.items())) for key, named in sorted(found.codes.items())})
        return {
            "source": found.root.resolve().name,
            "files": disk.digest(json.dumps(listing).encode()),
            **layout,
            **({"keep_features": list(rule.features)} if self.keep is not None else {}),
            "num_points_drawn": rule.num_points,
            "seed": rule.seed,
            "groups": disk.digest(groups) if self.groups else "",
            **found.asked,
            **({"meaning": meaning} if meaning else {}),
            **({"names": disk.digest(names.encode())} if found.codes else {}),
        }


def prepare(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    task: str | None = None,
    classes: Collection[str] = (),
    num_points: int | None = None,
    keep: str | None = None,
    seed: int = 0,
    workers: int | None = None,
    strict: bool = False,
    force: bool = False,
    groups: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    tell: Callable[[Found], None] | None = None,
    **said: Unpack[Said],
) -> Prepared:
    """Prepare the folder ``source`` as the store ``output``: of classes, one folder each, or of labelled parts.

    ``task`` is a name in ``task.TASKS``; by default it is parts where the folder is a published set of them
    (``shapenet_part``), else classification. ``classes`` are those to take, by default all. ``num_points`` are drawn of
    each shape; a cloud with fewer gives all it has. By default they are 2,048, but for parts all points of a cloud.
    ``keep``, such as "normals,color" or "none", names the features to keep (``features.KINDS``). By default these are
    none for classes, and for parts those that all shapes have.
    ``workers`` processes read, by default one a core. An ``executor`` may take their place; its workers must see both
    folders.
    ``groups`` is a CSV file with the columns file and group. A split made here keeps shapes of one group together.
    ``tell`` is called with what was found, before it is read. ``progress`` is called with the files done, the files in
    all, and class -> (done, in all). ``said`` is how the folder and its files are to be read: see ``asked.Asked``.

    Files that cannot be read are listed in the store's unread.csv, and in the answer. Raises PointkitError for what the
    user can mend, with ``strict`` also where any file could not be read. Raises StoreError where another store stands
    at ``output`` (``force`` replaces it), and MachineError where the disk is full.
    """
    output = pathlib.Path(output)
    workers = machine.cores() if workers is None else workers
    for name, value, least in (("num_points", num_points, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value is not None and value < least:
            raise PointkitError(f"{name} must be at least {least}, got {value}")
    disk.check_room(output)
    store.refuse_strangers(output)
    plan = _plan(pathlib.Path(source), output, task, classes, num_points, keep, seed, groups, Asked(**said))
    if tell:
        tell(plan.found)
    output.absolute().parent.mkdir(exist_ok=True)
    with _work_folder(output) as work, disk.disk_errors(output, _advice(plan)):
        if not force and (standing := _standing(plan, lambda plan, at: _made(plan, at, workers, executor, progress))):
            unread.refuse_any(plan.source, output, standing.unread, strict)
            shutil.rmtree(work)
            return standing
        made = _made(plan, work, workers, executor, progress, strict)
        shutil.rmtree(work)
    unread.path_beside(output).unlink(missing_ok=True)
    return made


def trial(
    source: str | os.PathLike[str], seen: Callable[[Prepared], object] = lambda made: None, **how: Any
) -> dict[str, Any]:
    """What ``prepare`` would find in the files of a folder, ready for JSON; nothing stays on the disk.

    ``findings``, worst first; ``stopping``: so many of them make a training worthless; ``unread``: the files that
    cannot be read, and why. ``seen`` is called with what was made, before it is removed. ``how`` are the arguments of
    ``prepare``. Raises what that raises.
    """
    with tempfile.TemporaryDirectory(prefix="pointkit-") as folder:
        try:
            made = prepare(source, pathlib.Path(folder) / "store", **how)
        except PointkitError as error:  # the list of unread files goes with the folder
            raise type(error)(str(error).partition("; all are listed in ")[0]) from None
        seen(made)
        kept = {key: made.store.manifest[key] for key in ("findings", "stopping")}
        return {**kept, "unread": [{"file": file, "reason": reason} for file, reason in made.unread]}


def _made(
    plan: _Plan,
    work: pathlib.Path,
    workers: int,
    executor: Executor | None,
    progress: Progress | None,
    strict: bool = False,
) -> Prepared:
    job = reading.Reading(plan.found, plan.rule, work)
    results = job.run(workers, executor, progress)
    lost = tuple((file.file, r.reason) for file, r in zip(plan.found.files, results, strict=True) if r.reason)
    unread.refuse_any(plan.source, plan.output, lost, strict)
    unread.refuse_lost(plan.source, plan.output, plan.found, results, lost)
    return _write(plan, results, lost, job)


def _plan(
    source: pathlib.Path,
    output: pathlib.Path,
    task: str | None,
    classes: Collection[str],
    num_points: int | None,
    keep: str | None,
    seed: int,
    groups: str | os.PathLike[str] | None,
    asked: Asked,
) -> _Plan:
    found = survey.find(source, task, asked, groups)
    if classes:
        found = found.only(classes)
    rule = chunks.Rule(
        num_points=num_points or NUM_POINTS,
        seed=seed,
        whole=num_points is None and bool(found.layout),
        layout=found.layout,
        features=features.to_keep(keep) if keep is not None else tuple(features.KINDS) if found.layout else (),
        meaning=survey.meaning_of(asked),
        up=asked.up,
    )
    return _Plan(
        source, output, found, rule, keep, rows.groups_of(groups, found), splits.shares(asked.split), asked.full_scales
    )


def _write(
    plan: _Plan, results: Sequence[ReadResult], lost: tuple[tuple[str, str], ...], job: reading.Reading
) -> Prepared:
    """Write the store from what was read."""
    found = plan.found
    shapes, how, warnings = rows.make(found, results, plan.groups, plan.rule.seed, plan.shares)
    kept = _kept(plan, results)
    scales = _scales(plan, results, kept)
    warnings = (
        *found.warnings,
        *warnings,
        *rows.about_points(found, results, plan.rule),
        *rows.about_scales(found, results, scales),
    )
    samples = chunks.samples(job.paths, kept, scales)
    extra = {"unread.csv": disk.csv_text(("file", "reason"), lost)}
    about: dict[str, Any] = {"features": list(features.columns(kept))} if kept else {}
    about |= {"scales": scales} if scales else {}
    if found.layout:
        label_ids.refuse_mixed(found, results)
        ids = label_ids.LabelIds(found, shapes, chunks.samples(job.paths), label_ids.namer(found, results))
        samples = ids.apply(shapes, samples)
        about, warnings = {**ids.facts, **about}, (*warnings, *ids.warnings)
        extra["unlabelled.csv"] = disk.csv_text(("file",), [(file,) for file in found.unlabelled])
    facts = {
        "task": found.task,
        **plan.settings,
        **_known(found),
        **about,
        "drawn": _drawn(plan.rule),
        "stray": "left out",
        "split": how,
        "counts": rows.counts(shapes, found.classes),
        "unread": len(lost),
        "warnings": list(warnings),
    }
    written = zip(shapes, samples, strict=True)
    made = store.write(plan.output, written, found.classes, facts, extra, lambda made: _audited(plan, made))
    return Prepared(made, lost, warnings, resumed=job.resumed)


def _audited(plan: _Plan, made: store.Store) -> dict[str, Any]:
    """The findings of the audit, as the store keeps them."""
    root = plan.found.root
    findings = audit.of_store(made, lambda i: formats.read(root / made.rows[i].file, meaning=plan.rule.meaning))
    return audit.facts(findings)


# ---- the output


def _standing(plan: _Plan, make: Callable[[_Plan, pathlib.Path], Prepared]) -> Prepared | None:
    """The store that stands, if the same files and settings made it; None where nothing or an empty folder does.

    ``make`` makes a store as planned, and takes a folder to work in.
    """
    output = plan.output
    if not output.exists() or not any(output.iterdir()):
        return None
    old = store.open(output)
    other = [name for name, value in plan.settings.items() if old.manifest.get(name) != value]
    if not other and old.classes != plan.found.classes:
        other = ["classes"]
    made = (output / "manifest.json").stat().st_mtime_ns
    if not other and max(file.mtime_ns for file in plan.found.files) > made:
        other = ["files"]
    if not other and _came(plan) > made and not _gives(plan, old, make):
        other = ["files"]
    if other:
        listed = ", ".join(other)
        raise StandingError(
            f"{output}: exists, made with other {listed}; --force replaces it, or name another store", listed
        )
    return standing(old)


def _came(plan: _Plan) -> int:
    """When the last of the files took its place, in ns. The system notes it, whatever time of change a file keeps.

    A link and a folder may take another's place as well, and the files in it do not know. The set's own folder does not
    count where the store lies in it, as the store changes it.
    """
    root = pathlib.Path(os.path.abspath(plan.found.root))
    names = (name for source in reading.sources(plan.found) for name in source.files)
    places = {pathlib.Path(os.path.abspath(path)) for name in names for path in formats.all_files(root / name)}
    places |= {folder for path in places for folder in path.parents if root in folder.parents}
    if root not in plan.output.absolute().parents:
        places.add(root)
    return max(status.st_ctime_ns for path in places for status in (path.stat(), path.lstat()))


def _gives(plan: _Plan, old: store.Store, make: Callable[[_Plan, pathlib.Path], Prepared]) -> bool:
    """Whether the files still give a store. They are read anew.

    So it is asked only where files came after the store, with older times: a whole set that was moved with its store,
    or a file that was put in the place of another.
    """
    with tempfile.TemporaryDirectory(dir=disk.beside(plan.output, "partial")) as folder:
        try:
            again = make(dataclasses.replace(plan, output=pathlib.Path(folder) / "store"), pathlib.Path(folder))
        except PointkitError:  # none can be read any longer
            return False
        same = again.store.checksum == old.checksum
    if same:
        with contextlib.suppress(OSError):  # so that it is not asked again
            os.utime(plan.output / "manifest.json")
    return same


def standing(made: store.Store) -> Prepared:
    """What an earlier call made, from its store."""
    lost = tuple((row["file"], row["reason"]) for row in disk.csv_rows(made.path / "unread.csv"))
    return Prepared(made, lost, tuple(made.manifest.get("warnings", ())), already=True)


@contextlib.contextmanager
def _work_folder(output: pathlib.Path) -> Iterator[pathlib.Path]:
    """The hidden folder beside the store for chunks, held by this process. It is kept as long as it has chunks."""
    output = output.absolute()
    path = disk.beside(output, "partial")
    with disk.held(output, "prepares it"):
        with disk.disk_errors(output):
            path.mkdir(exist_ok=True)
        try:
            yield path
        finally:
            if path.exists() and not any(path.glob("*.chunk")):
                shutil.rmtree(path)


def _advice(plan: _Plan) -> str:
    """What to do about a full disk. It must hold the chunks and the store, each 12 bytes a point."""
    if plan.rule.whole:
        return "; the same command goes on from here"
    size = len(plan.found.files) * plan.rule.num_points * 24 / 1e6
    return f" (making it takes up to {size:,.0f} MB); the same command goes on from here"


# ---- facts


def _kept(plan: _Plan, results: Sequence[ReadResult]) -> tuple[str, ...]:
    """The features that the store keeps: those that all shapes have. Raises PointkitError where some were asked for."""
    kept, _ = features.shared(result.features for result in results if result.size)
    for kind in features.kinds(plan.keep) if plan.keep is not None else ():
        if lack := rows.lack_of(kind, plan.found, results, plan.rule):
            raise PointkitError(f"{plan.found.root}: --features {plan.keep}, but {lack}")
    return kept


def _scales(plan: _Plan, results: Sequence[ReadResult], kept: Collection[str]) -> dict[str, float]:
    """The full scales of colour and intensity: as the user says, else as the set has them. Raises PointkitError."""
    said = dict(plan.full_scales)
    if unknown := said.keys() - {*kept}:
        held = ", ".join(kept) or "none"
        raise PointkitError(f"--full-scale names {min(unknown)}, but the features that the store keeps are {held}")
    return rows.scales(results, tuple(kept)) | said


def _drawn(rule: chunks.Rule) -> str:
    cloud = "all points" if rule.whole else "a random subset"
    return f"by area from a mesh's faces, {cloud} of a cloud, in random order; seeded by the seed and the shape"


def _known(found: Found) -> dict[str, str]:
    """Licence and citation of a published set, recognised by its folder's name and its classes, or its directories."""
    known = DATASETS.get(found.root.resolve().name.lower())
    if {file.file.split("/")[0] for file in found.files} <= shapenet_part.BENCHMARK.keys():
        known = DATASETS["shapenet-part"]
    elif known is None or sorted(known.classes) != list(found.classes):
        return {}
    return {"licence": known.licence, "citation": known.citation}
