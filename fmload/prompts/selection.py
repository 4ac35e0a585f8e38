"""One prompt set under one tokenizer: items made into prompts, in parallel when it pays; the fitting ones kept."""

from __future__ import annotations

import hashlib
import itertools
import operator
import os
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from fmload.errors import FmloadError
from fmload.prompt import Prompt

if TYPE_CHECKING:
    from fmload.config.schema import PromptSpec
    from fmload.prompts.source import Source
    from fmload.prompts.tokenizer import Tokenizer

Progress = Callable[[str, int, int | None], None]  # set, prompts so far, prompts wanted (None: all there are)
Pair = tuple[Any, str]  # an item and the head of its prompt

_BATCH = 64
_POOL_PAYS_S = 3.0  # processes take about a second to start
_FRUITLESS = 1000  # items in a row without a new prompt, after which a source is exhausted


def make_set(spec: PromptSpec, source: Source, tokenizer: Tokenizer, seed: str, count: int | None,
             progress: Progress) -> list[Prompt]:
    """The prompts of one set, without ids, in the source's order. `count` None: all that the source has.

    Raises FmloadError when nothing fits, or when an endless source cannot make `count` different prompts.
    """
    kept: list[Prompt] = []
    seen: set[bytes] = set()
    lengths: list[int] = []
    fruitless = 0
    items = source.items(seed)
    left = count if count is not None else operator.length_hint(items)
    for group in _made(source, tokenizer, _with_heads(items, spec.nonce), left):
        lengths += [prompt.input_tokens or 0 for prompt in group]
        new = _new(_fitting(group, spec), seen, spec.unique)
        fruitless = 0 if new else fruitless + 1
        kept += [_finished(prompt, spec, f"{seed}/output/{len(kept) + index}") for index, prompt in enumerate(new)]
        if len(kept) % _BATCH == 0:
            progress(spec.name, len(kept), count)
        if (count is not None and len(kept) >= count) or (fruitless > _FRUITLESS and getattr(source, "endless", False)):
            break
    _check(spec, kept, count, lengths, fruitless)
    progress(spec.name, len(kept), len(kept))
    return kept[:count]


def _check(spec: PromptSpec, kept: list[Prompt], count: int | None, lengths: list[int], fruitless: int) -> None:
    if not kept:
        span = f"; the {len(lengths)} there are have {min(lengths)} to {max(lengths)} tokens" if lengths else ""
        raise FmloadError(f"prompt set '{spec.name}': no prompt passes the filter{span}",
                          hint=f"widen prompts[{spec.name}].filter")
    if count is not None and len(kept) < count and fruitless > _FRUITLESS:
        raise FmloadError(f"prompt set '{spec.name}': only {len(kept)} different prompts can be made, not {count}",
                          hint="ask for longer prompts, for fewer of them (count), or set unique: false")


def _with_heads(items: Iterator[Any], nonce: bool) -> Iterator[Pair]:
    """Every item with what its prompt is to begin with: nothing, or a mark that no earlier run has sent."""
    run = secrets.token_hex(8) if nonce else ""
    for index, item in enumerate(items):
        yield item, f"[{hashlib.sha256(f'{run}/{index}'.encode()).hexdigest()[:12]}] " if nonce else ""


def _made(source: Source, tokenizer: Tokenizer, pairs: Iterator[Pair], left: int) -> Iterator[list[Prompt]]:
    """The prompts of every item, in order. The first batch, made here, tells whether processes would pay for the
    `left` ones."""
    began = time.monotonic()
    for pair in itertools.islice(pairs, _BATCH):
        yield _make(source, tokenizer, pair)
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processes == 1 or (time.monotonic() - began) * left / _BATCH < _POOL_PAYS_S:
        yield from (_make(source, tokenizer, pair) for pair in pairs)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (source, tokenizer.name)) as pool:
        while batch := list(itertools.islice(pairs, _BATCH * processes)):
            yield from pool.map(_make_there, batch, chunksize=_BATCH // 4)


_there: tuple[Source, Tokenizer]  # set once in each process of the pool


def _begin(source: Source, tokenizer_name: str) -> None:
    global _there
    from fmload.prompts.tokenizer import Tokenizer

    _there = source, Tokenizer.load(tokenizer_name)


def _make_there(pair: Pair) -> list[Prompt]:
    return _make(*_there, pair)


def _make(source: Source, tokenizer: Tokenizer, pair: Pair) -> list[Prompt]:
    """The prompts of one item, counted."""
    return [_counted(prompt, tokenizer) for prompt in source.make(pair[0], tokenizer, pair[1])]


def _counted(prompt: Prompt, tokenizer: Tokenizer) -> Prompt:
    tokens = prompt.input_tokens
    if tokens is None:
        tokens = tokenizer.chat_count(prompt.messages) if prompt.messages else tokenizer.count(prompt.text or "")
    return replace(prompt, input_tokens=tokens, tokenizer=tokenizer.name)


def _fitting(group: list[Prompt], spec: PromptSpec) -> list[Prompt]:
    if spec.filter is None or spec.filter.tokens is None:
        return group
    least, most = spec.filter.tokens
    return [prompt for prompt in group if least <= (prompt.input_tokens or 0) <= most]


def _new(group: list[Prompt], seen: set[bytes], unique: bool) -> list[Prompt]:
    """The group when none of its prompts was there before (or none need be new), else nothing."""
    if not unique:
        return group
    contents = (orjson.dumps([prompt.text, prompt.messages]) for prompt in group)
    digests = {hashlib.blake2b(content, digest_size=16).digest() for content in contents}
    if digests & seen:
        return []
    seen |= digests
    return group


def _finished(prompt: Prompt, spec: PromptSpec, seed: str) -> Prompt:
    """The prompt with its set's name and, where its source gave none, the output length drawn for it."""
    from fmload.prompts.lengths import draw_length

    output = prompt.output_tokens
    if output is None and spec.output_tokens is not None:
        output = draw_length(spec.output_tokens, Random(seed))
    return replace(prompt, prompt_set=spec.name, output_tokens=output)
