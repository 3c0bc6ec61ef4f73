"""A picture of a file, or an HTML page of it that turns under the mouse and needs neither network nor server.

The page is viser's own client with the scene inside it: 0.8 MB, and up to 10 bytes a point. A page by plotly is four
times as large. A viewer that fetches the file would need a server that keeps running.
"""

from __future__ import annotations

import html
import math
import os
import pathlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointkit import disk, formats, notebook, preprocess, upright
from pointkit.cards import Card, Carded
from pointkit.cloud import Array, Float32, Float64, Mesh, PointCloud, Shape, as_shape
from pointkit.errors import MissingExtraError, PointkitError
from pointkit.report import raster

SAMPLED = 2048  # points drawn from a mesh, as for training
MOST = 200_000  # points of a cloud that are shown: so many a browser turns smoothly
FOV = 0.6  # field of view in radians, from the lower to the upper edge: little perspective
ASPECT = 1.5  # width to height of the window that is just filled; a narrower one sees more above and below
MARGIN = 1.15  # air around the shape
GAP = 0.12  # between a mesh and its points; the mesh's longest side is 1
SURFACE, DRAWN = "#bdd6f0", "#1f6fa3"
HEAD = 1 << 16  # bytes at a file's beginning in which its comments are looked for


@dataclass(frozen=True, eq=False)
class Labels:
    """The numbers of the points' labels (N,), -1 for none, and of the faces' (F,); and the ``names`` by number."""

    points: NDArray[np.int64]
    names: tuple[str, ...]
    faces: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """What is shown of a file.

    ``title`` has the file's name and sizes. ``points`` (N, 3) float32 are the cloud's, or drawn from ``mesh``.
    ``colors`` (N, 3) uint8 are the shape's own, ``paint`` (F, 3, 3) uint8 those of each corner of the mesh's faces.
    ``labels`` are those of the cloud or mesh. What the file lacks is None.
    """

    title: str
    points: Float32
    colors: NDArray[np.uint8] | None = None
    mesh: Mesh | None = None
    labels: Labels | None = None
    paint: NDArray[np.uint8] | None = None


def view(
    path: str | os.PathLike[str], output: str | os.PathLike[str], *, up: str = upright.UP, force: bool = False
) -> pathlib.Path:
    """Draw the mesh or cloud in a file into ``output``, a .png or .html, and return that path.

    A mesh is shown beside points drawn from its surface. Both are coloured by the labels of its faces or vertices, else
    by its own colours. A cloud is coloured likewise, else by its classification, else by its height. Of more than
    ``MOST`` points only so many, chosen at random, are shown, and the title says so. Labels have a legend, with the
    names in the file's comments. ``up`` is the axis of the file that points up in the picture. Nothing is printed.

    Raises PointkitError where ``output`` has another suffix, is the file itself, or exists and ``force`` is not given.
    Raises MissingExtraError where a page needs viser and it is missing, FormatError or OSError from reading the file.
    """
    path = pathlib.Path(path)
    upright.check(up)
    return write(lambda: load(path, up), output, force=force, source=path)


def write(
    seen: Callable[[], Scene],
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    source: pathlib.Path | None = None,
) -> pathlib.Path:
    """Draw what is ``seen``, of the file ``source`` or of a shape without one, into ``output``, and return that path.

    Raises as ``view``.
    """
    output = pathlib.Path(output)
    writers: dict[str, Callable[[Scene], bytes]] = {".png": picture, ".html": page}
    drawn = writers.get(output.suffix.lower())
    if drawn is None:
        raise PointkitError(f"{disk.shown(output)}: --output must end in {' or '.join(writers)}")
    if output.exists():
        if source is not None and output.samefile(formats.within(source)[0]):
            raise PointkitError(f"{disk.shown(output)}: is the file to be drawn; give --output another name")
        if not output.is_file():
            raise PointkitError(f"{disk.shown(output)}: --output must be a file, found something else there")
        if not force:
            raise PointkitError(f"{disk.shown(output)}: exists already; --force replaces it")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise PointkitError(f"{disk.shown(output)}: --output must lie in a folder that can be written to")
    if drawn is page:
        _viser()  # before the file is read: a missing extra is reported at once
    data = drawn(seen())
    with disk.replacing(output) as file:
        file.write(data)
    return output


