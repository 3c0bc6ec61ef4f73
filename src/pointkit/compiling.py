"""How long a compiler will be at work: a network's first call takes seconds in which nothing else can be seen.

The times that were measured on this machine are kept in a file of the user's cache, by what decides them: the backend,
the network, and the sizes of its inputs. A network that was compiled before gets its last time. Another gets a guess
from the number of its weight arrays, each of which is some operations to compile. Both are said as "about".
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pointkit import disk
from pointkit.models import families
from pointkit.watching import Compiling

DECIDES = ("model", "features", "num_points", "batch_size")  # settings; the network's own ones come with them
MOST = 200  # times that are kept
# Seconds for each weight array, measured for PointNet on JAX and two cores (docs/log.md).
GUESS = {"training": 0.1, "validation": 0.03, "answers": 0.03, "marks": 0.03}


def cache() -> pathlib.Path:
    """The folder for what is remembered of this machine: POINTKIT_CACHE, or pointkit in XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("POINTKIT_CACHE"):
        return pathlib.Path(own)
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "pointkit"


def _file() -> pathlib.Path:
    return cache() / "compiling.json"


def _times() -> dict[str, float]:
    """Key -> seconds, the oldest first. What cannot be read is nothing."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
        return {str(key): float(seconds) for key, seconds in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def about(key: str, what: str, arrays: int) -> float:
    """Seconds that compiling will take: the last time measured for ``key``, or a guess from the number of arrays."""
    return _times().get(key, GUESS.get(what, 0.1) * arrays)


def remember(key: str, seconds: float) -> None:
    """Keep a time that was measured. A cache that cannot be written is no error."""
    times = _times()
    times.pop(key, None)
    kept = dict([*times.items(), (key, round(max(seconds, 0.0), 1))][-MOST:])
    with contextlib.suppress(OSError):
        cache().mkdir(parents=True, exist_ok=True)
        with disk.replacing(_file(), durable=False) as file:
            file.write(json.dumps(kept, indent=1).encode())


class FirstCall:
    """``with first: network(...)`` around each call of a network: tells of the first one, and measures it.

    The time for compiling is that of the first call, less that of the second.
    """

    def __init__(self, what: str, settings: Mapping[str, Any], arrays: int, tell: Compiling) -> None:
        own = families.find(settings["model"]).settings
        decides = [settings.get(name) for name in (*DECIDES, *own)]
        self.what, self.arrays, self.tell = what, arrays, tell
        self.key = disk.digest(json.dumps([what, os.environ.get("KERAS_BACKEND"), arrays, decides]).encode())[:16]
        self.calls = 0
        self.first = 0.0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """The context of one call."""
        if self.calls > 1:
            yield
            return
        if not self.calls:
            self.tell.compiling(self.what, about(self.key, self.what, self.arrays))
        started = time.monotonic()
        yield
        seconds = time.monotonic() - started
        if self.calls:
            remember(self.key, self.first - seconds)
        else:
            self.first = seconds
            self.tell.compiled()
        self.calls += 1


class Calls(NamedTuple):
    """The calls of a training: its steps and its validations."""

    training: FirstCall
    validation: FirstCall


def calls(settings: Mapping[str, Any], arrays: int, tell: Compiling) -> Calls:
    """The calls of a training of these settings, of a network of so many weight arrays."""
    return Calls(*(FirstCall(what, settings, arrays, tell) for what in Calls._fields))
