"""`/metrics` in Prometheus text with vLLM's names, and `/emulator/stats`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmload.emulator.engine import Engine
from fmload.emulator.truth import Truth

# Buckets of vllm/v1/metrics/loggers.py.
_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
         80.0, 160.0, 640.0, 2560.0)
_ITL = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
_E2E = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
        1920.0, 7680.0)


class Histogram:
    """A Prometheus histogram over seconds."""

    def __init__(self, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self.name, self.text, self.bounds = name, text, np.array(bounds)
        self.counts: NDArray[np.int64] = np.zeros(len(bounds) + 1, np.int64)
        self.sum = 0.0

    def observe(self, seconds: NDArray[np.float64]) -> None:
        """Adds samples."""
        slots = np.searchsorted(self.bounds, seconds, side="left")
        self.counts += np.bincount(slots, minlength=len(self.counts))
        self.sum += float(seconds.sum())

    def lines(self, labels: str, factor: float) -> list[str]:
        """Exposition lines; the sum is multiplied by `factor`."""
        cumulative = np.cumsum(self.counts)
        bounds = [f"{bound:g}" for bound in self.bounds] + ["+Inf"]
        buckets = [f'{self.name}_bucket{{{labels},le="{bound}"}} {value}'
                   for bound, value in zip(bounds, cumulative, strict=True)]
        return [f"# HELP {self.name} {self.text}", f"# TYPE {self.name} histogram", *buckets,
                f"{self.name}_sum{{{labels}}} {self.sum * factor:.9g}",
                f"{self.name}_count{{{labels}}} {cumulative[-1]}"]


class Metrics:
    """What happened since the start. `factor` other than 1: token counters and histogram sums are lies."""

    def __init__(self, factor: float, model: str) -> None:
        self._factor, self._labels = factor, f'model_name="{model}",engine="0"'
        self.outcomes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self.input_tokens = self.output_tokens = self.cached_tokens = self.queried_tokens = 0
        self._ttft = Histogram("vllm:time_to_first_token_seconds", "Time to first token.", _TTFT)
        self._itl = Histogram("vllm:inter_token_latency_seconds", "Time between tokens.", _ITL)
        self._queue = Histogram("vllm:request_queue_time_seconds", "Time in the queue.", _E2E)
        self._e2e = Histogram("vllm:e2e_request_latency_seconds", "Time of whole requests.", _E2E)

    def observe(self, truth: Truth) -> None:
        """Adds one request that has ended."""
        self.outcomes[truth.outcome] += 1
        if truth.outcome == "disconnected":
            self._reasons["abort"] += 1
        if not truth.token_ns:
            return
        self.input_tokens += truth.input_tokens
        self.output_tokens += truth.output_tokens
        self.cached_tokens += truth.cached_tokens
        self.queried_tokens += truth.input_tokens
        if truth.outcome in ("ok", "fault"):
            self._reasons["length" if truth.output_tokens == truth.asked_tokens else "stop"] += 1
        instants = np.frombuffer(truth.token_ns, np.int64)
        self._ttft.observe(np.array([instants[0] - truth.received_ns]) * 1e-9)
        self._e2e.observe(np.array([instants[-1] - truth.received_ns]) * 1e-9)
        if truth.admitted_ns is not None:
            self._queue.observe(np.array([max(0, truth.admitted_ns - truth.received_ns)]) * 1e-9)
        if len(instants) > 1:
            self._itl.observe(np.diff(instants) * 1e-9)

    def stats(self, engine: Engine) -> dict[str, Any]:
        """Requests ended (by outcome) and tokens; the server's side of every count."""
        return {"requests_ended": sum(self.outcomes.values()), "outcomes": dict(self.outcomes),
                "input_tokens": self.input_tokens, "output_tokens": self.output_tokens,
                "cached_tokens": self.cached_tokens, "running": engine.running_count,
                "waiting": engine.waiting_count, "preemptions": engine.preemptions}

    def text(self, engine: Engine) -> str:
        """The Prometheus exposition."""
        lines: list[str] = []
        for name, kind, text, value in self._numbers(engine):
            lines += [f"# HELP vllm:{name} {text}", f"# TYPE vllm:{name} {kind}",
                      f"vllm:{name}{{{self._labels}}} {value:.12g}"]
        lines += ["# HELP vllm:request_success_total Requests that ended, by reason.",
                  "# TYPE vllm:request_success_total counter"]
        lines += [f'vllm:request_success_total{{{self._labels},finished_reason="{reason}"}} {self._reasons[reason]}'
                  for reason in ("length", "stop", "abort")]
        for histogram in (self._ttft, self._itl, self._queue, self._e2e):
            lines += histogram.lines(self._labels, self._factor)
        return "\n".join(lines) + "\n"

    def _numbers(self, engine: Engine) -> list[tuple[str, str, str, float]]:
        factor = self._factor
        return [
            ("num_requests_running", "gauge", "Requests in the batch.", engine.running_count),
            ("num_requests_waiting", "gauge", "Requests in the queue.", engine.waiting_count),
            ("kv_cache_usage_perc", "gauge", "KV cache in use; 1 is all of it.", engine.kv_usage),
            ("prompt_tokens_total", "counter", "Prompt tokens processed.", self.input_tokens * factor),
            ("generation_tokens_total", "counter", "Tokens generated.", self.output_tokens * factor),
            ("prefix_cache_queries_total", "counter", "Prompt tokens looked up.", self.queried_tokens),
            ("prefix_cache_hits_total", "counter", "Prompt tokens found.", self.cached_tokens),
            ("num_preemptions_total", "counter", "Preemptions.", engine.preemptions),
        ]