@dataclass(frozen=True, eq=False, repr=False)
class Viewed(Carded):
    """A scene that shows itself in a notebook: as the file that was written, else as a page that turns.

    Where viser is missing it is a picture. ``path`` is the file, or None.
    """

    scene: Scene
    path: pathlib.Path | None = None

    def card(self) -> Card:
        where = (("written", disk.shown(self.path)),) if self.path is not None else ()
        return Card(f"View of {self.scene.title}", where, lambda: {"as it is drawn": picture(self.scene, 0.6)})

    def _repr_html_(self) -> str:
        if self.path is not None and self.path.suffix.lower() == ".png":
            return self.card().html()
        try:
            inside = html.escape(page(self.scene).decode(), quote=True)
        except MissingExtraError:
            return self.card().html()
        title = html.escape(self.scene.title, quote=True)
        return f'<iframe srcdoc="{inside}" title="{title}" style="width:100%;height:480px;border:0"></iframe>'


def load(path: str | os.PathLike[str], up: str = upright.UP) -> Scene:
    """The scene of a file, turned so that ``up`` is z.

    Raises PointkitError or OSError where it cannot be read or has nothing to show.
    """
    path = pathlib.Path(path)
    shape = upright.turned_shape(formats.read(path), up)
    try:
        return scene(shape, disk.shown(path.name), _named_labels(path) or _named_classes(path, shape))
    except PointkitError as error:
        raise PointkitError(f"{disk.shown(path)}: {error}") from None


def scene(shape: Shape | ArrayLike, name: str = "", names: Mapping[float, str] = MappingProxyType({})) -> Scene:
    """The scene of a shape, or of an array of points (N, 3). ``names``: label -> its name in the legend.

    Raises PointkitError where there is nothing to show.
    """
    shape = as_shape(shape)
    surface = shape if isinstance(shape, Mesh) and len(shape.faces) else None
    try:
        drawn = preprocess.draw(shape, MOST if surface is None else SAMPLED, kinds=("color",))
    except ValueError as error:
        raise PointkitError(str(error)) from None
    labels = _labels(names, shape, drawn.index)
    shares = drawn.features.get("color")
    if labels is not None or shares is None or not shares.any():  # only black is no colour
        colors = None
        labels = labels or _labels(names, shape, drawn.index, formats.columns.LABELS)
    else:
        colors = _bytes(shares)
    before = f"{name}: " if name else ""
    if surface is not None:
        size = f"{len(surface.vertices):,} vertices, {len(surface.faces):,} faces"
        title = f"{before}{size}, {SAMPLED:,} points drawn"
        return Scene(title, drawn.points, colors, surface, labels, None if colors is None else _paint(surface))
    total = len(shape.vertices if isinstance(shape, Mesh) else shape.points)
    fraction = f"{len(drawn.points):,} of " if len(drawn.points) < total else ""
    return Scene(f"{before}{fraction}{total:,} points", drawn.points, colors, None, labels)


def picture(scene: Scene, share: float = 1) -> bytes:
    """A scene as PNG: a mesh beside its points, or a cloud without its strays. A ``share`` of 0.5 is half as wide."""
    from pointkit.report import plots

    labels = scene.labels
    if scene.mesh is not None:
        parts = None if labels is None or labels.faces is None else (labels.faces, labels.points, labels.names)
        own = None
        if scene.paint is not None and scene.colors is not None:
            own = scene.paint.mean(1) / 255, scene.colors / 255
        return plots.png(
            plots.mesh_and_points(scene.mesh, scene.points, scene.title, parts, own), dpi=round(160 * share)
        )
    kept = _without_strays(scene.points)
    if labels is not None:
        title = [scene.title[:90]]
        figure = plots.labelled_clouds([scene.points[kept]], [labels.points[kept]], title, labels.names, side=3.6)
        return plots.png(figure, dpi=round(240 * share))
    colors = _height_colors(scene.points) if scene.colors is None else scene.colors
    figure = plots.cloud(scene.points[kept], colors[kept] / 255)
    figure.text(0.02, 0.015, scene.title[:90], fontsize=5, color=plots.GREY, parse_math=False)
    return plots.png(figure, dpi=round(300 * share))


def page(scene: Scene) -> bytes:
    """A scene as one HTML page. Raises MissingExtraError where viser is not installed."""
    viser = _viser()
    socket.create_server(("127.0.0.1", 0)).close()  # fails where there is no port; viser would wait for ever
    with notebook.hushed():  # viser prints a greeting in any case
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        try:
            _fill(server, scene)
            text = server.scene.as_html()
        finally:
            server.stop()
    return _titled(text, scene).encode()


