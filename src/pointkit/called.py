"""Modules that can be called: ``pointkit.train`` is the module, and ``pointkit.train(...)`` trains.

A command of the package and the module behind it have one name. So there is one object, the module, and it can be
called. It is the same object after every order of imports (docs/decisions/0017-modules-that-are-called.md).
"""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any

COMMANDS: Mapping[str, str] = {  # name of a module of the package -> the module with the function that a call runs
    "evaluate": "api",
    "learn": "api",
    "predict": "api",
    "prepare": "api",
    "train": "api",
    "view": "api",
}


class Command(types.ModuleType):
    """A module that can be called."""

    def __call__(self, *given: Any, **said: Any) -> Any:
        return _function(self)(*given, **said)

    @property
    def __signature__(self) -> inspect.Signature:  # what help and notebooks show
        return inspect.signature(_function(self))

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return f"{_function(self).__doc__}\n\nThe module: {self.__dict__['__doc__']}"


class Package(types.ModuleType):
    """The package: a module in ``COMMANDS`` can be called from the moment on at which Python puts it in."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in COMMANDS and isinstance(value, types.ModuleType):
            value.__class__ = Command
        super().__setattr__(name, value)


def _function(module: types.ModuleType) -> Callable[..., Any]:
    package, _, name = module.__name__.rpartition(".")
    function: Callable[..., Any] = vars(importlib.import_module(f"{package}.{COMMANDS[name]}"))[name]
    return function
