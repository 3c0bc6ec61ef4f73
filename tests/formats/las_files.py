"""LAS files for the tests, made by laspy: all point formats, extra dimensions, records behind the points."""

import io

import laspy
import numpy as np

VERSIONS = {0: "1.2", 1: "1.2", 2: "1.2", 3: "1.2", 4: "1.3", 5: "1.3"}  # the others are of 1.4
WKT = (
    'PROJCS["Somewhere / UTM 32N",GEOGCS["Somewhere",DATUM["D",SPHEROID["S",6378137,298.25]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.017]],PROJECTION["Transverse_Mercator"],UNIT["metre",1],AUTHORITY["EPSG","32632"]]'
)


def made(point_format=3, count=500, *, compressed=False, extra=True, **how):
    """The bytes of a file whose every field holds random numbers of its whole range.

    ``how``: another ``version``; an ``evlr`` behind the points; several ``channels``; coordinates as ``smooth``
    as those of a moving scanner.
    """
    rng = np.random.default_rng([point_format, count])
    header = laspy.LasHeader(version=how.get("version") or VERSIONS.get(point_format, "1.4"), point_format=point_format)
    header.scales, header.offsets = [0.001, 0.01, 0.0025], [500_000, 5_600_000.5, -3]
    header.vlrs.append(laspy.VLR("LASF_Projection", 2112, "text", WKT.encode() + b"\0"))
    if extra:
        header.add_extra_dims(
            [
                laspy.ExtraBytesParams("height above", "u2", "in cm", offsets=[-5.0], scales=[0.01]),
                laspy.ExtraBytesParams("Intensity", "f4"),
                laspy.ExtraBytesParams("tree", "3i4"),
            ]
        )
    las = laspy.LasData(header)
    las.points = laspy.ScaleAwarePointRecord.zeros(count, header=header)
    for name in las.points.array.dtype.names:
        column = las.points.array[name]
        raw = rng.integers(0, 256, (count, column.nbytes // count), dtype=np.uint8)
        column[...] = np.ascontiguousarray(raw).view(column.dtype).reshape(column.shape)
        if column.dtype.kind == "f":
            column[...] = rng.standard_normal(column.shape)
    for name in "XYZ":
        las.points.array[name] = rng.integers(-(2**31), 2**31, count)
        if how.get("smooth"):
            las.points.array[name] = rng.integers(-100, 101, count).cumsum()
    if point_format in (9, 10):  # lazrs compresses waveforms of several channels wrongly
        las.points["scanner_channel"] = np.arange(count) % how.get("channels", 1)
    if how.get("evlr"):
        las.evlrs = laspy.vlrs.vlrlist.VLRList([laspy.VLR("somebody", 7, "behind", bytes(range(200)) * 500)])
    stream = io.BytesIO()
    las.write(stream, do_compress=compressed)
    return stream.getvalue()


def judged(data):
    """The file as laspy reads it."""
    return laspy.read(io.BytesIO(data))
