"""Features: what a file says of each point beside its place, such as normals, colour, intensity. No NumPy.

``SIZE`` stands among them in a training's settings. It is a number of the whole shape, which every store has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pointkit.errors import PointkitError

# Kind -> the fields of a file, and the columns of a store, that hold it. Columns of several kinds follow this order.
KINDS = {"normals": ("nx", "ny", "nz"), "color": ("red", "green", "blue"), "intensity": ("intensity",)}
SCALED = ("color", "intensity")  # kinds that come in many units
NONE = "none"
SIZE = "size"


def kinds(text: str) -> tuple[str, ...]:
    """The kinds of a point in "normals,color,size", in the order of KINDS.

    Raises PointkitError for others and for repeats.
    """
    names = [] if text == NONE else text.split(",")
    known = (*KINDS, SIZE)
    if set(names) - {*known} or len(set(names)) < len(names):
        raise PointkitError(f"features must be {NONE}, or some of {', '.join(known)} with commas between, got {text!r}")
    return tuple(kind for kind in KINDS if kind in names)


def sees_size(text: str) -> bool:
    """Whether "normals,color,size" names the size of the shape."""
    return SIZE in text.split(",")


def to_keep(text: str) -> tuple[str, ...]:
    """The kinds that a store is to keep. Raises PointkitError as ``kinds``, and for size, which no store can lack."""
    found = kinds(text)
    if sees_size(text):
        raise PointkitError(
            f"--features {text}: {SIZE} is not for prepare, as a store keeps the size of every shape as it is; give it "
            f"to train"
        )
    return found


def columns(some: Iterable[str]) -> tuple[str, ...]:
    """The columns of some kinds."""
    return tuple(column for kind in some for column in KINDS[kind])


def held(names: Collection[str]) -> tuple[str, ...]:
    """The kinds whose columns are all among ``names``."""
    return tuple(kind for kind in KINDS if set(KINDS[kind]) <= set(names))


def shared(by_shape: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The kinds that all shapes have; and for kinds that only some have, how many shapes lack them."""
    shapes = list(by_shape)
    lacking = {kind: sum(kind not in there for there in shapes) for kind in KINDS}
    common = tuple(kind for kind, number in lacking.items() if shapes and not number)
    return common, {kind: number for kind, number in lacking.items() if 0 < number < len(shapes)}
