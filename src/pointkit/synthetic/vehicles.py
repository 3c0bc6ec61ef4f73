"""Airplanes, bicycles, cars and sailing boats of the built-in set.

Each function takes a style and a generator and yields (part name, solid), x forward, z up, in units of its own.
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
    loft,
    move,
    prism,
    ring,
    rod,
    sheet,
    superellipse,
    tube,
)

Parts = Iterator[tuple[str, Solid]]


def _fin(root: ArrayLike, root_chord: float, tip: ArrayLike, tip_chord: float, thickness: float, across: str) -> Solid:
    """A wing panel between two leading edges, chords along -x, ``thickness`` chords thick along ``across``."""
    section = np.array([[0, 0], [0.15, 0.4], [0.4, 0.5], [1, 0.05], [1, -0.05], [0.4, -0.5], [0.15, -0.4]])
    rings = np.zeros((2, len(section), 3))
    for k, (edge, chord) in enumerate(((root, root_chord), (tip, tip_chord))):
        rings[k] = edge
        rings[k, :, 0] -= section[:, 0] * chord
        rings[k, :, 1 if across == "y" else 2] += section[:, 1] * chord * thickness
    return loft(rings)


def _spindle(stations: ArrayLike, height: float = 1.0, count: int = 16) -> Solid:
    """A body along x: stations (R, 3) of x, radius and the middle's z; ``height`` is radius in z over radius in y."""
    rows = np.asarray(stations, np.float64)
    rings = np.empty((len(rows), count, 3))
    outline = circle(1.0, count)
    rings[..., 0] = rows[:, :1]
    rings[..., 1] = rows[:, 1:2] * outline[:, 0]
    rings[..., 2] = rows[:, 2:3] + rows[:, 1:2] * outline[:, 1] * height
    return loft(rings)


def _propeller(hub: Float64, radius: float, blades: int, start: float) -> Solid:
    solids = [ball(hub, [radius * 0.16, radius * 0.1, radius * 0.1], 4)]
    for k in range(blades):
        angle = start + 2 * np.pi * k / blades
        direction = np.array([0, np.cos(angle), np.sin(angle)])
        path = hub + np.outer([0.05, 0.4, 0.8, 1.0], direction) * radius
        solids.append(tube(path, radius * np.array([0.05, 0.1, 0.09, 0.03]), 6))
    return join(*solids)


