"""Pages that are kept, and huge ones: arrays come and go without page faults."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from pointkit import machine

GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone lets itself be told")
FAULTS = """
import resource, sys
import numpy as np
from pointkit.machine import keep_pages
if sys.argv[1] == "kept":
    assert keep_pages()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    np.ones(2**23, "float32"), np.ones(2**22, "float32")  # 32 and 16 MiB
work()
before = faults()
for _ in range(5):
    work()
print(faults() - before)
"""


def faults(how):
    answer = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(answer.stdout)


@GLIBC
def test_kept_pages_are_not_faulted_in_again():
    assert faults("kept") < 20
    assert faults("as they are") > 20


HUGE = """
import os, sys
from pointkit.machine import in_huge_pages
print("begun", os.getpid(), *sys.argv[1:], flush=True)
in_huge_pages()
array = bytearray(2**25)
with open("/proc/self/smaps_rollup") as smaps:
    print(os.environ["GLIBC_TUNABLES"], next(line for line in smaps if line.startswith("AnonHugePages")).split()[1])
"""


def lines(tunables):
    """What a process prints that wants huge pages, under the tunables."""
    environment = {**os.environ, machine.TUNABLES: tunables}
    command = [sys.executable, "-c", HUGE, "an argument", "--another"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()


@GLIBC
@pytest.mark.skipif(not machine._on_request(), reason="this system has no huge pages on request")
def test_huge_pages_are_those_of_the_same_process_begun_anew():
    first, second, last = lines("glibc.malloc.top_pad=131072")
    assert first == second
    assert first.endswith(" an argument --another")
    tunables, kib = last.split()
    assert tunables == "glibc.malloc.top_pad=131072:glibc.malloc.hugetlb=1"
    assert int(kib) >= 2**14


@GLIBC
def test_who_has_chosen_pages_keeps_them():
    first, last = lines("glibc.malloc.hugetlb=0")
    assert first.startswith("begun ")
    assert last.startswith("glibc.malloc.hugetlb=0 ")


@pytest.mark.parametrize("found", ["[always] madvise never", "always madvise [never]", None])
def test_nothing_is_begun_anew_where_pages_are_not_given_on_request(found, tmp_path, monkeypatch):
    pages = tmp_path / "enabled"
    if found:
        pages.write_text(found)
    monkeypatch.setattr(machine, "PAGES", pages)
    monkeypatch.delenv(machine.TUNABLES, raising=False)
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("begun anew"))
    machine.in_huge_pages()
    assert machine.TUNABLES not in os.environ


KERAS = """
import sys
from pointkit.cli import use_backend
from pointkit.machine import lean_keras
use_backend(sys.argv[1])
lean_keras()
import keras
print(keras.backend.backend(), "jax" in sys.modules, "matplotlib" in sys.modules)
import jax, matplotlib.pyplot
print(jax.numpy.arange(3).sum(), matplotlib.pyplot.figure().number)
"""


@pytest.mark.compiles
@pytest.mark.parametrize(
    "backend", ["jax", *(pytest.param(name, marks=pytest.mark.backends) for name in ("torch", "tensorflow"))]
)
def test_commands_leave_out_what_keras_does_without(backend):
    pytest.importorskip(backend)
    answer = subprocess.run([sys.executable, "-c", KERAS, backend], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [backend, str(backend == "jax"), "False", "3", "1"]


def test_an_answer_takes_no_matplotlib(tiny_run, tiny_store, tmp_path):
    np.save(tmp_path / "cloud.npy", tiny_store.cloud(0))
    code = "import sys; from pointkit.cli import run; print(run(sys.argv[1:]), 'matplotlib' in sys.modules)"
    command = [sys.executable, "-c", code, "predict", str(tiny_run), str(tmp_path / "cloud.npy")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "0 False"
