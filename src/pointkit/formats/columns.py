"""Which column of a file is what: coordinates, labels, colours, normals, intensity. All other modules ask this one.

Columns are known by the names that CloudCompare, MeshLab, PCL, Open3D, laspy, Blender and published sets give them, in
upper or lower case. The user's word (``Meaning``) goes before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Array, Mesh, PointCloud, Shape
from pointkit.errors import PointkitError
from pointkit.formats.fields import all_described, described, not_whole
from pointkit.rules import suggest

LABEL = "label"  # the field that readers give as a cloud's ``labels``
PARTS = (
    LABEL, "labels", "part", "parts", "part_id", "part_label", "label_id", "seg", "seg_label", "segment",
    "segmentation", "semantic", "semantics", "semantic_label", "semantic_class", "sem_label", "sem_class", "annotation",
    "gt", "gt_label", "ground_truth", "groundtruth",
)  # fmt: skip
# The last ones may hold the codes of surveys. Pictures prefer a file's colours to them.
LABELS = (*PARTS, "class", "classes", "class_id", "class_label", "classification", "classification_code", "category")
LEFT_OUT = "-"  # stands for a column that is not read

_HEIGHTS = ("height", "elevation", "altitude", "elev", "alt", "h", "z", "up", "hoehe", "höhe")
_AXES: tuple[tuple[str, str, str], ...] = (
    ("x", "y", "z"),
    *((f"{word}x", f"{word}y", f"{word}z") for word in ("pos_", "position_", "coord_", "coords_", "coordinate_")),
    *((f"{word}x", f"{word}y", f"{word}z") for word in ("point_", "points_", "loc_", "location_", "xyz_", "p", "p_")),
    *((f"{word}x", f"{word}y", f"{word}z") for word in ("pos", "position", "coord", "point", "utm_", "world_")),
    *((f"x{word}", f"y{word}", f"z{word}") for word in ("_coord", "coord", "_pos", "pos", "_coordinate", "_position")),
    *((f"x{word}", f"y{word}", f"z{word}") for word in ("_m", "_mm", "_utm", "_world", "_local")),
    *((f"{word}0", f"{word}1", f"{word}2") for word in ("points_", "position_", "coords_", "xyz_")),
    *((east, north, up) for east, north in (("easting", "northing"), ("east", "north"), ("e", "n")) for up in _HEIGHTS),
    *(("x", "y", up) for up in _HEIGHTS),
    *(("rechtswert", "hochwert", up) for up in _HEIGHTS),
)
_SINGLE: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "color": (
        ("red", "green", "blue"),
        ("r", "g", "b"),
        ("diffuse_red", "diffuse_green", "diffuse_blue"),
        ("rf", "gf", "bf"),
        *((f"{word}r", f"{word}g", f"{word}b") for word in ("color_", "colour_", "rgb_", "col_")),
        *((f"{word}red", f"{word}green", f"{word}blue") for word in ("color_", "vertex_", "ambient_")),
        *((f"{word}0", f"{word}1", f"{word}2") for word in ("rgb_", "color_", "colors_")),
    ),
    "normals": (
        ("nx", "ny", "nz"),
        *((f"{word}x", f"{word}y", f"{word}z") for word in ("normal_", "normals_", "normal", "n_", "norm_")),
        *((f"{word}0", f"{word}1", f"{word}2") for word in ("normal_", "normals_")),
    ),
    "intensity": tuple(
        (word,) for word in ("intensity", "intensities", "reflectance", "reflectivity", "remission", "amplitude")
    ),
}
_TOGETHER: Mapping[str, tuple[str, ...]] = {  # fields of several numbers, or colours packed into one
    "color": ("rgb", "rgba", "color", "colors", "colour", "col"),
    "normals": ("normal", "normals"),
}
_PROSE = re.compile(  # words that name no column
    "a|an|and|as|at|by|columns|created|data|exported|fields|file|for|format|from|generated|header|in|is|made|of|on|"
    "order|points|rows|saved|scan|scanned|the|this|to|version|with|written"
)
_LIKE_A_NAME = re.compile(r"[^\W\d]\w*(?:[.:-]\w+)*(?:[\[(][^\])]*[\])])?")
PLACES = (  # arrays and fields of several numbers that are the coordinates
    "points", "xyz", "pos", "position", "positions", "coord", "coords", "coordinates", "vertices", "verts", "pc", "pcd",
    "point_cloud", "pointcloud", "cloud", "data", "arr_0",
)  # fmt: skip
_UNITS = re.compile(r"[\[(][^\])]*[\])]")
_NEXT = ("column3", "column4", "column5")  # behind x, y and z, where no names are
_NAMELESS = re.compile(r"column\d+")
_FEW = 64  # different labels, of a field that looks like them though its name does not say so
_SAYS = "--label-field NAME says which"


@dataclass(frozen=True)
class Meaning:
    """The user's word about the columns of files.

    ``label_field`` holds the labels. ``columns`` name the columns of texts and arrays in their order, "-" leaves one
    out. ``unlabelled`` are codes that mean no label.
    """

    label_field: str = ""
    columns: tuple[str, ...] = ()
    unlabelled: tuple[int, ...] = ()

    @classmethod
    def said(cls, label_field: str = "", columns: str = "", unlabelled: str = "") -> Meaning:
        """The meaning in words like "label", "x,y,z,-,label" and "0,255". Raises PointkitError for others."""
        names = tuple(name.strip() for name in columns.split(",")) if columns else ()
        kept = [name for name in names if name != LEFT_OUT]
        if names and (not all(names) or len(set(map(plain, kept))) < len(kept) or axes(names) is None):
            rule = "must name x, y, z and others, all different, like x,y,z,-,label"
            raise PointkitError(f"--columns {rule}, got {columns!r}")
        try:
            codes = tuple(int(code) for code in unlabelled.split(",")) if unlabelled else ()
        except ValueError:
            raise PointkitError(f"--unlabelled must be whole numbers like 0,255, got {unlabelled!r}") from None
        return cls(label_field, names, codes)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Meaning:
        """The meaning that a store or run keeps (``facts``)."""
        return cls(
            str(facts.get("label_field", "")), tuple(facts.get("columns", ())), tuple(facts.get("unlabelled", ()))
        )

    def facts(self) -> dict[str, Any]:
        """What a store or run keeps: what was said, nothing else."""
        given = {"label_field": self.label_field, "columns": list(self.columns), "unlabelled": list(self.unlabelled)}
        return {name: value for name, value in given.items() if value}

    def names(self, width: int) -> list[str] | None:
        """The names of ``width`` columns; None where the user named none. A file without the labels has fewer.

        Raises ValueError where their number is another.
        """
        unlabelled = [name for name in self.columns if not self.is_label(name)]
        for names in (list(self.columns), unlabelled):
            if len(names) == width:
                return names
        if self.columns:
            raise ValueError(f"--columns names {len(self.columns)} columns ({','.join(self.columns)}), got {width}")
        return None

    def is_label(self, name: str) -> bool:
        """Whether a column of that name holds labels."""
        return plain(name) == plain(self.label_field) if self.label_field else plain(name) in LABELS


NOTHING_SAID = Meaning()
_USUAL = {
    *(word for words in (*_AXES, *(names for kind in _SINGLE.values() for names in kind)) for word in words),
    *(word for words in _TOGETHER.values() for word in words),
    *LABELS,
}


def is_title(words: Sequence[str], unknown: bool = False) -> bool:
    """Whether the words of a comment, as many as there are columns, name the columns.

    They do where x, y and z are among them, or a usual name and no prose. With ``unknown`` names, other words than
    prose do too: it is better to ask which column is what than to take the first three for coordinates.
    """
    if axes(words) is not None:
        return True
    if is_prose(words) or len(set(words)) < len(words):
        return False
    return unknown or any(map(is_usual, words))


def is_prose(words: Sequence[str]) -> bool:
    """Whether some of the words name no column: words like "by", dates, words with a colon behind."""
    return any(_PROSE.fullmatch(plain(word)) or not _LIKE_A_NAME.fullmatch(word) for word in words)


def plain(name: str) -> str:
    """A name as it is compared: in lower case, without a unit, and without CloudCompare's ``scalar_``."""
    name = re.sub(r"[-.: ]+", "_", _UNITS.sub("", name.lower()).strip(" \"'/#"))
    return re.sub(r"^(?:scalar_)+", "", name).strip("_") or name


