"""The flags that commands share, and those that they hand on as mappings: settings, and what is said of a folder."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, Any, Literal, TypedDict

from cyclopts import Group, Parameter

from pointkit.config import MEANT_FOR, RULES
from pointkit.models.families import FAMILIES
from pointkit.rules import Rule

Path = pathlib.Path
Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON and nothing else.")]
Flag = Annotated[bool, Parameter(negative="")]
Strict = Annotated[
    bool, Parameter(negative="", help="Fail when a file cannot be read, instead of listing it in unread.csv.")
]
Force = Annotated[bool, Parameter(negative="", help="Replace what stands there.")]
Quiet = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Show results, warnings and errors alone: no bars, no hints.",
    ),
]
Log = Annotated[
    Literal["tensorboard", "wandb", "mlflow"] | None,
    Parameter(name="--log", help="Hand the figures of each epoch on to this program, too; each is an extra."),
]
Backend = Annotated[
    Literal["jax", "torch", "tensorflow"] | None, Parameter(name="--backend", help="What Keras runs on.")
]

Up = Annotated[
    Literal["x", "y", "z", "-x", "-y", "-z"],
    Parameter(
        allow_leading_hyphen=True,
        help="The axis of the files that points up. They are turned for the network and pictures, where it is z.",
    ),
]


def _whole(kind: Any, tokens: Any) -> int:
    """A whole number. Anything else is refused; the parser by itself would round 2.5."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"must be a whole number, got {tokens[0].value!r}") from None


Whole = Annotated[int, Parameter(converter=_whole)]


GROUPS = {  # of the settings in the help of train
    "The network": ("model", "features", "num_points", "dropout", "momentum"),
    "Length, rate, weights": (
        "epochs",
        "patience",
        "batch_size",
        "learning_rate",
        "schedule",
        "halve_every",
        "warmup",
        "weight_decay",
        "clip",
        "average",
    ),
    "Augmentation: how shapes are changed in training": (
        "jitter",
        "scale",
        "rotate",
        "tilt",
        "shift",
        "mirror",
        "drop",
    ),
    "The loss, and the epoch that is kept": ("label_smoothing", "class_weight", "select"),
}


def _grouped() -> dict[str, tuple[str, Rule]]:
    """Setting -> the title of its group in the help, and its rule; a network's own settings have a group of theirs."""
    title = {name: group for group, names in GROUPS.items() for name in names}
    common = {name: (title.get(name, "Further settings"), rule) for name, rule in RULES.items()}
    own: dict[str, tuple[str, Rule]] = {}
    for name in dict.fromkeys(name for about in FAMILIES.values() for name in about.settings):
        owners = {family: about.settings[name] for family, about in FAMILIES.items() if name in about.settings}
        first = next(iter(owners.values()))
        choices = tuple(dict.fromkeys(choice for rule in owners.values() for choice in rule.choices))
        own[name] = f"Settings of {' and '.join(owners)} alone", dataclasses.replace(first, choices=choices)
    return common | own


def _flags() -> Any:
    """Every setting as an optional flag, its default in brackets; only those given appear in the mapping."""
    titles = dict.fromkeys([*GROUPS, *(title for title, _ in _grouped().values())])
    groups = {title: Group(title, sort_key=place) for place, title in enumerate(titles, 1)}
    hints: dict[str, Any] = {}
    for name, (title, rule) in _grouped().items():
        if name not in (*MEANT_FOR, "seed"):
            choices = tuple(FAMILIES) if name == "model" else rule.choices
            kind: Any = Literal[choices] if choices else Whole if rule.kind is int else rule.kind
            hints[name] = Annotated[kind, Parameter(help=f"{rule.help} [{rule.default}]", group=groups[title])]
    return TypedDict("SettingFlags", hints, total=False)  # type: ignore[operator]


SettingFlags = _flags()


class FolderFlags(TypedDict, total=False):
    """What the user says of a folder and its files (``datasets.asked``)."""

    folders: Annotated[
        Literal["classes", "scans", "pieces", "none"],
        Parameter(
            help="How folders are read: the top ones are classes; each innermost is one scan, the one above its class; "
            "each is one shape, its files are its parts; or they mean nothing."
        ),
    ]
    category: Annotated[str, Parameter(help="For parts: the name of the only category.")]
    split: Annotated[str, Parameter(help="Make a split like 70/10/20 or 80/20 (train/test), not the folder's own.")]
    table: Annotated[Path, Parameter(help="A CSV with the column file, and any of label, class, split, group.")]
    label_field: Annotated[str, Parameter(help="For parts: the field that holds the labels.")]
    columns: Annotated[str, Parameter(help="Columns of texts and arrays, like x,y,z,-,label; - leaves one out.")]
    unlabelled: Annotated[str, Parameter(help="For parts: codes that mean no label, like 0,255.")]
    names: Annotated[str, Parameter(help="For parts: names of the codes, like 1=top,2=legs, or a file.")]
    up: Up
    full_scale: Annotated[
        str,
        Parameter(
            help="The numbers that count as 1, like intensity=2048,color=255; by default as the files' numbers are."
        ),
    ]


class ReadFlags(TypedDict, total=False):
    """How ``prepare`` reads the files that it found."""

    num_points: Annotated[
        Whole,
        Parameter(
            help="Points drawn of a mesh, and the most kept of a cloud. By default 2048, but for parts all of a cloud."
        ),
    ]
    keep: Annotated[
        str,
        Parameter(
            name="--features",
            help="Features to keep: normals, color, intensity, joined by commas, or none. By default all for parts, "
            "else none.",
        ),
    ]
    workers: Annotated[
        Whole, Parameter(help="Processes that read; by default one a core. The store is the same for any number.")
    ]
    strict: Strict
    force: Force
