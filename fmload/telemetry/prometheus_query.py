"""A Prometheus server's query API, asked when the load has ended: plain, with a token, or signed for AWS.

Prometheus, Thanos, Mimir and VictoriaMetrics; Amazon Managed Service for Prometheus (SigV4, service `aps`) and
CloudWatch's PromQL endpoint (service `monitoring`), which has SageMaker's detailed observability.
"""

from __future__ import annotations

import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.model import Rule, Strict
from fmload.config.values import Region, Seconds
from fmload.results.samples import Sample, Window
from fmload.telemetry.failures import of_status
from fmload.telemetry.http import fetched
from fmload.telemetry.prometheus import bearing

NS = 1e9
MOST_BYTES = 64 * 1024 * 1024
MOST_POINTS = 10_000  # Prometheus refuses more than 11,000 a series and query
SERVICES = {"aps-workspaces": "aps", "monitoring": "monitoring"}  # first part of an AWS host: what to sign for
DEFAULT_MATCH = ('{__name__=~"vllm:.+|sglang:.+|tgi_.+|llamacpp:.+|DCGM_FI_.+|neuron.+|execution_.+|'
                 'hardware_ecc_.+|QueueTime_.+|RollingBatch.+",'
                 '__name__!~".+_(bucket|created)"}')


class PrometheusQueryOptions(Strict):
    """A Prometheus server, and which of its series are wanted."""

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if given.get("auth") == "bearer" and "api_key_env" not in given:
            yield "api_key_env", "name the environment variable with the token that auth: bearer sends"
        if "service" in given and given.get("auth") != "sigv4":
            yield "service", "only auth: sigv4 signs for a service"

    url: str = Field(description="the server's address, for example http://10.0.0.7:9090; AWS: the workspace's")
    endpoint: str | None = Field(None, description="the endpoint that its series tell of")
    match: list[str] = Field(default_factory=lambda: [DEFAULT_MATCH],
                             description="series to fetch as they are; the engines' and accelerators' by default")
    queries: dict[str, str] = Field(default_factory=dict, description="name of a metric: PromQL that makes it")
    step_s: Seconds = Field(
        5.0, alias="step", ge=0.01, description="distance of the points; the scrape interval loses nothing")
    delay_s: Seconds = Field(15.0, alias="delay", description="after the load, until the last scrape is there")
    auth: Literal["none", "bearer", "sigv4"] = "none"
    api_key_env: str | None = Field(None, description="bearer: environment variable with the token")
    service: str | None = Field(None, description="sigv4: what to sign for; told by the address where absent")
    region: Region = Field(None, validate_default=True, description="sigv4; the run's, or the credentials', if absent")
    headers: dict[str, str] = Field(default_factory=dict, description="for example X-Scope-OrgID")
    timeout_s: Seconds = Field(30.0, alias="timeout", gt=0)


