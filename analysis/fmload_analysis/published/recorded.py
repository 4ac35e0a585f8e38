"""Requests that another tool recorded as a results folder of ours, so that every metric and chart exists for them.

What the tool did not record stays unknown: the client's health, and between the first and the last token the chunks,
where it keeps none.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from fmload.model.record import Record, to_table
from fmload.model.stage import Load, Stage
from fmload.results.folder import Results
from fmload.results.stage_file import StageFile
from fmload_analysis.published.rows.published import Row
from fmload_analysis.published.rows.request import LAID_OUT, Request
from fmload_analysis.published.rows.sweep import Sweep

_START_NS = 1_000_000_000_000  # of the first stage, on the clock that the folder is given
_APART_NS = 1_000_000_000
_WORKER = "imported"


def write_run(folder: Path, sweep: Sweep) -> Path | None:
    """A results folder with a stage for each row whose requests are known; None where none are.

    Raises FmloadError when the folder cannot be made.
    """
    pairs = [(part.tool, row) for part in sweep.parts for row in part.rows if len(row.requests) > 1]
    if not pairs:
        return None
    results = Results(folder).create()
    stages, start = [], _START_NS
    for number, (tool, row) in enumerate(pairs):
        records = [_record(request, at, number, row, tool, start - _ns(_first(row))) for at, request in enumerate(
            row.requests)]
        pq.write_table(to_table(records), results.records / f"stage-{number:04d}.parquet")
        stages.append(_stage(number, row, tool, records, start))
        start = (stages[-1].drain_end_ns or start) + _APART_NS
    dates = [row.date for _, row in pairs if row.date]
    StageFile(run_id=f"imported {sweep.name}", started_utc=min(dates, default=None), stages=stages).write(results)
    _describe(results, sweep, stages)
    return folder


def _describe(results: Results, sweep: Sweep, stages: Sequence[Stage]) -> None:
    endpoints = list(dict.fromkeys(stage.endpoint for stage in stages))
    results.workers_json.write_text(json.dumps([{"worker": _WORKER, "host": sweep.tool}]))
    results.environment_json.write_text(json.dumps({
        "imported": {"tool": sweep.tool, "files": [str(path) for path in sweep.sources],
                     "at": datetime.now(UTC).isoformat(timespec="seconds")}}))
    placed = ", start instants laid out by the load" if LAID_OUT in sweep.notes else ""
    results.run_yml.write_text(yaml.safe_dump({"name": f"imported from {sweep.tool}{placed}", "endpoints": [
        {"name": name} for name in endpoints]}))


def _stage(number: int, row: Row, tool: str, records: Sequence[Record], start: int) -> Stage:
    end = max(_ended(record) for record in records)
    load = _load(row, records)
    return Stage(
        stage=number, step=number, repeat=0, endpoint=row.endpoint or tool, prompt_set=row.prompt_set or row.label,
        load=load, parameters={}, ramp_s=0.0, warmup_s=0.0, window_s=(end - start) / 1e9, requests=None, drain_s=0.0,
        status="done", ramp_start_ns=start, warmup_start_ns=start, window_start_ns=start, window_end_ns=end + 1,
        drain_end_ns=end + 1, window_closed="requests", users=int(load.value) if load.kind == "concurrency" else
        _most_in_flight(records), workers=[_WORKER])


def _load(row: Row, records: Sequence[Record]) -> Load:
    """The users or the rate that the file tells; else as many users as were in flight at most."""
    users, rate = row.value("concurrency"), row.value("offered_per_s")
    if users is None and rate:
        return Load("rate", rate)
    return Load("concurrency", users or float(_most_in_flight(records)))


def _record(request: Request, at: int, stage: int, row: Row, tool: str, shift: int) -> Record:
    first, last = _at(request.first_s, shift), _at(request.last_s, shift)
    chunks = _chunks(request, first, last)
    tokens = None if request.output_tokens is None else int(request.output_tokens)
    known = tokens is not None and len(chunks) == tokens
    send = _ns(request.send_s) + shift
    scheduled = _at(request.scheduled_s, shift)
    fields: dict[str, Any] = {
        "chunk_ns": array("q", chunks), "chunk_tokens": array("i", _counts(len(chunks), tokens)),
        "chunk_censored": array("b", [0] * len(chunks)), "chunk_tokens_known": known}
    return Record(
        request_id=f"{stage}-{at}", worker=_WORKER, stage=stage, endpoint=row.endpoint or tool,
        prompt_set=row.prompt_set or row.label, prompt_id=f"{stage}-{at}", scheduled_ns=send if scheduled is None else (
            min(scheduled, send)), streamed=first is not None, send_ns=send, first_token_ns=first,
        first_answer_ns=first, last_token_ns=last, end_ns=_at(request.end_s, shift) or last,
        input_tokens=None if request.input_tokens is None else int(request.input_tokens), output_tokens=tokens,
        tokens_source=None if tokens is None else request.counted_by, outcome=_outcome(request), status=request.status,
        error=request.error, **fields)


def _chunks(request: Request, first: int | None, last: int | None) -> list[int]:
    """The instants of its chunks; of the first and last token alone where the tool keeps no others."""
    if first is None:
        return []
    if request.gaps_s:
        return [first, *(first + round(sum_s * 1e9) for sum_s in accumulate(request.gaps_s))]
    return [first] if last is None or last <= first else [first, last]


def _counts(chunks: int, tokens: int | None) -> list[int]:
    """Tokens of each chunk: as told where there is one a token, else the rest in the last."""
    if not chunks:
        return []
    rest = max((tokens or chunks) - (chunks - 1), 0)
    return [*([1] * (chunks - 1)), rest]


def _outcome(request: Request) -> Any:
    if request.cut_off:
        return "censored"
    if request.error is None:
        return "ok"
    if request.status == 429:
        return "throttled"
    if request.status is not None and 400 <= request.status < 600:
        return "http_4xx" if request.status < 500 else "http_5xx"
    return "timeout_total" if "timeout" in request.error.lower() else "stream_error"


def _most_in_flight(records: Sequence[Record]) -> int:
    events = sorted([(record.send_ns or 0, 1) for record in records] + [(_ended(record), -1) for record in records])
    return max(max(accumulate(change for _, change in events)), 1)


def _ended(record: Record) -> int:
    return record.end_ns or record.last_token_ns or record.send_ns or 0


def _first(row: Row) -> float:
    return min(request.send_s for request in row.requests)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _at(seconds: float | None, shift: int) -> int | None:
    return None if seconds is None else _ns(seconds) + shift
