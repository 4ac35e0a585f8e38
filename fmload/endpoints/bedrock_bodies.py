"""Bedrock bodies: what each model family takes, and what its answers and stream events say.

Converse speaks one form for all models; InvokeModel passes the family's own JSON through.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fmload.endpoints.answer import Answer
from fmload.model.prompt import Prompt

Family = Literal["anthropic", "llama", "nova", "mistral"]
Json = Mapping[str, Any]
Messages = list[dict[str, Any]]

# After the geographic prefix of a cross-region inference profile (us., eu., apac., global., …), if there is one.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"anthropic\.", "anthropic"), (r"meta\.llama", "llama"), (r"amazon\.nova", "nova"), (r"mistral\.", "mistral"),
)


def family_of(model: str) -> Family | None:
    """The family, told from a model id, a profile id, or the ARN of either; None where the name does not tell."""
    return next((family for pattern, family in _FAMILIES if re.search(rf"(^|[./]){pattern}", model)), None)


def converse_arguments(prompt: Prompt, parameters: Json) -> dict[str, Any]:
    """Messages and inference parameters of Converse. Parameters that it does not know go to the model as they are."""
    system, messages = _converse_messages(prompt)
    config, further = _inference_config(prompt, parameters)
    arguments = {"system": system, "messages": messages, "inferenceConfig": config,
                 "additionalModelRequestFields": further}
    return {key: value for key, value in arguments.items() if value}


# The names of other protocols are understood, so that one set of parameters serves endpoints side by side.
_CONVERSE_NAMES = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences",
                   "maxTokens": "maxTokens", "topP": "topP", "stopSequences": "stopSequences"}


def _inference_config(prompt: Prompt, parameters: Json) -> tuple[dict[str, Any], dict[str, Any]]:
    chosen = {**parameters, **prompt.parameters}
    config = {_CONVERSE_NAMES[key]: value for key, value in chosen.items() if key in _CONVERSE_NAMES}
    if prompt.output_tokens is not None:
        config["maxTokens"] = prompt.output_tokens
    if isinstance(config.get("stopSequences"), str):
        config["stopSequences"] = [config["stopSequences"]]
    return config, {key: value for key, value in chosen.items() if key not in _CONVERSE_NAMES}


def _converse_messages(prompt: Prompt) -> tuple[Messages, Messages]:
    """(system blocks, messages) in Converse's form."""
    messages = prompt.as_messages()
    system = [block for message in messages if message["role"] == "system" for block in _blocks(message["content"])]
    return system, [{"role": message["role"], "content": _blocks(message["content"])}
                    for message in messages if message["role"] != "system"]


def _blocks(content: Any) -> Messages:
    parts: Messages = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    return [_image(part["image_url"]["url"]) if part.get("type") == "image_url" else {"text": part.get("text", "")}
            for part in parts]


def _image(url: str) -> dict[str, Any]:
    """An image block from a `data:image/png;base64,…` URL, the only kind that Converse can take."""
    head, _, data = url.partition(",")
    kind = re.fullmatch(r"data:image/(\w+);base64", head)
    return {"image": {"format": kind[1] if kind else "png", "source": {"bytes": base64.b64decode(data)}}}


def _text(content: Any) -> str:
    return "".join(part.get("text", "") for part in content) if isinstance(content, list) else content or ""


def _anthropic_body(prompt: Prompt, parameters: Json) -> Json:
    messages = prompt.as_messages()
    system = "\n\n".join(_text(message["content"]) for message in messages if message["role"] == "system")
    body = {"anthropic_version": "bedrock-2023-05-31",
            "messages": [message for message in messages if message["role"] != "system"],
            **({"system": system} if system else {}), **parameters, **prompt.parameters}
    return _with_length(body, "max_tokens", prompt)


def _llama_body(prompt: Prompt, parameters: Json) -> Json:
    body = {"prompt": _llama_prompt(prompt), **parameters, **prompt.parameters}
    if "max_tokens" in body:
        body.setdefault("max_gen_len", body.pop("max_tokens"))
    return _with_length(body, "max_gen_len", prompt)


def _llama_prompt(prompt: Prompt) -> str:
    """A chat in Llama 3's format (from its model card); a text as it is."""
    if prompt.messages is None:
        return prompt.text or ""
    turns = (f"<|start_header_id|>{message['role']}<|end_header_id|>\n\n{_text(message['content'])}<|eot_id|>"
             for message in prompt.messages)
    return f"<|begin_of_text|>{''.join(turns)}<|start_header_id|>assistant<|end_header_id|>\n\n"


def _nova_body(prompt: Prompt, parameters: Json) -> Json:
    system, messages = _converse_messages(prompt)
    config, further = _inference_config(prompt, parameters)
    body = {"schemaVersion": "messages-v1", "messages": messages, "system": system, "inferenceConfig": config}
    return {**{key: value for key, value in body.items() if value}, **further}


def _mistral_body(prompt: Prompt, parameters: Json) -> Json:
    """Mistral's newer models take a chat, its older ones a text in their instruction format."""
    asked = {"prompt": f"<s>[INST] {prompt.text} [/INST]"} if prompt.messages is None else {"messages": prompt.messages}
    return _with_length({**asked, **parameters, **prompt.parameters}, "max_tokens", prompt)


def _with_length(body: dict[str, Any], key: str, prompt: Prompt) -> Json:
    return body if prompt.output_tokens is None else {**body, key: prompt.output_tokens}


