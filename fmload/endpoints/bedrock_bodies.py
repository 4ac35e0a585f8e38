"""Bedrock bodies: what each model family takes, and what its answers and stream events say.

Converse speaks one form for all models; InvokeModel passes the family's own JSON through. Most families of today take
OpenAI's chat; whatever the family, an answer in that form is read by its reader.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fmload.endpoints import anthropic, converse
from fmload.endpoints import usage as counts
from fmload.endpoints.answer import Answer
from fmload.endpoints.converse import Json
from fmload.model.prompt import Prompt

Family = Literal["anthropic", "llama", "llama4", "nova", "mistral", "openai", "deepseek", "titan", "command",
                 "command_text"]

# After the geographic prefix of a cross-region inference profile (us., eu., apac., global., …), if there is one.
# `openai` is the form of all that take OpenAI's chat: gpt-oss, DeepSeek V3, Qwen, Jamba, Kimi, GLM, MiniMax, Nemotron,
# Palmyra, Gemma, and models that were imported.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"anthropic\.", "anthropic"), (r"meta\.llama4", "llama4"), (r"meta\.llama", "llama"), (r"amazon\.nova", "nova"),
    (r"amazon\.titan-text", "titan"), (r"amazon\.titan-tg1", "titan"), (r"mistral\.", "mistral"),
    (r"deepseek\.r1", "deepseek"), (r"cohere\.command-(light-)?text", "command_text"), (r"cohere\.command", "command"),
    (r"(openai|deepseek|qwen|ai21|moonshot|moonshotai|zai|zhipu|minimax|nvidia|writer|google|xai)\.", "openai"),
    (r"imported-model/", "openai"),
)


def family_of(model: str) -> Family | None:
    """The family, told from a model id, a profile id, or the ARN of either; None where the name does not tell."""
    return next((family for pattern, family in _FAMILIES if re.search(rf"(^|[./:]){pattern}", model)), None)


# -- what is asked --


def _anthropic_body(prompt: Prompt, parameters: Json) -> Json:
    return {"anthropic_version": "bedrock-2023-05-31", **anthropic.body(prompt, parameters)}


def _text(content: Any) -> str:
    return "".join(part.get("text", "") for part in content) if isinstance(content, list) else content or ""


def _llama_body(template: Callable[[Prompt], str]) -> Callable[[Prompt, Json], Json]:
    def body(prompt: Prompt, parameters: Json) -> Json:
        asked = {"prompt": template(prompt), **parameters, **prompt.parameters}
        if "max_tokens" in asked:
            asked.setdefault("max_gen_len", asked.pop("max_tokens"))
        return _with_length(asked, "max_gen_len", prompt)
    return body


def _template(begin: str, opening: str, closing: str, end: str, ask: str) -> Callable[[Prompt], str]:
    """A chat in a format of its model card; a text as it is."""
    def fill(prompt: Prompt) -> str:
        if prompt.messages is None:
            return prompt.text or ""
        turns = (f"{opening}{message['role']}{closing}\n\n{_text(message['content'])}{end}"
                 for message in prompt.messages)
        return f"{begin}{''.join(turns)}{ask}"
    return fill


_llama3 = _template("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
                    "<|start_header_id|>assistant<|end_header_id|>\n\n")
_llama4 = _template("<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>",
                    "<|header_start|>assistant<|header_end|>\n\n")


def _nova_body(prompt: Prompt, parameters: Json) -> Json:
    """Nova takes Converse's form, with pictures as base64 in its JSON."""
    asked = converse.arguments(prompt, parameters)
    further = asked.pop("additionalModelRequestFields", {})
    body: Json = {"schemaVersion": "messages-v1", **_as_base64(asked), **further}
    return body


