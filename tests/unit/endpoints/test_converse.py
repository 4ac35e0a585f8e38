"""Chats of every form as Converse takes them: botocore's model of the service judges each request."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from fmload.base.errors import FmloadError
from fmload.endpoints.bedrock_bodies import DIALECTS
from fmload.endpoints.converse import arguments
from fmload.model.prompt import Prompt

PNG = base64.b64encode(b"\x89PNG").decode()
TOOL = {"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TURNS = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": None, "tool_calls": [CALL]},
         {"role": "tool", "tool_call_id": "c1", "content": "2"}, {"role": "user", "content": "Thanks"}]


@cache
def shape() -> Any:
    model = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")
    return model.operation_model("ConverseStream").input_shape


def said(*content: Any, **parameters: Any) -> dict[str, Any]:
    return asked([{"role": "user", "content": list(content) if len(content) > 1 or not isinstance(content[0], str)
                   else content[0]}], **parameters)


def asked(messages: list[dict[str, Any]], **parameters: Any) -> dict[str, Any]:
    made = arguments(Prompt("p", "s", messages=messages, output_tokens=7), parameters)
    report = ParamValidator().validate({**made, "modelId": "m"}, shape())
    assert not report.has_errors(), report.generate_report()
    return made


def blocks(made: dict[str, Any]) -> list[dict[str, Any]]:
    return made["messages"][0]["content"]


def test_a_cache_point_is_kept_and_cache_control_makes_one() -> None:
    point = {"cachePoint": {"type": "default"}}
    assert blocks(said({"text": "a"}, point)) == [{"text": "a"}, point]
    assert blocks(said({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}})) == [{"text": "a"}, point]
    system = asked([{"role": "system", "content": [{"text": "s"}, point]}, {"role": "user", "content": "a"}])["system"]
    assert system == [{"text": "s"}, point]


@pytest.mark.parametrize("picture", [
    {"type": "image_url", "image_url": {"url": f"data:image/jpg;base64,{PNG}"}},
    {"type": "image_url", "image_url": f"data:image/jpeg;charset=x;base64,{PNG}"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}},
    {"image": {"format": "jpg", "source": {"bytes": PNG}}},
    {"image": {"format": "jpeg", "source": {"bytes": b"\x89PNG"}}},
])
def test_pictures_of_every_form_are_jpeg_blocks(picture: dict[str, Any]) -> None:
    assert blocks(said({"type": "text", "text": "See"}, picture))[1] == {
        "image": {"format": "jpeg", "source": {"bytes": b"\x89PNG"}}}


@pytest.mark.parametrize("document", [
    {"type": "file", "file": {"filename": "a_report.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}},
    {"type": "document", "title": "a report",
     "source": {"type": "base64", "media_type": "application/pdf", "data": PNG}},
    {"document": {"format": "pdf", "name": "a report", "source": {"bytes": PNG}}},
])
def test_documents_of_every_form_are_document_blocks(document: dict[str, Any]) -> None:
    assert blocks(said({"type": "text", "text": "Read"}, document))[1] == {
        "document": {"format": "pdf", "name": "a report", "source": {"bytes": b"\x89PNG"}}}


def test_tool_turns_and_tools_are_converses_own() -> None:
    made = asked(TURNS, tools=[TOOL], tool_choice="required")
    assert [message["role"] for message in made["messages"]] == ["user", "assistant", "user"]
    assert made["messages"][1]["content"] == [{"toolUse": {"toolUseId": "c1", "name": "add", "input": {"a": 1}}}]
    assert made["messages"][2]["content"] == [{"toolResult": {"toolUseId": "c1", "content": [{"text": "2"}]}},
                                              {"text": "Thanks"}]
    assert made["toolConfig"] == {"tools": [{"toolSpec": {"name": "add", "description": "adds",
                                                          "inputSchema": {"json": {"type": "object"}}}}],
                                  "toolChoice": {"any": {}}}
    assert "additionalModelRequestFields" not in made


def test_arguments_of_the_call_are_no_fields_of_the_model() -> None:
    config = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}
    made = said("a", toolConfig=config, requestMetadata={"team": "x"}, top_k=5,
                additionalModelRequestFields={"thinking": {"type": "enabled"}}, inferenceConfig={"temperature": 0.5})
    assert (made["toolConfig"], made["requestMetadata"]) == (config, {"team": "x"})
    assert made["additionalModelRequestFields"] == {"thinking": {"type": "enabled"}, "top_k": 5}
    assert made["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 7}


def test_blank_text_is_left_out_and_turns_of_one_role_are_one() -> None:
    made = asked([{"role": "system", "content": " "}, {"role": "user", "content": "a"},
                  {"role": "user", "content": "b"}, {"role": "assistant", "content": "\n"},
                  {"role": "developer", "content": "be brief"},
                  {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "c"}]}])
    assert made["messages"] == [{"role": "user", "content": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}]
    assert made["system"] == [{"text": "be brief"}]


@pytest.mark.parametrize(("content", "words"), [
    ("  ", "no blank one"),
    ([{"type": "image_url", "image_url": {"url": "https://h/x.png"}}], "by value alone"),
    ([{"type": "hologram", "hologram": {"data": "AA"}}], "hologram"),
    ([{"weird": 1}], "weird"),
    ([{"type": "image", "source": {"type": "url", "url": "https://h/x.png"}}], "by url"),
    ([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}], "no base64"),
    ([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "ü"}}], "no base64"),
])
def test_what_has_no_place_is_refused_with_its_name(content: Any, words: str) -> None:
    with pytest.raises(FmloadError, match=words) as refused:
        said(*content) if isinstance(content, list) else said(content)
    assert "prompt 'p' of set 's'" in str(refused.value)


def test_tool_calls_without_tools_are_refused() -> None:
    with pytest.raises(FmloadError, match="need `tools`"):
        asked(TURNS)


def test_nova_gets_the_same_with_pictures_in_base64() -> None:
    prompt = Prompt("p", "s", messages=[{"role": "user", "content": [{"image": {
        "format": "jpg", "source": {"bytes": PNG}}}]}])
    body = DIALECTS["nova"].body(prompt, {"top_k": 3})
    assert body == {"schemaVersion": "messages-v1", "top_k": 3, "messages": [{"role": "user", "content": [
        {"image": {"format": "jpeg", "source": {"bytes": PNG}}}]}]}


def test_claudes_cache_control_stays_where_it_is() -> None:
    block = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    prompt = Prompt("p", "s", messages=[{"role": "system", "content": [block]}, *TURNS])
    body = DIALECTS["anthropic"].body(prompt, {"tools": [TOOL], "max_tokens": 9, "stop": "X"})
    assert body["system"] == [block] and body["stop_sequences"] == ["X"]
    assert body["tools"] == [{"name": "add", "description": "adds", "input_schema": {"type": "object"}}]
    assert body["messages"][1]["content"] == [{"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}]
    assert body["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "c1", "content": "2"}]


BODIES = {
    "llama4": {"prompt": "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHi<|eot|>"
                         "<|header_start|>assistant<|header_end|>\n\n", "max_gen_len": 7},
    "openai": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 7},
    "deepseek": {"prompt": "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>\n", "max_tokens": 7},
    "titan": {"inputText": "User: Hi\nBot:", "textGenerationConfig": {"maxTokenCount": 7}},
    "command": {"message": "Hi", "max_tokens": 7},
    "command_text": {"prompt": "Hi", "max_tokens": 7},
}


@pytest.mark.parametrize("family", BODIES)
def test_each_family_has_its_body(family: str) -> None:
    prompt = Prompt("p", "s", messages=[{"role": "user", "content": "Hi"}], output_tokens=7)
    assert DIALECTS[family].body(prompt, {}) == BODIES[family]  # type: ignore[index]
