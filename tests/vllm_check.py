"""vLLM's CPU build laid beside what fmload measures of it: `python -m tests.vllm_check --vllm VENV/bin/vllm`.

Starts the engine with a random Llama, once for each set of options, runs each scenario by `fmload run`, and prints our
figures beside what was added to the engine's own counters. Too heavy for `make test`: the package takes 3 GB, a start
minutes.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.random_llama import SPECIAL, TEMPLATE, vocabulary
from tests.load_rig import Run, finished, free_port, wait_until
from tests.real_servers import audited, counted, kept, options, own_folder, serving

CONTEXT, SLOTS = 1024, 4  # tokens; requests at once
_RUN_LIMIT_S = 400.0
_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 40}}, "required": ["city"]}}}
_LINE = re.compile(r'^(vllm:[a-z0-9_]+)(?:\{(.*)\})? ([0-9.e+-]+)$', re.MULTILINE)
_REASON = re.compile(r'finished_reason="(\w+)"')


@dataclass(frozen=True)
class Scenario:
    """One run against one start of the engine. `endpoint` and `prompts` are further keys of each in the run file."""

    name: str
    engine: str
    requests: int = 8
    users: int = 1
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"ignore_eos": True})
    input_tokens: int = 30
    output_tokens: int | None = 40
    endpoint: Mapping[str, Any] = field(default_factory=lambda: {"protocol": "openai"})
    prompts: Mapping[str, Any] = field(default_factory=dict)
    load: Mapping[str, Any] = field(default_factory=dict)


ENGINES = {
    "--stream-interval 4": ["--stream-interval", "4", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"],
    "--reasoning-parser": ["--reasoning-parser", "deepseek_r1"],
    "--enable-prompt-tokens-details": ["--enable-prompt-tokens-details"],
    "--convert embed": ["--runner", "pooling", "--convert", "embed"],
    "--convert classify": ["--runner", "pooling", "--convert", "classify", "--hf-overrides", '{"num_labels": 1}'],
}


def _spoken(protocol: str) -> tuple[Scenario, ...]:
    """A protocol that makes text: streamed, whole, with a forced call, with reasoning, and asked twice the same."""
    streamed = {"protocol": protocol}
    return (
        Scenario(protocol, "--stream-interval 4", parameters={}, endpoint=streamed),
        Scenario(f"{protocol} whole", "--stream-interval 4", parameters={}, endpoint={**streamed, "stream": False}),
        Scenario(f"{protocol} tools", "--stream-interval 4", output_tokens=60, endpoint=streamed,
                 parameters={"tools": [_TOOL], "tool_choice": "required"}),
        Scenario(f"{protocol} reasoning", "--reasoning-parser", parameters={}, endpoint=streamed),
        Scenario(f"{protocol} cached", "--enable-prompt-tokens-details", parameters={}, endpoint=streamed,
                 input_tokens=150, prompts={"count": 2}),
    )


def _of_inputs(name: str, options: str, batch: int, protocol: str = "embeddings", **keys: Any) -> Scenario:
    return Scenario(name, options, users=2, parameters=keys.pop("parameters", {}), output_tokens=None,
                    endpoint={"protocol": protocol}, prompts={"batch": batch, **keys})


SCENARIOS = (
    Scenario("plain", "--stream-interval 4"),
    Scenario("tools", "--stream-interval 4", parameters={"tools": [_TOOL], "tool_choice": "required"},
             output_tokens=60),
    Scenario("n: 2", "--stream-interval 4", parameters={"ignore_eos": True, "n": 2}),
    Scenario("beyond the context", "--stream-interval 4", input_tokens=2 * CONTEXT),
    Scenario("overload", "--stream-interval 4", requests=40, users=40, output_tokens=20),
    Scenario("aborted by the client", "--stream-interval 4", requests=12, users=2, output_tokens=200,
             load={"cancel": {"share": "50%", "after_tokens": 20}}),
    Scenario("reasoning", "--reasoning-parser"),
    *_spoken("responses"),
    *_spoken("anthropic"),
    _of_inputs("embeddings", "--convert embed", batch=1),
    _of_inputs("embeddings base64", "--convert embed", batch=8, parameters={"encoding_format": "base64"}),
    _of_inputs("rerank by vectors", "--convert embed", batch=5, protocol="rerank", query_tokens=8),
    _of_inputs("rerank", "--convert classify", batch=5, protocol="rerank", query_tokens=8),
)
_MEANS = {"TTFT": "time_to_first_token_seconds", "TPOT": "request_time_per_output_token_seconds",
          "ITL": "inter_token_latency_seconds", "E2E": "e2e_request_latency_seconds"}
_COLUMNS = {"TTFT": "ttft_mean_s", "TPOT": "tpot_mean_s", "ITL": "itl_mean_s", "E2E": "e2e_mean_s"}


def write_model(folder: Path) -> None:
    """The configuration of a small Llama and its tokenizer; `--load-format dummy` makes up its weights."""
    tokens, merges = vocabulary()
    tokens = [*tokens, "<think>", "</think>"]
    added = [{"id": tokens.index(token), "content": token, "special": token in SPECIAL, "single_word": False,
              "lstrip": False, "rstrip": False, "normalized": False} for token in (*SPECIAL, "<think>", "</think>")]
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "vocab": {token: number for number, token in enumerate(tokens)}, "merges": merges}
    files = {
        "tokenizer.json": {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                           "normalizer": None, "pre_tokenizer": bytes_, "post_processor": None, "decoder": bytes_,
                           "model": model},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>",
                                  "eos_token": "<|end|>", "chat_template": TEMPLATE, "model_max_length": CONTEXT},
        "config.json": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256,
                        "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8,
                        "num_key_value_heads": 8, "head_dim": 32, "vocab_size": len(tokens),
                        "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5, "hidden_act": "silu",
                        "bos_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": False,
                        "torch_dtype": "bfloat16", "rope_theta": 10000.0}}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


@contextmanager
def engine(vllm: Path, folder: Path, options: Sequence[str]) -> Iterator[str]:
    """The engine's address while it runs."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(vllm), "serve", str(folder), "--load-format", "dummy", "--served-model-name", "random",
               "--max-model-len", str(CONTEXT), "--enforce-eager", "--host", "127.0.0.1", "--port", str(port),
               "--max-num-seqs", str(SLOTS), *options]
    own = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with serving(command, url, folder / "engine.log", own):
        yield url


