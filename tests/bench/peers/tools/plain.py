"""requests: a thread a stream, `stream=True` and `iter_lines`, as its quickstart has it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.tool import Load, Place, Tool
from tests.bench.peers.tools.sdk import read

CLIENT = Path(__file__).parents[1] / "clients" / "ask_requests.py"


def command(load: Load, place: Place) -> Sequence[str]:
    asked = {"url": f"{place.url}/v1/chat/completions", "model": place.model, "streams": load.streams,
             "requests": load.requests, "words": load.input_tokens, "tokens": load.output_tokens,
             "seen": str(place.folder / "seen.jsonl")}
    return [str(place.programs / "python"), str(CLIENT), json.dumps(asked)]


TOOL = Tool("requests", command, read, installed=True,
            ttft="first line with content − the call of `post`",
            itl="every gap between lines with content, as `iter_lines` gives them",
            source="`iter_lines` of its docs on streaming requests")
