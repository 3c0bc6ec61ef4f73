"""How the folders of a set are read: as classes, as scans of one thing, as pieces of a shape, or as nothing.

What is clear is read. Where two readings would give different stores, and the folder does not decide between them, the
user is asked: one line with both readings, what each would give, and the flag for each.
"""

from __future__ import annotations

import pathlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from pointkit.datasets import names
from pointkit.datasets.pieces import Pieces
from pointkit.datasets.places import Places
from pointkit.datasets.tree import Parts
from pointkit.disk import shown
from pointkit.errors import PointkitError

SHOWN = 4  # names in a line
LEAST = 3  # letters in the name of a part; files a.ply and b.ply in every folder are no parts


@dataclass(frozen=True)
class Reading:
    """The class or category of each shape; of joined pieces, a shape is a folder.

    ``outside`` are files that are no shapes by this reading. ``otherwise`` are other readings and their flags.
    """

    classes: Mapping[Parts, str]
    pieces: Pieces = field(default_factory=Pieces)
    outside: tuple[Parts, ...] = ()
    otherwise: tuple[str, ...] = ()


@dataclass(frozen=True)
class Set:
    """What a reading has to go by: the folder, the places of its files, and the set's name.

    ``categories`` are named by the set itself (``parts.json``). ``pieces`` are folders whose files look like parts of
    one shape. ``labelled`` tells whether a file has labels of its own.
    """

    folder: pathlib.Path
    places: Places
    name: str
    categories: Collection[str] = ()
    pieces: Pieces = field(default_factory=Pieces)
    labelled: Callable[[Parts], bool] = lambda parts: False

    def loose(self) -> list[Parts]:
        """The shapes that lie in no folder of the set."""
        return [parts for parts in self.places.of if len(parts) - 1 <= len(self.places.prefix)]

    def inner(self) -> dict[Parts, Parts]:
        """Shape -> its folders, for the others."""
        loose = set(self.loose())
        return {parts: place.folders for parts, place in self.places.of.items() if parts not in loose}


def of_classes(one: Set, flag: str) -> Reading:
    """The class of each shape, for classification. Raises PointkitError where the folders name no classes."""
    if flag == "pieces":
        raise PointkitError("--folders pieces joins files to a shape with parts: it needs --task parts")
    if flag == "none":
        raise PointkitError("--folders none leaves one class only, a classifier needs two; it is for --task parts")
    inner = {parts: folders for parts, folders in one.inner().items() if folders}
    if not inner:
        example = shown("/".join(min(one.places.of)))
        what = "split folders and no class folders" if one.places.has_splits else "found files outside of any"
        raise PointkitError(
            f"{one.folder}: needs one folder a class, {what} (such as {example}); --table names the class of each "
            "file, --task parts is for points with labels"
        )
    if not flag:
        _ask_of_classes(one, inner)
    classes = {parts: folders[0] for parts, folders in inner.items()}
    if flag == "scans":
        _refuse_many_in_one(one, inner)
        classes = {parts: folders[-2] if folders[1:] else one.name for parts, folders in inner.items()}
    found = sorted(set(classes.values()))
    if len(found) < 2:
        raise PointkitError(
            f"{one.folder}: one class only ({shown(found[0])}), a classifier needs two; give one folder a class, or a "
            "table with --table; --task parts is for points with labels"
        )
    outside = tuple(parts for parts in one.places.of if parts not in inner)
    return Reading(classes, outside=outside, otherwise=("--task parts if points have labels",))


def _ask_of_classes(one: Set, inner: Mapping[Parts, Parts]) -> None:
    """Raise PointkitError where the folders may be something else than classes."""
    tops = Counter(folders[0] for folders in inner.values())
    classes = f"--folders classes gives {_classes(tops)}"
    if one.pieces and min(map(len, one.pieces.names)) >= LEAST:
        shapes = f"--task parts --folders pieces gives {_shapes_of(one.pieces)}"
        raise PointkitError(f"{one.folder}: these folders can be read in two ways: {classes}; {shapes}; say which")
    parts = f"--task parts gives one category of {len(inner):,} shapes, if their points have labels"
    if names.dates(tops):
        raise PointkitError(
            f"{one.folder}: the folders are dates ({few(tops)}) and name no classes; {parts}; {classes}; "
            "--table names the class of each file"
        )
    if names.numbered(tops) and set(tops.values()) == {1} and len(tops) > 1 and not names.synsets(tops):
        raise PointkitError(
            f"{one.folder}: each of the {len(tops):,} folders ({few(tops)}) holds one scan, which names no class; "
            f"{parts}; {classes}, too few to train on; --table names the class of each file"
        )


def of_parts(one: Set, flag: str, category: str) -> Reading:
    """The category of each shape, for labelled points. Raises PointkitError where the folder does not decide."""
    if flag == "pieces" or (not flag and one.pieces and not one.labelled(min(_files(one.pieces)))):
        return _joined(one, category)
    places = one.places.of
    if flag == "none":
        return Reading(dict.fromkeys(places, category or one.name))
    inner, loose = one.inner(), one.loose()
    if inner and not flag and len(loose) > len(inner):
        both = f"{len(inner) + len(loose):,} shapes"
        raise PointkitError(
            f"{one.folder}: {len(loose):,} files lie outside of folders, {len(inner):,} in folders; --folders none "
            f"gives one category ({shown(one.name)}) of {both}, --folders classes leaves those outside out; say which"
        )
    inner = inner or dict.fromkeys(places, ())
    folders = inner
    if flag == "scans":
        _refuse_many_in_one(one, inner)
        folders = {parts: some[-2:-1] for parts, some in inner.items()}
    if flag == "classes" and not all(inner.values()):
        missing = shown("/".join(min(parts for parts, some in inner.items() if not some)))
        raise PointkitError(f"{one.folder}: --folders classes, but {missing} lies in no folder that could be one")
    found, several = _categories(one, folders, flag)
    outside = tuple(parts for parts in places if parts not in found)
    return _named(one, found, category, several, outside=outside)


