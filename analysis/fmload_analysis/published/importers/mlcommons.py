"""MLCommons endpoints (`inference-endpoint benchmark`): `result_summary.json`, and `events.jsonl` with its requests.

Written from its sources (github.com/mlcommons/endpoints, ea332753: `metrics/report.py`, `core/record.py`); no file of a
real run was at hand. Times are nanoseconds, stamped in its main process. A failed sample counts as completed, too, and
its latency is among the latencies. With Poisson arrivals its rates are LoadGen's, (n − 1) ÷ the window up to the last
issued sample's end; else n ÷ the duration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping
from fmload_analysis.published.rows.request import Request
from fmload_analysis.published.rows.requests import row_of

NOTES = ("instants are those of its main process, after a hop from the workers",
         "failed samples count as completed, and their latencies are among the others")
_SERIES = {"ttft": ("ttft", 1e-9), "tpot": ("tpot", 1e-9), "latency": ("e2e", 1e-9),
           "input_sequence_lengths": ("input_tokens", 1.0), "output_sequence_lengths": ("output_tokens", 1.0)}
_STATS = {"min": "min", "max": "max", "avg": "mean", "std_dev": "std"}


class MLCommons:
    """Reads the summary and the events of MLCommons' endpoint benchmark."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its fields."""
        return source.is_json and (_is_event(source.first) or (
            "n_samples_issued" in source.first and "latency" in source.first))

    @staticmethod
    def read(source: Source) -> Published:
        """The file's one row."""
        if source.is_json and _is_event(source.first):
            rows = [row_of(_requests(source), "run")]
        else:
            rows = [_row(content, str(source.path)) for content in source.objects]
        return Published("mlcommons", source.path, rows, NOTES)


def _is_event(content: Mapping[str, Any]) -> bool:
    return "event_type" in content and "timestamp_ns" in content and "sample_uuid" in content


def _row(content: Mapping[str, Any], where: str) -> Row:
    figures = Figures(where)
    figures.take("requests", content, "n_samples_issued")
    figures.take("errors", content, "n_samples_failed")
    failed = figures.values.get("errors", 0.0)
    ended = json_number(content.get("n_samples_completed"), f"{where}: n_samples_completed")
    figures.put("completed", None if ended is None else ended - failed, "n_samples_completed")
    for theirs, (ours, scale) in _SERIES.items():
        _series(figures, mapping(content.get(theirs), f"{where}: {theirs}"), theirs, ours, scale)
    _rates(figures, content, ended, failed)
    _load(figures, content, where)
    return figures.row(endpoint=None)


def _series(figures: Figures, series: Mapping[str, Any], theirs: str, ours: str, scale: float) -> None:
    for key, stat in _STATS.items():
        figures.put(f"{ours}_{stat}", json_number(series.get(key), f"{figures.where}: {theirs}.{key}"),
                    f"{theirs}.{key}", scale)
    percentiles = mapping(series.get("percentiles"), f"{figures.where}: {theirs}.percentiles")
    for key, value in percentiles.items():
        name = f"{theirs}.percentiles.{key}"
        level = json_number(key, f"{figures.where}: {name}")
        figures.put(f"{ours}_p{level or 0.0:g}", json_number(value, f"{figures.where}: {name}"), name, scale)
    if ours.endswith("tokens"):
        figures.put(ours, json_number(series.get("total"), f"{figures.where}: {theirs}.total"), f"{theirs}.total")
    else:
        median = json_number(series.get("median"), f"{figures.where}: {theirs}.median")
        figures.put(f"{ours}_p50", median, f"{theirs}.median", scale)


def _rates(figures: Figures, content: Mapping[str, Any], ended: float | None, failed: float) -> None:
    """LoadGen's window where the summary tells it; then the rate is one sample short, as if it were rounded so."""
    legacy = json_number(content.get("legacy_loadgen_window_duration_ns"), f"{figures.where}: legacy_loadgen_window")
    key = "legacy_loadgen_window_duration_ns" if legacy else "duration_ns"
    figures.take("duration_s", content, key, 1e-9)
    rate = json_number(content.get("qps"), f"{figures.where}: qps")
    short = rate / (ended - 1) if legacy and rate and ended and ended > 1 else 0.0
    figures.put("ended_per_minute" if failed else "transactions_per_minute", rate, "qps", 60.0, short)
    figures.take("output_tokens_per_s", content, "tps")


def _load(figures: Figures, content: Mapping[str, Any], where: str) -> None:
    config = mapping(content.get("run_config"), f"{where}: run_config")
    pattern = mapping(config.get("load_pattern"), f"{where}: load_pattern")
    if pattern.get("type") == "concurrency":
        figures.take("concurrency", pattern, "target_concurrency")
    elif pattern.get("type") == "poisson":
        figures.take("offered_per_s", pattern, "target_qps")


@dataclass(slots=True)
class _Sample:
    """What the events of one sample have told so far; instants in ns."""

    issued: int
    chunks: list[int] = field(default_factory=list)
    ended: int | None = None
    error: str | None = None


def _requests(source: Source) -> list[Request]:
    """The samples of the tracked part of the run; their answers' tokens are not in the events."""
    samples: dict[str, _Sample] = {}
    tracked, told = False, any(event.get("event_type") == "session.start_performance_tracking"
                               for event in source.objects)
    for at, event in enumerate(source.objects, 1):
        kind, instant = str(event.get("event_type")), _instant(event, f"{source.path}, line {at}")
        if kind.startswith("session."):
            tracked = kind.endswith("start_performance_tracking") or (
                tracked and not kind.endswith("stop_performance_tracking"))
        elif kind == "sample.issued" and (tracked or not told):
            samples[str(event.get("sample_uuid"))] = _Sample(instant)
        elif str(event.get("sample_uuid")) in samples:
            _happened(samples[str(event.get("sample_uuid"))], kind, instant, event.get("data"))
    return [_request(sample) for sample in samples.values()]


def _happened(sample: _Sample, kind: str, instant: int, data: Any) -> None:
    if kind in ("sample.recv_first", "sample.recv_non_first"):
        sample.chunks.append(instant)
    elif kind == "sample.complete":
        sample.ended = instant
    elif kind.startswith("error."):
        sample.error = ": ".join(str(part) for part in data[1:] if part) if isinstance(data, list) else "error"


def _request(sample: _Sample) -> Request:
    chunks = [instant / 1e9 for instant in sample.chunks]
    end = None if sample.ended is None else sample.ended / 1e9
    return Request(
        send_s=sample.issued / 1e9, first_s=chunks[0] if chunks else None,
        last_s=chunks[-1] if len(chunks) > 1 else end, end_s=end, error=sample.error,
        gaps_s=tuple(later - earlier for earlier, later in pairwise(chunks)),
        cut_off=sample.ended is None and sample.error is None)


def _instant(event: Mapping[str, Any], where: str) -> int:
    value = event.get("timestamp_ns")
    if not isinstance(value, int) or isinstance(value, bool):
        json_number(value if isinstance(value, dict | list | str) else "no instant", f"{where}: timestamp_ns")
        return int(float(value or 0))
    return value
