"""Bottles, guitars, mugs and spectacles of the built-in set.

Each function takes a style and a generator and yields (part name, solid), the front at +x, z up, in units of its own.
"""

# ruff: noqa: RUF005 (an array plus a list is a sum here, not a concatenation)
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from pointkit.cloud import Float64
from pointkit.synthetic.solids import (
    Solid,
    ball,
    bezier,
    both,
    box,
    circle,
    join,
    lathe,
    loft,
    move,
    polygon,
    prism,
    ring,
    rod,
    superellipse,
    tube,
    turn,
)

Parts = Iterator[tuple[str, Solid]]


def bottle(style: str, rng: np.random.Generator) -> Parts:
    """Height about 1, standing on z = 0."""
    u = rng.uniform
    r = {"water": u(0.13, 0.17), "milk": u(0.18, 0.23), "spirits": u(0.17, 0.23), "burgundy": u(0.14, 0.18)}.get(
        style, u(0.125, 0.165)
    )
    neck = {"milk": u(0.085, 0.1), "water": u(0.055, 0.07), "spirits": u(0.045, 0.055)}.get(style, u(0.042, 0.052))
    top = u(0.94, 1.06)
    outline = circle(1.0, 24)
    if style == "spirits":
        outline = superellipse(u(0.55, 1.0), 1.0, u(4, 8), 24)
    elif style == "milk" and rng.random() < 0.4:
        outline = superellipse(1.0, 1.0, u(3, 5), 24)
    # The shoulder's start and end as shares of the height, and the curve of the wall between them.
    start, end = {
        "wine": (u(0.58, 0.64), u(0.7, 0.76)),
        "beer": (u(0.5, 0.56), u(0.7, 0.78)),
        "water": (u(0.66, 0.74), u(0.86, 0.9)),
        "milk": (u(0.5, 0.6), u(0.75, 0.82)),
        "spirits": (u(0.56, 0.66), u(0.66, 0.74)),
        "burgundy": (u(0.36, 0.44), u(0.74, 0.8)),
        "soda": (u(0.56, 0.62), u(0.82, 0.86)),
    }[style]
    start, end = start * top, end * top
    pull = {"wine": (0.65, 0.75), "beer": (0.5, 0.6), "burgundy": (0.35, 0.6), "spirits": (0.8, 0.9)}.get(
        style, (0.5, 0.7)
    )
    curve = [(r, start), (r, start + pull[0] * (end - start)), (neck, start + pull[1] * (end - start)), (neck, end)]
    shoulder = bezier(curve, 8)
    foot = [(0.85 * r, 0), (0.97 * r, 0.02), (r, 0.05)]
    wall: list[tuple[float, float]] = []
    if style == "water":  # ribs
        for z in np.linspace(0.1, start - 0.05, int(rng.integers(4, 9))):
            wall += [(r, z - 0.02), (0.93 * r, z), (r, z + 0.02)]
    elif style == "soda":  # a waist
        waist, where = u(0.78, 0.88), u(0.4, 0.55) * start
        wall = [
            (r * 1.0, 0.12),
            (r * (1 + waist) / 2, where - 0.08),
            (r * waist, where),
            (r * (1 + waist) / 2, where + 0.1),
        ]
    yield "body", lathe([*foot, *wall, *shoulder], outline=outline)
    lip = neck * u(1.08, 1.25)
    rim = top - 0.07
    blend = [(neck, end), (neck, rim), (lip, rim + 0.005), (lip, top - 0.03), (neck, top - 0.03)]
    round_neck = outline if style == "spirits" and rng.random() < 0.3 else circle(1.0, 24)
    if style == "spirits":
        yield "neck", lathe([(neck * 1.3, end - 0.02), (neck * 1.1, end + 0.01)])
    yield "neck", lathe(blend, outline=round_neck)
    if style in ("wine", "burgundy", "spirits") and rng.random() < 0.5:  # a cork, or a stopper
        wide = neck * (u(1.3, 1.7) if style == "spirits" else 0.8)
        yield "cap", lathe([(wide, top - 0.03), (wide, top + u(0.01, 0.04))])
    elif style == "beer":  # a crown cap
        crown = circle(1.0, 24) * (1 - 0.08 * (np.arange(24) % 2))[:, None]
        yield "cap", lathe([(lip * 1.25, top - 0.04), (lip * 1.1, top - 0.01), (lip * 0.5, top)], outline=crown)
    else:
        wide = lip * u(1.1, 1.25)
        yield "cap", lathe([(wide, top - u(0.05, 0.07)), (wide, top), (wide * 0.9, top + 0.01)])


