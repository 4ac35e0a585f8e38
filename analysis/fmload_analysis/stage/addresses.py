"""Several addresses of one model: what each of them got in a stage, and how it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.metrics.definitions import NS, Bools, ratio
from fmload.model.outcome import NEITHER
from fmload.statistics.steady_state import RankTest, mann_whitney
from fmload.wire.url import split_url
from fmload_analysis.run import MeasuredEndpoint
from fmload_analysis.stage.distribution import Distribution, Wanted, of_requests
from fmload_analysis.stage.stats import finite
from fmload_analysis.stage.timeline import Requests


@dataclass(frozen=True, slots=True)
class AddressSummary:
    """One address in one stage. Requests are those that started inside the window; tokens those that arrived in it.

    `against_others`: its TTFT (E2E latency of answers that were not streamed) against that of all other addresses;
    None with fewer than eight requests on either side. `others_p50` is the median of the others.
    """

    address: str
    requests: int
    share: float
    failed: int
    counted: int  # succeeded or failed: what the client itself stopped is neither
    ttft: Distribution
    e2e: Distribution
    output_tokens_per_s: float | None
    against_others: RankTest | None
    latency_p50: float | None
    others_p50: float | None

    @property
    def error_rate(self) -> float | None:
        """Failed ÷ (failed + succeeded)."""
        return ratio(self.failed, self.counted)


def by_address(table: Mapping[str, Any], requests: Requests, window: int, endpoint: MeasuredEndpoint,
               wanted: Wanted) -> tuple[AddressSummary, ...]:
    """A summary of each address of the run file and of the records, in that order; empty when there is only one.

    `window` is in nanoseconds. A request that was never sent has no address, and is not in here.
    """
    asked = [str(split_url(url)[0]) for url in endpoint.urls]
    seen = sorted(address for address in table["address"].counted() if address)
    addresses = list(dict.fromkeys([*asked, *seen]))
    if len(addresses) < 2:
        return ()
    sent = requests.in_window & (table["address"] != "")
    return tuple(_summary(address, table, requests, sent, window, wanted) for address in addresses)


def _summary(address: str, table: Mapping[str, Any], requests: Requests, sent: Bools, window: int,
             wanted: Wanted) -> AddressSummary:
    here = table["address"] == address
    mine, good = sent & here, requests.succeeded & here
    counted = mine & ~requests.outcome.isin(NEITHER)
    failed = int((counted & (requests.outcome != "ok")).sum())
    latency = requests.metrics["ttft"] if (table["streamed"] & requests.succeeded).any() else requests.metrics["e2e"]
    own, others = finite(latency, good), finite(latency, requests.succeeded & ~here)
    return AddressSummary(
        address, int(mine.sum()), float(mine.sum() / sent.sum()) if sent.any() else 0.0, failed, int(counted.sum()),
        ttft=of_requests(finite(requests.metrics["ttft"], good), failed, wanted),
        e2e=of_requests(finite(requests.metrics["e2e"], good), failed, wanted),
        output_tokens_per_s=ratio(float(table["tokens_inside"][here].sum()), window / NS),
        against_others=mann_whitney(others, own),
        latency_p50=float(np.median(own)) if len(own) else None,
        others_p50=float(np.median(others)) if len(others) else None)
