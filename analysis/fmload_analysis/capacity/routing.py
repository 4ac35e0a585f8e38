"""Which replica the next request goes to. A policy is a function of the replicas that take requests, and its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fmload_analysis.capacity.replica import Job, Replica

CROWDED = 1.25  # a session leaves its replica when that holds so many times the mean, and two requests more


class Router:
    """`round_robin`, `least_busy` (the fewest requests in flight, the next in turn among equals), or `prefix_aware`:
    the replica that served the session last, unless it is crowded; new sessions go to the least busy one."""

    def __init__(self, policy: str) -> None:
        self._pick = POLICIES[policy]
        self.turn = 0
        self.last: dict[int, int] = {}  # session: the number of the replica that served it last

    def choose(self, job: Job, ready: Sequence[Replica]) -> Replica:
        """The replica of the job."""
        place = self._pick(self, job, ready)
        self.turn = (place + 1) % len(ready)
        if job.session >= 0:
            self.last[job.session] = ready[place].number
        return ready[place]


def _round_robin(router: Router, job: Job, ready: Sequence[Replica]) -> int:
    return router.turn % len(ready)


def _least_busy(router: Router, job: Job, ready: Sequence[Replica]) -> int:
    places = len(ready)
    return min(((router.turn + step) % places for step in range(places)), key=lambda place: ready[place].in_flight)


def _prefix_aware(router: Router, job: Job, ready: Sequence[Replica]) -> int:
    home = router.last.get(job.session, -1) if job.session >= 0 else -1
    place = next((place for place, one in enumerate(ready) if one.number == home), None)
    if place is None:
        return _least_busy(router, job, ready)
    mean = sum(one.in_flight for one in ready) / len(ready)
    return _least_busy(router, job, ready) if ready[place].in_flight > CROWDED * mean + 2 else place


POLICIES: dict[str, Callable[[Router, Job, Sequence[Replica]], int]] = {
    "round_robin": _round_robin, "least_busy": _least_busy, "prefix_aware": _prefix_aware}
