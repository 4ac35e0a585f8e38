"""What the emulator can imitate: one entry a serving stack on an instance type.

Each names its source and how its figures were fitted; docs/emulator.md sets the outcome beside what was published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fmload.emulator.batching import BatchEngine, BatchModel
from fmload.emulator.copies import Copies
from fmload.emulator.engine import Engine, SteadyEngine


@dataclass(frozen=True, slots=True)
class Profile:
    """`model` None: fixed times, `ttft_s` and `gap_s`. `source` says where the figures come from."""

    name: str
    source: str
    served_model: str = "emulated"
    model: BatchModel | None = None
    ttft_s: float = 0.2
    gap_s: float = 0.02
    jitter: float = 0.0
    copies: int = 1

    def engine(self, seed: int) -> Engine:
        """A new engine of this profile; several copies of it behind one address where it has them."""
        if self.copies > 1:
            alone = replace(self, copies=1)
            return Copies(self.copies, lambda number: alone.engine(seed + number))
        if self.model is None:
            return SteadyEngine(self.ttft_s, self.gap_s, self.jitter, seed)
        return BatchEngine(self.model, seed)

    def with_engine(self, copies: int | None = None, **values: Any) -> Profile:
        """The same profile with its model's figures set to these values, None among them, and so many copies."""
        assert self.model is not None
        return replace(self, model=replace(self.model, **values), copies=copies or self.copies)

    def changed(self, **values: float | None) -> Profile:
        """The same profile with the model's figures that are not None replaced."""
        given = {name: value for name, value in values.items() if value is not None}
        if self.model is None or not given:
            return self
        return replace(self, model=replace(self.model, **given))  # type: ignore[arg-type]


def steady(profile: Profile, ttft_s: float | None, gap_s: float | None, jitter: float | None) -> Profile:
    """The profile with other fixed times; None leaves one as it is."""
    return replace(profile, ttft_s=profile.ttft_s if ttft_s is None else ttft_s,
                   gap_s=profile.gap_s if gap_s is None else gap_s,
                   jitter=profile.jitter if jitter is None else jitter)


# TGI on Neuron, static batch of 8. From the published table (550 tokens in, 150 streamed, all users at once):
#   prefill   TTFT p50 1.00, 1.42, 3.73 and 7.54 s at 1, 2, 4 and 8 users is so many prompts of 550 tokens one after
#             the other: 0.03 s + 550 / 600 s each.
#   decode    (E2E − TTFT) / 149 is 55.3 to 63.8 ms at 1 to 8 sequences: 54.5 ms + 0.9 ms a sequence. The published
#             "inter token latency" holds the TTFT, too.
#   rate      comes out 2 to 3 % above the published one, whose client waited for all users before the next round.
#   queue     TGI's defaults: new prompts interrupt the decoding when they are 30 % of the batch or after 20 steps.
# What came beyond a full batch failed in the published run (56 errors at 16 users). Here it waits; --max-waiting 0
# refuses it.
_INF2_TGI = BatchModel(max_batch=8, prefill_tokens_per_s=600.0, prefill_fixed_s=0.03, decode_fixed_s=0.0545,
                       decode_per_sequence_s=0.0009, waiting_served_ratio=0.3, max_waiting_steps=20,
                       kv_tokens=8 * 4096, jitter=0.01)

# LMI on one A10G, from the published FMBench report and its raw tables: 837 tokens in, 39 and 42 out take 1.68 and
# 1.78 s alone: 33 ms a token and 0.43 s to the first. 284 in, 24 out take 1.18 s in pairs: 2,550 prompt tokens a second
# and 0.1 s a prompt. (Its completion counts hold one begin mark each.) KV cache: what 24 GB leave beside 16 GB of
# weights at 90 %, 128 KiB a token.
_A10G_LMI = BatchModel(max_batch=64, prefill_tokens_per_s=2550.0, prefill_fixed_s=0.1, decode_fixed_s=0.0328,
                       decode_per_sequence_s=0.0002, kv_tokens=36_000, kv_reserve=False, jitter=0.01)

