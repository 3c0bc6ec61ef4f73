"""E57, the format of terrestrial scanners (ASTM E2807): several scans, each with a pose that leads to all others.

The library pye57 decodes it in a process of its own, as it may crash on a damaged file. Its own reader refuses normals
and fields that it does not know. Here each field comes by its name in its own type. A point that the file calls invalid
has no place, and is treated as a row of nan is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pointkit.cloud import Array, Float64, PointCloud
from pointkit.errors import MissingExtraError, PointkitError
from pointkit.formats import decoding, files, records, wkt
from pointkit.formats.streams import ROWS, Opened, Piece

_HEAD = struct.Struct(
    "<8sIIQQQQ"
)  # signature, version, bytes of the file, where the XML begins and how long it is, page
_PAGE = 1024
_CARTESIAN = ("cartesianX", "cartesianY", "cartesianZ", "cartesianInvalidState")
_SPHERICAL = ("sphericalRange", "sphericalAzimuth", "sphericalElevation", "sphericalInvalidState")
_NORMALS = ("nx", "ny", "nz")
_NAMES = {  # the file's names -> those that other formats have, too
    "colorRed": "red", "colorGreen": "green", "colorBlue": "blue",
    "normalX": "nx", "normalY": "ny", "normalZ": "nz",
}  # fmt: skip
_KINDS = {"red": "color", "nx": "normals", "intensity": "intensity"}  # a field -> the kind of features that it shows
_STEADY = ("red", "green", "blue", "intensity")  # two types of them have two scales, so scans must agree
_INTEGERS = ("u1", "i1", "u2", "i2", "u4", "i4", "q")
_WIDE = ("u4", "i4")  # pye57 has no buffers for them: it reads them in 64 bits


class Scan(NamedTuple):
    """What a file says of a scan: how many points, the types of their fields, and its pose.

    ``rotation`` is a quaternion w, x, y, z; ``translation`` three numbers. ``steps`` and ``starts`` have three numbers
    where the coordinates are whole numbers, each times its step and from its start on; none where they are floats.
    """

    points: int
    kinds: dict[str, str]
    rotation: tuple[float, ...]
    translation: tuple[float, ...]
    steps: tuple[float, ...]
    starts: tuple[float, ...]


class Listing(NamedTuple):
    """What a file says of itself: its scans, and the text that names its coordinate reference system ("" for none)."""

    scans: list[Scan]
    crs: str


def read(opened: Opened) -> PointCloud:
    """The points of all scans, each in its pose, with the fields that all have; ``scan`` numbers several from 0."""
    return cloud_of(opened, listing(opened).scans)


def listing(opened: Opened) -> Listing:
    """What a file says of itself, once its head is found to fit its size."""
    _check(opened)
    library()
    (found,) = decoding.apart(listed, opened)
    return found


def cloud_of(opened: Opened, scans: Sequence[Scan]) -> PointCloud:
    """The points of these scans, which are all of a file."""
    needed = sum(scan.points * sum(np.dtype(kind).itemsize for kind in scan.kinds.values()) for scan in scans)
    files.refuse_bomb(needed, opened.size)
    filled = [(scan, {name: np.empty(scan.points, kind) for name, kind in scan.kinds.items()}) for scan in scans]
    for number, start, piece in decoding.apart(decoded, opened):
        for name, array in piece.items():
            filled[number][1][name][start : start + len(array)] = array
    some = [_placed(scan, fields) for scan, fields in filled if scan.points]
    fields = _together([fields for _, fields in some])
    kept = tuple(kind for name, kind in _KINDS.items() if name not in fields and any(name in held for _, held in some))
    if len(scans) > 1:
        fields["scan"] = np.repeat(np.arange(len(scans), dtype=np.int32), [scan.points for scan in scans])
    cloud = records.cloud(np.concatenate([xyz for xyz, _ in some]), fields)
    return dataclasses.replace(cloud, partial=kept)


def pieces(opened: Opened, rows: int) -> Iterator[Piece]:
    """The points of all scans in pieces of ``rows``, or fewer at the end of a scan, with the fields that all have."""
    scans = listing(opened).scans
    empty = [{name: np.empty(0, kind) for name, kind in scan.kinds.items()} for scan in scans]
    shared = _together([_placed(scan, some)[1] for scan, some in zip(scans, empty, strict=True) if scan.points])
    begins = np.cumsum([0, *(scan.points for scan in scans)]).tolist()
    for number, start, some in decoding.apart(decoded, opened, rows):
        xyz, held = _placed(scans[number], some)
        fields = {name: held[name].astype(kind.dtype, copy=False) for name, kind in shared.items()}
        if len(scans) > 1:
            fields["scan"] = np.full(len(xyz), number, np.int32)
        yield Piece(begins[number] + start, xyz.astype(np.float64, copy=False), fields)


def facts(opened: Opened) -> dict[str, Any]:
    """What a file says of itself, for people."""
    about = listing(opened)
    posed = sum(bool(np.any(scan.translation)) or matrix(scan.rotation) is not None for scan in about.scans)
    crs = wkt.name(about.crs) or about.crs[:200] or "none in the file"
    return {"format": "E57", "crs": crs, "scans": len(about.scans), "scans_with_a_pose": posed}


def _check(opened: Opened) -> None:
    """Raise ValueError where the head of a file does not fit its size."""
    if opened.size < _HEAD.size or opened.at(0, 8) != b"ASTM-E57":
        raise ValueError("an E57 file begins with ASTM-E57, got other bytes")
    _, major, _, length, start, xml, page = _HEAD.unpack(opened.at(0, _HEAD.size))
    if major != 1:
        raise ValueError(f"the version of an E57 file must be 1, got {major}")
    if length != opened.size or page != _PAGE:
        raise ValueError(f"the header promises {length:,} bytes in pages of {page:,}, got {opened.size:,}: is it cut?")
    if start + xml > length:
        raise ValueError(f"the header promises XML of {xml:,} bytes from {start:,} on, got {length:,}: is it damaged?")


def _placed(scan: Scan, fields: Mapping[str, Array]) -> tuple[Float64, dict[str, Array]]:
    """The coordinates (N, 3) of a scan's points among all scans, nan where they are invalid, and its other fields."""
    system = next((names for names in (_CARTESIAN, _SPHERICAL) if set(names[:3]) <= fields.keys()), None)
    if system is None:
        wanted = " or ".join(" ".join(names[:3]) for names in (_CARTESIAN, _SPHERICAL))
        raise ValueError(f"a scan has {wanted}, got {' '.join(fields)[:200]}")
    xyz = np.stack([fields[name] for name in system[:3]], 1)
    if system is _SPHERICAL:
        far, around, up = xyz.astype(np.float64).T
        flat = far * np.cos(up)
        xyz = np.stack([flat * np.cos(around), flat * np.sin(around), far * np.sin(up)], 1)
    turn, moved = matrix(scan.rotation), np.array(scan.translation)
    if turn is not None:
        xyz = xyz.astype(np.float64) @ turn.T
    if moved.any():
        xyz = xyz.astype(np.float64) + moved
    if system[3] in fields and fields[system[3]].any():
        xyz = np.where(fields[system[3]][:, None] != 0, np.nan, xyz)
    rest = {name: array for name, array in fields.items() if name not in system}
    rest = {_name(name, rest): array for name, array in rest.items()}
    if turn is not None and set(_NORMALS) <= rest.keys():
        turned = np.stack([rest[name] for name in _NORMALS], 1) @ turn.T
        rest |= {name: turned[:, i].astype(rest[name].dtype) for i, name in enumerate(_NORMALS)}
    return xyz, rest


