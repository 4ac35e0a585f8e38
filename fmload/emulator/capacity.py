"""What a batching model can do: in closed form, and by running it through a closed loop on a virtual clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from fmload.emulator.batching import BatchEngine, BatchModel
from fmload.emulator.engine import SECOND_NS, Job


@dataclass(frozen=True, slots=True)
class Capacity:
    """A steady state. `batch` is the number of sequences that run together; times in seconds."""

    requests_per_s: float
    output_tokens_per_s: float
    batch: int
    tpot_s: float  # of one decode step, undisturbed by prefills


def capacity(model: BatchModel, input_tokens: int, output_tokens: int, concurrency: int | None = None) -> Capacity:
    """Throughput at fixed lengths and `concurrency` requests in flight (None: as many as can be used).

    With n sequences in the batch, each request costs the engine its own prefill once and the whole batch
    `output_tokens − 1` decode steps: n requests take `n·prefill + (output_tokens − 1)·decode(n)`. Prefill in chunks
    adds the decode steps that the chunks ride on. Exact up to the waste at the batch's edges; an upper bound where a
    full KV cache preempts.
    """
    batch = min(filter(None, (concurrency, model.max_batch, _kv_batch(model, input_tokens, output_tokens))))
    step_s = model.decode_s(batch, batch * (input_tokens + output_tokens / 2))
    steps: float = output_tokens - 1
    if model.prefill_chunk_tokens is not None:
        steps += max(1.0, input_tokens / model.prefill_chunk_tokens)
    cycle_s = batch * model.prefill_s(1, input_tokens) + steps * step_s
    return Capacity(batch / cycle_s, batch * output_tokens / cycle_s, batch, step_s)


def _kv_batch(model: BatchModel, input_tokens: int, output_tokens: int) -> int | None:
    """Sequences that the KV cache holds: whole ones when reserved, else with half their answer on average."""
    if model.kv_tokens is None:
        return None
    held = input_tokens + (output_tokens if model.kv_reserve else output_tokens / 2)
    return max(1, int(model.kv_tokens / held))


@dataclass(frozen=True, slots=True)
class Simulated:
    """One finished request of a simulation, in seconds."""

    started_s: float
    ttft_s: float
    e2e_s: float
    output_tokens: int

    @property
    def tpot_s(self) -> float:
        return (self.e2e_s - self.ttft_s) / (self.output_tokens - 1)


def closed_loop(model: BatchModel, users: int, duration_s: float, lengths: Callable[[int], tuple[int, int]],
                think_s: float = 0.001, seed: int = 0) -> list[Simulated]:
    """Users who each send the next request `think_s` after the last one ended, on a virtual clock.

    `lengths(i)` gives input and output tokens of request i. Refused requests are tried again a second later.
    """
    engine, numbers = BatchEngine(model, seed), count()
    due = [(user * 1000, user) for user in range(users)]  # one µs apart, as from a client that starts them all
    finished: list[Simulated] = []
    now_ns, end_ns = 0, round(duration_s * SECOND_NS)
    while now_ns < end_ns:
        step_ns = engine.due_ns
        if due and (step_ns is None or due[0][0] <= step_ns):
            now_ns, user = heapq.heappop(due)
            job = Job(*lengths(next(numbers)), owner=(user, now_ns, [0]))
            if not engine.submit(job, now_ns):
                heapq.heappush(due, (now_ns + SECOND_NS, user))
            continue
        assert step_ns is not None
        now_ns = step_ns
        for job in engine.advance(now_ns):
            user, started_ns, first = job.owner
            first[0] = first[0] or now_ns
            if job.failure or job.finished:
                heapq.heappush(due, (now_ns + round(think_s * SECOND_NS), user))
            if not job.failure and job.finished:
                finished.append(Simulated(started_ns / SECOND_NS, (first[0] - started_ns) / SECOND_NS,
                                          (now_ns - started_ns) / SECOND_NS, job.output_tokens))
    return finished
