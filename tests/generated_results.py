"""Results folders of drawn requests with all that a run can leave, and every figure of their analysis as plain data.

The draws are the same on every machine. `figures` holds what reports and tables are made of, to the last digit.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from handmade import BASE_NS, MS, stage, write

from fmload.metrics.definitions import of_level
from fmload.model.record import SCHEMA, Record, to_table
from fmload.model.session import Session
from fmload.results import sessions as session_files
from fmload.results.folder import Results
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.records.words import Words
from fmload_analysis.run import open_run
from fmload_analysis.stage.timeline import Requests
from fmload_analysis.verdict.table import summary_row

WORKERS = [{"worker": "w0"}, {"worker": "w1", "clock_offset_ns": 7 * MS}, {"worker": "w2", "clock_offset_ns": -3 * MS}]
OFFSETS = {"w0": 0, "w1": 7 * MS, "w2": -3 * MS, "unlisted": 0}
FAILED = ("http_5xx", "throttled", "timeout_total", "truncated", "empty", "censored", "cancelled", "client", "blocked")
OBJECTIVES = {"ttft_p95": "200ms", "ttft": "300ms", "itl_p99": "40ms", "itl_p50": "20ms", "e2e_mean": "1.5s",
              "tpot_p90": "25ms", "error_rate": "5%"}
Draw = random.Random
Kind = Callable[[Draw, int, dict[str, Any], list[int]], None]


def requests(seed: int, count: int, *kinds: Kind, number: int = 0, start_ns: int = BASE_NS, window_ms: int = 4000,
             **columns: Any) -> list[Record]:
    """Records drawn one by one; each kind changes some of them."""
    draw = Draw(seed)
    return [_request(draw, i, kinds, number, start_ns, window_ms, columns) for i in range(count)]


def _request(draw: Draw, i: int, kinds: Iterable[Kind], number: int, start_ns: int, window_ms: int,
             columns: Mapping[str, Any]) -> Record:
    worker = draw.choice(("w0", "w0", "w1"))
    send = start_ns + round(draw.uniform(-300, window_ms + 200) * MS)
    stamps = [send + round(draw.lognormvariate(4.5, 0.5) * MS)]
    for _ in range(draw.randint(0, 30)):
        stamps.append(stamps[-1] + round(draw.lognormvariate(2.8, 0.4) * MS))
    values: dict[str, Any] = {
        "request_id": f"{number}.{i}", "worker": worker, "stage": number, "endpoint": "a", "prompt_set": "p",
        "prompt_id": f"p{draw.randint(0, 60)}", "scheduled_ns": send - round(draw.expovariate(2) * MS), "send_ns": send,
        "headers_ns": send + 2 * MS, "first_token_ns": stamps[0], "first_answer_ns": stamps[0],
        "last_token_ns": stamps[-1], "end_ns": stamps[-1] + round(draw.uniform(0, 3) * MS), "stamp": "kernel",
        "lag_max_ns": draw.randint(0, 500_000), "input_tokens": draw.randint(20, 900), "prompt_tokens": None,
        "max_output_tokens": 64, "tokens_source": "server", "outcome": "ok", "status": 200, "finish_reason": "stop",
        "chunk_tokens_known": True, **columns}
    tokens = [1] * len(stamps)
    values |= {"chunk_ns": stamps, "chunk_censored": [0] * len(stamps), "output_tokens": len(stamps)}
    for kind in kinds:
        kind(draw, i, values, tokens)
    return _record(values, tokens)


def _record(values: dict[str, Any], tokens: list[int]) -> Record:
    """With its instants on the clock of its worker."""
    offset = OFFSETS[values["worker"]]
    for name in ("scheduled_ns", "send_ns", "headers_ns", "first_token_ns", "first_answer_ns", "last_token_ns",
                 "end_ns"):
        if values[name] is not None:
            values[name] += offset
    stamps = values["chunk_ns"]
    lists = {"chunk_ns": array("q", [stamp + offset for stamp in stamps]),
             "chunk_tokens": array("i", tokens[:len(stamps)]),
             "chunk_censored": array("b", values["chunk_censored"][:len(stamps)])}
    return Record(**{**values, **lists})


def late_reads(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """Reads that held several chunks: their stamps are the same, and censored."""
    stamps, at = values["chunk_ns"], 0
    while at < len(stamps):
        held = draw.choice((1, 1, 1, 1, 1, 2, 3))
        last = min(at + held, len(stamps)) - 1
        if held > 1:
            for k in range(at, last + 1):
                stamps[k], values["chunk_censored"][k] = stamps[last], 1
        at = last + 1
    values["first_token_ns"] = values["first_answer_ns"] = stamps[0]


def several_tokens(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """Chunks of several tokens; of some requests it is not known of how many."""
    tokens[:] = [draw.choice((1, 1, 2, 5)) for _ in tokens]
    values["output_tokens"] = sum(tokens)
    if draw.random() < 0.3:
        values |= {"chunk_tokens_known": False, "output_tokens": sum(tokens) + draw.randint(1, 9)}
    if draw.random() < 0.05:
        values |= {"output_tokens": None, "tokens_source": None}


def failures(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """Requests that ended otherwise: before a token, in the middle, without an end, never sent."""
    if draw.random() > 0.25:
        return
    values |= {"outcome": draw.choice(FAILED), "finish_reason": None, "status": draw.choice((200, 429, 503, None)),
               "error": draw.choice(("broken pipe", "busy", None))}
    kept = draw.randint(0, len(values["chunk_ns"]))
    for name in ("chunk_ns", "chunk_censored"):
        values[name] = values[name][:kept]
    del tokens[kept:]
    values |= {"last_token_ns": values["chunk_ns"][-1] if kept else None, "output_tokens": None, "tokens_source": None}
    if not kept:
        values |= {"first_token_ns": None, "first_answer_ns": None}
    if draw.random() < 0.4:
        values["end_ns"] = None
    if not kept and draw.random() < 0.5:
        values |= {"send_ns": None, "headers_ns": None, "end_ns": None}


def told_oddly(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """Caches, reasoning, several choices, no streaming, other reasons, remarks, counts of the client's own."""
    values |= {"cached_tokens": draw.choice((None, 0, 16, 128)), "reasoning_tokens": draw.choice((None, 0, 3)),
               "prompt_tokens": draw.randint(20, 900), "max_output_tokens": draw.choice((None, 8, 64)),
               "finish_reason": draw.choice(("stop", "length", None, "LENGTH")), "remark": draw.choice((None, "odd")),
               "stamp": draw.choice(("kernel", "user")), "tokens_source": draw.choice(("server", "tokenizer"))}
    if draw.random() < 0.1:
        values |= {"choices": 2, "output_tokens": (values["output_tokens"] or 0) * 2}
    if draw.random() < 0.1:
        values |= {"input_tokens": None, "streamed": False}
    if draw.random() < 0.2 and values["chunk_ns"]:
        values["first_answer_ns"] = values["chunk_ns"][len(values["chunk_ns"]) // 2]
    if draw.random() < 0.1:
        values |= {"cache_write_tokens": 64, "cache_write_1h_tokens": 32}


def damaged(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """Stamps that go back, gaps of nothing, instants of another age."""
    stamps = values["chunk_ns"]
    if draw.random() < 0.1 and len(stamps) > 3:
        stamps[2] = stamps[1] - 5 * MS
    if draw.random() < 0.1 and len(stamps) > 1:
        stamps[1] = stamps[0]
    if i == 17:
        values |= {"end_ns": values["send_ns"] + 10**16, "chunk_ns": [*stamps[:-1], stamps[0] + 10**16]}
    if i == 23:
        values["chunk_ns"] = [-(10**15), *stamps[1:]]
    if draw.random() < 0.05:
        values["worker"] = "unlisted"


def addresses(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """One of three addresses, or none."""
    values["address"] = draw.choice(("10.0.0.1:80", "10.0.0.2:80", "10.0.0.2:80", "10.0.0.3:80", ""))


def in_sessions(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """Turns of sessions of two names; some requests are of none."""
    note = {"name": draw.choice(("ask", "tell")), "user": draw.choice(("Ann", "Bob")), "session": f"s{i // 4}",
            "of": "chat", "turn": i % 4, "step": i % 4,
            "tools_s": draw.uniform(0, 0.2), "thinking_s": draw.uniform(0, 1)}
    values |= {"detail": json.dumps({"scenario": note}) if draw.random() < 0.9 else None,
               "input_tokens": draw.choice((500, 1500, 5000))}


def checked(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """Safety checks before and after."""
    notes = {step: {"verdict": draw.choice(("safe", "safe", "unsafe", "failed", "stopped")), "s": draw.uniform(0, 0.1)}
             for step in ("before", "after") if draw.random() < 0.8}
    values["detail"] = json.dumps({"safe_check": notes}) if draw.random() < 0.9 else None


def with_inputs(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """Texts to embed: an answer of no token."""
    values |= {"inputs": draw.randint(1, 32), "streamed": False, "chunk_ns": [], "chunk_censored": [],
               "output_tokens": None, "first_token_ns": None, "first_answer_ns": None, "chunk_tokens_known": False}


def of_tenants(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """On behalf of one of two tenants, or of nobody; some prompts hold images."""
    values["tenant"] = draw.choice(("gold", "free", "free", None))
    if draw.random() < 0.2:
        values |= {"images_in": 2, "media_bytes": 20_000, "image_tokens": 170}


def sounding(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """A text that is spoken."""
    values |= {"audio_out_s": draw.uniform(1, 9), "characters": draw.randint(10, 90), "stalls": draw.randint(0, 1),
               "stalled_ns": 3 * MS, "first_output_ns": values["send_ns"] + OFFSETS[values["worker"]] + 40 * MS}


def server_timings(draw: Draw, i: int, values: dict[str, Any], tokens: list[int]) -> None:
    """What the server says of itself."""
    values["detail"] = json.dumps({"timings": {"predicted_n": 20, "predicted_ms": draw.uniform(100, 400)}})


ALL = (late_reads, several_tokens, told_oddly, failures, damaged, addresses)


def _sessions(seed: int, count: int) -> pa.Table:
    draw, rows = Draw(seed), []
    for i in range(count):
        begin = BASE_NS + round(draw.uniform(-500, 3500) * MS)
        one = Session(f"s{i}", draw.choice(("chat", "agent")), "Ann", "w1", 0, "a", "p", begin + 7 * MS,
                      begin + 7 * MS + round(draw.uniform(100, 1500) * MS),
                      draw.choice(("finished", "finished", "failed", "cut")), 4, 0, path_waiting_ns=5 * MS,
                      context_tokens=draw.choice((None, 500, 3000)))
        rows.append({name: getattr(one, name) for name in session_files.COLUMNS})
    return pa.Table.from_pylist(rows, schema=session_files.SCHEMA)


def _plain(root: Path) -> None:
    stages = [stage(k, 4000, concurrency=4, start_ns=BASE_NS + k * 10_000 * MS) for k in range(3)]
    write(root, stages, [record for k, one in enumerate(stages) for record in requests(
        k, 300, number=k, start_ns=one["window_start_ns"])], workers=WORKERS, spec={"objectives": OBJECTIVES})


def _odd(root: Path) -> None:
    spec = {"endpoints": [{"name": "a", "price": {"hourly": 2.5}}], "objectives": OBJECTIVES,
            "report": {"threshold_tokens_per_s": 30}}
    write(root, [stage(0, 4000, concurrency=8)], requests(11, 900, *ALL), workers=WORKERS, spec=spec)


def _by_token(root: Path) -> None:
    spec = {"endpoints": [{"name": "a", "urls": ["http://10.0.0.1:80", "http://10.0.0.2:80"],
                           "price": {"input_per_1m": 1.1, "output_per_1m": 3.3}}], "objectives": OBJECTIVES}
    write(root, [stage(0, 4000, concurrency=8)], requests(12, 700, *ALL), workers=WORKERS, spec=spec)


def _resumed(root: Path) -> None:
    """A stage that was broken off and run again, one skipped, one empty, one of a single request, one left open; two
    endpoints of one server; the second stage repeats prompts of the first."""
    at = [BASE_NS + k * 10_000 * MS for k in range(8)]
    stages = [
        stage(0, 4000, concurrency=8, status="superseded", start_ns=at[0], step=0),
        stage(1, 4000, status="skipped", start_ns=at[1], step=1), stage(2, 4000, start_ns=at[2], step=2),
        stage(3, 4000, concurrency=8, start_ns=at[3], step=3, endpoint="b"), stage(4, 4000, start_ns=at[4], step=4),
        stage(5, 4000, concurrency=8, start_ns=at[5], step=5, status="running", window_end_ns=None, drain_end_ns=None),
        stage(6, 4000, concurrency=8, start_ns=at[6], step=0)]
    records = [record for number, count, endpoint in ((0, 100, "a"), (3, 300, "b"), (4, 1, "a"), (5, 200, "a"),
                                                      (6, 300, "a"))
               for record in requests(20 + number, count, late_reads, failures, number=number, start_ns=at[number],
                                      endpoint=endpoint)]
    spec = {"endpoints": [{"name": "a", "url": "http://s:1/v1", "price": {"hourly": 1.0}},
                          {"name": "b", "url": "http://s:1/v1"}], "objectives": {"ttft_p95": "200ms"}}
    write(root, stages, records, workers=WORKERS, spec=spec)


def _with_sessions(root: Path) -> None:
    results = write(root, [stage(0, 4000, concurrency=8)], requests(31, 400, late_reads, failures, in_sessions),
                    workers=WORKERS, spec={"prompts": [{"name": "p", "source": "scenario"}],
                                           "objectives": {"session_duration_p90": "1s", "ttft_p95": "1s"}})
    pq.write_table(_sessions(32, 100), results.sessions_parquet)


def _with_checks(root: Path) -> None:
    write(root, [stage(0, 4000, concurrency=8)], requests(41, 400, failures, checked), workers=WORKERS,
          spec={"load": {"safe_check": {"before": {"latency": "100ms"}, "after": {"latency": "50ms"}}}})


def _embedding(root: Path) -> None:
    write(root, [stage(0, 4000, concurrency=8)], requests(51, 400, with_inputs, failures), workers=WORKERS)


def _first_schema(root: Path) -> None:
    """Columns that came later are missing; texts are no dictionaries; two files of small row groups."""
    results = write(root, [stage(0, 4000, concurrency=8)], workers=WORKERS)
    late = ("chunk_tokens_known", "choices", "remark", "cache_write_tokens", "cache_write_1h_tokens", "inputs")
    table = to_table(requests(61, 500, late_reads, several_tokens, told_oddly, failures)).drop_columns(list(late))
    plain = pa.schema([field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
                       for field in table.schema])
    for name, part in (("stage-0000.parquet", table[:200]), ("stage-0000-1.parquet", table[200:].cast(plain))):
        pq.write_table(part, results.records / name, row_group_size=37)


def _open_loop(root: Path) -> None:
    load = {"kind": "rate", "value": 50, "arrivals": {"process": "poisson"}}
    write(root, [stage(0, 4000, load=load)], requests(71, 300, server_timings, failures), workers=WORKERS)


def _with_tenants(root: Path) -> None:
    spec = {"endpoints": [{"name": "a", "price": {"input_per_1m": 1.1, "output_per_1m": 3.3}}],
            "tenants": [{"name": "gold", "objectives": {"ttft_p95": "150ms"}}, {"name": "free"}],
            "prompts": [{"name": "p", "tenants": {"gold": 1, "free": 2}}], "objectives": {"ttft_p95": "300ms"}}
    write(root, [stage(0, 4000, concurrency=8)], requests(81, 500, late_reads, failures, of_tenants), workers=WORKERS,
          spec=spec)


def _speech(root: Path) -> None:
    write(root, [stage(0, 4000, concurrency=8)], requests(91, 300, with_inputs, sounding, failures), workers=WORKERS)


def _none(root: Path) -> None:
    """No record at all, and a file of none."""
    results = write(root, [stage(0, 1000), stage(1, 1000)], workers=WORKERS, spec={"objectives": OBJECTIVES})
    pq.write_table(SCHEMA.empty_table(), results.records / "stage-0001.parquet")


FOLDERS: dict[str, Callable[[Path], None]] = {
    "plain": _plain, "odd": _odd, "by_token": _by_token, "resumed": _resumed, "sessions": _with_sessions,
    "checks": _with_checks, "embedding": _embedding, "first_schema": _first_schema, "open_loop": _open_loop,
    "tenants": _with_tenants, "speech": _speech,
    "none": _none}


def make(name: str, root: Path) -> Results:
    """The folder of that name."""
    FOLDERS[name](root)
    return Results(root)


def figures(root: Path) -> dict[str, Any]:
    """All that the analysis of a folder found, as JSON holds it."""
    analysis = analyse_run(open_run(root))
    return {"results": [plain(result) for result in analysis.results], "best": plain(analysis.best),
            "repeated_usd": plain(analysis.repeated_usd), "rows": [plain(summary_row(one)) for one in analysis.results]}


LONGEST = 12  # entries of a list that are written out
LEFT_OUT = {"prompts", "losses", "endpoint", "stage", "pricing"}  # hashes, paths, and what was asked


def plain(value: Any) -> Any:
    """Dataclasses, mappings and arrays as JSON; numbers that are none by their names."""
    if isinstance(value, Requests):
        return {**{name: plain(getattr(value, name)) for name in ("begun_s", "ended_s", "outcome", "in_window")},
                "metrics": {metric.name: plain(value.metrics[metric.name]) for metric in of_level("request")}}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value) if one.name not in LEFT_OUT}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | Words):
        return [plain(each) for each in value.tolist()]
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    return value if not isinstance(value, float) or math.isfinite(value) else repr(value)


def shortened(value: Any) -> Any:
    """The same with long lists as their length and a hash."""
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    if isinstance(value, list) and len(value) > LONGEST:
        return f"{len(value)} × {hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]}"
    return [shortened(each) for each in value] if isinstance(value, list) else value
