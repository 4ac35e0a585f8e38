"""The live state as Prometheus metric families: the one list of names, for the text and for OTLP alike.

Base units and name endings as Prometheus's "Metric and label naming" asks. Counts are of the whole run, warm-ups
and drains included: for watching a run, not for its report. Nothing here knows Locust.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from fmload.base.version import __version__
from fmload.live.counts import Counts
from fmload.master.collector import Collector
from fmload.metrics.histogram import Histogram, middles_s, quantile_s
from fmload.metrics.live import watched
from fmload.model.stage import Stage

BOUNDS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
            1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# key of a health sample: name, what it is, what turns its value into the unit of the name
_HEALTH = {
    "cpu_fraction": ("fmload_worker_cpu_ratio", "CPU of a worker; 1 is one core.", 1.0),
    "rss_bytes": ("fmload_worker_resident_memory_bytes", "Memory of a worker.", 1.0),
    "loop_lag_p99_ns": ("fmload_worker_loop_lag_p99_seconds", "Lag of a worker's event loop, p99 of a second.", 1e-9),
    "stamp_lag_p99_ns": ("fmload_worker_stamp_lag_p99_seconds",
                         "User-space stamp minus kernel stamp, p99 of a second.", 1e-9),
    "send_late_p99_ns": ("fmload_worker_send_lateness_p99_seconds",
                         "Lateness of sends against their schedule, p99 of a second.", 1e-9),
}
_LABELS = ("endpoint", "prompt_set")
Groups = Mapping[Any, Counts]  # by the values of the labels


def families(collector: Collector | None) -> Iterator[Metric]:
    """Every metric of the run that is on, or was last; only `fmload_build_info` before the first."""
    yield _gauge("fmload_build_info", "The version of fmload.", ["version"], [([__version__], 1)])
    if collector is None:
        return
    live = collector.live
    labels = (*_LABELS, "tenant") if live.tenants else _LABELS
    groups: Groups = live.by_tenant() if live.tenants else live.by_endpoint()
    yield from _counts(groups, labels)
    yield from _latencies(groups, labels)
    yield from _under_way(live.under_way())
    yield from _money(collector)
    yield from _run(collector)
    yield from _workers(collector)


def _counts(groups: Groups, labels: Sequence[str]) -> Iterator[Metric]:
    requests = CounterMetricFamily("fmload_requests", "Requests that have ended.", labels=[*labels, "outcome"])
    good = CounterMetricFamily("fmload_good_requests", "Requests that met all limits of objectives.", labels=labels)
    made = CounterMetricFamily("fmload_output_tokens", "Output tokens of the requests that have ended.", labels=labels)
    given = CounterMetricFamily("fmload_input_tokens", "Input tokens of the requests that have ended.", labels=labels)
    for group, totals in groups.items():
        for outcome, count in sorted(totals.outcomes.items()):
            requests.add_metric([*group, outcome], count)
        good.add_metric(group, totals.good)
        made.add_metric(group, totals.output_tokens)
        given.add_metric(group, totals.input_tokens)
    yield from (requests, good, made, given)


def _money(collector: Collector) -> Iterator[Metric]:
    spend = collector.spend
    spent = ((group, spend.usd_of(*group)) for group in dict.fromkeys(
        (stage.endpoint, stage.prompt_set) for stage in collector.stages if stage.ramp_start_ns))
    yield _gauge("fmload_spent_usd", "What the run has cost, where the price is known.",
                 _LABELS, [(list(group), usd) for group, usd in spent if usd is not None])
    yield _gauge("fmload_wasted_usd", "Of what tokens cost, what did not go to requests that ended well in a window.",
                 [], [([], spend.usd_wasted())])
    if collector.max_cost is not None:
        yield _gauge("fmload_max_cost_usd", "The limit of the run.", [], [([], collector.max_cost)])


def _latencies(groups: Groups, labels: Sequence[str]) -> Iterator[Metric]:
    for metric in watched():
        text = f"{metric.title}: {metric.definition.partition('. ')[0].rstrip('.')}."
        family = HistogramMetricFamily(metric.family_name, text, labels=labels)
        for group, totals in groups.items():
            if histogram := totals.histograms.get(metric.name):
                buckets, sum_s = cumulative(histogram)
                family.add_metric(group, buckets=buckets, sum_value=sum_s)
        yield family


def _under_way(groups: Groups) -> Iterator[Metric]:
    """Gauges, for they go back when a request ends and its histogram takes over."""
    for name, title in (("ttft", "Time to first token"), ("icl", "Gaps between reads")):
        for q in (0.5, 0.95):
            rows = [(list(group), value) for group, totals in groups.items()
                    if (value := quantile_s(totals.histograms.get(name, {}), q)) is not None]
            yield _gauge(f"fmload_under_way_{name}_p{q * 100:.0f}_seconds",
                         f"{title} of the requests that have not ended, p{q * 100:.0f}.", _LABELS, rows)


def cumulative(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """(`le`, count up to it) for BOUNDS_S and +Inf, and the sum in seconds, of an HDR histogram.

    A value counts as the middle of its HDR bucket: counts and sum are those of values within 0.4 % of the true ones.
    """
    counts = [0] * (len(BOUNDS_S) + 1)
    numbers = list(histogram)
    middles = middles_s(np.array(numbers, np.int64))
    for number, middle in zip(numbers, middles.tolist(), strict=True):
        counts[bisect_left(BOUNDS_S, middle)] += histogram[number]
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    sum_s = float(middles @ np.array([histogram[number] for number in numbers]))
    return list(zip(bounds, map(float, accumulate(counts)), strict=True)), sum_s


def _run(collector: Collector) -> Iterator[Metric]:
    run, stages = collector.live.run, collector.stages
    yield _gauge("fmload_run_phase", "1 for the phase that the run is in.", ["phase"],
                 [([run.get("phase", "preparing")], 1)])
    yield _gauge("fmload_stages_planned", "Stages of the run.", [], [([], len(stages))])
    yield _gauge("fmload_stages_done", "Stages that are done.", [], [([], sum(one.status == "done" for one in stages))])
    running = [one for one in stages if one.status == "running"]
    labels = [*_LABELS, "stage", "load"]
    yield _gauge("fmload_stage_info", "The stages that are on.", labels, [(_named(one), 1) for one in running])
    yield _gauge("fmload_offered_concurrency", "Users that the stages ask for.", _LABELS,
                 _offered(running, "concurrency"))
    yield _gauge("fmload_offered_requests_per_second", "Arrivals that the stages ask for.", _LABELS,
                 _offered(running, "rate"))


def _named(stage: Stage) -> list[str]:
    return [stage.endpoint, stage.prompt_set, str(stage.stage), stage.load.text]


def _offered(running: Iterable[Stage], kind: str) -> list[tuple[list[str], float]]:
    return [([one.endpoint, one.prompt_set], one.load.value) for one in running if one.load.kind == kind]


def _workers(collector: Collector) -> Iterator[Metric]:
    states = sorted(collector.live.workers.items())
    yield _gauge("fmload_requests_in_flight", "Requests under way.", ["worker"],
                 [([worker], state.in_flight) for worker, state in states])
    yield _gauge("fmload_worker_up", "0 for a worker that was lost.", ["worker"],
                 [([worker], float(entry.lost_ns is None)) for worker, entry in sorted(collector.workers.items())])
    for key, (name, text, factor) in _HEALTH.items():
        yield _gauge(name, text, ["worker"], [([worker], state.health[key] * factor) for worker, state in states
                                              if state.health.get(key) is not None])


def _gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family: Any = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family  # type: ignore[no-any-return]
