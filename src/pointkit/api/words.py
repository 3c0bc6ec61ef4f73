"""What may stand for text, and for a store, in the arguments of the commands as functions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from pointkit.datasets.asked import Said
from pointkit.rules import suggest
from pointkit.store import Store

Path = str | os.PathLike[str]
Words = str | Iterable[object]


def text(value: Any) -> str:
    """Words joined by commas: text as it is, a mapping as name=value, anything else that can be gone through."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={name}" for key, name in value.items())
    return ",".join(map(str, value)) if isinstance(value, Iterable) else str(value)


def checked(function: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a folder, as text. Raises TypeError for an argument that is none."""
    if unknown := said.keys() - Said.__annotations__:
        name = min(unknown)
        raise TypeError(f"{function}() got an unknown argument {name!r}{suggest(name, Said.__annotations__)}")
    return {key: value if key == "table" else text(value) for key, value in said.items()}


def listed(words: Words) -> tuple[str, ...]:
    return tuple(filter(None, text(words).split(",")))


def store_of(given: Path | Store) -> Store:
    from pointkit import store

    return given if isinstance(given, Store) else store.open(given)
