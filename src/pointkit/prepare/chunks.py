"""Reading a set in chunks of files, each kept on disk once it is read: the work of ``prepare``'s processes.

The division into chunks depends on the files alone, not on the number of workers. A chunk's file is one line of JSON (a
checksum, and a ``ReadResult`` for each file). Then follow, shape by shape, the drawn points, their labels and features,
raw and little-endian. A chunk's file is renamed into place when it is complete, so a killed preparation leaves whole
chunks. Only the readers and NumPy are imported here, because each new process has to load them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pointkit import disk, features, formats, outputs, preprocess, upright
from pointkit.cloud import Float32, Float64, Sample, Shape
from pointkit.disk import shown
from pointkit.formats.columns import NOTHING_SAID, Labels, Meaning

MAX_FILES = 32
MAX_BYTES = 4_000_000  # about 40 ms of reading text: short beside a set, long beside the cost of a job


class Source(NamedTuple):
    """A file to read: its path relative to the set's folder, and the ``stamps`` of all files of the shape.

    ``labels``: files with the labels of its points ("" for a missing one). ``pieces``: the files that are joined to the
    shape, each with the number of its part. The stamps are of these files, each with those that it names beside it.
    """

    file: str
    stamps: tuple[tuple[int, int], ...]
    labels: tuple[str, ...] = ()
    pieces: tuple[tuple[str, int], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for size, _ in self.stamps)

    @property
    def files(self) -> list[str]:
        """All files of the shape."""
        names = [name for name, _ in self.pieces] or [self.file, *self.labels]
        return [formats.within(name)[0] for name in names if name]


class Rule(NamedTuple):
    """How shapes become points: up to ``num_points`` of each, or ``whole`` clouds, drawn from ``seed``.

    ``layout`` says how labels are stored (``shapenet_part``); "" is for shapes without labels. ``features`` are the
    kinds to keep of each point (``features.KINDS``), as far as a shape has them. ``meaning`` is the user's word about
    columns and labels. ``up`` is the axis of the files that points up, and becomes z.
    """

    num_points: int
    seed: int
    whole: bool = False
    layout: str = ""
    features: tuple[str, ...] = ()
    meaning: Meaning = NOTHING_SAID
    up: str = upright.UP


class ReadResult(NamedTuple):
    """What reading a file gave: ``size`` points with the checksum ``digest``, or the ``reason`` why there are none.

    ``warnings`` are those of ``preprocess.draw``. ``labelled`` says whether the points have labels. ``features`` are
    the kinds that the points have, with the file's own numbers. ``scales`` are the full scales that colours and
    intensities seem to have (``preprocess.steady_scale``). ``left_out`` counts the file's rows without coordinates.
    The last ``strays`` points are stray.
    ``label_fields`` are what the labels were taken from, in plain words: several where these hold the same.
    """

    size: int
    digest: str
    warnings: tuple[str, ...]
    reason: str = ""
    labelled: bool = False
    features: tuple[str, ...] = ()
    scales: tuple[tuple[str, float], ...] = ()
    left_out: int = 0
    strays: int = 0
    label_fields: tuple[str, ...] = ()


def unread(reason: str) -> ReadResult:
    return ReadResult(size=0, digest="", warnings=(), reason=reason)


def divide(sources: Sequence[Source]) -> list[slice]:
    """Consecutive chunks of at most MAX_FILES shapes and MAX_BYTES bytes, but at least one file."""
    chunks: list[slice] = []
    start = size = 0
    for i, source in enumerate(sources):
        again = i > start and source.files == sources[i - 1].files  # a file of many shapes counts once a chunk
        if i > start and (i - start == MAX_FILES or (not again and size + source.size > MAX_BYTES)):
            chunks.append(slice(start, i))
            start, size, again = i, 0, False
        size += 0 if again else source.size
    return [*chunks, slice(start, len(sources))] if sources else []


def read(root: str, sources: Sequence[Source], rule: Rule, target: str) -> list[ReadResult]:
    """Read files, draw points of each by ``rule``, and keep both as the chunk file ``target``.

    A file that cannot be read gives a result with the reason. Raises OSError where the chunk file cannot be written.
    """
    results: list[ReadResult] = []
    samples: list[Sample] = []
    folder = pathlib.Path(root)
    for source, loaded in zip(sources, _shapes(folder, sources, rule), strict=True):
        result, sample = _draw(folder, source, loaded, rule)
        results.append(result)
        samples.append(sample)
    save(pathlib.Path(target), results, samples)
    return results


class _Loaded(NamedTuple):
    """A shape, or why there is none; and what its labels were taken from where that is not one of its own fields."""

    shape: Shape | Exception
    labels_from: tuple[str, ...] = ()


def _shapes(root: pathlib.Path, sources: Sequence[Source], rule: Rule) -> Iterator[_Loaded]:
    """The shape in each file, or why there is none."""
    layout = rule.layout
    if layout in ("", "fields"):
        yield from (_shape(root, source, rule) for source in sources)
        return
    from pointkit.datasets import shapenet_part

    texts = [_tried(shapenet_part.load, root / source.file, root, source.labels) for source in sources]
    there = [i for i, text in enumerate(texts) if not isinstance(text, Exception)]
    clouds = shapenet_part.clouds(layout, [texts[i] for i in there], [sources[i].labels for i in there])
    for text in texts:
        yield _Loaded(text) if isinstance(text, Exception) else _Loaded(next(clouds), ("the published files",))


def _shape(root: pathlib.Path, source: Source, rule: Rule) -> _Loaded:
    """The shape of a source with the labels that lie beside it, or why there is none."""
    if not rule.meaning.label_field and outputs.marked(root / source.file):
        return _Loaded(
            ValueError("holds pointkit's own answers, and is passed over; --label-field takes a field of it")
        )
    if source.pieces:
        from pointkit.datasets import pieces

        shapes = []
        for name, _ in source.pieces:
            piece = _tried(formats.read, root / name, meaning=rule.meaning)
            if isinstance(piece, Exception):
                return _Loaded(piece)
            shapes.append(piece)
        return _Loaded(_tried(pieces.join, shapes, [part for _, part in source.pieces]), ("a file for each part",))
    if rule.layout and source.labels:
        from pointkit.datasets import beside

        loaded = _tried(beside.load, root / source.file, root / source.labels[0], rule.meaning)
        return _Loaded(loaded) if isinstance(loaded, Exception) else _Loaded(*loaded)
    return _Loaded(_tried(formats.read, root / source.file, meaning=rule.meaning))


def _tried(function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """What a reader gives, or the exception that it raises."""
    try:
        for path in arguments:
            if isinstance(path, pathlib.Path) and path.exists() and not (path.is_file() or path.is_dir()):
                return ValueError("must be a regular file")  # reading a pipe might never end
        return function(*arguments, **more)
    except Exception as error:
        return error


def _draw(root: pathlib.Path, source: Source, loaded: _Loaded, rule: Rule) -> tuple[ReadResult, Sample]:
    shape = loaded.shape
    try:
        if isinstance(shape, Exception):
            raise shape
        labels = _labels(shape, loaded.labels_from, rule) if rule.layout else None
        as_they_are = dict.fromkeys(preprocess.SCALED, 1.0)
        drawn = preprocess.draw(
            shape, rule.num_points, rule.seed, whole=rule.whole, kinds=rule.features, scales=as_they_are
        ).strays_last()
        stamps = tuple(stamp for name in source.files for stamp in formats.stamps(root / name))
    except MemoryError:
        return unread("reading it takes more memory than there is"), Sample.nothing()
    except OSError as error:
        return unread(one_line(error.strerror or str(error), root, source.file)), Sample.nothing()
    except ValueError as error:
        return unread(one_line(str(error), root, source.file)), Sample.nothing()
    except Exception as error:  # of any kind, from a library: the file is listed and the others go on
        return unread(one_line(f"{type(error).__name__}: {error}", root, source.file)), Sample.nothing()
    if stamps != source.stamps:
        return unread("changed while the set was prepared"), Sample.nothing()
    points = np.ascontiguousarray(upright.turned(drawn.points, rule.up), "<f4")
    held = tuple(drawn.features)
    numbers = preprocess.stacked(upright.turned_features(drawn.features, rule.up), held)
    sample = Sample(
        points,
        None if labels is None else np.ascontiguousarray(labels.codes[drawn.index], "<i4"),
        None if numbers is None else np.ascontiguousarray(numbers, "<f4"),
    )
    result = ReadResult(
        size=len(points),
        digest=disk.digest(points.data),
        warnings=tuple(warned.text for warned in drawn.warnings),
        labelled=labels is not None,
        features=held,
        scales=tuple(drawn.scales.items()),
        left_out=drawn.left_out,
        strays=drawn.strays,
        label_fields=() if labels is None else labels.fields,
    )
    return result, sample


def _labels(shape: Shape, elsewhere: tuple[str, ...], rule: Rule) -> Labels:
    """The labels of a shape's points or faces. Raises ValueError where it has none."""
    meaning = dataclasses.replace(rule.meaning, label_field="") if elsewhere else rule.meaning
    labels = formats.columns.labels_and_fields(shape, meaning)
    if labels is not None and elsewhere:  # the user's field is one of the shape's own
        return labels._replace(fields=elsewhere)
    if labels is None:
        beside = "labels may also lie beside it, in a file of the same name that ends in .txt, .npy or .json"
        raise ValueError(f"{formats.columns.missing(shape)}; {beside}")
    return labels