def axes(names: Sequence[str]) -> list[int] | None:
    """The indices of x, y and z among the names of columns; None where no usual names are all there."""
    known = [plain(name) for name in names]
    three = next((three for three in _AXES if set(three) <= set(known)), None)
    return [known.index(axis) for axis in three] if three else None


def coordinates(
    names: Sequence[str], advice: str = "name them x, y and z", values: Sequence[Array] | None = None
) -> list[int]:
    """The indices of x, y and z among the names of columns. Raises ValueError where no usual names are all there.

    Where the columns' ``values`` are given the error shows a few, and which columns the coordinates may be.
    """
    found = axes(names)
    if found is None and values is not None and len(names) > 2:
        there = ", ".join(f"{name} ({_first(array)} ...)" for name, array in list(zip(names, values, strict=True))[:16])
        more = f" and {len(names) - 16} more" if len(names) > 16 else ""
        raise ValueError(f"which columns are x, y and z? found {there}{more}; {_proposal(names, values)}")
    if found is None:
        raise ValueError(f"which columns are x, y and z? found {' '.join(names)[:400]}; {advice}")
    return found


def _first(array: Array) -> str:
    return " ".join(f"{value:.8g}" if array.dtype.kind == "f" else str(value) for value in array[:3].tolist())


def _proposal(names: Sequence[str], values: Sequence[Array]) -> str:
    """What to say of columns without x, y and z: a line for ``--columns`` that may be right.

    Coordinates are mostly three columns side by side that hold more than whole numbers, and have no name that says
    otherwise.
    """
    free = [index for index, name in enumerate(names) if not is_usual(name) and values[index].dtype.kind != "U"]
    broken = [index for index in free if values[index].dtype.kind == "f" and not _whole(values[index])]
    side_by_side = [three for three in zip(broken, broken[1:], broken[2:], strict=False) if three[2] - three[0] == 2]
    for three in (*side_by_side[:1], tuple(broken[:3]), tuple(free[:3]), (0, 1, 2)):
        if len(three) == 3:
            break
    words = [name if re.fullmatch(r"\w+", name) and name not in ("x", "y", "z") else LEFT_OUT for name in names]
    for index, axis in zip(three, "xyz", strict=True):
        words[index] = axis
    return f"--columns names all {len(names)} in their order, such as {','.join(words)}"


