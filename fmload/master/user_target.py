"""What Locust shall hold at this moment: the one thing that the load shape asks the controller for."""

from __future__ import annotations

from dataclasses import dataclass

from gevent.event import Event

SPAWN_RATE_PER_WORKER = 2000.0  # our users wait for slots: that they come together costs no request anything
SCRIPTED_RATE_PER_WORKER = 90.0  # Locust warns above 100: a scenario's `on_start` may ask servers of its own


@dataclass(frozen=True, slots=True)
class Users:
    """What Locust shall hold: users in all, and how many it may start a second."""

    users: int
    rate: float
    turn: int = 0  # makes an equal target a new one, so that Locust spreads users again


class UserTarget:
    """The target of one run; None before the first step and after the last. `changed` is set at each change."""

    def __init__(self, rate_per_worker: float = SPAWN_RATE_PER_WORKER) -> None:
        self._rate_per_worker = rate_per_worker
        self.target: Users | None = None
        self.changed = Event()
        self._turn = 0

    def ask(self, users: int, workers: int) -> None:
        """Ask for so many users on so many workers, to be spread evenly whatever was there before."""
        self._turn += 1
        self.target = Users(users, self._rate_per_worker * workers, self._turn)
        self.changed.set()

    def end(self) -> None:
        """Ask for no users any more: the test may end."""
        self.target = None
        self.changed.set()
