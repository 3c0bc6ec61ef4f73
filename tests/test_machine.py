"""What a machine gives, memory that runs out, pages that are kept, and huge ones."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from pointkit import machine
from pointkit.errors import FormatError, MachineError

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
    code = "import sys, tests.families; from pointkit.cli import run; "
    code += "print(run(sys.argv[1:]), 'matplotlib' in sys.modules)"
    command = [sys.executable, "-c", code, "predict", str(tiny_run), str(tmp_path / "cloud.npy")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "0 False"


# ---- cores and memory


def test_cores_and_memory_are_told():
    assert machine.cores() == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine.cores() >= 1
    assert machine.memory() > 2**28
    assert 2**31 <= machine.memory_limit() <= max(2**31, machine.memory())


def test_a_system_that_does_not_say(monkeypatch):
    for name in ("sched_getaffinity", "sysconf", "sysconf_names"):
        monkeypatch.delattr(os, name, raising=False)
    assert machine.cores() == os.cpu_count()
    assert machine.memory() == machine.memory_limit() == 0


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's, which is no RuntimeError and speaks of "OOM"."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        ValueError("something: out of memory"),
        ResourceExhaustedError("OOM when allocating tensor with shape[9,9]"),
    ],
)
def test_exhausted_memory_is_one_line_with_advice(error):
    with pytest.raises(MachineError) as caught, machine.exhausted(" at --batch-size 32; try a smaller one"):
        raise error
    assert str(caught.value) == "out of memory at --batch-size 32; try a smaller one"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes do not fit"),
        FormatError("out of memory.ply: the file is empty"),
        MachineError("out of memory; try fewer"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, machine.exhausted("; advice"):
        raise error
    assert caught.value is error


def test_memory_that_is_really_exhausted():
    with pytest.raises(MachineError, match="out of memory; try less"), machine.exhausted("; try less"):
        bytearray(sys.maxsize)
