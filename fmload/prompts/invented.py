"""What sources that invent their text have in common: no files, and as many items as are wanted, each with a seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Self

from fmload.config.schema import PromptSpec

Item = tuple[str, int]  # the set's seed, and the item's number


class Invented:
    """The half of a source that says nothing of its prompts; what it makes is in its `make`."""

    endless = True
    without = ("template", "filter.language")

    def __init__(self, name: str, options: Any) -> None:
        """`options`: the source's own `Options`."""
        self.name, self.options = name, options

    @classmethod
    def from_spec(cls, spec: PromptSpec) -> Self:
        return cls(spec.name, spec.options)

    def fingerprint(self) -> str:
        return ""

    def items(self, seed: str) -> Iterator[Item]:
        return ((seed, index) for index in itertools.count())
