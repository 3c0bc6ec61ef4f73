"""One file made visible: a picture, or one HTML page that turns under the mouse and needs neither network nor server.

The page is viser's own client with the scene inside it: 0.8 MB, and up to 10 bytes a point. plotly's is four times as
large; a viewer that fetches the file needs a server that stays up.
"""

from __future__ import annotations

import contextlib
import html
import io
import os
import pathlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit import formats, preprocess, raster
from pointkit.cloud import Array, Float32, Float64, Mesh, PointCloud, Shape
from pointkit.errors import MissingExtraError, PointkitError
from pointkit.formats import files

SAMPLED = 2048  # points drawn from a mesh, as for training
MOST = 200_000  # points of a cloud that are shown: what a browser turns smoothly
FOV = 0.6  # radians from the lower to the upper edge: little perspective
ASPECT = 1.5  # width to height of the narrowest window that shows everything
MARGIN = 1.15  # air around the shape
GAP = 0.12  # between a mesh and its points; the mesh's longest side is 1
SURFACE, DRAWN, UNLABELLED = "#bdd6f0", "#1f6fa3", "#aab0b7"
PART_FIELDS, LABEL_FIELDS = ("part", "label"), ("label", "classification")


@dataclass(frozen=True, eq=False)
class Scene:
    """What is shown of a file.

    ``title``: the file and what it holds; ``points`` (N, 3) float32: of the cloud, or drawn from ``mesh``; ``colors``
    (N, 3) uint8: theirs, or None where the file has neither colours nor labels.
    """

    title: str
    points: Float32
    colors: NDArray[np.uint8] | None = None
    mesh: Mesh | None = None


def view(path: pathlib.Path, output: pathlib.Path, *, force: bool = False) -> pathlib.Path:
    """Draw the mesh or cloud in a file into ``output``, a .png or .html, and return that path.

    A mesh is shown beside points drawn from its surface; on the page, its faces are coloured by the field ``part`` or
    ``label``. A cloud is coloured by its own colours, else its labels, else its height; of more than ``MOST`` points a
    random part is shown, which the title says. Nothing is printed.

    Raises PointkitError where ``output`` has another suffix, is the file itself, or exists and ``force`` is not given;
    MissingExtraError where a page is asked for and viser is missing; FormatError or OSError from reading the file.
    """
    writers: dict[str, Callable[[Scene], bytes]] = {".png": picture, ".html": page}
    write = writers.get(output.suffix.lower())
    if write is None:
        raise PointkitError(f"{files.shown(output)}: --output must end in {' or '.join(writers)}")
    if output.exists():
        if output.samefile(path):
            raise PointkitError(f"{files.shown(output)}: is the file to be drawn; give --output another name")
        if not output.is_file():
            raise PointkitError(f"{files.shown(output)}: --output must be a file, found something else there")
        if not force:
            raise PointkitError(f"{files.shown(output)}: exists already; --force replaces it")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise PointkitError(f"{files.shown(output)}: --output must lie in a folder that can be written to")
    if write is page:
        _viser()  # before the file is read: a missing extra is said at once
    data = write(load(path))
    with files.replacing(output) as file:
        file.write(data)
    return output


def load(path: pathlib.Path) -> Scene:
    """What is to be shown of a file. Raises PointkitError or OSError where it cannot be read or has nothing to show."""
    shape = formats.read(path)
    surface = shape if isinstance(shape, Mesh) and len(shape.faces) else None
    try:
        drawn = preprocess.draw(shape, MOST if surface is None else SAMPLED)
    except ValueError as error:
        raise PointkitError(f"{files.shown(path)}: {error}") from None
    name = files.shown(path.name)
    if surface is not None:
        size = f"{len(surface.vertices):,} vertices, {len(surface.faces):,} faces"
        field = _first(surface.face_fields, PART_FIELDS)
        colors = _label_colors(surface.face_fields[field])[drawn.index] if field else None
        return Scene(f"{name}: {size}, {SAMPLED:,} points drawn", drawn.points, colors, surface)
    total = len(shape.vertices if isinstance(shape, Mesh) else shape.points)
    some = f"{len(drawn.points):,} of " if len(drawn.points) < total else ""
    colors = _own_colors(shape)
    return Scene(f"{name}: {some}{total:,} points", drawn.points, None if colors is None else colors[drawn.index])


