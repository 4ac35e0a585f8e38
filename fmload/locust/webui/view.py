"""What the Tokens tab shows, from the collector's live state. Numbers for a screen; reports come from the records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from fmload.live.counts import Counts
from fmload.live.seconds import KEPT_SECONDS
from fmload.live.state import SECONDLY, SETTLING_S, spend_line, stages_in_all
from fmload.master.collector import Collector
from fmload.master.spend import lasted_s
from fmload.metrics.histogram import quantile_s
from fmload.metrics.live import watched

NS = 1_000_000_000


SOUND = ("first_text", "first_audio")  # of requests whose tokens, if a server counts any, are not text as it comes


class LiveView:
    """Feeds the tab from the collector of the current or the last run, if there was one."""

    def __init__(self, collector: Callable[[], Collector | None]) -> None:
        self._collector = collector

    def page(self) -> dict[str, Any]:
        """State in a sentence, series by the second, windows, workers: see tokens.js. Times in seconds of the epoch."""
        collector = self._collector()
        if collector is None:
            return {"state": "No run yet.", "without_text": False, "seconds": _series([]), "stages": [], "workers": [],
                    "tenants": []}
        snapshot = collector.live.snapshot(_now_ns(collector), collector.wall_anchor_ns, KEPT_SECONDS)
        workers = [_worker(collector, row) for row in snapshot["workers"]]
        return {"state": _sentence(collector), "without_text": self.without_text,
                "seconds": _series(snapshot["series"]), "stages": list(_windows(collector)), "workers": workers,
                "tenants": list(_tenants(collector))}

    @property
    def without_text(self) -> bool:
        """Whether requests have succeeded and none made a token: what is shown of tokens and gaps would stay empty."""
        groups = self._groups()
        made = any(counts.output_tokens for counts in groups) and not self.measured & set(SOUND)
        return any(counts.outcomes["ok"] for counts in groups) and not made

    @property
    def measured(self) -> set[str]:
        """The watched metrics that some request had."""
        return {name for counts in self._groups() for name, found in counts.histograms.items() if found}

    def _groups(self) -> list[Counts]:
        collector = self._collector()
        return list(collector.live.by_endpoint_now().values()) if collector is not None else []

    @property
    def with_images(self) -> bool:
        """Whether images have been made."""
        return any(counts.images for counts in self._groups())

    def rows(self) -> list[dict[str, Any]]:
        """One row an endpoint and prompt set, over all its stages so far; warm-up and ramp are in it."""
        collector = self._collector()
        if collector is None:
            return []
        return [_row(endpoint, prompt_set, totals, _served_s(collector, endpoint, prompt_set),
                     collector.spend.usd_of(endpoint, prompt_set))
                for (endpoint, prompt_set), totals in collector.live.by_endpoint_now().items()]


def _now_ns(collector: Collector) -> int:
    """Now; of a run that has ended, the last second in which something happened, so that the charts stay."""
    if collector.live.run.get("phase") not in ("ended", "interrupted", "failed"):
        return time.monotonic_ns()
    last = max(collector.live.seconds, default=0)
    return min(time.monotonic_ns(), (last + SETTLING_S + 1) * NS)


def _sentence(collector: Collector) -> str:
    run = collector.live.run
    phase = run.get("phase", "preparing")
    whole = stages_in_all({"stages_in_all": len(collector.stages), **run})
    parts = [f"{run.get('stages_done', 0)} of {whole} stages done", phase]
    if run.get("labels"):
        parts.append("  |  ".join(run["labels"]))
    parts += [run["waits_for"]] if run.get("waits_for") else []
    left_ns = (run.get("until_ns") or 0) - time.monotonic_ns()
    if left_ns > 0:
        parts.append(f"{'at most ' if run.get('waits_for') else ''}{left_ns / NS:.0f} s left")
    parts += [told] if (told := spend_line(run)) else []
    parts += [run["error"]] if run.get("error") else []
    return " · ".join(parts) + f" · results in {collector.results.root}"


def _series(points: list[dict[str, Any]]) -> dict[str, Any]:
    names = sorted({name for point in points for name in point["errors"]})
    series: dict[str, Any] = {
        "at_s": [point["at"] for point in points],
        "output_tokens": [point["output_tokens"] for point in points],
        "in_flight": [point["in_flight"] for point in points],
        "completed": [point["requests"] for point in points],
        "good": [point["good"] for point in points],
        "errors": {name: [point["errors"].get(name, 0) for point in points] for name in names},
    }
    if any(point["client_failures"] for point in points):
        series["errors"]["client"] = [point["client_failures"] for point in points]
    for metric in SECONDLY:
        for p in ("p50", "p95", "p99"):
            series[f"{metric}_{p}_ms"] = [_ms(point[f"{metric}_{p}_s"]) for point in points]
    return series


def _windows(collector: Collector) -> Iterable[dict[str, Any]]:
    """One band a step: stages side by side share their window."""
    shown: set[int] = set()
    for stage in collector.stages:
        if not stage.window_start_ns or stage.step in shown:
            continue
        shown.add(stage.step)
        yield {"label": stage.label, "short": f"{stage.load.value:g}{'' if stage.load.kind == 'concurrency' else '/s'}",
               "from_s": (stage.window_start_ns + collector.wall_anchor_ns) / NS,
               "to_s": (stage.window_end_ns + collector.wall_anchor_ns) / NS if stage.window_end_ns else None}


def _worker(collector: Collector, row: dict[str, Any]) -> dict[str, Any]:
    entry = collector.workers.get(row["worker"])
    lost = entry is not None and entry.lost_ns is not None
    return {"worker": row["worker"], "host": entry.host if entry else None, "state": "lost" if lost else "there",
            "in_flight": row["in_flight"], "stamp": entry.stamp if entry else None,
            "cpu": None if row.get("cpu_fraction") is None else 100 * row["cpu_fraction"],
            "loop_lag_p99_ms": _ms_of_ns(row.get("loop_lag_p99_ns")),
            "stamp_lag_p99_ms": _ms_of_ns(row.get("stamp_lag_p99_ns"))}


def _tenants(collector: Collector) -> Iterable[dict[str, Any]]:
    """One row an endpoint and tenant, over all stages so far, of requests that have ended; those of nobody in
    particular have no name. Nothing where no request is a tenant's."""
    merged: dict[tuple[str, str], Counts] = {}
    for (endpoint, _, tenant), totals in (collector.live.by_tenant() if collector.live.tenants else {}).items():
        merged.setdefault((endpoint, tenant), Counts()).add(totals)
    for (endpoint, tenant), totals in merged.items():
        counted = totals.outcomes["ok"] + sum(totals.errors.values())
        yield {"tenant": tenant, "endpoint": endpoint, "requests": totals.requests,
               "errors": sum(totals.errors.values()), "output_tokens": totals.output_tokens,
               "good_percent": 100 * totals.good / counted if counted else None,
               **{f"{metric}_{p}_ms": _ms(quantile_s(totals.histograms.get(metric, {}), q))
                  for metric in ("ttft", "e2e") for p, q in (("p50", .5), ("p95", .95))}}


