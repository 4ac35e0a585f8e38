"""The batching engine: steps as serving engines take them.

Prompts are prefilled, alone or in chunks beside the decoding; every decode step gives each running sequence one token
and lasts `a + b·batch + c·context`.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from fmload.emulator.engine import SECOND_NS, Job


@dataclass(frozen=True, slots=True)
class BatchModel:
    """The figures of one engine on one machine; times in seconds.

    A prompt's prefill costs `prefill_fixed_s + tokens / prefill_tokens_per_s`. With `prefill_chunk_tokens` None it
    stops the decoding meanwhile (TGI); else up to so many prompt tokens ride on each decode step (vLLM).
    `waiting_served_ratio` and `max_waiting_steps` are TGI's: new prompts interrupt the decoding only when they are
    at least that share of the running ones, or have waited so many steps. `kv_reserve` True reserves the whole
    request in the KV cache at admission; False takes what is used and preempts the newest when it is full.
    """

    max_batch: int
    prefill_tokens_per_s: float
    decode_fixed_s: float
    decode_per_sequence_s: float = 0.0
    decode_per_context_token_s: float = 0.0
    prefill_fixed_s: float = 0.0
    batching: Literal["continuous", "static"] = "continuous"
    prefill_chunk_tokens: int | None = None
    waiting_served_ratio: float = 0.0
    max_waiting_steps: int = 0
    kv_tokens: int | None = None
    kv_reserve: bool = True
    max_waiting: int | None = None
    queue_timeout_s: float | None = None
    gather_s: float = 0.0  # an idle engine waits so long for more requests (static batching)
    jitter: float = 0.0  # standard deviation of a step's logarithm
    by_priority: bool = False  # the lowest priority first, and the highest preempted first; else in order of arrival

    def prefill_s(self, prompts: int, tokens: int) -> float:
        """Time that `prompts` prompts of `tokens` uncached tokens in all add to a step."""
        return prompts * self.prefill_fixed_s + tokens / self.prefill_tokens_per_s

    def decode_s(self, sequences: int, context_tokens: float) -> float:
        """Time of one decode step for `sequences` sequences that hold `context_tokens` tokens in all."""
        return (self.decode_fixed_s + self.decode_per_sequence_s * sequences
                + self.decode_per_context_token_s * context_tokens)


@dataclass(slots=True)
class _Step:
    end_ns: int
    decode: list[Job]
    prefill: list[tuple[Job, int]] = field(default_factory=list)


class BatchEngine:
    """A `BatchModel` at work: a queue, a batch, one step at a time."""

    def __init__(self, model: BatchModel, seed: int = 0) -> None:
        self.model = model
        self.preemptions = 0
        self._random = random.Random(seed)
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._step: _Step | None = None
        self._gather_ns: int | None = None
        self._padded = 0  # sequences that a static batch started with
        self._since_prefill = 0

    @property
    def running_count(self) -> int:
        return len(self._running)

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use; 0 when the model has no limit."""
        return self._kv_used() / self.model.kv_tokens if self.model.kv_tokens else 0.0

    @property
    def due_ns(self) -> int | None:
        return self._step.end_ns if self._step is not None else self._gather_ns

    def submit(self, job: Job, now_ns: int) -> bool:
        model = self.model
        held = len(self._running) + len(self._waiting)
        too_large = model.kv_tokens is not None and job.input_tokens + job.output_tokens > model.kv_tokens
        if too_large or (model.max_waiting is not None and held >= model.max_batch + model.max_waiting):
            job.failure = "refused"
            return False
        job.arrived_ns = now_ns
        self._require_prefill(job)
        self._enqueue(job)
        if self._step is None and (self._gather_ns is None or len(self._waiting) >= self.model.max_batch):
            self._begin(now_ns)
        return True

    def cancel(self, job: Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
        if job in self._running:
            self._running.remove(job)
        job.output_tokens = job.done

    def advance(self, now_ns: int) -> list[Job]:
        ready: list[Job] = []
        while self.due_ns is not None and self.due_ns <= now_ns:
            at_ns = self.due_ns
            self._finish_step(ready)
            self._expire(at_ns, ready)
            self._begin(at_ns)
        return ready

    # --- steps ---

    def _begin(self, now_ns: int) -> None:
        self._step = self._gather_ns = None
        if self._gathers(now_ns):
            return
        admitted = self._admit(now_ns)
        if not self._running:
            return
        self._padded = admitted or self._padded
        self._make_room()
        prefill = self._prefill_share()
        alone = bool(prefill) and self.model.prefill_chunk_tokens is None
        decode = [] if alone else [job for job in self._running if not job.prompts_left and not job.prefill_left]
        self._since_prefill = 0 if alone else self._since_prefill + 1
        duration_s = self._duration_s(decode, prefill)
        self._step = _Step(now_ns + max(1, round(duration_s * SECOND_NS)), decode, prefill)

    def _gathers(self, now_ns: int) -> bool:
        """Whether an idle engine goes on waiting for requests to share the batch."""
        if not self.model.gather_s or self._running or not self._waiting:
            return False
        until_ns = self._waiting[0].arrived_ns + round(self.model.gather_s * SECOND_NS)
        if now_ns >= until_ns or len(self._waiting) >= self.model.max_batch:
            return False
        self._gather_ns = until_ns
        return True

    def _finish_step(self, ready: list[Job]) -> None:
        step = self._step
        if step is None:
            return
        produced = list(step.decode)
        for job, tokens in step.prefill:
            job.prefill_left -= tokens
            job.prompts_left = 0
            if not job.prefill_left:
                produced.append(job)
        for job in produced:
            if not job.finished:
                job.done += 1
                ready.append(job)
        self._running = [job for job in self._running if not job.finished]

    def _duration_s(self, decode: list[Job], prefill: list[tuple[Job, int]]) -> float:
        model = self.model
        prompts = sum(job.prompts_left for job, _ in prefill)
        duration_s = model.prefill_s(prompts, sum(tokens for _, tokens in prefill)) if prefill else 0.0
        if decode or (prefill and model.prefill_chunk_tokens is not None):
            sequences = self._padded if model.batching == "static" else len(decode) + len(prefill)
            duration_s += model.decode_s(sequences, sum(job.context_tokens for job in decode))
        if model.jitter:
            duration_s *= math.exp(self._random.gauss(0.0, model.jitter))
        return duration_s

    def _prefill_share(self) -> list[tuple[Job, int]]:
        """Which prompts the next step works on, and how many tokens of each."""
        budget = self.model.prefill_chunk_tokens
        shares: list[tuple[Job, int]] = []
        for job in self._running:
            if not job.prefill_left and not job.prompts_left:
                continue
            tokens = job.prefill_left if budget is None else min(job.prefill_left, budget)
            shares.append((job, tokens))
            if budget is not None:
                budget -= tokens
                if budget <= 0:
                    break
        return shares

    # --- the queue ---

    def _rank(self, job: Job) -> int:
        """The lowest goes first; in order of arrival all are alike."""
        return job.priority if self.model.by_priority else 0

    def _enqueue(self, job: Job) -> None:
        """Behind all that go before it or with it."""
        place = len(self._waiting)
        while place and self._rank(self._waiting[place - 1]) > self._rank(job):
            place -= 1
        self._waiting.insert(place, job)

    def _enqueue_again(self, job: Job) -> None:
        """One that was preempted: before all that do not go before it."""
        place = 0
        while place < len(self._waiting) and self._rank(self._waiting[place]) < self._rank(job):
            place += 1
        self._waiting.insert(place, job)

    def _preempted(self) -> Job:
        """Of the running ones, the one to make room: the newest of the highest priority."""
        worst = max(map(self._rank, self._running))
        place = next(place for place in reversed(range(len(self._running)))
                     if self._rank(self._running[place]) == worst)
        return self._running.pop(place)

    def _admit(self, now_ns: int) -> int:
        """Moves requests from the queue into the batch, as the model's rules allow; returns how many."""
        if not self._may_admit():
            return 0
        before = len(self._running)
        while self._waiting and len(self._running) < self.model.max_batch and self._fits(self._waiting[0]):
            job = self._waiting.popleft()
            if job.admitted_ns is None:
                job.admitted_ns = now_ns
            self._running.append(job)
        return len(self._running) - before

    def _may_admit(self) -> bool:
        if not self._waiting or not self._running:
            return bool(self._waiting)
        if self.model.batching == "static":
            return False
        enough = len(self._waiting) >= math.floor(self.model.waiting_served_ratio * len(self._running))
        return enough or self._since_prefill >= self.model.max_waiting_steps

    def _fits(self, job: Job) -> bool:
        if self.model.kv_tokens is None:
            return True
        need = job.input_tokens + (job.output_tokens if self.model.kv_reserve else job.done + 1)
        return self._kv_used() + need <= self.model.kv_tokens

    def _kv_used(self) -> int:
        if self.model.kv_reserve:
            return sum(job.input_tokens + job.output_tokens for job in self._running)
        return sum(job.input_tokens + job.done for job in self._running)

    def _make_room(self) -> None:
        """Preempts sequences, the newest first, until one more token for each of the others fits (vLLM's recompute)."""
        if self.model.kv_tokens is None or self.model.kv_reserve:
            return
        while len(self._running) > 1 and self._kv_used() + len(self._running) > self.model.kv_tokens:
            job = self._preempted()
            job.preempted += 1
            self.preemptions += 1
            self._require_prefill(job)
            self._enqueue_again(job)

    def _require_prefill(self, job: Job) -> None:
        job.prefill_left = max(0, job.input_tokens - job.cached_tokens) + job.done
        job.prompts_left = 1

    def _expire(self, now_ns: int, ready: list[Job]) -> None:
        limit_s = self.model.queue_timeout_s
        if limit_s is None:
            return
        for job in [job for job in self._waiting
                    if not job.done and now_ns - job.arrived_ns >= limit_s * SECOND_NS]:
            self._waiting.remove(job)
            job.failure = "queue_timeout"
            ready.append(job)