def picture(scene: Scene) -> bytes:
    """A scene as PNG: a mesh beside its points, or a cloud without its strays."""
    from pointkit import plots

    if scene.mesh is not None:
        return plots.png(plots.mesh_and_points(scene.mesh, scene.points, scene.title), dpi=160)
    kept = _without_strays(scene.points)
    colors = _height_colors(scene.points) if scene.colors is None else scene.colors
    figure = plots.cloud(scene.points[kept], colors[kept] / 255)
    figure.text(0.02, 0.015, scene.title[:90], fontsize=5, color=plots.GREY, parse_math=False)
    return plots.png(figure, dpi=300)


def page(scene: Scene) -> bytes:
    """A scene as one HTML page. Raises MissingExtraError where viser is not installed."""
    viser = _viser()
    socket.create_server(("127.0.0.1", 0)).close()  # viser waits for ever where there is no port
    with contextlib.redirect_stdout(io.StringIO()):  # viser greets and takes its leave, whatever it is told
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        try:
            _fill(server, scene)
            text = server.scene.as_html()
        finally:
            server.stop()
    return _titled(text, scene.title).encode()


def _viser() -> Any:
    try:
        import viser
    except ImportError:
        raise MissingExtraError("an HTML page needs viser: pip install pointkit[view] (a .png does not)") from None
    return viser


def _titled(text: str, title: str) -> str:
    """A page with its title, in the browser's bar and in the lower left corner."""
    safe = html.escape(title)
    text = re.sub("<title>.*?</title>", lambda _: f"<title>{safe}</title>", text, count=1)
    head, _, tail = text.rpartition("</body>")
    style = "position:fixed;left:16px;bottom:12px;font:14px system-ui,sans-serif;color:#6b7785;pointer-events:none"
    return f'{head}<div style="{style}">{safe}</div></body>{tail}'


def _fill(server: Any, scene: Scene) -> None:
    """Put a scene into viser: in the middle, one unit large, z up, and seen from where the pictures are seen."""
    mesh = scene.mesh
    body = scene.points[_without_strays(scene.points)] if mesh is None else mesh.vertices[np.unique(mesh.faces)]
    low, high = body.min(0).astype(np.float64), body.max(0).astype(np.float64)
    scale = float((high - low).max()) or 1.0
    points, body = ((a - (low + high) / 2) / scale for a in (scene.points, body))
    step = np.zeros(3)
    directions = raster.project(np.eye(3)).T  # right, up, towards the eye
    if mesh is not None:
        step = directions[0] * (np.ptp(body @ directions[0]) + GAP) / 2
        body = np.concatenate([body - step, body + step])
        for name, faces, color in _pieces(mesh):
            used, index = np.unique(faces, return_inverse=True)
            vertices = (mesh.vertices[used] - (low + high) / 2) / scale
            look = {"color": color, "flat_shading": True, "side": "double", "position": -step}
            server.scene.add_mesh_simple(f"/mesh/{name}", vertices, index.reshape(-1, 3), **look)
    colors = _rgb(DRAWN) if mesh is not None and scene.colors is None else scene.colors
    server.scene.add_point_cloud(
        "/points",
        points.clip(-1000, 1000),  # viser keeps them as float16
        _height_colors(points) if colors is None else colors,
        point_size=float(np.clip(0.3 / np.sqrt(len(points)), 0.0015, 0.01)),
        point_shape="circle",
        position=step,
    )
    target, distance = _camera(raster.project(body))
    server.initial_camera.look_at = target @ directions
    server.initial_camera.position = target @ directions + distance * directions[2]
    server.initial_camera.fov = FOV


def _without_strays(points: Float32) -> NDArray[np.bool_]:
    """Which of points (N, 3) lie near the inner 98 in a hundred: not a scan's few hits through a window."""
    low, high = np.percentile(points, (1, 99), axis=0)
    reach = 0.3 * (high - low).max()
    near: NDArray[np.bool_] = ((points >= low - reach) & (points <= high + reach)).all(1)
    return near if near.any() else ~near