def mug(style: str, rng: np.random.Generator) -> Parts:
    """Radius about 0.5, standing on z = 0; the handle at -y, where a right hand takes it."""
    u = rng.uniform
    height = {"stein": u(1.35, 1.7), "espresso": u(0.7, 0.85), "enamel": u(0.8, 0.95), "latte": u(1.35, 1.6)}.get(
        style, u(0.95, 1.25)
    )
    r = 0.5
    outline = circle(1.0, 28)
    if style == "latte":
        outline = polygon(1.0, int(rng.integers(6, 11)))
    base = {"tapered": u(0.6, 0.75), "latte": u(0.65, 0.8), "stein": u(1.05, 1.2), "espresso": u(0.6, 0.75)}.get(
        style, 1.0
    )
    if style == "barrel":
        bulge = u(1.1, 1.25)
        side = bezier([(r * 0.85, 0), (r * bulge, height * 0.3), (r * bulge, height * 0.7), (r * 0.9, height)], 8)
    elif style == "bell":
        side = bezier(
            [(r * u(0.5, 0.65), 0), (r * 1.15, height * 0.15), (r * 0.75, height * 0.7), (r * 1.1, height)], 9
        )
    elif style == "enamel":
        side = np.array([(r * 0.94, 0), (r, 0.06), (r, height - 0.03), (r * 1.08, height)])
    elif style == "espresso":
        side = bezier([(r * base, 0), (r * 1.05, height * 0.2), (r, height)], 7)
    else:
        side = np.array([(r * base, 0), (r * base + (1 - base) * r * 0.5, height * 0.5), (r, height)])
    wall = u(0.04, 0.07)
    inside = side[::-1] - [wall, 0]
    inside[-1, 1] = wall
    yield "cup", lathe([*side, *inside], outline=outline)
    if style == "stein":
        for z in (0.06 * height, u(0.85, 0.93) * height):
            yield "cup", ring([0, 0, z], np.interp(z, side[:, 1], side[:, 0]) + 0.005, 0.025, "z", 28, 6)
    if style == "espresso":
        dish = u(0.8, 0.95)
        yield (
            "saucer",
            lathe([(0.45, -0.05), (dish * 0.75, -0.03), (dish, 0.08), (dish, 0.1), (dish * 0.7, 0.0), (0.42, -0.02)]),
        )
    reach = u(0.28, 0.42)
    low, high = u(0.14, 0.25) * height, u(0.76, 0.9) * height
    y0, y1 = (np.interp(z, side[:, 1], side[:, 0]) - 0.6 * wall for z in (low, high))
    if style == "latte":
        y0, y1 = y0 * 0.93, y1 * 0.93
    kind = int(rng.integers(0, 3))  # round, square, ear
    if kind == 0:
        path = bezier([(y1, high), (y1 + 1.5 * reach, high + 0.05), (y0 + 1.5 * reach, low - 0.05), (y0, low)], 11)
    elif kind == 1:
        path = np.array(
            [
                (y1, high),
                (y1 + 0.8 * reach, high),
                (y1 + reach, high - 0.08),
                (y0 + reach, low + 0.08),
                (y0 + 0.8 * reach, low),
                (y0, low),
            ]
        )
    else:
        path = bezier([(y1, high), (y1 + 1.9 * reach, high + 0.2), (y0 + 1.1 * reach, low + 0.05), (y0, low)], 11)
    thick = u(0.05, 0.075)
    yield "handle", tube(np.stack([np.zeros(len(path)), -path[:, 0], path[:, 1]], 1), thick, flat=u(1.0, 1.5))