def airplane(style: str, rng: np.random.Generator) -> Parts:
    """Fuselage of length 1 about the origin."""
    u = rng.uniform
    slim = {"airliner": 0.06, "fighter": 0.05, "glider": 0.035, "business jet": 0.058}.get(style, 0.062)
    r = slim * u(0.85, 1.2)
    nose = u(0.04, 0.1) + (0.1 if style == "fighter" else 0)
    stations = [(0.5, 0.1 * r, -0.2 * r), (0.5 - 0.3 * nose, 0.55 * r, -0.1 * r), (0.5 - nose, 0.9 * r, 0)]
    tail_radius = 0.75 if style == "fighter" else u(0.15, 0.3)
    stations += [
        (0.3, r, 0),
        (-0.1, r, 0),
        (-0.3, r * (0.4 + 0.6 * tail_radius), 0.2 * r),
        (-0.5, tail_radius * r, 0.4 * r),
    ]
    yield "body", _spindle(stations, u(0.95, 1.2))
    if style not in ("airliner", "business jet"):
        where = u(0.1, 0.2) + (0.05 if style == "fighter" else 0)
        yield "body", ball([where, 0, 0.8 * r], [u(0.08, 0.12), 0.6 * r, 0.8 * r], 6)

    half = {"fighter": u(0.28, 0.38), "glider": u(0.75, 1.0), "airliner": u(0.42, 0.55)}.get(style, u(0.42, 0.58))
    swept = {"airliner": u(0.18, 0.3), "fighter": u(0.2, 0.38), "business jet": u(0.14, 0.24)}.get(style, u(0, 0.05))
    chord = {"fighter": u(0.38, 0.5), "glider": u(0.1, 0.13)}.get(style, u(0.17, 0.24))
    tip = chord * (u(0.1, 0.3) if style == "fighter" else u(0.3, 0.5) if swept > 0.1 else u(0.55, 0.95))
    lead = u(0.1, 0.18) + (-0.02 if style == "fighter" else 0)
    high = style in ("glider", "twin propeller") or (style == "propeller" and rng.random() < 0.5)
    z = 0.8 * r if high else -0.5 * r
    rise = u(0.0, 0.06)

    def wing(z: float) -> Solid:
        return both(_fin([lead, 0, z], chord, [lead - swept, half, z + rise], tip, 0.1, "z"))

    if style == "biplane":
        gap = u(0.13, 0.18)
        yield "wing", join(wing(-r), wing(gap))
        for share in (0.12, u(0.6, 0.75)):
            y, up = share * half, share * rise
            strut = [rod([x, y, -r + up], [x, y, gap + up], 0.008) for x in (lead - 0.3 * chord, lead - 0.7 * chord)]
            yield "wing", both(join(*strut))
    else:
        yield "wing", wing(z)
        if style == "airliner" and rng.random() < 0.5:  # winglets
            end = [lead - swept, half, z + rise]
            yield "wing", both(_fin(end, tip, [end[0] - tip, half + 0.01, z + rise + 0.06], tip * 0.4, 0.1, "y"))

    fin_height, fin_chord = u(0.13, 0.19), u(0.12, 0.17)
    fin_lean = u(0.06, 0.14) if swept > 0.1 else u(0.02, 0.06)
    root = np.array([-0.5 + fin_chord, 0, 0.3 * r])
    top = root + [-fin_lean, 0, fin_height]
    tail_half, tail_chord = u(0.14, 0.21), u(0.08, 0.12)
    if style == "fighter":
        lean, y = u(0.0, 0.06), 0.7 * r
        yield "tail", both(_fin(root + [0, y, 0], fin_chord, top + [0, y + lean, 0], fin_chord * 0.5, 0.08, "y"))
    else:
        yield "tail", _fin(root, fin_chord, top, fin_chord * u(0.5, 0.75), 0.1, "y")
    t_tail = style in ("business jet", "glider")
    start = top + [0, 0, -0.005] if t_tail else np.array([-0.5 + tail_chord * 1.2, 0, 0.4 * r])
    back = 0.3 * swept + 0.02
    yield "tail", both(_fin(start, tail_chord, start + [-back, tail_half, 0.01], tail_chord * 0.6, 0.1, "z"))

    size = u(0.85, 1.2)
    if style == "airliner":
        for share in (0.33,) if rng.random() < 0.6 else (0.28, 0.55):
            x, y = lead - share * swept + 0.06, share * half
            height, bulk = z + share * rise - 0.035 * size, 0.028 * size
            pod = _spindle([(x, 0.9 * bulk, height), (x - 0.04, bulk, height), (x - 0.14, 0.55 * bulk, height)])
            pylon = box([x - 0.08, y, height + 0.02], [0.07, 0.01, 0.04])
            yield "engine", both(join(move(pod, [0, y, 0]), pylon))
    elif style == "business jet":
        bulk, x = 0.03 * size, u(-0.24, -0.18)
        y, height = r + 0.8 * bulk, 0.5 * r
        pod = _spindle([(x + 0.07, 0.8 * bulk, height), (x + 0.03, bulk, height), (x - 0.09, 0.6 * bulk, height)])
        yield "engine", both(join(move(pod, [0, y, 0]), box([x, y / 2 + 0.2 * r, height], [0.08, y, 0.012])))
    elif style == "fighter":
        bulk = 0.62 * r
        nozzle = _spindle([(-0.2, bulk, 0), (-0.5, bulk, 0.1 * r), (-0.56, 0.75 * bulk, 0.1 * r)])
        yield "engine", both(move(nozzle, [0, 0.6 * r, 0]))
        intake = box([u(0.02, 0.08), 1.0 * r, -0.2 * r], [u(0.2, 0.3), 0.9 * r, 1.2 * r])
        yield "engine", both(intake)
    elif style == "twin propeller":
        share = u(0.25, 0.34)
        hub = np.array([lead + 0.08, share * half, z + share * rise])
        bulk = 0.03 * size
        pod = _spindle(
            [(hub[0], 0.5 * bulk, hub[2]), (hub[0] - 0.04, bulk, hub[2]), (hub[0] - 0.22, 0.4 * bulk, hub[2])]
        )
        spun = _propeller(hub, 0.09 * size, int(rng.integers(3, 5)), u(0, np.pi))
        yield "engine", both(join(move(pod, [0, hub[1], 0]), spun))
    elif style != "glider":
        yield "engine", _propeller(np.array([0.51, 0, -0.2 * r]), 0.12 * size, int(rng.integers(2, 5)), u(0, np.pi))


