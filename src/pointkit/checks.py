"""What a run checks of a file that it answers: whether it is as the training shapes were, and what it means if not."""

from __future__ import annotations

from collections.abc import Iterator

from pointkit.preprocess import Contract, Drawn, Warned


def of_points(drawn: Drawn, contract: Contract) -> Iterator[Warned]:
    """What is to be said of the number of points, of stray ones, and of rows that are none."""
    if 2 * len(drawn.points) < contract.num_points:
        few = f"only {len(drawn.points):,} points, the network was trained on {contract.num_points:,}"
        yield Warned("few-points", few)
    if drawn.strays:
        yield Warned("stray-points", _strays(drawn, contract))
    if drawn.left_out:
        rows = f"{drawn.left_out:,} row{'s' if drawn.left_out > 1 else ''}"
        yield Warned("no-coordinates", f"{rows} have no coordinates (nan), and so no answer")


def _strays(drawn: Drawn, contract: Contract) -> str:
    points = "1 stray point lies" if drawn.strays == 1 else f"{drawn.strays:,} stray points lie"
    if contract.stray == "left out":
        return f"{points} far from all others: left out, so the answer does not hang on them"
    return (
        f"{points} far from all others and decide the size of the whole: the answer may be wrong; remove them, or "
        "prepare the set and train anew, as this run is older than the rule that leaves them out"
    )
