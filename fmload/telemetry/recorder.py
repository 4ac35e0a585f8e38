"""Runs the collectors beside the load, each in a thread of its own, and keeps what they bring.

It runs in the process that shows the progress, never in one that measures. A collector that fails is told once, tried
again at its pace, and becomes a warning in `telemetry_problems.json`; it never fails the run.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec, RunFile, TelemetrySpec
from fmload.plugins import COLLECTORS
from fmload.results import stage_file
from fmload.results.folder import Results
from fmload.results.samples import SampleLog, TelemetryCollector, Window, to_parquet
from fmload.telemetry.failures import CollectorFailure, failure

logger = logging.getLogger(__name__)

STOP_LIMIT_S = 20.0


class Recorder:
    """One run's collectors. `problems` holds, by source, the first failure, its remedy, and how often it failed."""

    def __init__(self, specs: Sequence[TelemetrySpec], results: Results,
                 endpoints: Sequence[EndpointSpec] = (), say: Callable[[str], None] = logger.info) -> None:
        self.problems: dict[str, dict[str, int | str]] = {}
        self._results = results
        self._say = say
        self._log = SampleLog(results.telemetry_log)
        self._stop = threading.Event()
        self._collectors = [(spec.name, collector) for spec in specs for collector in _build(spec, endpoints)]
        self._threads = [threading.Thread(target=self._watch, args=item, daemon=True, name=f"telemetry {item[0]}")
                         for item in self._collectors if item[1].every_s is not None]

    def start(self) -> None:
        """Begin to collect."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; fetch what is only there afterwards; write telemetry.parquet."""
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_LIMIT_S)
        window = _window(self._results)
        for source, collector in self._collectors:
            if window is not None:
                if collector.every_s is None:
                    self._say(f"telemetry '{source}': waiting for its last figures, then fetching them")
                self._attempt(source, collector, window)
            self._close(source, collector)
        self._log.close()
        to_parquet(self._results.telemetry_log, self._results.telemetry_parquet)
        if self.problems:
            self._results.telemetry_problems_json.write_text(json.dumps(self.problems, indent=1))

    def _watch(self, source: str, collector: TelemetryCollector) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._attempt(source, collector, None)
            due = max(due + (collector.every_s or 1.0), time.monotonic())

    def _attempt(self, source: str, collector: TelemetryCollector, window: Window | None) -> None:
        try:
            self._log.add(collector.collect() if window is None else collector.after(window))
        except (Exception, KeyboardInterrupt) as error:  # whatever a stranger's metrics hold, the run goes on
            self._note(source, failure(error))

    def _close(self, source: str, collector: TelemetryCollector) -> None:
        try:
            collector.close()
        except Exception as error:  # what the others brought is still to be written
            self._note(source, failure(error))

    def _note(self, source: str, told: CollectorFailure) -> None:
        known = self.problems.get(source)
        if known is None:
            logger.warning("telemetry '%s': %s%s", source, told.message, f"; {told.hint}" if told.hint else "")
            self.problems[source] = {"message": told.message, "times": 1, **({"hint": told.hint} if told.hint else {})}
        else:
            known["times"] = int(known["times"]) + 1


def _build(spec: TelemetrySpec, endpoints: Sequence[EndpointSpec]) -> list[TelemetryCollector]:
    """One collector; of an endpoint that is given by name, one for each of its addresses."""
    kind, options = COLLECTORS.load(spec.collector), spec.options
    if getattr(options, "url", "given") is not None:
        return [kind(spec.name, options)]
    found = _metrics_urls(spec.name, options.endpoint, endpoints)
    return [kind(spec.name, options.model_copy(update={"url": url, "labels": {
        **options.labels, **({"address": address} if len(found) > 1 else {})}})) for address, url in found.items()]


def _metrics_urls(source: str, name: str, endpoints: Sequence[EndpointSpec]) -> dict[str, str]:
    """By address: `/metrics` at its root, where vLLM, SGLang, TGI and llama.cpp have it."""
    addresses = [address for endpoint in endpoints if endpoint.name == name
                 for address in (endpoint.url, *(endpoint.urls or ())) if address]
    if not addresses:
        raise FmloadError(f"telemetry '{source}': no endpoint named '{name}' has an address",
                          hint="name an endpoint of the run file, or give the url of its metrics")
    return {parts.netloc: f"{parts.scheme}://{parts.netloc}/metrics" for parts in map(urlsplit, addresses)}


def _window(results: Results) -> Window | None:
    if not stage_file.exists(results):
        return None
    told = stage_file.read(results)
    begun = [stage for stage in told.stages if stage.ramp_start_ns]
    if not begun:
        return None
    ends = [stage.drain_end_ns or stage.window_end_ns or time.monotonic_ns() for stage in begun]
    return Window(min(stage.ramp_start_ns for stage in begun), max(ends), told.wall_anchor_ns)


@contextmanager
def recorded(run: RunFile, results: Results, say: Callable[[str], None] = logger.info) -> Iterator[None]:
    """Collect while the block runs. Nothing is done where the run file asks for nothing."""
    if not run.telemetry:
        yield
        return
    recorder = Recorder(run.telemetry, results, run.endpoints, say)
    recorder.start()
    try:
        yield
    finally:
        try:
            recorder.stop()
        except (OSError, FmloadError) as error:
            logger.warning("telemetry could not be written: %s", error)
