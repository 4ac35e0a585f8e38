"""Scenarios: what is sent is written in a locustfile, as it goes. The set gives the report its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from fmload.config.model import Strict
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.prompts.tokenizer import Tokenizer


class Scenario:
    """One short prompt, in whose form the endpoints are tried before the load; the load's own come from its users."""

    scripted = True  # users of a locustfile send their own
    without = ("template", "filter.language")

    class Options(Strict):
        """`source: scenario` has no keys."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def from_spec(cls, spec: PromptSpec) -> Self:
        return cls(spec.name)

    def fingerprint(self) -> str:
        return ""

    def items(self, seed: str) -> Iterator[str]:
        return iter(["Say hello."])

    def make(self, item: str, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        return [Prompt(id="", prompt_set=self.name, messages=[{"role": "user", "content": head + item}])]
