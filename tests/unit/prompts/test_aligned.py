"""Lengths by the server's own count: each server's form of /tokenize, and what holds when it lacks one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from fake_tokenizer import ThreeLetters
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec, PromptSpec
from fmload.plugins import SOURCES
from fmload.prompts.aligned import Aligned, Refused, _root, difference
from fmload.prompts.selection import make_set
from fmload.prompts.store import counted_by
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer

LOCAL = Tokenizer.load("bundled")
THEIRS = ThreeLetters()


def vllm(path: str, body: dict[str, Any]) -> Any:
    if path != "/tokenize" or not {"prompt", "messages"} & body.keys():
        raise Refused("404")
    return {"count": THEIRS.count(body["prompt"]) if "prompt" in body else THEIRS.chat_count(body["messages"])}


def sglang(path: str, body: dict[str, Any]) -> Any:
    if "messages" in body:
        raise Refused("422")
    return vllm(path, body)


def llama_cpp(path: str, body: dict[str, Any]) -> Any:
    if path == "/apply-template":
        return {"prompt": "".join(f"<|{one['role']}|>{one['content']}" for one in body["messages"])}
    return {"tokens": THEIRS.encode(body.get("content", ""))}


def tgi(path: str, body: dict[str, Any]) -> Any:
    if path == "/chat_tokenize":
        return {"tokenize_response": [{}] * THEIRS.chat_count(body["messages"])}
    if "inputs" not in body:
        raise Refused("422")
    return [{}] * THEIRS.count(body["inputs"])


@pytest.mark.parametrize("server", [vllm, sglang, llama_cpp, tgi])
def test_every_kind_of_server_is_understood(server: Callable[..., Any]) -> None:
    counter = Aligned("server of e", LOCAL, server, "m")
    assert counter.count("How long is this?") == THEIRS.count("How long is this?")
    messages = [{"role": "user", "content": "How long is this?"}]
    template = LOCAL.chat_count(messages) - LOCAL.count("How long is this?")
    expected = THEIRS.count("How long is this?") + template if server is sglang else THEIRS.chat_count(messages)
    assert counter.chat_count(messages) == expected


@settings(max_examples=15)
@given(st.integers(5, 120), st.integers())
def test_lengths_are_exact_under_the_servers_tokenizer(length: int, seed: int) -> None:
    counter = Aligned("server of e", LOCAL, vllm)
    assert THEIRS.count(text_of(length, counter.count, random.Random(seed))) == length


@pytest.mark.parametrize("source", ["synthetic", "random"])
def test_sets_are_made_in_threads_and_are_the_same_each_time(source: str) -> None:
    spec = PromptSpec.model_validate({"name": "s", "source": source, "input_tokens": {"min": 20, "max": 60},
                                      "nonce": False})
    counter = Aligned("server of e", LOCAL, vllm)
    first, again = (make_set(spec, SOURCES.load(source).from_spec(spec), counter, "1", 12, lambda *news: None)
                    for _ in range(2))
    assert first == again
    assert all(THEIRS.count(prompt.text or "") == prompt.input_tokens for prompt in first)
    assert {prompt.tokenizer for prompt in first} == {"server of e"}
    assert "by the server" in difference(spec, first, LOCAL)


def test_a_server_that_counts_nothing_is_refused_with_the_remedy() -> None:
    def none(path: str, body: dict[str, Any]) -> Any:
        raise Refused("answers 404")

    with pytest.raises(FmloadError, match="counts no tokens: answers 404") as raised:
        Aligned("server of e", LOCAL, none)
    assert "tokenize_url" in str(raised.value.hint)


@pytest.mark.parametrize("url", ["http://h:1/v1", "http://h:1/v1/", "http://h:1", "http://h:1/v1/chat/completions"])
def test_the_routes_are_looked_for_beside_v1(url: str) -> None:
    assert _root(url) == "http://h:1"


def test_an_aligned_endpoint_has_prompts_of_its_own() -> None:
    endpoint = {"name": "e", "protocol": "openai", "url": "http://h/v1"}
    assert counted_by(EndpointSpec.model_validate(endpoint)) == "bundled"
    assert counted_by(EndpointSpec.model_validate({**endpoint, "align": "server"})) == "server of e"
