"""Pages that are kept: arrays come and go without page faults."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from pointkit.memory import keep_pages
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's pages alone are kept")
def test_kept_pages_are_not_faulted_in_again():
    assert faults("kept") < 20
    assert faults("as they are") > 20
