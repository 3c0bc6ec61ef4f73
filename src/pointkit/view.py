"""One file made visible: a picture, or one HTML page that turns under the mouse and needs neither network nor server.

The page is viser's own client with the scene inside it, about 0.8 MB and 11 bytes a point. A library that draws into the
page by itself (plotly) has it ten times as large; a viewer that fetches the file needs a server that stays up.
"""

from __future__ import annotations

import contextlib
import html
import io
import pathlib
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit import formats, preprocess, raster
from pointkit.cloud import Array, Float32, Float64, Mesh, PointCloud, Shape
from pointkit.errors import MissingExtraError, PointkitError
from pointkit.formats.files import replacing, shown

SAMPLED = 2048  # points drawn from a mesh, as for training
MOST = 200_000  # points of a cloud that are shown: what a browser turns smoothly
FOV = 0.6  # radians from the lower to the upper edge: little perspective
ASPECT = 1.3  # width to height of the narrowest window that shows the whole shape
MARGIN = 1.08
_PARTS, _LABELS = ("part", "label"), ("label", "classification")
_UNLABELLED = (170, 176, 183)


@dataclass(frozen=True, eq=False)
class Scene:
    """What is shown of a file.

    ``points`` (N, 3) float32: of the cloud, or drawn from ``mesh``; ``colors`` (N, 3) uint8, or None where the file says
    nothing about colour; ``title``: the file and what it holds.
    """

    title: str
    points: Float32
    colors: NDArray[np.uint8] | None = None
    mesh: Mesh | None = None


def view(path: pathlib.Path, output: pathlib.Path, *, force: bool = False) -> pathlib.Path:
    """Draw the mesh or cloud in a file into ``output``, a .png or .html, and return its path.

    A mesh is shown with points drawn from its surface, its faces coloured by the field ``part`` or ``label`` on the page;
    a cloud by its own colours, else its labels, else its height, and no more than ``MOST`` of its points, which the title
    says. Nothing is printed. Raises PointkitError where ``output`` has another suffix, is the file itself, or exists and
    ``force`` is not given; MissingExtraError where a page is asked for without viser; FormatError or OSError from reading.
    """
    writers: dict[str, Callable[[Scene], bytes]] = {".png": picture, ".html": page}
    write = writers.get(output.suffix.lower())
    if write is None:
        raise PointkitError(f"{shown(output)}: --output must end in {' or '.join(writers)}, got {output.suffix!r}")
    if output.exists():
        if output.samefile(path):
            raise PointkitError(f"{shown(output)}: is the file to be drawn; give --output another name")
        if output.is_dir():
            raise PointkitError(f"{shown(output)}: must be a file, found a folder")
        if not force:
            raise PointkitError(
                f"{shown(output)}: exists already; replace it with --force, or give --output another name"
            )
    if write is page:
        _viser()
    data = write(scene(path))
    with replacing(output) as file:
        file.write(data)
    return output


def scene(path: pathlib.Path) -> Scene:
    """What is to be shown of a file. Raises FormatError or OSError where it cannot be read or has nothing to show."""
    shape = formats.read(path)
    name = shown(path.name)
    is_surface = isinstance(shape, Mesh) and len(shape.faces) > 0
    try:
        drawn = preprocess.draw(shape, SAMPLED if is_surface else MOST)
    except ValueError as error:
        raise PointkitError(f"{shown(path)}: {error}") from None
    if isinstance(shape, Mesh) and is_surface:
        title = (
            f"{name}: {len(shape.vertices):,} vertices, {len(shape.faces):,} faces, {len(drawn.points):,} points drawn"
        )
        return Scene(title, drawn.points, mesh=shape)
    total = len(shape.vertices if isinstance(shape, Mesh) else shape.points)
    some = f"{len(drawn.points):,} of " if len(drawn.points) < total else ""
    colors = _own_colors(shape)
    return Scene(f"{name}: {some}{total:,} points", drawn.points, None if colors is None else colors[drawn.index])


def picture(shown_scene: Scene) -> bytes:
    """A scene as PNG: a mesh beside its points, or the cloud, the nearer the darker where it has no colours."""
    from pointkit import plots

    if shown_scene.mesh is not None:
        return plots.png(plots.mesh_and_points(shown_scene.mesh, shown_scene.points, shown_scene.title), dpi=160)
    colors = None if shown_scene.colors is None else shown_scene.colors / 255
    return plots.png(plots.cloud(shown_scene.points, colors), dpi=300)


def page(shown_scene: Scene) -> bytes:
    """A scene as one HTML page. Raises MissingExtraError where viser is not installed."""
    viser = _viser()
    socket.create_server(("127.0.0.1", 0)).close()  # viser waits for ever where it finds no port
    with contextlib.redirect_stdout(io.StringIO()):  # viser greets, whatever it is told
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        try:
            _fill(server, shown_scene)
            text = server.scene.as_html()
        finally:
            server.stop()
    return _titled(text, shown_scene.title).encode()


def _viser() -> Any:
    try:
        import viser
    except ImportError:
        raise MissingExtraError("an HTML page needs viser: pip install pointkit[view], or write a .png") from None
    return viser


def _titled(text: str, title: str) -> str:
    """The page with a title, in the browser's bar and in the lower left corner."""
    safe = html.escape(title)
    text = re.sub("<title>.*?</title>", lambda _: f"<title>{safe}</title>", text, count=1)
    head, _, tail = text.rpartition("</body>")
    style = "position:fixed;left:16px;bottom:12px;font:14px system-ui,sans-serif;color:#6b7785;pointer-events:none"
    return f'{head}<div style="{style}">{safe}</div>\n</body>{tail}'