def _waisted(lower: float, waist: float, upper: float, height: float, count: int = 40) -> Float64:
    """A guitar's outline (count, 2), y and z from 0 up: half widths of the lower bout, waist and upper bout."""
    t = np.linspace(0, 1, count // 2 + 1)
    knots = [0, 0.04, 0.13, 0.27, 0.42, 0.55, 0.62, 0.72, 0.84, 0.93, 0.98, 1.0]
    middle = (lower + waist) / 2
    widths = [
        0.0,
        0.5 * lower,
        0.86 * lower,
        lower,
        middle * 1.08,
        waist * 1.02,
        waist,
        0.5 * (upper + waist) * 1.02,
        upper,
        0.87 * upper,
        0.5 * upper,
        0.0,
    ]
    stretched = 0.5 - 0.5 * np.cos(np.pi * t)
    half = np.interp(stretched, knots, widths)
    right = np.stack([half, height * stretched], 1)
    return np.concatenate([right[:-1], right[:0:-1] * [-1, 1]])


def _neck(low: float, high: float, width: float, thick: float, x: float) -> Solid:
    """A neck from z ``low`` to ``high``, with frets."""
    solids = [
        prism(
            [(-thick * 0.8, -width * 0.7), (-thick * 0.8, width * 0.7), (0, width), (0, -width)], low, high, shrink=0.88
        )
    ]
    for k in range(1, 13):
        z = high - (high - low) * (1 - 2 ** (-k / 12)) * 1.5
        solids.append(box([0.002, 0, z], [0.006, 1.8 * width, 0.004]))
    return move(join(*solids), [x, 0, 0])


def _pegs(count: int, low: float, high: float, half: float, one_side: bool, x: float) -> Solid:
    per_side = count if one_side else count // 2
    pegs = []
    for z in np.linspace(low, high, per_side):
        for sign in (-1,) if one_side else (-1, 1):
            pegs.append(rod([x, sign * half * 0.6, z], [x, sign * (half + 0.022), z], 0.005, sides=5))
            pegs.append(ball([x, sign * (half + 0.028), z], [0.006, 0.011, 0.012], 4))
    return join(*pegs)


def guitar(style: str, rng: np.random.Generator) -> Parts:
    """Upright, the neck to +z, strings to +x; about 1 high."""
    u = rng.uniform
    electric = style in ("double cutaway", "single cutaway", "flying v", "bass")
    long = {"ukulele": u(0.3, 0.36), "bass": u(0.52, 0.6)}.get(style, u(0.4, 0.47))
    body = {"ukulele": u(0.38, 0.42), "flying v": u(0.4, 0.46)}.get(style, u(0.36, 0.41) if electric else u(0.42, 0.48))
    lower = body * u(0.34, 0.39)
    thick = u(0.035, 0.045) if electric else u(0.08, 0.11)
    upper = lower * (u(0.82, 0.92) if style == "dreadnought" else u(0.68, 0.8))
    waist = upper * {"dreadnought": u(0.9, 0.97), "classical": u(0.74, 0.84)}.get(style, u(0.8, 0.92))
    front = thick / 2
    join_z = body
    if style in ("double cutaway", "bass"):
        outline = _waisted(lower, waist * 1.05, upper * 0.85, body * 0.86)
        yield "body", prism(outline, -front, front, "x")
        for sign, length in ((1, u(0.9, 1.0)), (-1, u(0.78, 0.9))):
            horn = bezier([(0.75 * waist, 0.55), (1.25 * upper, 0.7), (1.0 * upper, 0.85), (0.62 * upper, length)], 6)
            path = np.stack([np.zeros(6), sign * horn[:, 0], body * horn[:, 1]], 1)
            yield "body", tube(path, np.linspace(0.09, 0.03, 6) * body * 1.1, flat=front / (0.09 * body * 1.1) * 0.9)
        join_z = body * 0.86
    elif style == "single cutaway":
        outline = _waisted(lower, waist, upper, body)
        right = (outline[:, 0] < 0) & (outline[:, 1] > 0.84 * body)
        outline[right, 1] = 0.84 * body + (outline[right, 1] - 0.84 * body) * 0.3
        yield "body", prism(outline, -front, front, "x")
    elif style == "flying v":
        wide = u(0.17, 0.22)
        wing = [(0.05, body), (-0.04, body), (-0.03, 0.36 * body), (wide - 0.07, 0.0), (wide + 0.03, 0.05 * body)]
        yield "body", both(prism(wing, -front, front, "x"))
        yield (
            "body",
            prism([(-0.05, 0.36 * body), (0.05, 0.36 * body), (0.05, body), (-0.05, body)], -front, front, "x"),
        )
    else:
        outline = _waisted(lower, waist, upper, body)
        dome = 0.012 if style == "archtop" else 0.0
        flat = (
            [(-front, 1.0), (front, 1.0)]
            if not dome
            else [(-front - dome, 0.7), (-front, 1.0), (front, 1.0), (front + dome, 0.7)]
        )
        middle = np.array([0, 0.42 * body])
        rows = [
            np.concatenate([np.full((len(outline), 1), x), middle + (outline - middle) * share], 1) for x, share in flat
        ]
        yield "body", loft(rows)
        if style == "archtop":
            front += dome
            for sign in (-1, 1):  # sound holes, as raised edges
                hole = bezier([(0.0, -0.06), (0.03, -0.03), (-0.03, 0.03), (0.0, 0.06)], 7) * [sign, 1]
                path = np.stack(
                    [np.full(7, front - 0.4 * dome), sign * 0.55 * waist + hole[:, 0], 0.45 * body + hole[:, 1]], 1
                )
                yield "body", tube(path, 0.005, 5)
        else:
            yield "body", ring([front, 0, 0.63 * body], 0.3 * waist, 0.006, "x", 24, 5)
            if style == "dreadnought":  # a plate beside the sound hole
                plate = bezier([(0.0, 0.1), (0.9, 0.0), (0.9, -0.9), (0.2, -0.7), (0.0, 0.1)], 12)[:-1]
                spot = [-0.32 * waist, 0.6 * body]
                yield "body", prism(spot + plate * [-0.5 * waist, 0.2 * body], front - 0.004, front + 0.004, "x")
    bridge_z = body * u(0.24, 0.32)
    wide = {"classical": 0.034, "ukulele": 0.028, "bass": 0.024}.get(style, 0.026) * u(0.95, 1.1)
    deep = 0.03
    start = 0.72 * body if not electric else join_z - 0.1
    yield "neck", _neck(start, body + long, wide, deep, front + 0.012)
    yield "bridge", box([front + 0.008, 0, bridge_z], [0.016, u(0.1, 0.16) if not electric else u(0.07, 0.1), 0.03])
    if electric or style == "archtop":
        for share in (0.3, 0.7):  # pickups
            yield (
                "bridge",
                box([front + 0.006, 0, bridge_z + 0.04 + share * (start - bridge_z - 0.04)], [0.014, 0.085, 0.022]),
            )
    count = 4 if style in ("ukulele", "bass") else 6
    tall = u(0.09, 0.11) if count == 4 else u(0.12, 0.15)
    nut = body + long
    half = wide * u(1.1, 1.3)
    one_side = style in ("double cutaway", "bass", "flying v") and rng.random() < 0.7
    head = [
        (-0.85 * wide, 0),
        (0.85 * wide, 0),
        (half, 0.25 * tall),
        (half * u(0.7, 1.1), tall),
        (-half * u(0.7, 1.1), tall),
        (-half, 0.25 * tall),
    ]
    headstock = join(prism(head, -0.02, 0.0, "x"), _pegs(count, 0.25 * tall, 0.85 * tall, half * 0.95, one_side, -0.01))
    yield "head", turn(move(headstock, [front + 0.01, 0, nut]), "y", -u(4, 14), [front + 0.01, 0, nut])
    strings = np.linspace(-0.75, 0.75, count) * wide
    yield (
        "bridge",
        join(*(rod([front + 0.02, y, bridge_z], [front + 0.016, 0.85 * y, nut], 0.0014, sides=3) for y in strings)),
    )


def spectacles(style: str, rng: np.random.Generator) -> Parts:
    """Worn upright: lenses to +x, temples back to -x; about 1.4 wide."""
    u = rng.uniform
    gap = u(0.16, 0.24)  # between the lenses
    wide = u(0.42, 0.52)  # a lens's width
    tall = wide * {
        "round": u(0.92, 1.05),
        "rectangle": u(0.5, 0.65),
        "oval": u(0.6, 0.75),
        "aviator": u(0.82, 0.95),
    }.get(style, u(0.65, 0.85))
    power = {"round": 2.0, "oval": 2.0, "rectangle": u(4.5, 9), "half-rim": u(3, 5), "aviator": 2.4}.get(
        style, u(2.4, 3.2)
    )
    lens = superellipse(wide / 2, tall / 2, power, 24)
    if style == "hexagon":
        lens = superellipse(1, 1, 2, 6)
        lens = _subdivide(lens, 4) * [wide / 2, tall / 2]
    elif style == "cat-eye":
        lift = np.clip(lens[:, 0] / (wide / 2), 0, 1) ** 2 * np.clip(0.3 + lens[:, 1] / (tall / 2), 0, 1.3)
        lens = lens + np.stack([0.08 * lift, u(0.1, 0.16) * lift], 1)
    elif style == "aviator":
        drop = np.clip(-lens[:, 1] / (tall / 2), 0, 1)
        lens = lens * np.stack([1 - 0.12 * drop, 1 + 0.2 * drop], 1) + np.stack([0.05 * drop, 0 * drop], 1)
    elif style == "wayfarer":
        low = np.clip(-lens[:, 1] / (tall / 2), -1, 1)
        lens = lens * np.stack([1 - 0.12 * low, np.ones(24)], 1)
    thick = {
        "round": u(0.014, 0.022),
        "aviator": u(0.012, 0.018),
        "wayfarer": u(0.03, 0.042),
        "cat-eye": u(0.022, 0.034),
    }.get(style, u(0.014, 0.03))
    centre = gap / 2 + wide / 2
    wrap = u(2, 8)

    def bent(solid: Solid) -> Solid:
        """The left eye's piece, turned about the nose so that the lenses wrap round the face."""
        return both(turn(solid, "z", wrap))

    edge = lens + [centre, 0]
    path = np.concatenate([np.zeros((len(edge), 1)), edge], 1)
    yield "lens", bent(prism(edge, -0.006, 0.006, "x"))
    if style == "half-rim":
        upper = path[(path[:, 2] > -0.15 * tall)]
        order = np.argsort(-np.arctan2(upper[:, 2] + 0.15 * tall, upper[:, 1] - centre))
        yield "rim", bent(tube(upper[order], thick * 1.2, 6))
    else:
        yield "rim", bent(tube(path, thick, 6, loop=True))
    inner = gap / 2 + 0.01
    rise = u(0.05, 0.22) * tall
    bow = u(0.02, 0.08)
    curve = bezier(
        [
            (0.0, inner, rise),
            (0.02, 0.3 * inner, rise + 2 * bow),
            (0.02, -0.3 * inner, rise + 2 * bow),
            (0.0, -inner, rise),
        ],
        7,
    )
    yield "bridge", tube(curve, max(0.016, 0.8 * thick))
    if style == "aviator":
        top = 0.42 * tall
        yield "bridge", rod([0.0, centre - 0.3 * wide, top + 0.02], [0.0, -centre + 0.3 * wide, top + 0.02], 0.014)
    if style in ("aviator", "round", "hexagon", "half-rim") and rng.random() < 0.7:  # nose pads
        yield "bridge", both(ball([-0.05, 0.75 * inner, -0.12 * tall], [0.012, 0.02, 0.045], 5))
        yield (
            "bridge",
            both(rod([-0.04, 0.75 * inner, -0.08 * tall], [-0.005, inner + 0.005, -0.02 * tall], 0.006, sides=5)),
        )
    outer = edge[np.argmax(edge[:, 0] + 0.5 * edge[:, 1] * (style in ("cat-eye", "wayfarer", "aviator", "rectangle")))]
    yaw = np.radians(wrap)
    hinge = np.array([-outer[0] * np.sin(yaw), outer[0] * np.cos(yaw), outer[1]])
    corner = hinge + [-0.03, 0.04, 0.0]
    long, hook = u(1.0, 1.25), u(0.14, 0.25)
    ear = corner + [-long * 0.75, u(-0.05, 0.04), 0.02]
    tip = ear + [-long * 0.25, -0.03, -hook]
    temple = np.concatenate([[hinge + [0, -0.01, 0], corner], bezier([ear + [0.1, 0, 0], ear + [-0.05, 0, 0], tip], 5)])
    bar = thick * (1.0 if style in ("round", "aviator", "hexagon") else u(1.0, 1.5))
    yield "temple", both(tube(temple, np.r_[bar, np.full(len(temple) - 1, max(bar, 0.014))], 6))


def _subdivide(outline: ArrayLike, times: int) -> Float64:
    """Each edge of a closed outline (K, 2) cut into ``times``."""
    corners = np.asarray(outline, np.float64)
    share = np.arange(times)[:, None] / times
    return np.concatenate([a + (b - a) * share for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)])
