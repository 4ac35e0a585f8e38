"""The figures of one replica: what a step of its batch costs, what a prompt costs, how many requests it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Batching = Literal["alone", "chunked"]


@dataclass(frozen=True, slots=True)
class ReplicaModel:
    """Continuous batching; times in seconds.

    A step gives each of the n requests in the batch one chunk and lasts `step_fixed_s + step_per_request_s · n +
    step_per_token_s · tokens held`. A prompt occupies the engine for `prefill_fixed_s + prefill_per_token_s · uncached
    tokens`: while nothing is decoded (`alone`), or beside the decoding, so many tokens a step (`chunked`). `slots`:
    requests in the batch at most; others wait in their order. A prompt that comes while requests are decoded waits
    until those that wait are `admit_share` of the batch, or for `admit_steps` steps (TGI's rules; 0: it does not wait).

    `delay_fixed_s + delay_per_token_s · tokens` come before a first token without occupying the engine: the
    network, the HTTP server, a prefill on other hardware. Every time of the engine varies by chance, `jitter` is the
    standard deviation of a step's logarithm; the times above are means.
    """

    step_fixed_s: float
    step_per_request_s: float = 0.0
    step_per_token_s: float = 0.0
    prefill_fixed_s: float = 0.0
    prefill_per_token_s: float = 0.0
    slots: int = 1
    batching: Batching = "alone"
    chunk_tokens: int = 2048
    admit_share: float = 0.0
    admit_steps: int = 0
    delay_fixed_s: float = 0.0
    delay_per_token_s: float = 0.0
    tokens_per_step: float = 1.0
    jitter: float = 0.0

    def step_s(self, requests: float, held_tokens: float) -> float:
        """One step of so many requests that hold so many tokens in all."""
        return self.step_fixed_s + self.step_per_request_s * requests + self.step_per_token_s * held_tokens

    def prefill_s(self, tokens: float) -> float:
        """What one prompt of so many uncached tokens occupies the engine for."""
        return self.prefill_fixed_s + self.prefill_per_token_s * tokens

    def delay_s(self, tokens: float) -> float:
        """What comes before a first token without occupying the engine."""
        return self.delay_fixed_s + self.delay_per_token_s * tokens

    def steps(self, output_tokens: float) -> int:
        """Steps of an answer, the one that ends the prefill among them; at least 1."""
        return max(1, round(output_tokens / self.tokens_per_step))

    def requests_per_s(self, input_tokens: float, output_tokens: float, batch: float,
                       uncached_tokens: float | None = None) -> float:
        """Throughput in closed form with `batch` requests always in the batch: they cost as many prefills and
        `steps − 1` steps of the whole batch. Exact up to the waste at the batch's edges. `uncached_tokens`: of a
        prompt; None: all of it."""
        uncached = input_tokens if uncached_tokens is None else uncached_tokens
        steps = max(1.0, output_tokens / self.tokens_per_step) - 1.0
        held = batch * (input_tokens + output_tokens / 2)
        steps += max(1.0, uncached / self.chunk_tokens) if self.batching == "chunked" else 0.0
        cycle_s = batch * self.prefill_s(uncached) + steps * self.step_s(batch, held)
        return batch / cycle_s if cycle_s > 0 else float("inf")

    def most_requests_per_s(self, input_tokens: float, output_tokens: float,
                            uncached_tokens: float | None = None) -> float:
        """The throughput with all slots taken: more than that a replica cannot serve."""
        return self.requests_per_s(input_tokens, output_tokens, self.slots, uncached_tokens)
