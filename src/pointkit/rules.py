"""Rules for settings, and a suggestion for a misspelt name. No NumPy, no Keras."""

from __future__ import annotations

import difflib
import math
import typing
from collections.abc import Iterable
from dataclasses import dataclass

from pointkit.errors import PointkitError

Value = str | int | float


@dataclass(frozen=True)
class Rule:
    """What a setting may be: one of ``choices``, or a number from ``low`` on and less than ``below``.

    Its type is that of ``default``. A whole number may stand for a float.
    """

    default: Value
    help: str
    choices: tuple[str, ...] = ()
    low: float = 0
    below: float = math.inf

    @property
    def kind(self) -> type[Value]:
        """str, int or float."""
        return type(self.default)

    def check(self, name: str, value: object) -> None:
        """Raise PointkitError where ``value`` breaks the rule of the setting ``name``."""
        taken = (int, float) if self.kind is float else self.kind
        if not isinstance(value, taken) or isinstance(value, bool):
            raise PointkitError(f"{name} must be of type {self.kind.__name__}, got {value!r}")
        if isinstance(value, str):
            if self.choices and value not in self.choices:
                hint = suggest(value, self.choices)
                raise PointkitError(f"{name} must be one of {', '.join(self.choices)}, got {value!r}{hint}")
        elif not self.low <= typing.cast(float, value) < self.below:
            upper = f" and below {self.below}" if self.below < math.inf else ""
            raise PointkitError(f"{name} must be at least {self.low}{upper}, got {value!r}")


def suggest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` where a known name is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
