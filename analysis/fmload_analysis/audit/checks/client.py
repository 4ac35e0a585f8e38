"""The load generator as the limit."""

from __future__ import annotations

from fmload.base.units import format_duration
from fmload_analysis.audit.facts import FAIL, PASS, WARN, Facts
from fmload_analysis.verdict.table import Check

HOST_FULL = 0.95


def client_failures(facts: Facts) -> Check | None:
    """Requests in which the load generator itself broke down: they say nothing of the endpoint."""
    broken = facts.summary.outcomes.get("client", 0)
    if not broken:
        return None
    return Check(5, "no failure of the client", FAIL,
                 f"In {broken} of {facts.summary.totals.started} requests the load generator itself failed "
                 "(descriptors, ports, memory or a bug; the errors tell which): they count neither as answers nor as "
                 "errors of the endpoint.", {"failed": broken, "started": facts.summary.totals.started},
                 client_bound=True)


def client_cpu(facts: Facts) -> Check | None:
    """CPU of the busiest worker, and of its host, which may have other work."""
    busy = [worker for worker in facts.health if worker.cpu_mean is not None]
    if not busy:
        return None
    worst = max(busy, key=lambda worker: worker.cpu_mean or 0.0)
    mean = worst.cpu_mean or 0.0
    result = FAIL if mean > 0.95 else WARN if mean > 0.8 else PASS
    return Check(5, "client CPU", result, f"The busiest worker ({worst.worker}) used {mean:.0%} of a core"
                 + (": the client was the limit." if result == FAIL else "."),
                 {"worker": worst.worker, "cpu_mean": mean}, client_bound=result == FAIL)


def client_host(facts: Facts) -> Check | None:
    """CPU of the busiest host of workers: what else runs there takes what they may need at any moment."""
    told = [worker for worker in facts.health if worker.host_cpu_mean is not None]
    if not told:
        return None
    worst = max(told, key=lambda worker: worker.host_cpu_mean or 0.0)
    mean = worst.host_cpu_mean or 0.0
    return Check(5, "client host's CPU", WARN if mean > HOST_FULL else PASS,
                 f"All cores of the host of {worst.worker} were {mean:.0%} busy, by the workers or by others"
                 + (": give the load generator more cores, or the server a host of its own." if mean > HOST_FULL
                    else "."), {"worker": worst.worker, "host_cpu_mean": mean})


def client_lag(facts: Facts) -> Check | None:
    """Event-loop lag against the measured latencies. Kernel stamps keep it out of arrivals, not out of sends."""
    lags = [worker for worker in facts.health if worker.loop_lag_p99_s is not None]
    latency = facts.latency_s
    if not lags or not latency:
        return None
    worst = max(lags, key=lambda worker: worker.loop_lag_p99_s or 0.0)
    lag = worst.loop_lag_p99_s or 0.0
    stamps = facts.summary.evidence.stamp
    by_kernel = stamps.get("kernel", 0) > 0.99 * sum(stamps.values())
    share = lag / latency
    result = PASS if share <= 0.1 else FAIL if share > (2.0 if by_kernel else 0.5) else WARN
    return Check(5, "client event-loop lag", result,
                 f"The loop of {worst.worker} lagged {format_duration(lag)} (p99 of a typical second), {share:.1%} of "
                 f"the median {'TTFT' if facts.value('ttft_p50') else 'E2E'}; arrivals were stamped by the "
                 f"{'kernel' if by_kernel else 'client'}.",
                 {"worker": worst.worker, "loop_lag_p99_s": lag, "share_of_latency": share},
                 client_bound=result == FAIL)


def stamping_delay(facts: Facts) -> Check | None:
    """User-space stamp minus kernel stamp against the gap between tokens: how long arrivals waited for the client."""
    delay, gap = facts.summary.evidence.lag_max_p99_s, facts.value("itl_p50") or facts.value("icl_p50")
    if delay is None or not facts.summary.evidence.stamp.get("kernel"):
        return None
    share = delay / gap if gap else 0.0
    return Check(5, "stamping delay", WARN if share > 1.0 else PASS,
                 f"In 99 % of the requests no token waited longer than {format_duration(delay)} for the client"
                 + (", longer than the median gap between tokens: reads held several." if share > 1.0 else "."),
                 {"lag_max_p99_s": delay, "share_of_itl": share})
