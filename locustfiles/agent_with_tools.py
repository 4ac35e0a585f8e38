"""An agent with two tools: it plans, calls a tool, looks at two things side by side, and writes the answer.

    locust -f locustfiles/agent_with_tools.py --host http://127.0.0.1:8080/v1 --headless -u 4 -r 2 -t 2m

The first call is forced (`tool_choice`), so that every run takes the same way whatever the model would do; where a
server does not know tools, the call is simulated. docs/scenarios.md.
"""

from __future__ import annotations

import random
from typing import Any

import gevent
from locust import constant, task

from fmload.locust import OpenAIUser


def _tool(name: str, argument: str, description: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {
        "type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}}}


TOOLS = [_tool("search", "query", "search the web"), _tool("calculate", "expression", "work something out")]


class Agent(OpenAIUser):
    """One job after the other."""

    wait_time = constant(0)

    @task
    def job(self) -> None:
        with self.session("job", system="You are a careful analyst.") as chat:
            planned = chat.ask("How much does a megawatt hour cost?", name="plan", max_tokens=60, tools=TOOLS,
                               tool_choice={"type": "function", "function": {"name": "search"}})
            if not planned.ok:
                return
            for call in planned.tool_calls:
                with chat.tool(call.name):
                    gevent.sleep(random.uniform(0.05, 0.15))  # your tool is called here
                chat.tool_result(call, {"found": ["90 EUR", "85 EUR"]})
            looks = [gevent.spawn(self.client.chat, f"What speaks {side} this source?", name="check", max_tokens=40)
                     for side in ("for", "against")]
            gevent.joinall(looks)
            chat.ask("Now write the answer.", name="write", max_tokens=150, tools=TOOLS, tool_choice="none")
