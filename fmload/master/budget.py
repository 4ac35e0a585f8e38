"""Keeps a run within `max_cost`: says when no further request may be sent, before the limit is passed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from fmload.master.spend import Spend
from fmload.model.stage import Stage
from fmload.pricing.resolve import Pricing

STOP_S = 0.2  # a stop takes a moment to reach every worker
LAG_AT_MOST_S = 1.0  # a worker that sends no records for longer has none to send
ENOUGH = 20  # requests whose prices tell how prices vary
RESERVE = 1.1  # until then: requests under way may cost more than is known
SHORTEST_S = 1.0  # a drain takes so long, at least where that is paid for
WIND_UP_S = 1.0  # from the last answer until nothing is paid by the hour any more, on a busy master


class Budget:
    """The limit of one run. `in_flight`: requests under way, as last heard; `silent_s`: seconds since the worker that
    has been silent for longest sent records; `expected_usd`: what a request of an endpoint and prompt set costs, until
    some have ended."""

    def __init__(self, limit_usd: float, spend: Spend, in_flight: Callable[[], int],
                 expected_usd: Mapping[tuple[str, str], float] | None = None,
                 silent_s: Callable[[], float] = lambda: 0.0) -> None:
        self.limit_usd = limit_usd
        self._spend = spend
        self._in_flight = in_flight
        self._expected = expected_usd or {}
        self._silent_s = silent_s

    def reason_to_stop(self, running: Sequence[Stage]) -> str | None:
        """Why nothing more may be sent: what was spent, what is under way and what will have been sent by the time that
        every worker knows would pass the limit. None while there is room."""
        now_ns = time.monotonic_ns()
        spent = self._spend.usd(now_ns)
        to_come = self.still_to_pay_usd(running)
        if spent + to_come < self.limit_usd:
            return None
        return (f"max_cost ({self.limit_usd:g} USD) is about to be passed: {spent:.4g} USD spent, about "
                f"{to_come:.2g} USD under way")

    def still_to_pay_usd(self, running: Sequence[Stage]) -> float:
        """What would still be paid if the run were to stop now."""
        tokens = math.fsum(self._under_way_usd(stage) for stage in running)
        unheard_s = min(self._silent_s(), LAG_AT_MOST_S) + STOP_S
        tokens += unheard_s * self._spend.tokens_usd_per_s(time.monotonic())
        return tokens + math.fsum(self._drain_usd(stage) for stage in running)

    def _under_way_usd(self, stage: Stage) -> float:
        """What the requests under way will have cost, two standard deviations above what is likely. The dear ones take
        longer: of those under way at an instant they are more than of those that have ended."""
        spent, count = self._spend.of_stage(stage), self._under_way(stage)
        if spent.requests < ENOUGH:
            heard = spent.total / spent.requests if spent.requests else 0.0
            expected = self._expected.get((stage.endpoint, stage.prompt_set), 0.0)
            return RESERVE * count * max(heard, expected)
        mean = spent.total / spent.requests
        variance = max(0.0, spent.squares / spent.requests - mean ** 2)
        return count * (mean + (variance / mean if mean else 0.0)) + 2.0 * math.sqrt(variance * count)

    def _under_way(self, stage: Stage) -> float:
        """Requests of a stage under way: a user has one at most; in an open loop as many as arrive in a latency."""
        if stage.slots:
            return float(stage.slots)
        arriving = stage.load.value * (self._spend.of_stage(stage).longest_s or SHORTEST_S)
        return arriving if stage.load.kind == "rate" else float(self._in_flight())

    def _drain_usd(self, stage: Stage) -> float:
        pricing = self._spend.prices.get(stage.endpoint)
        if not isinstance(pricing, Pricing) or pricing.by_token:
            return 0.0
        drain_s = min(stage.drain_s, max(SHORTEST_S, self._spend.of_stage(stage).longest_s))
        return (pricing.usd_per_hour or 0.0) / 3600 * (drain_s + WIND_UP_S)
