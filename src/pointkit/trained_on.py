"""What a run was trained on, as it keeps it, so that a later file can be compared: size, spread, stance, features.

Ranges are those of the training shapes (``traits``). A stance is how a shape's points are spread along x, y and z. It
says which way a shape stands: one that lies on its side is unlike all training shapes, and like some of them once it is
turned. What a set's shapes are like by themselves decides what counts as unlike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointkit import traits, upright
from pointkit.cloud import Array, Float32, Float64
from pointkit.store import Store

STANCES = 4096  # training shapes whose stances are kept
FEWEST = 30  # training shapes, with fewer of which no stance says anything
RATIO = 1.8  # how much nearer the training shapes a turned shape must be than it is as it stands
JUDGED = 256  # training shapes that are themselves judged, to see how far apart the set's own shapes are
SURE = 0.99  # share of these that must stand right
# Each way to stand: which axes become x, y and z, and with which sign. The first is as it is, then the turns about z.
TURNS = [
    (order, signs)
    for order in ((0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0))
    for signs in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1), (-1, -1, -1), (-1, 1, 1), (1, -1, 1), (1, 1, -1))
    if round(np.linalg.det(np.eye(3)[list(order)] * np.array(signs)[:, None])) == 1
]
UPRIGHT = [order[2] == 2 and signs[2] == 1 for order, signs in TURNS]


@dataclass(frozen=True)
class TrainedOn:
    """What the training shapes are like: each range has the least and the most.

    ``points`` are counted of each shape. ``extent`` is in the files' units, ``spacing`` in extents (``traits``).
    ``features``: column -> what 2 % and 98 % of a shape's points lie below. ``unlike`` is the ``Stances.ratio`` from
    which on a shape stands otherwise; None where the shapes of the set stand in all ways, or are few.
    """

    shapes: int
    points: tuple[float, float]
    extent: tuple[float, float]
    spacing: tuple[float, float]
    features: Mapping[str, tuple[float, float]]
    unlike: float | None

    @classmethod
    def of_run(cls, given: object) -> TrainedOn | None:
        """What ``facts`` gave; None where an older run has none. Raises ValueError for what is neither."""
        if given is None:
            return None
        try:
            kept = dict(given)  # type: ignore[call-overload]
            ranges = {name: _range(kept.pop(name)) for name in ("points", "extent", "spacing")}
            columns = {name: _range(both) for name, both in kept.pop("features").items()}
            unlike = kept.pop("unlike")
            return cls(int(kept.pop("shapes")), **ranges, features=columns, unlike=unlike and float(unlike))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"trained_on must have ranges of the training shapes ({error})") from None

    def facts(self) -> dict[str, Any]:
        """As ``run.json`` keeps it."""
        ranges = {name: list(getattr(self, name)) for name in ("points", "extent", "spacing")}
        columns = {name: list(both) for name, both in self.features.items()}
        return {"shapes": self.shapes, **ranges, "features": columns, "unlike": self.unlike}


def _range(both: Any) -> tuple[float, float]:
    low, high = both
    if not np.isfinite([low, high]).all() or low > high:
        raise ValueError(f"a range must be two numbers in order, found {both!r}")
    return float(low), float(high)


class Stances:
    """How the training shapes stand: their profiles (S, 3, LEVELS)."""

    def __init__(self, profiles: Array) -> None:
        if profiles.shape[1:] != (3, traits.LEVELS) or not len(profiles) or not np.isfinite(profiles).all():
            raise ValueError(f"stances must be (S, 3, {traits.LEVELS}) finite numbers, found {profiles.shape}")
        self.known = profiles.astype(np.float32).reshape(len(profiles), -1)
        self.squares = np.einsum("sk,sk->s", self.known, self.known)

    def ratio(self, profile: Float32, without: int | None = None) -> tuple[float, int]:
        """How much nearer the training shapes is a shape that is laid down some way, and the index of that in TURNS.

        ``profile`` (3, LEVELS) is the shape's. The distance is that from the nearest training shape, ``without`` one.
        The ratio is 0 where the shape is nearest upright, turned about z or not.
        """
        turned = np.stack([_turned(profile, *turn) for turn in TURNS]).reshape(len(TURNS), -1)
        squares = self.squares - 2 * (turned @ self.known.T) + np.einsum("tk,tk->t", turned, turned)[:, None]
        if without is not None:
            squares[:, without] = np.inf
        apart = np.sqrt(squares.min(1).clip(0))
        laid = np.where(UPRIGHT, np.inf, apart)
        best = int(laid.argmin())
        if apart[UPRIGHT].min() <= laid[best]:
            return 0.0, 0
        return float(apart[0] / max(laid[best], 1e-6)), best


def _turned(profile: Float32, order: tuple[int, ...], signs: tuple[int, ...]) -> Float32:
    """The profile (3, LEVELS) of a shape that is turned."""
    axes = zip(order, signs, strict=True)
    return np.stack([profile[axis] if sign > 0 else -profile[axis, ::-1] for axis, sign in axes])


def of_store(store: Store, columns: tuple[str, ...] = ()) -> tuple[TrainedOn | None, Array | None]:
    """What the training shapes of a store are like, with these ``columns`` of its features, and their stances.

    The stances are float16 (S, 3, LEVELS), at most STANCES of them; None where nothing can be said of them.
    """
    chosen = np.array([i for i in store.select("train") if np.isfinite(store.cloud(i)).all()], np.int64)
    if not len(chosen):  # as in a damaged store, which the training will name
        return None, None
    counts = store.counts[chosen]
    extents, spacings = np.zeros(len(chosen)), np.zeros(len(chosen))
    profiles = np.zeros((len(chosen), 3, traits.LEVELS), np.float32)
    places = store.columns(columns)
    ranges: list[Float64] = []
    for members, size in traits.groups(counts):
        starts = [store.seen(chosen[i]).start for i in members]
        found = traits.of(np.stack([store.points[start : start + size] for start in starts]))
        extents[members], spacings[members], profiles[members] = found.extent, found.spacing, found.profiles
        if store.features is not None and places:
            some = np.stack([store.features[start : start + min(size, traits.FEATURES)] for start in starts])
            ranges.append(traits.ranges(some[..., places]))
    low_high = np.concatenate(ranges) if ranges else np.zeros((1, 3, 0))
    about = TrainedOn(
        shapes=len(chosen),
        points=(float(counts.min()), float(counts.max())),
        extent=_ends(extents),
        spacing=_ends(spacings),
        features={
            name: (float(low_high[:, 0, i].min()), float(low_high[:, 2, i].max())) for i, name in enumerate(columns)
        },
        unlike=None,
    )
    if len(chosen) < FEWEST:
        return about, None
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(len(chosen))[:STANCES])
    kept = profiles[some].astype(np.float16)
    stances = Stances(kept)
    judged = rng.permutation(len(some))[:JUDGED]
    own = np.quantile([stances.ratio(profiles[some[i]], without=i)[0] for i in judged], SURE)
    if own > 2 * RATIO:  # they stand in all ways
        return about, None
    return replace(about, unlike=round(max(RATIO, 1.1 * float(own)), 3)), kept


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def axis_up(turn: int, up: str) -> str:
    """The axis of a file that TURNS would put up, where the file was read with the axis ``up`` up."""
    order, signs = TURNS[turn]
    wanted = np.eye(3)[order[2]] * signs[2]
    units = {axis: np.eye(3)[i % 3] * (1 if i < 3 else -1) for i, axis in enumerate(traits.AXES)}
    return next(axis for axis, unit in units.items() if np.array_equal(upright.turned(unit, up), wanted))
