"""One summary a stage, from its records: distributions, totals, outcomes, and the evidence that the audit judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fmload.metrics.definitions import (
    NS,
    Bools,
    Floats,
    Ints,
    Totals,
    of_level,
)
from fmload.model.stage import Stage
from fmload.model.verdict import Judged
from fmload.statistics.intervals import Interval, throughput_interval
from fmload_analysis.records.memory import give_back
from fmload_analysis.records.words import Words
from fmload_analysis.run import MeasuredEndpoint, Run
from fmload_analysis.stage import streams, tasks
from fmload_analysis.stage.addresses import AddressSummary, by_address
from fmload_analysis.stage.cache_truth import CacheTruth, PossibleCache, cache_of
from fmload_analysis.stage.distribution import Distribution, Wanted, of_requests, of_samples
from fmload_analysis.stage.evidence import Evidence, evidence_of
from fmload_analysis.stage.gathering import Gathering
from fmload_analysis.stage.judging import above_of, gaps_of, judged, judged_sessions, ranks_of, token_objectives
from fmload_analysis.stage.offered import asked_s
from fmload_analysis.stage.output_lengths import OutputLengths, output_lengths
from fmload_analysis.stage.reuse import NO_PROMPTS
from fmload_analysis.stage.safe_checks import EMPTY, SafeChecks, safe_checks
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.sessions import Sessions, sessions_of
from fmload_analysis.stage.spend import Prices, Spend, spend_of_all
from fmload_analysis.stage.stats import finite
from fmload_analysis.stage.table import KEPT_ROWS, in_blocks
from fmload_analysis.stage.tasks import TaskSummary, by_context, by_task, by_turn
from fmload_analysis.stage.tenants import Known, TenantSummary, by_tenant, good_of, of_stage, service_of
from fmload_analysis.stage.timeline import Requests, Timeline, sample_of, timeline_of
from fmload_analysis.stage.totals import totals_of
from fmload_analysis.stage.windows import inside


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

    Memory is bounded by a batch of records plus some 80 bytes a request.
    """
    wanted = wanted or Wanted()
    gathered = Gathering(stage.window_ns, token_objectives(wanted.objectives))
    for batch in run.batches(stage):
        gathered.take(batch)
    _give_back(gathered)
    if not gathered.gaps.exact:
        _look_again(gathered, run, stage, wanted)
    summary = _summary(gathered, stage, run, wanted, earlier_prompts, prices or Prices())
    summary = replace(summary, cache=cache_of(gathered.table, stage, run, prices or Prices(), cache),
                      asked_s=asked_s(run, stage), recorded=gathered.table.rows, losses=run.losses)
    sessions = sessions_of(run, stage, gathered.sessions)
    return summary if sessions is None else _with_sessions(summary, sessions, wanted)


def _give_back(gathered: Gathering) -> None:
    if gathered.table.rows > KEPT_ROWS:  # of a small stage it is little
        give_back()


def _look_again(gathered: Gathering, run: Run, stage: Stage, wanted: Wanted) -> None:
    """Reads the chunks once more, for the exact percentiles of more gaps than were kept."""
    requests = Requests.of(gathered.table, gathered.window_ns)
    ranks = ranks_of(wanted.objectives, requests, gathered.table)
    gathered.gaps.seek({50.0, *wanted.percentiles}, ranks)
    for columns, outcome in run.chunks(stage):
        gathered.take_again(columns, outcome)
    _give_back(gathered)


def _with_sessions(summary: StageSummary, sessions: Sessions, wanted: Wanted) -> StageSummary:
    whole = sessions.whole
    totals = replace(summary.totals, sessions_finished=whole.finished, sessions_failed=whole.failed)
    found = {"session_duration": of_requests(whole.durations_s, whole.failed, wanted)}
    return replace(summary, sessions=sessions, totals=totals, distributions={**summary.distributions, **found},
                   judged={**summary.judged, **judged_sessions(wanted.objectives, whole.values_s)})


