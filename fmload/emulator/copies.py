"""Copies of an engine behind one address: a request goes to the copy that holds the fewest."""

from __future__ import annotations

from collections.abc import Callable

from fmload.emulator.engine import Engine, Job


class Copies:
    """Engines that share nothing but the address, as data-parallel copies of one model do."""

    def __init__(self, count: int, made: Callable[[int], Engine]) -> None:
        """`made(number)` gives a new engine."""
        self._engines = [made(number) for number in range(count)]
        self._of: dict[Job, Engine] = {}

    def submit(self, job: Job, now_ns: int) -> bool:
        engine = min(self._engines, key=lambda one: one.running_count + one.waiting_count)
        if not engine.submit(job, now_ns):
            return False
        self._of[job] = engine
        return True

    def cancel(self, job: Job) -> None:
        if (engine := self._of.pop(job, None)) is not None:
            engine.cancel(job)

    @property
    def due_ns(self) -> int | None:
        return min((due for one in self._engines if (due := one.due_ns) is not None), default=None)

    def advance(self, now_ns: int) -> list[Job]:
        ready = [job for one in self._engines for job in one.advance(now_ns)]
        for job in ready:
            if job.finished or job.failure:
                self._of.pop(job, None)
        return ready

    @property
    def running_count(self) -> int:
        return sum(one.running_count for one in self._engines)

    @property
    def waiting_count(self) -> int:
        return sum(one.waiting_count for one in self._engines)

    @property
    def kv_usage(self) -> float:
        """Of all copies together, which are of one size."""
        return sum(one.kv_usage for one in self._engines) / len(self._engines)

    @property
    def preemptions(self) -> int:
        return sum(one.preemptions for one in self._engines)
