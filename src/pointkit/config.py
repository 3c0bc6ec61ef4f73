"""The settings of a training, from TOML and flags: one flat frozen dataclass, a reason beside each default. No Keras.

A network's own settings, such as PointNet's widths, are in ``own`` and belong to its family (``models.families``).
Recipes, flags and runs hold them flat, among the others.

Precedence, last wins: the defaults here (or ``choose``, for the data), the recipe, the flags.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import math
import os
import pathlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointkit.errors import PointkitError
from pointkit.features import KINDS, NONE, SIZE, columns, kinds
from pointkit.models import families
from pointkit.rules import Rule, Value, suggest
from pointkit.task import TASKS, Task

MEANT_FOR = ("dataset", "task")  # settings that say what a recipe is for; they change no training
LENGTH = ("epochs", "patience")  # settings of how long a training goes; they may change when it goes on
MANY = 2000  # training shapes of a large set
LEAST = 3  # minutes in which PointReach has learned enough on a small set, compiling included


def _setting(default: Value, help_: str, choices: Iterable[str] = (), low: float = 0, below: float = math.inf) -> Any:
    return field(default=default, metadata={"rule": Rule(default, help_, tuple(choices), low, below)})


@dataclass(frozen=True)
class Settings:
    """What decides a training, beside the store. Lengths are in units of the unit sphere."""

    dataset: str = _setting("", "the data set that a recipe is meant for; its classes are used by 'info --recipe'")
    task: str = _setting("", "what a recipe is meant for; another store is refused", choices=("", *TASKS))
    model: str = _setting("pointnet", "which network")
    features: str = _setting(
        NONE,
        f"what it sees beside the points' places: some of {', '.join(KINDS)}, which the store must hold, and {SIZE}, "
        "the shape's own in the files' units",
    )
    num_points: int = _setting(1024, "points of each shape that the network sees; at most what the store holds", low=1)
    dropout: float = _setting(0.3, "share of the head's features dropped in training", below=1)
    momentum: float = _setting(
        0.9, "of batch norm's moving statistics; 0.9 follows within ten steps, which small sets need", below=1
    )
    epochs: int = _setting(20, "passes over the training shapes", low=1)
    patience: int = _setting(
        0, "stop after so many epochs in a row without a better one on validation; 0 never stops early"
    )
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
    warmup: float = _setting(0.0, "share of the steps over which the rate first rises to its full height", below=1)
    halve_every: int = _setting(5, "epochs after which the halving schedule halves", low=1)
    jitter: float = _setting(0.005, "uniform noise on every coordinate, within plus and minus this")
    scale: float = _setting(0.0, "stretch each axis by up to this share, both ways", below=1)
    rotate: float = _setting(0.0, "turn about the up axis by up to this many degrees, both ways")
    tilt: float = _setting(0.0, "turn about both level axes by up to this many degrees, both ways")
    shift: float = _setting(0.0, "move each shape along each axis by up to this, both ways")
    mirror: float = _setting(0.0, "chance that a shape is mirrored in x, and in y", below=1)
    drop: float = _setting(0.0, "leave out up to this share of each shape's points", below=1)
    label_smoothing: float = _setting(0.0, "share of each label's certainty that goes to all classes", below=1)
    clip: float = _setting(0.0, "largest norm that a step's gradient may have; 0 is any")
    average: float = _setting(
        0.0,
        "average the weights over the last steps, with this decay a step, and measure batch norm's statistics anew; "
        "0 takes the last step's",
        below=1,
    )
    select: str = _setting(
        "loss",
        "the epoch whose weights are kept: of the lowest validation loss, or the highest validation accuracy (classes) "
        "or mIoU (parts)",
        choices=tuple(dict.fromkeys(name for kind in TASKS.values() for name in kind.choices)),
    )
    class_weight: str = _setting(
        "none",
        "weight of a class, or part, in the loss: all shapes alike, or all classes alike",
        choices=("none", "balanced"),
    )
    seed: int = _setting(0, "of initial weights, order, augmentation and dropout", below=2**31)

    own: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            rule.check(name, getattr(self, name))
        kinds(self.features)
        object.__setattr__(self, "own", families.own_settings(self.model, self.own))
        context = int(self.own.get("context", 0))
        if 0 < context < self.num_points:
            raise PointkitError(f"context must be 0, or at least num_points, {self.num_points}, got {context}")
        if self.drop and families.find(self.model).listed:
            raise PointkitError(f"drop must be 0 for {self.model}, which finds neighbours before that, got {self.drop}")

    def flat(self) -> dict[str, Any]:
        """All settings by name, the network's own behind the others: what recipes, flags and runs hold."""
        own: dict[str, Any] = dict(self.own)
        return {name: getattr(self, name) for name in RULES} | own


