"""Pages of memory that a training step frees are kept for the next one.

A step allocates and frees arrays of many megabytes. By default glibc takes such arrays from the system and hands them
back each time, and the system clears every page anew: 31,000 page faults a step of PointNet on PyTorch. With
pages kept, in huge ones, a step there is 5 to 13 % shorter; on JAX small networks got slower
(docs/log.md). Networks are the same, bit for bit.
"""

from __future__ import annotations

import ctypes
import sys

# Of <malloc.h> and <sys/mman.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
MADV_HUGEPAGE = 14
MOST = 2**31 - 1
PAD = 2**26  # the heap grows by so much at a time
AHEAD = 2**31  # of the heap that is asked to be in huge pages: addresses alone, nothing is taken until it is used


def keep_pages() -> bool:
    """Have this process keep the memory that it frees, in huge pages where the system has them; whether it will.

    To be called before large arrays are made, once or more often. Where the C library is not glibc nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    wanted = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: MOST, M_TOP_PAD: PAD}
    done = all(libc.mallopt(option, value) for option, value in wanted.items())
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes, libc.free.restype = [ctypes.c_void_p], None
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    ahead = libc.malloc(AHEAD)
    if ahead:
        page = 2**21
        start = -(-ahead // page) * page
        libc.madvise(start, ahead + AHEAD - start, MADV_HUGEPAGE)
        libc.free(ahead)
    return done