def _bicycle_wheel(x: float, radius: float, tyre: float, spokes: int, start: float) -> Solid:
    solids = [ring([x, 0, radius], radius - tyre, tyre, "y", 28, 6), rod([x, -0.05, radius], [x, 0.05, radius], 0.022)]
    for k in range(spokes):
        angle = start + 2 * np.pi * k / spokes
        end = [x + (radius - tyre) * np.cos(angle), 0, radius + (radius - tyre) * np.sin(angle)]
        solids.append(rod([x, 0.02 * (-1) ** k, radius], end, 0.004, sides=3))
    return join(*solids)


def bicycle(style: str, rng: np.random.Generator) -> Parts:
    """In metres, the wheels on z = 0."""
    u = rng.uniform
    small = style in ("bmx", "folding")
    radius = {"bmx": u(0.24, 0.28), "folding": u(0.2, 0.25)}.get(style, u(0.32, 0.37))
    tyre = {
        "road": u(0.012, 0.017),
        "mountain": u(0.027, 0.035),
        "cruiser": u(0.027, 0.034),
        "bmx": u(0.024, 0.03),
    }.get(style, u(0.017, 0.023))
    base = {"bmx": u(0.88, 0.96), "cruiser": u(1.08, 1.16)}.get(style, u(0.98, 1.08))
    rear, front = -0.42 * base, 0.58 * base
    spokes = int(rng.integers(6, 13)) * 2
    for x in (rear, front):
        yield "wheel", _bicycle_wheel(x, radius, tyre, spokes, u(0, 1))

    thick = u(0.016, 0.022)
    crank = np.array([0.0, 0.0, u(0.26, 0.3)])
    saddle_height = {"bmx": u(0.6, 0.66), "road": u(0.92, 1.0), "mountain": u(0.88, 0.96)}.get(style, u(0.86, 0.95))
    lean = u(0.27, 0.34)
    saddle = np.array([-lean * (saddle_height - crank[2]), 0, saddle_height])
    clamp = {"bmx": u(0.42, 0.46), "folding": u(0.42, 0.48), "step-through": u(0.6, 0.68)}.get(style, u(0.66, 0.76))
    seat = crank + (saddle - crank) * (clamp - crank[2]) / (saddle_height - crank[2])
    rake = u(0.28, 0.36)
    head = {"bmx": u(0.62, 0.68), "folding": u(0.52, 0.58)}.get(style, u(0.76, 0.86))
    top = np.array([front - rake * (head - radius), 0, head])
    down = top + np.array([rake, 0, -1]) * (0.08 if small else u(0.1, 0.15))
    yield "frame", rod(crank, saddle, thick)
    yield "frame", rod(top, down, thick * 1.2)
    if style == "cruiser":
        sag = (seat + down) / 2 + [0, 0, u(0.08, 0.14)]
        yield "frame", tube(bezier([top, sag, seat]), thick)
        yield "frame", tube(bezier([down, (down + crank) / 2 + [0.08, 0, -0.06], crank]), thick)
    elif style == "step-through":
        yield "frame", rod(down, crank, thick * 1.1)
        low = crank + (saddle - crank) * u(0.1, 0.25)
        yield "frame", tube(bezier([top, (top + low) / 2 + [-0.06, 0, -0.1], low]), thick)
    elif style == "folding":
        yield "frame", rod(down, crank + (seat - crank) * 0.4, thick * 1.5)
        yield "frame", rod(down, crank, thick)
    else:
        yield "frame", rod(top, seat, thick)
        yield "frame", rod(down, crank, thick * 1.1)
    hub = np.array([rear, 0.05, radius])
    yield "frame", both(join(rod(crank + [0, 0.03, 0], hub, thick * 0.6), rod(seat + [0, 0.02, 0], hub, thick * 0.55)))
    yield "frame", both(rod([front, 0.05, radius], down + [0, 0.04, 0], thick * (1.3 if style == "mountain" else 0.7)))
    yield "frame", box(down, [0.04, 0.1, 0.04])
    if style in ("city", "cruiser", "step-through"):  # mudguards
        angle = np.radians(np.linspace(20, 170, 9))
        for x in (rear, front):
            r = radius + 0.03
            path = np.stack([x - r * np.cos(angle), 0 * angle, radius + r * np.sin(angle)], 1)
            yield "frame", tube(path, 0.012, 6)
    if style in ("city", "step-through") and rng.random() < 0.6:  # a carrier over the rear wheel
        z = 2 * radius + 0.08
        yield "frame", box([rear - 0.02, 0, z], [u(0.3, 0.38), 0.12, 0.015])
        yield "frame", both(rod([rear, 0.05, radius], [rear - 0.08, 0.05, z], 0.007))

    reach = {"bmx": u(0.18, 0.24), "folding": u(0.3, 0.36), "road": u(0.04, 0.07)}.get(style, u(0.1, 0.16))
    stem = top + np.array([-rake, 0, 1]) * reach
    yield "handlebar", rod(top, stem, thick * 0.9)
    wide = {"road": u(0.19, 0.22), "mountain": u(0.32, 0.38), "folding": u(0.25, 0.28)}.get(style, u(0.28, 0.34))
    if style == "road":
        drop = [[0, 0, 0], [0.0, wide, 0], [0.03, wide, 0], [0.12, wide, 0], [0.14, wide, -0.08], [0.05, wide, -0.14]]
    elif style in ("mountain", "folding"):
        drop = [[0, 0, 0], [0.02, wide * 0.4, 0.02], [-0.03, wide, 0.02]]
    elif style == "bmx":
        drop = [[0, 0, -0.12], [0.02, wide * 0.45, 0.0], [-0.05, wide, 0.02]]
    else:
        sweep = u(0.16, 0.26)
        drop = [[0, 0, 0], [0.06, wide * 0.4, 0.05], [-0.02, wide, 0.05], [-sweep, wide, 0.02]]
    yield "handlebar", both(tube(stem + np.array(drop), 0.014))
    last, before = stem + np.array(drop[-1]), stem + np.array(drop[-2])
    yield "handlebar", both(rod(before + 0.4 * (last - before), last, 0.02))

    wide_saddle = 0.07 if style in ("road", "mountain", "bmx") else u(0.085, 0.11)
    outline = np.array([[0.15, -0.015], [0.02, -0.03], [-0.08, -wide_saddle], [-0.13, -wide_saddle]])
    outline = np.concatenate([outline, outline[::-1] * [1, -1]])
    yield "saddle", move(prism(outline, -0.02, 0.03), saddle)
    first = u(0, 2 * np.pi)
    for side, turned in ((1, first), (-1, first + np.pi)):
        end = crank + np.array([0.17 * np.cos(turned), 0.07 * side, 0.17 * np.sin(turned)])
        yield "pedal", rod(crank + [0, 0.07 * side, 0], end, 0.012)
        yield "pedal", box(end + [0, 0.05 * side, 0], [0.09, 0.09, 0.025])
    yield "pedal", rod(crank + [0, -0.07, 0], crank + [0, 0.07, 0], 0.02)
    yield "pedal", prism(circle(u(0.07, 0.1)) + crank[[0, 2]], -0.055, -0.045, "y")


