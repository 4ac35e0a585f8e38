"""Prefix caches: of the input, what a cache could have held, what the server says came from it, what was billed so.

What a cache could have held is arithmetic: whole blocks of 16 tokens with which an earlier request to the same server
began, the whole prompt never (its last token is computed). Prepared prompts are compared by their text, 64 characters
a block, as the server's tokens are not at hand; a later turn of a session whose answers were served begins with the
prompt of the turn that it goes on from, by the server's own counts (the answer was not sent to it before). A sub-agent
or branch with a chat of its own goes on from none: what it shares with others is not known. A conversation that is held
again may be answered alike or not, so that nobody knows what is found of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from fmload.metrics.definitions import Bools, Floats, ratio
from fmload.model.prompt import Prompt
from fmload.model.stage import Stage
from fmload_analysis.run import Run
from fmload_analysis.stage.spend import Prices, usd_of_each
from fmload_analysis.stage.windows import inside

BLOCK_TOKENS, BLOCK_CHARACTERS = 16, 64
MOST_BLOCKS = 4_000_000  # of all prompts of a server that are remembered: some 300 MB
MOST_BYTES = 256 << 20  # of a set's file: of a larger one it is not known what was possible
MOST_TURNS = 64

Texts = Mapping[int, str]  # by the hash of a prompt's id


@dataclass(slots=True)
class PossibleCache:
    """A cache without limits: the blocks of all that one server was sent, each with everything before it."""

    seen: set[int] = field(default_factory=set)
    texts: dict[str, Texts] = field(default_factory=dict)  # of the sets that it was sent
    asked: set[int] = field(default_factory=set)  # turns after served answers, by the hash of their prompt's id
    full: bool = False  # it could not remember all: what was possible is not known from then on

    def found(self, text: str, model: str = "") -> int:
        """Characters at the beginning of a text that are there; it is there from now on. Adapters share nothing with
        each other, nor with their model."""
        matched, chain, matching = 0, hash(model), True
        for start in range(0, len(text) - BLOCK_CHARACTERS + 1, BLOCK_CHARACTERS):
            chain = hash((chain, text[start:start + BLOCK_CHARACTERS]))
            matching = matching and chain in self.seen
            matched += matching
            self.seen.add(chain)
        self.full = self.full or len(self.seen) > MOST_BLOCKS
        return matched * BLOCK_CHARACTERS


@dataclass(frozen=True, slots=True)
class CacheShare:
    """Some requests that ended well in the window. Shares are of their input tokens; None where not known. `told_by`:
    requests whose server told of cached tokens, `known`: those of which it is known what was possible, and
    `told_of_known` what was told of those that are both. `billed`: 0
    where cached tokens cost what input costs; None: not paid by the token. `usd`, `usd_without`: what they cost, and
    would have without a cache. `written`: tokens that were written to a cache, `written_1h` those for an hour."""

    turn: int | None
    requests: int
    input_tokens: float
    possible: float | None
    told: float | None
    billed: float | None
    known: int
    told_by: int
    told_of_known: float | None
    written: float
    written_1h: float
    usd: float | None
    usd_without: float | None


@dataclass(frozen=True, slots=True)
class CacheTruth:
    """Of one stage: all requests, and those of each turn (`turn`) where there are sessions of several."""

    whole: CacheShare
    turns: tuple[CacheShare, ...] = ()


def cache_of(table: Mapping[str, Any], stage: Stage, run: Run, prices: Prices,
             cache: PossibleCache | None = None) -> CacheTruth | None:
    """None where no request ended well, and where nothing was possible, told or written."""
    if not table or not len(table["outcome"]):
        return None
    cache = cache or PossibleCache()
    if not np.isfinite(table["cached_tokens"]).any() and not cache.texts:  # its server does not tell
        return None
    if stage.prompt_set not in cache.texts:
        cache.texts[stage.prompt_set] = texts_of(run, stage.prompt_set)
    models = {tenant["name"]: str(tenant.get("model") or "") for tenant in run.tenants}
    possible = _possible(table, cache.texts[stage.prompt_set], run.answers(stage.prompt_set) == "served", cache, models)
    counted = (table["outcome"] == "ok") & inside(table["ended"], stage.window_ns) & (
        np.nan_to_num(table["server_input_tokens"]) > 0)
    whole = _share(table, counted, possible, prices, None)
    if not whole.requests or not (whole.possible or whole.told or whole.written):
        return None
    turns = np.unique(table["turn"][counted & ~np.isnan(table["turn"])])[:MOST_TURNS]
    each = tuple(_share(table, counted & (table["turn"] == turn), possible, prices, int(turn)) for turn in turns)
    return CacheTruth(whole, each if len(each) > 1 else ())


def texts_of(run: Run, prompt_set: str) -> dict[int, str]:
    """The prepared prompts that are sent as they stand, by the hash of their id; without those that nobody knew before
    they were sent."""
    path = run.results.prompts / f"{prompt_set}.jsonl"
    return {hash(prompt.id): "\n".join(_said(prompt)) for prompt in _prompts(path) if not prompt.steps
            and not (prompt.served and prompt.turn)} if path.exists() and path.stat().st_size <= MOST_BYTES else {}


def _prompts(path: Any) -> Iterator[Prompt]:
    with path.open("rb") as file:
        for line in file:
            yield Prompt(**orjson.loads(line))


def _said(prompt: Prompt) -> list[str]:
    contents = [message.get("content") for message in prompt.as_messages()]
    return [content if isinstance(content, str) else orjson.dumps(content).decode() for content in contents]


def _possible(table: Mapping[str, Any], texts: Texts, served: bool, cache: PossibleCache,
              models: Mapping[str, str]) -> Floats:
    """Tokens of each request that its server was sent before, in the order of sending; NaN: not known. `models`: those
    of tenants that have their own."""
    found = np.full(len(table["outcome"]), np.nan)
    tokens, held = table["server_input_tokens"], dict[tuple[int, float], float]()  # by session and request
    sent, prompts, sessions, tenants = (table[name] for name in ("sent", "prompt", "session", "tenant"))
    order = np.flatnonzero(np.isfinite(sent))
    for row in order[np.argsort(sent[order], kind="stable")].tolist():
        text, session = texts.get(int(prompts[row])), int(sessions[row])
        goes_on = held.get((session, table["goes_on"][row])) if session else None
        before = goes_on or 0.0
        if text is not None and not cache.full:
            found_there = cache.found(text, models.get(tenants.at(row), ""))
            before = max(before, tokens[row] * found_there / max(1, len(text)))
        again = text is None and int(prompts[row]) in cache.asked  # with the same answers, or with others
        if text is not None or (served and goes_on is not None and not again):
            found[row] = np.nan if cache.full else _whole_blocks(before, tokens[row])
        if text is None:
            cache.asked.add(int(prompts[row]))
        if served and session:  # a lost question is no part of what follows
            held[session, table["step"][row]] = tokens[row] if np.isfinite(tokens[row]) else before
    return found


def _whole_blocks(tokens: float, of: float) -> float:
    return float(min(tokens, of - 1) // BLOCK_TOKENS * BLOCK_TOKENS) if np.isfinite(of) else np.nan


def _share(table: Mapping[str, Any], mine: Bools, possible: Floats, prices: Prices, turn: int | None) -> CacheShare:
    tokens, cached = table["server_input_tokens"], table["cached_tokens"]
    known, told = mine & np.isfinite(possible), mine & np.isfinite(cached)
    read = np.minimum(cached, tokens)
    pricing, written = prices.pricing, np.nan_to_num(table["cache_write_tokens"])
    one_price = pricing is not None and pricing.by_token and not prices.of_tenants
    usd = usd_without = billed = None
    if one_price and pricing is not None:
        usd = float(usd_of_each(table, pricing)[mine].sum())
        usd_without = float(usd_of_each(table, pricing, cached=False)[mine].sum())
        cheaper = pricing.cached_input_per_1m is not None
        billed = _of(read, tokens, told) if cheaper or not told.any() else 0.0
    return CacheShare(turn, int(mine.sum()), float(tokens[mine].sum()), _of(possible, tokens, known),
                      _of(read, tokens, told), billed, int(known.sum()), int(told.sum()),
                      _of(read, tokens, known & told), float(written[mine].sum()),
                      float(np.nan_to_num(table["cache_write_1h_tokens"])[mine].sum()), usd, usd_without)


def _of(part: Floats, whole: Floats, rows: Bools) -> float | None:
    return ratio(float(part[rows].sum()), float(whole[rows].sum())) if rows.any() else None