class PrometheusQuery:
    """Asks once, `delay` after the load has ended, for the whole run."""

    Options = PrometheusQueryOptions

    def __init__(self, source: str, options: PrometheusQueryOptions) -> None:
        self.every_s: float | None = None
        self._source = source
        self._options = options
        self._untold: frozenset[str] = frozenset()  # counters whose names do not say so
        self._headers = bearing(options.headers, options.api_key_env if options.auth == "bearer" else None)

    def collect(self) -> Iterable[Sample]:
        """Nothing during the load."""
        return ()

    def after(self, window: Window) -> Iterator[Sample]:
        """The points of the whole run; a query that the server refuses does not keep the others back.

        Raises FmloadError when nothing answers, and in the server's words, after all others, when it refused one.
        """
        ready_ns = window.end_ns + int(self._options.delay_s * NS)
        time.sleep(max(0.0, (ready_ns - time.monotonic_ns()) / NS))
        wanted = [(None, match) for match in self._options.match] + list(self._options.queries.items())
        self._untold = self._counters()
        refused: list[FmloadError] = []
        for name, query in wanted:
            try:
                yield from self._points(query, name, window)
            except urllib.error.HTTPError as error:
                refused.append(_refusal(query, error))
        if refused:
            raise refused[0]

    def _counters(self) -> frozenset[str]:
        """Counters without `_total`, by the server's metadata; none where it keeps none, as CloudWatch does."""
        url = f"{api(self._options.url)}/metadata"
        try:
            kinds = json.loads(fetched(urllib.request.Request(url, headers=self._signed(url)), self._options.timeout_s,
                                       MOST_BYTES))["data"]
            return frozenset(name for name, (first, *_) in kinds.items()
                             if first["type"] == "counter" and not name.endswith("_total"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return frozenset()

    def _points(self, query: str, name: str | None, window: Window) -> Iterator[Sample]:
        for start_s, end_s in self._spans(window):
            yield from self.parse(self._ask(query, start_s, end_s), name, window)

    def _spans(self, window: Window) -> Iterator[tuple[float, float]]:
        """The run in parts of at most MOST_POINTS steps, in seconds of the epoch, from one step before its start."""
        step_s = self._options.step_s
        start_s, end_s = ((at + window.wall_anchor_ns) / NS for at in (window.start_ns, window.end_ns))
        start_s -= step_s
        while start_s <= end_s:
            last_s = min(end_s + step_s, start_s + (MOST_POINTS - 1) * step_s)
            yield start_s, last_s
            start_s = last_s + step_s

    def _ask(self, query: str, start_s: float, end_s: float) -> Any:
        given = {"query": query, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": f"{self._options.step_s:g}"}
        url = f"{api(self._options.url)}/query_range?{urlencode(given, quote_via=quote)}"
        request = urllib.request.Request(url, headers=self._signed(url))
        return json.loads(fetched(request, self._options.timeout_s, MOST_BYTES))

    def _signed(self, url: str) -> dict[str, str]:
        if self._options.auth != "sigv4":
            return self._headers
        return signed(url, self._options.service or _service(url), self._options.region, self._headers)

    def parse(self, answer: Any, name: str | None, window: Window) -> Iterator[Sample]:
        """The samples of a range query's answer; `name` None takes the series' own. NaN and infinity are left out."""
        if answer.get("status") != "success" or answer["data"]["resultType"] != "matrix":
            raise ValueError(f"not the answer of a range query: {str(answer)[:200]}")
        for series in answer["data"]["result"]:
            labels = {key: value for key, value in series["metric"].items() if key != "__name__"}
            metric = name or series["metric"].get("__name__", "")
            metric += "_total" if name is None and metric in self._untold else ""
            for at_s, value in series["values"]:
                if math.isfinite(number := float(value)):
                    yield Sample(self._source, metric, window.at_ns(float(at_s)), number, labels)

    def close(self) -> None:
        """Nothing is held."""


def api(url: str) -> str:
    """`…/api/v1` of a server's address, which may have it already."""
    base = url.rstrip("/")
    return base if base.endswith("/api/v1") else f"{base}/api/v1"


def signed(url: str, service: str, region: str | None, headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` with those of AWS Signature Version 4, by botocore and its chain of credentials.

    Raises FmloadError when there are no credentials or no region.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    session = Session()
    credentials, region = session.get_credentials(), region or session.get_config_variable("region")
    if credentials is None or not region:
        raise FmloadError(f"no AWS {'credentials' if credentials is None else 'region'} to sign the query with",
                          "give it as for the AWS command line, or region in the run file")
    request = AWSRequest("GET", url, headers=dict(headers))
    SigV4Auth(credentials.get_frozen_credentials(), service, region).add_auth(request)
    return dict(request.headers.items())


def _service(url: str) -> str:
    return SERVICES.get((urlsplit(url).hostname or "").split(".")[0], "aps")


def _refusal(query: str, error: urllib.error.HTTPError) -> FmloadError:
    return FmloadError(f"{query}: HTTP {error.code}: {_words(error.read(MOST_BYTES))}", of_status(error.code))


def _words(body: bytes) -> str:
    """What the server says is wrong: the `error` of its JSON, else the beginning of the text."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()[:300]
