"""Long computations of a gevent process, done beside its loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from gevent import GreenletExit
from gevent.hub import Hub, get_hub
from gevent.threadpool import ThreadPool

LARGE_BYTES = 1 << 20  # reading so much takes the loop's time of some tens of milliseconds

Result = TypeVar("Result")
_pools: WeakKeyDictionary[Hub, ThreadPool] = WeakKeyDictionary()


def beside_the_loop(size_bytes: int, work: Callable[..., Result], *arguments: Any) -> Result:
    """What `work(*arguments)` returns or raises. With a large input it is done in a thread, and only the calling
    greenlet waits: the loop gets its turns in between.

    `work` must be pure. A greenlet that is killed meanwhile waits for the end all the same, and goes on.
    """
    if size_bytes < LARGE_BYTES:
        return work(*arguments)
    pending = _pool(get_hub()).spawn(work, *arguments)
    while True:
        try:
            result: Result = pending.get()
            return result
        except GreenletExit:  # nothing is left to be cancelled: the answer is in
            continue


def _pool(hub: Hub) -> ThreadPool:
    """One thread: several would keep the interpreter from the loop by turns, for seconds at a time."""
    if hub not in _pools:
        _pools[hub] = ThreadPool(1, hub=hub)
    return _pools[hub]