def _viser() -> Any:
    try:
        import viser
    except ImportError:
        raise MissingExtraError("an HTML page needs viser: pip install pointkit[view] (a .png does not)") from None
    return viser


# The client reads its field of view from the page's address, if it stands there, rather than from the scene.
PORTRAIT = """<script>(() => {
  const narrow = %s * innerHeight / innerWidth, get = URLSearchParams.prototype.get
  if (narrow > 1) URLSearchParams.prototype.get = function (name) {
    return get.call(this, name) ?? (name === "initialCameraFov" ? `${2 * Math.atan(%s * narrow)}` : null)
  }
})()</script>"""


def _titled(text: str, scene: Scene) -> str:
    """The page with its title in the browser's bar and the lower left corner, and the labels' legend above that.

    In a window narrower than ``ASPECT`` the field of view is as wide as there, so that the shape is not cut.
    """
    from matplotlib.colors import to_hex

    from pointkit.report import plots

    safe = html.escape(scene.title)
    portrait = PORTRAIT % (ASPECT, math.tan(FOV / 2))
    text = re.sub("<title>.*?</title>", lambda _: f"<title>{safe}</title>{portrait}", text, count=1)
    head, _, tail = text.rpartition("</body>")
    entries = plots.legend([scene.labels.points], scene.labels.names) if scene.labels else []
    dot = "display:inline-block;width:11px;height:11px;border-radius:6px;margin-right:7px;background:"
    legend = "".join(
        f'<div><span style="{dot}{to_hex(color)}"></span>{html.escape(name)}</div>' for name, color in entries
    )
    style = (
        "position:fixed;left:16px;bottom:12px;font:14px/1.5 system-ui,sans-serif;color:#6b7785;pointer-events:none;"
        "max-height:90vh;overflow:hidden"
    )
    return f'{head}<div style="{style}">{legend}{safe}</div></body>{tail}'


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
        if scene.paint is not None:
            server.scene.add_glb("/mesh/surface", _painted(mesh, scene.paint, (low + high) / 2, scale), position=-step)
        for name, faces, color in _pieces(mesh, scene.labels) if scene.paint is None else ():
            used, index = np.unique(faces, return_inverse=True)
            vertices = (mesh.vertices[used] - (low + high) / 2) / scale
            look = {"color": color, "flat_shading": True, "side": "double", "position": -step}
            server.scene.add_mesh_simple(f"/mesh/{name}", vertices, index.reshape(-1, 3), **look)
    colors: Any = scene.colors
    if scene.labels is not None:
        colors = _colors(scene.labels.points)
    elif mesh is not None and colors is None:
        colors = _rgb(DRAWN)
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
    """Which points (N, 3) lie near the inner 98 %. The others are strays, such as a scan's hits through a window."""
    low, high = np.percentile(points, (1, 99), axis=0)
    reach = 0.3 * (high - low).max()
    near: NDArray[np.bool_] = ((points >= low - reach) & (points <= high + reach)).all(1)
    return near if near.any() else ~near


def _camera(eye: Float64) -> tuple[Float64, float]:
    """The target (3,) and the distance from it that fit points (N, 3), all in the eye's frame, into a window.

    A camera at (t, d), sideways and in depth, sees a point (x, z) where |x - t| <= slope * (d - z). These are two half
    planes for each point, so the nearest such camera is where the outermost ones meet. In the direction that has room
    left, the two outermost points are then moved equally near to the window's edges.
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


def _pieces(mesh: Mesh, labels: Labels | None) -> Iterator[tuple[str, NDArray[np.int32], Array]]:
    """A mesh's faces by label, with a name and a colour (3,); labels that share a colour are one piece."""
    if labels is None or labels.faces is None:
        yield "surface", mesh.faces, _rgb(SURFACE)
        return
    present, owner = np.unique(labels.faces, return_inverse=True)
    colors = _colors(present)
    for color in dict.fromkeys(map(tuple, colors)):
        same = (colors == color).all(1)
        names = [labels.names[number] if number >= 0 else "unlabelled" for number in present[same]]
        name = f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        yield name.replace("/", "|"), mesh.faces[same[owner]], np.array(color, np.uint8)