def _whole(array: Array) -> bool:
    return bool((np.isnan(array) | (array == np.round(array))).all())


def place_in(fields: Mapping[str, Array]) -> str | None:
    """The field of three numbers each that holds the coordinates; None where there is none."""
    found = {plain(name): name for name, array in fields.items() if array.ndim == 2 and array.shape[1] == 3}
    return next((found[name] for name in PLACES if name in found), None)


def is_usual(name: str) -> bool:
    """Whether a column or array of that name holds coordinates, labels or features."""
    return plain(name) in _USUAL


def asked_for(width: int) -> str:
    """How the user names the columns of a text or an array, in words."""
    return f"--columns names all {width} in their order, like {','.join([*'xyz', *LEFT_OUT * (width - 3)])}"


def feature(fields: Mapping[str, Array], kind: str) -> list[str] | None:
    """The names of the fields that hold a kind of features (``features.KINDS``); None where no usual names are there.

    These are fields of one number a row for each column, or one field of several numbers, or of packed colours.
    """
    singles = {
        plain(name): name for name, array in fields.items() if array.size == len(array) and array.dtype.kind in "biuf"
    }
    for names in _SINGLE[kind]:
        if all(name in singles for name in names):
            return [singles[name] for name in names]
    if kind == "normals" and _unit_vectors(fields):
        return list(_NEXT)
    for name, array in fields.items():
        if plain(name) in _TOGETHER.get(kind, ()) and (_packed(array) or (array.ndim == 2 and array.shape[1] >= 3)):
            return [name]
    return None


