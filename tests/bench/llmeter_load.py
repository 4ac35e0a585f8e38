"""One load by llmeter, run by the Python of its own environment: `python llmeter_load.py '{"url": …}'`."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any


async def load(asked: dict[str, Any]) -> None:
    """Sends the load and saves what llmeter makes of it."""
    from llmeter.endpoints import OpenAICompletionEndpoint, OpenAICompletionStreamEndpoint
    from llmeter.runner import Runner

    kind = OpenAICompletionStreamEndpoint if asked["streams"] else OpenAICompletionEndpoint
    endpoint = kind(model_id="m", api_key="none", base_url=asked["url"], max_retries=0)
    drawn = random.Random(1)
    payloads = [kind.create_payload("one two three four five " * (asked["words"] // 5), max_tokens=max(round(
        drawn.gauss(asked["tokens"], asked["spread"])), 1)) for _ in range(50)]
    bound = {"run_duration": asked["seconds"]} if asked["seconds"] else {"n_requests": asked["requests"]}
    await Runner(endpoint, output_path=asked["folder"], clients=asked["clients"]).run(payload=payloads, run_name="run",
                                                                                      **bound)


if __name__ == "__main__":
    asyncio.run(load(json.loads(sys.argv[1])))
