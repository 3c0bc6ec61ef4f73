"""A full disk, and readers that hang or die, as far as a test can have them."""

import contextlib
import os
import signal
import time

import pytest

from pointkit import formats


@contextlib.contextmanager
def files_of_at_most(size):
    """No file of this process and of those that it starts may grow beyond ``size`` bytes, by the system's own limit."""
    resource = pytest.importorskip("resource", reason="this system has no such limit")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def reading(path, meaning):
    """A reader for ``Reader``'s process: files that hold "hang" and "die" have it do so."""
    data = path.read_bytes()
    if data == b"hang":
        time.sleep(60)
    if data == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    return formats.read(path, meaning=meaning)