def _unit_vectors(fields: Mapping[str, Array]) -> bool:
    """Whether the three columns behind the coordinates of a table without names can only be normals.

    The table has six or seven columns. All three together have the length 1, and some are negative, which colours are
    not.
    """
    if not set(_NEXT) <= fields.keys() or len(fields) > 4 or any(name[:6] != "column" for name in fields):
        return False
    vectors = np.stack([np.asarray(fields[name], np.float64) for name in _NEXT])
    return bool((np.abs(np.sqrt((vectors**2).sum(0)) - 1) <= 0.01).all() and vectors.min() < 0)


def _packed(array: Array) -> bool:
    """Whether a field holds colours packed into 32 bits, as PCL writes them."""
    return array.size == len(array) and array.dtype.itemsize == 4


# ---- labels


def name_in(fields: Mapping[str, Array], names: Sequence[str] = LABELS) -> str | None:
    """The field of one number a row with the first of the plain ``names``; None where there is none."""
    found = {plain(name): name for name, array in fields.items() if array.ndim == 1 and array.dtype.kind in "biuf"}
    return next((found[name] for name in names if name in found), None)


def own_labels(fields: Mapping[str, Array]) -> NDArray[np.int32] | None:
    """The labels (N,) in a field ``label`` of whole numbers that fit 32 bits; None where there is none."""
    field = fields.get(LABEL)
    if field is None or field.ndim != 1 or field.dtype.kind not in "iu":
        return None
    return None if not_whole(field).any() else field.astype(np.int32)


def in_text(name: str, column: Array) -> Array:
    """A column of a text, whose numbers are floats: as whole numbers if its name is a label's and all are whole."""
    whole = plain(name) in LABELS and column.dtype.kind == "f" and not not_whole(column).any()
    return column.astype(np.int32) if whole else np.ascontiguousarray(column)


class Labels(NamedTuple):
    """Labels (N,), and the plain names of the fields that hold them; none for a cloud's ``labels`` from elsewhere."""

    codes: NDArray[np.int32]
    fields: tuple[str, ...]


def labels_of(shape: Shape, meaning: Meaning = NOTHING_SAID) -> NDArray[np.int32] | None:
    """The label of each point of a cloud (N,), or of each face of a mesh (F,), -1 for none; None where it has none.

    They are in the field that ``meaning`` names, else in the only field with a usual name. Labels of a mesh's vertices
    become those of its faces (``of_corners``). A cloud's ``labels`` from elsewhere count before its fields.

    Raises ValueError, which lists the fields that are there, where the named field is missing or holds no labels, and
    where several fields with usual names differ.
    """
    labels = labels_and_fields(shape, meaning)
    return None if labels is None else labels.codes


def labels_and_fields(shape: Shape, meaning: Meaning = NOTHING_SAID) -> Labels | None:
    """``labels_of`` with the fields that they are taken from. A field without a title is called by its place."""
    labels = _found(shape, meaning)
    if labels is None or not meaning.unlabelled:
        return labels
    return labels._replace(codes=np.where(np.isin(labels.codes, meaning.unlabelled), np.int32(-1), labels.codes))


def _found(shape: Shape, meaning: Meaning) -> Labels | None:
    if isinstance(shape, PointCloud) and shape.labels is not None and LABEL not in shape.fields:
        return Labels(shape.labels, ())
    found: dict[str, NDArray[np.int32]] = {}
    candidates = list(_candidates(shape, meaning))
    numbers = [candidate for candidate in candidates if candidate[1].dtype.kind != "U"]
    for name, field, corners in numbers or candidates:
        labels = whole_labels(name, field)
        found.setdefault(name, labels if corners is None else of_corners(corners, labels))
    if meaning.label_field and not found:
        hint = suggest(plain(meaning.label_field), [plain(name) for level, _ in _levels(shape) for name in level])
        raise ValueError(f"no field {meaning.label_field} of one number each{hint}; found {all_described(shape)}")
    different = [name for name, labels in found.items() if not np.array_equal(labels, next(iter(found.values())))]
    if different:
        fields = {name: found[name] for name in (next(iter(found)), *different)}
        raise ValueError(f"several fields may be the labels: {described(fields)}; {_SAYS}")
    if not found:
        return None
    return Labels(next(iter(found.values())), tuple(dict.fromkeys(_placed(name, shape) for name in found)))


