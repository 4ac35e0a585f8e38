"""One summary a stage, from its records: distributions, totals, outcomes, and the evidence that the audit judges."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fmload.config.objectives import Objective
from fmload.metrics.definitions import (
    METRICS,
    NS,
    Bools,
    Floats,
    Gaps,
    Ints,
    Sound,
    Totals,
    gaps,
    icl,
    itl,
    of_level,
    per_token_s,
)
from fmload.model.stage import Stage
from fmload.model.verdict import Judged
from fmload.statistics.intervals import Interval, throughput_interval
from fmload_analysis.columns import Batch
from fmload_analysis.run import MeasuredEndpoint, Run
from fmload_analysis.stage import streams, tasks
from fmload_analysis.stage.addresses import AddressSummary, by_address
from fmload_analysis.stage.cache_truth import CacheTruth, PossibleCache, cache_of
from fmload_analysis.stage.distribution import Distribution, Wanted, of_requests, of_samples
from fmload_analysis.stage.evidence import Evidence, evidence_of
from fmload_analysis.stage.judging import above_of, gaps_of, judged, judged_sessions, token_objectives
from fmload_analysis.stage.offered import asked_s
from fmload_analysis.stage.output_lengths import OutputLengths, output_lengths
from fmload_analysis.stage.reuse import NO_PROMPTS
from fmload_analysis.stage.safe_checks import EMPTY, SafeChecks, rows_of, safe_checks
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.sessions import Sessions, sessions_of
from fmload_analysis.stage.spend import Prices, Spend, spend_of_all
from fmload_analysis.stage.stats import finite
from fmload_analysis.stage.tasks import TaskSummary, by_context, by_task, by_turn
from fmload_analysis.stage.tenants import Known, TenantSummary, by_tenant, good_of, of_stage, service_of
from fmload_analysis.stage.timeline import Requests, Timeline, sample_of, timeline_of
from fmload_analysis.stage.totals import totals_of
from fmload_analysis.stage.windows import begun_ns, delivered_tokens, ended_ns, inside, tokens_inside

REQUEST_METRICS = tuple(metric.name for metric in of_level("request"))


@dataclass(frozen=True, slots=True)
class StageSummary:
    """All that the records of one stage say."""

    stage: Stage
    endpoint: MeasuredEndpoint
    totals: Totals
    distributions: Mapping[str, Distribution]
    outcomes: Mapping[str, int]
    evidence: Evidence
    intervals: Mapping[str, Interval]  # of requests_per_s and output_tokens_per_s
    timeline: Timeline
    sample: Requests  # at most SAMPLE_ROWS requests, evenly drawn in order of start, for plots
    slower_than_threshold: int | None = None
    safe_checks: SafeChecks | None = None
    output_lengths: OutputLengths | None = None
    judged: Mapping[str, Judged] = field(default_factory=dict)  # objectives by the bounds of their samples
    addresses: tuple[AddressSummary, ...] = ()  # empty where the endpoint has one address
    prompt_source: str | None = None  # of its prompt set, as the run file names it
    answers: str | None = None  # what later turns of its conversations repeat; None: it has none
    spend: Spend = field(default_factory=Spend)
    recorded: int = 0  # records of the stage, those of its warm-up and drain included
    losses: tuple[str, ...] = ()  # what could not be read of the journals, or not be stored, in this run
    tasks: tuple[TaskSummary, ...] = ()  # by what a scenario calls its requests
    turns: tuple[TaskSummary, ...] = ()  # by turn of their session
    contexts: tuple[TaskSummary, ...] = ()  # by the length of their context, of those in sessions
    sessions: Sessions | None = None
    service: float = 0.0  # weighted tokens inside the window (`stage.tenants`)
    cache: CacheTruth | None = None  # None: nothing could come from a cache, as far as is known
    tenants: tuple[TenantSummary, ...] = ()  # empty where its requests are nobody's in particular
    asked_s: Floats | None = None  # when an open loop's requests were due, in seconds after the window's start

    @property
    def asked(self) -> int | None:
        """Requests that were due inside the window; None in a closed loop."""
        if self.asked_s is None:
            return None
        return int(((self.asked_s >= 0) & (self.asked_s < self.totals.window_s)).sum())

    @property
    def never_sent(self) -> int | None:
        """Of the asked, those of which no worker made a record: it was behind its schedule when the window closed, or
        it was gone. None in a closed loop."""
        if self.asked is None:
            return None
        there = self.evidence.due
        if self.stage.load.sessions and self.sessions is not None:
            there = self.sessions.begun + self.sessions.lost
        return max(0, self.asked - there)

    @property
    def offered_per_s(self) -> float | None:
        """The asked arrival rate, over the window; None in a closed loop."""
        return None if self.asked is None or not self.totals.window_s else self.asked / self.totals.window_s

    @property
    def censored_share(self) -> float | None:
        """Share of the gaps between chunks that are interval-censored; None without gaps."""
        return self.evidence.gaps_censored / self.evidence.gaps if self.evidence.gaps else None


def summarize(run: Run, stage: Stage, wanted: Wanted | None = None, earlier_prompts: Ints = NO_PROMPTS,
              prices: Prices | None = None, cache: PossibleCache | None = None) -> StageSummary:
    """The summary of one stage. `earlier_prompts`: what earlier stages sent to the same server (`evidence.reuse`);
    `prices`: of its endpoint; `cache`: what its server was sent before, kept up to date.

    Memory is bounded by a batch of records plus some 200 bytes a request.
    """
    wanted, recorded = wanted or Wanted(), run.count(stage)
    gathered = _Gathering(stage.window_ns, recorded, token_objectives(wanted.objectives))
    for batch in run.batches(stage):
        gathered.take(batch)
    summary = _summary(gathered, stage, run, wanted, earlier_prompts, prices or Prices())
    summary = replace(summary, cache=cache_of(gathered.table, stage, run, prices or Prices(), cache))
    summary = replace(summary, asked_s=asked_s(run, stage), recorded=recorded, losses=run.losses)
    sessions = sessions_of(run, stage, gathered.sessions)
    return summary if sessions is None else _with_sessions(summary, sessions, wanted)


def _with_sessions(summary: StageSummary, sessions: Sessions, wanted: Wanted) -> StageSummary:
    whole = sessions.whole
    totals = replace(summary.totals, sessions_finished=whole.finished, sessions_failed=whole.failed)
    found = {"session_duration": of_requests(whole.durations_s, whole.failed, wanted)}
    return replace(summary, sessions=sessions, totals=totals, distributions={**summary.distributions, **found},
                   judged={**summary.judged, **judged_sessions(wanted.objectives, whole.values_s)})


def sound_rows(sound: Sound | None, rows: int) -> dict[str, Floats]:
    """Seconds of sound that were sent and that came, for the columns of a stage's requests; NaN where there is none."""
    none = np.full(rows, np.nan)
    return {"audio_in_s": none, "audio_out_s": none} if sound is None else {
        "audio_in_s": sound.audio_in_s, "audio_out_s": sound.audio_out_s}


