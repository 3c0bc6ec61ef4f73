"""The families of networks by name: the module that builds each, its own settings, what it can do. No Keras.

A new network is one file in ``models`` and one entry in ``FAMILIES``. The file has one function:

    backbone(kind, *, momentum, exact, seeds, num_features, **own settings) -> (Features, units of the head)

``kind`` is "classifier" or "segmenter". ``momentum`` is batch norm's. With ``exact`` False the network computes layer
by layer. ``seeds`` gives a seed to each initializer, and is empty where weights get loaded. ``num_features`` is how
many numbers a point has beside its place. ``heads.Features`` says what a head stands on; the units are the widths of
the head's hidden layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pointkit.errors import PointkitError
from pointkit.rules import Rule, Value, suggest

IDLE, TURNS, DECIDES = 0, 1, 2  # what a point did for an answer: see ``critical.CriticalPoints``


@dataclass(frozen=True)
class Family:
    """A family of networks.

    ``module`` is the file that builds it; ``settings``: name -> rule of each setting that is its own. ``maxima_alone``
    says that points meet in pooled maxima and nowhere else. Only then can its critical points be named, and can a cloud
    be computed piece by piece. ``listed`` says that lists of neighbours are found before a step changes the points.
    Only small changes are then allowed.
    """

    module: str
    settings: Mapping[str, Rule] = field(default_factory=dict)
    maxima_alone: bool = False
    listed: bool = False


FAMILIES: dict[str, Family] = {
    "pointnet": Family(
        "pointkit.models.pointnet",
        {
            "widths": Rule(
                "reference",
                "its layer widths: the teaching version's, half of those, or the paper's",
                choices=("reference", "half", "paper"),
            ),
            "transforms": Rule(
                "both",
                "T-Nets, which turn points and features; with none a step takes a third of the time",
                choices=("both", "none"),
            ),
            "penalty": Rule(0.001, "weight of the T-Nets' orthogonality penalty"),
        },
        maxima_alone=True,
    ),
    "dgcnn": Family(
        "pointkit.models.dgcnn",
        {
            "widths": Rule("paper", "its layer widths", choices=("paper", "small")),
            "neighbours": Rule(20, "points that each point's features are compared with", low=1, below=2**10),
        },
    ),
    "pointnet2": Family(
        "pointkit.models.pointnet2",
        {"widths": Rule("paper", "its layer widths", choices=("paper", "small"))},
        listed=True,
    ),
    "pointnext": Family(
        "pointkit.models.pointnext",
        {"widths": Rule("paper", "its layer widths", choices=("paper", "small"))},
        listed=True,
    ),
    "pointreach": Family(
        "pointkit.models.pointreach",
        {
            "widths": Rule("standard", "its layer widths", choices=("standard", "small")),
            "context": Rule(0, "for parts: points in whose midst those that are answered are seen; 0 are these alone"),
        },
        listed=True,
    ),
}


def find(name: str) -> Family:
    """A family by its name. Raises PointkitError that suggests one where there is none of that name."""
    if name not in FAMILIES:
        raise PointkitError(f"model must be one of {', '.join(FAMILIES)}, got {name!r}{suggest(name, FAMILIES)}")
    return FAMILIES[name]


def owners(setting: str) -> list[str]:
    """The families of which a setting is one of their own."""
    return [name for name, family in FAMILIES.items() if setting in family.settings]


def own_settings(name: str, given: Mapping[str, Value]) -> dict[str, Value]:
    """A family's own settings: those ``given``, checked by its rules, and its defaults for the others.

    Raises PointkitError for a value that breaks a rule, and for a setting that is not the family's.
    """
    rules = find(name).settings
    for key, value in given.items():
        if key not in rules:
            theirs = owners(key)
            whose = f"a setting of {' and '.join(theirs)}, not of {name}" if theirs else "no setting"
            own = f"its own are {', '.join(rules)}" if rules else "which has none of its own"
            raise PointkitError(f"{key} is {whose} ({own}){suggest(key, rules)}")
        try:
            rules[key].check(key, value)
        except PointkitError as error:
            theirs = [other for other in owners(key) if value in FAMILIES[other].settings[key].choices]
            raise PointkitError(f"{error}; {value!r} is of {' and '.join(theirs)}" if theirs else str(error)) from None
    return {key: given.get(key, rule.default) for key, rule in rules.items()}
