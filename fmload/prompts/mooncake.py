"""Mooncake's traces (kvcache-ai/Mooncake): arrivals whose prompts begin alike where the traced ones did."""

from __future__ import annotations

import random

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config import limits
from fmload.config.schema import PromptSpec
from fmload.prompts.files import Row
from fmload.prompts.synthetic import text_of
from fmload.prompts.table import tokens
from fmload.prompts.tokenizer import Tokenizer
from fmload.prompts.trace import Arrival, Item, Trace, TraceOptions

_BLOCKS_KEPT = 4096  # of 512 tokens: some 10 MB of text
_TRIES = 5


class Mooncake(Trace):
    """Rows of JSON with `timestamp` (milliseconds), `input_length`, `output_length`, `hash_ids`.

    Each id stands for a block of 512 tokens; equal ids are equal text here, so that what a prefix cache found in the
    traced service it finds in this replay. The last block of a prompt may be shorter.
    """

    columns = ("timestamp", "input_length", "output_length", "hash_ids")

    class Options(TraceOptions):
        """Keys of `source: mooncake`."""

        block_tokens: int = Field(512, ge=1, le=limits.TOKENS, description="tokens that one of hash_ids stands for")

    def __init__(self, spec: PromptSpec) -> None:
        """Raises FmloadError for a nonce: with it no two prompts would begin alike."""
        super().__init__(spec)
        if spec.nonce:
            raise FmloadError(f"prompt set '{spec.name}': nonce would make every prompt begin differently, and a "
                              "mooncake trace is about those that begin alike", hint="change the run's seed instead")
        self._blocks: dict[tuple[str, int], str] = {}

    def arrival(self, row: Row) -> Arrival:
        values = row.values
        return Arrival(float(values["timestamp"]) / 1000, tokens(values, "input_length"),
                       tokens(values, "output_length"), tuple(map(int, values.get("hash_ids") or ())))

    def text(self, item: Item, tokens: int, tokenizer: Tokenizer, head: str) -> str:
        """The whole blocks, then as much of the last as is wanted. Blocks begin with a space, so that most tokenizers
        count them one by one as they count them together; the end makes up for what is not so."""
        blocks = item.arrival.blocks
        if not blocks:
            return super().text(item, tokens, tokenizer, head)
        seed, _, _ = item.seed.rpartition("/")
        whole = min(tokens // self.options.block_tokens, len(blocks))
        texts = [self._block(seed, block, tokenizer) for block in blocks[:whole]]
        while tokenizer.count("".join(texts)) > tokens:  # by a tokenizer that counts more where blocks meet
            texts.pop()
        last = f"{seed}/block/{blocks[len(texts)]}" if len(texts) < len(blocks) else item.seed
        return _ended("".join(texts), tokens, last, tokenizer)

    def _block(self, seed: str, block: int, tokenizer: Tokenizer) -> str:
        if len(self._blocks) >= _BLOCKS_KEPT:
            self._blocks.clear()
        key = (f"{seed}/block/{block}", self.options.block_tokens)
        if key not in self._blocks:
            self._blocks[key] = text_of(self.options.block_tokens, tokenizer.count, random.Random(key[0]), " ")
        return self._blocks[key]


def _ended(text: str, tokens: int, seed: str, tokenizer: Tokenizer) -> str:
    """The text with an end drawn by the seed, `tokens` long in all."""
    counted = tokenizer.count(text) if text else 0
    if counted == tokens:
        return text
    missing = tokens - counted
    for _ in range(_TRIES):
        made = text + text_of(max(missing, 1), tokenizer.count, random.Random(seed), " ")
        off = tokenizer.count(made) - tokens
        if off == 0:
            return made
        missing -= off
    return text_of(tokens, tokenizer.count, random.Random(seed), text)