# vLLM on the same accelerator: the decoding of the report above (memory-bound: 16 GB of weights at 600 GB/s are
# 27 ms), the KV cache read at the same rate, prompts in chunks beside it at 45 % of 125 TFLOPS. Derived, not measured.
_A10G_VLLM = BatchModel(max_batch=64, prefill_tokens_per_s=3500.0, prefill_fixed_s=0.015, decode_fixed_s=0.0323,
                        decode_per_sequence_s=0.0002, decode_per_context_token_s=2.2e-7,
                        prefill_chunk_tokens=2048, kv_tokens=36_000, kv_reserve=False, jitter=0.01)

# TGI on four A10G, from llmperf's per-request results (550 in, 150 streamed): TTFT p50 0.59, 2.03 and 7.70 s at 1, 4
# and 16 users: 0.04 s + 550 / 1,200 s a prompt; (E2E − TTFT) / 149 is 44 to 67 ms at 1 to 16 users.
_YI_TGI = BatchModel(max_batch=32, prefill_tokens_per_s=1200.0, prefill_fixed_s=0.04, decode_fixed_s=0.0433,
                     decode_per_sequence_s=0.00145, waiting_served_ratio=0.3, max_waiting_steps=20,
                     kv_tokens=22_400, jitter=0.01)

# An encoder that embeds or ranks, of no measured server: each request costs 4 ms and its tokens at 50,000 a second,
# those that wait are taken together, 32 at most. So large batches buy throughput, and wait longer.
_ENCODER = BatchModel(max_batch=32, prefill_tokens_per_s=50_000.0, prefill_fixed_s=0.004, decode_fixed_s=0.0,
                      jitter=0.01)

# A model that makes images, of no measured server: a step of the denoising takes 20 ms and 25 ms more for each image
# beside it, four at most at the same time; an image of 20 steps is made in 0.9 s alone.
_DIFFUSION = BatchModel(max_batch=4, prefill_tokens_per_s=10_000.0, prefill_fixed_s=0.02, decode_fixed_s=0.02,
                        decode_per_sequence_s=0.025, jitter=0.01)

_LLAMA3 = "meta-llama/Meta-Llama-3-8B-Instruct"
_ALL = [
    Profile("steady", "no engine: every token at a fixed time, for calibration"),
    Profile("instant", "no engine: every token as soon as it can be written", ttft_s=0.0, gap_s=0.0),
    Profile("encoder", "no measured server: an encoder of 4 ms a request and 50,000 tokens a second, batches of 32",
            "encoder", _ENCODER),
    Profile("diffusion", "no measured server: a model of images, 20 ms a step and 25 ms more for each of 4 at most",
            "diffusion", _DIFFUSION),
    Profile("llama3-8b-inf2.xlarge", "fitted to philschmid/llmperf, llama_3_8b_instruct_inf2.md (2024): TGI on "
            "Neuron, batch 8", _LLAMA3, _INF2_TGI),
    Profile("llama3-8b-g5.xlarge", "derived from the g5.4xlarge report (same accelerator): vLLM", _LLAMA3, _A10G_VLLM),
    Profile("llama3-8b-g5.2xlarge", "derived from the g5.4xlarge report (same accelerator): vLLM", _LLAMA3,
            _A10G_VLLM),
    Profile("llama3.1-8b-g5.4xlarge", "fitted to an FMBench report of 2024-11-29: LMI on EC2",
            "meta-llama/Meta-Llama-3.1-8B-Instruct", _A10G_LMI),
    Profile("yi-34b-4xa10g-tgi", "fitted to philschmid/llmperf's results of Yi-1.5-34B-Chat (2024): TGI",
            "01-ai/Yi-1.5-34B-Chat", _YI_TGI),
]

PROFILES = {profile.name: profile for profile in _ALL}
