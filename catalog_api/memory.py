"""The worker's memory: what one answer gave back stays for the next, and what lasts is not looked through.

By default glibc returns memory to the kernel when an answer of megabytes is done, and each page of the next one is a
page fault: measured, a fifth of the time of a page of 1,000 pictures. Other C libraries decide for themselves.
"""

from __future__ import annotations

import ctypes
import gc

#: Of mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
#: Pieces below this come from the heap; more than this glibc does not allow.
_MAPPED_FROM_BYTES = 32 << 20
#: So much of the heap is kept though unused; below what large answers need together.
_KEPT_BYTES = 64 << 20
#: The heap grows by this at once.
_STEP_BYTES = 4 << 20


def keep_memory() -> bool:
    """Tell the C library, once in each process; False where it has no such setting."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    wishes = ((_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_TOP_PAD, _STEP_BYTES))
    return all(mallopt(wish, size) for wish, size in wishes)


def keep_what_is_here() -> None:
    """Leave all that there is out of garbage collection, once the worker is made.

    Rows of answers set off full collections, each of which looked through every module's objects: 25 ms in one of
    thirty pages of 1,000 pictures.
    """
    gc.collect()
    gc.freeze()
