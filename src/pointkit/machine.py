"""What the machine gives: cores, memory, memory that runs out, and how the C library takes memory from the system.

A training step allocates and frees arrays of many megabytes. By default glibc takes each from the system in pages of
4 KiB and gives it back, and the system clears every page anew. For PointNet on JAX that is 73,000 page faults a step, a
quarter of the processor's time. With huge pages (2 MiB) it is 240, and the step is a fifth shorter. TensorFlow and
PyTorch gain little by huge pages. PyTorch gains by keeping more of its memory than it does by default (docs/log.md).
Networks are the same, bit for bit.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pathlib
import sys
from collections.abc import Iterator

from pointkit.errors import MachineError, PointkitError

# Constants of <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
NEVER = -1
PAD = 2**26  # the heap grows by so much at a time

TUNABLES, HUGETLB = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
BACKENDS = ("jax", "torch", "tensorflow")  # what Keras may run on
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
    """Turn each backend's errors about exhausted memory into one line: "out of memory", followed by ``advice``.

    ``advice`` is such as " at --batch-size 32; try a smaller one".
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
    """Start this process anew in huge pages: the same command, under the same process number.

    glibc reads the setting only when a process starts. Nothing happens where it is set already, where the system gives
    such pages to all processes or to none, and where the C library is not glibc. Call this first: the new process
    repeats what was done before.
    """
    tunables = os.environ.get(TUNABLES, "")
    if HUGETLB in tunables or _glibc() is None or not sys.executable or not _on_request():
        return
    os.environ[TUNABLES] = ":".join(filter(None, (tunables, f"{HUGETLB}=1")))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def use_backend(name: str | None) -> None:
    """Choose Keras's backend, before Keras is first imported. PyTorch then keeps the memory that it frees.

    Raises PointkitError where the backend is unknown or not installed, or where Keras already runs on another.
    """
    keras = sys.modules.get("keras")
    running = keras.backend.backend() if keras is not None else None
    said = name or os.environ.get("KERAS_BACKEND")
    if said is not None and said not in BACKENDS:
        raise PointkitError(f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}, got {said!r}")
    chosen = name or running or said or "jax"
    if importlib.util.find_spec(chosen) is None:
        wanted = "jax" if chosen == "jax" else f"'pointkit[{chosen}]'"
        raise PointkitError(f"the backend {chosen} is not installed here; it comes with: pip install {wanted}")
    if running is not None and chosen != running:
        why = f"Keras already runs on {running} in this Python"
        raise PointkitError(f"{why}; {chosen} needs a new one: set KERAS_BACKEND={chosen} before Keras is imported")
    os.environ["KERAS_BACKEND"] = chosen
    if chosen == "torch":
        keep_pages()


def keep_pages() -> bool:
    """Have this process keep the memory that it frees. Returns whether it will.

    Call this before large arrays are made; further calls do no harm. It works only where the C library is glibc.
    """
    libc = _glibc()
    wanted = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: PAD}
    return libc is not None and all(libc.mallopt(option, value) for option, value in wanted.items())


def lean_keras() -> None:
    """Import Keras without two packages that it imports but does not need here.

    These are Matplotlib, for its galleries, which takes a second, and JAX, for its Orbax callback, which takes 110 MiB
    where another backend runs. Both can be imported afterwards as usual.
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
    """Whether the system gives huge pages to processes that ask for them."""
    try:
        return "[madvise]" in PAGES.read_text()
    except OSError:
        return False