def counters(url: str) -> Counter[str]:
    """The engine's counters by name, finished requests by their reason, too."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for name, labels, value in _LINE.findall(text):
        reason = _REASON.search(labels or "")
        found[f"{name} {reason[1]}" if reason else name] += float(value)  # type: ignore[assignment]
    return found


def settled(url: str) -> Counter[str]:
    """The counters once nothing runs any more."""
    wait_until(lambda: not sum(value for name, value in counters(url).items() if name.startswith("vllm:num_requests")),
               60, "the engine's last request")
    time.sleep(1)  # its log of statistics follows
    return counters(url)


def measured(scenario: Scenario, url: str, folder: Path) -> Run:
    """The finished run of a scenario."""
    return finished(folder, _RUN_LIMIT_S, {
        "name": "vllm",
        "endpoints": [{"name": "vllm", "url": f"{url}/v1", "model": "random",
                       "parameters": dict(scenario.parameters), **scenario.endpoint}],
        "telemetry": [{"name": "v", "collector": "prometheus", "endpoint": "vllm", "url": f"{url}/metrics"}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": scenario.input_tokens, "count": 50,
                     **({"output_tokens": scenario.output_tokens} if scenario.output_tokens else {}),
                     **scenario.prompts}],
        "load": {"concurrency": [scenario.users], "requests": {"exactly": scenario.requests}, "workers": 1,
                 "trial": False, "drain": "120s", **scenario.load}})


def row(scenario: Scenario, run: Run, grown: Counter[str]) -> str:
    """One line of the table: ours, and the engine's."""
    records = run.records()
    with run.results.summary_csv.open() as file:
        ours = next(csv.DictReader(file))
    outcomes = Counter(record.outcome for record in records)
    ended = {name.rpartition(" ")[2]: int(value) for name, value in grown.items()
             if name.startswith("vllm:request_success_total ") and value}
    tokens = sum(record.output_tokens or 0 for record in records)
    asked = sum(record.input_tokens or 0 for record in records)
    cached = sum(record.cached_tokens or 0 for record in records)
    cells = [scenario.name, scenario.engine, counted(outcomes), counted(ended) or "none",
             f"{asked:,} / {int(grown['vllm:prompt_tokens_total']):,}",
             f"{cached:,} / {int(grown['vllm:prefix_cache_hits_total']):,}",
             f"{tokens:,} / {int(grown['vllm:generation_tokens_total']):,}",
             *(f"{_ms(ours[_COLUMNS[name]])} / {_mean(grown, f'vllm:{_MEANS[name]}')}" for name in _MEANS),
             audited(run)]
    return f"| {' | '.join(cells)} |"


def _ms(seconds: str) -> str:
    return f"{1e3 * float(seconds):.1f}" if seconds else "–"


def _mean(grown: Counter[str], name: str) -> str:
    count = grown[f"{name}_count"]
    return f"{1e3 * grown[f'{name}_sum'] / count:.1f}" if count else "–"


_CELLS = ("scenario", "engine", "requests here", "finished there", "tokens in", "of them cached", "tokens out",
          *(f"{name} ms" for name in _MEANS), "audit")
HEAD = f"| {' | '.join(_CELLS)} |\n|{'---|' * len(_CELLS)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run every scenario, or those that are named, and print the table."""
    args = options("tests.vllm_check", __doc__, "vllm", argv)
    chosen = [one for one in SCENARIOS if not args.only or one.name in args.only]
    print(HEAD, flush=True)
    with kept(args.keep) as model:
        write_model(model)
        for kind in dict.fromkeys(one.engine for one in chosen):
            with engine(args.server, model, ENGINES[kind]) as url:
                for scenario in (one for one in chosen if one.engine == kind):
                    before = settled(url)
                    run = measured(scenario, url, own_folder(model, scenario.name))
                    grown = settled(url)
                    grown.subtract(before)
                    print(row(scenario, run, grown), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