def nameless(cloud: PointCloud) -> bool:
    """Whether no column behind the coordinates has a name of its own, as in a table without titles."""
    return all(map(_NAMELESS.fullmatch, cloud.fields))


def _placed(name: str, shape: Shape) -> str:
    """A field's plain name. Where no column has a title, a name like column3 stands for a place among so many."""
    if isinstance(shape, PointCloud) and nameless(shape):
        return f"{name} of {len(shape.fields) + 3}"
    return plain(name)


def label_field(shape: Shape, meaning: Meaning = NOTHING_SAID) -> str | None:
    """The first field that may be the labels by its name; None where there is none."""
    return next((name for name, *_ in _candidates(shape, meaning)), None)


def _levels(shape: Shape) -> list[tuple[Mapping[str, Array], NDArray[np.int32] | None]]:
    """The fields of points or faces, and for those of vertices the faces' corners."""
    if isinstance(shape, PointCloud):
        return [(shape.fields, None)]
    return [(shape.face_fields, None), (shape.vertex_fields, shape.faces)]


def _candidates(shape: Shape, meaning: Meaning) -> Iterator[tuple[str, Array, NDArray[np.int32] | None]]:
    """The fields that may be the labels, and for those of vertices the faces' corners."""
    for fields, corners in _levels(shape):
        exact = meaning.label_field in fields  # else a name that differs by case or "scalar_"
        for name, array in fields.items():
            meant = name == meaning.label_field if exact else meaning.is_label(name)
            if meant and array.ndim == 1 and array.dtype.kind in "biufU":
                yield name, array, corners


def whole_labels(name: str, field: Array) -> NDArray[np.int32]:
    """A field as labels (N,) int32; nan becomes -1. Raises ValueError where others are no whole numbers of 32 bits."""
    if field.dtype.kind == "U":
        some = ", ".join(np.unique(field)[:3].tolist())
        raise ValueError(f"labels must be whole numbers, the field {name} has words ({some}): write a number for each")
    if field.dtype.kind == "f":
        field = np.where(np.isnan(field), -1, field)
    wrong = not_whole(field)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"labels must be whole numbers of 32 bits, the field {name} has {field[row]} in row {row}")
    return field.astype(np.int32)


def of_corners(faces: NDArray[np.int32], labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels (F,) of faces (F, 3) from those of the vertices (V,): that of two corners at least, else of the first."""
    first, second, third = labels[faces].T
    labels = np.where(second == third, second, first)
    return labels.astype(np.int32)


def missing(shape: Shape) -> str:
    """What to say where a shape has no labels: the fields that are there, and the one that looks like labels."""
    what = "face" if isinstance(shape, Mesh) else "point"
    fields = dict(shape.face_fields) | dict(shape.vertex_fields) if isinstance(shape, Mesh) else dict(shape.fields)
    found = f"has no label for each {what}; found {all_described(shape)}"
    if name := likely(fields):
        return f"{found}; {name} looks like labels: --label-field {name} takes it"
    return f"{found}; {_SAYS}" if fields else found


def likely(fields: Mapping[str, Array]) -> str | None:
    """The last field of a few different whole numbers that is no colour."""
    taken = {name for kind in _SINGLE for name in feature(fields, kind) or ()}
    for name in reversed(list(fields)):
        array = fields[name]
        whole = array.ndim == 1 and array.dtype.kind in "biuf" and not not_whole(array).any()
        if name not in taken and whole and 2 <= len(np.unique(array)) <= _FEW:
            return name
    return None
