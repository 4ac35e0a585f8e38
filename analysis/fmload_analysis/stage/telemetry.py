"""What an endpoint's own metrics say of a stage, under the names of ours: for the audit to lay beside them.

Counters and histogram sums are read as differences over the measurement window, summed over all label sets: tokens a
request, requests a second, and the means of the server's TTFT and ITL. Names: the metrics documentation of vLLM,
SGLang, TGI and DJL Serving. TGI's time per token is left out: it holds the prefill.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from fmload.metrics.definitions import NS
from fmload.model.stage import Stage
from fmload_analysis.run import Run

DECODE = "decode_s_per_token"  # llama.cpp divides the time from the first token on by all tokens, the first included
AT_END = "output_tokens_per_s, counted as requests end"  # llama.cpp adds a request's tokens when it ends
# our name: (numerator, denominator), each the first of these that the server has
_RATIOS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "output_tokens_mean": (("vllm:generation_tokens_total", "sglang:generation_tokens_total",
                            "tgi_request_generated_tokens_sum"),
                           ("vllm:request_success_total", "sglang:num_requests_total",
                            "tgi_request_generated_tokens_count")),
    "input_tokens_mean": (("vllm:prompt_tokens_total", "sglang:prompt_tokens_total", "tgi_request_input_length_sum"),
                          ("vllm:request_success_total", "sglang:num_requests_total",
                           "tgi_request_input_length_count")),
    "ttft_mean": (("vllm:time_to_first_token_seconds_sum", "sglang:time_to_first_token_seconds_sum"),
                  ("vllm:time_to_first_token_seconds_count", "sglang:time_to_first_token_seconds_count")),
    "itl_mean": (("vllm:inter_token_latency_seconds_sum", "vllm:time_per_output_token_seconds_sum",
                  "sglang:inter_token_latency_seconds_sum"),
                 ("vllm:inter_token_latency_seconds_count", "vllm:time_per_output_token_seconds_count",
                  "sglang:inter_token_latency_seconds_count")),
    "tpot_mean": (("vllm:request_time_per_output_token_seconds_sum",),
                  ("vllm:request_time_per_output_token_seconds_count",)),
    DECODE: (("llamacpp:tokens_predicted_seconds_total",), ("llamacpp:tokens_predicted_total",)),
    "cached_share": (("vllm:prefix_cache_hits_total", "sglang:cached_tokens_total"),
                     ("vllm:prefix_cache_queries_total", "sglang:prompt_tokens_total")),
    "accepted_share": (("vllm:spec_decode_num_accepted_tokens_total",), ("vllm:spec_decode_num_draft_tokens_total",)),
    "queue_mean": (("vllm:request_queue_time_seconds_sum", "tgi_request_queue_duration_sum", "QueueTime_sum"),
                   ("vllm:request_queue_time_seconds_count", "tgi_request_queue_duration_count", "QueueTime_count")),
}
_FACTORS = {"QueueTime_sum": 1e-6}  # DJL's times are in microseconds
# All output tokens of a window, where the server does not count requests.
_MADE = ("vllm:generation_tokens_total", "sglang:generation_tokens_total")
_COUNTED_AT_END = ("llamacpp:tokens_predicted_total",)
_FINISHED = ("vllm:request_success_total", "tgi_request_success_total", "tgi_request_success")
_ENDED, _UNFINISHED = "vllm:request_success_total", "vllm:request_success_total, not finished"
_NO_SUCCESS = r'"finished_reason": "(?:abort|error)"'
_ADDRESS = r'"(?:address|instance)": "([^"]*)"'  # of one source that tells of several addresses
_PREEMPTIONS = "vllm:num_preemptions_total"
_THROTTLES = ("InvocationThrottles",)  # CloudWatch's sums by period
_TTFT_MS = "TimeToFirstToken"  # Bedrock's means by period


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the server says of one stage. Times in seconds; a figure it does not give is absent."""

    tokens: Mapping[str, float] = field(default_factory=dict)  # output_tokens_mean, …; output_tokens_per_s, …
    times_s: Mapping[str, float] = field(default_factory=dict)  # ttft_mean, itl_mean, queue_mean
    preemptions: float | None = None
    cached_share: float | None = None
    throttles: float | None = None
    unfinished: float | None = None  # requests that the server gave up, since the client went away or by an error
    accepted_share: float | None = None  # of the tokens that speculative decoding guessed


