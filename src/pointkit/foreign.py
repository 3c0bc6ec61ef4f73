"""Foreign shapes: those that are far from every training shape in a network's pooled features.

A network gives one of its classes to anything. But what it pools of a shape of another kind lies elsewhere than what it
pooled of the training shapes. So a run keeps their pooled features as a ``Reference``, a few axes of them. The
distance of a shape is that to the nearest training shape. It is measured against the distances of validation shapes,
which the network has not learned from either.

Nearest neighbours in a network's features: Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML
2022. docs/log.md has what else was tried.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from dataclasses import dataclass

import numpy as np

from pointkit import run_folder
from pointkit.cloud import Array, Float32, Float64

AXES = 32  # of the standardised features that are kept; what lies off them counts as a whole
PERCENTILE = 99.0  # of the validation shapes' distances,
MARGIN = 1.4  # times which is the limit: new styles of a known class are farther than any validation shape
FEWEST = 10  # validation shapes, without which there is no limit
COPIES = 0.01  # spreads; shapes that are nearer than this to training shapes are copies of them
STEADY = 0.1  # of the mean spread is added to each feature's: one that hardly varied says little


@dataclass(frozen=True, eq=False)
class Reference:
    """What training and validation shapes are like in the D pooled features. Arrays are float32.

    ``center`` (D,) and ``spread`` (D,) standardise the features, ``axes`` (D, A) project them. ``known`` (S, A) are the
    training shapes on these axes, ``validation`` (V,) the distances of the validation shapes, in order of size.
    """

    center: Float32
    spread: Float32
    axes: Float32
    known: Float32
    validation: Float32

    def __post_init__(self) -> None:
        width, axes = self.axes.shape
        wanted = {"center": (width,), "spread": (width,), "known": (len(self.known), axes)}
        wanted["validation"] = (len(self.validation),)
        for name, shape in wanted.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} must be {shape} finite numbers, found {array.shape}")
        if not len(self.known) or not (self.spread > 0).all():
            raise ValueError("known and spread must hold positive numbers of shapes")

    @classmethod
    def of(cls, training: Float32, validation: Float32) -> Reference:
        """From the pooled features of training shapes (S, D) and of validation shapes (V, D)."""
        center, spread = training.mean(0), training.std(0)
        spread = spread + STEADY * spread.mean() + 1e-12  # where all are alike, any difference is far
        standard = (training - center) / spread
        axes = np.linalg.eigh(standard.T @ standard)[1][:, ::-1][:, :AXES]  # the widest first
        parts = (center, spread, axes, standard @ axes, np.empty(0))
        alone = cls(*(np.ascontiguousarray(array, np.float32) for array in parts))
        return dataclasses.replace(alone, validation=np.sort(alone.distances(validation)).astype(np.float32))

    @classmethod
    def load(cls, path: pathlib.Path, weights: str, width: int) -> tuple[Reference | None, list[str]]:
        """What a run keeps for these weights of a network that pools ``width`` features; None where there is none.

        And a note about one that is damaged. Older runs have none.
        """
        try:
            arrays = run_folder.load_reference(path, weights)
            found = cls(**arrays) if arrays is not None else None
            if found is not None and len(found.center) != width:
                raise ValueError(f"of {len(found.center)} features, not {width}")
        except run_folder.DAMAGES as error:
            again = "foreign shapes are not marked; the command that trained the run makes it anew"
            return None, [f"{path / run_folder.REFERENCE}: damaged ({error}); {again}"]
        return found, []

    def save(self, path: pathlib.Path, weights: str) -> None:
        """Keep it in a run, for these weights. Raises MachineError where the disk is full."""
        run_folder.save_reference(path, weights, self.arrays())

    def arrays(self) -> dict[str, Array]:
        """As a run keeps it."""
        return {name: getattr(self, name) for name in ("center", "spread", "axes", "known", "validation")}

    def distances(self, pooled: Float32) -> Float64:
        """The distance (B,) of pooled features (B, D) to the nearest training shape."""
        known, squares = self._known
        standard = (np.asarray(pooled, np.float64) - self.center) / self.spread
        on_axes = standard @ self.axes
        # |on - known|^2 + |standard|^2 - |on|^2, the last two for what lies off the axes
        nearest = (squares - 2 * on_axes @ known).min(1) + (standard**2).sum(1)
        distances: Float64 = np.sqrt(nearest.clip(0))
        return distances

    @functools.cached_property
    def _known(self) -> tuple[Float64, Float64]:
        known = self.known.T.astype(np.float64)
        return known, (known**2).sum(0)

    @functools.cached_property
    def limit(self) -> float | None:
        """The distance from which on a shape is foreign; None where validation shapes do not say what is near.

        So it is where they are too few, and where they are copies of training shapes.
        """
        far = float(np.percentile(self.validation, PERCENTILE)) if len(self.validation) >= FEWEST else 0.0
        return MARGIN * far if far > COPIES else None

    def percentile(self, distance: float) -> float:
        """The percentage of validation shapes that are nearer."""
        return 100 * float(np.searchsorted(self.validation, distance)) / len(self.validation)

    def warning(self, pooled: Float32) -> str | None:
        """What to say of a shape with the pooled features (D,); None where it is not foreign."""
        if (limit := self.limit) is None or (distance := float(self.distances(pooled[None])[0])) <= limit:
            return None
        return (
            f"unlike every training shape: farther from the nearest one than {self.percentile(distance):.0f} % of the "
            f"validation shapes, {distance / limit:.1f} times the limit; the answer may mean nothing"
        )
