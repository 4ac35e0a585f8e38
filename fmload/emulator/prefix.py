"""A prefix cache: how much of a prompt the server has seen before, in blocks, as vLLM's automatic prefix caching."""

from __future__ import annotations

from collections import OrderedDict

_BLOCK_CHARACTERS = 64
_BLOCK_TOKENS = 16


class PrefixCache:
    """Remembers the last `blocks` blocks of 64 characters, each with everything before it."""

    def __init__(self, blocks: int = 100_000) -> None:
        self._blocks = blocks
        self._seen: OrderedDict[int, None] = OrderedDict()

    def cached_tokens(self, prompt: str, tokens: int) -> int:
        """Tokens of the prompt that are in the cache (whole blocks of 16, never all of them); keeps the prompt."""
        matched, chain, matching = 0, 0, True
        for start in range(0, len(prompt) - _BLOCK_CHARACTERS + 1, _BLOCK_CHARACTERS):
            chain = hash((chain, prompt[start:start + _BLOCK_CHARACTERS]))
            matching = matching and chain in self._seen
            matched += matching
            self._seen[chain] = None
            self._seen.move_to_end(chain)
        while len(self._seen) > self._blocks:
            self._seen.popitem(last=False)
        share = matched * _BLOCK_CHARACTERS / max(1, len(prompt))
        return min(tokens - 1, int(tokens * share)) // _BLOCK_TOKENS * _BLOCK_TOKENS