def one_line(reason: str, root: pathlib.Path, file: str) -> str:
    """A reason on one line, without the path of the set's folder ``root``, and without the ``file`` at its start."""
    for folder in (shown(root), str(root)):
        reason = reason.replace(f"{folder}{os.sep}", "")
    for name in (shown(file), file):
        reason = reason.removeprefix(f"{name}: ")
    return " ".join(reason.split()) or "cannot be read"


def save(target: pathlib.Path, results: Sequence[ReadResult], samples: Sequence[Sample]) -> None:
    """Write a chunk file whole or not at all."""
    arrays = [array for sample in samples for array in sample if array is not None and array.size]
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(array.data)
    with disk.replacing(target, durable=False) as file:  # ``load`` checks it
        file.write(json.dumps({"sha256": whole.hexdigest(), "results": results}).encode() + b"\n")
        file.writelines(array.data for array in arrays)


def load(path: pathlib.Path) -> tuple[list[ReadResult], list[Sample]]:
    """A chunk file's results and samples. Raises OSError, or ValueError where it is not whole."""
    header, _, raw = path.read_bytes().partition(b"\n")
    facts = json.loads(header)
    results = [
        ReadResult(
            size=size,
            digest=digest,
            warnings=tuple(warnings),
            reason=reason,
            labelled=labelled,
            features=tuple(held),
            scales=tuple((kind, full) for kind, full in scales),
            left_out=left_out,
            strays=strays,
            label_fields=tuple(label_fields),
        )
        for size, digest, warnings, reason, labelled, held, scales, left_out, strays, label_fields in facts["results"]
    ]
    if not results or min(result.size for result in results) < 0 or hashlib.sha256(raw).hexdigest() != facts["sha256"]:
        raise ValueError(f"{path}: damaged chunk")
    samples = []
    start = 0
    for result in results:
        arrays = []
        widths = 3, int(result.labelled), len(features.columns(result.features))
        for columns, kind in zip(widths, ("<f4", "<i4", "<f4"), strict=True):
            array = np.frombuffer(raw, kind, result.size * columns, start).reshape(-1, max(columns, 1))
            arrays.append(array)
            start += array.nbytes
        points, labels, numbers = arrays
        samples.append(Sample(points, labels[:, 0] if result.labelled else None, numbers if result.features else None))
    if start != len(raw):
        raise ValueError(f"{path}: damaged chunk")
    return results, samples


