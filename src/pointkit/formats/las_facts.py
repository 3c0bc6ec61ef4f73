"""What a LAS file says of itself beside its points: version, reference system, scale, who wrote it."""

from __future__ import annotations

import struct
from typing import Any

from pointkit.formats import las_header, wkt
from pointkit.formats.las_header import Header
from pointkit.formats.streams import Opened

_PROJECTION = "LASF_Projection"
_WKT, _KEYS, _TEXTS = (2112, 2111), 34735, 34737
_LONGEST = 1 << 20  # bytes of a text that are looked at
_PROJECTED, _GEOGRAPHIC, _VERTICAL = 3072, 2048, 4096  # GeoTIFF's keys that hold a code of EPSG
_CITATIONS = (3073, 1026, 2049)  # those that hold a name


def facts(opened: Opened) -> dict[str, Any]:
    """The facts of a file, for people."""
    header = las_header.read(opened)
    packed = "COPC" if header.is_copc else "LAZ" if header.compressed else "LAS"
    day, year = header.day
    return {
        "format": f"{packed} 1.{header.version}, point format {header.point_format}",
        "crs": crs(opened, header) or "none in the file",
        "scale": header.scale.tolist(),
        "offset": header.offset.tolist(),
        "written_by": header.software.strip() or "not said",
        "written_on": f"day {day} of {year}" if day and year else "not said",
        "records": len(header.vlrs) + len(header.evlrs),
    }


def crs(opened: Opened, header: Header) -> str:
    """The name of the coordinate reference system, with its code of EPSG where the file has one; "" for none."""
    for number in _WKT:
        if (body := _body(opened, header, number)) and (name := wkt.name(body.decode("utf-8", "replace"))):
            return name
    keys, texts = _body(opened, header, _KEYS), _body(opened, header, _TEXTS)
    return _of_keys(keys, texts.decode("latin-1")) if keys else ""


def _body(opened: Opened, header: Header, number: int) -> bytes:
    vlr = header.find(_PROJECTION, number)
    return b"" if vlr is None else opened.at(vlr.start, min(vlr.end - vlr.start, _LONGEST))


def _of_keys(data: bytes, texts: str) -> str:
    """The name and the codes in GeoTIFF's keys, each four numbers: key, where, how many, value."""
    numbers = struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])
    entries = {numbers[i]: numbers[i + 1 : i + 4] for i in range(4, len(numbers) - 3, 4)}
    names = (entries[key] for key in _CITATIONS if key in entries and entries[key][0] == _TEXTS)
    name = next((texts[start : start + count].strip("|\0 ") for _, count, start in names), "")
    codes = [entries[key][2] for key in (_PROJECTED, _GEOGRAPHIC) if entries.get(key, (1,))[0] == 0]
    codes = codes[:1] + [entries[key][2] for key in (_VERTICAL,) if entries.get(key, (1,))[0] == 0]
    known = "+".join(f"EPSG:{code}" for code in codes if 0 < code < 32767)
    return f"{name} ({known})" if name and known else name or known
