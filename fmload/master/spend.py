"""What the run that is on has cost so far, from the records that are in: by endpoint and stage, waste apart.

Token prices are applied to every record, as the report does; hours to the time for which stages are on.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np

from fmload.model.outcome import NEITHER
from fmload.model.record import COLUMNS
from fmload.model.stage import Stage
from fmload.pricing.resolve import Pricing, Unpriced
from fmload.pricing.spend import billed, part_of_hours, usd_of
from fmload.results import answers

NS = 1e9
RATE_OVER_S = 3.0
_PLACE = {name: place for place, name in enumerate(COLUMNS)}
_COUNTS = ("status", "input_tokens", "prompt_tokens", "output_tokens", "audio_in_s", "audio_out_s", "characters",
           "images", "inputs")
_CACHE = {"cached": "cached_tokens", "written": "cache_write_tokens", "written_1h": "cache_write_1h_tokens"}
Row = Sequence[Any]


@dataclass(slots=True)
class StageSpend:
    """USD for the tokens of one stage. `useful` ended well inside the window; the rest is waste: `outside` it (ramp,
    warm-up, drain), `failed`, and `cancelled`. Nothing for an endpoint that is paid by the hour. `squares`: the sum of
    the squares of what each request cost. `busy_s`: for how long its requests were in flight inside the window."""

    requests: int = 0
    squares: float = 0.0
    longest_s: float = 0.0
    busy_s: float = 0.0
    usd: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> float:
        return math.fsum(self.usd.values())


class Spend:
    """The running bill. `prices` by endpoint; `stages` is the run's own list, which grows while a search goes on."""

    def __init__(self, prices: Mapping[str, Pricing | Unpriced], stages: Sequence[Stage]) -> None:
        self.prices = prices
        self._stages = stages
        self._by_stage: defaultdict[int, StageSpend] = defaultdict(StageSpend)
        self._unpriced_tenants: dict[str, Unpriced] = {}  # by endpoint, where such a tenant has sent something
        self._lately: list[tuple[float, float]] = []  # when, and the sum for tokens then

    def take(self, packed: Iterable[bytes], offset_ns: int = 0) -> None:
        """Count what a worker sent; its clock is `offset_ns` ahead of the master's."""
        rows: defaultdict[int, list[Row]] = defaultdict(list)
        for frame in packed:
            if (row := _row(frame)) is not None:
                rows[row[_PLACE["stage"]]].append(row)
        stages = {stage.stage: stage for stage in self._stages}
        for number, found in rows.items():
            if number in stages:
                self._add(stages[number], found, offset_ns)

    def _add(self, stage: Stage, rows: Sequence[Row], offset_ns: int) -> None:
        spent = self._by_stage[stage.stage]
        spent.requests += len(rows)
        lasted = (end - sent for row in rows
                  if (end := row[_PLACE["end_ns"]]) is not None and (sent := row[_PLACE["send_ns"]]) is not None)
        spent.longest_s = max(spent.longest_s, max(lasted, default=0) / NS)
        spent.busy_s += math.fsum(_busy_s(row, stage, offset_ns) for row in rows)
        pricing = self.prices.get(stage.endpoint)
        if not isinstance(pricing, Pricing) or not pricing.by_token:
            return
        by_tenant: defaultdict[str | None, list[Row]] = defaultdict(list)
        for row in rows:
            by_tenant[row[_PLACE["tenant"]]].append(row)
        for tenant, mine in by_tenant.items():
            own = pricing.of(tenant)
            if isinstance(own, Unpriced):
                self._unpriced_tenants[stage.endpoint] = own
                continue
            usd = usd_of(own, billed(**columns_of(mine)))
            spent.squares += float(np.square(usd).sum())
            for row, one in zip(mine, usd.tolist(), strict=True):
                spent.usd[_kind(row, stage, offset_ns)] += one

    def of_stage(self, stage: Stage) -> StageSpend:
        """What its records say so far."""
        return self._by_stage[stage.stage]

    def usd_of_stage(self, stage: Stage, now_ns: int | None = None) -> float | None:
        """What a stage has cost, by the token or the hour; None where its endpoint's price is unknown."""
        pricing = self.prices.get(stage.endpoint)
        if not isinstance(pricing, Pricing):
            return None
        if pricing.by_token:
            return None if stage.endpoint in self._unpriced_tenants else self._by_stage[stage.stage].total
        return (pricing.usd_per_hour or 0.0) / 3600 * lasted_s(stage, now_ns) * self._part(stage)

    def _part(self, stage: Stage) -> float:
        """Of its endpoint's hours, which the components of a mix share."""
        beside = [self._by_stage[other.stage].busy_s for other in self._stages
                  if other.ramp_start_ns == stage.ramp_start_ns and other.endpoint == stage.endpoint]
        return part_of_hours(self._by_stage[stage.stage].busy_s, beside)

    def usd_of(self, endpoint: str, prompt_set: str) -> float | None:
        """What the stages of an endpoint and prompt set have cost together; None where the price is unknown."""
        known = [self.usd_of_stage(stage) for stage in self._stages
                 if (stage.endpoint, stage.prompt_set) == (endpoint, prompt_set)]
        return None if None in known else math.fsum(usd or 0.0 for usd in known)

    def usd(self, now_ns: int | None = None) -> float:
        """All that is known of what the run has cost."""
        return math.fsum(self.usd_of_stage(stage, now_ns) or 0.0 for stage in self._stages)

    def usd_for_tokens(self) -> float:
        """Of that, what tokens cost."""
        return math.fsum(spent.total for spent in self._by_stage.values())

    def usd_wasted(self) -> float:
        """Of what tokens cost, what did not go to requests that ended well inside a window."""
        return self.usd_for_tokens() - math.fsum(spent.usd["useful"] for spent in self._by_stage.values())

    def unpriced(self) -> dict[str, Unpriced]:
        """The endpoints of the stages whose price, or that of a tenant there, is unknown, and why."""
        return self._unpriced_tenants | {stage.endpoint: price for stage in self._stages
                                         if isinstance(price := self.prices.get(stage.endpoint), Unpriced)}

    def tokens_usd_per_s(self, now_s: float) -> float:
        """How fast tokens are being paid for, over the last seconds. To be asked regularly."""
        self._lately = [*(one for one in self._lately if one[0] > now_s - RATE_OVER_S), (now_s, self.usd_for_tokens())]
        (first_s, first), (last_s, last) = self._lately[0], self._lately[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


def _row(frame: bytes) -> Row | None:
    """A record's values in the order of COLUMNS; None for an answer, and for what is no record."""
    if answers.is_answer(frame):
        return None
    try:
        row = msgpack.unpackb(frame)
    except (ValueError, msgpack.exceptions.UnpackException):
        return None
    known = isinstance(row, list) and _PLACE["outcome"] < len(row) <= len(COLUMNS)
    return [*row, *[None] * (len(COLUMNS) - len(row))] if known else None


def lasted_s(stage: Stage, now_ns: int | None = None) -> float:
    """For how long a stage has been on: from its ramp to the end of its drain, or until now while it is."""
    if not stage.ramp_start_ns:
        return 0.0
    now_ns = time.monotonic_ns() if now_ns is None else now_ns
    end_ns = stage.drain_end_ns or (now_ns if stage.status == "running" else stage.window_end_ns)
    return max(0, (end_ns or stage.ramp_start_ns) - stage.ramp_start_ns) / NS


def columns_of(rows: Sequence[Row]) -> dict[str, Any]:
    """What `billed` takes, of records as they travel."""
    def numbers(name: str) -> Any:
        return np.array([row[_PLACE[name]] for row in rows], dtype=np.float64)

    return {"sent": np.array([row[_PLACE["send_ns"]] is not None for row in rows]),
            **{name: numbers(name) for name in _COUNTS}, **{key: numbers(name) for key, name in _CACHE.items()},
            "chunk_tokens": np.array([_arrived(row) for row in rows], dtype=np.float64)}


def _arrived(row: Row) -> float:
    """Tokens of the chunks; not added up where the count is told."""
    if row[_PLACE["output_tokens"]] is not None:
        return 0.0
    return float(np.frombuffer(row[_PLACE["chunk_tokens"]], dtype=np.int32).sum())


def _busy_s(row: Row, stage: Stage, offset_ns: int) -> float:
    """For how long the request was in flight inside the window; one of which no end was seen, until its end."""
    sent, ended = row[_PLACE["send_ns"]], row[_PLACE["end_ns"]] or row[_PLACE["last_token_ns"]]
    if sent is None or not stage.window_start_ns:
        return 0.0
    opened, closed = stage.window_start_ns + offset_ns, (stage.window_end_ns or math.inf) + offset_ns
    until = min(ended or math.inf, closed)
    return max(0.0, until - max(sent, opened)) / NS if math.isfinite(until) else 0.0


def _kind(row: Row, stage: Stage, offset_ns: int) -> str:
    outcome = row[_PLACE["outcome"]]
    if outcome != "ok":
        return "cancelled" if outcome in NEITHER else "failed"
    end_ns = row[_PLACE["end_ns"]] or row[_PLACE["last_token_ns"]]
    if end_ns is None or not stage.window_start_ns or end_ns - offset_ns < stage.window_start_ns:
        return "outside"
    still_open = not stage.window_end_ns
    return "useful" if still_open or end_ns - offset_ns < stage.window_end_ns else "outside"
