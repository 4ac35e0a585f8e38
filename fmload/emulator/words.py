"""Counts the tokens of prompts, and supplies answers whose words are one token each, under the bundled tokenizer.

Prompt counts are the client's own (`Tokenizer.chat_count` of `bundled`): the two sides agree unless one of them errs.
"""

from __future__ import annotations

from collections.abc import Callable

from fmload.base.errors import FmloadError
from fmload.emulator.dialect import Ask
from fmload.prompts.tokenizer import Tokenizer, bundled_count
from fmload.prompts.words import classes

CHAT_TOKENS, MESSAGE_TOKENS = 3, 4  # the rule of `fmload.prompts.tokenizer` for chats without a template
_STRIDE = 7919  # a prime, so that neighbours in the answer are not neighbours in the list


class Words:
    """`count(text)` counts tokens; `text(i)` is the word, with its space, that every answer has in place i."""

    def __init__(self, count: Callable[[str], int], candidates: list[str],
                 chat_count: Callable[[list[dict[str, str]]], int] | None = None) -> None:
        self.count, self._chat_count = count, chat_count
        self._words = [" " + word for word in candidates if count(" " + word) == 1]

    def __len__(self) -> int:
        return len(self._words)

    def prompt_tokens(self, ask: Ask) -> int:
        """Tokens of a request's prompt: of its texts as the client counts them (a chat costs a little beside its text),
        and of its images, sound and video."""
        return self._text_tokens(ask) + ask.media.tokens

    def _text_tokens(self, ask: Ask) -> int:
        if ask.chat and self._chat_count is not None:
            roles = ask.roles or ["user"] * len(ask.texts)
            return self._chat_count([{"role": role, "content": text}
                                     for role, text in zip(roles, ask.texts, strict=True)])
        tokens = sum(map(self.count, ask.texts))
        return tokens + CHAT_TOKENS + MESSAGE_TOKENS * len(ask.texts) if ask.chat else tokens

    def text(self, index: int) -> str:
        """The text of the answer's token number `index`: one token wherever it stands."""
        return self._words[index * _STRIDE % len(self._words)]


def of_tokenizer(name: str | None) -> Words:
    """Words of a tokenizer (None: the one that ships with fmload), warmed up. Raises FmloadError when it cannot be
    loaded, or holds no word as one token."""
    candidates = [word for words in classes().values() for word in words]
    if name is None:
        return Words(bundled_count, candidates)
    tokenizer = Tokenizer.load(name)
    words = Words(tokenizer.count, candidates, tokenizer.chat_count)
    if not words:
        raise FmloadError(f"--tokenizer {name} holds no word of the answers as one token", hint="use another")
    return words
