"""What files need whose suffix is not read: suffix -> words. ``prepare`` and ``predict`` say them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

_CLOUD = "not read; CloudCompare saves it as PLY"
_MESH = "not read; Blender or MeshLab saves it as PLY, OBJ or STL"
_CAD = "not read, as CAD models hold no triangles; FreeCAD or Gmsh makes STL of it"
_ARRAYS = "not read yet; save each shape as NPY or PLY"

NEEDS: Mapping[str, str] = {
    ".copc": "not read by this name; rename it to .copc.laz",
    ".bag": "not read; save its clouds as PCD", ".dp": _CLOUD, ".rcp": _CLOUD,
    ".bin": "not read by itself, but with the .gltf that names it; other ones become NPY (fromfile, reshape, save)",
    ".mat": _ARRAYS, ".pkl": _ARRAYS, ".pt": _ARRAYS, ".pth": _ARRAYS,
    ".zarr": _ARRAYS, ".parquet": _ARRAYS,
    ".tsv": "not read by this name; rename it to .csv or .txt",
    ".xlsx": "not read; save the sheet as text",
    ".fbx": _MESH, ".dae": _MESH, ".3ds": _MESH, ".blend": _MESH, ".wrl": _MESH,
    ".vtk": _MESH, ".vtp": _MESH, ".3mf": _MESH, ".msh": _MESH, ".usd": _MESH, ".usdz": _MESH,
    ".step": _CAD, ".stp": _CAD, ".iges": _CAD, ".igs": _CAD, ".ifc": _CAD,
    ".zip": "an archive; unpack it", ".gz": "an archive; unpack it", ".tar": "an archive; unpack it",
    ".7z": "an archive; unpack it", ".rar": "an archive; unpack it",
}  # fmt: skip


def needed(suffixes: Collection[str], readable: Collection[str]) -> Iterator[str]:
    """What the files of these suffixes would need, in lines: ``.las .laz: not read yet; ...``.

    Suffixes that are read, or of which nothing is known, are passed over.
    """
    words: dict[str, list[str]] = {}
    for suffix in sorted(suffixes):
        if suffix in NEEDS and suffix not in readable:
            words.setdefault(NEEDS[suffix], []).append(suffix)
    for need, some in words.items():
        yield f"{' '.join(some)}: {need}"
