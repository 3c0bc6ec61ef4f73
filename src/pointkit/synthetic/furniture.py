"""Bookshelves, chairs, lamps and tables of the built-in set.

Each function takes a style and a generator and yields (part name, solid), the front at +x, z up, in metres, on z = 0.
"""

# ruff: noqa: RUF005 (an array plus a list is a sum here, not a concatenation)
from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

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
    prism,
    rod,
    superellipse,
    tube,
    turn,
)

Parts = Iterator[tuple[str, Solid]]


def _books(
    rng: np.random.Generator, left: float, right: float, floor: float, height: float, depth: float, fill: float
) -> list[Solid]:
    """A row of books standing on ``floor`` from ``left`` on. The last may lean."""
    books: list[Solid] = []
    at, stop = left + 0.005, left + fill * (right - left)
    while True:
        thick, tall = rng.uniform(0.025, 0.06), height * rng.uniform(0.6, 0.9)
        if at + thick > stop:
            return books
        deep = depth * rng.uniform(0.65, 0.85)
        book = box([depth / 2 - 0.02 - deep / 2, at + thick / 2, floor + tall / 2], [deep, thick, tall])
        room = min(right, stop + 0.1) - at - thick
        if at + 2.2 * thick > stop and room > 0.05 and rng.random() < 0.7:
            book = turn(book, "x", -np.degrees(np.arcsin(min(0.3, 0.8 * room / tall))), [0, at + thick, floor])
        books.append(book)
        at += thick + 0.002


def bookshelf(style: str, rng: np.random.Generator) -> Parts:
    """Sides along z, shelves along y, open to +x."""
    u = rng.uniform
    width = {"low": u(1.1, 1.6), "tower": u(0.42, 0.55), "cubes": u(1.1, 1.5)}.get(style, u(0.75, 1.15))
    height = {"low": u(0.8, 1.1), "cubes": u(1.1, 1.5)}.get(style, u(1.6, 2.1))
    depth = u(0.26, 0.36)
    board = u(0.02, 0.035)
    rows = {"low": int(rng.integers(2, 4)), "cubes": int(rng.integers(3, 5))}.get(style, int(rng.integers(4, 7)))
    foot = u(0.04, 0.1)
    floors = np.linspace(foot + board / 2, height - board / 2, rows + 1)
    half = width / 2
    cupboard = 1 if style == "cupboard" else 0
    columns = {"cubes": int(rng.integers(3, 5)), "low": int(rng.integers(1, 3))}.get(style, 1)
    walls = np.linspace(-half + board / 2, half - board / 2, columns + 1)
    if style == "posts":
        for x in (-depth / 2 + 0.015, depth / 2 - 0.015):
            yield "side", both(rod([x, half - 0.015, 0], [x, half - 0.015, height], 0.018))
        for z in floors[:-1]:
            deep = depth / 2 - 0.015
            yield "side", both(rod([-deep, half - 0.015, z + 0.1], [deep, half - 0.015, z + 0.1], 0.012))
    elif style != "stepped":
        for y in walls:
            yield "side", box([0, y, height / 2], [depth, board, height])
    tops = np.full(columns, rows)
    if style == "stepped":
        columns = int(rng.integers(3, 5))
        walls = np.linspace(-half + board / 2, half - board / 2, columns + 1)
        tops = np.round(np.linspace(rows, max(1, rows - columns - 1), columns)).astype(int)
        if rng.random() < 0.5:
            tops = tops[::-1]
        for y, level in zip(walls, np.maximum(np.append(tops, 0), np.append(0, tops)), strict=True):
            yield "side", box([0, y, floors[level] / 2 + board / 4], [depth, board, floors[level] + board / 2])
    for column in range(columns):
        left, right = walls[column] + board / 2, walls[column + 1] - board / 2
        for z in floors[: tops[column] + 1]:
            yield "shelf", box([0, (left + right) / 2, z], [depth, right - left, board])
        for row in range(cupboard, int(tops[column])):
            fill = u(0.3, 1.0)
            if rng.random() < 0.85:
                room = floors[row + 1] - floors[row] - board
                for book in _books(rng, left, right, floors[row] + board / 2, room, depth, fill):
                    yield "book", book
        if style in ("closed", "tower", "cupboard", "low"):
            top = floors[tops[column]]
            middle = [-depth / 2 - 0.004, (left + right) / 2, (foot + top) / 2]
            yield "back", box(middle, [0.008, right - left + board, top - foot + board])
    if cupboard:
        top = floors[1]
        for sign in (-1, 1):
            centre = sign * (half - board) / 2
            yield "door", box([depth / 2 + 0.01, centre, (foot + top) / 2], [0.02, half - board - 0.01, top - foot])
            yield "door", ball([depth / 2 + 0.035, sign * 0.04, (foot + top) / 2], 0.018, 4)
    if style in ("closed", "cupboard") and rng.random() < 0.6:  # a cornice
        yield "side", box([0, 0, height + 0.02], [depth + 0.05, width + 0.06, 0.04])