def read_converse(answer: Answer, event: Json, end: int) -> None:
    """Add one event of ConverseStream, given as `{event type: payload}`; Nova streams the same events."""
    for kind, payload in event.items():
        if kind == "contentBlockStart":
            answer.add(end, ((payload.get("start") or {}).get("toolUse") or {}).get("name"), "tool")
        elif kind == "contentBlockDelta":
            _converse_block(answer, payload["delta"], end)
        elif kind == "messageStop":
            answer.finish(payload["stopReason"])
        elif kind == "metadata":
            _converse_metadata(answer, payload)


def read_converse_whole(answer: Answer, response: Json, end: int) -> None:
    """Add a whole answer of Converse, or of Nova."""
    for block in response["output"]["message"]["content"]:
        reasoning = (block.get("reasoningContent") or {}).get("reasoningText")
        _converse_block(answer, {**block, "reasoningContent": reasoning} if reasoning else block, end)
    answer.finish(response["stopReason"])
    _converse_metadata(answer, response)


def _converse_block(answer: Answer, block: Json, end: int) -> None:
    reasoning = block.get("reasoningContent") or {}
    # Redacted reasoning is generated, and billed, though nobody can read it; a signature is not.
    answer.add(end, reasoning.get("text") or ("redacted" if reasoning.get("redactedContent") else None), "reasoning")
    answer.add(end, block.get("text"))
    tool = (block.get("toolUse") or {}).get("input")
    answer.add(end, tool if isinstance(tool, str) else str(tool or ""), "tool")


def _converse_metadata(answer: Answer, payload: Json) -> None:
    usage = payload.get("usage") or {}
    read = usage.get("cacheReadInputTokens", usage.get("cacheReadInputTokenCount"))
    written = usage.get("cacheWriteInputTokens", usage.get("cacheWriteInputTokenCount"))
    answer.usage(_sum(usage.get("inputTokens"), read, written), usage.get("outputTokens"), read)
    answer.wrote(written, _for_1h(usage.get("cacheDetails")))
    answer.note("latencyMs", (payload.get("metrics") or {}).get("latencyMs"))
    answer.note("serviceTier", (payload.get("serviceTier") or {}).get("type"))


def _for_1h(details: Any) -> int | None:
    """Tokens written for an hour, of Converse's `cacheDetails`; None where the service does not say."""
    if not isinstance(details, list):
        return None
    counts = [each.get("inputTokens") for each in details if isinstance(each, Mapping) and each.get("ttl") == "1h"]
    return sum(count for count in counts if isinstance(count, int))


def _sum(fresh: int | None, read: int | None, written: int | None) -> int | None:
    """Input tokens with the cached ones in them: Bedrock counts the three apart."""
    return None if fresh is None else fresh + (read or 0) + (written or 0)


def _read_anthropic(answer: Answer, event: Json, end: int) -> None:
    kind = event["type"]
    if kind == "message_start":
        _anthropic_usage(answer, {**(event["message"].get("usage") or {}), "output_tokens": None})  # a first guess
    elif kind == "content_block_start" and event["content_block"].get("type") == "tool_use":
        answer.add(end, event["content_block"].get("name"), "tool")
    elif kind == "content_block_delta":
        delta = event["delta"]
        answer.add(end, delta.get("thinking"), "reasoning")
        answer.add(end, delta.get("text"))
        answer.add(end, delta.get("partial_json"), "tool")
    elif kind == "message_delta":
        answer.finish(event["delta"].get("stop_reason"))
        _anthropic_usage(answer, event.get("usage") or {})
    elif kind == "message_stop":
        answer.ended = True
    elif kind == "message":  # whole, not streamed
        for block in event["content"]:
            answer.add(end, block.get("thinking") or ("redacted" if block.get("data") else None), "reasoning")
            answer.add(end, block.get("text"))
            answer.add(end, str(block["input"]) if block.get("type") == "tool_use" else None, "tool")
        answer.finish(event.get("stop_reason"))
        _anthropic_usage(answer, event.get("usage") or {})
    elif kind == "error":
        error = event.get("error") or {}
        answer.fail("stream_error", f"{error.get('type')}: {error.get('message')}"[:500])


def _anthropic_usage(answer: Answer, usage: Json) -> None:
    read = usage.get("cache_read_input_tokens")
    written = usage.get("cache_creation_input_tokens")
    answer.usage(_sum(usage.get("input_tokens"), read, written), usage.get("output_tokens"), read)
    answer.wrote(written, (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens"))


def _read_llama(answer: Answer, event: Json, end: int) -> None:
    """`generation_token_count` counts all tokens so far, so that its growth is this chunk's share."""
    before = answer.reading.output_tokens or 0
    answer.usage(event.get("prompt_token_count"), event.get("generation_token_count"))
    answer.add(end, event["generation"], tokens=max(1, (answer.reading.output_tokens or 0) - before))
    answer.finish(event.get("stop_reason"))


def _read_nova(answer: Answer, event: Json, end: int) -> None:
    (read_converse_whole if "output" in event else read_converse)(answer, event, end)


def _read_mistral(answer: Answer, event: Json, end: int) -> None:
    for choice in event.get("choices") or event["outputs"]:
        message = choice.get("message") or choice.get("delta") or {}
        answer.add(end, choice.get("text") or message.get("content"))
        answer.finish(choice.get("stop_reason") or choice.get("finish_reason"))
    usage = event.get("usage") or {}
    answer.usage(usage.get("prompt_tokens"), usage.get("completion_tokens"))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How InvokeModel speaks with one family."""

    body: Callable[[Prompt, Json], Json]
    read: Callable[[Answer, Json, int], None]


DIALECTS: Mapping[Family, Dialect] = {
    "anthropic": Dialect(_anthropic_body, _read_anthropic),
    "llama": Dialect(_llama_body, _read_llama),
    "nova": Dialect(_nova_body, _read_nova),
    "mistral": Dialect(_mistral_body, _read_mistral),
}