def _slab(profile: ArrayLike, half: float, shoulder: float = 0.9) -> Solid:
    """A side view (K, 2) in x and z, ``half`` wide to each side, where the outline is ``shoulder`` times as large."""
    flat = np.asarray(profile, np.float64)
    middle = flat.mean(0)
    inner = middle + (flat - middle) * shoulder
    rings = np.empty((4, len(flat), 3))
    for k, (outline, y) in enumerate(((inner, -half), (flat, -0.9 * half), (flat, 0.9 * half), (inner, half))):
        rings[k, :, 0], rings[k, :, 1], rings[k, :, 2] = outline[:, 0], y, outline[:, 1]
    return loft(rings)


def car(style: str, rng: np.random.Generator) -> Parts:
    """In metres, the wheels on z = 0."""
    u = rng.uniform
    length = {
        "hatchback": u(3.5, 4.1), "sports": u(4.1, 4.6), "pickup": u(5.0, 5.6), "van": u(4.7, 5.5), "suv": u(4.4, 5.0),
        "limousine": u(6.2, 7.2),
    }.get(style, u(4.4, 4.9))  # fmt: skip
    half = u(0.84, 0.95) * (1.08 if style in ("suv", "van", "pickup") else 1.0)
    tall = style in ("suv", "pickup")
    radius = u(0.36, 0.43) if tall else u(0.29, 0.34)
    low = radius * u(0.65, 0.8)
    belt = {"sports": u(0.72, 0.78), "van": u(1.0, 1.1)}.get(style, u(1.02, 1.12) if tall else u(0.85, 0.95))
    roof = {"sports": u(1.15, 1.25), "van": u(2.0, 2.4), "hatchback": u(1.42, 1.55)}.get(
        style, u(1.7, 1.9) if tall else u(1.38, 1.48)
    )
    front, rear = length / 2, -length / 2
    hood = belt - u(0.08, 0.2) - (0.05 if style == "sports" else 0)
    trunk = belt - u(0.0, 0.06)
    # Where the windscreen and the rear window meet the belt and the roof, as shares of the length from the front.
    foot, head, tail, end = {
        "sedan": (0.27, 0.40, 0.70, 0.83),
        "hatchback": (0.25, 0.39, 0.86, 0.98),
        "suv": (0.25, 0.36, 0.90, 0.98),
        "pickup": (0.25, 0.35, 0.54, 0.58),
        "sports": (0.32, 0.50, 0.68, 0.92),
        "van": (0.06, 0.20, 0.98, 0.995),
        "estate": (0.27, 0.39, 0.92, 0.985),
        "limousine": (0.20, 0.28, 0.80, 0.88),
    }[style]
    foot, head, tail, end = (share + u(-0.015, 0.015) * (share < 0.95) for share in (foot, head, tail, end))
    nose = low + (hood - low) * u(0.35, 0.6)
    bonnet, deck = front - foot * length, front - end * length
    deck_z = trunk - (u(0.0, 0.04) if style == "pickup" else 0)
    side = [(rear + 0.05, low), (front - 0.08, low), (front, nose), (front - 0.12, hood), (bonnet, belt)]
    side += [(deck, belt), (rear + 0.05, deck_z), (rear, (low + trunk) / 2)]
    yield "body", _slab(side, half, 0.96)
    inset = half * u(0.76, 0.86) if style != "van" else half * u(0.88, 0.94)
    feet, heads, tails, ends = (front - share * length for share in (foot, head, tail, end))
    rings = np.empty((3, 4, 3))
    levels = (
        (feet, ends, 0.94 * half, belt - 0.03),
        (heads, tails, inset, roof - 0.06),
        (heads - 0.12, tails + 0.12, 0.9 * inset, roof),
    )
    for k, (a, b, y, z) in enumerate(levels):
        rings[k] = [[a, y, z], [b, y, z], [b, -y, z], [a, -y, z]]
    yield "cabin", loft(rings)
    if style == "pickup":
        wall = u(0.1, 0.18)
        bed = deck - rear - 0.05
        yield "body", both(box([rear + 0.05 + bed / 2, half - 0.06, belt + wall / 2 - 0.02], [bed, 0.08, wall + 0.04]))
        yield "body", box([rear + 0.09, 0, belt + wall / 2 - 0.03], [0.08, 2 * half - 0.12, wall + 0.04])
    if style == "sports" and rng.random() < 0.7:  # a rear wing
        z = trunk + u(0.1, 0.2)
        yield "bumper", box([rear + 0.2, 0, z], [0.25, 1.7 * half, 0.04])
        yield "bumper", both(box([rear + 0.2, 0.6 * half, (z + trunk - 0.05) / 2], [0.1, 0.05, z - trunk + 0.05]))
    overhang = u(0.16, 0.2) * min(length, 5)
    width = u(0.18, 0.24)
    for x in (front - overhang, rear + overhang):
        disc = prism(circle(radius, 20) + [x, radius], half - width, half + 0.03, "y")
        hub = prism(circle(radius * 0.5, 10) + [x, radius], half + 0.03, half + 0.05, "y")
        yield "wheel", both(join(disc, hub))
    for x, sign in ((front, 1), (rear, -1)):
        z = low + 0.1
        yield "bumper", box([x + 0.01 * sign, 0, z], [0.14, 1.9 * half, u(0.14, 0.2)])
    if rng.random() < 0.7:  # mirrors
        yield "body", both(box([bonnet - 0.35, half + 0.02, belt + 0.04], [0.1, 0.28, 0.14]))
    if style in ("suv", "estate") and rng.random() < 0.7:  # roof rails
        rail = rod([heads - 0.2, 0.8 * inset, roof + 0.05], [tails + 0.2, 0.8 * inset, roof + 0.05], 0.03)
        yield "cabin", both(join(rail, *(rod([x, 0.8 * inset, roof - 0.03], [x, 0.8 * inset, roof + 0.05], 0.03)
                                         for x in (heads - 0.3, tails + 0.3))))  # fmt: skip