def _legs(x: float, y: float, top: float, thick: float, splay: float, kind: int, taper: float = 1.0) -> Solid:
    """Four legs from (+-x, +-y, top) to z = 0, ``splay`` further out there: square (0), round (1) or turned (2)."""
    solids = []
    for sx in (-1, 1):
        high, low = np.array([sx * x, y, top]), np.array([sx * (x + splay), y + splay, 0.0])
        if kind == 0:
            square = thick * np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]])
            solids.append(loft([low + taper * square, high + square]))
        elif kind == 1:
            solids.append(rod(low, high, thick * taper, thick))
        else:
            t = np.linspace(0, 1, 9)
            swell = thick * np.array([0.6, 0.8, 1.1, 0.7, 1.0, 1.15, 0.8, 1.2, 1.2])
            solids.append(tube(low + t[:, None] * (high - low), swell))
    return both(join(*solids))


def _star(rng: np.random.Generator, arms: int, reach: float, height: float, wheels: bool) -> list[Solid]:
    solids = []
    start = rng.uniform(0, 360)
    for k in range(arms):
        arm = rod([0, 0, height], [reach, 0, 0.06 if wheels else 0.03], 0.03, 0.018)
        if wheels:
            arm = join(arm, prism(circle(0.035, 10) + [reach, 0.035], -0.025, 0.025, "y"))
        else:
            arm = join(arm, box([reach, 0, 0.02], [0.05, 0.04, 0.04]))
        solids.append(turn(arm, "z", start + 360 * k / arms))
    return solids


def _chair_back(
    rng: np.random.Generator, kind: int, half: float, low: float, high: float, lean: float, x: float
) -> Solid:
    """A back in the plane x, leant back about its foot: 0 slats, 1 rungs, 2 one panel, 3 frame and panel."""
    u = rng.uniform
    thick = u(0.015, 0.022)
    solids = []
    posts = both(box([x, half - 0.02, (low + high) / 2], [0.04, 0.04, high - low]))
    if kind == 0:
        count = int(rng.integers(3, 7))
        solids += [
            posts,
            box([x, 0, high - 0.04], [0.03, 2 * half, 0.08]),
            box([x, 0, low + 0.12], [0.025, 2 * half, 0.04]),
        ]
        for y in np.linspace(-half, half, count + 2)[1:-1]:
            solids.append(box([x, y, (low + high) / 2 + 0.04], [thick, 0.035, high - low - 0.15]))
    elif kind == 1:
        solids.append(posts)
        for z in np.linspace(high - 0.05, low + 0.15, int(rng.integers(2, 5))):
            solids.append(box([x, 0, z], [thick, 2 * half - 0.04, u(0.05, 0.09)]))
    elif kind == 2:
        panel = superellipse(half, (high - low - 0.05) / 2, u(3, 9), 24) + [0, (high + low + 0.05) / 2]
        solids.append(prism(panel, x - thick, x + thick, "x"))
        solids.append(both(box([x, 0.5 * half, low + 0.06], [0.03, 0.04, 0.16])))
    else:
        solids += [posts, box([x, 0, high - 0.02], [0.04, 2 * half, 0.05])]
        panel = superellipse(half - 0.05, (high - low) * 0.33, u(5, 9), 16) + [0, (high + low) / 2 + 0.05]
        solids.append(prism(panel, x - thick, x + thick, "x"))
        solids.append(box([x, 0, (high + low) / 2 + 0.05], [0.02, 2 * half - 0.03, 0.04]))
    return turn(join(*solids), "y", -lean, [x, 0, low])


