"""Results folders of a run that never took place: an engine of the emulator on a virtual clock, under arrivals."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fmload.emulator.batching import BatchEngine, BatchModel
from fmload.emulator.engine import SECOND_NS, Job
from fmload.model.record import Record
from fmload.results.folder import Results

sys.path.insert(0, str(Path(__file__).parents[3]))
from handmade import BASE_NS, MS, request, stage, write

ENGINE = BatchModel(16, 4000.0, 0.03, 0.0006, 3e-7, 0.012, prefill_chunk_tokens=1024)
NETWORK_MS = 4.0
Lengths = tuple[tuple[int, int], tuple[int, int]]


def measured(root: Path, rates: tuple[float, ...] = (0.5, 3, 6, 12), window_s: int = 60, model: BatchModel = ENGINE,
             change: Mapping[str, Any] | None = None, lengths: Lengths = ((20, 900), (5, 80)), seed: int = 0,
             **spec: Any) -> Results:
    """The folder of a run over arrival rates; a first token comes 4 ms later than the engine made it. `change`: what
    every record holds in another way. `lengths`: tokens of prompts and of answers, from and to."""
    stages, records = [], []
    for number, rate in enumerate(rates):
        start_ns = BASE_NS + number * (window_s + 400) * 1000 * MS
        stages.append(stage(number, window_s * 1000, start_ns=start_ns, load={
            "kind": "rate", "value": rate, "arrivals": {"process": "poisson"}}))
        arrivals = _arrivals(rate, window_s, lengths, seed * 1000 + number)
        records += _stage(number, arrivals, model, number * (window_s + 400) * 1000)
    records = [replace(record, **change or {}) for record in records]
    spec = {"endpoints": [{"name": "a", "price": {"hourly": 1.2}}], "objectives": {"ttft_p95": "1s"}, **spec}
    return write(root, stages, records, spec=spec)


def _arrivals(rate: float, window_s: float, lengths: Lengths, seed: int) -> list[tuple[float, Job]]:
    draw = random.Random(seed)
    at_s, arrivals = 0.0, []
    while (at_s := at_s + draw.expovariate(rate)) < window_s:
        arrivals.append((at_s, Job(draw.randint(*lengths[0]), draw.randint(*lengths[1]), owner=[])))
    return arrivals


def _stage(number: int, arrivals: list[tuple[float, Job]], model: BatchModel, origin_ms: float) -> list[Record]:
    served(model, arrivals, number)
    return [request(f"r{number}.{place}", origin_ms + at_s * 1000,
                    [origin_ms + one_ns / MS + NETWORK_MS for one_ns in job.owner], stage=number,
                    input_tokens=job.input_tokens) for place, (at_s, job) in enumerate(arrivals)]


def served(model: BatchModel, arrivals: list[tuple[float, Job]], seed: int = 0) -> None:
    """Every job's owner gets the instants of its tokens."""
    engine, left = BatchEngine(model, seed), list(arrivals)
    while left or engine.due_ns is not None:
        at_ns = round(left[0][0] * SECOND_NS) if left else None
        if at_ns is not None and (engine.due_ns is None or at_ns <= engine.due_ns):
            engine.submit(left.pop(0)[1], at_ns)
            continue
        assert engine.due_ns is not None
        now_ns = engine.due_ns
        for job in engine.advance(now_ns):
            job.owner.append(now_ns)
