"""Fixtures for all tests. Importing pointkit first names Keras's backend, so that tests may import keras before it."""

import contextlib
import os
import shutil
import sys
import tempfile
from importlib import metadata

import hypothesis
import pytest

# Networks of the same settings are compiled once for the whole test run, its subprocesses and workers included.
_COMPILED = tempfile.mkdtemp(prefix="pointkit-tests-") if "JAX_COMPILATION_CACHE_DIR" not in os.environ else None
_CACHE = os.environ["POINTKIT_CACHE"] = tempfile.mkdtemp(prefix="pointkit-cache-")  # no test writes into the user's
if _COMPILED:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# Compiling takes most of the time, and these programs run once or twice. .ci/run has them as users do, optimised.
if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1":
    # XLA ends the process at a flag that it does not know, so this one is for the releases that were tried.
    with contextlib.suppress(metadata.PackageNotFoundError):
        if metadata.version("jaxlib").startswith("0.10."):
            os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

import pointkit  # noqa: E402, F401
from tests import families, shapes  # noqa: E402, F401

hypothesis.settings.register_profile("pointkit", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("pointkit")


# ---- pytest --quick: the tests that compile nothing


class _WithoutKeras:
    """An import of Keras skips the test that makes it, or the whole module where it stands at the top."""

    def find_spec(self, name, path=None, target=None):
        if name == "keras":
            pytest.skip("imports Keras", allow_module_level=True)


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="skip every test that imports Keras or opens a browser")


def pytest_configure(config):
    if config.getoption("quick"):
        assert "keras" not in sys.modules
        sys.meta_path.insert(0, _WithoutKeras())


def pytest_runtest_setup(item):
    for mark, why in (("compiles", "imports Keras in a process of its own"), ("browser", "opens pages in a browser")):
        if item.config.getoption("quick") and item.get_closest_marker(mark):
            pytest.skip(why)


def pytest_sessionfinish(session):
    if session.config.getoption("quick") and _COMPILED and os.listdir(_COMPILED):
        print("\na test of --quick compiled in a process of its own: find it with --durations=9, mark it 'compiles'")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# ----


def pytest_unconfigure():
    shutil.rmtree(_CACHE, ignore_errors=True)
    if _COMPILED:
        shutil.rmtree(_COMPILED, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """A store of 40 shapes in 3 classes, 96 points each: 25 in train, 6 in val, 9 in test. Not to be changed."""
    return shapes.write_tiny(tmp_path_factory.mktemp("tiny") / "store")


@pytest.fixture(scope="session")
def tiny_run(tiny_store, tmp_path_factory):
    """The folder of a finished training of 2 epochs on ``tiny_store``, with a small network. Copy it to change it."""
    from pointkit.config import Settings
    from pointkit.train import train

    path = tmp_path_factory.mktemp("tiny") / "run"
    train(tiny_store, path, Settings(model="small", num_points=64, batch_size=8, epochs=2))
    return path


@pytest.fixture(scope="session")
def tiny_parts(tmp_path_factory):
    """A store of 26 shapes of two categories with two and three parts, normals, some points without a label."""
    return shapes.write_tiny_parts(tmp_path_factory.mktemp("parts") / "store")


@pytest.fixture(scope="session")
def tiny_parts_run(tiny_parts, tmp_path_factory):
    """The folder of a finished training of 30 epochs on ``tiny_parts``, with a small network. Copy it to change it."""
    from pointkit.config import Settings
    from pointkit.train import train

    path = tmp_path_factory.mktemp("parts") / "run"
    settings = Settings(
        model="small", num_points=64, batch_size=8, epochs=30, learning_rate=0.02, dropout=0.0, select="miou"
    )
    train(tiny_parts, path, settings)
    return path
