"""A sweep that never took place, as a results folder: closed-loop users against a server of so many slots."""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handmade import BASE_NS, MS, request, stage, write

from fmload.model.record import Record
from fmload.results.folder import Results


@dataclass(frozen=True)
class Server:
    """Slots, milliseconds a step with one request under way, what each further one adds, and prompt tokens a ms."""

    name: str
    instance_type: str
    slots: int
    step_ms: float
    step_ms_each: float
    prompt_tokens_per_ms: float
    failures: dict[str, float]


INF2 = Server("inf2-tgi", "inf2.xlarge", 8, 18.0, 1.1, 2.2, {})
G5 = Server("g5-vllm", "g5.2xlarge", 64, 27.0, 0.6, 5.0, {"throttled": 0.01})
SIZES = {"short": (60, 12), "mean_550": (550, 30)}


def sweep(root: Path, levels: Sequence[int] = (1, 2, 4, 8, 16), servers: Sequence[Server] = (INF2, G5),
          window_s: int = 40, sizes: dict[str, tuple[int, int]] | None = None, **spec: Any) -> Results:
    """The folder of a sweep over servers, prompt sets and numbers of users."""
    dice = random.Random(7)
    stages, records, health = [], [], []
    chosen = sizes or SIZES
    combinations = [(size, level, server) for size in chosen for level in levels for server in servers]
    for number, (size, level, server) in enumerate(combinations):
        start = BASE_NS + number // len(servers) * (window_s + 15) * 1000 * MS
        stages.append(_stage(number, server, size, level, start, window_s))
        records += _requests(dice, number, server, size, chosen[size], level, start, window_s)
    for second in range((len(combinations) // len(servers)) * (window_s + 15)):
        health += [_health(dice, worker, second) for worker in ("w0", "w1")]
    told = {**_SPEC, "endpoints": [_endpoint(server) for server in servers], **spec}
    results = write(root, stages, records, spec=told, workers=[_worker(0), _worker(1)], health=health)
    results.environment_json.write_text(json.dumps(_environment(servers)))
    return results


_SPEC = {"name": "llama3-8b-inf2-vs-g5", "region": "us-east-1", "seed": 7,
         "objectives": {"e2e_p95": "2s", "ttft_p95": "1s", "error_rate": "2%", "price_per_10k_transactions": 8}}


def _endpoint(server: Server) -> dict[str, Any]:
    return {"name": server.name, "protocol": "openai", "url": f"http://{server.name}:8080/v1",
            "model": "meta-llama/Meta-Llama-3-8B-Instruct", "price": {"instance_type": server.instance_type}}


def _environment(servers: Sequence[Server]) -> dict[str, Any]:
    return {"fmload": "0.1.0", "python": "3.11.9", "host": "loadgen-1", "kernel": "6.8.0", "cpus": 4,
            "argv": ["fmload", "run", "inf2-vs-g5.yml"], "packages": {"locust": "2.47.0", "gevent": "25.9.1"},
            "emulated": {server.name: f"Llama-3-8B on {server.instance_type}" for server in servers},
            "started_utc": "2026-11-20 20:00:00"}


def _worker(index: int) -> dict[str, Any]:
    return {"worker": f"w{index}", "index": index, "host": "loadgen-1", "pid": 100 + index, "clock_offset_ns": 0,
            "clock_uncertainty_ns": 40_000, "stamp": "kernel"}


def _stage(number: int, server: Server, size: str, level: int, start: int, window_s: int) -> dict[str, Any]:
    return stage(number, window_s * 1000, concurrency=level, start_ns=start, endpoint=server.name, prompt_set=size,
                 ramp_start_ns=start - 8000 * MS, warmup_start_ns=start - 5000 * MS,
                 drain_end_ns=start + (window_s + 4) * 1000 * MS, workers=["w0", "w1"])


def _health(dice: random.Random, worker: str, second: int) -> dict[str, Any]:
    lag = int((0.2 + 0.4 * dice.random()) * MS)
    return {"worker": worker, "at_ns": BASE_NS + (second - 8) * 1000 * MS, "loop_lag_p50_ns": lag // 4,
            "loop_lag_p99_ns": lag, "loop_lag_max_ns": lag * 3, "cpu_fraction": 0.1 + 0.1 * dice.random(),
            "rss_bytes": 150 * 2**20, "in_flight": 8, "stamp_lag_p99_ns": lag // 3, "send_late_p99_ns": lag}


def _requests(dice: random.Random, number: int, server: Server, size: str, tokens: tuple[int, int], users: int,
              start_ns: int, window_s: int) -> list[Record]:
    """Users send the next request when the last one has ended; a request waits while no slot is free."""
    slots = [-1e6] * server.slots
    ready = [(-5000.0 + 40 * user, user) for user in range(users)]
    step = server.step_ms + server.step_ms_each * min(users, server.slots)
    shift = (start_ns - BASE_NS) / MS
    made: list[Record] = []
    while ready:
        sent, user = heapq.heappop(ready)
        if sent > (window_s + 1) * 1000:
            continue
        record, ended = _request(dice, f"{number}-{len(made)}", server, size, tokens, sent, slots, step, shift,
                                 stage=number, worker=f"w{user % 2}")
        made.append(record)
        heapq.heappush(ready, (ended + 1.0, user))
    return made


def _request(dice: random.Random, name: str, server: Server, size: str, tokens: tuple[int, int], sent: float,
             slots: list[float], step: float, shift: float, **columns: Any) -> tuple[Record, float]:
    columns |= {"endpoint": server.name, "prompt_set": size}
    for outcome, share in server.failures.items():
        if dice.random() < share:
            return request(name, sent + shift, outcome=outcome, end_ms=sent + shift + 60, status=429, late_ms=0.4,
                           input_tokens=None, finish_reason=None, **columns), sent + 60
    prompt = max(8, round(tokens[0] * (0.6 + 0.8 * dice.random())))
    count = max(2, round(tokens[1] * (0.9 + 0.2 * dice.random())))
    begun = max(sent, heapq.heappop(slots))
    first = begun + prompt / server.prompt_tokens_per_ms + step * (1 + 0.3 * dice.random())
    arrivals = [first]
    for _ in range(count - 1):
        arrivals.append(arrivals[-1] + step * (0.9 + 0.2 * dice.random() + (1.5 if dice.random() < 0.02 else 0)))
    heapq.heappush(slots, arrivals[-1])
    return request(name, sent + shift, [at + shift for at in arrivals], late_ms=0.4, input_tokens=prompt,
                   prompt_tokens=prompt, max_output_tokens=200, **columns), arrivals[-1] + 1
