"""One replica at work, by events: steps in which nothing changes are taken together, so that a request costs a few
events whatever its answer's length."""

from __future__ import annotations

import math
import random
from collections import deque
from heapq import heappop, heappush

from fmload_analysis.capacity.model import ReplicaModel

NEVER = math.inf


class Job:
    """One request: seconds of the simulation, tokens, and what became of it. `begun_s` (it got a slot),
    `first_s` and `end_s` are NaN until then. `known`: its session had asked before the simulation began."""

    __slots__ = ("arrival_s", "begun_s", "end_s", "first_s", "input_tokens", "known", "lost", "number", "replica",
                 "session", "steps", "uncached")

    def __init__(self, number: int, arrival_s: float, input_tokens: float, steps: int, session: int = -1,
                 known: bool = False) -> None:
        self.number = number
        self.arrival_s = arrival_s
        self.input_tokens = input_tokens
        self.uncached = input_tokens
        self.steps = steps
        self.session = session
        self.known = known
        self.begun_s = self.first_s = self.end_s = math.nan
        self.replica = -1
        self.lost = False


class Replica:
    """A `ReplicaModel` at work. `offer` takes a request, `advance` does what is due at `due_s`."""

    __slots__ = ("_ahead", "_batch", "_draw", "_held", "_left", "_model", "_pace", "_prefilling", "_run_s", "_since_s",
                 "_steps", "_waited", "busy_s", "due_s", "largest", "number", "queue", "slot_s", "until_s")

    def __init__(self, model: ReplicaModel, number: int = 0, until_s: float = NEVER, seed: int = 0) -> None:
        self._model = model
        self._draw = random.Random(f"{seed}/{number}/steps") if model.jitter else None
        self.until_s = until_s  # what is done later counts in neither busy_s nor slot_s
        self.number = number
        self.queue: deque[Job] = deque()
        self._batch: list[tuple[int, int, Job]] = []  # by the step at which they end
        self._prefilling: deque[Job] = deque()
        self._left: dict[int, float] = {}  # prompt tokens that are not worked on yet, by job
        self._steps = 0  # steps since the start
        self._ahead = 0  # steps that are under way; 0: a prefill alone
        self._held = 0.0  # tokens that the batch holds
        self._since_s = 0.0
        self._run_s = 0.0
        self._pace = 1.0  # what is under way lasts ÷ its mean
        self._waited = 0  # steps since the last prefill
        self.due_s = NEVER
        self.busy_s = self.slot_s = 0.0
        self.largest = 0

    @property
    def in_flight(self) -> int:
        """Requests that it holds: waiting, in their prefill, or decoded."""
        return len(self.queue) + len(self._prefilling) + len(self._batch)

    def offer(self, job: Job, now_s: float) -> None:
        """Take a request. It is looked at when the step under way has ended; at once where there is none."""
        self.queue.append(job)
        if self.due_s == NEVER:
            self._begin(now_s)
        elif self._ahead > 1 and self._running < self._model.slots:
            self._cut(now_s)

    def advance(self) -> list[Job]:
        """End what is under way at `due_s` and begin the next; the requests that have ended."""
        now_s, ended = self.due_s, []
        worked_s = min(now_s, self.until_s) - min(self._since_s, self.until_s)
        self.busy_s += worked_s
        self.slot_s += worked_s * self._running
        self._held += len(self._batch) * self._ahead
        self._steps += self._ahead
        self._waited += self._ahead
        while self._batch and self._batch[0][0] <= self._steps:
            job = heappop(self._batch)[2]
            job.end_s = now_s
            self._held -= job.input_tokens + job.steps
            ended.append(job)
        self._prefilled(now_s, ended)
        self._begin(now_s)
        return ended

    def fail(self) -> list[Job]:
        """Lose everything that it holds: the requests that are lost."""
        lost = [*self.queue, *self._prefilling, *(job for _, _, job in self._batch)]
        self.queue.clear()
        self._prefilling.clear()
        self._batch.clear()
        self._left.clear()
        self._held, self._ahead, self.due_s = 0.0, 0, NEVER
        return lost

    @property
    def _running(self) -> int:
        return len(self._batch) + len(self._prefilling)

    def _begin(self, now_s: float) -> None:
        self._admit(now_s)
        self._since_s = now_s
        self.largest = max(self.largest, self._running)
        if self._prefilling:
            self._ahead, self._run_s = self._prefill()
        elif self._batch:
            self._ahead = self._next_change()
            self._run_s = self._lasting(self._ahead)
        else:
            self.due_s, self._ahead = NEVER, 0
            return
        self._pace = self._varied(max(self._ahead, 1))
        self._run_s *= self._pace
        self.due_s = now_s + self._run_s

    def _varied(self, steps: int) -> float:
        """Of so many steps together, by chance: lognormal, of mean 1 and the variance of their sum."""
        if self._draw is None:
            return 1.0
        variance = math.log1p(math.expm1(self._model.jitter ** 2) / steps)
        return math.exp(self._draw.gauss(-variance / 2, math.sqrt(variance)))

    def _admit(self, now_s: float) -> None:
        model = self._model
        if not self.queue or (self._batch and not self._may_admit()):
            return
        while self.queue and self._running < model.slots:
            job = self.queue.popleft()
            job.begun_s = now_s
            self._prefilling.append(job)
            self._left[job.number] = job.uncached

    def _may_admit(self) -> bool:
        model = self._model
        return (len(self.queue) >= math.floor(model.admit_share * self._running)
                or self._waited >= model.admit_steps)

    def _prefill(self) -> tuple[int, float]:
        """Steps and seconds of a prefill: of all prompts alone, or of some of their tokens beside one step."""
        model = self._model
        if model.batching == "alone":
            self._waited = 0
            lasts_s = sum(model.prefill_s(job.uncached) for job in self._prefilling)
            self._left = dict.fromkeys(self._left, 0.0)
            return 0, lasts_s
        budget, lasts_s, touched = float(model.chunk_tokens), 0.0, 0
        for job in self._prefilling:
            left = self._left[job.number]
            share = min(left, budget)
            lasts_s += share * model.prefill_per_token_s + (model.prefill_fixed_s if left == job.uncached else 0.0)
            self._left[job.number] = left - share
            budget -= share
            touched += 1
            if budget <= 0:
                break
        return 1, lasts_s + model.step_s(len(self._batch) + touched, self._held)

    def _prefilled(self, now_s: float, ended: list[Job]) -> None:
        """Those whose prompt is done have their first token, and are decoded from now on."""
        while self._prefilling and self._left.get(self._prefilling[0].number, 1.0) <= 0:
            job = self._prefilling.popleft()
            del self._left[job.number]
            job.first_s = now_s
            if job.steps == 1:
                job.end_s = now_s
                ended.append(job)
                continue
            heappush(self._batch, (self._steps + job.steps - 1, job.number, job))
            self._held += job.input_tokens + 1

    def _next_change(self) -> int:
        """Steps until a request ends, or until one that waits may be let in."""
        steps = self._batch[0][0] - self._steps
        if self.queue and self._running < self._model.slots:
            steps = min(steps, max(1, self._model.admit_steps - self._waited))
        return steps

    def _lasting(self, steps: int) -> float:
        """Seconds of so many steps of the batch as it is: each holds as many tokens more as there are requests."""
        model, requests = self._model, len(self._batch)
        return (steps * model.step_s(requests, self._held)
                + model.step_per_token_s * requests * steps * (steps - 1) / 2)

    def _cut(self, now_s: float) -> None:
        """End the steps under way at the first boundary from now on."""
        low, high = 0, self._ahead
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._since_s + self._pace * self._lasting(middle) >= now_s else (
                middle, high)
        self._ahead, self._run_s = high, self._pace * self._lasting(high)
        self.due_s = self._since_s + self._run_s
