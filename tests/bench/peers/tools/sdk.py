"""Locust with the openai SDK, as one writes it: `locust -f … --headless`, one process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.tool import Load, Place, Seen, Tool

LOCUSTFILE = Path(__file__).parents[1] / "clients" / "locustfile.py"


def command(load: Load, place: Place) -> Sequence[str]:
    return [str(place.programs / "locust"), "-f", str(LOCUSTFILE), "--headless", "--users", str(load.streams),
            "--spawn-rate", str(load.streams), "--host", f"{place.url}/v1", "--only-summary", "--model", place.model,
            "--asked-requests", str(load.requests), "--words", str(load.input_tokens), "--tokens",
            str(load.output_tokens), "--seen", str(place.folder / "seen.jsonl")]


def read(folder: Path) -> list[Seen]:
    """Of `seen.jsonl`, as both of this bench's own clients write it."""
    lines = (json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines())
    return [Seen(one["key"], one["ttft_s"], one["gaps_s"], None) for one in lines]


TOOL = Tool("openai", command, read, program="locust", installed=True,
            ttft="first chunk with content that the SDK hands over − the call of the SDK",
            itl="every gap between chunks with content, as the SDK hands them over",
            source="a User of one's own (Locust's docs), `stream=True` (the package's README)")
