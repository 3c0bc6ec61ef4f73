"""Commands and modules of one name: pointkit.train is one object after every order of imports, and can be called."""

import importlib
import inspect
import itertools
import subprocess
import sys
import types

import pytest

import pointkit
from pointkit import api
from pointkit.called import COMMANDS, Command

NAMES = [name for name, module in COMMANDS.items() if module == "api"]
WAYS = (
    "import pointkit.{0}",
    "from pointkit import {0}",
    "from pointkit.{0} import __name__ as _",
    "import pointkit.api",
    "pointkit.{0}",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_its_module_and_can_be_called(name, monkeypatch):
    module = importlib.import_module(f"pointkit.{name}")
    assert module is getattr(pointkit, name) is sys.modules[f"pointkit.{name}"]
    assert isinstance(module, types.ModuleType)
    monkeypatch.setattr(api, name, lambda *given, **said: (name, given, said))
    assert module("a", 2, seed=3) == (name, ("a", 2), {"seed": 3})


@pytest.mark.parametrize("name", NAMES)
def test_help_tells_the_arguments_and_then_the_module(name):
    command = getattr(pointkit, name)
    assert inspect.signature(command) == inspect.signature(getattr(api, name))
    assert command.__doc__.startswith(getattr(api, name).__doc__)
    assert vars(command)["__doc__"] in command.__doc__


def test_only_commands_can_be_called():
    assert not isinstance(pointkit.store, Command)
    with pytest.raises(TypeError, match="not callable"):
        pointkit.store("path")


def test_what_a_module_holds_stays_its_own():
    from pointkit.train import train
    from pointkit.view import view

    assert pointkit.train.train is train is not api.train
    assert pointkit.view.view is view
    with pytest.raises(AttributeError, match=r"pointkit\.train"):
        _ = pointkit.train.nothing


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_order_of_imports_gives_the_same_object(every):
    """All of pointkit is imported anew for each pair of ways, of one command after another or of every command.

    No order may import Keras, as its backend can still be chosen.
    """
    script = ["import pointkit, sys, types"]
    for i, (first, second) in enumerate(itertools.permutations(WAYS, 2)):
        for name in NAMES if every else [NAMES[i % len(NAMES)]]:
            script += [
                "for key in [key for key in sys.modules if key.split('.')[0] == 'pointkit']: del sys.modules[key]",
                "import pointkit",
                first.format(name),
                second.format(name),
                f"assert pointkit.{name} is sys.modules.get('pointkit.{name}'), {(first, second, name)!r}",
                f"assert callable(pointkit.{name}) and isinstance(pointkit.{name}, types.ModuleType)",
            ]
    script.append("print('keras' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", "\n".join(script)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_command_whose_module_is_not_there_is_missing(monkeypatch):
    monkeypatch.setattr(pointkit, "_MODULES", (*pointkit._MODULES, "not_there"))
    with pytest.raises(AttributeError, match="has no attribute 'not_there'"):
        _ = pointkit.not_there
