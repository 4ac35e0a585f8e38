"""AIPerf's `profile_export.jsonl`: one line a request, with its metrics and its instants on the wall clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmload_analysis.published.importers.triton_exports import in_seconds
from fmload_analysis.published.rows.published import Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping, sequence
from fmload_analysis.published.rows.request import Request
from fmload_analysis.published.rows.requests import row_of


def is_records(content: Mapping[str, Any]) -> bool:
    """Whether an object is a request's."""
    return isinstance(content.get("metadata"), dict) and "request_start_ns" in content["metadata"]


def rows_of_records(source: Source) -> list[Row]:
    """One row a phase; the warm-up's requests are left out."""
    return [row_of(requests, str(phase)) for phase, requests in requests_by_phase(source).items()]


def requests_by_phase(source: Source) -> dict[str, list[Request]]:
    """The requests of each phase that is no warm-up."""
    phases: dict[str, list[Request]] = {}
    for at, content in enumerate(source.objects, 1):
        where = f"{source.path}, line {at}"
        metadata = mapping(content.get("metadata"), f"{where}: metadata")
        phase = str(metadata.get("benchmark_phase") or "profiling")
        if phase != "warmup" and not metadata.get("was_cancelled"):
            phases.setdefault(phase, []).append(_request(content, metadata, where))
    return phases


def _request(content: Mapping[str, Any], metadata: Mapping[str, Any], where: str) -> Request:
    metrics = mapping(content.get("metrics"), f"{where}: metrics")
    start = _instant(metadata, "request_start_ns")
    due = _instant(metadata, "credit_issued_ns")
    end = _instant(metadata, "request_end_ns")
    first, last = (_seconds(metrics, name, where) for name in ("time_to_first_token", "request_latency"))
    error = content.get("error")
    return Request(
        send_s=start or 0.0, scheduled_s=due if due is not None else start or 0.0, end_s=end,
        first_s=None if first is None or start is None else start + first,
        last_s=None if last is None or start is None else start + last,
        input_tokens=_value(metrics, "input_sequence_length", where),
        output_tokens=_value(metrics, "output_sequence_length", where), gaps_s=_gaps(metrics, where),
        error=_error(error) if error else None, status=_status(error), counted_by="tokenizer")


def _instant(metadata: Mapping[str, Any], name: str) -> float | None:
    """Nanoseconds on the wall clock as seconds."""
    value = metadata.get(name)
    return float(value) / 1e9 if isinstance(value, int | float) and not isinstance(value, bool) else None


def _seconds(metrics: Mapping[str, Any], name: str, where: str) -> float | None:
    metric = mapping(metrics.get(name), f"{where}: {name}")
    value = json_number(metric.get("value"), f"{where}: {name}")
    return None if value is None else value * in_seconds(metric, f"{where}: {name}")


def _value(metrics: Mapping[str, Any], name: str, where: str) -> float | None:
    return json_number(mapping(metrics.get(name), f"{where}: {name}").get("value"), f"{where}: {name}")


def _gaps(metrics: Mapping[str, Any], where: str) -> tuple[float, ...]:
    metric = mapping(metrics.get("inter_chunk_latency"), f"{where}: inter_chunk_latency")
    values = metric.get("value")
    if not isinstance(values, list):
        return ()
    scale = in_seconds(metric, f"{where}: inter_chunk_latency")
    found = (json_number(value, f"{where}: inter_chunk_latency") for value in sequence(values, where))
    return tuple((value or 0.0) * scale for value in found)


def _error(error: Any) -> str:
    if isinstance(error, dict):
        return str(error.get("type") or error.get("message") or "error")
    return str(error)


def _status(error: Any) -> int | None:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None
