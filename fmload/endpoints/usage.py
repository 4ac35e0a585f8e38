"""Counts of tokens as servers tell them: every name and every place, and what of it can be true of the answer.

A count that the server tells is a claim. Zero after a real count replaces nothing; a total above its parts is thinking
outside of the completion's count; what cannot be true is set aside with a remark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]

# The most tokens that one answer, and one prompt, of any model may hold today, with room to spare.
MAX_ANSWER_TOKENS = 1 << 18
MAX_PROMPT_TOKENS = 1 << 24
MAX_BATCH_TOKENS = (1 << 31) - 1  # of all inputs of one request together: what a record's column holds

_INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens", "prompt_token_count", "inputTokenCount",
          "input_token_count", "prompt_eval_count", "promptTokens")
_OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens", "completion_token_count",
           "generation_token_count", "outputTokenCount", "output_token_count", "generated_tokens", "eval_count",
           "completionTokens")
_TOTAL = ("total_tokens", "totalTokenCount", "totalTokens")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cachedContentTokenCount", "num_cached_tokens",
           "cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount", "cached_prompt_tokens",
           "cache_read_tokens")
_WRITTEN = ("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount")
_REASONING = ("reasoning_tokens", "thoughtsTokenCount", "thinking_tokens", "reasoning_token_count")
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details", "input_token_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "completion_token_details",
                   "output_token_details")
# Of a message: what it may hold a usage object under (`_places`).
_INSIDE = ("x_groq", "metadata", "meta", "response", "message", "delta")
_PLAIN = frozenset(("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"))
PLACES = frozenset((*_INSIDE, "usage", "usageMetadata", "usage_metadata", "details", "eval_count", "timings"))
# Names under which the count of the input leaves out what was read from a cache or written to one.
_FRESH_INPUT = ("input_tokens", "inputTokens", "inputTokenCount")
_APART = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount", *_WRITTEN)


@dataclass(slots=True)
class Counts:
    """What a server told, None where it was silent: `input` with the cached ones in it, `output` with the reasoning."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    remarks: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)  # of the input: image_tokens, audio_tokens, video_tokens

    def remark(self, words: str) -> None:
        """Say once what was strange."""
        if words not in self.remarks:
            self.remarks.append(words)


def whole(value: object) -> int | None:
    """A count, if `value` is one: a whole number that is not negative, be it written 12, 12.0 or "12"."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and value >= 0 else None


def output_of(usage: Json) -> int | None:
    """The output tokens that a usage object tells; None when it tells none."""
    return _first(usage, _OUTPUT)


def plain_output(told: Any) -> int | None:
    """The output tokens of a usage object of the usual form; None of any other."""
    if told.__class__ is not dict or not told.keys() <= _PLAIN:
        return None
    made = told.get("completion_tokens")
    return made if made.__class__ is int and made >= 0 else None


def usages_of(message: Json) -> list[Json]:
    """The usage objects of a message, in whatever place its server puts them, the most usual place first; where it has
    none, what the timings beside it tell."""
    held = PLACES.intersection(message)
    if not held:
        return []
    found: list[Json] = [usage for place in _places(message, held)
                         if place and isinstance(usage := _unwrapped(place), dict) and usage]
    own = None if found else timings_usage(message.get("timings"))
    return found if own is None else [own]


def _unwrapped(usage: Any) -> Any:
    """A usage object that stands alone in a list, or holds its counts one level down (Cohere)."""
    if isinstance(usage, list) and len(usage) == 1:
        usage = usage[0]
    inside = usage.get("tokens") if isinstance(usage, dict) else None
    return inside if isinstance(inside, dict) and _first(inside, _OUTPUT) is not None else usage


def _places(message: Json, held: frozenset[str]) -> Iterator[Any]:
    yield message.get("usage")
    for name in _INSIDE:
        if name in held and isinstance(inside := message[name], dict):
            yield inside.get("usage")
            yield inside.get("tokens")
    yield message.get("usageMetadata")
    yield message.get("usage_metadata")
    if isinstance(details := message.get("details"), dict) and "generated_tokens" in details:  # TGI
        yield details
    if "eval_count" in message:  # Ollama
        yield message


def timings_usage(timings: Any) -> Json | None:
    """llama.cpp's account of its work as a usage object, for answers that come without one."""
    if not isinstance(timings, dict) or whole(timings.get("predicted_n")) is None:
        return None
    cached, fresh = whole(timings.get("cache_n")), whole(timings.get("prompt_n"))
    known = {} if cached is None or fresh is None else {"prompt_tokens": fresh + cached, "cached_tokens": cached}
    return {"completion_tokens": timings["predicted_n"], **known}