def _arms(x0: float, x1: float, y: float, seat: float, top: float) -> Solid:
    """Two arm rests at the height ``top`` from the back (x0) to their posts (x1) on the seat."""
    rest = box([(x0 + x1) / 2, y, top], [x1 - x0 + 0.06, 0.05, 0.03])
    post = rod([x1 - 0.03, y, seat], [x1, y, top], 0.018)
    return both(join(rest, post))


def chair(style: str, rng: np.random.Generator) -> Parts:
    """The seat looks to +x."""
    u = rng.uniform
    half, deep = u(0.2, 0.25), u(0.2, 0.24)  # half width and half depth of the seat
    seat = {"bar": u(0.68, 0.78), "armchair": u(0.38, 0.43), "rocking": u(0.4, 0.45)}.get(style, u(0.43, 0.5))
    top = seat + {"bar": u(0.25, 0.4), "armchair": u(0.42, 0.55), "rocking": u(0.55, 0.7)}.get(style, u(0.42, 0.58))
    lean, thick = u(3, 12), u(0.015, 0.03)
    plate = superellipse(deep, half, u(3, 10), 20)
    if style == "armchair":
        half, deep, wall = u(0.3, 0.38), u(0.3, 0.36), u(0.1, 0.15)
        yield "seat", prism(superellipse(deep, half, 8), seat - 0.2, seat)
        cushion = superellipse(deep * 0.95, half * 0.95, 6)
        yield "seat", prism(cushion, seat, seat + 0.08, shrink=0.95)
        panel = superellipse(half + wall * 0.5, (top - seat + 0.2) / 2, u(4, 9), 24) + [0, (top + seat - 0.2) / 2]
        yield "back", turn(prism(panel, -deep - wall, -deep + 0.02, "x"), "y", -lean, [-deep, 0, seat])
        height = seat + u(0.15, 0.24)
        rest = superellipse(wall / 2, (height - seat + 0.2) / 2, u(3, 8), 16) + [
            half + wall / 2 - 0.02,
            (height + seat - 0.2) / 2,
        ]
        yield "arm", both(prism(rest, -deep, deep + 0.02, "x"))
        yield "leg", _legs(deep - 0.04, half, seat - 0.18, 0.025, u(0, 0.04), int(rng.integers(0, 2)), u(0.6, 1))
        return
    yield "seat", prism(plate, seat - 2 * thick, seat)
    if rng.random() < 0.3 and style != "windsor":
        yield "seat", prism(plate * 0.92, seat, seat + u(0.02, 0.05), shrink=0.92)
    x0 = -deep + 0.03
    if style in ("four-legged", "bar"):
        kind, splay = int(rng.integers(0, 3)), u(0, 0.06)
        yield "leg", _legs(deep - 0.04, half - 0.04, seat - 2 * thick, u(0.016, 0.024), splay, kind, u(0.7, 1))
        if style == "bar" or rng.random() < 0.5:  # stretchers
            z = u(0.15, 0.3) * seat / 0.45
            out = splay * (1 - z / seat)
            x, y = deep - 0.04 + out, half - 0.04 + out
            yield "leg", both(rod([-x, y, z], [x, y, z], 0.011))
            yield "leg", both(rod([x, -y, z + 0.05], [x, y, z + 0.05], 0.011), "x")
        yield "back", _chair_back(rng, int(rng.integers(0, 4)), half - 0.01, seat - thick, top, lean, x0)
        if style == "four-legged" and rng.random() < 0.25:
            yield "arm", _arms(x0, u(0.08, 0.14), half - 0.01, seat - thick, seat + u(0.18, 0.25))
    elif style == "swivel":
        arms = int(rng.integers(4, 7))
        yield "leg", rod([0, 0, 0.08], [0, 0, seat - thick], u(0.022, 0.035))
        yield "leg", join(*_star(rng, arms, u(0.25, 0.32), u(0.1, 0.14), rng.random() < 0.7))
        yield "leg", box([0, 0, seat - 2 * thick - 0.02], [0.25, 0.2, 0.04])
        panel = superellipse(half * u(0.85, 1.0), (top - seat) * 0.38, u(3, 7), 24) + [0, seat + (top - seat) * 0.62]
        yield "back", turn(prism(panel, x0 - 0.05, x0, "x"), "y", -lean, [x0, 0, seat])
        spine = [
            [-0.1, 0, seat - 2 * thick - 0.01],
            [x0 - 0.06, 0, seat - 2 * thick - 0.01],
            [x0 - 0.06, 0, seat + 0.05],
        ]
        yield "back", tube([*spine, [x0 - 0.08 - np.tan(np.radians(lean)) * 0.2, 0, seat + 0.25]], 0.022)
        if rng.random() < 0.6:
            height, y = seat + u(0.17, 0.23), half + 0.03
            under = seat - 2 * thick - 0.01
            carrier = tube([[0, half - 0.1, under], [0, y, under], [0, y, height]], 0.016)
            yield "arm", both(join(box([0, y, height], [0.24, 0.06, 0.03]), carrier))
    elif style == "rocking":
        splay = u(0.0, 0.03)
        legs = _legs(deep - 0.05, half - 0.03, seat - 2 * thick - 0.06, u(0.016, 0.022), splay, 1)
        yield "leg", move(legs, [0, 0, 0.06])
        reach = u(0.42, 0.5)
        along = np.linspace(-reach, reach, 11)
        rise_at = 0.04 + 0.5 * np.maximum(0, along**2 - 0.03)
        path = np.stack([along - 0.03, np.full(11, half - 0.03 + splay), rise_at], 1)
        yield "leg", both(tube(path, 0.022, flat=0.7))
        yield "back", _chair_back(rng, int(rng.integers(0, 2)), half - 0.01, seat - thick, top, lean + 8, x0)
        if rng.random() < 0.8:
            yield "arm", _arms(x0 - 0.06, u(0.1, 0.16), half, seat - thick, seat + u(0.18, 0.23))
    elif style == "pedestal":
        foot = u(0.2, 0.26)
        foot_profile = [(foot, 0), (foot, 0.015), (foot * 0.4, 0.04), (0.03, 0.12)]
        yield "leg", lathe([*foot_profile, (0.03, seat * 0.7), (0.09, seat - 2 * thick)])
        rim = superellipse(half, (top - seat + 0.02) / 2, u(2.2, 4), 24) + [0, (top + seat - 0.02) / 2]
        yield "back", turn(prism(rim, x0 - 0.03, x0, "x"), "y", -lean - 4, [x0, 0, seat])
        if rng.random() < 0.4:
            yield "arm", _arms(x0, u(0.04, 0.1), half - 0.02, seat - thick, seat + u(0.16, 0.22))
    elif style == "cantilever":
        x1, y = deep - 0.02, half - 0.01
        low = [
            [-deep, y, 0.015],
            [x1 - 0.04, y, 0.015],
            [x1, y, 0.06],
            [x1, y, seat - 0.06],
            [x1 - 0.04, y, seat - 2 * thick - 0.01],
            [x0, y, seat - 2 * thick - 0.01],
        ]
        rise = np.tan(np.radians(lean)) * (top - seat)
        yield "leg", both(tube(low, 0.013))
        yield "leg", rod([-deep, -y, 0.015], [-deep, y, 0.015], 0.013)
        yield (
            "back",
            both(tube([[x0, y, seat - 2 * thick - 0.01], [x0 - 0.02, y, seat + 0.04], [x0 - rise, y, top]], 0.013)),
        )
        share = u(0.4, 0.55)
        z0, z1 = top - share * (top - seat), top - 0.01
        panel = superellipse(half, (z1 - z0) / 2, 9, 16) + [0, (z0 + z1) / 2]
        yield "back", turn(prism(panel, x0 - 0.012, x0 + 0.012, "x"), "y", -lean, [x0, 0, seat])
        if rng.random() < 0.4:
            yield "arm", _arms(x0 - 0.03, x1 - 0.06, half + 0.01, seat - thick, seat + u(0.18, 0.24))
    else:  # windsor: splayed turned legs, spindles under a bow
        yield "leg", _legs(deep - 0.09, half - 0.08, seat - thick, u(0.016, 0.021), u(0.05, 0.09), 2)
        bow = superellipse(half - 0.02, top - seat, u(2.2, 3.2), 32)[:17]
        path = np.stack([np.full(17, x0), bow[:, 0], seat - thick + bow[:, 1]], 1)
        solids = [tube(path, 0.014)]
        for y in np.linspace(-half + 0.06, half - 0.06, int(rng.integers(5, 9))):
            high = np.interp(y, bow[::-1, 0], bow[::-1, 1])
            solids.append(rod([x0, y, seat - thick], [x0, y, seat - thick + high], 0.008, sides=6))
        yield "back", turn(join(*solids), "y", -lean, [x0, 0, seat])
        if rng.random() < 0.4:
            yield "arm", _arms(x0, u(0.05, 0.1), half - 0.02, seat - thick, seat + u(0.18, 0.24))


