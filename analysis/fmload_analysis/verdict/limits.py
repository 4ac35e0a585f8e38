"""Which resource was the limit of a stage, with the evidence: rules over what the endpoint told of itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fmload.metrics.definitions import ratio
from fmload_analysis.stage.gauges import Floats, Gauge, Quantity

FULL = 0.9  # a cache or an accelerator that is so full or busy at the median leaves no room
BANDWIDTH = 0.7  # what decoding reaches of the memory's bandwidth when it is bound by it
QUEUES = 1.0  # requests that wait at the median
SAME = 0.95
HOST_FULL = 0.95  # of all cores of a host; what is above leaves a worker to wait for its turn


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit's name, and the sentence that shows it. `unknown` where nothing tells."""

    name: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Medians of a stage's window; None where the endpoint does not tell. `most_running` is of the whole run."""

    running: float | None = None
    most_running: float | None = None
    waiting: float | None = None
    kv_cache: float | None = None
    accelerator: float | None = None
    memory_bandwidth: float | None = None
    preemptions: float | None = None
    power_w: float | None = None  # mean, of all accelerators
    most_waiting: float | None = None  # in the window
    client_host_cpu: float | None = None  # mean, of all cores of the load generator's busiest host


def observed(gauges: Mapping[Quantity, Gauge], start_ns: int, end_ns: int, preemptions: float | None,
             client_host_cpu: float | None = None) -> Observed:
    """What the gauges say of a window."""
    def within(quantity: Quantity) -> Floats:
        return gauges[quantity].within(start_ns, end_ns) if quantity in gauges else np.array([])

    def median(quantity: Quantity) -> float | None:
        values = within(quantity)
        return float(np.median(values)) if len(values) else None

    power, waiting = within("power"), within("waiting")
    return Observed(
        median("running"), float(gauges["running"].value.max()) if "running" in gauges else None, median("waiting"),
        median("kv_cache"), median("accelerator"), median("memory_bandwidth"), preemptions,
        float(power.mean()) if len(power) else None, float(waiting.max()) if len(waiting) else None, client_host_cpu)


def limit_of(seen: Observed, client: Sequence[str] = ()) -> Limit:
    """The first rule that holds, from the nearest to the client inwards.

    `client`: what the audit says of a load generator that was the limit; empty when it was not.
    """
    if client:
        return Limit("load generator", f"{' '.join(client)} The endpoint may have had room")
    return _cache(seen) or _batch(seen) or _accelerator(seen) or _client_host(seen) or _none(seen)


def _cache(seen: Observed) -> Limit | None:
    if seen.preemptions:
        return Limit("KV cache", f"{seen.preemptions:.0f} requests were preempted: the cache could not hold the batch")
    if seen.kv_cache is not None and seen.kv_cache >= FULL:
        return Limit("KV cache", f"{seen.kv_cache:.0%} of it in use at the median")
    return None


def _batch(seen: Observed) -> Limit | None:
    """Requests wait though the batch is as large as it ever was and the cache has room: it has no more places."""
    if seen.waiting is None or seen.waiting < QUEUES or seen.running is None or not seen.most_running:
        return None
    if seen.running < SAME * seen.most_running:
        return Limit("queue", f"{seen.waiting:.3g} requests waited at the median beside a batch of {seen.running:.3g}: "
                              "prompts were taken in more slowly than they came")
    room = f", with {seen.kv_cache:.0%} of the KV cache in use" if seen.kv_cache is not None else ""
    return Limit("batch size", f"{seen.waiting:.3g} requests waited at the median beside a full batch of "
                               f"{seen.running:.3g}{room}")


def _accelerator(seen: Observed) -> Limit | None:
    if seen.memory_bandwidth is not None and seen.memory_bandwidth >= BANDWIDTH:
        return Limit("memory bandwidth", f"{seen.memory_bandwidth:.0%} of it in use at the median")
    if seen.accelerator is not None and seen.accelerator >= FULL:
        return Limit("accelerator", f"busy {seen.accelerator:.0%} of the time at the median, with "
                     + ("no queue" if not seen.waiting else f"{seen.waiting:.3g} requests waiting"))
    return None


def _client_host(seen: Observed) -> Limit | None:
    """Nothing of the endpoint was full, and the host of the load generator was."""
    if seen.client_host_cpu is None or seen.client_host_cpu < HOST_FULL:
        return None
    return Limit("load generator's host", f"all its cores were {seen.client_host_cpu:.0%} busy, and nothing that the "
                                          "endpoint tells of was full")


def _none(seen: Observed) -> Limit:
    most = f" (at most {seen.most_waiting:.3g})" if (seen.most_waiting or 0) > (seen.waiting or 0) else ""
    told = [text for value, text in (
        (seen.waiting, f"{seen.waiting or 0:.3g} requests waited{most}"),
        (seen.kv_cache, f"{seen.kv_cache or 0:.0%} of the KV cache in use"),
        (seen.accelerator, f"accelerators busy {seen.accelerator or 0:.0%} of the time")) if value is not None]
    if not told:
        return Limit("unknown", "no collector tells of queue, cache or accelerators")
    return Limit("load", f"nothing that the endpoint tells of was full: {', '.join(told)}, at the median")


def tokens_per_joule(output_tokens_per_s: float | None, power_w: float | None) -> float | None:
    """Output tokens a second ÷ mean power of the accelerators; None where one is not known."""
    return ratio(output_tokens_per_s, power_w)
