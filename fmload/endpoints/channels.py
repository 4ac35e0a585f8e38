"""The text that a message adds, and its channel: answer, reasoning or tool call, in the many shapes servers use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from fmload.model.reading import Channel

Json = Mapping[str, Any]


class Piece(NamedTuple):
    """What one choice of one message adds. `thought`: reasoning that came beside a part of the answer."""

    text: str = ""
    channel: Channel = "answer"
    thought: str = ""
    silent: bool = False  # tokens without a text that could be read: sound, pictures, encrypted reasoning


NOTHING = Piece()
# Names of reasoning beside the answer: DeepSeek, vLLM, OpenRouter, and others. The first that holds something counts,
# since gateways send the same text under several.
_REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "thought", "thinking_content",
              "reasoning_details", "thinking_blocks")
_IS_REASONING = frozenset(_REASONING)
_REASONING_PARTS = ("thinking", "reasoning", "thought")
_UNREADABLE = ("data", "audio", "image_url", "redacted", "b64_json", "encrypted_content")
_TEXTS = ("text", "content", "thinking", "reasoning", "summary", "value", "transcript", "refusal", "output_text")


def piece_of(choice: Json) -> Piece:
    """What a choice of a chat or text completion adds. Raises AttributeError or TypeError for what none sends."""
    delta = choice.get("delta") or choice.get("message")
    if delta is None:
        return Piece(str(choice.get("text") or ""))
    if not isinstance(delta, Mapping):
        return Piece(_text(delta))
    return _answer(delta) or _reasoning(delta) or _calls(delta) or _sound(delta) or Piece(str(choice.get("text") or ""))


def text_alone(choice: dict[str, Any]) -> tuple[str, Channel, tuple[str, ...]] | None:
    """Of a choice that adds nothing but one text: the text, its channel, and the one or more names that it stands under
    (`said_in`). None of any other, and where a text completion tells why it stopped."""
    said = said_in(choice)
    answer: tuple[str, ...] = ("text",) if said is choice else ("content",)
    if said is choice:
        names = answer if choice.get("text") and not choice.get("stop_reason") else ()
    else:
        names = tuple([name for name, value in said.items() if value and name != "role"])
    channel: Channel = "answer" if names == answer else "reasoning"
    if not names or (channel == "reasoning" and not _IS_REASONING.issuperset(names)):
        return None
    text = said[names[0]]
    if text.__class__ is not str or any(said[name] != text for name in names[1:]):
        return None
    return text, channel, names


def said_in(choice: dict[str, Any]) -> dict[str, Any]:
    """What holds the texts of a choice: its delta, or the choice itself of a text completion."""
    found: dict[str, Any] = choice.get("delta", choice)
    return found


def _answer(delta: Json) -> Piece | None:
    content = delta.get("content")
    if isinstance(content, str):
        said, thought = content, ""
    else:
        said, thought = _parts(content) if content else ("", "")
    said = said or _text(delta.get("refusal"))
    other = _reasoning(delta)
    thought = thought or (other.text if other else "")
    if said:
        return Piece(said, "answer", thought)
    if thought:
        return Piece(thought, "reasoning")
    return Piece(silent=True) if content and not isinstance(content, str) and _unreadable(content) else None


def _parts(content: Any) -> tuple[str, str]:
    """(answer, reasoning) of a content that is a list of parts."""
    said, thought = "", ""
    for part in content if isinstance(content, list) else [content]:
        kind = str(part.get("type") or "") if isinstance(part, Mapping) else ""
        if kind.startswith(_REASONING_PARTS) or (isinstance(part, Mapping) and "thinking" in part):
            thought += _text(part)
        else:
            said += _text(part)
    return said, thought


def _reasoning(delta: Json) -> Piece | None:
    for name in _REASONING:
        if value := delta.get(name):
            if text := _text(value):
                return Piece(text, "reasoning")
            if _unreadable(value):
                return Piece("", "reasoning", silent=True)
    return None


def _calls(delta: Json) -> Piece | None:
    calls = delta.get("tool_calls") or ()
    if isinstance(calls, Mapping):
        calls = (calls,)
    text = "".join(_call_text(call) for call in calls if isinstance(call, Mapping))
    function = delta.get("function_call")
    if isinstance(function, Mapping):
        text += _function_text(function)
    return Piece(text, "tool") if text else None


def _call_text(call: Json) -> str:
    for name in ("function", "custom"):
        if isinstance(inside := call.get(name), Mapping):
            return _function_text(inside)
    return _function_text(call)  # some leave the wrapping out


def _function_text(function: Json) -> str:
    arguments = function.get("arguments") or function.get("input") or ""
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments, default=str).decode()
    return f"{function.get('name') or ''}{arguments}"


def _sound(delta: Json) -> Piece | None:
    """Spoken answers: the words beside the sound where they are told; the sound is made of tokens in any case."""
    audio = delta.get("audio")
    if isinstance(audio, Mapping):
        if text := _text(audio.get("transcript")):
            return Piece(text)
        if audio.get("data"):
            return Piece(silent=True)
    return Piece(silent=True) if delta.get("images") else None


def _text(value: Any) -> str:
    """All text in a value that may be a string, a list of parts, or an object with the text under a known name."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, Mapping):
        return next((text for name in _TEXTS if (text := _text(value.get(name)))), "")
    return ""


def _unreadable(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_unreadable, value))
    return isinstance(value, Mapping) and any(value.get(name) for name in _UNREADABLE)
