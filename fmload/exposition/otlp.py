"""Sends the live metrics to an OpenTelemetry collector: OTLP over HTTP, protobuf. Needs the extra `otel`.

The SDK has no observable histogram, so its data points are made from the Prometheus families and given to the SDK's own
exporter, which knows headers, certificates and compression (OTEL_EXPORTER_OTLP_*). What cannot be sent is a warning.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any
from urllib.parse import urlsplit

import gevent
from prometheus_client.core import Metric

from fmload.base.errors import FmloadError
from fmload.base.version import __version__
from fmload.exposition.families import BOUNDS_S, families
from fmload.master.collector import Collector

logger = logging.getLogger(__name__)

DEFAULT_EVERY_S = 10.0
LIMIT_S = 3.0  # of one attempt, the last one at the end of a run included


class Exporter:
    """Sends every OTEL_METRIC_EXPORT_INTERVAL milliseconds (10 s), in a greenlet; `send` sends once more."""

    def __init__(self, current: Callable[[], Collector | None], endpoint: str) -> None:
        """Raises FmloadError when the extra is not installed or `endpoint` is no http address."""
        self._current = current
        self._exporter = _exporter(metrics_url(endpoint))
        self._started_ns = time.time_ns()
        self._every_s = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or DEFAULT_EVERY_S * 1e3) / 1e3
        self.failures = 0

    def start(self) -> None:
        """Begin to send."""
        gevent.spawn(self._send_for_ever)

    def _send_for_ever(self) -> None:
        while True:
            gevent.sleep(self._every_s)
            self.send()

    def send(self) -> None:
        """Send the state of now. A failure is told once, and counted."""
        try:
            data = _metrics_data(families(self._current()), self._started_ns, time.time_ns())
            sent = self._exporter.export(data, timeout_millis=LIMIT_S * 1e3).name == "SUCCESS"
        except Exception as error:  # whatever the other side does, the run goes on
            logger.debug("OTLP", exc_info=error)
            sent = False
        if not sent:
            self.failures += 1
            if self.failures == 1:
                logger.warning("OTLP: the live metrics could not be sent; the run goes on, and they are tried again")


def metrics_url(endpoint: str) -> str:
    """The address of the metrics: at `/v1/metrics` where `endpoint` has no path (OTLP). Raises FmloadError."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise FmloadError(f"--otlp-endpoint: '{endpoint}' is no http address", hint="for example http://127.0.0.1:4318")
    return endpoint if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/v1/metrics"


def _exporter(url: str) -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    except ImportError as error:
        raise FmloadError("--otlp-endpoint needs the OpenTelemetry SDK", hint="pip install 'fmload[otel]'") from error
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would tell every failure, with its trace
    return OTLPMetricExporter(endpoint=url, timeout=LIMIT_S)


def _metrics_data(found: Iterable[Metric], started_ns: int, now_ns: int) -> Any:
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    metrics = [_metric(family, started_ns, now_ns) for family in found if family.samples]
    scope = ScopeMetrics(InstrumentationScope("fmload", __version__), metrics, schema_url="")
    resource = Resource.create({"service.name": "fmload", "service.version": __version__})
    return MetricsData([ResourceMetrics(resource, [scope], schema_url="")])


def _metric(family: Metric, started_ns: int, now_ns: int) -> Any:
    """One family under OTLP's names: units are not part of the name there, and counters have no `_total`."""
    from opentelemetry.sdk.metrics import export

    unit = "s" if family.name.endswith("_seconds") else "By" if family.name.endswith("_bytes") else "1"
    name = family.name.removesuffix("_seconds").removesuffix("_bytes").replace("fmload_", "fmload.", 1)
    cumulative = export.AggregationTemporality.CUMULATIVE
    if family.type == "histogram":
        return export.Metric(name, family.documentation, unit, export.Histogram(
            list(_histogram_points(family, started_ns, now_ns)), cumulative))
    points = [export.NumberDataPoint(one.labels, started_ns, now_ns, float(one.value)) for one in family.samples]
    data = export.Sum(points, cumulative, is_monotonic=True) if family.type == "counter" else export.Gauge(points)
    return export.Metric(name, family.documentation, unit, data)


def _histogram_points(family: Metric, started_ns: int, now_ns: int) -> Iterator[Any]:
    """One point a label set; Prometheus's counts up to each bound become counts of each bucket. No extremes."""
    from opentelemetry.sdk.metrics.export import HistogramDataPoint

    def own(sample: Any) -> tuple[tuple[str, str], ...]:
        return tuple((key, value) for key, value in sample.labels.items() if key != "le")

    for labels, samples in groupby(family.samples, own):
        values = {(one.name, one.labels.get("le")): one.value for one in samples}
        upto = [0, *(int(value) for (_, le), value in values.items() if le is not None)]
        counts = [later - earlier for earlier, later in pairwise(upto)]
        yield HistogramDataPoint(dict(labels), started_ns, now_ns, upto[-1], values[f"{family.name}_sum", None], counts,
                                 BOUNDS_S, min=None, max=None)  # type: ignore[arg-type]
