"""Prometheus text endpoints: vLLM, SGLang, TGI, DJL, llama.cpp, DCGM, neuron-monitor and node exporters."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.model import Rule, Strict
from fmload.config.values import Seconds
from fmload.results.samples import Sample, Window
from fmload.telemetry.http import fetched

MOST_BYTES = 16 * 1024 * 1024
# Of a family, the serving engines' and the accelerators'; a node exporter's thousand series come by name only.
DEFAULT_METRICS = ("vllm:*", "sglang:*", "tgi_*", "llamacpp:*", "DCGM_FI_*", "neuron*", "execution_*", "*QueueTime*",
                   "*RequestLatency*", "*RollingBatch*", "DynamicBatchSize", "*Token*", "Response_*", "WlmError*",
                   "GPUMemory*", "hardware_ecc_events*", "system_vcpu_usage*", "system_memory*")


class PrometheusOptions(Strict):
    """A Prometheus text endpoint, by its address or as an endpoint's `/metrics`."""

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "url" not in given and "endpoint" not in given:
            yield "url", "give the address of the metrics, or the endpoint whose /metrics they are"

    url: str | None = Field(None, description="for example http://10.0.0.5:8000/metrics")
    endpoint: str | None = Field(None, description="the endpoint that it tells of; without a url: all its /metrics")
    every_s: Seconds = Field(1.0, alias="every", ge=0.01)
    metrics: list[str] = Field(list(DEFAULT_METRICS), description="names to keep, with * and ?")
    labels: dict[str, str] = Field(default_factory=dict, description="given to every sample")
    headers: dict[str, str] = Field(default_factory=dict)
    api_key_env: str | None = Field(None, description="environment variable with a token, sent as Bearer")
    timeout_s: Seconds = Field(5.0, alias="timeout", gt=0)


class Prometheus:
    """Scrapes one endpoint. A scrape is stamped half-way between asking and the answer's end."""

    Options = PrometheusOptions

    def __init__(self, source: str, options: PrometheusOptions) -> None:
        self.every_s: float | None = options.every_s
        self._source = source
        self._options = options
        self._request = urllib.request.Request(options.url or "", headers=bearing(options.headers, options.api_key_env))

    def collect(self) -> Iterable[Sample]:
        """One scrape. Raises HTTPError or FmloadError as `fetched` does, ValueError on what is no exposition text."""
        asked_ns = time.monotonic_ns()
        text = fetched(self._request, self._options.timeout_s, MOST_BYTES).decode()
        return list(self.parse(text, (asked_ns + time.monotonic_ns()) // 2))

    def parse(self, text: str, at_ns: int) -> Iterator[Sample]:
        """The samples of an exposition text whose names are wanted; `_created` stamps are left out.

        What the text's TYPE calls a counter bears `_total`, though the text may not say so in its name.
        """
        for family in text_string_to_metric_families(text):
            for found in family.samples:
                if self._wanted(found.name, family.type) and not found.name.endswith("_created"):
                    yield Sample(self._source, found.name, at_ns, float(found.value),
                                 {**found.labels, **self._options.labels})

    def _wanted(self, name: str, kind: str) -> bool:
        names = {name, name.removesuffix("_total")} if kind == "counter" else {name}
        return any(fnmatchcase(one, pattern) for one in names for pattern in self._options.metrics)

    def after(self, window: Window) -> Iterable[Sample]:
        """Nothing more."""
        return ()

    def close(self) -> None:
        """Nothing is held."""


def bearing(headers: Mapping[str, str], variable: str | None) -> dict[str, str]:
    """`headers` with the token of an environment variable. Raises FmloadError when the variable is not there."""
    if variable is None:
        return dict(headers)
    token = os.environ.get(variable)
    if not token:
        raise FmloadError(f"the environment has no {variable}, which is to hold a collector's token",
                          hint=f"export {variable}=…")
    return {**headers, "Authorization": f"Bearer {token}"}
