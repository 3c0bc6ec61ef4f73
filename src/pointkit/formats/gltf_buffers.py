"""What a glTF file is made of: JSON, buffers of bytes, and accessors, which say how numbers lie in the buffers.

A .glb file holds the JSON and one buffer. A .gltf file is the JSON alone. Its buffers are texts in it, or files beside
it. Nothing in the JSON is believed before it is compared with the bytes that are there.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from pointkit.cloud import Array
from pointkit.formats.files import refuse_bomb

Near = Callable[[str], bytes]  # the bytes of a file beside, by the name that the JSON gives it
Table = Mapping[str, Any]

_JSON, _BINARY = 0x4E4F534A, 0x004E4942
_KINDS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_HARMLESS = (  # extensions that change how a shape looks, and no number that is read
    "KHR_mesh_quantization", "KHR_materials", "KHR_texture", "EXT_texture", "MSFT_texture", "KHR_lights", "EXT_lights",
    "KHR_xmp", "KHR_animation", "EXT_structural_metadata", "EXT_mesh_features",
)  # fmt: skip


class Numbers(NamedTuple):
    """An accessor's numbers (N, width), and whether whole ones stand for shares of their type's largest."""

    array: Array
    normalized: bool

    def shares(self) -> Array:
        """The numbers as they are meant: shares as floats from -1 or 0 to 1."""
        if not self.normalized or self.array.dtype.kind == "f":
            return self.array
        return np.maximum(self.array / np.float32(np.iinfo(self.array.dtype).max), np.float32(-1))


class Document:
    """The JSON of a file, checked where it is asked for, and its buffers. ``near`` gives the files beside it."""

    def __init__(self, data: bytes, near: Near) -> None:
        text, self._binary = _chunks(data) if data[:4] == b"glTF" else (data, None)
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a glTF file holds JSON, got none ({error})") from None
        self.tree: Table = _table("the JSON", tree)
        self._near = near
        self._buffers: dict[int, bytes] = {}
        self._size, self._taken = len(data), 0
        version = _table("asset", self.tree.get("asset")).get("version")
        if not isinstance(version, str) or version.partition(".")[0] != "2":
            raise ValueError(f"the version of a glTF file must be 2.0, got {version!r:.20}")
        required = _list("extensionsRequired", self.tree.get("extensionsRequired", []))
        unknown = [name for name in required if not str(name).startswith(_HARMLESS)]
        if unknown:
            raise ValueError(f"it needs {unknown[0]!s:.60}, which is not read; Blender saves it without compression")

    def take(self, size: int) -> None:
        """Count bytes that the shape takes. A small file may name the same numbers a million times."""
        self._taken += size
        refuse_bomb(self._taken, self._size, "save it without instances")

    def all(self, name: str) -> list[Table]:
        """All objects of a list such as ``nodes``."""
        return [_table(f"{name} {i}", thing) for i, thing in enumerate(_list(name, self.tree.get(name, [])))]

    def one(self, name: str, index: Any) -> Table:
        """The object of a list that an index leads to."""
        things = _list(name, self.tree.get(name, []))
        if type(index) is not int or not 0 <= index < len(things):
            raise ValueError(f"{name} has {len(things)} entries, got the index {index!r:.40}")
        return _table(f"{name} {index}", things[index])

    def numbers(self, index: Any, what: str, widths: tuple[int, ...]) -> Numbers:
        """The numbers of an accessor, ``widths`` a row. Where it has no view they are 0, but for its sparse ones."""
        accessor = self.one("accessors", index)
        count, kind = whole(accessor, "count"), _kind(accessor)
        width = _WIDTHS.get(str(accessor.get("type")))
        if not kind or width not in widths or not count:
            found = [accessor.get(key) for key in ("count", "type", "componentType")]
            raise ValueError(f"{what} must be rows of {' or '.join(map(str, widths))} numbers, got {found!r:.80}")
        sparse = accessor.get("sparse")
        if "bufferView" in accessor:
            array = self._rows(accessor, what, (count, width), kind)
        elif sparse is not None:
            self.take(count * width * np.dtype(kind).itemsize)
            array = np.zeros((count, width), kind)
        else:
            raise ValueError(f"{what} has no bufferView, and so no numbers")
        if sparse is not None:
            array = self._changed(array, _table("sparse", sparse), what)
        return Numbers(array.astype(kind.lstrip("<"), copy=False), accessor.get("normalized") is True)

    def _changed(self, array: Array, sparse: Table, what: str) -> Array:
        """An accessor's rows, some of them replaced."""
        count, at, values = whole(sparse, "count"), *(_table(key, sparse.get(key)) for key in ("indices", "values"))
        kind = _kind(at)
        if kind not in ("u1", "<u2", "<u4") or not 0 < count <= len(array):
            raise ValueError(f"{what} has {len(array)} rows, got {count} sparse ones of the type {kind or 'none'}")
        places = self._rows(at, what, (count, 1), kind)[:, 0]
        if places.max() >= len(array):
            raise ValueError(f"{what} has {len(array)} rows, got the sparse index {places.max()}")
        array[places] = self._rows(values, what, (count, array.shape[1]), array.dtype.str)
        return array

    def _rows(self, place: Table, what: str, shape: tuple[int, int], kind: str) -> Array:
        """Rows of numbers that lie in a view of a buffer, each so many bytes (the stride) after the one before."""
        view = self.one("bufferViews", place.get("bufferView"))
        buffer = self._buffer(view.get("buffer"))
        begin, length, offset = whole(view, "byteOffset", 0), whole(view, "byteLength"), whole(place, "byteOffset", 0)
        size = shape[1] * np.dtype(kind).itemsize
        stride = whole(view, "byteStride", size)
        needed = offset + stride * (shape[0] - 1) + size
        if begin + length > len(buffer) or needed > length or stride < size:
            raise ValueError(
                f"{what} needs {needed:,} bytes of a view of {length:,} from byte {begin:,} on, in a buffer of "
                f"{len(buffer):,}: is the file cut?"
            )
        self.take(shape[0] * size)
        every = np.ndarray(shape, kind, buffer, begin + offset, (stride, np.dtype(kind).itemsize))
        return every.copy()

    def _buffer(self, index: Any) -> bytes:
        buffer = self.one("buffers", index)
        if index not in self._buffers:
            length, uri = whole(buffer, "byteLength"), buffer.get("uri")
            if uri is None and index == 0 and self._binary is not None:
                data = self._binary
            elif not isinstance(uri, str):
                raise ValueError(f"buffer {index} must have a uri, got {uri!r:.40}")
            elif uri.startswith("data:"):
                data = _decoded(uri)
            else:
                data = self._near(uri)
                self._size += len(data)
            if len(data) < length:
                raise ValueError(f"buffer {index} promises {length:,} bytes, got {len(data):,}: is it cut?")
            self._buffers[index] = data[:length]
        return self._buffers[index]