def _served_s(collector: Collector, endpoint: str, prompt_set: str) -> float:
    """Seconds for which stages of this endpoint and prompt set have been on."""
    begun = {stage.ramp_start_ns: stage for stage in collector.stages
             if (stage.endpoint, stage.prompt_set) == (endpoint, prompt_set)}
    return sum(lasted_s(stage) for stage in begun.values())


def _row(endpoint: str, prompt_set: str, totals: Counts, served_s: float,
         cost_usd: float | None) -> dict[str, Any]:
    quantiles = {f"{metric.name}_{p}_ms": _ms(quantile_s(totals.histograms.get(metric.name, {}), q))
                 for metric in watched() for p, q in (("p50", .5), ("p95", .95), ("p99", .99))}
    return {"name": f"{endpoint} · {prompt_set}", "requests": totals.requests, "errors": sum(totals.errors.values()),
            "client_failures": totals.outcomes["client"], "cancelled": totals.outcomes["cancelled"], **quantiles,
            "images": totals.images, "images_per_minute": 60 * totals.images / served_s if served_s else None,
            "output_tokens_per_s": totals.output_tokens / served_s if served_s else None,
            "input_tokens": totals.input_tokens, "output_tokens": totals.output_tokens, "cost_usd": cost_usd}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _ms_of_ns(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6
