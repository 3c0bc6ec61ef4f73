"""Which lists of neighbours a network wants. No NumPy, no Keras, as the host and the network both read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WEIGHTS = "_weights"  # after the name of a list, the name of its weights


@dataclass(frozen=True)
class Listed:
    """A list that a network wants: ``count`` neighbours of the first ``centres`` points, among the first ``among``.

    Points are in progressive order. None stands for all that are answered. With ``context`` neighbours are found among
    those that are only seen, too. Where ``within`` is given, neighbours that lie farther away are replaced by the
    nearest one (the ball query of PointNet++, Qi et al., NeurIPS 2017, section 3.2). ``weighted`` lists come with the
    weights of ``interpolation``.
    """

    count: int
    centres: int | None = None
    among: int | None = None
    within: float | None = None
    weighted: bool = False
    context: bool = False


Lists = Mapping[str, Listed]  # by name
