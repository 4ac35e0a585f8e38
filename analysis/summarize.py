"""One summary a stage, from its records: distributions, totals, outcomes, and the evidence that the audit judges."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.load import Batch, Endpoint, Run, Stage
from analysis.stats import (
    PERCENTILES,
    Drift,
    Interval,
    Samples,
    drift,
    finite,
    mean_interval,
    nearest_rank,
    percentile_floor,
    percentile_interval,
    throughput_interval,
    warmed_up_at,
)
from analysis.windows import begun_ns, delivered_tokens, ended_ns, in_flight_at, inside, overlap_ns, tokens_inside
from fmload.metrics import NS, Bools, Floats, Ints, Totals, gaps, icl, itl, of_level, ratio

REQUEST_METRICS = tuple(metric.name for metric in of_level("request"))
CURVE = tuple(float(p) for p in range(0, 101, 2))
SAMPLE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Distribution:
    """One metric over one stage, in the metric's unit.

    `percentiles` are of successes, `with_failures` of all with a failure as +∞ (None: the metric is of tokens).
    A percentile is None below its floor, unless all were asked for: then it stands here and in `below_floor`.
    `low` and `high` bound the percentiles when interval-censored gaps are counted (None: nothing is censored).
    `curve`: the percentiles 0, 2, … 100, for plots.
    """

    n: int = 0
    n_with_failures: int = 0
    mean: float | None = None
    stddev: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    percentiles: Mapping[float, float | None] = field(default_factory=dict)
    with_failures: Mapping[float, float | None] | None = None
    below_floor: frozenset[float] = frozenset()
    intervals: Mapping[float, Interval] = field(default_factory=dict)
    mean_interval: Interval | None = None
    low: Mapping[float, float | None] | None = None
    high: Mapping[float, float | None] | None = None
    curve: tuple[float, ...] = ()

    def stat(self, name: str) -> float | None:
        """`mean`, `stddev`, `min`, `max` or `p95`; None when unknown or blank."""
        named = {"mean": self.mean, "stddev": self.stddev, "min": self.minimum, "max": self.maximum}
        return named[name] if name in named else self.percentiles.get(float(name.removeprefix("p")))


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of one stage, without their chunks. Instants in seconds after the window's start."""

    begun_s: Floats
    ended_s: Floats
    metrics: Mapping[str, Floats]
    outcome: np.ndarray[Any, Any]
    in_window: Bools  # started inside the window

    @property
    def succeeded(self) -> Bools:
        """Started inside the window and ended well."""
        return self.in_window & (self.outcome == "ok")  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The stage by the second, from the first request on: for plots and for the audit. `second` counts from the
    window's start and is negative before it."""

    second: Ints
    in_flight: Floats
    completed: Ints
    failed: Ints
    output_tokens: Floats


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the audit judges beyond the totals. Counts are of requests that started inside the window and succeeded."""

    ended: int = 0  # requests, good or bad, that ended inside the window
    residence_mean_s: float | None = None  # of those, from send to end
    in_flight_at_start: int = 0
    in_flight_at_end: int = 0
    tokens_out_of_ended: float = 0.0
    ttft_after_e2e: int = 0
    tpot_mismatches: int = 0
    streams: int = 0  # streamed responses of more than two tokens
    buffered: int = 0  # of them: all tokens within 1 % of E2E, or in a single chunk
    over_max_tokens: int = 0
    with_max_tokens: int = 0
    echo_like: int = 0  # of the outputs over max_tokens: at least as long as their prompt
    echo_correlation: float | None = None  # of output and input lengths, where nearly all outputs are the longer
    prompt_tokens_compared: int = 0
    prompt_tokens_difference_mean: float | None = None  # server's count ÷ client's count − 1
    tokens_source: Mapping[str, int] = field(default_factory=dict)
    finish_reason: Mapping[str, int] = field(default_factory=dict)
    stamp: Mapping[str, int] = field(default_factory=dict)
    chunks: int = 0
    chunk_tokens: float = 0.0  # tokens, by the server's count where known, of the requests that have these chunks
    gaps: float = 0.0  # token-weighted
    gaps_censored: float = 0.0
    lag_max_p99_s: float | None = None
    send_lateness_p50_s: float | None = None
    send_lateness_p99_s: float | None = None
    drift: Drift | None = None
    warmed_up_s: float | None = None
    prompts: Ints = field(default_factory=lambda: np.array([], dtype=np.int64))  # their ids, hashed, each once
    prompts_repeated: int = 0


@dataclass(frozen=True, slots=True)
class StageSummary:
    """All that the records of one stage say."""

    stage: Stage
    endpoint: Endpoint
    totals: Totals
    distributions: Mapping[str, Distribution]
    outcomes: Mapping[str, int]
    evidence: Evidence
    intervals: Mapping[str, Interval]  # of requests_per_s and output_tokens_per_s
    timeline: Timeline
    sample: Requests  # at most SAMPLE_ROWS requests, evenly drawn in order of start, for plots
    slower_than_threshold: int | None = None

    @property
    def censored_share(self) -> float | None:
        """Share of inter-token gaps that are interval-censored; None without gaps."""
        return self.evidence.gaps_censored / self.evidence.gaps if self.evidence.gaps else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to compute beyond the usual: further percentiles, per-request limits, and whether floors hold."""

    percentiles: tuple[float, ...] = PERCENTILES
    limits: Mapping[str, float] = field(default_factory=dict)  # request metric → largest good value
    floors: bool = True
    threshold_tokens_per_s: float | None = None