def _labels(
    named: Mapping[float, str], shape: Shape, index: NDArray[np.int64], fields: tuple[str, ...] = formats.columns.PARTS
) -> Labels | None:
    """The labels of a cloud's points or a mesh's faces, None where there are none; the points ``index`` are shown."""
    if isinstance(shape, Mesh) and not len(shape.faces):
        return None
    own = dict(shape.face_fields if isinstance(shape, Mesh) else shape.fields)
    if isinstance(shape, PointCloud) and shape.labels is not None:
        own["label"] = shape.labels
    field = formats.columns.name_in(own, fields)
    if field is None and isinstance(shape, Mesh):
        field = formats.columns.name_in(shape.vertex_fields, fields)
        if field is not None:
            present, owner = np.unique(shape.vertex_fields[field], return_inverse=True)
            own[field] = present[formats.columns.of_corners(shape.faces, owner.astype(np.int32))]
    if field is None:
        return None
    present, owner = np.unique(own[field], return_inverse=True)
    values = present.tolist()
    names = dict(named)
    if not set(values) <= {-1, *names}:
        names = {value: f"{field} {value:g}" for value in values if value != -1}
    number = {-1: -1} | {value: i for i, value in enumerate(names)}
    numbers = np.array([number[value] for value in values])[owner]
    return Labels(numbers[index], tuple(names.values()), numbers if isinstance(shape, Mesh) else None)


def _named_labels(path: pathlib.Path) -> dict[float, str]:
    """Label -> name, from the comments at the head of a file that ``predict`` wrote: "label 2 is wing"."""
    with open(formats.within(path)[0], "rb") as file:
        lines = re.findall(rb"label (-?\d{1,9}) is ([^\r\n]{1,200})", file.read(HEAD))
    return {int(code): disk.printable(name.decode(errors="replace")) for code, name in lines}


def _named_classes(path: pathlib.Path, shape: Shape) -> dict[float, str]:
    """Label -> name, for the labels of a cloud whose format names them."""
    fields = shape.fields if isinstance(shape, PointCloud) else {}
    columns = formats.columns
    field = columns.name_in(fields, columns.PARTS) or columns.name_in(fields, columns.LABELS)
    if field is None or not formats.code_name(path, field, 0):
        return {}
    return {code: formats.code_name(path, field, int(code)) for code in np.unique(fields[field]).tolist()}


def _colors(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Colours (N, 3) of labels by their numbers (N,), as in all pictures."""
    from pointkit.report import plots

    return (plots.part_colors(numbers) * 255).round().astype(np.uint8)


def _paint(mesh: Mesh) -> NDArray[np.uint8]:
    """The own colours of each corner of a mesh's faces, (F, 3, 3)."""
    shares = preprocess.colors(mesh.vertex_fields)
    if shares is not None:
        return _bytes(shares[mesh.faces])
    shares = preprocess.colors(mesh.face_fields)
    assert shares is not None  # the points that were drawn have colours
    return _bytes(np.repeat(shares[:, None], 3, axis=1))


def _painted(mesh: Mesh, paint: NDArray[np.uint8], middle: Float64, scale: float) -> bytes:
    """A mesh with colours of its own as GLB, around the middle and by the scale. viser brings the library trimesh."""
    import trimesh

    def dull(tree: dict[str, Any]) -> None:  # without a material, surfaces are metal and have one side
        tree["materials"] = [{"doubleSided": True, "pbrMetallicRoughness": {"metallicFactor": 0}}]
        for each in tree["meshes"]:
            each["primitives"][0]["material"] = 0

    corners = ((mesh.vertices - middle) / scale)[mesh.faces].reshape(-1, 3)
    linear = _bytes((paint.reshape(-1, 3) / 255) ** 2.2)  # as light adds up, not as screens show it
    faces = np.arange(len(corners)).reshape(-1, 3)
    shown = trimesh.Trimesh(corners, faces, vertex_colors=linear, process=False)
    data: bytes = shown.export(file_type="glb", tree_postprocessor=dull)
    return data


def _bytes(shares: Float32 | Float64) -> NDArray[np.uint8]:
    """Shares of 0 to 1 as whole numbers to 255."""
    return (shares.clip(0, 1) * 255).round().astype(np.uint8)


def _height_colors(points: Float32 | Float64) -> NDArray[np.uint8]:
    """Colours (N, 3), lighter for higher points. The lowest and highest hundredth do not stretch the scale."""
    import matplotlib

    low, high = np.percentile(points[:, 2], (1, 99))
    share = ((points[:, 2] - low) / ((high - low) or 1.0)).clip(0, 1)
    colors: NDArray[np.uint8] = matplotlib.colormaps["viridis"](share * 0.92, bytes=True)[:, :3]  # its end is too pale
    return colors


def _rgb(color: str) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(color[1:]), np.uint8)
