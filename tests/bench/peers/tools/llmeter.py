"""llmeter: a program of a few lines, for it has no command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.tool import Load, Place, Seen, Tool

CLIENT = Path(__file__).parents[1] / "clients" / "ask_llmeter.py"


def command(load: Load, place: Place) -> Sequence[str]:
    asked = {"url": f"{place.url}/v1", "model": place.model, "folder": str(place.folder / "llmeter"),
             "clients": load.streams, "requests": load.requests // load.streams, "words": load.input_tokens,
             "tokens": load.output_tokens}
    return [str(place.programs / "python"), str(CLIENT), json.dumps(asked)]


def read(folder: Path) -> list[Seen]:
    """Of `responses.jsonl`: a line a request, in seconds."""
    lines = (json.loads(line) for path in sorted((folder / "llmeter").rglob("responses.jsonl"))
             for line in path.read_text().splitlines())
    return [Seen(one["id"], one["time_to_first_token"], None, _mean(one)) for one in lines
            if not one["error"] and one["time_to_first_token"] is not None]


def _mean(one: dict[str, float]) -> float | None:
    """Its `time_per_output_token`, by its documentation: (TTLT − TTFT) ÷ (tokens − 1)."""
    last, tokens = one.get("time_to_last_token"), one.get("num_tokens_output")
    return None if last is None or not tokens or tokens < 2 else (last - one["time_to_first_token"]) / (tokens - 1)


TOOL = Tool("llmeter", command, read,
            ttft="first event that the SDK hands over − the call of the SDK, the clients being threads",
            itl="no gaps: (last − first token) ÷ (tokens − 1) of each request, so that it cannot show a stall",
            source="the `Runner` of its README")
