"""What Converse refuses: the rules of its request that are checked before a token is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Body = dict[str, Any]

_KEYS = frozenset({"messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig", "requestMetadata",
                   "additionalModelRequestFields", "additionalModelResponseFieldPaths", "promptVariables",
                   "performanceConfig", "serviceTier", "outputConfig"})
_BLOCKS = frozenset({"text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent",
                     "cachePoint", "reasoningContent", "citationsContent", "searchResult"})
_FORMATS = {"image": frozenset({"png", "jpeg", "gif", "webp"}),
            "document": frozenset({"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"})}
_document_name = re.compile(r"(?! )[A-Za-z0-9()\[\]-]+( [A-Za-z0-9()\[\]-]+)*").fullmatch


def problem(body: Body) -> str | None:
    """Why Converse would refuse the request; None where it would not."""
    return next(_problems(body), None)


def _problems(body: Body) -> Iterator[str]:
    yield from (f"{key} is no member of the request" for key in body if key not in _KEYS)
    messages = body.get("messages") or []
    for number, message in enumerate(messages):
        role = message.get("role")
        if role != ("user", "assistant")[number % 2]:
            yield f"messages.{number}: roles must alternate, and the first is the user's; got {role!r}"
        yield from _of_blocks(message.get("content"), f"messages.{number}.content")
    yield from _of_blocks(body.get("system") or [], "system")
    used = {key for message in messages for block in message.get("content") or () for key in block}
    if used & {"toolUse", "toolResult"} and not body.get("toolConfig"):
        yield "toolConfig must be defined where toolUse or toolResult blocks are used"


def _of_blocks(blocks: Any, where: str) -> Iterator[str]:
    if not isinstance(blocks, list):
        yield f"{where}: a list of content blocks was expected"
        return
    for number, block in enumerate(blocks):
        at = f"{where}.{number}"
        if not isinstance(block, dict) or len(block) != 1 or not block.keys() <= _BLOCKS:
            yield f"{at}: a content block is exactly one of {', '.join(sorted(_BLOCKS))}"
            return
        [(kind, value)] = block.items()
        yield from _of_block(kind, value, at)


def _of_block(kind: str, value: Any, at: str) -> Iterator[str]:
    if kind == "text" and not str(value).strip():
        yield f"{at}: the text is blank"
    if kind in _FORMATS and value.get("format") not in _FORMATS[kind]:
        yield f"{at}.{kind}.format: {value.get('format')!r} is none of {', '.join(sorted(_FORMATS[kind]))}"
    if kind == "document" and not _document_name(str(value.get("name"))):
        yield f"{at}.document.name: letters, digits, single spaces, hyphens, parentheses and brackets alone"
    if kind == "toolResult":
        inside = [block for block in value.get("content") or [] if "json" not in block]
        yield from _of_blocks(inside, f"{at}.toolResult.content")