def _summary(gathered: Gathering, stage: Stage, run: Run, wanted: Wanted, earlier_prompts: Ints,
             prices: Prices) -> StageSummary:
    endpoint = run.endpoint(stage.endpoint)
    table: Mapping[str, Any] = gathered.table if gathered.table.rows else _empty(wanted)
    requests = Requests.of(table, gathered.window_ns)
    known = gathered.gaps.known
    completed = requests.ok & inside(table["ended"], gathered.window_ns)
    tenants = by_tenant(table, requests, completed, gathered.window_ns, Known(
        of_stage(run, stage), wanted.of_tenants, wanted, prices))
    totals = totals_of(gathered.window_ns, table, requests, completed, wanted.limits, endpoint.accelerators)
    totals = replace(totals, good=good_of(tenants, totals))
    window_s = gathered.window_ns / NS
    slow = wanted.threshold_tokens_per_s
    return StageSummary(
        stage=stage, endpoint=endpoint, totals=totals, distributions=_distributions(gathered, known, requests, wanted),
        outcomes=dict(requests.outcome[requests.in_window].counted().most_common()),
        intervals=_intervals(table, completed, window_s),
        timeline=timeline_of(requests, window_s, gathered.arrivals.tokens_by_second), sample=sample_of(requests),
        slower_than_threshold=None if slow is None else _slower(requests, slow),
        safe_checks=safe_checks(table, requests, gathered.window_ns, wanted),
        output_lengths=output_lengths(table, requests.succeeded, run.exact_output(stage.prompt_set)),
        judged=judged(wanted.objectives, requests, table, known),
        tasks=by_task(table, requests, wanted), turns=by_turn(table, requests, wanted),
        contexts=by_context(table, requests, wanted),
        addresses=by_address(table, requests, gathered.window_ns, endpoint, wanted),
        prompt_source=run.prompt_source(stage.prompt_set), answers=run.answers(stage.prompt_set),
        spend=spend_of_all(table, completed, prices, gathered.window_ns), tenants=tenants,
        service=service_of(table, gathered.window_ns),
        evidence=evidence_of(  # last: it holds all prompts
            table, requests, gathered.window_ns, chunks=gathered.chunks, gaps=gathered.gaps.n,
            gaps_censored=gathered.gaps.censored, earlier_prompts=earlier_prompts, users=stage.concurrency,
            stalls=streams.stalls(gathered.arrivals.came, table, known["icl"].percentiles((50.0,))[50.0])))


_EMPTY: dict[str, Any] = {
    **dict.fromkeys(("begun", "sent", "ended", "first_token", "answered", "cached_tokens", "chunks",
                     "delivered", "tokens_inside", "tokens_of_choice", "first_chunk", "hidden", "lag_max",
                     "prompt_tokens", "server_input_tokens", "max_output_tokens", "due", "first_earliest", "status",
                     "cache_write_tokens", "cache_write_1h_tokens", "audio_in_s", "audio_out_s"),
                    np.array([])),
    **EMPTY, **tasks.EMPTY,
    **dict.fromkeys(("streamed", "tokens_known", "first_late"), np.array([], dtype=bool)),
    **dict.fromkeys(("remark", "outcome", "tokens_source", "stamp", "finish_reason", "address", "tenant"),
                    Words.of(())),
    "prompt": np.array([], dtype=np.int64),
}


def _empty(wanted: Wanted) -> dict[str, Any]:
    """The table of a stage without a record."""
    names = [metric.name for metric in of_level("request")]
    names += [column(objective) for objective in token_objectives(wanted.objectives) for column in (above_of, gaps_of)]
    return {**_EMPTY, **dict.fromkeys(names, np.array([]))}


def _distributions(gathered: Gathering, known: Mapping[str, Samples], requests: Requests,
                   wanted: Wanted) -> dict[str, Distribution]:
    good, failed = requests.succeeded, int((requests.in_window & requests.failed).sum())
    by_request = {metric.name: of_requests(finite(requests.metrics[metric.name], good), failed, wanted)
                  for metric in of_level("request")}
    between = gathered.gaps
    by_token = {name: of_samples(known[name], between.low[name], between.high[name], between.stamped_ns[name] / NS,
                                 wanted) for name in known}
    return by_request | _with_bounds(by_request, requests.metrics, good, wanted) | by_token


def _with_bounds(found: Mapping[str, Distribution], table: Mapping[str, Any], good: Bools,
                 wanted: Wanted) -> dict[str, Distribution]:
    """TTFT and TPOT with their bounds, where first tokens came in late reads: TTFT may be less, TPOT more."""
    if not good.any() or not table["first_late"][good].any():
        return {}
    lows = of_requests(finite(in_blocks(table, _least_ttft), good), 0, wanted).percentiles
    highs = of_requests(finite(in_blocks(table, _most_tpot), good), 0, wanted).percentiles
    return {"ttft": replace(found["ttft"], low=lows, high=found["ttft"].percentiles),
            "tpot": replace(found["tpot"], low=found["tpot"].percentiles, high=highs)}


def _earlier_s(table: Mapping[str, Any]) -> Floats:
    """By how much each first token may have come earlier than it was read."""
    return (table["first_token"] - table["first_earliest"]) / NS  # type: ignore[no-any-return]


def _least_ttft(table: Mapping[str, Any]) -> Floats:
    return table["ttft"] - _earlier_s(table)  # type: ignore[no-any-return]


def _most_tpot(table: Mapping[str, Any]) -> Floats:
    rest = table["tokens_of_choice"] - table["first_chunk"]
    return table["tpot"] + _earlier_s(table) / np.where(rest > 0, rest, np.nan)  # type: ignore[no-any-return]


def _intervals(table: Mapping[str, Any], completed: Bools, window_s: float) -> dict[str, Interval]:
    ended = table["ended"][completed] / NS
    found = {"requests_per_s": throughput_interval(ended, np.broadcast_to(1.0, len(ended)), window_s),
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
