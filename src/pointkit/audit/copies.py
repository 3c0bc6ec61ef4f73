"""Copies and near copies among shapes: the same shape again, turned about the up axis, scaled, drawn anew, or noisy.

Three looks, each closer and dearer than the one before, and each at fewer shapes:

1. A shape's *print* is a small table of numbers that stays when the shape is turned and scaled. Only the shapes with
   the nearest prints can be copies.
2. The phases of the prints tell by which angle one is turned against the other. How far the two prints are then apart
   is compared with how far those of two random draws of one shape would be.
3. The points themselves are laid on each other (``laying``).

Pairs are looked at in the order of the second look, and no longer when many in a row were no copies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit.audit.laying import Cloud, alike
from pointkit.cloud import Float32, Float64

Complex64 = NDArray[np.complex64]
Int64 = NDArray[np.int64]

RINGS, LAYERS, WAVES = 4, 6, 7  # of a print: distances from the up axis, heights, and angular frequencies
RADIUS, HEIGHT = 1.8, 1.6  # up to which rings and layers go, in root mean squares of the points' distances
PIECE = 512  # points at once: of more, the matrix product would start threads that cost more than they help
AXES = 32  # of the prints, in which neighbours are looked for
NEIGHBOURS = 4  # of each shape that may be its copies
ANGLES = 256  # that are tried
FEWEST = 32  # points of a shape that can be told from others
SMALL = 2000  # shapes
FEW, MOST, SHARE = 800, 280, 16  # pairs looked at closely: of a SMALL set, of others, or one for so many shapes if more
PATIENCE = 60  # pairs in a row that are no copies, after which no more are looked at
LIKE = 2.2  # of the prints' distance to be expected: above, the shapes are others


class Prints(NamedTuple):
    """The prints of shapes: ``waves`` (S, RINGS * LAYERS, WAVES) complex64, ``noise`` (S,) float32.

    ``noise`` is the mean square distance of a print from that of the whole surface, as points are drawn at random.
    """

    waves: Complex64
    noise: Float32


def prints(points: Float32) -> Prints:
    """The prints of shapes (S, N, 3): where the points lie, as a mean over rings and layers of angular waves."""
    count = points.shape[-2]
    centred = points - points.mean(-2, keepdims=True, dtype=np.float64).astype(np.float32)
    scale = np.sqrt(np.einsum("snd,snd->s", centred, centred) / count)
    x, y, z = np.moveaxis(centred / np.where(scale > 0, scale, 1)[:, None, None], -1, 0)
    radius = np.hypot(x, y)
    boxes = _hats(radius, RINGS, 0, RADIUS)[..., :, None] * _hats(z, LAYERS, -HEIGHT, HEIGHT)[..., None, :]
    boxes = boxes.reshape(*x.shape, -1)
    turns = np.ones((*x.shape, WAVES), np.complex64)
    turns[..., 1] = (x + 1j * y) / np.maximum(radius, np.float32(1e-6))
    for wave in range(2, WAVES):
        turns[..., wave] = turns[..., wave - 1] * turns[..., 1]
    numbers = turns.view(np.float32)
    sums = sum(boxes[:, i : i + PIECE].swapaxes(1, 2) @ numbers[:, i : i + PIECE] for i in range(0, count, PIECE))
    waves = (np.asarray(sums) / np.float32(count)).view(np.complex64)
    spread = np.einsum("snb,snb->s", boxes, boxes) / count * _EACH.sum() - _energy(waves)
    return Prints(waves, (spread / count).astype(np.float32))


def _hats(values: Float32, count: int, low: float, high: float) -> Float32:
    """The weights (..., count) of values at evenly spaced places from low to high; those between share a value."""
    places = ((values - low) * ((count - 1) / (high - low))).clip(0, count - 1)[..., None]
    weights: Float32 = (1 - np.abs(places - np.arange(count, dtype=np.float32))).clip(0)
    return weights


_EACH = np.array([1] + [2] * (WAVES - 1), np.float32)  # a wave stands for that of the opposite frequency, too


def _energy(waves: Complex64) -> Float32:
    energy: Float32 = np.einsum("...bw,...bw,w->...", waves, waves.conj(), _EACH).real
    return energy


def neighbours(found: Prints) -> tuple[Int64, Int64]:
    """Pairs of shapes (P,), (P,) with prints that are near each other, however the shapes are turned."""
    flat = (np.abs(found.waves) * np.sqrt(_EACH)).reshape(len(found.waves), -1)
    flat = flat - flat.mean(0)
    _, axes = np.linalg.eigh(flat.T @ flat)
    flat = flat @ axes[:, -AXES:]
    squares = np.einsum("sa,sa->s", flat, flat)
    count = min(NEIGHBOURS, len(flat) - 1)
    pairs = []
    for start in range(0, len(flat), 1024):
        some = np.arange(start, min(start + 1024, len(flat)))
        apart = squares - 2 * flat[some] @ flat.T
        apart[np.arange(len(some)), some] = np.inf
        nearest = np.argpartition(apart, count - 1, 1)[:, :count]
        pairs.append(np.sort(np.stack([np.repeat(some, count), nearest.ravel()], 1), 1))
    both = np.unique(np.concatenate(pairs), axis=0)
    return both[:, 0], both[:, 1]


def likeness(found: Prints, first: Int64, second: Int64) -> tuple[Float32, Float32]:
    """How far the prints of pairs are apart, as a share of what is to be expected of two draws, and angles (P, 2).

    The angles, in radians, are those by which the first of a pair is turned: the best, and the best of all others.
    """
    one, other = found.waves[first], found.waves[second]
    products = np.zeros((len(first), ANGLES), np.complex64)
    products[:, :WAVES] = np.einsum("pbw,pbw,w->pw", one, other.conj(), _EACH)
    agreement = np.fft.ifft(products, axis=1).real * ANGLES
    apart = _energy(one) + _energy(other) - 2 * agreement.max(1)
    peak = (agreement >= np.roll(agreement, 1, 1)) & (agreement > np.roll(agreement, -1, 1))
    best = agreement.argmax(1)
    peak[np.arange(len(first)), best] = False
    next_best = np.where(peak, agreement, -np.inf).argmax(1)
    angles = np.stack([best, next_best], 1) * np.float32(2 * np.pi / ANGLES)
    expected = (found.noise[first] + found.noise[second]).clip(1e-12)
    return (apart.clip(0) / expected).astype(np.float32), angles.astype(np.float32)


def find(found: Prints, cloud: Callable[[int], Float32]) -> list[list[int]]:
    """Groups of shapes that are copies or near copies of each other, each in order.

    ``cloud`` gives the points (T, 3) of a shape in random order.
    """
    if len(found.waves) < 2:
        return []
    first, second = neighbours(found)
    apart, angles = likeness(found, first, second)
    order = np.argsort(_rank(len(found.waves), first, second, apart), kind="stable")
    order = order[apart[order] < LIKE]
    group = list(range(len(found.waves)))  # shape -> another of its group, in the end the first
    clouds = functools.lru_cache(4096)(lambda shape: Cloud(cloud(shape)))
    most = FEW if len(group) <= SMALL else max(MOST, len(group) // SHARE)
    looked_at = vain = 0
    for place in order.tolist():
        one, other = int(first[place]), int(second[place])
        if _root(group, one) == _root(group, other):
            continue
        looked_at += 1
        if alike(clouds(one), clouds(other), angles[place].tolist(), float(apart[place])):
            group[max(_root(group, one), _root(group, other))] = min(_root(group, one), _root(group, other))
            vain = 0
        else:
            vain += 1
        if vain == PATIENCE or looked_at == most:
            break
    return _members(group)


def joined(count: int, groups: Iterable[Sequence[int]]) -> list[list[int]]:
    """Groups among so many shapes, joined where they share a shape: each in order, none of one shape alone."""
    group = list(range(count))
    for some in groups:
        for other in some[1:]:
            one, other = sorted((_root(group, some[0]), _root(group, other)))
            group[other] = one
    return _members(group)


def _members(group: list[int]) -> list[list[int]]:
    members: dict[int, list[int]] = {}
    for shape in range(len(group)):
        members.setdefault(_root(group, shape), []).append(shape)
    return [some for some in members.values() if len(some) > 1]


def _rank(count: int, first: Int64, second: Int64, apart: Float32) -> Float64:
    """By which pairs are looked at: their distance, but less where all that are near a shape are as near as that."""
    both, twice = np.concatenate([first, second]), np.concatenate([apart, apart])
    order = np.lexsort([twice, both])
    bounds = np.searchsorted(both[order], np.arange(count + 1))
    usual = np.sqrt(twice[order][np.minimum((bounds[:-1] + bounds[1:]) // 2, len(order) - 1)].astype(np.float64))
    rank: Float64 = apart / np.sqrt(np.maximum(usual[first] * usual[second], 1e-9))
    return rank


def _root(group: list[int], shape: int) -> int:
    while group[shape] != shape:
        group[shape] = shape = group[group[shape]]
    return shape
