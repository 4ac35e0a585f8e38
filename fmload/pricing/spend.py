"""What requests cost by the token: which tokens are billed, and for how much. Pure; on columns, one row a request."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fmload.pricing.resolve import Pricing
    from fmload.pricing.table import Rates

DOCUMENTS_A_SEARCH = 100
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Billed:
    """What is paid for. `tokens_in` holds the cached and the written ones, `written` those for an hour; `audio_s` are
    seconds of sound, `characters` those of texts to be spoken."""

    tokens_in: Any  # numbers, or columns of them
    tokens_out: Any
    cached: Any = 0.0
    written: Any = 0.0
    written_1h: Any = 0.0
    audio_s: Any = 0.0
    characters: Any = 0.0
    images: Any = 0.0  # that were made
    searches: Any = 0.0  # rankings, a long one several


def billed(*, sent: Bools, status: Floats, input_tokens: Floats, prompt_tokens: Floats, output_tokens: Floats,
           chunk_tokens: Floats, cached: Floats, written: Floats, written_1h: Floats,
           audio_in_s: Floats, audio_out_s: Floats, characters: Floats, images: Floats, inputs: Floats) -> Billed:
    """The tokens of each request that are billed, whatever became of it. NaN is null.

    The server's own counts where it tells them. Where it does not, as in a stream that broke off: the prompt of every
    request that was sent and not refused (a status of 400 or more), and the tokens that had arrived. What came from a
    cache and what was written to one came in, whatever the count of the input says. Sound and characters are those of
    every request that was sent and not refused: sound that was sent, or as much as came; images as many as were asked
    for; each 100 inputs of one are a search (Cohere, and Bedrock's rerankers).
    """
    taken = sent & ~(status >= 400)
    unread = np.where(taken, np.nan_to_num(prompt_tokens), 0.0)
    heard = np.isfinite(audio_in_s)
    sound = np.where(taken, np.nan_to_num(np.where(heard, audio_in_s, audio_out_s)), 0.0)
    spoken = np.where(taken & ~heard, np.nan_to_num(characters), 0.0)
    tokens_in = np.where(np.isnan(input_tokens), unread, input_tokens)
    tokens_out = np.nan_to_num(np.where(np.isnan(output_tokens), chunk_tokens, output_tokens))
    read, put, put_1h = (np.nan_to_num(each) for each in (cached, written, written_1h))
    made = np.where(taken, np.nan_to_num(images), 0.0)
    searches = np.where(taken, np.ceil(np.nan_to_num(inputs) / DOCUMENTS_A_SEARCH), 0.0)
    return Billed(np.maximum(tokens_in, read + put), tokens_out, read, put, put_1h, sound, spoken, made, searches)


def usd_of_tokens(pricing: Pricing, tokens_in: Any, tokens_out: Any, cached: Any = 0.0, written: Any = 0.0,
                  written_1h: Any = 0.0) -> Any:
    """USD of one request, or of each one of columns of them: every kind of token × its own price.

    Of the input, what came from the cache and what was written to it have prices of their own; where none is known they
    cost what input costs. A request longer than a step of the price is paid at that step's rates, whole. 0 for an
    endpoint that is paid by the hour.
    """
    counts = Billed(tokens_in, tokens_out, cached, written, written_1h)
    usd = tokens_in * 0.0
    for rates in pricing.rates:
        over = tokens_in > rates.above if rates.above else tokens_in >= 0
        usd = usd * (1 - over) + _usd(rates, counts) * over
    return usd


def _usd(rates: Rates, counts: Billed) -> Any:
    own = rates.input_per_1m
    cached = own if rates.cached_input_per_1m is None else rates.cached_input_per_1m
    written = own if rates.cache_write_per_1m is None else rates.cache_write_per_1m
    hour = written if rates.cache_write_1h_per_1m is None else rates.cache_write_1h_per_1m
    fresh = counts.tokens_in - counts.cached - counts.written
    return (fresh * own + counts.cached * cached + (counts.written - counts.written_1h) * written
            + counts.written_1h * hour + counts.tokens_out * rates.output_per_1m) / 1e6


def usd_of(pricing: Pricing, counts: Billed) -> Any:
    """USD of what is billed."""
    return (usd_of_tokens(pricing, counts.tokens_in, counts.tokens_out, counts.cached, counts.written,
                          counts.written_1h)
            + counts.audio_s * (pricing.per_audio_minute or 0.0) / 60
            + counts.characters * (pricing.per_1m_characters or 0.0) / 1e6
            + counts.images * (pricing.per_image or 0.0)
            + counts.searches * (pricing.per_1k_searches or 0.0) / 1e3)


def part_of_hours(busy: float, every: Collection[float]) -> float:
    """The share that a component of a mix bears of its endpoint's price by the hour: of the time that requests of
    `every` component there, its own among them, were in flight in the window. Even parts where none was."""
    whole = math.fsum(every)
    return busy / whole if whole else 1 / max(1, len(every))


def without_cache(counts: Billed) -> Billed:
    """The same tokens, had nothing come from a cache or gone to one."""
    return replace(counts, cached=0.0, written=0.0, written_1h=0.0)
