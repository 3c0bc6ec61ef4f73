"""The forms of a GPU, tested where there is none."""

import importlib

import pytest


@pytest.fixture(params=["processor", pytest.param("gpu", marks=pytest.mark.slow)])
def device(request, monkeypatch):
    """The operations work as on the processor, or as on a GPU: several clouds at once."""
    if request.param == "gpu":
        import keras

        module = importlib.import_module(f"pointkit.nn.forms.{keras.backend.backend()}")
        if not hasattr(module, "_on_gpu"):
            pytest.skip("this backend has one form for both")
        monkeypatch.setattr(module, "_on_gpu", lambda *_: True)
        monkeypatch.setattr(module, "ENTRIES", 256)
    return request.param
