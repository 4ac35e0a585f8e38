"""The seam between prompt sources and the preparation: what a source does, and what it need not care about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from fmload.model.prompt import Prompt
from fmload.prompts.tokenizer import Tokenizer


class Source(Protocol):
    """Where prompts come from. Made by `Source.from_spec(spec)` from its part of the run file; pickled to processes.

    `items` yields, in an order that only the seed decides, what one prompt (or one conversation) is made from:
    cheap, picklable, endless for sources that invent text. `make` is the costly half, run in several processes: it
    must depend on nothing but its arguments. Ids, unique prompts, token ranges, counting (where `input_tokens` is
    None) and output lengths (where `output_tokens` is None) are the preparation's affair. Keys of a set that the source
    has no use for (`template`, `filter.language`) stand in its `without`: they are refused when the run file is read.
    """

    def items(self, seed: str) -> Iterator[Any]: ...

    def make(self, item: Any, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        """The prompts of one item, beginning with `head` (a nonce, mostly empty); none when it has no use."""
        ...

    def fingerprint(self) -> str:
        """Changes whenever anything outside the run file that the source reads has changed."""
        ...
