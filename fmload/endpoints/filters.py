"""Which errors are the word of a content filter: the server works, and will not say this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Codes in small letters alone: Azure and OpenAI, DashScope. Words: DeepSeek and xAI, whose codes say nothing of it.
_CODES = frozenset({"contentfilter", "contentfiltered", "contentpolicyviolation", "responsibleaipolicyviolation",
                    "datainspectionfailed", "moderationblocked"})
_WORDS = ("content exists risk", "content violates usage guidelines")
_INSIDE = ("error", "innererror", "choices", "content_filter_results", "detail")
_DEEPEST = 6


def is_filters(data: Any) -> bool:
    """Whether a decoded error says, in any of the shapes in use, that a filter ended or replaced the answer."""
    return any(_code(one.get(name)) in _CODES for one in _objects(data, _DEEPEST)
               for name in ("code", "type", "finish_reason")) or any(
        words in text.lower() for text in _texts(data) for words in _WORDS)


def _code(value: Any) -> str:
    """`DataInspectionFailed` from `InternalError.Algo.DataInspectionFailed`, without case and lines."""
    return "".join(filter(str.isalpha, value.rpartition(".")[2].lower())) if isinstance(value, str) else ""


def _objects(data: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, list) and depth:
        for one in data[:1]:
            yield from _objects(one, depth - 1)
    elif isinstance(data, Mapping) and depth:
        yield data
        for name in _INSIDE:
            yield from _objects(data.get(name), depth - 1)


def _texts(data: Any) -> Iterator[str]:
    for one in _objects(data, _DEEPEST):
        yield from (text for name in ("message", "error", "detail") if isinstance(text := one.get(name), str))
