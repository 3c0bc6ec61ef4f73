"""True size: what normalising takes from a shape, given back to the network as one number a shape.

Every shape is brought into the unit sphere before a network sees it. With ``--features size`` the head also sees by
how much: the logarithm of the radius in the file's units, less the training shapes' mean, as a multiple of their
spread. A run keeps mean and spread, so every later shape is measured by the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pointkit.cloud import Float32

# In training a size varies by up to this share, both ways. So no shape is known by the digits of its size alone, and
# sizes that differ by more than a tenth stay apart.
JITTER = 0.05
FARTHEST = 5.0  # spreads; what lies farther out is seen there, and does not drown what else the head sees


@dataclass(frozen=True)
class Size:
    """The ``mean`` and the ``spread`` of the logarithms of the training shapes' radii.

    Raises ValueError for what is not a number, and for a spread that is not positive.
    """

    mean: float
    spread: float

    def __post_init__(self) -> None:
        good = all(isinstance(value, int | float) and np.isfinite(value) for value in (self.mean, self.spread))
        if not good or self.spread <= 0:
            raise ValueError(f"size must be a mean and a positive spread, found {self.mean!r} and {self.spread!r}")

    @classmethod
    def of_radii(cls, radii: ArrayLike) -> Size:
        """By the radii (S,) of shapes. The spread is at least ``JITTER``: what is closer together is not told apart."""
        logs = np.log(np.asarray(radii, np.float64))
        return cls(float(logs.mean()), max(float(logs.std()), JITTER))

    @classmethod
    def of_run(cls, given: object) -> Size | None:
        """What ``facts`` gave; None where a run has none. Raises ValueError for what is neither."""
        if given is None or isinstance(given, Size):
            return given
        if not isinstance(given, Mapping) or given.keys() != {"mean", "spread"}:
            raise ValueError(f"size must have a mean and a spread, found {given!r}")
        return cls(given["mean"], given["spread"])

    def facts(self) -> dict[str, Any]:
        """As a run keeps it."""
        return {"mean": self.mean, "spread": self.spread}

    def seen(self, radii: ArrayLike, rng: np.random.Generator | None = None) -> Float32:
        """What a network sees of radii (B,): float32, 0 for the mean. A generator varies them by up to ``JITTER``."""
        logs = np.log(np.asarray(radii, np.float64))
        if rng is not None:
            logs = logs + rng.uniform(-JITTER, JITTER, logs.shape)
        return ((logs - self.mean) / self.spread).clip(-FARTHEST, FARTHEST).astype(np.float32)


def alike(radii: ArrayLike) -> bool:
    """Whether shapes are all of one size, within ``JITTER``: normalised sets, to whose shapes size adds nothing."""
    return float(np.ptp(np.log(np.asarray(radii, np.float64)))) <= JITTER
