"""AIPerf: `aiperf profile`, a closed loop of synthetic prompts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.tool import Load, Place, Seen, Tool


def command(load: Load, place: Place) -> Sequence[str]:
    return [*profile(place, load.streams), "--request-count", str(load.requests), "--isl", str(load.input_tokens),
            "--osl", str(load.output_tokens)]


def profile(place: Place, concurrency: int) -> list[str]:
    """`aiperf profile` of a chat whose answers are as long as they are asked to be; what is sent comes behind."""
    return [str(place.programs / "aiperf"), "profile", "--model", place.model, "--url", place.url, "--endpoint-type",
            "chat", "--streaming", "--tokenizer", str(place.tokenizer), "--concurrency", str(concurrency),
            "--extra-inputs", "ignore_eos:true", "--use-server-token-count", "--ui", "none", "--artifact-dir",
            str(place.folder / "aiperf")]


def read(folder: Path) -> list[Seen]:
    """Of `profile_export.jsonl`: a line a request, times in ms."""
    lines = (json.loads(line) for line in (folder / "aiperf" / "profile_export.jsonl").read_text().splitlines())
    return [_seen(line["metadata"], line["metrics"]) for line in lines
            if not line.get("error") and "time_to_first_token" in line["metrics"]]


def _seen(metadata: dict[str, str], metrics: dict[str, dict[str, object]]) -> Seen:
    gaps = metrics.get("inter_chunk_latency", {}).get("value")
    return Seen(metadata.get("x_request_id"), float(str(metrics["time_to_first_token"]["value"])) / 1e3,
                [gap / 1e3 for gap in gaps] if isinstance(gaps, list) else None, None)


TOOL = Tool("aiperf", command, read, program="aiperf",
            ttft="first chunk with content − start of the request, before it connects",
            itl="every gap between chunks (`inter_chunk_latency`); its `inter_token_latency` is a mean of each request",
            source="`aiperf profile` of its README")
