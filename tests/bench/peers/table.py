"""The tools: to add one, write a file in `tools/` and a line here (and one in `versions.txt`, if it is installed)."""

from __future__ import annotations

from collections.abc import Mapping

from tests.bench.peers.tool import Tool
from tests.bench.peers.tools import aiperf, guidellm, llmeter, ours, plain, sdk, vllm

TOOLS: Mapping[str, Tool] = {
    "fmload": ours.TOOL,
    "AIPerf": aiperf.TOOL,
    "GuideLLM": guidellm.TOOL,
    "vLLM bench": vllm.TOOL,
    "llmeter": llmeter.TOOL,
    "Locust + openai": sdk.TOOL,
    "requests": plain.TOOL,
}