def _shade(kind: int, radius: float, height: float, floor: float) -> Solid:
    """An open shade: 0 drum, 1 cone, 2 bell, 3 pleated."""
    if kind == 1:
        return lathe([(radius, floor), (radius * 0.45, floor + height)], outline=circle(1, 24), caps=False)
    if kind == 2:
        curve = bezier([(1.0, 0.0), (0.62, 0.15), (0.62, 0.75), (0.3, 1.0)], 8) * [radius, height]
        return lathe(curve + [0, floor], outline=circle(1, 24), caps=False)
    outline = circle(1, 24)
    if kind == 3:
        outline = outline * (1 - 0.06 * (np.arange(24) % 2))[:, None]
    return lathe([(radius, floor), (radius * (0.9 if kind == 0 else 0.7), floor + height)], outline=outline, caps=False)


def lamp(style: str, rng: np.random.Generator) -> Parts:
    """Stands on z = 0; an arm reaches out to +x."""
    u = rng.uniform
    kind = int(rng.integers(0, 4))
    if style in ("desk", "gooseneck", "arc"):
        big = style == "arc"
        foot = u(0.14, 0.2) if big else u(0.08, 0.12)
        yield "base", prism(circle(foot, 20), 0, 0.025 if not big else 0.05)
        if style == "desk":
            elbow = np.array([-u(0.06, 0.16), 0, u(0.26, 0.36)])
            end = elbow + [u(0.26, 0.36), 0, u(0.04, 0.18)]
            for side in (-0.012, 0.012):
                yield "pole", rod([0, side, 0.02], elbow + [0, side, 0], 0.007)
                yield "pole", rod(elbow + [0, side, 0], end + [0, side, 0], 0.007)
            yield "pole", both(ball(elbow + [0, 0.012, 0], 0.016, 4))
            size, tilt = u(0.07, 0.1), u(0, 35)
        elif style == "gooseneck":
            height, reach = u(0.4, 0.52), u(0.18, 0.28)
            end = np.array([reach, 0, height * u(0.6, 0.75)])
            bend = np.array([[0, 0, 0.02], [0, 0, height * 1.45], [reach, 0, height * 1.3], end])
            yield "pole", tube(bezier(bend, 16), u(0.008, 0.013))
            size, tilt = u(0.07, 0.1), u(-5, 20)
        else:
            height, reach = u(1.4, 1.8), u(0.7, 1.0)
            end = np.array([reach, 0, height * u(0.7, 0.8)])
            bend = np.array([[0, 0, 0.02], [0, 0, height * 1.4], [reach, 0, height * 1.3], end])
            yield "pole", tube(bezier(bend, 16), u(0.012, 0.018))
            size, tilt = u(0.17, 0.24), 0.0
        hood = [(size, -size * u(0.9, 1.2)), (size * 0.85, -size * 0.5), (size * 0.45, -size * 0.12), (0, 0)]
        head = lathe(hood, outline=circle(1, 20), caps=False)
        yield "shade", move(turn(head, "y", -tilt), end)
        bulb = end + np.array([0, 0, -size * 0.5])
        yield "bulb", join(rod(end, bulb, size * 0.1), ball(bulb, size * 0.28, 6))
        return
    if style == "table":
        foot, height = u(0.07, 0.11), u(0.22, 0.34)
        yield "base", lathe([(foot, 0), (foot, 0.012), (foot * 0.8, 0.025)], outline=circle(1, 20))
        yield "pole", rod([0, 0, 0.02], [0, 0, height], u(0.008, 0.016))
        shade, tall = u(0.11, 0.17), u(0.16, 0.23)
    elif style == "vase":
        height, belly = u(0.24, 0.34), u(0.07, 0.12)
        neck = belly * u(0.2, 0.35)
        pull = [
            (belly * 0.3, 0.02),
            (belly * u(1.2, 2.0), 0.05),
            (belly * u(0.8, 1.6), height * 0.6),
            (neck, height * 0.75),
            (neck, height * 0.85),
        ]
        yield "base", lathe([(belly * 0.6, 0), *bezier(pull, 12)])
        yield "pole", rod([0, 0, height * 0.8], [0, 0, height + 0.02], 0.012)
        shade, tall = u(0.14, 0.2), u(0.16, 0.24)
    elif style == "floor":
        foot, height = u(0.13, 0.18), u(1.2, 1.5)
        yield "base", lathe([(foot, 0), (foot, 0.02), (foot * 0.3, 0.05)], outline=circle(1, 20))
        yield "pole", rod([0, 0, 0.03], [0, 0, height], u(0.012, 0.02))
        shade, tall = u(0.18, 0.26), u(0.2, 0.32)
    elif style == "tripod":
        height, spread = u(0.9, 1.3), u(0.22, 0.34)
        start = u(0, 120)
        for k in range(3):
            leg = rod([spread, 0, 0], [0.02, 0, height * 0.95], 0.016)
            yield "base", turn(leg, "z", start + 120 * k)
        yield "pole", rod([0, 0, height * 0.88], [0, 0, height], 0.025)
        shade, tall = u(0.2, 0.28), u(0.22, 0.34)
    else:  # globe
        height, foot = u(0.2, 0.6), u(0.07, 0.11)
        radius = u(0.1, 0.15)
        yield "base", lathe([(foot, 0), (foot, 0.015), (0.02, 0.04)])
        yield "pole", rod([0, 0, 0.03], [0, 0, height], u(0.01, 0.016))
        yield "shade", ball([0, 0, height + 0.9 * radius], [radius, radius, radius * u(0.85, 1.1)], 10)
        return
    yield "shade", _shade(kind, shade, tall, height - 0.35 * tall)
    yield "bulb", ball([0, 0, height + 0.1 * tall], 0.16 * tall + 0.01, 6)
    spoke = rod(
        [0, 0, height], [0.995 * shade, 0, height - 0.35 * tall], 0.004, sides=4
    )  # carries the shade by its rim
    yield "pole", join(*(turn(spoke, "z", angle) for angle in (0, 120, 240)))


