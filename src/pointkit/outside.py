"""What a run checks of a shape that it answers: whether it is as the training shapes were, and what it means if not.

Each finding is one line that says what lies outside, and what that does to the answer. What the network does not see is
not looked at: a shape's size is nothing to a network that sees shapes in the unit sphere.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pointkit import features, run_folder, traits, upright
from pointkit.cloud import Float32
from pointkit.preprocess import Contract, Drawn, Warned
from pointkit.trained_on import Stances, TrainedOn, axis_up

SPARSE = 10  # times fewer points than any training shape has
UNITS = 2.0  # times larger or smaller than any training shape
CROWDED = 0.8  # of the least spacing of a training shape
SLACK = 0.05  # of the range of a feature


def of_drawn(drawn: Drawn, contract: Contract) -> Iterator[Warned]:
    """What is to be said of the points that were drawn: stray ones, other full scales, rows that are none."""
    for kind, own in other_scales(drawn, contract).items():
        full = contract.scales[kind]
        says = f"its {kind} seems to be of the full scale {own:,g}, that of the training set was {full:,g}"
        yield Warned("features", f"{says}: the network sees it {'too bright' if own > full else 'too dark'}")
    if drawn.strays:
        yield Warned("stray-points", _strays(drawn.strays, contract))
    if drawn.left_out:
        rows = f"{drawn.left_out:,} row{'s have' if drawn.left_out > 1 else ' has'} no coordinates (nan)"
        yield Warned("no-coordinates", f"{rows}, and so no answer")


def other_scales(drawn: Drawn, contract: Contract) -> dict[str, float]:
    """Kind -> the full scale that its numbers seem to have, where that is larger than the set's, or shares of 1."""
    full = contract.scales
    return {
        kind: own for kind, own in drawn.scales.items() if kind in full and (own > full[kind] or own == 1 < full[kind])
    }


def _strays(number: int, contract: Contract) -> str:
    points = "1 stray point lies" if number == 1 else f"{number:,} stray points lie"
    if contract.stray == "left out":
        return f"{points} far from all others: left out, so that the answer does not hang on them"
    return (
        f"{points} far from all others and decide the size of the whole: the answer may be wrong; remove them, or "
        "prepare the set and train anew, as this run is older than the rule that leaves them out"
    )


def _coincide(points: Float32) -> Warned | None:
    if len(points) < 2 or (points != points[0]).any():
        return None
    return Warned("degenerate", f"all {len(points):,} points coincide: the answer means nothing")


@dataclass(frozen=True, eq=False)
class Checks:
    """What a run's shapes are compared with. Older runs have nothing but a ``contract``."""

    contract: Contract
    known: TrainedOn | None = None
    stances: Stances | None = None
    columns: tuple[str, ...] = ()

    def of_points(self, points: Float32, numbers: Float32 | None = None, skipped: Sequence[str] = ()) -> list[Warned]:
        """What is to be said of points (T, 3) in random order, up being z, and of their features (T, C).

        Kinds of features that are ``skipped`` are not looked at. Stray points must be left out already.
        """
        found = [_coincide(points), self._few(len(points))]
        if self.known is not None and len(points) >= 16:
            seen = traits.of(points)
            found += [self._size(float(seen.extent), self.known), self._density(float(seen.spacing), self.known)]
            found += [self._stance(seen.profiles, self.known)] if seen.rank == 3 else []
            found += self._features(numbers, self.known, skipped)
        return [warned for warned in found if warned is not None]

    def _few(self, count: int) -> Warned | None:
        wanted = self.contract.num_points
        points = f"only {count:,} point{'' if count == 1 else 's'}"
        if 2 * count < wanted:
            few = f"{points}, the network was trained on {wanted:,}"
            return Warned("few-points", f"{few}: it sees each several times, and what is small may be missing")
        if self.known is not None and SPARSE * count < self.known.points[0]:
            few = f"{points}, every training shape has {self.known.points[0]:,.0f} or more"
            return Warned("few-points", f"{few}: what is small may be missing")
        return None

    def _size(self, extent: float, known: TrainedOn) -> Warned | None:
        low, high = known.extent
        if self.contract.size is None or low / UNITS <= extent <= UNITS * high:
            return None
        says = f"it is {extent:,.4g} large, the training shapes are {low:,.4g} to {high:,.4g}: is it in other units?"
        return Warned("size", f"{says} The network sees the size, so the answer is likely to be wrong")

    def _density(self, spacing: float, known: TrainedOn) -> Warned | None:
        if spacing >= CROWDED * known.spacing[0]:
            return None
        says = "its points crowd in some places more than those of any training shape"
        return Warned("density", f"{says}: the network sees little of the rest, and the answer may be wrong")

    def _stance(self, profile: Float32, known: TrainedOn) -> Warned | None:
        if self.stances is None or known.unlike is None:
            return None
        ratio, turn = self.stances.ratio(profile)
        if ratio <= known.unlike:
            return None
        axis = axis_up(turn, self.contract.up)
        head = upright.opposite(axis) == self.contract.up
        says = f"it seems to {'stand on its head' if head else 'lie on its side'}, as no training shape does"
        return Warned("up-axis", f"{says}: the answer is likely to be wrong; --up {axis} turns it upright")

    def _features(self, numbers: Float32 | None, known: TrainedOn, skipped: Sequence[str]) -> Iterator[Warned]:
        if numbers is None or not known.features:
            return
        middle = traits.ranges(numbers)[1]
        for kind in features.held(self.columns):
            if kind in skipped:
                continue
            for column in features.KINDS[kind]:
                low, high = known.features.get(column, (-np.inf, np.inf))
                value, slack = float(middle[self.columns.index(column)]), SLACK * (high - low) + 1e-3
                if not low - slack <= value <= high + slack:
                    says = f"its {kind} ({column}, at the middle {value:.3g}) lies outside that of all training shapes"
                    yield Warned("features", f"{says} ({low:.3g} to {high:.3g}): the answer may be wrong")
                    break


def load_stances(path: pathlib.Path, run: str) -> tuple[Stances | None, list[str]]:
    """How a run's training shapes stand, None where it keeps none; and a note about a file that is damaged."""
    try:
        arrays = run_folder.load_reference(path, run, run_folder.STANCES)
        return None if arrays is None else Stances(arrays["stances"]), []
    except run_folder.DAMAGES as error:
        why = "that a shape lies on its side is not said"
        return None, [f"{path / run_folder.STANCES}: damaged ({error}); {why}"]
