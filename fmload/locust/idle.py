"""A user that waits for its turn: Locust may stop it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from locust import User
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_WAITING


@contextmanager
def idle(user: User) -> Iterator[None]:
    """The user waits while the block runs. As in TaskSet.wait: in this state it is stopped at once, not after its
    task."""
    user._state = LOCUST_STATE_WAITING
    try:
        yield
    finally:
        user._state = LOCUST_STATE_RUNNING
