"""The bodies of Bedrock's InvokeModel by model family: one class each, one line in `FAMILIES`."""

from __future__ import annotations

from typing import Any, Protocol

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage

Body = dict[str, Any]
_STOP = {"length": "max_tokens", "stop": "end_turn"}


class Family(Protocol):
    """One family's request and its answer, as JSON objects; one object a request. `tokens` is the count so far."""

    @staticmethod
    def parse(body: Body) -> Ask: ...

    def opening(self, usage: Usage) -> list[Body]: ...

    def token(self, text: str, tokens: int) -> Body: ...

    def closing(self, finish: str, usage: Usage) -> list[Body]: ...

    def whole(self, text: str, finish: str, usage: Usage) -> Body: ...


class Anthropic:
    """Anthropic's Messages API."""

    @staticmethod
    def parse(body: Body) -> Ask:
        system = [openai.content_text(body["system"])] if body.get("system") else []
        return Ask(system + openai.messages_texts(body.get("messages")), chat=True,
                   max_tokens=openai.positive(body.get("max_tokens"), "max_tokens"))

    def opening(self, usage: Usage) -> list[Body]:
        message = {**self._message(), "content": [], "stop_reason": None, "stop_sequence": None,
                   "usage": {"input_tokens": usage.input_tokens, "output_tokens": 1,
                             "cache_read_input_tokens": usage.cached_tokens}}
        return [{"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}]

    def token(self, text: str, tokens: int) -> Body:
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        delta = {"stop_reason": _STOP[finish], "stop_sequence": None}
        return [{"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage.output_tokens}},
                {"type": "message_stop"}]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        return {**self._message(), "content": [{"type": "text", "text": text}], "stop_reason": _STOP[finish],
                "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}}

    def _message(self) -> Body:
        return {"id": "msg_emulated", "type": "message", "role": "assistant", "model": "emulated"}


class Llama:
    """Meta's Llama: `prompt` in, `generation` out."""

    def __init__(self) -> None:
        self._input_tokens: int | None = None

    @staticmethod
    def parse(body: Body) -> Ask:
        return Ask([str(body.get("prompt") or "")], max_tokens=openai.positive(body.get("max_gen_len"), "max_gen_len"))

    def opening(self, usage: Usage) -> list[Body]:
        self._input_tokens = usage.input_tokens
        return []

    def token(self, text: str, tokens: int) -> Body:
        event = self._event(text, tokens, None)
        event["prompt_token_count"], self._input_tokens = self._input_tokens, None
        return event

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        return [self._event("", usage.output_tokens, finish)]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        return {**self._event(text, usage.output_tokens, finish), "prompt_token_count": usage.input_tokens}

    def _event(self, text: str, tokens: int, stop: str | None) -> Body:
        return {"generation": text, "prompt_token_count": None, "generation_token_count": tokens, "stop_reason": stop}


class Nova:
    """Amazon's Nova: Converse's words inside InvokeModel."""

    @staticmethod
    def parse(body: Body) -> Ask:
        config = body.get("inferenceConfig") or {}
        limit = config.get("maxTokens", config.get("max_new_tokens"))
        system = [openai.content_text(body["system"])] if body.get("system") else []
        return Ask(system + openai.messages_texts(body.get("messages")), chat=True,
                   max_tokens=openai.positive(limit, "maxTokens"))

    def opening(self, usage: Usage) -> list[Body]:
        return [{"messageStart": {"role": "assistant"}}]

    def token(self, text: str, tokens: int) -> Body:
        return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        return [{"contentBlockStop": {"contentBlockIndex": 0}}, {"messageStop": {"stopReason": _STOP[finish]}},
                {"metadata": {"usage": self._usage(usage), "metrics": {}, "trace": {}}}]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        return {"output": {"message": {"role": "assistant", "content": [{"text": text}]}},
                "stopReason": _STOP[finish], "usage": self._usage(usage)}

    def _usage(self, usage: Usage) -> Body:
        return {"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens,
                "cacheReadInputTokenCount": usage.cached_tokens}


class Mistral:
    """Mistral's text models: `prompt` in, `outputs` out."""

    @staticmethod
    def parse(body: Body) -> Ask:
        return Ask([str(body.get("prompt") or "")], max_tokens=openai.positive(body.get("max_tokens"), "max_tokens"))

    def opening(self, usage: Usage) -> list[Body]:
        return []

    def token(self, text: str, tokens: int) -> Body:
        return {"outputs": [{"text": text, "stop_reason": None}]}

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        return [{"outputs": [{"text": "", "stop_reason": finish}]}]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        return {"outputs": [{"text": text, "stop_reason": finish}]}


# A part of the model id (also of inference profiles and ARNs) and its family.
FAMILIES: dict[str, type[Family]] = {"anthropic.": Anthropic, "meta.": Llama, "amazon.nova": Nova,
                                     "mistral.": Mistral}
