"""One load by llmeter, run by the Python of its own environment: `python ask_llmeter.py '{"url": …}'`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


async def load(asked: dict[str, Any]) -> None:
    """Sends the load; llmeter saves what it saw below the folder."""
    from llmeter.endpoints import OpenAICompletionStreamEndpoint
    from llmeter.runner import Runner

    endpoint = OpenAICompletionStreamEndpoint(model_id=asked["model"], api_key="none", base_url=asked["url"],
                                              max_retries=0)
    payload = OpenAICompletionStreamEndpoint.create_payload(" ".join("a" * asked["words"]), max_tokens=asked["tokens"])
    payload["extra_body"] = {"ignore_eos": True}
    await Runner(endpoint, output_path=asked["folder"], clients=asked["clients"]).run(
        payload=payload, n_requests=asked["requests"], run_name="run")


if __name__ == "__main__":
    asyncio.run(load(json.loads(sys.argv[1])))
