"""A tall box in rings of quads: a mesh, or a file, whose parts lie one above the other."""

import numpy as np

from pointkit.cloud import Mesh


def tower(rings):
    """Its corners (V, 3) float32, and quads (Q, 4) from the ground up."""
    z = np.repeat(np.linspace(-1, 1, rings + 1), 4)
    corners = np.tile([[0.05, 0.05], [-0.05, 0.05], [-0.05, -0.05], [0.05, -0.05]], (rings + 1, 1))
    low = np.arange(4 * rings)
    right = low - low % 4 + (low + 1) % 4
    return np.c_[corners, z].astype("float32"), np.stack([low, right, right + 4, low + 4], 1)


def mesh(rings, quads=False):
    """Two triangles a quad, the second behind the first; with ``quads`` they belong together."""
    vertices, corners = tower(rings)
    faces = corners[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    return Mesh(vertices, faces, polygons=np.repeat(np.arange(len(corners)), 2) if quads else None)


def ply(rings, order=">"):
    """A PLY file of quads: a comment, colours of its vertices, a number of each face; as text where ``order`` is ""."""
    vertices, quads = tower(rings)
    name = {"": "ascii", "<": "binary_little_endian", ">": "binary_big_endian"}[order]
    head = [
        "ply",
        f"format {name} 1.0",
        "comment made by hand",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {color}" for color in ("red", "green", "blue")),
        f"element face {len(quads)}",
        "property list uchar int vertex_indices",
        "property ushort label",
        "end_header",
    ]
    colors = np.random.default_rng(0).integers(0, 256, vertices.shape)
    numbers = np.arange(len(quads)) % 7
    if order:
        points = np.empty(len(vertices), [("xyz", f"{order}f4", 3), ("color", "u1", 3)])
        points["xyz"], points["color"] = vertices, colors
        faces = np.empty(len(quads), [("number", "u1"), ("corners", f"{order}i4", 4), ("label", f"{order}u2")])
        faces["number"], faces["corners"], faces["label"] = 4, quads, numbers
        body = points.tobytes() + faces.tobytes()
    else:
        rows = [f"{x:.3f}  {y:g} {z:.6g} {r} {g} {b}" for (x, y, z), (r, g, b) in zip(vertices, colors, strict=True)]
        rows += [f"4 {a} {b} {c} {d} {n}" for (a, b, c, d), n in zip(quads, numbers, strict=True)]
        body = "".join(f"{row}\n" for row in rows).encode()
    return "".join(f"{line}\n" for line in head).encode() + body