def server_view(run: Run, stage: Stage) -> ServerView:
    """The view of the collectors that name this stage's endpoint; an empty one where there are none.

    Where other stages load the endpoint in the same window (components of a mix), its counters are of all of them: only
    the preemptions are told. Of several addresses, rates are told only when each of them is scraped. Where requests
    were given up, tokens a request are not told: the counters hold the tokens of those, too.
    """
    sources = [entry["name"] for entry in run.spec.get("telemetry") or [] if entry.get("endpoint") == stage.endpoint]
    path = run.results.telemetry_parquet
    if not sources or not path.exists() or not stage.window_start_ns:
        return ServerView()
    frame = _counters(path, path.stat().st_mtime_ns)
    frame = frame[frame["source"].isin(sources)]
    grown, whole = _grown(frame, sources, stage, max(1, len(run.endpoint(stage.endpoint).urls)))
    if _shared(run, stage):
        return ServerView(preemptions=grown.get(_PREEMPTIONS))
    ratios = {name: ratio for name, (tops, bottoms) in _RATIOS.items()
              if (ratio := _ratio(_first(grown, tops), _first(grown, bottoms))) is not None}
    unfinished = grown.get(_UNFINISHED)
    cached, made = ratios.pop("cached_share", None), _first(grown, _MADE)
    accepted = ratios.pop("accepted_share", None)
    tokens = {name: value for name, value in ratios.items()
              if name.endswith("_tokens_mean") and not unfinished}
    for name, counted in (("output_tokens_per_s", made), (AT_END, _first(grown, _COUNTED_AT_END)),
                          ("requests_per_s", _first(grown, _FINISHED))):
        if counted is not None and whole and stage.window_ns:
            tokens[name] = counted / (stage.window_ns / NS)
    times = {name: value for name, value in ratios.items() if not name.endswith("_tokens_mean")}
    if len(told := _in_window(frame, stage, (_TTFT_MS,))):
        times.setdefault("ttft_mean", float(told.mean()) / 1e3)
    throttled = _in_window(frame, stage, _THROTTLES)
    return ServerView(tokens, times, grown.get(_PREEMPTIONS), cached,
                      float(throttled.sum()) if len(throttled) else None, unfinished, accepted)


def _grown(frame: pd.DataFrame, sources: list[str], stage: Stage,
           addresses: int) -> tuple[dict[str, float | None], bool]:
    """Growth of each metric over the window, and whether every address told.

    Of one address the first source counts (a scrape and a Prometheus server may tell the same); of several their sum,
    whether each has a source of its own or one source tells of all.
    """
    grown: dict[str, float | None] = {}
    telling = addresses
    for metric, part in frame.groupby("metric"):
        known = [value for teller in _tellers(part, sources, addresses) if (value := growth(
            teller, stage.window_start_ns, stage.window_end_ns)) is not None]
        grown[str(metric)] = sum(known[:addresses]) * _FACTORS.get(str(metric), 1.0) if known else None
        telling = min(telling, len(known) or addresses)
    return grown, telling == addresses


def _tellers(part: pd.DataFrame, sources: list[str], addresses: int) -> Iterator[pd.DataFrame]:
    """The samples of one metric by source, and by address where there are several."""
    for source in sources:
        mine = part[part["source"] == source]
        if addresses == 1 or mine.empty:
            yield mine
        else:
            yield from (told for _, told in mine.groupby(mine["labels"].str.extract(_ADDRESS)[0].fillna("")))


def _shared(run: Run, stage: Stage) -> bool:
    """Whether another stage loaded the endpoint while this one was measured."""
    return any(other.endpoint == stage.endpoint and other.stage != stage.stage and other.ramp_start_ns
               and other.ramp_start_ns < stage.window_end_ns and other.drain_end_ns > stage.window_start_ns
               for other in run.stages)


def _in_window(frame: pd.DataFrame, stage: Stage, metrics: tuple[str, ...]) -> pd.Series[float]:
    """CloudWatch's figures of the periods whose middle is in the window."""
    inside = frame["at_ns"].between(stage.window_start_ns, stage.window_end_ns)
    return frame[frame["metric"].isin(metrics) & inside]["value"]


def growth(part: pd.DataFrame, start_ns: int, end_ns: int) -> float | None:
    """By how much a counter grew between both instants, summed over its label sets. Between two samples it is taken to
    have grown evenly, so that what came before the window is left out of it.

    None when a label set has no sample before the start, the counter went down (the server was started anew), or
    there is no sample.
    """
    if part.empty:
        return None
    total = 0.0
    for _, series in part.sort_values("at_ns").groupby("labels"):
        at, value = series["at_ns"].to_numpy(np.int64) - start_ns, series["value"].to_numpy(np.float64)
        window_ns = end_ns - start_ns
        inside = value[np.searchsorted(at, 0, side="right") - 1:np.searchsorted(at, window_ns, side="right") + 1]
        if at[0] > 0 or (np.diff(inside) < 0).any():
            return None
        before, until = np.interp([0, window_ns], at, value)
        total += float(until - before)
    return total


def _first(grown: Mapping[str, float | None], names: tuple[str, ...]) -> float | None:
    return next((grown[name] for name in names if grown.get(name) is not None), None)


def _ratio(top: float | None, bottom: float | None) -> float | None:
    return top / bottom if top is not None and bottom else None


@lru_cache(maxsize=1)
def _counters(path: Path, written_ns: int) -> pd.DataFrame:
    """Read once for all stages of a run; again when the file was written anew."""
    names = {name for ratio in _RATIOS.values() for side in ratio for name in side} | {
        _PREEMPTIONS, *_MADE, *_COUNTED_AT_END, *_FINISHED, *_THROTTLES, _TTFT_MS}
    frame = pd.read_parquet(path, filters=[("metric", "in", sorted(names))])
    unfinished = (frame["metric"] == _ENDED) & frame["labels"].str.contains(_NO_SUCCESS)
    return frame.assign(metric=frame["metric"].mask(unfinished, _UNFINISHED))
