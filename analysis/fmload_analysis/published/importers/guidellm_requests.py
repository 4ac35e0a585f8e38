"""The requests that GuideLLM keeps in its reports: instants on the wall clock, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmload_analysis.published.rows.reading import json_number, mapping, sequence
from fmload_analysis.published.rows.request import Request


def requests_of(benchmark: Mapping[str, Any], where: str) -> tuple[Request, ...]:
    """Those of a benchmark, unfinished ones too; none where the report was written without them."""
    kinds = benchmark.get("requests")
    if not isinstance(kinds, dict):
        return ()
    found = (_request(mapping(entry, f"{where}.requests.{kind}[{at}]"), kind, f"{where}.requests.{kind}[{at}]")
             for kind in ("successful", "incomplete", "errored")
             for at, entry in enumerate(sequence(kinds.get(kind), f"{where}.requests.{kind}")))
    return tuple(sorted((request for request in found if request), key=lambda request: request.send_s))


def _request(entry: Mapping[str, Any], kind: str, where: str) -> Request | None:
    """Of 0.4 and later with `info.timings`, before with the instants at its top."""
    info = mapping(entry.get("info") or entry.get("scheduler_info"), f"{where}.info")
    times = mapping(info.get("timings"), f"{where}.timings") or entry

    def first(*names: str) -> float | None:
        values = (json_number(times.get(name), f"{where}: {name}") for name in names)
        return next((value for value in values if value), None)

    send = first("request_start", "start_time", "request_start_time")
    if send is None:
        return None
    return Request(
        send_s=send, scheduled_s=first("targeted_start"), end_s=first("request_end", "end_time", "request_end_time"),
        first_s=first("first_token_iteration", "first_iteration", "first_token_time"),
        last_s=first("last_token_iteration", "last_iteration", "last_token_time"),
        input_tokens=_tokens(entry, "input_metrics", "prompt_tokens", where),
        output_tokens=_tokens(entry, "output_metrics", "output_tokens", where),
        error=str(info.get("error") or entry.get("error") or "error") if kind == "errored" else None,
        cut_off=kind == "incomplete")


def _tokens(entry: Mapping[str, Any], block: str, name: str, where: str) -> float | None:
    counts = mapping(entry.get(block), f"{where}.{block}")
    for key in ("text_tokens", "total_tokens"):
        value = json_number(counts.get(key), f"{where}.{block}.{key}")
        if value is not None:
            return value
    return json_number(entry.get(name), f"{where}: {name}")
