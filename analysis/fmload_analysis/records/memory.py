"""Memory that reading has used and no longer needs, given back to the system before more is asked for."""

from __future__ import annotations

import ctypes

import pyarrow as pa


def give_back() -> None:
    """pyarrow and glibc keep what was freed, after reading a large stage some 150 MiB: arrays of whole columns are not
    made of it."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