def _hull(length: float, beam: float, depth: float, sheer: float, transom: float) -> Solid:
    """A boat's hull about x = 0, its deck at z = 0; ``transom`` is the stern's width as a share of the beam."""
    t = np.linspace(0, 1, 10)
    width = beam / 2 * (transom + (1 - transom) * np.sin(np.pi * t / 1.1) ** 0.8) * (1 - t**3.5) + 0.004 * length
    keel = -depth * (0.45 + 0.55 * np.sin(np.pi * (0.1 + 0.8 * t))) * (1 - 0.75 * t**4)
    deck = sheer * (2 * t - 0.9) ** 2
    rings = np.empty((len(t), 8, 3))
    rings[..., 0] = (length * (t - 0.5) + 0.06 * length * t**4)[:, None]
    rings[..., 1] = width[:, None] * [1, 0.95, 0.6, 0.08, -0.08, -0.6, -0.95, -1]
    low = (keel - deck)[:, None] * [0, 0.4, 0.85, 1, 1, 0.85, 0.4, 0]
    rings[..., 2] = deck[:, None] + low
    return loft(rings)


def _sail(corners: ArrayLike, belly: float) -> Solid:
    """Cloth over 3 or 4 corners (in x and z, the plane y = 0), bulging by ``belly`` to the side."""
    points = np.asarray(corners, np.float64)
    if len(points) == 3:
        points = np.concatenate([points, points[-1:]])
    s, t = np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 7))
    weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t], -1)
    flat = weights @ points
    cloth = np.stack([flat[..., 0], belly * 4 * s * (1 - s) * (0.3 + t * (1 - t)), flat[..., 1]], -1)
    return sheet(cloth)


