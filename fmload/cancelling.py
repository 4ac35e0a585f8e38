"""Requests that are given up on purpose: a seeded share of them, so long after they began."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from fmload.config.schema import CancelSpec


class Cancelling:
    """Kills the greenlets of a share of the requests; each is a record with the outcome `cancelled`, which is neither
    success nor failure, and its connection is closed."""

    def __init__(self, spec: CancelSpec | None, seed: str) -> None:
        self._spec = spec
        self._draw = random.Random(f"{seed}/cancel")

    @contextmanager
    def around(self, request: gevent.Greenlet) -> Iterator[None]:
        """The request is made inside; it is given up if it is drawn and takes too long."""
        if self._spec is None or self._draw.random() >= self._spec.share:
            yield
            return
        end = gevent.spawn_later(self._spec.after_s, request.kill, block=False)
        try:
            yield
        finally:
            end.kill(block=False)