RULES: dict[str, Rule] = {
    setting.name: setting.metadata["rule"] for setting in dataclasses.fields(Settings) if "rule" in setting.metadata
}


def recipes() -> dict[str, str]:
    """Names of the recipes that ship with pointkit -> their text."""
    folder = importlib.resources.files("pointkit") / "recipes"
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def read_recipe(name: str) -> dict[str, Any]:
    """The settings in a recipe: the name of one that ships with pointkit, or the path of a TOML file.

    Raises PointkitError for a name that is neither, text that is not TOML, an unknown key and a value that breaks a
    rule. The message is one line that names the file.
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
    try:
        _check_recipe(values)
    except PointkitError as error:
        raise PointkitError(f"{name}: {error}") from None
    return values


def _check_recipe(values: Mapping[str, Any]) -> None:
    """Raise PointkitError for the first key that is unknown or another network's, or whose value breaks its rule."""
    model = values.get("model", RULES["model"].default)
    RULES["model"].check("model", model)
    for key, value in values.items():
        _check_known(key, value, model, "key")
        combine({"model": model}, {key: value})


def _check_known(key: str, value: Any, model: str, what: str) -> None:
    """Raise PointkitError for a setting that is unknown, or another network's."""
    own = families.find(model).settings
    known = [*RULES, *own]
    if families.owners(key) and key not in own:
        families.own_settings(model, {key: value})  # says whose it is
    if key not in known:
        raise PointkitError(f"unknown {what} {key!r}{suggest(key, known)}; known are {', '.join(known)}")


def choose(
    task: Task, num_shapes: int, model: str = "", imbalanced: bool = False, minutes: float = 0
) -> tuple[dict[str, Any], str]:
    """Settings for a task with so many training shapes, and the reason in words.

    Without a ``model`` the network is chosen, too: PointReach, or PointNet where there are so few ``minutes`` (0: no
    limit) that the former could not take the steps it needs. A small set reaches the steps that a network needs with
    more passes. The settings were found on 3,593 shapes for classes, and on 228 for parts (docs/log.md). Other networks
    have those of PointReach. Where classes are ``imbalanced`` (``audit``), all count alike in the loss.
    """
    name, why = (model, "") if model else _network(minutes)
    values, reason = CHOICES[task.name](task, num_shapes, name)
    if imbalanced:
        values, reason = values | {"class_weight": "balanced"}, f"{reason}, weights balanced as {task.answers} are not"
    return values, f"{num_shapes} training shapes in {len(task.classes)} {task.group[1]}: {why}{reason}"


def _network(minutes: float = 0) -> tuple[str, str]:
    """The network for so many minutes, and why, to stand before the other reasons."""
    if 0 < minutes < LEAST:
        return "pointnet", f"pointnet, as pointreach needs about {LEAST} minutes or more; "
    return "pointreach", "pointreach; "


def _for_classes(task: Task, num_shapes: int, model: str) -> tuple[dict[str, Any], str]:
    if model == "pointnet" and num_shapes < MANY:
        epochs = min(200, round(2500 * 32 / max(num_shapes, 1)))
        values: dict[str, Any] = {"epochs": epochs, "schedule": "cosine", "scale": 0.25, "rotate": 10.0}
        return values, f"{epochs} epochs, cosine rate, stretched and turned"
    recipe, steps = ("modelnet10-pointnet", 2700) if model == "pointnet" else ("modelnet10-best", 5400)
    values = _adapted(recipe, model)
    if num_shapes >= MANY:
        epochs = max(20, round(steps * 32 / num_shapes))
        return values | {"epochs": epochs}, f"{recipe}, {epochs} epochs"
    epochs = min(150, round(1500 * 32 / max(num_shapes, 1)))
    values |= {"epochs": epochs, "average": 0.98, "scale": 0.25, "rotate": 10.0}
    return values, f"{recipe}, {epochs} epochs, stretched and turned"