def sailboat(style: str, rng: np.random.Generator) -> Parts:
    """A hull of length 1, its deck at z = 0."""
    u = rng.uniform
    beam, depth, sheer = u(0.26, 0.36), u(0.1, 0.15), u(0.03, 0.08)
    transom = u(0.45, 0.8)
    if style == "catamaran":
        apart = u(0.2, 0.27)
        yield "hull", both(move(_hull(1, u(0.09, 0.12), depth, sheer, 0.6), [0, apart, 0]))
        yield "hull", box([u(-0.1, 0), 0, 0.01], [u(0.4, 0.55), 2 * apart, 0.03])
    else:
        yield "hull", _hull(1, beam, depth, sheer, transom)
        if style != "dinghy":
            cabin = superellipse(u(0.12, 0.2), beam * u(0.25, 0.33), 5, 12) + [u(-0.05, 0.05), 0]
            yield "hull", prism(cabin, -0.02, u(0.05, 0.09), shrink=0.85)
    if style == "catamaran":
        blade = superellipse(0.04, 0.012, 2, 8)
        yield "keel", both(move(prism(blade, -depth * 2.2, -0.3 * depth), [-0.42, apart, 0]))
    else:
        deep = depth * u(2.0, 2.8)
        chord = u(0.035, 0.05) if style == "dinghy" else u(0.1, 0.18)
        fin = prism(superellipse(chord, 0.014, 2, 12), -0.8 * depth, -deep, shrink=u(0.6, 0.8))
        yield "keel", move(fin, [u(-0.02, 0.06), 0, 0])
        yield "keel", box([-0.49, 0, -0.9 * depth], [0.07, 0.015, 1.5 * depth])

    masts: list[tuple[float, float]]  # x and height
    tall = u(1.05, 1.4)
    if style == "ketch":
        masts = [(u(0.14, 0.2), tall), (u(-0.36, -0.3), tall * u(0.6, 0.75))]
    elif style == "schooner":
        masts = [(u(0.18, 0.24), tall * u(0.75, 0.85)), (u(-0.14, -0.08), tall * 0.95)]
    elif style == "catboat":
        masts = [(u(0.32, 0.38), tall)]
    else:
        masts = [(u(0.06, 0.16), tall)]
    gaff = style in ("gaff", "schooner")
    for k, (x, height) in enumerate(masts):
        yield "mast", rod([x, 0, -0.02], [x, 0, height], 0.014, 0.008)
        after = masts[k + 1][0] if k + 1 < len(masts) else -0.5 - u(0.0, 0.08)
        if style == "ketch" and k == 1:
            after = x - u(0.24, 0.3)
        boom = x - (x - after) * u(0.85, 0.95)
        foot = u(0.1, 0.15)
        yield "mast", rod([x, 0, foot], [boom, 0, foot], 0.01)
        belly = u(0.03, 0.07) * (x - boom) * 3
        low, near = foot + 0.02, x - 0.015
        if gaff:
            throat, lift = height * u(0.62, 0.7), u(0.2, 0.3)
            peak = (x - (x - boom) * 0.62, throat + lift)
            yield "mast", rod([x, 0, throat], [peak[0], 0, peak[1]], 0.009)
            yield "sail", _sail([(near, low), (boom, low), peak, (near, throat)], belly)
        else:
            head = height * u(0.93, 0.98)
            roach = (near - u(0.02, 0.06), head)
            yield "sail", _sail([(near, low), (boom, low), roach, (near, head)], belly)
    x, height = masts[0]
    if style != "catboat" and not (style == "dinghy" and rng.random() < 0.3):  # a foresail
        bow = 0.5 if style in ("dinghy", "catamaran") else 0.54
        high = height * u(0.7, 0.95)
        slack = x + u(0.01, 0.05) - (u(0.1, 0.2) if rng.random() < 0.3 else 0)
        yield "sail", _sail([(slack, 0.1), (bow, sheer + 0.03), (x + 0.015, high)], -u(0.03, 0.06))
        if style != "catamaran":
            yield "mast", rod([0.42, 0, 0.4 * sheer], [bow + 0.03, 0, sheer + 0.03], 0.01)
        else:
            yield "mast", rod([0.45, -apart, sheer * 0.5], [0.45, apart, sheer * 0.5], 0.01)
            yield "mast", rod([0.45, 0, sheer * 0.5], [bow, 0, sheer + 0.03], 0.008)
