"""Which of many packed records came before, in 16 bytes each."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

_PENDING = 100_000  # digests in a set of Python's, before they are sorted in


class Once:
    """Tells what is new. Two different records are taken for one with a chance of 2⁻¹²⁸ a pair."""

    def __init__(self) -> None:
        self._pending: set[bytes] = set()
        self._sorted: np.ndarray[Any, np.dtype[np.void]] = np.empty(0, _DIGEST)

    def is_new(self, packed: bytes) -> bool:
        """Whether this is the first time."""
        digest = hashlib.blake2b(packed, digest_size=16).digest()
        if digest in self._pending or self._is_sorted_in(digest):
            return False
        self._pending.add(digest)
        if len(self._pending) >= _PENDING:
            self._sort_in()
        return True

    def _is_sorted_in(self, digest: bytes) -> bool:
        if not len(self._sorted):
            return False
        one = np.frombuffer(digest, _DIGEST)
        place = int(np.searchsorted(self._sorted["high"], one["high"][0]))
        while place < len(self._sorted) and self._sorted["high"][place] == one["high"][0]:
            if self._sorted["low"][place] == one["low"][0]:
                return True
            place += 1
        return False

    def _sort_in(self) -> None:
        new = np.frombuffer(b"".join(self._pending), _DIGEST)
        both = np.concatenate([self._sorted, new])
        self._sorted = both[np.argsort(both["high"], kind="stable")]
        self._pending.clear()


_DIGEST = np.dtype([("high", "<u8"), ("low", "<u8")])