def read(usage: Json, choices: int = 1) -> Counts:
    """The counts of one usage object; of all `choices` together where it covers them."""
    return _read_plain(usage) or _read_any(usage, choices)


def _read_plain(usage: Json) -> Counts | None:
    """Of what nearly all servers tell: prompt, completion and their sum, maybe what of the prompt was cached. None of
    anything else."""
    if not usage.keys() <= _PLAIN:
        return None
    fed, made, details = usage.get("prompt_tokens"), usage.get("completion_tokens"), usage.get("prompt_tokens_details")
    if fed.__class__ is not int or made.__class__ is not int or not (
            min(fed, made) >= 0 and usage.get("total_tokens") == fed + made):
        return None
    if details is None:
        return Counts(fed, made)
    cached = details.get("cached_tokens") if details.__class__ is dict and len(details) == 1 else None
    return Counts(fed, made, cached) if cached.__class__ is int and 0 <= cached <= fed else None


def _read_any(usage: Json, choices: int) -> Counts:
    counts = Counts(_first(usage, _INPUT), _first(usage, _OUTPUT), _detail(usage, _INPUT_DETAILS, _CACHED),
                    _detail(usage, _OUTPUT_DETAILS, _REASONING))
    apart = sum(_first(usage, (name,)) or 0 for name in _APART)
    if apart and _first_name(usage, _INPUT) in _FRESH_INPUT:
        counts.input = (counts.input or 0) + apart
    _settle_total(counts, _first(usage, _TOTAL), choices)
    _keep_cached_within(counts)
    counts.kinds = kinds_of(usage)
    return counts


def _keep_cached_within(counts: Counts) -> None:
    if counts.cached and counts.input is not None and counts.cached > counts.input:
        counts.remark(f"{counts.cached} cached input tokens of {counts.input} in all: left out")
        counts.cached = None


def _settle_total(counts: Counts, total: int | None, choices: int) -> None:
    """A total above prompt and completion: cached input, a prompt counted by choice, or thinking that counts apart."""
    output, fed = counts.output, counts.input
    if output is None and total is not None and fed is not None and total > fed:
        counts.output = total - fed
    elif total is not None and fed is not None and output is not None and total > fed + output:
        outside = total - fed - output
        if counts.cached is not None and outside == counts.cached:
            counts.input = fed + outside
        elif fed == 0 or choices == 1 or outside != fed * (choices - 1):
            counts.output = output + outside
            counts.reasoning = max(counts.reasoning or 0, outside)
    elif output is not None and counts.reasoning is not None and counts.reasoning > output:
        counts.output = output + counts.reasoning
        counts.remark("reasoning tokens are told beside the output tokens, not among them")


def _first(usage: Json, names: Iterable[str]) -> int | None:
    """The first count above zero under these names; 0 when the only ones are zero."""
    found = None
    for name in names:
        if name in usage and (count := whole(usage[name])) is not None:
            if count:
                return count
            found = 0
    return found


def _first_name(usage: Json, names: Iterable[str]) -> str | None:
    told = [name for name in names if whole(usage.get(name)) is not None]
    return next((name for name in told if whole(usage[name])), told[0] if told else None)