def table(style: str, rng: np.random.Generator) -> Parts:
    """Longer along y."""
    u = rng.uniform
    height = {"coffee": u(0.38, 0.48)}.get(style, u(0.7, 0.78))
    deep, half = u(0.36, 0.48), u(0.5, 0.9)  # half depth and half width
    thick = u(0.02, 0.045)
    if style in ("pedestal", "three-legged"):
        half = deep * u(1.0, 1.15)
        deep = half if rng.random() < 0.6 else deep
    if style == "desk":
        deep, half = u(0.3, 0.38), u(0.55, 0.8)
    if style == "coffee":
        deep, half = u(0.25, 0.36), u(0.4, 0.65)
    power = 2.0 if style in ("pedestal", "three-legged") else u(2.0, 3) if rng.random() < 0.25 else u(8, 14)
    yield "top", prism(superellipse(deep, half, power, 28), height - thick, height)
    low = height - thick
    inset = 0.72 if power < 4 else 0.92
    x, y = deep * inset - 0.03, half * inset - 0.03
    if style in ("dining", "coffee"):
        kind = int(rng.integers(0, 3))
        leg = u(0.022, 0.04)
        yield "leg", _legs(x, y, low, leg, u(0, 0.06), kind, u(0.6, 1.0))
        if rng.random() < 0.6:
            apron = u(0.05, 0.09)
            yield "leg", both(box([0, y, low - apron / 2], [2 * x, 0.02, apron]))
            yield "leg", both(box([x, 0, low - apron / 2], [0.02, 2 * y, apron]), "x")
        if style == "coffee" or rng.random() < 0.15:
            yield "shelf", box([0, 0, height * u(0.25, 0.4)], [2 * x, 2 * y, 0.02])
    elif style == "pedestal":
        foot, stem = deep * u(0.5, 0.7), u(0.035, 0.06)
        if rng.random() < 0.5:
            yield (
                "leg",
                lathe([(foot, 0), (foot, 0.02), (foot * 0.4, 0.06), (stem, 0.15), (stem, low * 0.8), (stem * 3, low)]),
            )
        else:
            arms = int(rng.integers(3, 6))
            yield "leg", rod([0, 0, 0.08], [0, 0, low], stem)
            yield "leg", join(*_star(rng, arms, foot * 1.15, u(0.14, 0.24), False))
            yield "leg", prism(circle(stem * 3), low - 0.02, low)
    elif style == "desk":
        cabinet = u(0.32, 0.4)
        sides = (1, -1) if rng.random() < 0.5 else (1,)
        for sign in sides:
            centre = sign * (half - 0.03 - cabinet / 2)
            foot = u(0.03, 0.08)
            yield "leg", box([-0.01, centre, (foot + low) / 2], [2 * deep - 0.08, cabinet, low - foot])
            yield "leg", box([-0.01, centre, foot / 2], [2 * deep - 0.12, cabinet - 0.06, foot])
            drawers = int(rng.integers(2, 5))
            edges = np.linspace(foot + 0.02, low - 0.02, drawers + 1)
            for bottom, top in pairwise(edges):
                z = (bottom + top) / 2
                yield "drawer", box([deep - 0.04, centre, z], [0.025, cabinet - 0.03, top - bottom - 0.02])
                yield "drawer", box([deep - 0.02, centre, z], [0.03, 0.1, 0.015])
        if len(sides) == 1:
            yield "leg", box([-0.01, -(half - 0.05), low / 2], [2 * deep - 0.08, 0.04, low])
        if rng.random() < 0.6:
            yield "leg", box([-deep + 0.08, 0, low * 0.65], [0.02, 2 * half - 0.1, low * 0.7])
    elif style == "trestle":
        foot = u(0.03, 0.05)
        for sign in (-1, 1):
            at = sign * half * 0.7
            yield "leg", box([0, at, foot], [2 * deep * 0.85, 0.08, 2 * foot])
            yield "leg", box([0, at, low - 0.03], [2 * deep * 0.7, 0.08, 0.06])
            posts = (0.0,) if rng.random() < 0.5 else (-0.25 * deep, 0.25 * deep)
            for post in posts:
                yield "leg", box([post, at, low / 2], [0.1, 0.06, low - 0.02])
        yield "leg", box([0, 0, low * u(0.3, 0.55)], [0.05, 1.5 * half, 0.1])
    elif style == "crossed":
        bar = u(0.03, 0.045)
        for sign in (-1, 1):
            at = sign * half * u(0.68, 0.8)
            for lean in (-1, 1):
                yield (
                    "leg",
                    rod([lean * 0.8 * deep, at + lean * bar, 0], [-lean * 0.8 * deep, at + lean * bar, low], bar),
                )
        yield "leg", rod([0, -0.7 * half, low / 2], [0, 0.7 * half, low / 2], 0.03)
    else:  # three-legged
        spread, start = deep * u(0.7, 0.85), u(0, 120)
        bar = u(0.02, 0.032)
        for k in range(3):
            splayed = rod([spread * u(1.0, 1.05), 0, 0], [spread * 0.75, 0, low], bar * 0.7, bar)
            yield "leg", turn(splayed, "z", start + 120 * k)
        if rng.random() < 0.35:
            level = height * u(0.25, 0.4)
            yield "shelf", prism(circle(spread * 0.98, 20), level, level + 0.02)