def _as_base64(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {key: _as_base64(inside) for key, inside in value.items()}
    return [_as_base64(inside) for inside in value] if isinstance(value, list) else value


def _mistral_body(prompt: Prompt, parameters: Json) -> Json:
    """Mistral's newer models take a chat, its older ones a text in their instruction format."""
    asked = {"prompt": f"<s>[INST] {prompt.text} [/INST]"} if prompt.messages is None else {"messages": prompt.messages}
    return _with_length({**asked, **parameters, **prompt.parameters}, "max_tokens", prompt)


def _openai_body(prompt: Prompt, parameters: Json) -> Json:
    return _with_length({"messages": prompt.as_messages(), **parameters, **prompt.parameters}, "max_tokens", prompt)


def _deepseek_body(prompt: Prompt, parameters: Json) -> Json:
    """DeepSeek R1 takes a text in its own format."""
    names = {"user": "<｜User｜>", "assistant": "<｜Assistant｜>"}
    turns = "".join(f"{names.get(message['role'], '')}{_text(message['content'])}" for message in prompt.as_messages())
    asked = {"prompt": f"<｜begin▁of▁sentence｜>{turns}<｜Assistant｜><think>\n", **parameters, **prompt.parameters}
    return _with_length(asked, "max_tokens", prompt)


_TITAN = {"max_tokens": "maxTokenCount", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences",
          "maxTokenCount": "maxTokenCount", "topP": "topP", "stopSequences": "stopSequences"}


def _titan_body(prompt: Prompt, parameters: Json) -> Json:
    chosen = {**parameters, **prompt.parameters}
    config = {**chosen.get("textGenerationConfig", {}),
              **{_TITAN[key]: value for key, value in chosen.items() if key in _TITAN}}
    text = prompt.as_text() if prompt.messages is None else f"User: {prompt.as_text()}\nBot:"
    return {"inputText": text, "textGenerationConfig": _with_length(config, "maxTokenCount", prompt)}


def _command_body(prompt: Prompt, parameters: Json) -> Json:
    """Cohere's Command R: the last turn, and the turns before it."""
    *before, last = prompt.as_messages()
    roles = {"user": "USER", "assistant": "CHATBOT", "system": "SYSTEM"}
    history = [{"role": roles.get(turn["role"], "USER"), "message": _text(turn["content"])} for turn in before]
    asked = {"message": _text(last["content"]), **({"chat_history": history} if history else {}),
             **_cohere_names({**parameters, **prompt.parameters})}
    return _with_length(asked, "max_tokens", prompt)


def _command_text_body(prompt: Prompt, parameters: Json) -> Json:
    return _with_length({"prompt": prompt.as_text(), **_cohere_names({**parameters, **prompt.parameters})},
                        "max_tokens", prompt)


def _cohere_names(parameters: Json) -> dict[str, Any]:
    names = {"top_p": "p", "top_k": "k", "stop": "stop_sequences"}
    return {names.get(key, key): value for key, value in parameters.items()}


def _with_length(body: Json, key: str, prompt: Prompt) -> dict[str, Any]:
    return dict(body) if prompt.output_tokens is None else {**body, key: prompt.output_tokens}


# -- what is answered --


def read_converse(answer: Answer, event: Json, end: int) -> None:
    """Add one event of ConverseStream, given as `{event type: payload}`; Nova streams the same events."""
    for kind, payload in event.items():
        if kind == "contentBlockStart":
            used = (payload.get("start") or {}).get("toolUse") or {}
            answer.add(end, used.get("name"), "tool")
            if used:
                answer.calls.begin(payload.get("contentBlockIndex"), used.get("toolUseId"), used.get("name"))
        elif kind == "contentBlockDelta":
            _converse_block(answer, payload["delta"], end, payload.get("contentBlockIndex"))
        elif kind == "messageStop":
            answer.finish(payload["stopReason"])
        elif kind == "metadata":
            _converse_metadata(answer, payload)


def read_converse_whole(answer: Answer, response: Json, end: int) -> None:
    """Add a whole answer of Converse, or of Nova."""
    for place, block in enumerate(response["output"]["message"]["content"]):
        reasoning = (block.get("reasoningContent") or {}).get("reasoningText")
        _converse_block(answer, {**block, "reasoningContent": reasoning} if reasoning else block, end, place)
    answer.finish(response["stopReason"])
    _converse_metadata(answer, response)


def _converse_block(answer: Answer, block: Json, end: int, place: Any) -> None:
    reasoning = block.get("reasoningContent") or {}
    # Redacted reasoning is generated, and billed, though nobody can read it; a signature is not.
    answer.add(end, reasoning.get("text"), "reasoning")
    if reasoning.get("redactedContent") and not reasoning.get("text"):
        answer.add_sealed(end)
    answer.add(end, block.get("text"))
    used = block.get("toolUse") or {}
    tool = used.get("input")
    answer.add(end, tool if isinstance(tool, str) else str(tool or ""), "tool")
    if used:
        answer.calls.begin(place, used.get("toolUseId"), used.get("name"))
        answer.calls.add(place, tool)


def _converse_metadata(answer: Answer, payload: Json) -> None:
    usage = payload.get("usage") or {}
    answer.tell(usage)
    answer.wrote(usage.get("cacheWriteInputTokens", usage.get("cacheWriteInputTokenCount")),
                 _for_1h(usage.get("cacheDetails")))
    answer.note("latencyMs", (payload.get("metrics") or {}).get("latencyMs"))
    answer.note("serviceTier", (payload.get("serviceTier") or {}).get("type"))


def _for_1h(details: Any) -> int | None:
    """Tokens written for an hour, of Converse's `cacheDetails`; None where the service does not say."""
    if not isinstance(details, list):
        return None
    counts = [each.get("inputTokens") for each in details if isinstance(each, Mapping) and each.get("ttl") == "1h"]
    return sum(count for count in counts if isinstance(count, int))


def _read_llama(answer: Answer, event: Json, end: int) -> None:
    """`generation_token_count` counts all tokens so far, so that its growth is this chunk's share, text or not."""
    total, text = counts.whole(event.get("generation_token_count")), event["generation"]
    if total is None or not answer.add_running(end, total, text):
        answer.add(end, text)
    answer.usage(event.get("prompt_token_count"), total)
    answer.finish(event.get("stop_reason"))


def _read_nova(answer: Answer, event: Json, end: int) -> None:
    (read_converse_whole if "output" in event else read_converse)(answer, event, end)


def _read_texts(answer: Answer, event: Json, end: int) -> None:
    """Mistral's older models and DeepSeek R1: texts in `outputs` (or, read elsewhere, in `choices`)."""
    for choice in event["outputs"]:
        answer.add(end, choice.get("text"))
        answer.finish(choice.get("stop_reason") or choice.get("finish_reason"))
    answer.tell(event.get("usage"))


def _read_titan(answer: Answer, event: Json, end: int) -> None:
    """`totalOutputTextTokenCount` comes with the last chunk; a whole answer has its count in `results`."""
    if "results" in event:
        for result in event["results"]:
            answer.add(end, result["outputText"])
            answer.finish(result.get("completionReason"))
            answer.usage(event.get("inputTextTokenCount"), result.get("tokenCount"))
        return
    answer.add(end, event["outputText"])
    answer.finish(event.get("completionReason"))
    answer.usage(event.get("inputTextTokenCount"), event.get("totalOutputTextTokenCount"))


def _read_command(answer: Answer, event: Json, end: int) -> None:
    """Cohere: Command R's events and whole answers, and those of the text models."""
    if event.get("event_type") == "stream-end":  # repeats the whole text
        answer.finish(event.get("finish_reason"))
        return
    for generation in event.get("generations") or ():
        answer.add(end, generation.get("text"))
        answer.finish(generation.get("finish_reason"))
    answer.add(end, event.get("text"))
    answer.finish(event.get("finish_reason"))
    meta = event.get("meta") or {}
    answer.tell(meta.get("tokens") or meta.get("billed_units"))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How InvokeModel speaks with one family. `read` None: answers come in OpenAI's form alone."""

    body: Callable[[Prompt, Json], Json]
    read: Callable[[Answer, Json, int], None] | None = None


DIALECTS: Mapping[Family, Dialect] = {
    "anthropic": Dialect(_anthropic_body, anthropic.read),
    "llama": Dialect(_llama_body(_llama3), _read_llama),
    "llama4": Dialect(_llama_body(_llama4), _read_llama),
    "nova": Dialect(_nova_body, _read_nova),
    "mistral": Dialect(_mistral_body, _read_texts),
    "openai": Dialect(_openai_body),
    "deepseek": Dialect(_deepseek_body, _read_texts),
    "titan": Dialect(_titan_body, _read_titan),
    "command": Dialect(_command_body, _read_command),
    "command_text": Dialect(_command_text_body, _read_command),
}
