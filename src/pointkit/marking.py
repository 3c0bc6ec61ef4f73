"""What is said of each point of a shape: which ones decided its answer, or how much each could change it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pointkit.asking import Asker, Network, Query, windowed
from pointkit.cloud import Array, Float32
from pointkit.errors import PointkitError

CRITICAL, INFLUENCE = "critical", "influence"  # the fields: what a point did, how much its move would change the answer


def marked(network: Network, asker: Asker, queries: Sequence[Query]) -> Iterator[dict[str, Array] | PointkitError]:
    """For each query, field -> array (T,), or why there is none.

    ``critical`` uint8 says what a point did (``models.CriticalPoints``), where the network names points. Else
    ``influence`` float32 is the length of the answer's gradient as a share of the largest, and ``critical`` says whose
    neighbourhoods won the maximum, where there is one (``models.Influence``).
    """
    if network.names_points:
        yield from ({CRITICAL: marks} for marks in critical(network, asker, queries))
        return
    for rows in gradients(network, asker, queries):
        lengths = np.linalg.norm(rows[:, :3].astype(np.float64), axis=1)
        largest = lengths.max(initial=0)
        if not 0 < largest < np.inf:
            yield PointkitError("cannot be explained, as no small move of a point would change the answer")
            continue
        won = {CRITICAL: rows[:, 3].astype(np.uint8)} if rows.shape[1] > 3 else {}
        yield {INFLUENCE: (lengths / largest).astype(np.float32), **won}


def critical(network: Network, asker: Asker, queries: Sequence[Query]) -> Iterator[NDArray[np.uint8]]:
    """The strongest mark of each point, (T,): it may be in several windows, or in one several times."""
    return windowed(queries, asker.windows_of, lambda windows: network.marks(network.inputs(windows)), np.maximum.at)


def gradients(network: Network, asker: Asker, queries: Sequence[Query]) -> Iterator[Float32]:
    """The gradient of the sum of all windows' scores, and the mark, (T, 3 or 4), float32.

    A point that is in several windows, or in one several times, moves in all of them. One that is answered twice counts
    twice.
    """

    def put(whole: Float32, places: NDArray[np.int64], rows: Float32) -> None:
        np.add.at(whole[:, :3], places, rows[:, :3])
        np.maximum.at(whole[:, 3:], places, rows[:, 3:])

    return windowed(queries, asker.windows_of, lambda windows: network.gradients(network.inputs(windows)), put)
