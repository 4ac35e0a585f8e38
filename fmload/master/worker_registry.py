"""Who takes part in a run: the workers as they come, fall silent, come back and go; their clocks; messages to them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import gevent

from fmload.master.collector import Collector
from fmload.protocol.lease import Leases
from fmload.protocol.link import Link
from fmload.protocol.messages import Message, Ping, kind_of

logger = logging.getLogger(__name__)

WATCH_EVERY_S = 0.5
PING_EVERY_S = 1.0
FIRST_PINGS, FIRST_PINGS_EVERY_S = 10, 0.1  # clocks are known before the first step


class Runner(Link, Protocol):
    """Locust as the master sees it: messages, and users by worker; workers that are missing are left out.

    `strangers` tells whether a worker is there that cannot take messages yet, `refused` which were refused at their
    greeting, and why; `users` leaves both out.
    """

    def users(self) -> dict[str, int]: ...

    def strangers(self) -> bool: ...

    def refused(self) -> dict[str, str]: ...


class WorkerRegistry:
    """The workers of one run. Every change is an event of the collector; the callbacks say what to do about it.

    `lost`: a worker is gone. `back`: one that was gone answers again. `joined`: one came after the start; called in a
    greenlet of its own.
    """

    def __init__(self, runner: Runner, collector: Collector, lost: Callable[[str], None], back: Callable[[str], None],
                 joined: Callable[[str], None]) -> None:
        self._runner = runner
        self._collector = collector
        self._on_lost, self._on_back, self._on_joined = lost, back, joined
        self._members: list[str] = []
        self._absent: set[str] = set()
        self._leases = Leases()

    def muster(self) -> list[str]:
        """Take in the workers that are there now, in the order of their names; returns them."""
        self._members = sorted(self._runner.users())
        for worker in self._members:
            self._collector.admit(worker)
        return list(self._members)

    def living(self) -> list[str]:
        """The workers that take part and answer, in the order in which they were taken in."""
        return [worker for worker in self._members if worker not in self._absent]

    def users(self) -> dict[str, int]:
        """Locust's users on each living worker."""
        users = self._runner.users()
        return {worker: users[worker] for worker in self.living() if worker in users}

    def offset_ns(self, worker: str) -> int | None:
        """The worker's clock minus the master's, as far as it is known now; None before the first ping came back."""
        offset = self._collector.workers[worker].clock.best()
        return offset.offset_ns if offset else None

    def lease_left_s(self) -> float:
        """How long a worker that is lost may still send: it may be frozen, or cut off, and not know that it is lost."""
        return max(map(self._leases.left_s, self._absent), default=0.0)

    def send(self, message: Message, worker: str) -> None:
        """A message to one worker. One that does not get through is logged: what waits for an answer has a limit."""
        try:
            self._runner.send(message, worker)
        except ConnectionError as error:
            logger.warning("%s did not get through to %s: %s", kind_of(type(message)), worker, error)

    def tell_all(self, message: Message) -> None:
        """A message to every living worker."""
        for worker in self.living():
            self.send(message, worker)

    def watch_for_ever(self) -> None:
        """Compare who is there with who should be. Runs in a greenlet of its own."""
        while True:
            present = self._runner.users()
            for worker in self.living():
                if worker not in present:
                    self._lose(worker)
            for worker in present:
                if worker in self._absent:
                    self._find(worker)
                elif worker not in self._members:
                    self._admit(worker)
            gevent.sleep(WATCH_EVERY_S)

    def _lose(self, worker: str) -> None:
        self._absent.add(worker)
        self._collector.event("worker_lost", worker, "it is gone or does not answer")
        self._collector.lose(worker)
        self._on_lost(worker)

    def _find(self, worker: str) -> None:
        self._absent.discard(worker)
        self._collector.find(worker)
        self._collector.event("worker_frozen", worker, "it is back after a silence")
        self._on_back(worker)

    def _admit(self, worker: str) -> None:
        self._members.append(worker)
        self._collector.admit(worker)
        self._collector.event("worker_joined_late", worker,
                              "it takes a share of the users, and of another worker's prompts")
        gevent.spawn(self._on_joined, worker)

    def ping_for_ever(self) -> None:
        """Measure the workers' clocks, and let them know that the master lives. Runs in a greenlet of its own."""
        pings = 0
        while True:
            for worker in self.living():
                self._leases.say(worker)
                self.send(Ping(time.monotonic_ns(), self.offset_ns(worker)), worker)
            pings += 1
            gevent.sleep(FIRST_PINGS_EVERY_S if pings < FIRST_PINGS else PING_EVERY_S)
