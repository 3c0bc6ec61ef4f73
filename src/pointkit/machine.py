"""What the machine gives: cores, memory, memory that runs out, and how the C library takes memory from the system.

A training step allocates and frees arrays of many megabytes. By default glibc takes each from the system in pages of
4 KiB and hands it back, and the system clears every page anew: 73,000 page faults a step of PointNet on JAX, a quarter
of the processor's time. In huge pages (2 MiB) it is 240, and the step a fifth shorter; what TensorFlow and PyTorch keep
gains little by them, but PyTorch keeps too little by itself (docs/log.md). Networks are the same, bit for bit.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pathlib
import sys
from collections.abc import Iterator

from pointkit.errors import MachineError, PointkitError

# Of <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
NEVER = -1
PAD = 2**26  # the heap grows by so much at a time

TUNABLES, HUGETLB = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
PAGES = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory in this machine; 0 where the system does not say."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return 0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def memory_limit() -> int:
    """Bytes of address space for a process that reads files: three quarters of the memory; 0 is no limit."""
    return max(2 << 30, memory() // 4 * 3) if memory() else 0


@contextlib.contextmanager
def exhausted(advice: str) -> Iterator[None]:
    """Turn the errors of exhausted memory, of which each backend has its own, into one line that ends in ``advice``.

    ``advice`` begins as it goes on after "out of memory", such as " at --batch-size 32; try a smaller one".
    """
    try:
        yield
    except (PointkitError, MachineError):  # ours; a file may be named "out of memory"
        raise
    except Exception as error:
        known = "ResourceExhausted" in type(error).__name__ or "RESOURCE_EXHAUSTED" in str(error)
        if not (isinstance(error, MemoryError) or known or "out of memory" in str(error).lower()):
            raise
        raise MachineError(f"out of memory{advice}") from None


def in_huge_pages() -> None:
    """Start this process anew, the same command with the same number, in huge pages.

    glibc reads the setting at the start of a process alone. Returns where it is set, where the system gives such pages
    to all or to none, and where the C library is not glibc. To be called first: what was done before is done twice.
    """
    tunables = os.environ.get(TUNABLES, "")
    if HUGETLB in tunables or _glibc() is None or not sys.executable or not _on_request():
        return
    os.environ[TUNABLES] = ":".join(filter(None, (tunables, f"{HUGETLB}=1")))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def keep_pages() -> bool:
    """Have this process keep the memory that it frees; whether it will.

    To be called before large arrays are made, once or more often. Where the C library is not glibc nothing is done.
    """
    libc = _glibc()
    wanted = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: PAD}
    return libc is not None and all(libc.mallopt(option, value) for option, value in wanted.items())


def lean_keras() -> None:
    """Import Keras without what it takes along and does without: Matplotlib, and JAX where it is not the backend.

    Matplotlib is for its galleries and takes a second, JAX for its Orbax callback and takes 110 MiB. Both can be
    imported afterwards as ever.
    """
    if "keras" in sys.modules:
        return
    spare = {"matplotlib"} if os.environ.get("KERAS_BACKEND", "jax") == "jax" else {"matplotlib", "jax"}
    spare -= sys.modules.keys()
    sys.modules.update(dict.fromkeys(spare))  # type: ignore[arg-type]
    try:
        importlib.import_module("keras")
    finally:
        for name in spare:
            del sys.modules[name]


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def _on_request() -> bool:
    """Whether the system has huge pages for those who ask."""
    try:
        return "[madvise]" in PAGES.read_text()
    except OSError:
        return False
