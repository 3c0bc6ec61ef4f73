"""Makes Keras know the layers of ``pointkit.nn`` as soon as it is there, without importing it.

A saved model names its layers, and ``keras.saving.load_model`` finds those that were registered. Registering needs
Keras, and Keras starts a backend. So the first import of Keras after that of pointkit ends with an import of
``pointkit.nn``, which registers its layers.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _AfterKeras(MetaPathFinder):
    """Finds Keras as the other finders do, and has the layers registered after its import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        others = [finder for finder in sys.meta_path if not isinstance(finder, _AfterKeras)]
        specs = (finder.find_spec(name, path, target) for finder in others if hasattr(finder, "find_spec"))
        spec = next(filter(None, specs), None)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def and_register(module: ModuleType) -> None:
            run(module)
            register()

        spec.loader.exec_module = and_register  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Register the layers now, where Keras is there and runs on a backend that has them; else when it is imported."""
    if "keras" in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("pointkit.nn")
    elif not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterKeras())
