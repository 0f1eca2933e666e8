"""How the C library handles the memory that training needs. On other systems than glibc's: no-ops.

A training step allocates and frees the same gigabytes again and again; by default each of them is
mapped, filled with zeros page by page, and unmapped.
"""

import ctypes
import functools
from typing import Any

# malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8


@functools.cache
def _libc() -> Any | None:
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError):
        return None


def keep() -> None:
    """Keeps large buffers that are freed for the next step, instead of unmapping them."""
    libc = _libc()
    if libc is None:
        return
    libc.mallopt(_MMAP_MAX, 0)
    # Never: the largest positive int is 2 GiB, and beyond it what a step frees would go back to the
    # system, to be mapped anew in the next.
    libc.mallopt(_TRIM_THRESHOLD, -1)
    libc.mallopt(_TOP_PAD, 64 << 20)
    # With one arena the compiler's threads wait for each other. With many, buffers are kept that
    # no other thread may use.
    libc.mallopt(_ARENA_MAX, 4)


def give_back() -> None:
    """Returns what is free to the system: worth it after a compilation, or between stages."""
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)
