"""Every example runs as a reader would run it: from another folder, without a network, leaving nothing behind."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
SAYS = {  # as patterns
    "01_read_and_sample.py": [
        r"chair\.ply: 588 vertices, 1,120 faces",
        r"points \(2048, 3\)",
        r"points\.xyz, 2,048 lines",
    ],
    "02_build_and_fit.py": [
        r"shapes: 42",
        r"loss 1\.\d\d in the first epoch, 0\.[0-4]\d in the last",
        r"accuracy [01]\.\d\d",
    ],
    "03_predict.py": [
        r"trained 6 epochs",
        *(rf"{name}_00\d\d\.ply: {name} [01]\." for name in ("airplane", "lamp", "mug")),
    ],
    "04_arrays_to_store.py": [r"train: 28 shapes", r"val: 4 shapes", r"test: 8 shapes", r"\(8000, 3\) float32"],
}
MARKS = {
    "02_build_and_fit.py": pytest.mark.compiles,
    "03_predict.py": pytest.mark.slow,  # trains for half a minute
}
NO_NETWORK = """
import sys
def refuse(event, arguments):
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(arguments[1], tuple)):
        raise RuntimeError(f"an example wants the network: {event} {arguments[1:]}")
sys.addaudithook(refuse)
"""


def run(name, tmp_path, *arguments):
    """What an example prints; its folder and the one for temporary files must be as empty afterwards as they were."""
    here, temporary, guard = (tmp_path / part for part in ("here", "temporary", "guard"))
    for folder in (here, temporary, guard):
        folder.mkdir()
    (guard / "sitecustomize.py").write_text(NO_NETWORK)
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(guard), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert list(here.iterdir()) == list(temporary.iterdir()) == []
    return done.stdout


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", [pytest.param(n, marks=MARKS.get(n, ())) for n in SAYS])
def test_an_example_says_what_it_should(name, tmp_path):
    out = run(name, tmp_path)
    for pattern in SAYS[name]:
        assert re.search(pattern, out), out


def test_an_example_takes_a_file_and_a_folder(tmp_path):
    (tmp_path / "square.off").write_text("OFF\n4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n")
    (tmp_path / "out").mkdir()
    out = run("01_read_and_sample.py", tmp_path, tmp_path / "square.off", tmp_path / "out")
    assert "square.off: 4 vertices, 2 faces" in out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["points.xyz"]


def test_the_guard_would_see_a_connection(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    script = "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert "an example wants the network" in done.stderr