def _detail(usage: Json, places: Iterable[str], names: tuple[str, ...]) -> int | None:
    counts = [_first(inside, names) for place in places if isinstance(inside := usage.get(place), dict)]
    counts.append(_first(usage, names))
    return max((count for count in counts if count is not None), default=None)


_KINDS = ("image_tokens", "audio_tokens", "video_tokens")


def kinds_of(told: Json) -> dict[str, int]:
    """The input tokens that a usage object tells of images, sound and video, where there are any: OpenAI's details, or
    Gemini's list."""
    found: dict[str, int] = {}
    for place in _INPUT_DETAILS:
        inside = told.get(place)
        if isinstance(inside, dict):
            found |= {name: count for name in _KINDS if (count := whole(inside.get(name))) is not None}
    for one in told.get("promptTokensDetails") or ():
        name = f"{str(one.get('modality')).lower()}_tokens" if isinstance(one, dict) else ""
        if name in _KINDS and (count := whole(one.get("tokenCount"))) is not None:
            found[name] = count
    return {name: count for name, count in found.items() if 0 < count <= MAX_PROMPT_TOKENS}


def merge(told: Iterable[Counts]) -> Counts:
    """One account of several, the one to be trusted most first: a zero, or silence, is filled by the next."""
    merged = Counts()
    for counts in told:
        merged.input = merged.input or counts.input
        merged.output = merged.output or counts.output
        merged.cached = merged.cached or counts.cached
        merged.reasoning = merged.reasoning or counts.reasoning
        merged.kinds = merged.kinds or counts.kinds
        for words in counts.remarks:
            merged.remark(words)
    merged.input = merged.input or None
    merged.output = merged.output or None
    return merged


def added(told: Iterable[Counts]) -> Counts:
    """The accounts of several choices to one prompt together: outputs add up, the prompt was one."""
    each = list(told)
    total = merge(each)
    total.output = sum(counts.output or 0 for counts in each) or None
    reasoning = [counts.reasoning for counts in each if counts.reasoning is not None]
    total.reasoning = sum(reasoning) if reasoning else None
    return total


def bound(counts: Counts, body_bytes: int, max_tokens: int | None, choices: int = 1) -> None:
    """Set aside what cannot be true of an answer of so many bytes, asked for with so many tokens a choice.

    A token that was shown takes a byte at least, so that a count above both the bytes and the limit is false; hidden
    reasoning may be outside of the limit. Without a limit, no answer is longer than MAX_ANSWER_TOKENS.
    """
    shown = None if counts.output is None else counts.output - (counts.reasoning or 0)
    most = max(body_bytes, (MAX_ANSWER_TOKENS if max_tokens is None else max_tokens) * choices)
    if shown is not None and (shown > most or (counts.reasoning or 0) > max(body_bytes, MAX_ANSWER_TOKENS * choices)):
        counts.remark(f"the server says {counts.output} output tokens for an answer of {body_bytes} bytes"
                      f"{f' and {max_tokens} tokens at most' if max_tokens else ''}: set aside")
        counts.output = counts.reasoning = None
    if counts.input is not None and counts.input > MAX_PROMPT_TOKENS:
        counts.remark(f"the server says {counts.input} input tokens: set aside")
        counts.input = counts.cached = None
    if counts.cached is not None and counts.cached > MAX_PROMPT_TOKENS:
        counts.cached = None
    _keep_cached_within(counts)


def charged(message: Json) -> int | None:
    """The input tokens of a request that generates nothing (embeddings, a ranking); None where the server is silent.
    Some tell a total alone; Cohere tells what it bills, Titan beside its vector."""
    meta = message.get("meta")
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    for told in (*usages_of(message), billed, message):
        if isinstance(told, dict):
            found = _first(told, (*_INPUT, "inputTextTokenCount", *_TOTAL))
            if found:
                return found
    return None