def _camera(eye: Float64) -> tuple[Float64, float]:
    """The target (3,) and the distance from it that fit points (N, 3), all in the eye's frame, into a window.

    A camera at (t, d), sideways and in depth, sees a point (x, z) where |x - t| <= slope * (d - z): two half planes a
    point, so the nearest such camera stands where the outermost ones meet. In the direction that has room to spare, the
    two outermost points are then brought equally near to the window's edges.
    """
    slopes = np.tan(FOV / 2) / MARGIN * np.array([ASPECT, 1])
    across, depth = eye[:, :2], eye[:, 2:]
    high, low = (across + slopes * depth).max(0), (across - slopes * depth).min(0)
    distance = max(float(((high - low) / (2 * slopes)).max()), float(depth.max()) + 0.5)
    room = slopes * (distance - depth)
    target, axes = (high + low) / 2, np.arange(2)
    for _ in range(4):
        share = (across - target) / room
        first, last = share.argmin(0), share.argmax(0)
        x0, x1, room0, room1 = (a[i, axes] for a in (across, room) for i in (first, last))
        target = (x0 * room1 + x1 * room0) / (room0 + room1)
    return np.append(target.clip((across - room).max(0), (across + room).min(0)), 0.0), distance


def _pieces(mesh: Mesh) -> Iterator[tuple[str, NDArray[np.int32], Array]]:
    """A mesh's faces by part, with a name and a colour (3,); parts that share a colour of the palette are one piece."""
    field = _first(mesh.face_fields, PART_FIELDS)
    if field is None:
        yield "surface", mesh.faces, _rgb(SURFACE)
        return
    parts, owner = np.unique(mesh.face_fields[field], return_inverse=True)
    colors = _palette(parts)
    for color in dict.fromkeys(map(tuple, colors)):
        same = (colors == color).all(1)
        names = [str(part) for part in parts[same]]
        name = f"{field} {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        yield name.replace("/", "|"), mesh.faces[same[owner]], np.array(color, np.uint8)


def _own_colors(shape: Shape) -> NDArray[np.uint8] | None:
    """Colours (N, 3) from a cloud's own fields, else its labels; None where it has neither."""
    if isinstance(shape, Mesh):
        return None
    colors = _stored_colors(shape)
    field = _first(shape.fields, LABEL_FIELDS)
    labels = shape.fields[field] if shape.labels is None and field else shape.labels
    return _label_colors(labels) if colors is None and labels is not None else colors


def _stored_colors(cloud: PointCloud) -> NDArray[np.uint8] | None:
    """Colours (N, 3) of the fields red, green, blue, or PCD's packed rgb; None where there are none, or only black."""
    names = ("red", "green", "blue")
    packed = cloud.fields.get("rgb")
    if all(name in cloud.fields for name in names):
        channels = np.stack([cloud.fields[name].reshape(len(cloud.points)) for name in names], 1)
    elif packed is not None and packed.shape == (len(cloud.points),) and packed.dtype.itemsize == 4:
        bits = np.ascontiguousarray(packed).view(np.uint32)
        channels = np.stack([bits >> shift & 255 for shift in (16, 8, 0)], 1)
    else:
        return None
    channels = np.nan_to_num(channels.astype(np.float64))
    largest = channels.max()
    if largest <= 0:
        return None
    of_one = largest <= 1 and cloud.fields.get("red", np.empty(0, int)).dtype.kind == "f"
    full = 1 if of_one else 255 if largest <= 255 else 65535
    return (channels.clip(0, full) * (255 / full)).round().astype(np.uint8)


def _label_colors(labels: Array) -> NDArray[np.uint8]:
    """A colour (N, 3) for each label (N,)."""
    values, owner = np.unique(labels, return_inverse=True)
    return _palette(values)[owner]


def _palette(values: Array) -> NDArray[np.uint8]:
    """Colours (K, 3) for a shape's different labels (K,), ascending: the palette's, round and round; -1 is grey."""
    from pointkit.plots import PALETTE

    colors = [_rgb(PALETTE[i % len(PALETTE)]) for i in range(len(values))]
    if values[0] == -1:
        colors = [_rgb(UNLABELLED), *colors[:-1]]
    return np.stack(colors)


def _height_colors(points: Float32 | Float64) -> NDArray[np.uint8]:
    """Colours (N, 3), the higher the lighter; the lowest and highest hundredth do not stretch the scale."""
    import matplotlib

    low, high = np.percentile(points[:, 2], (1, 99))
    share = ((points[:, 2] - low) / ((high - low) or 1.0)).clip(0, 1)
    colors: NDArray[np.uint8] = matplotlib.colormaps["viridis"](share * 0.92, bytes=True)[:, :3]  # its end is too pale
    return colors


def _first(fields: Mapping[str, Array], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in fields and fields[name].ndim == 1), None)


def _rgb(color: str) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(color[1:]), np.uint8)
