"""A full disk, as far as a test can have one."""

import contextlib

import pytest


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
