"""The live view: mergeable histograms and per-second counters, tallied by workers and added up by the master.

For the screen only; reports come from the records. Nothing here knows Locust.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fmload.live.counts import Counts
from fmload.live.gathered import Gathered
from fmload.live.seconds import KEPT_SECONDS, Seconds
from fmload.metrics.histogram import quantile_s
from fmload.metrics.live import is_good, request_metrics_ns, scaled, watched
from fmload.metrics.per_record import Ints, input_tokens
from fmload.model.record import Record

SECONDLY = ("ttft", "itl", "icl", "first_text", "first_audio", "e2e")  # of these, one point a second
_SECONDLY = frozenset(SECONDLY)
QUANTILES = (0.5, 0.9, 0.95, 0.99)
SETTLING_S = 3  # the newest seconds are still coming in from the workers

Group = tuple[int, str, str]  # stage, endpoint, prompt set
TenantGroup = tuple[int, str, str, str]  # and the tenant
Tallied = dict[str, Any]


class Tally:
    """The worker's side: adds records, gives away what came since the last time.

    `limits` are those of a good request by metric, in the metric's unit (`config.goodput`); `of_tenants` those of the
    tenants that have their own.
    """

    def __init__(self, limits: Mapping[str, float] | None = None,
                 of_tenants: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self._limits = scaled(limits or {})
        self._of_tenants: dict[str | None, dict[str, float]] = {
            name: scaled(own) for name, own in (of_tenants or {}).items()}
        self._groups: defaultdict[Group, Gathered] = defaultdict(Gathered)
        self._tenants: defaultdict[TenantGroup, Gathered] = defaultdict(Gathered)
        self._seconds: defaultdict[int, Gathered] = defaultdict(Gathered)

    def add(self, record: Record, offset_ns: int = 0) -> None:
        """Count one request. Seconds are of the master's monotonic clock: the worker's minus `offset_ns`."""
        metrics = request_metrics_ns(record) if record.outcome == "ok" else {}
        good = is_good(record, self._of_tenants.get(record.tenant, self._limits))
        group = record.stage, record.endpoint, record.prompt_set
        _add(self._groups[group], record, good, metrics)
        if record.tenant is not None:
            _add(self._tenants[*group, record.tenant], record, good, metrics)
        self._add_seconds(record, offset_ns, good, metrics)

    def _add_seconds(self, record: Record, offset_ns: int, good: bool, metrics: Mapping[str, int | Ints]) -> None:
        if record.end_ns is not None:
            last = self._seconds[(record.end_ns - offset_ns) // 10**9]
            last.counts.outcomes[record.outcome] += 1
            last.counts.good += good
            for metric in metrics.keys() & _SECONDLY:
                last.add(metric, metrics[metric])
        begin, instants = 0, record.chunk_ns
        while begin < len(instants):
            second = (instants[begin] - offset_ns) // 10**9
            end = max(begin + 1, bisect_left(instants, (second + 1) * 10**9 + offset_ns, begin))
            self._seconds[second].counts.output_tokens += sum(record.chunk_tokens[begin:end])
            begin = end

    def drain(self) -> Tallied:
        """What was counted since the last call, as plain values for a message."""
        groups, seconds, tenants = self._groups, self._seconds, self._tenants
        self._groups, self._seconds, self._tenants = (defaultdict(Gathered) for _ in range(3))
        counted = plain({group: found.all() for group, found in groups.items()},
                        {second: found.all() for second, found in seconds.items()})
        counted["tenants"] = [[*group, found.all().dump()] for group, found in tenants.items()]
        return counted


def _add(gathered: Gathered, record: Record, good: bool, metrics: Mapping[str, int | Ints]) -> None:
    counts = gathered.counts
    counts.outcomes[record.outcome] += 1
    counts.good += good
    answered = record.outcome == "ok" or record.first_token_ns is not None
    counts.input_tokens += (input_tokens(record) if answered else record.input_tokens) or 0
    if record.images is None:  # the tokens that are told of images are no text
        counts.output_tokens += record.output_tokens or sum(record.chunk_tokens)
    elif record.outcome == "ok":
        counts.images += record.images
    for metric, found in metrics.items():
        gathered.add(metric, found)


def plain(groups: Mapping[Group, Counts], seconds: Mapping[int, Counts]) -> Tallied:
    """Counts by group and by second, as plain values for a message."""
    return {"groups": [[*group, totals.dump()] for group, totals in groups.items()],
            "seconds": [[second, totals.dump()] for second, totals in seconds.items()]}


@dataclass(slots=True)
class WorkerState:
    """What a worker last said of itself."""

    in_flight: int = 0
    health: dict[str, Any] = field(default_factory=dict)
    stamp: str = ""
    under_way: Tallied = field(default_factory=lambda: plain({}, {}))  # of requests that have not ended


class LiveState:
    """The master's side: everything that a screen needs, as plain values from `snapshot`."""

    def __init__(self) -> None:
        self.groups: dict[Group, Counts] = {}
        self.tenants: dict[TenantGroup, Counts] = {}  # of requests that have ended, those of tenants
        self.seconds = Seconds()
        self.in_flight: dict[int, int] = {}
        self.workers: dict[str, WorkerState] = {}
        self.run: dict[str, Any] = {}  # what the controller says: phase, stages, time left

    def merge(self, worker: str, data: Mapping[str, Any]) -> None:
        """Add what one worker counted (`Tally.drain`)."""
        for *group, totals in data["groups"]:
            self.groups.setdefault(_group(group), Counts()).add(Counts.load(totals))
        for stage, endpoint, prompt_set, tenant, totals in data.get("tenants", ()):
            self.tenants.setdefault((stage, endpoint, prompt_set, tenant), Counts()).add(Counts.load(totals))
        for second, totals in data["seconds"]:
            self.seconds.add(second, Counts.load(totals))
        self.seconds.tidy()
        state = self.workers.setdefault(worker, WorkerState())
        state.under_way = data.get("under_way") or plain({}, {})

    def observe(self, worker: str, in_flight: int, health: dict[str, Any] | None, now_ns: int) -> None:
        """Keep what a worker says of itself, and the sum of all requests in flight at this second."""
        state = self.workers.setdefault(worker, WorkerState())
        state.in_flight = in_flight
        state.health = health or state.health
        self.in_flight[now_ns // 10**9] = sum(other.in_flight for other in self.workers.values())
        for second in sorted(self.in_flight)[:-KEPT_SECONDS]:
            del self.in_flight[second]

    def forget(self, worker: str) -> None:
        """A worker is gone: it has nothing in flight any more."""
        if worker in self.workers:
            self.workers[worker].in_flight = 0
            self.workers[worker].under_way = plain({}, {})

    def by_endpoint(self) -> dict[tuple[str, str], Counts]:
        """The counts of all stages by endpoint and prompt set, in their order: of requests that have ended."""
        return _by_endpoint(self.groups)

    def by_tenant(self) -> dict[tuple[str, str, str], Counts]:
        """The same by endpoint, prompt set and tenant; requests of nobody in particular have the tenant ``."""
        found: dict[tuple[str, str, str], Counts] = {}
        rest = self.by_endpoint()
        for (_, endpoint, prompt_set, tenant), totals in self.tenants.items():
            found.setdefault((endpoint, prompt_set, tenant), Counts()).add(totals)
            rest[endpoint, prompt_set].take_out(totals)
        found |= {(*group, ""): totals for group, totals in rest.items() if totals.requests}
        return dict(sorted(found.items()))

    def by_endpoint_now(self) -> dict[tuple[str, str], Counts]:
        """The same with the first tokens and gaps of requests under way."""
        return _by_endpoint(self._now("groups", self.groups, _group))

    def under_way(self) -> dict[tuple[str, str], Counts]:
        """Of requests under way alone."""
        return _by_endpoint(self._now("groups", {}, _group))

    def _now(self, what: str, ended: Mapping[Any, Counts], key: Callable[[list[Any]], Any]) -> dict[Any, Counts]:
        """Counts of what has ended, with those of what is under way at all workers."""
        found = dict(ended)
        own: set[Any] = set()
        for state in self.workers.values():
            for *named, totals in state.under_way[what]:
                each = key(named)
                if each not in own:
                    own.add(each)
                    found[each] = _sum(found.get(each))
                found[each].add(Counts.load(totals))
        return found

    def snapshot(self, now_ns: int, wall_anchor_ns: int, history_s: int = 300) -> dict[str, Any]:
        """The state as JSON: `run`, `groups` (one row each), `series` (one point a second), `workers`.

        Times in seconds; None where there is nothing to say. The newest seconds are left out of the series, since
        workers report once a second. `wall_anchor_ns` turns the master's seconds into seconds of the wall clock.
        """
        newest = now_ns // 10**9 - SETTLING_S
        seconds = range(newest - history_s + 1, newest + 1)
        begun = min((*self.seconds, *self.in_flight), default=newest + 1)
        groups = self._now("groups", self.groups, _group)
        by_second = self._now("seconds", {each: self.seconds.at(each) for each in seconds if each >= begun},
                              lambda named: int(named[0]))
        return {
            "run": self.run,
            "groups": [{"stage": stage, "endpoint": endpoint, "prompt_set": prompt_set, **_row(totals)}
                       for (stage, endpoint, prompt_set), totals in sorted(groups.items())],
            "series": [self._point(second, by_second.get(second, Counts()), wall_anchor_ns)
                       for second in seconds if second >= begun],
            "workers": [{"worker": worker, "in_flight": state.in_flight, **state.health}
                        for worker, state in sorted(self.workers.items())],
        }

    def _point(self, second: int, totals: Counts, wall_anchor_ns: int) -> dict[str, Any]:
        quantiles = {f"{metric}_p{round(q * 100)}_s": quantile_s(totals.histograms.get(metric, {}), q)
                     for metric in SECONDLY for q in (0.5, 0.95, 0.99)}
        return {"at": second + wall_anchor_ns / 1e9, "output_tokens": totals.output_tokens,
                "requests": totals.outcomes["ok"], "errors": totals.errors, "good": totals.good,
                "client_failures": totals.outcomes["client"],
                "in_flight": self.in_flight.get(second), **quantiles}


def _by_endpoint(groups: Mapping[Group, Counts]) -> dict[tuple[str, str], Counts]:
    merged: dict[tuple[str, str], Counts] = {}
    for (_, endpoint, prompt_set), totals in sorted(groups.items()):
        merged.setdefault((endpoint, prompt_set), Counts()).add(totals)
    return merged


def _sum(totals: Counts | None) -> Counts:
    """A copy that may be added to."""
    made = Counts()
    if totals is not None:
        made.add(totals)
    return made


def _group(values: list[Any]) -> Group:
    stage, endpoint, prompt_set = values
    return stage, endpoint, prompt_set


def _row(totals: Counts) -> dict[str, Any]:
    quantiles = {f"{metric.name}_p{round(q * 100)}_s": quantile_s(totals.histograms.get(metric.name, {}), q)
                 for metric in watched() for q in QUANTILES}
    return {"requests": totals.requests, "ok": totals.outcomes["ok"], "errors": totals.errors, "good": totals.good,
            "client_failures": totals.outcomes["client"], "outcomes": dict(totals.outcomes),
            "output_tokens": totals.output_tokens, "input_tokens": totals.input_tokens, **quantiles}


def spend_line(run: Mapping[str, Any]) -> str:
    """What a run has cost so far, in words; empty where nothing has a price."""
    spent, limit = run.get("spent_usd"), run.get("max_cost")
    if not spent and limit is None:
        return "price n/a" if run.get("unpriced") else ""
    words = f"{spent or 0.0:.4f} USD spent" + (f" of {limit:g}" if limit is not None else "")
    wasted = f", {run['wasted_usd']:.4f} of it not on measured answers" if run.get("wasted_usd") else ""
    return words + wasted + (f", without {', '.join(run['unpriced'])}" if run.get("unpriced") else "")


def stages_in_all(run: Mapping[str, Any]) -> str:
    """How many stages a run has, in words: `12`, or `at most 12` while a search goes on."""
    return f"{'at most ' if run.get('searching') else ''}{run.get('stages_in_all', 0)}"