def matrix(rotation: tuple[float, ...]) -> Float64 | None:
    """The matrix (3, 3) of a quaternion w, x, y, z; None where it turns nothing."""
    quaternion = np.array(rotation)
    if not np.isfinite(quaternion).all() or not quaternion.any():
        raise ValueError(f"the rotation of a scan must be a quaternion, got {rotation}")
    w, x, y, z = quaternion / np.sqrt((quaternion**2).sum())
    if not (x or y or z):
        return None
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: Float64 = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    return turn


def _name(name: str, all_of_them: Mapping[str, Array]) -> str:
    """A field's name without that of its extension, where no other field has it."""
    short = name.rpartition(":")[2]
    if sum(other.rpartition(":")[2] == short for other in all_of_them) > 1:
        return name
    return _NAMES.get(short, short)


def _together(scans: list[dict[str, Array]]) -> dict[str, Array]:
    """The fields that all scans have, each in one array."""
    fields: dict[str, Array] = {}
    if not scans:
        raise ValueError("no points")
    for name in scans[0]:
        arrays = [fields[name] for fields in scans if name in fields]
        mixed = name in _STEADY and len({array.dtype for array in arrays}) > 1
        if len(arrays) == len(scans) and not mixed:
            fields[name] = np.concatenate(arrays)
    return fields


