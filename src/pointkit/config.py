"""The settings of a training: one flat frozen dataclass, a reason beside each default. From TOML and flags; no Keras.

Precedence, last wins: the defaults here (or ``choose``, for the data), the recipe, the flags.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib.resources
import math
import pathlib
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointkit.errors import PointkitError
from pointkit.features import KINDS, NONE, columns, kinds
from pointkit.task import Task

MEANT_FOR = ("dataset", "task")  # settings that say what a recipe is for; they change no training
MANY = 2000  # training shapes of a large set
BACKENDS = ("jax", "torch", "tensorflow")  # what Keras may run on


def _setting(
    default: float | str, help_: str, choices: Iterable[str] = (), low: float = 0, below: float = math.inf
) -> Any:
    """A setting: one of ``choices``, or a number from ``low`` on and less than ``below``."""
    return field(default=default, metadata={"help": help_, "choices": tuple(choices), "low": low, "below": below})


@dataclass(frozen=True)
class Settings:
    """What decides a training, beside the store. Lengths are in units of the unit sphere."""

    dataset: str = _setting("", "the data set that a recipe is meant for; its classes are used by 'info --recipe'")
    task: str = _setting(
        "", "what a recipe is meant for; another store is refused", choices=("", "classification", "parts")
    )
    model: str = _setting("pointnet", "which network", choices=("pointnet",))
    widths: str = _setting(
        "reference",
        "its layer widths: the teaching version's, half of those, or the paper's",
        choices=("reference", "half", "paper"),
    )
    transforms: str = _setting(
        "both",
        "T-Nets, which turn points and features; with none a step takes a third of the time",
        choices=("both", "none"),
    )
    features: str = _setting(
        NONE,
        f"what it sees of each point beside its place, some of {', '.join(KINDS)}; the store must hold it",
    )
    num_points: int = _setting(1024, "points of each shape that the network sees; at most what the store holds", low=1)
    dropout: float = _setting(0.3, "share of the head's features dropped in training", below=1)
    penalty: float = _setting(0.001, "weight of the T-Nets' orthogonality penalty")
    momentum: float = _setting(
        0.9, "of batch norm's moving statistics; 0.9 follows within ten steps, which small sets need", below=1
    )
    epochs: int = _setting(20, "passes over the training shapes", low=1)
    batch_size: int = _setting(32, "shapes a step", low=1)
    learning_rate: float = _setting(0.001, "Adam's rate")
    weight_decay: float = _setting(
        0.0, "decoupled decay of the kernels, a share of the rate a step; Adam becomes AdamW"
    )
    schedule: str = _setting(
        "constant",
        "the rate over time: as it is, down to zero along a cosine, or halved every few epochs",
        choices=("constant", "cosine", "halving"),
    )
    halve_every: int = _setting(5, "epochs after which the halving schedule halves", low=1)
    jitter: float = _setting(0.005, "uniform noise on every coordinate, within plus and minus this")
    scale: float = _setting(0.0, "stretch each axis by up to this share, both ways")
    rotate: float = _setting(0.0, "turn about the up axis by up to this many degrees, both ways")
    tilt: float = _setting(0.0, "turn about both level axes by up to this many degrees, both ways")
    shift: float = _setting(0.0, "move each shape along each axis by up to this, both ways")
    mirror: float = _setting(0.0, "chance that a shape is mirrored in x, and in y", below=1)
    drop: float = _setting(0.0, "leave out up to this share of each shape's points", below=1)
    label_smoothing: float = _setting(0.0, "share of each label's certainty that goes to all classes", below=1)
    average: float = _setting(
        0.0,
        "average the weights over the last steps, with this decay a step, and measure batch norm's statistics anew; "
        "0 takes the last step's",
        below=1,
    )
    select: str = _setting(
        "loss",
        "the epoch whose weights are kept: of the lowest validation loss, or of parts, the highest validation mIoU",
        choices=("loss", "miou"),
    )
    class_weight: str = _setting(
        "none",
        "weight of a class, or part, in the loss: all shapes alike, or all classes alike",
        choices=("none", "balanced"),
    )
    seed: int = _setting(0, "of initial weights, order, augmentation and dropout", below=2**31)

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            _check(setting, getattr(self, setting.name))
        kinds(self.features)


def _check(setting: dataclasses.Field[Any], value: object) -> None:
    kinds: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float)}
    if not isinstance(value, kinds[str(setting.type)]) or isinstance(value, bool):
        raise PointkitError(f"{setting.name} must be of type {setting.type}, got {value!r}")
    rules = setting.metadata
    if isinstance(value, str):
        if rules["choices"] and value not in rules["choices"]:
            hint = suggest(value, rules["choices"])
            raise PointkitError(f"{setting.name} must be one of {', '.join(rules['choices'])}, got {value!r}{hint}")
    elif not rules["low"] <= typing.cast(float, value) < rules["below"]:
        upper = f" and below {rules['below']}" if rules["below"] < math.inf else ""
        raise PointkitError(f"{setting.name} must be at least {rules['low']}{upper}, got {value!r}")


def suggest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` where a known name is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def recipes() -> dict[str, str]:
    """Names of the recipes that ship with pointkit -> their text."""
    folder = importlib.resources.files("pointkit") / "recipes"
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def read_recipe(name: str) -> dict[str, Any]:
    """The settings in a recipe: one that ships with pointkit, by name, or a TOML file, by path.

    Raises PointkitError, one line that names the file, for a name that is neither, text that is not TOML, an unknown
    key and a value that breaks a rule.
    """
    shipped = recipes()
    path = pathlib.Path(name)
    if name in shipped:
        text = shipped[name]
    elif path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PointkitError(f"{name}: cannot be read as text ({error})") from None
    else:
        raise PointkitError(
            f"recipe {name!r} is neither a file nor one of {', '.join(shipped)}{suggest(name, shipped)}"
        )
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PointkitError(f"{name}: not TOML ({error})") from None
    known = [setting.name for setting in dataclasses.fields(Settings)]
    for key, value in values.items():
        if key not in known:
            raise PointkitError(f"{name}: unknown key {key!r}{suggest(key, known)}; known are {', '.join(known)}")
        try:
            dataclasses.replace(Settings(), **{key: value})
        except PointkitError as error:
            raise PointkitError(f"{name}: {error}") from None
    return values


def choose(task: Task, num_shapes: int) -> tuple[dict[str, Any], str]:
    """Settings for a task with so many training shapes, and the reason in words.

    Some 2,500 steps suffice for PointNet on everyday shapes, 3,000 for their parts; a small set needs more passes for
    them, and variety that it lacks from stretching and turning. What tells classes apart in a large set was found on
    3,593 shapes, what tells parts apart on 228 (docs/log.md).
    """
    if not task.parts:
        what = f"{num_shapes} training shapes in {len(task.classes)} classes"
        if num_shapes >= MANY:
            best = {key: value for key, value in read_recipe("modelnet10-best").items() if key not in MEANT_FOR}
            epochs = max(20, round(2700 * 32 / num_shapes))
            return best | {"epochs": epochs}, f"{what}: modelnet10-best, {epochs} epochs"
        epochs = min(200, round(2500 * 32 / max(num_shapes, 1)))
        values: dict[str, Any] = {"epochs": epochs, "schedule": "cosine", "scale": 0.25, "rotate": 10.0}
        return values, f"{what}: {epochs} epochs, cosine rate, stretched and turned"
    values = {
        key: value
        for key, value in read_recipe("parts-best").items()
        if key != "features" or set(columns(kinds(value))) <= set(task.features)
    }
    if num_shapes >= 1000:
        values["batch_size"] = 32
    epochs = values["epochs"] = max(20, min(200, round(3000 * values["batch_size"] / max(num_shapes, 1))))
    seen = f", with {values['features']}" if "features" in values else ""
    return values, f"{num_shapes} training shapes in {len(task.classes)} categories: parts-best, {epochs} epochs{seen}"


def flags(settings: Settings, task: Task, num_shapes: int) -> list[str]:
    """What to write behind 'pointkit train STORE -o RUN' to have these settings for a task on a set of that size."""
    without = combine(choose(task, num_shapes)[0])
    written = []
    for name, value in dataclasses.asdict(settings).items():
        if value != getattr(without, name) and name not in MEANT_FOR:
            written += [f"--{name.replace('_', '-')}", str(value)]
    return written


def combine(*layers: Mapping[str, Any]) -> Settings:
    """Settings from several mappings, later ones winning; None counts as not given."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update({key: value for key, value in layer.items() if value is not None})
    return Settings(**merged)
