"""Long computations of a gevent process, done beside its loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gevent import GreenletExit
from gevent.hub import get_hub

LARGE_BYTES = 1 << 20  # reading so much takes the loop's time of some tens of milliseconds

Result = TypeVar("Result")


def beside_the_loop(size_bytes: int, work: Callable[..., Result], *arguments: Any) -> Result:
    """What `work(*arguments)` returns or raises. With a large input it is done in a thread, and only the calling
    greenlet waits: the loop gets its turns in between.

    `work` must be pure. A greenlet that is killed meanwhile waits for the end all the same, and goes on.
    """
    if size_bytes < LARGE_BYTES:
        return work(*arguments)
    pending = get_hub().threadpool.spawn(work, *arguments)
    while True:
        try:
            result: Result = pending.get()
            return result
        except GreenletExit:  # nothing is left to be cancelled: the answer is in
            continue
