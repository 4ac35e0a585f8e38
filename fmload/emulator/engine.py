"""Engines: when each token of each request comes. Pure; the caller's clock moves them, real or virtual.

`SteadyEngine` gives every request the same time to first token and the same gap; `fmload.emulator.batching` has the
one that works as serving engines do.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, Protocol

SECOND_NS = 1_000_000_000
Failure = Literal["refused", "queue_timeout"]


@dataclass(slots=True, eq=False)
class Job:
    """One request inside an engine. `done` counts the tokens produced so far; `owner` is the caller's."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    owner: Any = None
    done: int = 0
    arrived_ns: int = 0
    admitted_ns: int | None = None  # when its prefill began
    prefill_left: int = 0
    prompts_left: int = 0  # 1 until the fixed cost of its prefill has been paid
    preempted: int = 0
    failure: Failure | None = None
    priority: int = 0

    @property
    def context_tokens(self) -> int:
        """Tokens that it holds in the KV cache."""
        return self.input_tokens - self.prefill_left + self.done

    @property
    def finished(self) -> bool:
        return self.done >= self.output_tokens


class Engine(Protocol):
    """What the server asks of an engine. Instants are ns of one clock of the caller's choice.

    `submit` returns False when the request is refused. `due_ns` is when `advance` should be called next (None:
    nothing to do). `advance` returns every job that got one more token (in order; a job may come twice when the
    caller was late) or whose `failure` was set.
    """

    def submit(self, job: Job, now_ns: int) -> bool: ...

    def cancel(self, job: Job) -> None: ...

    @property
    def due_ns(self) -> int | None: ...

    def advance(self, now_ns: int) -> list[Job]: ...

    @property
    def running_count(self) -> int: ...

    @property
    def waiting_count(self) -> int: ...

    @property
    def kv_usage(self) -> float: ...

    @property
    def preemptions(self) -> int: ...


class SteadyEngine:
    """Every request: first token `ttft_s` after it came, then one each `gap_s`, on an absolute schedule.

    `jitter` is the standard deviation of each gap as a share of it (Gaussian, never below zero).
    """

    def __init__(self, ttft_s: float, gap_s: float, jitter: float = 0.0, seed: int = 0) -> None:
        self._ttft_ns = round(ttft_s * SECOND_NS)
        self._gap_ns = round(gap_s * SECOND_NS)
        self._jitter = jitter
        self._random = random.Random(seed)
        self._heap: list[tuple[int, int, Job]] = []
        self._order = count()
        self._cancelled = 0
        self.preemptions = 0
        self.waiting_count = 0
        self.kv_usage = 0.0

    @property
    def running_count(self) -> int:
        return len(self._heap) - self._cancelled

    @property
    def due_ns(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def submit(self, job: Job, now_ns: int) -> bool:
        job.admitted_ns = now_ns
        self._push(now_ns + self._varied(self._ttft_ns), job)
        return True

    def cancel(self, job: Job) -> None:
        if not job.finished:
            job.output_tokens = 0  # dropped when its turn comes
            self._cancelled += 1

    def advance(self, now_ns: int) -> list[Job]:
        heap, ready, later = self._heap, [], []
        while heap and heap[0][0] <= now_ns:
            due_ns, _, job = heapq.heappop(heap)
            if not job.output_tokens:
                self._cancelled -= 1
                continue
            job.done += 1
            ready.append(job)
            if job.done < job.output_tokens:
                later.append((due_ns + self._varied(self._gap_ns), job))
        for due_ns, job in later:  # pushed afterwards: without a gap every stream gets one token a call
            self._push(due_ns, job)
        return ready

    def _push(self, due_ns: int, job: Job) -> None:
        heapq.heappush(self._heap, (due_ns, next(self._order), job))

    def _varied(self, duration_ns: int) -> int:
        return max(0, round(duration_ns * self._random.gauss(1.0, self._jitter))) if self._jitter else duration_ns
