"""The bodies of Bedrock's InvokeModel by model family: one class each, one line in `FAMILIES`."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage
from fmload.emulator.media import seen_in

Body = dict[str, Any]
_STOP = {"length": "max_tokens", "stop": "end_turn", "content_filter": "refusal"}


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
                   max_tokens=openai.positive(body.get("max_tokens"), "max_tokens"), media=seen_in(body["messages"]))

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


class _Texts:
    """`prompt` in, a list of texts out: under `LIST`."""

    LIST: ClassVar[str]

    @staticmethod
    def parse(body: Body) -> Ask:
        return Ask([str(body.get("prompt") or "")], max_tokens=openai.positive(body.get("max_tokens"), "max_tokens"))

    def opening(self, usage: Usage) -> list[Body]:
        return []

    def token(self, text: str, tokens: int) -> Body:
        return {self.LIST: [{"text": text, "stop_reason": None}]}

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        return [{self.LIST: [{"text": "", "stop_reason": finish}]}]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        return {self.LIST: [{"text": text, "stop_reason": finish}]}


class Mistral(_Texts):
    """Mistral's text models."""

    LIST = "outputs"


class DeepSeek(_Texts):
    """DeepSeek R1."""

    LIST = "choices"


class Chat:
    """OpenAI's chat, as most families of today take it: gpt-oss, DeepSeek V3, Qwen, Jamba, Kimi, newer Mistrals."""

    @staticmethod
    def parse(body: Body) -> Ask:
        return openai.parse(body, chat=True)

    def opening(self, usage: Usage) -> list[Body]:
        return [self._chunk({"role": "assistant", "content": ""}, None)]

    def token(self, text: str, tokens: int) -> Body:
        return self._chunk({"content": text}, None)

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        return [self._chunk({}, finish), {**self._envelope(), "choices": [], "usage": openai.usage_json(usage)}]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        return {**self._envelope(), "choices": [choice], "usage": openai.usage_json(usage)}

    def _chunk(self, delta: Body, finish: str | None) -> Body:
        return {**self._envelope(), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def _envelope(self) -> Body:
        return {"id": "chatcmpl-emulated", "model": "emulated"}


class Titan:
    """Amazon's Titan: `inputText` in, `outputText` out; the counts come with the last chunk."""

    @staticmethod
    def parse(body: Body) -> Ask:
        limit = (body.get("textGenerationConfig") or {}).get("maxTokenCount")
        return Ask([str(body.get("inputText") or "")], max_tokens=openai.positive(limit, "maxTokenCount"))

    def opening(self, usage: Usage) -> list[Body]:
        return []

    def token(self, text: str, tokens: int) -> Body:
        return self._chunk(text, None, None, None)

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        return [self._chunk("", usage.output_tokens, self._reason(finish), usage.input_tokens)]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        result = {"tokenCount": usage.output_tokens, "outputText": text, "completionReason": self._reason(finish)}
        return {"inputTextTokenCount": usage.input_tokens, "results": [result]}

    def _chunk(self, text: str, total: int | None, reason: str | None, asked: int | None) -> Body:
        return {"outputText": text, "index": 0, "totalOutputTextTokenCount": total, "completionReason": reason,
                "inputTextTokenCount": asked}

    def _reason(self, finish: str) -> str:
        return {"length": "LENGTH"}.get(finish, "FINISH")


class Command:
    """Cohere's Command R: the last event repeats the whole text."""

    def __init__(self) -> None:
        self._said: list[str] = []

    @staticmethod
    def parse(body: Body) -> Ask:
        history = [str(turn.get("message") or "") for turn in body.get("chat_history") or ()]
        return Ask([*history, str(body.get("message") or "")],
                   max_tokens=openai.positive(body.get("max_tokens"), "max_tokens"))

    def opening(self, usage: Usage) -> list[Body]:
        return [{"event_type": "stream-start", "generation_id": "emulated", "is_finished": False}]

    def token(self, text: str, tokens: int) -> Body:
        self._said.append(text)
        return {"event_type": "text-generation", "text": text, "is_finished": False}

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        return [{"event_type": "stream-end", "is_finished": True, "finish_reason": _COHERE[finish],
                 "response": {"text": "".join(self._said), "finish_reason": _COHERE[finish]}}]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        return {"text": text, "generation_id": "emulated", "finish_reason": _COHERE[finish]}


class CommandText:
    """Cohere's older text models: `prompt` in, bare texts out."""

    @staticmethod
    def parse(body: Body) -> Ask:
        return Ask([str(body.get("prompt") or "")], max_tokens=openai.positive(body.get("max_tokens"), "max_tokens"))

    def opening(self, usage: Usage) -> list[Body]:
        return []

    def token(self, text: str, tokens: int) -> Body:
        return {"index": 0, "text": text, "is_finished": False}

    def closing(self, finish: str, usage: Usage) -> list[Body]:
        return [{"index": 0, "is_finished": True, "finish_reason": _COHERE[finish]}]

    def whole(self, text: str, finish: str, usage: Usage) -> Body:
        return {"generations": [{"id": "emulated", "text": text, "finish_reason": _COHERE[finish]}]}


_COHERE = {"length": "MAX_TOKENS", "stop": "COMPLETE"}

# A part of the model id (also of inference profiles and ARNs) and its family; the first that fits.
FAMILIES: dict[str, type[Family]] = {
    "anthropic.": Anthropic, "meta.": Llama, "amazon.nova": Nova, "amazon.titan": Titan, "deepseek.r1": DeepSeek,
    "cohere.command-text": CommandText, "cohere.command-light-text": CommandText, "cohere.command": Command,
    "mistral.": Mistral}


def family_of(model: str, body: Body) -> type[Family]:
    """The body format of a model id, an inference profile or an ARN. What has `messages` and no form of its own is
    OpenAI's chat; where nothing is known it is Llama's."""
    known = next((family for key, family in FAMILIES.items() if key in model), None)
    if "messages" in body and known in (None, Mistral):
        return Chat
    return known or Llama
