"""Requests of several texts: those of a set put together, so many a request, with a query where one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt

if TYPE_CHECKING:
    from fmload.config.schema import PromptSpec
    from fmload.prompts.tokenizer import Tokenizer


def tokens_of(prompt: Prompt, tokenizer: Tokenizer) -> int:
    """Tokens of a prompt: of a chat with its template, of inputs and their query each once."""
    if prompt.messages:
        return tokenizer.chat_count(prompt.messages)
    texts = [text for text in (prompt.text, *(prompt.inputs or ())) if text is not None]
    return sum(map(tokenizer.count, texts))


def packed(singles: Sequence[Prompt], spec: PromptSpec, tokenizer: Tokenizer, seed: str) -> list[Prompt]:
    """The texts as prompts of `batch` inputs each, in their order; texts that fill no request are left out.

    Raises FmloadError for prompts that are no single texts, and for fewer texts than one request has.
    """
    size = spec.batch or 1
    for prompt in singles:
        _require_text(prompt, spec)
    if len(singles) < size:
        raise FmloadError(f"prompt set '{spec.name}': {len(singles)} texts are fewer than one request has ({size})",
                          hint="set batch to less, or take more rows")
    whole = range(0, len(singles) - size + 1, size)
    return [_request(singles[begin:begin + size], spec, tokenizer, f"{seed}/query/{begin}") for begin in whole]


def _require_text(prompt: Prompt, spec: PromptSpec) -> None:
    if prompt.tenant is not None:
        raise FmloadError(f"prompt set '{spec.name}': texts of several tenants cannot be put together in one request",
                          hint="leave out batch and query_tokens; or give tenants in place of tenant_column")
    if prompt.inputs is not None:
        raise FmloadError(f"prompt set '{spec.name}': its rows have inputs of their own",
                          hint="leave out batch and query_tokens")
    if prompt.messages is not None or prompt.conversation is not None:
        raise FmloadError(f"prompt set '{spec.name}': chat messages cannot be put together in one request",
                          hint="leave out batch; or use a column of texts")


def _request(part: Sequence[Prompt], spec: PromptSpec, tokenizer: Tokenizer, seed: str) -> Prompt:
    inputs, tokens = [prompt.as_text() for prompt in part], sum(prompt.input_tokens or 0 for prompt in part)
    query = None
    if spec.query_tokens is not None:
        from fmload.prompts.lengths import draw_length
        from fmload.prompts.synthetic import text_of

        draw = Random(seed)
        length = draw_length(spec.query_tokens, draw)
        query, tokens = text_of(length, tokenizer.count, draw), tokens + length
    return Prompt(id="", prompt_set=spec.name, text=query, inputs=inputs, input_tokens=tokens,
                  tokenizer=part[0].tokenizer)