def _for_parts(task: Task, num_shapes: int, model: str) -> tuple[dict[str, Any], str]:
    recipe, steps = ("parts-pointnet", 3000) if model == "pointnet" else ("parts-best", 2000)
    values = _adapted(recipe, model)
    if not set(columns(kinds(values["features"]))) <= set(task.features):
        del values["features"]
    if num_shapes >= 1000:
        values["batch_size"] = 32
    epochs = values["epochs"] = max(20, min(200, round(steps * values["batch_size"] / max(num_shapes, 1))))
    seen = f", with {values['features']}" if "features" in values else ""
    return values, f"{recipe}, {epochs} epochs{seen}"


def _adapted(recipe: str, model: str) -> dict[str, Any]:
    """A recipe's settings for a ``model``: without the recipe's own network's, where that is another."""
    values = {key: value for key, value in read_recipe(recipe).items() if key not in MEANT_FOR}
    if values["model"] == model:
        return values
    return {key: value for key, value in values.items() if key in RULES} | {"model": model}


CHOICES: Mapping[str, Callable[[Task, int, str], tuple[dict[str, Any], str]]] = {
    "classification": _for_classes,
    "parts": _for_parts,
}


def flags(settings: Settings, task: Task, num_shapes: int, imbalanced: bool = False) -> list[str]:
    """The words behind 'pointkit train STORE -o RUN' that give these settings for a task on a set of that size."""
    without = combine(choose(task, num_shapes, settings.model, imbalanced)[0]).flat()
    written = [] if settings.model == _network()[0] else ["--model", settings.model]
    for name, value in settings.flat().items():
        if value != without[name] and name not in MEANT_FOR:
            written += [f"--{name.replace('_', '-')}", str(value)]
    return written


def decide(
    recipe: str | None,
    given: Mapping[str, Any],
    task: Task,
    num_shapes: int,
    imbalanced: bool = False,
    minutes: float = 0,
) -> tuple[Settings, str]:
    """The settings by a recipe, or by ``choose`` without one, and by the flags ``given``; and the reason in words.

    A flag that is one network's alone names that network.
    """
    chosen, reason = ({}, "") if recipe is None else (read_recipe(recipe), f"recipe {recipe}")
    model = given.get("model") or chosen.get("model", "" if recipe is None else RULES["model"].default)
    owners = [families.owners(key) for key, value in given.items() if value is not None and key not in RULES]
    model = model or next((names[0] for names in owners if len(names) == 1), "")
    if recipe is None:
        chosen, reason = choose(task, num_shapes, model, imbalanced, minutes)
    for key, value in given.items():
        if value is not None:
            _check_known(key, value, given.get("model") or chosen.get("model", RULES["model"].default), "setting")
    return combine(chosen, given), reason


def seeded(
    settings: Settings, output: str | os.PathLike[str], seeds: str | None
) -> list[tuple[pathlib.Path, Settings]]:
    """The run folders of a training with their settings: ``output``, or a folder in it for each of ``seeds`` ("0,1,2").

    Raises PointkitError where the seeds are no whole numbers, or one stands twice.
    """
    output = pathlib.Path(output)
    if seeds is None:
        return [(output, settings)]
    try:
        numbers = [int(part) for part in seeds.split(",")]
    except ValueError:
        raise PointkitError(f"--seeds must be whole numbers like 0,1,2, got {seeds!r}") from None
    if len(set(numbers)) < len(numbers):
        raise PointkitError(f"--seeds must differ from each other, got {seeds!r}")
    return [(output / f"seed-{number}", dataclasses.replace(settings, seed=number)) for number in numbers]


def combine(*layers: Mapping[str, Any]) -> Settings:
    """Settings from several flat mappings, later ones winning; None counts as not given."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update({key: value for key, value in layer.items() if value is not None})
    common = {key: value for key, value in merged.items() if key in RULES}
    return Settings(**common, own={key: value for key, value in merged.items() if key not in RULES})
