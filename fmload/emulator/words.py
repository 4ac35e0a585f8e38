"""Counts the tokens of prompts, and supplies answers whose words are one token each, under the bundled tokenizer.

Prompt counts are the client's own (`Tokenizer.chat_count` of `bundled`): the two sides agree unless one of them errs.
"""

from __future__ import annotations

from collections.abc import Callable

from fmload.emulator.dialect import Ask
from fmload.prompts.tokenizer import bundled_count
from fmload.prompts.words import classes

CHAT_TOKENS, MESSAGE_TOKENS = 3, 4  # the rule of `fmload.prompts.tokenizer` for chats without a template
_STRIDE = 7919  # a prime, so that neighbours in the answer are not neighbours in the list


class Words:
    """`count(text)` counts tokens; `text(i)` is the word, with its space, that every answer has in place i."""

    def __init__(self, count: Callable[[str], int], candidates: list[str]) -> None:
        self.count = count
        self._words = [" " + word for word in candidates if count(" " + word) == 1]

    def prompt_tokens(self, ask: Ask) -> int:
        """Tokens of a request's prompt, as the client counts them: a chat costs a little beside its text."""
        tokens = sum(map(self.count, ask.texts))
        return tokens + CHAT_TOKENS + MESSAGE_TOKENS * len(ask.texts) if ask.chat else tokens

    def text(self, index: int) -> str:
        """The text of the answer's token number `index`: one token wherever it stands."""
        return self._words[index * _STRIDE % len(self._words)]


def bundled() -> Words:
    """Words of the tokenizer that ships with fmload, warmed up."""
    return Words(bundled_count, [word for words in classes().values() for word in words])
