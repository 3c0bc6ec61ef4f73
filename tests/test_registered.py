"""Keras knows the layers of pointkit.nn after ``import pointkit`` alone, and not before it is imported itself."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model with layers of ours."""
    import keras

    from pointkit import nn

    points = keras.Input((None, 3))
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras.Model(points, nn.PooledBlock(4)(nn.Jitter(0.1, seed=0)(points))).save(path)
    return path


def told(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("imports", ["import pointkit, keras", "import keras, pointkit"])
def test_a_saved_model_loads_after_the_two_imports(saved, imports):
    assert told(f"{imports}; print(keras.saving.load_model({str(saved)!r}).output_shape)") == "(None, 4)"


def test_keras_is_not_imported_for_it(saved):
    code = "import pointkit, sys; print('keras' in sys.modules, 'pointkit.nn' in sys.modules)"
    assert told(code) == "False False"


def test_a_backend_without_our_layers_is_left_alone():
    code = "import pointkit, keras; print(keras.backend.backend(), keras.ops.ones(2).sum())"
    assert told(code, KERAS_BACKEND="numpy") == "numpy 2.0"


def test_a_missing_keras_is_missing():
    code = "import sys, pointkit; sys.meta_path[1:] = []\ntry: import keras\nexcept ImportError as e: print(e)"
    assert told(code) == "No module named 'keras'"
