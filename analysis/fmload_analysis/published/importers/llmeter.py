"""llmeter's `stats.json`: run figures, and `<metric>-<statistic>` of each metric; seconds.

Its requests a minute count all requests, failed ones too; the time is of the whole test.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fmload_analysis.published.rows.figures import JSON_STATS, Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number
from fmload_analysis.published.rows.request import Request
from fmload_analysis.published.rows.requests import row_of

NOTES = ("requests a minute count failed requests, too",
         "they may be over the time between the first and the last request's start, and are left out then")
_METRICS = {"time_to_last_token": "e2e", "time_to_first_token": "ttft", "time_per_output_token": "tpot",
            "num_tokens_output": "output_tokens", "num_tokens_input": "input_tokens"}


class LLMeter:
    """Reads llmeter's statistics."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its fields."""
        if source.is_json and _is_response(source.first):
            return True
        return source.is_json and "total_test_time" in source.first and any(
            key.startswith("time_to_last_token-") or key == "failed_requests" for key in source.first)

    @staticmethod
    def read(source: Source) -> Published:
        """The file's one row."""
        if source.is_json and _is_response(source.first):
            requests = [_request(content, f"{source.path}, line {at}") for at, content in enumerate(source.objects, 1)]
            rows = [row_of(requests, "run")]
        else:
            rows = [_row(content, str(source.path)) for content in source.objects]
        return Published("llmeter", source.path, rows, NOTES)


def _row(content: Mapping[str, Any], where: str) -> Row:
    figures = Figures(where)
    figures.take("concurrency", content, "clients")
    figures.take("requests", content, "total_requests")
    figures.take("errors", content, "failed_requests")
    figures.take("error_rate", content, "failed_requests_rate")
    figures.take("duration_s", content, "total_test_time")
    figures.take(_rate_of(content, figures), content, "requests_per_minute")
    figures.take("input_tokens", content, "total_input_tokens")
    figures.take("output_tokens", content, "total_output_tokens")
    for key in content:
        metric, _, stat = key.rpartition("-")
        if metric in _METRICS and stat in JSON_STATS:
            figures.take(f"{_METRICS[metric]}_{JSON_STATS[stat]}", content, key)
    start = content.get("start_time")
    return figures.row(endpoint=content.get("model_id") or content.get("endpoint_name"),
                       date=start[:10] if isinstance(start, str) else None)


def _rate_of(content: Mapping[str, Any], figures: Figures) -> str:
    """Its requests a minute are ours, or all requests over the time between the first and the last one's start, which
    are told in whole seconds."""
    begun, last = _instant(content.get("first_request_time")), _instant(content.get("last_request_time"))
    told = json_number(content.get("requests_per_minute"), figures.where)
    sent, whole = figures.values.get("requests"), figures.values.get("duration_s")
    seconds = sent / told * 60 if told and sent else 0.0
    told_starts = begun > 0 and abs(seconds - (last - begun)) <= 1.0
    by_starts = told_starts and whole is not None and seconds < 0.995 * whole
    return "starts_per_minute" if by_starts or figures.values.get("errors") else "transactions_per_minute"


def _is_response(content: Mapping[str, Any]) -> bool:
    """Whether an object is a line of `responses.jsonl`."""
    return "time_to_last_token" in content and "num_tokens_output" in content


def _request(content: Mapping[str, Any], where: str) -> Request:
    send = _instant(content.get("request_time"))
    first, last = (json_number(content.get(name), f"{where}: {name}") for name in (
        "time_to_first_token", "time_to_last_token"))
    return Request(
        send_s=send, first_s=None if first is None else send + first, last_s=None if last is None else send + last,
        end_s=None if last is None else send + last,
        input_tokens=json_number(content.get("num_tokens_input"), f"{where}: num_tokens_input"),
        output_tokens=json_number(content.get("num_tokens_output"), f"{where}: num_tokens_output"),
        error=str(content["error"]) if content.get("error") else None)


def _instant(text: Any) -> float:
    """An ISO instant as seconds; 0 where it is not told."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