def _fill(server: Any, shown_scene: Scene) -> None:
    """Put a scene into viser: centred, one unit large, and seen as in the pictures."""
    outline = shown_scene.points if shown_scene.mesh is None else shown_scene.mesh.vertices[shown_scene.mesh.faces]
    place = _to_unit(outline.reshape(-1, 3))
    points = place(shown_scene.points)
    if shown_scene.mesh is None:
        colors = _height_colors(points) if shown_scene.colors is None else shown_scene.colors
        visible = points
    else:
        vertices = place(shown_scene.mesh.vertices)
        visible = vertices[np.unique(shown_scene.mesh.faces)]
        for name, faces, color in _pieces(shown_scene.mesh):
            used, index = np.unique(faces, return_inverse=True)
            server.scene.add_mesh_simple(
                f"/mesh/{name}", vertices[used], index.reshape(-1, 3), color=color, flat_shading=True, side="double"
            )
        colors = np.array([31, 41, 51], np.uint8)
    server.scene.add_point_cloud(
        "/points",
        points,
        colors,
        point_size=float(np.clip(0.5 / np.sqrt(len(points)), 0.0015, 0.012)),
        point_shape="circle",
    )
    right, up, near = raster.project(np.eye(3)).T
    server.initial_camera.position = near * _distance(raster.project(visible))
    server.initial_camera.look_at = (0.0, 0.0, 0.0)
    server.initial_camera.fov = FOV


def _to_unit(outline: Float32) -> Callable[[Float32], Float32]:
    """What moves the middle of a box around points (N, 3) to zero and makes its longest side 1."""
    low, high = outline.min(0).astype(np.float64), outline.max(0).astype(np.float64)
    scale = float((high - low).max()) or 1.0
    return lambda points: ((points - (low + high) / 2) / scale).astype(np.float32)


def _distance(eye: Float64) -> float:
    """How far from zero the camera stands to see all points (N, 3) of the eye's frame."""
    slope = np.tan(FOV / 2) / MARGIN
    needed = eye[:, 2] + np.maximum(np.abs(eye[:, 0]) / ASPECT, np.abs(eye[:, 1])) / slope
    return float(needed.max())


def _pieces(mesh: Mesh) -> list[tuple[str, NDArray[np.int32], tuple[int, int, int]]]:
    """A mesh's faces by their part, with a name and a colour; those that share a colour are one piece."""
    from pointkit import plots

    field = _first(mesh.face_fields, _PARTS)
    if field is None:
        return [("surface", mesh.faces, (189, 214, 240))]
    parts, owner = np.unique(mesh.face_fields[field], return_inverse=True)
    slot = owner % len(plots.PALETTE)
    pieces = []
    for i in range(min(len(parts), len(plots.PALETTE))):
        names = ", ".join(str(part).replace("/", "|") for part in parts[i :: len(plots.PALETTE)][:8])
        pieces.append((f"{field} {names}", mesh.faces[slot == i], _rgb(plots.PALETTE[i])))
    return pieces


def _own_colors(shape: Shape) -> NDArray[np.uint8] | None:
    """Colours (N, 3) from a cloud's own fields, or its labels; None where it has neither."""
    if not isinstance(shape, PointCloud):
        return None
    colors = _stored_colors(shape.fields)
    if colors is not None:
        return colors
    field = _first(shape.fields, _LABELS)
    labels = shape.labels if shape.labels is not None or field is None else shape.fields[field]
    return None if labels is None else _label_colors(labels)


def _stored_colors(fields: Mapping[str, Array]) -> NDArray[np.uint8] | None:
    """Colours (N, 3) of the fields red, green, blue, or PCD's packed rgb; None where there are none, or all are black."""
    if {"red", "green", "blue"} <= fields.keys():
        channels = np.stack([np.asarray(fields[name]).reshape(-1) for name in ("red", "green", "blue")], 1)
    elif "rgb" in fields and np.asarray(fields["rgb"]).dtype.itemsize == 4:
        packed = np.ascontiguousarray(fields["rgb"]).reshape(-1).view(np.uint32)
        channels = np.stack([packed >> shift & 255 for shift in (16, 8, 0)], 1).astype(np.uint8)
    else:
        return None
    full = 255.0
    if channels.dtype.kind == "f":
        channels = np.nan_to_num(channels)
        full = 1.0 if channels.max() <= 1 else 255.0
    elif channels.max() > 255:
        full = 65535.0
    return (channels / full * 255).clip(0, 255).round().astype(np.uint8) if channels.any() else None


def _label_colors(labels: Array) -> NDArray[np.uint8]:
    """A colour of the palette for each label (N,): the label's place among those that occur; -1 is grey."""
    from pointkit import plots

    values, owner = np.unique(np.asarray(labels).reshape(-1), return_inverse=True)
    place = np.cumsum(values != -1) - 1
    palette = np.array([_rgb(color) for color in plots.PALETTE], np.uint8)
    return np.where((values == -1)[:, None], np.uint8(_UNLABELLED), palette[place % len(palette)])[owner]


def _height_colors(points: Float32) -> NDArray[np.uint8]:
    """Colours (N, 3) from low (dark) to high; the lowest and highest hundredth do not stretch the scale."""
    import matplotlib

    low, high = np.percentile(points[:, 2], (1, 99))
    share = np.clip((points[:, 2] - low) / ((high - low) or 1.0), 0, 1)
    colors: NDArray[np.uint8] = matplotlib.colormaps["viridis"](share * 0.92, bytes=True)[:, :3]  # its end is too pale
    return colors


def _first(fields: Mapping[str, Array], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in fields and np.ndim(fields[name]) == 1), None)


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
