"""The arrays of vLLM and SGLang as requests; where the file tells no start instants, laid out as its load was sent."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

from fmload.base.errors import FmloadError
from fmload_analysis.published.rows.reading import json_number, numbers, sequence
from fmload_analysis.published.rows.request import Request

_KEPT = ("ttfts", "itls", "output_lens")


def requests_of(content: Mapping[str, Any], where: str) -> tuple[Request, ...]:
    """One request an entry; none where the arrays were not kept.

    Raises FmloadError where they differ in length, or hold what is no number.
    """
    if not all(isinstance(content.get(name), list) and content[name] for name in _KEPT):
        return ()
    first = _column(content, "ttfts", where)
    told = {name: _column(content, name, where, len(first)) for name in (
        "input_lens", "output_lens", "start_times", "latencies")}
    gaps = [tuple(numbers(entry, f"{where}: itls[{at}]")) for at, entry in enumerate(
        sequence(content["itls"], f"{where}: itls"))]
    _same_length(len(gaps), len(first), "itls", where)
    errors = _errors(content, first, gaps, where)
    spans = [latency if latency is not None else (ttft or 0.0) + sum(own) for latency, ttft, own in zip(
        told["latencies"], first, gaps, strict=True)]
    starts = told["start_times"] if _all_told(told["start_times"]) else _laid_out(spans, *_load(content, where))
    return tuple(_request(start or 0.0, first[at], gaps[at], spans[at], (told["input_lens"][at],
                                                                        told["output_lens"][at]), errors[at])
                 for at, start in enumerate(starts))


def laid_out(content: Mapping[str, Any]) -> bool:
    """Whether the requests of the object have instants that the file does not tell."""
    return not isinstance(content.get("start_times"), list)


def _column(content: Mapping[str, Any], name: str, where: str, length: int | None = None) -> list[float | None]:
    """An array of numbers, null where one is not told; all null where there is no array."""
    values = sequence(content.get(name), f"{where}: {name}")
    if not values and length is not None:
        return [None] * length
    if length is not None:
        _same_length(len(values), length, name, where)
    return [json_number(value, f"{where}: {name}[{at}]") for at, value in enumerate(values)]


def _same_length(found: int, expected: int, name: str, where: str) -> None:
    if found != expected:
        raise FmloadError(f"{where}: {name} has {found} entries, ttfts {expected}",
                          hint="let the tool write the file again")


def _all_told(starts: Sequence[float | None]) -> bool:
    return all(start is not None for start in starts)


def _errors(content: Mapping[str, Any], first: Sequence[float | None], gaps: Sequence[tuple[float, ...]],
            where: str) -> list[str | None]:
    """The error of each; where the file keeps none, a request without a first token failed."""
    told = sequence(content.get("errors"), f"{where}: errors")
    if len(told) != len(first):
        return [None if ttft or own else "no answer" for ttft, own in zip(first, gaps, strict=True)]
    lengths = sequence(content.get("output_lens"), f"{where}: output_lens")
    return [_line(error) if error else None if ttft or own or length else "no answer"
            for error, ttft, own, length in zip(told, first, gaps, lengths, strict=False)]


def _line(error: Any) -> str:
    """The last line of a traceback, the whole of a message."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "error"


def _load(content: Mapping[str, Any], where: str) -> tuple[int | None, float | None]:
    users = json_number(content.get("max_concurrency"), f"{where}: max_concurrency")
    rate = content.get("request_rate")
    return (int(users) if users and users >= 1 else None,
            None if rate == "trace" else json_number(rate, f"{where}: request_rate"))


def _laid_out(spans: Sequence[float], users: int | None, rate: float | None) -> list[float]:
    """Each at its place of an even rate, or at once, and not before one of the users is free."""
    free = [0.0] * min(users or len(spans), max(len(spans), 1))
    starts = []
    for at, span in enumerate(spans):
        start = max(heapq.heappop(free), at / rate if rate else 0.0)
        heapq.heappush(free, start + span)
        starts.append(start)
    return starts


def _request(start: float, ttft: float | None, gaps: tuple[float, ...], span: float,
             tokens: tuple[float | None, float | None], error: str | None) -> Request:
    first = start + ttft if ttft else None
    last = None if first is None else first + sum(gaps)
    if first is None and error is None:
        last = start + span  # an answer that was not streamed
    return Request(send_s=start, first_s=first, last_s=last, end_s=max(start + span, last or 0.0), gaps_s=gaps,
                   input_tokens=tokens[0], output_tokens=tokens[1], error=error)