def _chunks(data: bytes) -> tuple[bytes, bytes | None]:
    """The JSON and the buffer of a .glb file."""
    if len(data) < 12:
        raise ValueError(f"a GLB file begins with 12 bytes, got {len(data)}")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise ValueError(f"the version of a GLB file must be 2, got {version}")
    if length != len(data):
        raise ValueError(f"the header promises {length:,} bytes, got {len(data):,}")
    found: list[tuple[int, bytes]] = []
    at = 12
    while at < length:
        size, kind = struct.unpack_from("<II", data, at) if at + 8 <= length else (length, 0)
        if at + 8 + size > length:
            raise ValueError(f"chunk {len(found)} promises {size:,} bytes, got {max(0, length - at - 8):,}")
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    if not found or found[0][0] != _JSON:
        raise ValueError("the first chunk of a GLB file must be JSON, got none")
    return found[0][1], next((chunk for kind, chunk in found[1:2] if kind == _BINARY), None)


def _decoded(uri: str) -> bytes:
    """The bytes in a uri that holds them itself."""
    head, comma, text = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ValueError(f"a buffer's data must be base64, got {head[:40]!r}")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"a buffer's data must be base64 ({error})") from None


def _kind(thing: Table) -> str:
    """The type of numbers that an accessor names; "" for none."""
    code = thing.get("componentType")
    return _KINDS.get(code, "") if type(code) is int else ""


def whole(thing: Table, key: str, default: int | None = None) -> int:
    """A whole number from 0 on; ValueError for anything else."""
    value = thing.get(key, default)
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"{key} must be a whole number, got {value!r:.40}")
    return value


def finite(thing: Table, key: str, default: list[float]) -> Array:
    """As many finite numbers as ``default`` has; ValueError for anything else."""
    value = thing.get(key, default)
    if isinstance(value, list) and len(value) == len(default) and all(type(one) in (int, float) for one in value):
        array = np.array([float(one) if abs(one) < 1e300 else np.nan for one in value])
        if np.isfinite(array).all():
            return array
    raise ValueError(f"{key} must be {len(default)} finite numbers, got {value!r:.80}")


def _table(what: str, value: Any) -> Table:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object, got {value!r:.40}")
    return value


def _list(what: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list, got {value!r:.40}")
    return value
