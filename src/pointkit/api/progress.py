"""Who shows how far a function of Python's has come: a notebook, the command line's bars where asked for, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from pointkit import notebook

if TYPE_CHECKING:
    from pointkit.learn import Listener
    from pointkit.train import Watch
    from pointkit.watching import Waiting


def bars(progress: bool | None, title: str) -> AbstractContextManager[notebook.Move | None]:
    """Bars where they are wanted: in a notebook by its display, else as the command line's."""
    if not _wanted(progress):
        return nullcontext()
    if notebook.running():
        return notebook.bars(title)
    from pointkit import console

    return console.preparing()


def watch(progress: bool | None, given: Mapping[str, Any], reason: str) -> Watch:
    """The watcher of each training, with the settings that were ``given`` and the ``reason`` for the others."""
    if not _wanted(progress):
        return lambda path: nullcontext(notebook.Quiet())
    if notebook.running():
        return notebook.training
    from pointkit.console import training

    return training.bars(training.Why(given, reason))


def waiting(progress: bool | None) -> AbstractContextManager[Waiting | None]:
    """Who waits while runs are measured."""
    if not _wanted(progress):
        return nullcontext()
    if notebook.running():
        return notebook.waiting()
    from pointkit import console

    return console.Work("measuring")


def learning(progress: bool | None) -> Listener:
    """Who is told of the stages of ``learn``."""
    from pointkit.learn import Listener

    class Learning(Listener):
        def reading(self) -> AbstractContextManager[notebook.Move | None]:
            return bars(progress, "preparing")

        def training(self, reason: str) -> Watch:
            return watch(progress, {}, reason)

        def measuring(self) -> AbstractContextManager[Waiting | None]:
            return waiting(progress)

    return Learning()


def _wanted(progress: bool | None) -> bool:
    return notebook.running() if progress is None else progress
