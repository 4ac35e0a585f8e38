"""Agents: sessions that are graphs of requests, tools and pauses, declared in the run file or a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from fmload.config.loading import load_as
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.model.step import session_prompt
from fmload.prompts.agent_graph import Graph
from fmload.prompts.agent_spec import AgentSpec, Options
from fmload.prompts.invented import Invented, Item
from fmload.prompts.tokenizer import Tokenizer

_HINT = "what an agent's file holds is in docs/agents.md"


class Agents(Invented):
    """One prompt a session. All lengths, delays and failures of tools are drawn here, before the load: nothing of them
    depends on when answers come."""

    sessions = True  # users and arrivals are sessions
    Options = Options

    def __init__(self, spec: PromptSpec, agent: AgentSpec) -> None:
        super().__init__(spec.name, spec.options)
        self._agent = agent
        self._output_tokens, self._exact = spec.output_tokens, spec.exact_output

    @classmethod
    def from_spec(cls, spec: PromptSpec) -> Self:
        """Raises FmloadError for a file that holds no agent."""
        options: Any = spec.options
        return cls(spec, options if options.file is None else load_as(AgentSpec, Path(options.file), _HINT))

    def fingerprint(self) -> str:
        return repr(self._agent)

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        made_up = self.options.answers == "made_up"
        graph = Graph(self._agent, tokenizer, f"{seed}/{index}", made_up=made_up, tool_calls=self.options.tool_calls,
                      output_tokens=self._output_tokens, exact_output=self._exact, head=head)
        return [session_prompt(graph.build(), served=not made_up, prompt_set=self.name)]