def library() -> Any:
    """The library that decodes. Raises MissingExtraError where it is not installed."""
    try:
        from pye57 import libe57
    except ImportError:
        raise MissingExtraError("E57 files need the extra e57: pip install 'pointkit[e57]'") from None
    return libe57


# ---- in the process that decodes


def listed(source: str | bytes) -> Generator[Listing, None, None]:
    """What a file says of itself."""
    with decoding.foreign("pye57"), _file(source) as file:
        root = file.root()
        crs = root["coordinateMetadata"].value() if root.isDefined("coordinateMetadata") else ""
        yield Listing([_scan(node) for node in _scans(file)], crs.strip())


def decoded(source: str | bytes, rows: int = ROWS) -> Generator[tuple[int, int, dict[str, Array]], None, None]:
    """All scans in pieces of ``rows``: the scan's number, that of the piece's first point in it, and its fields."""
    with decoding.foreign("pye57"), _file(source) as file:
        for number, node in enumerate(_scans(file)):
            scan = _scan(node)
            for start, piece in _points(file, node, scan, rows) if scan.points else ():
                yield number, start, piece


def _points(file: Any, node: Any, scan: Scan, rows: int) -> Iterator[tuple[int, dict[str, Array]]]:
    """A scan's points in pieces, with the number of each piece's first point."""
    libe57 = library()
    rows = min(rows, scan.points)
    arrays = {name: np.empty(rows, "q" if kind in _WIDE else kind) for name, kind in scan.kinds.items()}
    buffers = libe57.VectorSourceDestBuffer()
    for name, array in arrays.items():
        buffers.append(libe57.SourceDestBuffer(file, name, array, rows, True, True))
    reader = node["points"].reader(buffers)
    start = 0
    while count := reader.read():
        if start + count > scan.points:
            break
        yield start, {name: array[:count].astype(scan.kinds[name]) for name, array in arrays.items()}
        start += count
    reader.close()
    if start != scan.points:
        raise PointkitError(f"a scan promises {scan.points:,} points, got {start:,}: is the file cut?")


@contextlib.contextmanager
def _file(source: str | bytes) -> Iterator[Any]:
    libe57 = library()
    with contextlib.ExitStack() as stack:
        if isinstance(source, bytes):
            copy = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".e57"))
            copy.write(source)
            copy.flush()
            source = copy.name
        file = libe57.ImageFile(source, "r", libe57.CHECKSUM_POLICY_ALL)
        stack.callback(file.close)
        yield file


def _scans(file: Any) -> list[Any]:
    root = file.root()
    if not root.isDefined("data3D"):
        return []
    return [root["data3D"][i] for i in range(len(root["data3D"]))]


def _scan(node: Any) -> Scan:
    libe57 = library()
    pose = {"rotation": dict.fromkeys("wxyz", 0.0) | {"w": 1.0}, "translation": dict.fromkeys("xyz", 0.0)}
    for name, values in pose.items():
        if node.isDefined("pose") and node["pose"].isDefined(name):
            values |= {axis: float(node["pose"][name][axis].value()) for axis in values}
    kinds: dict[str, str] = {}
    steps: dict[str, tuple[float, float]] = {}
    prototype = libe57.StructureNode(node["points"].prototype())
    for i in range(prototype.childCount()):
        field = prototype[i]
        if isinstance(field, libe57.FloatNode):
            kinds[field.elementName()] = "f4" if field.precision() == libe57.E57_SINGLE else "f8"
        elif isinstance(field, libe57.ScaledIntegerNode):
            kinds[field.elementName()] = "f8"
            steps[field.elementName()] = field.scale(), field.offset()
        elif isinstance(field, libe57.IntegerNode):
            low, high = field.minimum(), field.maximum()
            fitting = (kind for kind in _INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
            kinds[field.elementName()] = next(fitting)
            steps[field.elementName()] = 1.0, 0.0
    whole = [steps[name] for name in _CARTESIAN[:3]] if steps.keys() >= set(_CARTESIAN[:3]) else []
    return Scan(
        points=node["points"].childCount(),
        kinds=kinds,
        rotation=tuple(pose["rotation"].values()),
        translation=tuple(pose["translation"].values()),
        steps=tuple(step for step, _ in whole),
        starts=tuple(start for _, start in whole),
    )
