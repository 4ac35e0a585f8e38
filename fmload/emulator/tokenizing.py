"""The routes that count tokens: `/tokenize` as vLLM, llama.cpp or TGI has it, told by the body's keys, and TGI's
`/chat_tokenize`."""

from __future__ import annotations

from typing import Any

from fmload.emulator import openai
from fmload.emulator.http import Refusal, Unfit, json_refusal
from fmload.emulator.words import Words

ROUTES = ("/tokenize", "/chat_tokenize")


def reply(path: str, body: bytes, words: Words) -> Refusal:
    """The answer of one of ROUTES."""
    try:
        asked = openai.parse_json(body)
        return json_refusal(200, _ROUTES[path](asked, words))
    except Unfit as error:
        return openai.refusal(400, str(error))


def _tokenize(asked: dict[str, Any], words: Words) -> object:
    if "content" in asked:
        return {"tokens": list(range(words.count(str(asked["content"]))))}
    if "inputs" in asked:
        return [{"id": index, "text": "", "start": 0, "stop": 0} for index in range(words.count(str(asked["inputs"])))]
    return {"count": words.prompt_tokens(openai.parse(asked, "prompt" not in asked)), "max_model_len": 131072}


def _chat_tokenize(asked: dict[str, Any], words: Words) -> object:
    tokens = words.prompt_tokens(openai.parse(asked, chat=True))
    return {"tokenize_response": [{"id": index} for index in range(tokens)], "templated_text": ""}


_ROUTES = {"/tokenize": _tokenize, "/chat_tokenize": _chat_tokenize}