class _Gathering:
    """Keeps, of each batch, the columns of requests; of the chunks only samples and sums."""

    def __init__(self, window_ns: int, rows: int, objectives: Sequence[Objective] = ()) -> None:
        self.window_ns = window_ns
        self.objectives = objectives  # on gaps between tokens
        self.rows = rows
        self.filled = 0
        self.table: dict[str, np.ndarray[Any, Any]] = {}  # allocated whole, so that the heap does not fragment
        self.tokens = {"itl": Samples(), "icl": Samples()}
        self.unknown_low = {"itl": Samples(), "icl": Samples()}
        self.unknown_high = {"itl": Samples(), "icl": Samples()}
        self.stamped_ns = {"itl": 0, "icl": 0}  # over all gaps, censored ones too
        self.chunks = 0
        self.arrivals = np.zeros(streams.bins_of(window_ns), dtype=np.int64)
        self.tokens_by_second: defaultdict[int, float] = defaultdict(float)
        self.sessions: set[str] = set()  # that the requests name

    def take(self, batch: Batch) -> None:
        columns = batch.columns
        begun = begun_ns(columns)
        good = inside(begun, self.window_ns) & (batch.outcome == "ok")
        found = gaps(columns)
        self._keep_rows(batch, begun, found)
        self.sessions.update(str(note["session"]) for note in batch.notes or () if note and "session" in note)
        self._keep_gaps(found, good)
        self.chunks += int(columns.chunk_counts[good].sum())
        self.arrivals += streams.arrivals(columns.chunk_ns, self.window_ns)
        self._keep_seconds(columns.chunk_ns // 1_000_000_000, columns.chunk_tokens)

    def _keep_seconds(self, seconds: Ints, tokens: Ints) -> None:
        if not len(seconds):
            return
        starts = np.flatnonzero(np.concatenate([[True], seconds[1:] != seconds[:-1]]))
        found, inverse = np.unique(seconds[starts], return_inverse=True)
        sums = np.bincount(inverse, weights=np.add.reduceat(tokens, starts))
        for second, total in zip(found.tolist(), sums.tolist(), strict=True):
            self.tokens_by_second[second] += total

    def _keep_rows(self, batch: Batch, begun: Floats, between: Gaps) -> None:
        columns = batch.columns
        rows = {metric.name: metric.function(columns) for metric in of_level("request")}
        rows |= {
            "begun": begun, "sent": columns.send_ns, "ended": ended_ns(columns),
            "first_token": columns.first_token_ns, "delivered": delivered_tokens(columns),
            "tokens_inside": tokens_inside(columns, self.window_ns), "address": batch.address,
            "answered": np.where(np.isnan(columns.first_token_ns), columns.last_token_ns, columns.first_token_ns),
            "cached_tokens": columns.cached_tokens,
            **sound_rows(columns.sound, columns.rows),
            "tokens_of_choice": columns.tokens_of_a_choice, "streamed": columns.streamed,
            "chunks": columns.chunk_counts, "first_chunk": columns.first_chunk_tokens,
            "hidden": columns.hidden_reasoning_tokens,
            "outcome": batch.outcome, "tokens_source": batch.tokens_source, "stamp": batch.stamp,
            "tenant": batch.tenant if batch.tenant is not None else np.full(columns.rows, None, object),
            "finish_reason": batch.finish_reason,
            "remark": batch.remark, "tokens_known": columns.chunk_tokens_known & columns.single,
            "first_late": streams.first_late(columns),
            "first_earliest": streams.earliest_first_ns(columns, batch.headers_ns),
            "prompt": np.fromiter(map(hash, batch.prompt_id), np.int64, columns.rows), "lag_max": batch.lag_max_ns / NS,
            "prompt_tokens": batch.prompt_tokens, "server_input_tokens": batch.server_input_tokens,
            "max_output_tokens": batch.max_output_tokens, "due": columns.scheduled_ns, **batch.billed,
            **rows_of(batch.checks, columns.rows), **tasks.rows_of(batch.notes, columns.rows),
            **self._against_limits(between, columns.rows),
        }
        end = self.filled + columns.rows
        for name, values in rows.items():
            self.table.setdefault(name, np.empty(self.rows, values.dtype))[self.filled:end] = values
        self.filled = end

    def _against_limits(self, found: Gaps, rows: int) -> dict[str, Floats]:
        """Of each request, the gaps that each objective on tokens is about, and those above its limit."""
        columns: dict[str, Floats] = {}
        for objective in self.objectives:
            values, weights = METRICS[objective.metric].function(found)
            kept = found.known & ~np.isnan(values)
            above = kept & (values > objective.limit)
            for name, rows_of_it in ((gaps_of(objective), kept), (above_of(objective), above)):
                counted = np.bincount(found.row[rows_of_it], weights[rows_of_it].astype(np.float64), rows)
                columns[name] = np.asarray(counted, np.float64)
        return columns

    def _keep_gaps(self, found: Gaps, good: Bools) -> None:
        kept = good[found.row]
        known, unknown = kept & found.known, kept & ~found.known
        any_unknown = bool(unknown.any())
        for name, function in (("itl", itl), ("icl", icl)):
            values, weights = function(found)
            counted = ~np.isnan(values)
            self.tokens[name].add(values[known & counted], weights[known & counted])
            self.stamped_ns[name] += int(found.gap_ns[kept & counted].sum())
            if any_unknown:
                bounded = unknown & counted
                self.unknown_low[name].add(per_token_s(found.low_ns[bounded], weights[bounded]), weights[bounded])
                self.unknown_high[name].add(found.high_ns[bounded] / NS, weights[bounded])

    @property
    def gaps_censored(self) -> float:
        """Gaps between chunks that are known as intervals only."""
        return self.unknown_low["icl"].n

    @property
    def gaps(self) -> float:
        """All gaps between chunks."""
        return self.tokens["icl"].n + self.gaps_censored


def _summary(gathered: _Gathering, stage: Stage, run: Run, wanted: Wanted, earlier_prompts: Ints,
             prices: Prices) -> StageSummary:
    endpoint = run.endpoint(stage.endpoint)
    table = gathered.table or _EMPTY
    started = inside(table["begun"], gathered.window_ns)
    requests = Requests(table["begun"] / NS, table["ended"] / NS,
                        {name: table[name] for name in REQUEST_METRICS}, table["outcome"], started)
    completed = (table["outcome"] == "ok") & inside(table["ended"], gathered.window_ns)
    tenants = by_tenant(table, requests, completed, gathered.window_ns, Known(
        of_stage(run, stage), wanted.of_tenants, wanted, prices))
    totals = totals_of(gathered.window_ns, table, requests, completed, wanted.limits, endpoint.accelerators)
    totals = replace(totals, good=good_of(tenants, totals))
    window_s = gathered.window_ns / NS
    slow = wanted.threshold_tokens_per_s
    return StageSummary(
        stage=stage, endpoint=endpoint, totals=totals, distributions=_distributions(gathered, requests, totals, wanted),
        outcomes=dict(Counter(requests.outcome[started].tolist()).most_common()),
        evidence=evidence_of(table, requests, gathered.window_ns, chunks=gathered.chunks, gaps=gathered.gaps,
                             gaps_censored=gathered.gaps_censored, earlier_prompts=earlier_prompts,
                             users=stage.concurrency, stalls=streams.stalls(
                                 gathered.arrivals, table, gathered.tokens["icl"].percentiles((50.0,))[50.0])),
        intervals=_intervals(table, completed, window_s),
        timeline=timeline_of(requests, window_s, gathered.tokens_by_second), sample=sample_of(requests),
        slower_than_threshold=None if slow is None else _slower(requests, slow),
        safe_checks=safe_checks(table, requests, gathered.window_ns, wanted),
        output_lengths=output_lengths(table, requests.succeeded, run.exact_output(stage.prompt_set)),
        judged=judged(wanted.objectives, requests, _with_limits(table, wanted), gathered.tokens),
        tasks=by_task(table, requests, wanted), turns=by_turn(table, requests, wanted),
        contexts=by_context(table, requests, wanted),
        addresses=by_address(table, requests, gathered.window_ns, endpoint, wanted),
        prompt_source=run.prompt_source(stage.prompt_set), answers=run.answers(stage.prompt_set),
        spend=spend_of_all(table, completed, prices), tenants=tenants,
        service=service_of(table, gathered.window_ns))


_EMPTY: dict[str, np.ndarray[Any, Any]] = {
    **dict.fromkeys((*REQUEST_METRICS, "begun", "sent", "ended", "first_token", "answered", "cached_tokens", "chunks",
                     "delivered", "tokens_inside", "tokens_of_choice", "first_chunk", "hidden", "lag_max",
                     "prompt_tokens", "server_input_tokens", "max_output_tokens", "due", "first_earliest", "status",
                     "cache_write_tokens", "cache_write_1h_tokens", "audio_in_s", "audio_out_s"),
                    np.array([])),
    **EMPTY, **tasks.EMPTY,
    **dict.fromkeys(("streamed", "tokens_known", "first_late"), np.array([], dtype=bool)),
    **dict.fromkeys(("remark", "outcome", "tokens_source", "stamp", "finish_reason", "address", "tenant"),
                    np.array([], dtype=object)),
    "prompt": np.array([], dtype=np.int64),
}


def _with_limits(table: Mapping[str, Any], wanted: Wanted) -> Mapping[str, Any]:
    """The table with the columns of the objectives on tokens, also where there is no request."""
    names = [column(objective) for objective in token_objectives(wanted.objectives) for column in (above_of, gaps_of)]
    return {**dict.fromkeys(names, np.array([])), **table}


def _distributions(gathered: _Gathering, requests: Requests, totals: Totals,
                   wanted: Wanted) -> dict[str, Distribution]:
    good = requests.succeeded
    by_request = {name: of_requests(finite(values, good), totals.failed, wanted)
                  for name, values in requests.metrics.items()}
    by_token = {name: of_samples(gathered.tokens[name], gathered.unknown_low[name], gathered.unknown_high[name],
                                 gathered.stamped_ns[name] / NS, wanted) for name in gathered.tokens}
    return by_request | _with_bounds(by_request, gathered.table, good, wanted) | by_token


def _with_bounds(found: Mapping[str, Distribution], table: Mapping[str, Any], good: Bools,
                 wanted: Wanted) -> dict[str, Distribution]:
    """TTFT and TPOT with their bounds, where first tokens came in late reads: TTFT may be less, TPOT more."""
    if not good.any() or not table["first_late"][good].any():
        return {}
    earlier_s = (table["first_token"] - table["first_earliest"]) / NS
    rest = table["tokens_of_choice"] - table["first_chunk"]
    ttft, tpot = table["ttft"] - earlier_s, table["tpot"] + earlier_s / np.where(rest > 0, rest, np.nan)
    lows = of_requests(finite(ttft, good), 0, wanted).percentiles
    highs = of_requests(finite(tpot, good), 0, wanted).percentiles
    return {"ttft": replace(found["ttft"], low=lows, high=found["ttft"].percentiles),
            "tpot": replace(found["tpot"], low=found["tpot"].percentiles, high=highs)}


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


def pooled(summaries: Iterable[StageSummary]) -> dict[str, int]:
    """Outcomes of several stages, added up."""
    total: Counter[str] = Counter()
    for summary in summaries:
        total.update(summary.outcomes)
    return dict(total)