def _categories(one: Set, folders: Mapping[Parts, Parts], flag: str) -> tuple[dict[Parts, str], bool]:
    """Shape -> category, and whether folders name it; "" stands for the one category of the set."""
    inside = {parts: some[0] for parts, some in folders.items() if some}
    tops = Counter(inside.values())
    if not tops or (not flag and _names_nothing(one, tops)):
        return dict.fromkeys(folders, ""), False
    if not flag:
        _ask_of_categories(one, tops)
    return inside, True


def _names_nothing(one: Set, tops: Counter[str]) -> bool:
    """Whether folders are scans, rooms or days, and no categories: they differ by numbers, or by what is no word."""
    if set(tops) & set(one.categories) or len(tops) < 2 or names.synsets(tops):
        return False
    single = set(tops.values()) == {1}
    return names.numbered(tops) or (single and any(any(letter.isdigit() for letter in name) for name in tops))


def _ask_of_categories(one: Set, tops: Counter[str]) -> None:
    if set(tops) <= set(one.categories) or len(tops) < 2 or names.synsets(tops):
        return
    kinds = Counter(names.stem(name) for name in tops)
    mixed = all(name[-1:].isdigit() for name in tops) and max(kinds.values()) > 1
    if mixed or (set(tops.values()) == {1} and len(tops) > 2):
        total = tops.total()
        raise PointkitError(
            f"{one.folder}: the folders ({few(tops)}) can be read in two ways: --folders none gives one category "
            f"({shown(one.name)}) of {total:,} shapes; --folders classes gives "
            f"{_classes(tops, 'categories')}; say which"
        )


def _joined(one: Set, category: str) -> Reading:
    """The reading of each folder as one shape of the parts that its files are."""
    pieces = one.pieces
    if not pieces:
        raise PointkitError(f"{one.folder}: --folders pieces, but no folder holds files of several parts")
    above = {}  # a shape's own folder names no category
    for shape, files in pieces.shapes.items():
        below = len(files[0][0]) - 1 - len(shape)
        folders = one.places.of[files[0][0]].folders
        above[shape] = folders[: max(len(folders) - below - 1, 0)]
    found, several = _categories(one, above, "")
    found = found if len(found) == len(above) else dict.fromkeys(above, "")
    used = set(_files(pieces))
    outside = tuple(parts for parts in one.places.of if parts not in used)
    return _named(one, found, category, several, pieces=pieces, outside=outside)


def _named(
    one: Set,
    found: Mapping[Parts, str],
    category: str,
    several: bool,
    *,
    pieces: Pieces | None = None,
    outside: tuple[Parts, ...] = (),
) -> Reading:
    kinds = sorted(set(found.values()))
    if category and len(kinds) > 1:
        raise PointkitError(
            f"--category names the one category of a set, {one.folder} has {len(kinds)} ({few(kinds)}); with "
            "--folders none they are one"
        )
    classes = {parts: category or name or one.name for parts, name in found.items()}
    otherwise = []
    if several and len(kinds) > 1:
        otherwise.append("--folders none where the folders are no categories")
    elif not several and not pieces and any(place.folders for place in one.places.of.values()):
        otherwise.append("--folders classes where the folders are categories")
    if pieces:
        otherwise.append("--folders none where each file is a shape")
    if not several and not category:
        otherwise.append("--category NAME for another name of the category")
    return Reading(classes, pieces or Pieces(), outside, tuple(otherwise))


def _refuse_many_in_one(one: Set, inner: Mapping[Parts, Parts]) -> None:
    inside: dict[Parts, list[Parts]] = defaultdict(list)
    for parts in sorted(inner):
        inside[parts[:-1]].append(parts)
    for place, some in sorted(inside.items()):
        if len(some) > 1:
            raise PointkitError(
                f"{one.folder}: --folders scans, but {shown('/'.join(place))} holds {len(some):,} shapes, such as "
                f"{shown(some[0][-1])} and {shown(some[1][-1])}"
            )


# ---- words


def _files(pieces: Pieces) -> list[Parts]:
    return [file for files in pieces.shapes.values() for file, _ in files]


def _shapes_of(pieces: Pieces) -> str:
    return f"{len(pieces.shapes):,} shapes of {len(pieces.names):,} parts ({few(pieces.names)})"


def _classes(tops: Counter[str], word: str = "classes") -> str:
    least, most = min(tops.values()), max(tops.values())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"{len(tops):,} {word} ({few(tops)}) of {each} shape{'s' if most > 1 else ''} each"


def few(found: Collection[str]) -> str:
    first = sorted(found)
    more = f" and {len(first) - SHOWN:,} more" if len(first) > SHOWN else ""
    return ", ".join(map(shown, first[:SHOWN])) + more
