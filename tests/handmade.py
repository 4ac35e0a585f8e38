"""Results folders made by hand, for tests: requests whose instants are small integers of milliseconds."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from fmload.model.record import Record, to_table
from fmload.results.folder import Results

MS = 1_000_000
BASE_NS = 1_000_000_000_000  # the window of stage 0 opens here, on the master's clock


def request(name: str, send_ms: float, chunks_ms: Sequence[float] = (), *, stage: int = 0, tokens: Sequence[int] = (),
            censored: Sequence[int] = (), end_ms: float | None = None, late_ms: float = 0, outcome: str = "ok",
            offset_ns: int = 0, **columns: Any) -> Record:
    """A record; instants in milliseconds after the window's start on the master's clock."""
    def at(ms: float | None) -> int | None:
        return None if ms is None else BASE_NS + round(ms * MS) + offset_ns

    stamps = [at(ms) for ms in chunks_ms]
    counts = list(tokens) or [1] * len(stamps)
    end = end_ms if end_ms is not None else (chunks_ms[-1] if len(chunks_ms) else None)
    given: dict[str, Any] = {
        "request_id": name, "worker": "w0", "stage": stage, "endpoint": "a", "prompt_set": "p", "prompt_id": name,
        "scheduled_ns": at(send_ms - late_ms), "send_ns": at(send_ms),
        "first_token_ns": stamps[0] if stamps else None, "first_answer_ns": stamps[0] if stamps else None,
        "last_token_ns": stamps[-1] if stamps else None, "end_ns": at(end), "chunk_ns": array("q", stamps),
        "chunk_tokens": array("i", counts), "chunk_censored": array("b", list(censored) or [0] * len(stamps)),
        "stamp": "kernel", "input_tokens": 10, "output_tokens": sum(counts) if stamps else None,
        "chunk_tokens_known": bool(stamps), "tokens_source": "server", "outcome": outcome, "status": 200,
        "finish_reason": "stop",
    }
    return Record(**{**given, **columns})


def stage(number: int = 0, window_ms: int = 1000, *, concurrency: int = 1, start_ns: int = BASE_NS,
          **columns: Any) -> dict[str, Any]:
    """An entry of stages.json whose window is `window_ms` long."""
    return {"stage": number, "step": number, "repeat": 0, "endpoint": "a", "prompt_set": "p",
            "load": {"kind": "concurrency", "value": concurrency}, "parameters": {}, "ramp_s": 0.0, "warmup_s": 0.0,
            "window_s": window_ms / 1000, "requests": None, "drain_s": 1.0, "status": "done",
            "ramp_start_ns": start_ns, "warmup_start_ns": start_ns, "window_start_ns": start_ns,
            "window_end_ns": start_ns + window_ms * MS, "drain_end_ns": start_ns + window_ms * MS, "users": concurrency,
            "workers": ["w0"], "marks": [], **columns}


def write(root: Path, stages: Iterable[dict[str, Any]], records: Iterable[Record] = (), *,
          spec: dict[str, Any] | None = None, workers: Sequence[dict[str, Any]] = ({"worker": "w0"},),
          health: Iterable[dict[str, Any]] = ()) -> Results:
    """A results folder with these stages and records."""
    results = Results(root).create()
    results.stages_json.write_text(json.dumps({"schema": 1, "run_id": "r", "stages": list(stages)}))
    results.workers_json.write_text(json.dumps(list(workers)))
    results.environment_json.write_text("{}")
    results.run_yml.write_text(yaml.safe_dump({"name": "t", "endpoints": [{"name": "a"}], **(spec or {})}))
    results.health_jsonl.write_text("".join(json.dumps(line) + "\n" for line in health))
    by_stage: dict[int, list[Record]] = {}
    for record in records:
        by_stage.setdefault(record.stage, []).append(record)
    for number, rows in by_stage.items():
        pq.write_table(to_table(rows), results.records / f"stage-{number:04d}.parquet")
    return results


def back_to_back(count: int = 200, users: int = 1, length_ms: int = 100, tokens: int = 4,
                 **columns: Any) -> list[Record]:
    """Requests of `users` users one after another, `length_ms` each, four tokens at equal distances."""
    return [request(f"r{user}.{i}", i * length_ms,
                    [i * length_ms + length_ms * (k + 1) / tokens for k in range(tokens)], **columns)
            for user in range(users) for i in range(count // users)]


def health(cpu: float = 0.1, lag_ms: float = 0.1, host_cpu: float = 0.2) -> list[dict[str, Any]]:
    """What worker w0 told of itself in each of the first 20 seconds."""
    return [{"worker": "w0", "at_ns": BASE_NS + second * 1000 * MS, "cpu_fraction": cpu,
             "host_cpu_fraction": host_cpu, "loop_lag_p99_ns": round(lag_ms * MS),
             "loop_lag_max_ns": round(lag_ms * MS)} for second in range(20)]


def pages(results: Results) -> str:
    """The report as text: report.md, and in full what it gives in short."""
    return "\n".join(path.read_text() for path in (
        results.report_md, results.details_md, results.audit_md, results.environment_md))