def summarize(run: Run, stage: Stage, wanted: Wanted | None = None) -> StageSummary:
    """The summary of one stage. Memory is bounded by a batch of records plus some 200 bytes a request."""
    gathered = _Gathering(stage.window_ns, run.count(stage))
    for batch in run.batches(stage):
        gathered.take(batch)
    return _summary(gathered, stage, run.endpoint(stage.endpoint), wanted or Wanted())


class _Gathering:
    """Keeps, of each batch, the columns of requests; of the chunks only samples and sums."""

    def __init__(self, window_ns: int, rows: int) -> None:
        self.window_ns = window_ns
        self.rows = rows
        self.filled = 0
        self.table: dict[str, np.ndarray[Any, Any]] = {}  # allocated whole, so that the heap does not fragment
        self.tokens = {"itl": Samples(), "icl": Samples()}
        self.unknown_low = {"itl": Samples(), "icl": Samples()}
        self.unknown_high = {"itl": Samples(), "icl": Samples()}
        self.stamped_ns = 0  # over all gaps, censored ones too
        self.tokens_out = 0.0
        self.chunks = 0
        self.tokens_by_second: defaultdict[int, float] = defaultdict(float)

    def take(self, batch: Batch) -> None:
        columns = batch.columns
        begun = begun_ns(columns)
        good = inside(begun, self.window_ns) & (batch.outcome == "ok")
        self._keep_rows(batch, begun)
        self._keep_gaps(batch, good)
        self.tokens_out += tokens_inside(columns, self.window_ns)
        self.chunks += int(columns.chunk_counts[good].sum())
        self._keep_seconds(columns.chunk_ns // 1_000_000_000, columns.chunk_tokens)

    def _keep_seconds(self, seconds: Ints, tokens: Ints) -> None:
        if not len(seconds):
            return
        starts = np.flatnonzero(np.concatenate([[True], seconds[1:] != seconds[:-1]]))
        found, inverse = np.unique(seconds[starts], return_inverse=True)
        sums = np.bincount(inverse, weights=np.add.reduceat(tokens, starts))
        for second, total in zip(found.tolist(), sums.tolist(), strict=True):
            self.tokens_by_second[second] += total

    def _keep_rows(self, batch: Batch, begun: Floats) -> None:
        columns = batch.columns
        rows = {metric.name: metric.function(columns) for metric in of_level("request")}
        rows |= {
            "begun": begun, "sent": columns.send_ns, "ended": ended_ns(columns),
            "first_token": columns.first_token_ns, "delivered": delivered_tokens(columns),
            "cached_tokens": columns.cached_tokens,
            "streamed": columns.streamed, "chunks": columns.chunk_counts, "first_chunk": columns.first_chunk_tokens,
            "outcome": batch.outcome, "tokens_source": batch.tokens_source, "stamp": batch.stamp,
            "finish_reason": batch.finish_reason,
            "prompt": np.fromiter(map(hash, batch.prompt_id), np.int64, columns.rows), "lag_max": batch.lag_max_ns / NS,
            "prompt_tokens": batch.prompt_tokens, "server_input_tokens": batch.server_input_tokens,
            "max_output_tokens": batch.max_output_tokens,
        }
        end = self.filled + columns.rows
        for name, values in rows.items():
            self.table.setdefault(name, np.empty(self.rows, values.dtype))[self.filled:end] = values
        self.filled = end

    def _keep_gaps(self, batch: Batch, good: Bools) -> None:
        found = gaps(batch.columns)
        kept = good[found.row]
        self.stamped_ns += int(found.gap_ns[kept].sum())
        known, unknown = kept & found.known, kept & ~found.known
        any_unknown = bool(unknown.any())
        for name, function in (("itl", itl), ("icl", icl)):
            values, weights = function(found)
            self.tokens[name].add(values[known], weights[known])
            if any_unknown:
                per = weights[unknown]
                self.unknown_low[name].add(found.low_ns[unknown] / NS / per, per)
                self.unknown_high[name].add(found.high_ns[unknown] / NS, per)


def _summary(gathered: _Gathering, stage: Stage, endpoint: Endpoint, wanted: Wanted) -> StageSummary:
    table = gathered.table or _EMPTY
    started = inside(table["begun"], gathered.window_ns)
    requests = Requests(table["begun"] / NS, table["ended"] / NS,
                        {name: table[name] for name in REQUEST_METRICS}, table["outcome"], started)
    completed = (table["outcome"] == "ok") & inside(table["ended"], gathered.window_ns)
    totals = _totals(gathered, table, requests, completed, endpoint, wanted)
    window_s = gathered.window_ns / NS
    slow = wanted.threshold_tokens_per_s
    return StageSummary(
        stage=stage, endpoint=endpoint, totals=totals, distributions=_distributions(gathered, requests, totals, wanted),
        outcomes=dict(Counter(requests.outcome[started].tolist()).most_common()),
        evidence=_evidence(gathered, table, requests), intervals=_intervals(table, completed, window_s),
        timeline=_timeline(gathered, requests), sample=_sample(requests),
        slower_than_threshold=None if slow is None else _slower(requests, slow))


_EMPTY: dict[str, np.ndarray[Any, Any]] = {
    **dict.fromkeys((*REQUEST_METRICS, "begun", "sent", "ended", "first_token", "cached_tokens", "chunks", "delivered",
                     "first_chunk", "lag_max", "prompt_tokens", "server_input_tokens", "max_output_tokens"),
                    np.array([])),
    "streamed": np.array([], dtype=bool),
    **dict.fromkeys(("outcome", "tokens_source", "stamp", "finish_reason"), np.array([], dtype=object)),
    "prompt": np.array([], dtype=np.int64),
}


def _totals(gathered: _Gathering, table: Mapping[str, Any], requests: Requests, completed: Bools,
            endpoint: Endpoint, wanted: Wanted) -> Totals:
    started, outcome = requests.in_window, requests.outcome
    cancelled = outcome == "cancelled"
    first_inside = inside(table["first_token"], gathered.window_ns)
    cached = finite(table["cached_tokens"], completed)
    sent = np.isfinite(table["sent"])
    area = overlap_ns(table["sent"][sent], table["ended"][sent], gathered.window_ns).sum()
    return Totals(
        window_s=gathered.window_ns / NS, started=int(started.sum()), succeeded=int(requests.succeeded.sum()),
        failed=int((started & (outcome != "ok") & ~cancelled).sum()), completed=int(completed.sum()),
        good=int((completed & meets(requests.metrics, wanted.limits)).sum()) if wanted.limits else None,
        tokens_out=gathered.tokens_out, tokens_in=float(np.nansum(table["input_tokens"][first_inside])),
        completed_tokens_in=float(np.nansum(table["input_tokens"][completed])),
        completed_tokens_out=float(np.nansum(table["output_tokens"][completed])),
        completed_tokens_cached=float(cached.sum()) if len(cached) else None,
        in_flight_s=float(area) / NS, accelerators=endpoint.accelerators)


def meets(metrics: Mapping[str, Floats], limits: Mapping[str, float]) -> Bools:
    """Where every limit is kept. A metric that a request does not have (TPOT of one token) breaks no limit."""
    broken = [metrics[name] > limit for name, limit in limits.items()]
    return ~np.logical_or.reduce(broken) if broken else np.ones(len(metrics["e2e"]), dtype=bool)


def _distributions(gathered: _Gathering, requests: Requests, totals: Totals,
                   wanted: Wanted) -> dict[str, Distribution]:
    good = requests.succeeded
    by_request = {name: of_requests(finite(values, good), totals.failed, wanted)
                  for name, values in requests.metrics.items()}
    by_token = {name: of_samples(gathered.tokens[name], gathered.unknown_low[name], gathered.unknown_high[name],
                                 gathered.stamped_ns / NS, wanted) for name in gathered.tokens}
    return by_request | by_token


def of_requests(values: Floats, failures: int, wanted: Wanted) -> Distribution:
    """The distribution of a request metric; `values`: of successes, without nulls, in any order."""
    ordered = np.sort(values)
    n, n_all = len(ordered), len(ordered) + failures
    below = frozenset(p for p in wanted.percentiles if 0 < n < percentile_floor(p))
    shown = {p: None if wanted.floors and p in below else nearest_rank(ordered, p) for p in wanted.percentiles}
    all_shown = {p: None if wanted.floors and n_all < percentile_floor(p) else nearest_rank(ordered, p, failures)
                 for p in wanted.percentiles}
    if not n:
        return Distribution(0, n_all, percentiles=shown, with_failures=all_shown)
    found = {p: percentile_interval(ordered, p) for p in wanted.percentiles if shown[p] is not None}
    return Distribution(
        n=n, n_with_failures=n_all, mean=float(ordered.mean()), minimum=float(ordered[0]), maximum=float(ordered[-1]),
        stddev=float(ordered.std(ddof=1)) if n > 1 else None, percentiles=shown, with_failures=all_shown,
        below_floor=frozenset() if wanted.floors else below, mean_interval=mean_interval(ordered),
        intervals={p: interval for p, interval in found.items() if interval},
        curve=tuple(float(ordered[max(0, math.ceil(p / 100 * n) - 1)]) for p in CURVE))


def of_samples(known: Samples, low: Samples, high: Samples, total_s: float, wanted: Wanted) -> Distribution:
    """The distribution of a token metric: percentiles over known gaps, bounds with the censored ones counted.

    The mean is over all gaps, `total_s` their sum as stamped: neighbouring gaps share their ends, so what censoring
    moves from one to the other does not change it. Percentiles are blank where most gaps are censored.
    """
    n = int(known.n)
    below = frozenset(p for p in wanted.percentiles if 0 < n < percentile_floor(p))
    values = known.percentiles(tuple({*wanted.percentiles, *CURVE}))
    hidden = below if wanted.floors else frozenset()
    hidden |= frozenset(wanted.percentiles) if low.n > known.n else frozenset()
    censored = low.n > 0
    return Distribution(
        n=n, n_with_failures=n, mean=ratio(total_s, known.n + low.n),
        minimum=known.low if n else None, maximum=known.high if n else None,
        percentiles={p: None if p in hidden else values[p] for p in wanted.percentiles}, below_floor=below - hidden,
        low=known.with_others(low).percentiles(wanted.percentiles) if censored else None,
        high=known.with_others(high).percentiles(wanted.percentiles) if censored else None,
        curve=tuple(values[p] or 0.0 for p in CURVE) if n else ())


def _intervals(table: Mapping[str, Any], completed: Bools, window_s: float) -> dict[str, Interval]:
    ended = table["ended"][completed] / NS
    found = {"requests_per_s": throughput_interval(ended, np.ones(len(ended)), window_s),
             "output_tokens_per_s": throughput_interval(ended, np.nan_to_num(table["output_tokens"][completed]),
                                                        window_s)}
    return {name: interval for name, interval in found.items() if interval}


def _slower(requests: Requests, tokens_per_s: float) -> int:
    good = requests.succeeded
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = requests.metrics["output_tokens"][good] / requests.metrics["e2e"][good]
    return int((speed < tokens_per_s).sum())


def _evidence(gathered: _Gathering, table: Mapping[str, Any], requests: Requests) -> Evidence:
    good, window = requests.succeeded, gathered.window_ns
    ended = inside(table["ended"], window) & np.isfinite(table["sent"]) & (requests.outcome != "cancelled")
    residence = (table["ended"] - table["sent"])[ended] / NS
    lateness = np.sort(finite(table["send_lateness"], requests.in_window))
    lag = np.sort(finite(table["lag_max"], good))
    e2e = table["e2e"]
    prompts = np.unique(table["prompt"][requests.in_window])
    known = sum(samples.n for samples in (gathered.tokens["itl"], gathered.unknown_low["itl"]))
    return Evidence(
        ended=int(ended.sum()), residence_mean_s=float(residence.mean()) if len(residence) else None,
        in_flight_at_start=in_flight_at(table["sent"], table["ended"], 0),
        in_flight_at_end=in_flight_at(table["sent"], table["ended"], window),
        tokens_out_of_ended=float(table["delivered"][ended].sum()),
        chunks=gathered.chunks, chunk_tokens=float(np.nansum(table["output_tokens"][good])),
        gaps=known, gaps_censored=gathered.unknown_low["itl"].n, lag_max_p99_s=nearest_rank(lag, 99),
        send_lateness_p50_s=nearest_rank(lateness, 50), send_lateness_p99_s=nearest_rank(lateness, 99),
        drift=drift(table["begun"][good], e2e[good], window / 2),
        warmed_up_s=_warmed_up_s(table["begun"][good] / NS, e2e[good]),
        prompts=prompts, prompts_repeated=int(requests.in_window.sum()) - len(prompts),
        **_shape_of_streams(table, good), **_token_counts(table, good),
        tokens_source=_counted(table["tokens_source"][good]), finish_reason=_counted(table["finish_reason"][good]),
        stamp=_counted(table["stamp"][good]))


def _counted(values: np.ndarray[Any, Any]) -> dict[str, int]:
    return dict(Counter(value for value in values.tolist() if value))


def _warmed_up_s(begun_s: Floats, values: Floats) -> float | None:
    kept = ~np.isnan(values)
    return warmed_up_at(begun_s[kept], values[kept])


def _shape_of_streams(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    ttft, e2e, tpot, n = (table[name][good] for name in ("ttft", "e2e", "tpot", "output_tokens"))
    rest = n - table["first_chunk"][good]
    with np.errstate(invalid="ignore"):
        mismatch = np.abs(ttft + tpot * rest - e2e) > 1e-6 + 1e-9 * e2e
        streams = table["streamed"][good] & (n > 2)
        at_once = (table["chunks"][good] == 1) | (e2e - ttft < 0.01 * e2e)
        return {"ttft_after_e2e": int((ttft > e2e).sum()), "tpot_mismatches": int(mismatch.sum()),
                "streams": int(streams.sum()), "buffered": int((streams & at_once).sum())}


def _token_counts(table: Mapping[str, Any], good: Bools) -> dict[str, Any]:
    given, made, limit, counted = (table[name][good] for name in ("input_tokens", "output_tokens",
                                                                  "max_output_tokens", "prompt_tokens"))
    told = table["server_input_tokens"][good]
    compared = ~np.isnan(told) & (counted > 0)
    difference = told[compared] / counted[compared] - 1
    with np.errstate(invalid="ignore"):
        return {"over_max_tokens": int((made > limit).sum()), "with_max_tokens": int((~np.isnan(limit)).sum()),
                "echo_like": _echo_like(given, made, limit), "echo_correlation": _echo_correlation(given, made),
                "prompt_tokens_compared": int(compared.sum()),
                "prompt_tokens_difference_mean": float(difference.mean()) if len(difference) else None}


def _echo_like(given: Floats, made: Floats, limit: Floats) -> int:
    """Requests whose output is at least as long as their prompt and longer than they asked for."""
    with np.errstate(invalid="ignore"):
        return int(((made >= given) & (made > limit)).sum())


def _echo_correlation(given: Floats, made: Floats) -> float | None:
    """Correlation of output and input lengths; None unless 19 of 20 outputs are at least as long as their prompts,
    and prompts differ in length."""
    known = ~np.isnan(given) & ~np.isnan(made)
    given, made = given[known], made[known]
    if len(given) < 20 or (made >= given).mean() < 0.95 or given.std() < 0.02 * given.mean() or not made.std():
        return None
    return float(np.corrcoef(given, made)[0, 1])


def _timeline(gathered: _Gathering, requests: Requests) -> Timeline:
    if not len(requests.begun_s):
        return Timeline(np.array([], dtype=np.int64), np.array([]), np.array([], dtype=np.int64),
                        np.array([], dtype=np.int64), np.array([]))
    begun = requests.begun_s
    ended = np.where(np.isfinite(requests.ended_s), requests.ended_s, gathered.window_ns / NS)
    first = math.floor(float(np.nanmin(begun)))
    last = max(math.ceil(float(ended.max())), first + 1)
    edges = np.arange(first, last + 1)
    good = requests.outcome == "ok"
    completed, failed = (np.histogram(ended[rows], bins=edges)[0] for rows in (good, ~good))
    seconds = edges[:-1]
    tokens = np.array([gathered.tokens_by_second.get(int(second), 0.0) for second in seconds])
    return Timeline(seconds, _in_flight_by_second(begun, ended, edges), completed, failed, tokens)


def _in_flight_by_second(begun: Floats, ended: Floats, edges: Ints) -> Floats:
    """Mean requests in flight in each second: the integral of arrivals minus departures, differenced."""
    def area(instants: Floats) -> Floats:
        ordered = np.sort(instants[np.isfinite(instants)])
        before = np.searchsorted(ordered, edges, side="right")
        sums = np.concatenate([[0.0], np.cumsum(ordered)])[before]
        return edges * before - sums  # type: ignore[no-any-return]

    return np.diff(area(begun) - area(ended))


def _sample(requests: Requests) -> Requests:
    order = np.argsort(requests.begun_s, kind="stable")
    order = order[requests.in_window[order]]
    picked = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), SAMPLE_ROWS)).astype(np.int64))] if len(
        order) else order
    return Requests(requests.begun_s[picked], requests.ended_s[picked],
                    {name: values[picked] for name, values in requests.metrics.items()}, requests.outcome[picked],
                    requests.in_window[picked])


def pooled(summaries: Iterable[StageSummary]) -> dict[str, int]:
    """Outcomes of several stages, added up."""
    total: Counter[str] = Counter()
    for summary in summaries:
        total.update(summary.outcomes)
    return dict(total)
