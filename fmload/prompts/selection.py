"""One prompt set under one tokenizer: items made into prompts, in parallel when it pays; the fitting ones kept."""

from __future__ import annotations

import hashlib
import itertools
import operator
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from fmload.base.cpus import usable_cpus
from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt
from fmload.prompts import batches
from fmload.prompts.aligned import CONNECTIONS

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
    if spec.batch is not None or spec.query_tokens is not None:
        count = None if count is None else count * (spec.batch or 1)
        return batches.packed(_singles(spec, source, tokenizer, seed, count, progress), spec, tokenizer, seed)
    return _singles(spec, source, tokenizer, seed, count, progress)


def _singles(spec: PromptSpec, source: Source, tokenizer: Tokenizer, seed: str, count: int | None,
             progress: Progress) -> list[Prompt]:
    """As `make_set`, one text a prompt."""
    items = source.items(seed)
    left = count if count is not None else operator.length_hint(items)
    selection = _Selection(spec, count, endless=getattr(source, "endless", False),
                           unique=spec.unique and not any(getattr(source, kind, False)
                                                          for kind in ("timed", "sessions")))
    for group in _made(source, tokenizer, _with_heads(items, spec.marked), left):
        selection.add(group, f"{seed}/output")
        progress(spec.name, len(selection.kept), count)
        if selection.complete or selection.exhausted:
            break
    selection.check()
    progress(spec.name, len(selection.kept), len(selection.kept))
    return selection.kept[:count]


class _Selection:
    """The prompts kept so far: those that fit the filter and, where that is asked, are like none before.

    A trace's prompts are kept even when they are alike: each of them is an arrival. So are sessions: an agent may begin
    each of them with the same question.
    """

    def __init__(self, spec: PromptSpec, count: int | None, endless: bool, unique: bool) -> None:
        self.kept: list[Prompt] = []
        self._spec, self._count, self._endless, self._unique = spec, count, endless, unique
        self._seen: set[bytes] = set()
        self._lengths: list[int] = []
        self._fruitless = 0

    @property
    def complete(self) -> bool:
        return self._count is not None and len(self.kept) >= self._count

    @property
    def exhausted(self) -> bool:
        """Whether an endless source gives nothing new any more."""
        return self._endless and self._fruitless > _FRUITLESS

    def add(self, group: list[Prompt], output_seed: str) -> None:
        """Keep of one item's prompts what can be kept, with output lengths drawn by the seed."""
        self._lengths += [prompt.input_tokens or 0 for prompt in group]
        new = _new(_fitting(group, self._spec), self._seen, self._unique)
        self._fruitless = 0 if new else self._fruitless + 1
        for prompt in new:
            self.kept.append(_finished(prompt, self._spec, f"{output_seed}/{len(self.kept)}"))

    def check(self) -> None:
        """Raises FmloadError when nothing is kept, or too little of what could be invented."""
        name = self._spec.name
        if not self._lengths:
            raise FmloadError(f"prompt set '{name}': no row makes a prompt", hint="are the columns empty?")
        if not self.kept:
            raise FmloadError(f"prompt set '{name}': no prompt passes the filter; the {len(self._lengths)} there are "
                              f"have {min(self._lengths)} to {max(self._lengths)} tokens", hint="widen the filter")
        if self.exhausted and not self.complete:
            raise FmloadError(f"prompt set '{name}': only {len(self.kept)} different prompts can be made, "
                              f"not {self._count}", hint="ask for longer prompts, for fewer (count), or unique: false")
        if self._spec.exact_output and not any(prompt.exact_output for prompt in self.kept):
            raise FmloadError(f"prompt set '{name}': exact_output, but no prompt says how long its answer is to be",
                              hint="give output_tokens")


def _with_heads(items: Iterator[Any], nonce: bool) -> Iterator[Pair]:
    """Every item with what its prompt is to begin with: nothing, or a mark that no earlier run has sent."""
    run = secrets.token_hex(8) if nonce else ""
    for index, item in enumerate(items):
        yield item, f"[{hashlib.sha256(f'{run}/{index}'.encode()).hexdigest()[:12]}] " if nonce else ""


def _made(source: Source, tokenizer: Tokenizer, pairs: Iterator[Pair], left: int) -> Iterator[list[Prompt]]:
    """The prompts of every item, in order. The first batch, made here, tells whether processes would pay for the
    `left` ones."""
    if tokenizer.remote:
        yield from _made_in_threads(source, tokenizer, pairs)
        return
    began = time.monotonic()
    for pair in itertools.islice(pairs, _BATCH):
        yield _make(source, tokenizer, pair)
    processes = usable_cpus()
    if processes == 1 or (time.monotonic() - began) * left / _BATCH < _POOL_PAYS_S:
        yield from (_make(source, tokenizer, pair) for pair in pairs)
        return
    try:
        with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (source, tokenizer.name)) as pool:
            while batch := list(itertools.islice(pairs, _BATCH * processes)):
                yield from pool.map(_make_there, batch, chunksize=_BATCH // 4)
    except BrokenProcessPool as error:
        raise FmloadError("a process that made prompts was ended from outside",
                          hint="is there enough memory?") from error


def _made_in_threads(source: Source, tokenizer: Tokenizer, pairs: Iterator[Pair]) -> Iterator[list[Prompt]]:
    """As `_made`, for a tokenizer that waits for a server."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        while batch := list(itertools.islice(pairs, _BATCH)):
            yield from pool.map(partial(_make, source, tokenizer), batch)


_there: tuple[Source, Tokenizer]  # set once in each process of the pool


def _begin(source: Source, tokenizer_name: str) -> None:
    global _there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    from fmload.prompts.tokenizer import Tokenizer

    _there = source, Tokenizer.load(tokenizer_name)


def _make_there(pair: Pair) -> list[Prompt]:
    return _make(*_there, pair)


def _make(source: Source, tokenizer: Tokenizer, pair: Pair) -> list[Prompt]:
    """The prompts of one item, counted."""
    return [_counted(prompt, tokenizer) for prompt in source.make(pair[0], tokenizer, pair[1])]


def _counted(prompt: Prompt, tokenizer: Tokenizer) -> Prompt:
    tokens = prompt.input_tokens
    if prompt.audio is not None:  # nobody but the server counts sound in tokens
        return replace(prompt, tokenizer=tokenizer.name)
    if tokens is None:
        tokens = batches.tokens_of(prompt, tokenizer)
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
    contents = (orjson.dumps([prompt.text, prompt.messages, prompt.inputs, prompt.audio, prompt.tenant])
                for prompt in group)
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
    return replace(prompt, prompt_set=spec.name, output_tokens=output,
                   exact_output=spec.exact_output and output is not None)
