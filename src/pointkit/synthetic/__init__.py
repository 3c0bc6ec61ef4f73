"""The built-in set: meshes of everyday things, made by our own code from a seed, every face with a named part.

It shows that everything works, on a computer without internet. Classes differ as everyday things do. Shapes of a class
differ in style, numbers of parts and proportions. The test split has styles that training and validation do not have.
It says nothing about how well a model does on scans or on models that people drew.

The front is at -x, left at -y, z is up. Each shape is turned about z by up to 10 degrees and scaled by 0.5 to 2, as if
files had different units.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointkit import formats
from pointkit.cloud import Mesh
from pointkit.disk import making
from pointkit.errors import PointkitError
from pointkit.rules import suggest
from pointkit.synthetic import furniture, household, vehicles
from pointkit.synthetic.solids import Solid, face_areas, join, turn

CITATION = "Everyday shapes made by pointkit (pointkit.synthetic), Apache-2.0."
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
FRONT = 180.0  # degrees about z: the recipes build towards +x, the pictures look from -x
MAX_TURN = 10.0  # degrees about z, either way
SCALES = (0.5, 2.0)
GRID = 2.0**-18  # coordinates are rounded to it, so that a last bit of sin or cos seldom changes a file

Builder = Callable[[str, np.random.Generator], Iterator[tuple[str, Solid]]]


@dataclass(frozen=True)
class ObjectClass:
    """A class: its part names (a part's index here is its number), its styles, and the function that builds a shape.

    ``styles`` are those of training and validation. ``test_styles`` occur only in the test split.
    """

    part_names: tuple[str, ...]
    styles: tuple[str, ...]
    test_styles: tuple[str, ...]
    build: Builder


CLASSES: dict[str, ObjectClass] = {
    "airplane": ObjectClass(
        ("body", "wing", "tail", "engine"),
        ("airliner", "fighter", "propeller", "glider", "biplane"),
        ("business jet", "twin propeller"),
        vehicles.airplane,
    ),
    "bicycle": ObjectClass(
        ("wheel", "frame", "handlebar", "saddle", "pedal"),
        ("road", "city", "mountain", "bmx", "folding"),
        ("cruiser", "step-through"),
        vehicles.bicycle,
    ),
    "bookshelf": ObjectClass(
        ("side", "shelf", "back", "book", "door"),
        ("closed", "open", "cubes", "cupboard", "tower", "stepped"),
        ("low", "posts"),
        furniture.bookshelf,
    ),
    "bottle": ObjectClass(
        ("body", "neck", "cap"),
        ("wine", "beer", "water", "milk", "spirits"),
        ("burgundy", "soda"),
        household.bottle,
    ),
    "car": ObjectClass(
        ("body", "cabin", "wheel", "bumper"),
        ("sedan", "hatchback", "suv", "pickup", "sports", "van"),
        ("estate", "limousine"),
        vehicles.car,
    ),
    "chair": ObjectClass(
        ("back", "seat", "leg", "arm"),
        ("four-legged", "armchair", "swivel", "rocking", "bar", "pedestal"),
        ("cantilever", "windsor"),
        furniture.chair,
    ),
    "guitar": ObjectClass(
        ("body", "neck", "head", "bridge"),
        ("dreadnought", "classical", "double cutaway", "single cutaway", "flying v", "archtop"),
        ("ukulele", "bass"),
        household.guitar,
    ),
    "lamp": ObjectClass(
        ("base", "pole", "shade", "bulb"),
        ("vase", "floor", "desk", "tripod", "globe", "arc"),
        ("table", "gooseneck"),
        furniture.lamp,
    ),
    "mug": ObjectClass(
        ("cup", "handle", "saucer"),
        ("straight", "tapered", "barrel", "bell", "stein", "espresso"),
        ("enamel", "latte"),
        household.mug,
    ),
    "sailboat": ObjectClass(
        ("hull", "keel", "mast", "sail"),
        ("sloop", "catboat", "dinghy", "ketch", "catamaran"),
        ("gaff", "schooner"),
        vehicles.sailboat,
    ),
    "spectacles": ObjectClass(
        ("rim", "lens", "bridge", "temple"),
        ("round", "rectangle", "oval", "cat-eye", "aviator", "half-rim"),
        ("hexagon", "wayfarer"),
        household.spectacles,
    ),
    "table": ObjectClass(
        ("top", "leg", "shelf", "drawer"),
        ("dining", "coffee", "pedestal", "desk", "trestle"),
        ("crossed", "three-legged"),
        furniture.table,
    ),
}


class Planned(NamedTuple):
    """A shape before it is made. ``number`` counts from 1 within the class. ``seed`` is an argument of ``make``."""

    class_name: str
    split: str
    number: int
    style: str
    seed: tuple[int, int, int]

    @property
    def path(self) -> str:
        """Its file, relative to the set's folder."""
        return f"{self.class_name}/{self.split}/{self.class_name}_{self.number:04d}.ply"


def make(class_name: str, style: str, seed: int | tuple[int, ...] | np.random.Generator) -> Mesh:
    """One mesh of a class in a style, with the face field ``part`` (F,) uint8: indices in the class's ``part_names``.

    The same seed gives the same mesh. Raises PointkitError for a class or a style that is not one.
    """
    kind = _class(class_name)
    if style not in kind.styles + kind.test_styles:
        raise PointkitError(
            f"style of a {class_name} must be one of {', '.join(kind.styles + kind.test_styles)}, got {style!r}"
        )
    rng = np.random.default_rng(seed)
    named = list(kind.build(style, rng))
    numbers = [kind.part_names.index(name) for name, _ in named]
    part = np.repeat(np.array(numbers, np.uint8), [len(solid.faces) for _, solid in named])
    whole = turn(join(*(solid for _, solid in named)), "z", FRONT + rng.uniform(-MAX_TURN, MAX_TURN))
    scale = np.exp(rng.uniform(*np.log(SCALES)))
    vertices = np.round(whole.vertices * scale / GRID) * GRID
    keep = face_areas(vertices, whole.faces) > 0
    return Mesh(vertices.astype(np.float32), whole.faces[keep].astype(np.int32), {"part": part[keep]})


def _class(name: str) -> ObjectClass:
    if name not in CLASSES:
        raise PointkitError(f"class must be one of {', '.join(CLASSES)}, got {name!r}{suggest(name, CLASSES)}")
    return CLASSES[name]


def plan(seed: int = 0, shapes_per_class: int = 60, classes: Iterable[str] | None = None) -> list[Planned]:
    """Every shape of the set, class by class in name order, 70/10/20 to train, val and test, styles in turn.

    A shape depends only on ``seed``, its class's name, its number and its style, not on the other classes. Raises
    PointkitError for an unknown class, a negative seed, or fewer than 10 shapes a class.
    """
    if shapes_per_class < 10:
        raise PointkitError(
            f"shapes_per_class must be at least 10, so that each split gets some, got {shapes_per_class}"
        )
    if seed < 0:
        raise PointkitError(f"seed must not be negative, got {seed}")
    names = sorted(CLASSES if classes is None else set(classes))
    kinds = [_class(name) for name in names]
    train = round(SHARES["train"] * shapes_per_class)
    val = round(SHARES["val"] * shapes_per_class)
    planned = []
    for name, kind in zip(names, kinds, strict=True):
        for number in range(1, shapes_per_class + 1):
            split = "train" if number <= train else "val" if number <= train + val else "test"
            styles = kind.test_styles if split == "test" else kind.styles
            key = (seed, zlib.crc32(name.encode()), number)
            planned.append(Planned(name, split, number, styles[number % len(styles)], key))
    return planned


def write(
    folder: str | os.PathLike[str], seed: int = 0, shapes_per_class: int = 60, classes: Iterable[str] | None = None
) -> list[Planned]:
    """Make the set of ``plan`` as ``<class>/<split>/<class>_NNNN.ply``, with ``parts.json`` and ``README.txt``.

    The folder must not exist yet, or be empty. It appears whole or not at all. The same arguments give the same bytes.
    """
    path = pathlib.Path(folder)
    if path.is_dir() and any(path.iterdir()):
        raise PointkitError(f"{path}: the built-in set needs a new or an empty folder, this one holds files")
    if path.exists() and not path.is_dir():
        raise PointkitError(f"{path}: the built-in set needs a folder, this is a file")
    planned = plan(seed, shapes_per_class, classes)
    names = sorted({shape.class_name for shape in planned})
    with making(path) as staging:
        for name in names:
            for split in SHARES:
                (staging / name / split).mkdir(parents=True)
        with ThreadPoolExecutor(8) as pool:  # most of the time is spent waiting for the disk
            for _ in pool.map(functools.partial(_save, staging), planned):
                pass
        parts = {name: CLASSES[name].part_names for name in names}
        (staging / "parts.json").write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")
        (staging / "README.txt").write_text(
            f"{CITATION}\nSeed {seed}, {shapes_per_class} shapes a class. "
            "The face property 'part' is the place of a name in parts.json, from 0.\n",
            encoding="utf-8",
        )
    return planned


def _save(folder: pathlib.Path, shape: Planned) -> None:
    """Write a shape. Its header names the origin, the style and the parts, for people who open the file by itself."""
    path = folder / shape.path
    formats.write(path, make(shape.class_name, shape.style, shape.seed))
    parts = CLASSES[shape.class_name].part_names
    lines = [CITATION, f"style {shape.style}", *(f"part {number} {name}" for number, name in enumerate(parts))]
    before, mark, after = path.read_bytes().partition(b"element vertex ")
    path.write_bytes(before + "".join(f"comment {line}\n" for line in lines).encode("ascii") + mark + after)