def check(path: pathlib.Path, count: int) -> list[ReadResult] | None:
    """The results in a whole chunk file of ``count`` files from an earlier try; None where there is none."""
    try:
        results, _ = load(path)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return results if len(results) == count else None


def samples(
    paths: Sequence[pathlib.Path], kept: Sequence[str] = (), scales: Mapping[str, float] | None = None
) -> Iterator[Sample]:
    """The samples with points in chunk files, one after another, with the features of the kinds ``kept``.

    Kinds in ``scales`` become shares of that full scale; what is beyond it counts as 1.
    """
    bounds = [((scales or {}).get(kind, 1.0), 1.0 if kind in (scales or {}) else np.inf) for kind in kept]
    full, most = np.repeat(np.reshape(bounds, (-1, 2)), [len(features.KINDS[kind]) for kind in kept], axis=0).T
    for path in paths:
        for result, sample in zip(*load(path), strict=True):
            if result.size:
                yield sample._replace(features=_shares(sample.features, result.features, kept, full, most))


def _shares(
    numbers: Float32 | None, held: Sequence[str], kept: Sequence[str], full: Float64, most: Float64
) -> Float32 | None:
    """The columns of the kinds ``kept`` among a shape's numbers (N, C) of the kinds ``held``, divided by ``full``.

    Each is at ``most`` so large. ``preprocess.Contract.draw`` gives the same to the last bit.
    """
    names = features.columns(held)
    places = [names.index(column) for column in features.columns(kept)]
    if numbers is None or not places:
        return None
    return (numbers[:, places] / full).astype(np.float32).clip(-most, most).astype(np.float32)
