"""Work that is done again and again beside the run, from a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


@contextmanager
def repeating(action: Callable[[], object], every_s: float, name: str) -> Iterator[None]:
    """Call `action` every `every_s` seconds while inside. What it raises is logged; the next turn may do better."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(every_s):
            try:
                action()
            except Exception:
                _log.exception("%s: will be tried again", name)
    thread = threading.Thread(target=repeat, daemon=True, name=name)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
