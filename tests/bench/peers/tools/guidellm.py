"""GuideLLM: `guidellm run` with the profile `concurrent`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.peers.tool import Load, Place, Seen, Tool


def command(load: Load, place: Place) -> Sequence[str]:
    return run(place, load.streams, load.requests,
               f"kind=synthetic_text,prompt_tokens={load.input_tokens},output_tokens={load.output_tokens}")


def run(place: Place, streams: int, requests: int, data: str) -> Sequence[str]:
    """So many requests, so many at a time, on data of any kind."""
    return [str(place.programs / "guidellm"), "run",
            "--backend", f"kind=openai_http,target={place.url},model={place.model}",
            "--profile", f"kind=concurrent,streams={streams}", "--constraint", f"kind=max_requests,count={requests}",
            "--tokenizer", f"kind=hf_auto,model={place.tokenizer}", "--data", data,
            "--disable-console", "--output", f"kind=json,path={place.folder / 'guidellm.json'}"]


def read(folder: Path) -> list[Seen]:
    """Of the report: the requests that ended well, instants in seconds of the wall clock."""
    report = json.loads((folder / "guidellm.json").read_text())
    return [seen for benchmark in report["benchmarks"] for one in benchmark["requests"]["successful"]
            if (seen := _seen(one)) is not None]


def _seen(one: dict[str, Any]) -> Seen | None:
    at, tokens = one["info"]["timings"], one["output_tokens"]
    first, last = at["first_token_iteration"], at["last_token_iteration"]
    if first is None:
        return None
    mean = (last - first) / (tokens - 1) if last is not None and tokens and tokens > 1 else None
    return Seen(one["response_id"], first - at["request_start"], None, mean)


TOOL = Tool("guidellm", command, read, program="guidellm", environment={"HF_HUB_OFFLINE": "1"},
            ttft="first chunk with content − start of the request, by the wall clock",
            itl="no gaps: (last − first token) ÷ (tokens − 1) of each request, so that it cannot show a stall",
            source="`guidellm run` of its README, profile `concurrent`")
