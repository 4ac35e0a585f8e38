"""The emulator refuses what Converse refuses."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.emulator.bedrock import parse_converse
from fmload.emulator.converse_rules import problem
from fmload.emulator.http import Unfit

HI = {"role": "user", "content": [{"text": "hi"}]}
TOOL = {"toolUse": {"toolUseId": "c", "name": "f", "input": {}}}
PICTURE = {"image": {"format": "jpeg", "source": {"bytes": "AA=="}}}


@pytest.mark.parametrize("body", [
    {"messages": [HI]}, {"messages": [HI], "system": [{"text": "s"}, {"cachePoint": {"type": "default"}}]},
    {"messages": [{"role": "user", "content": [{"text": "x"}, PICTURE]}], "inferenceConfig": {"maxTokens": 5}},
    {"messages": [HI, {"role": "assistant", "content": [TOOL]}, {"role": "user", "content": [
        {"toolResult": {"toolUseId": "c", "content": [{"json": {"a": 1}}, {"text": "2"}]}}]}],
     "toolConfig": {"tools": [1]}},
    {"messages": [{"role": "user", "content": [{"text": "x"}, {"document": {"format": "pdf", "name": "a report (2)",
                                                                           "source": {"bytes": "AA=="}}}]}]},
])
def test_what_converse_takes_has_no_problem(body: dict[str, Any]) -> None:
    assert problem(body) is None


@pytest.mark.parametrize(("body", "words"), [
    ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "messages.0.content.0: the text is blank"),
    ({"messages": [HI, HI]}, "messages.1: roles must alternate"),
    ({"messages": [{"role": "assistant", "content": [{"text": "a"}]}]}, "messages.0: roles must alternate"),
    ({"messages": [{"role": "user", "content": "hi"}]}, "a list of content blocks"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, "exactly one of"),
    ({"messages": [{"role": "user", "content": [{"image": {"format": "jpg", "source": {}}}]}]}, "'jpg' is none of"),
    ({"messages": [{"role": "user", "content": [{"document": {"format": "pdf", "name": "a_b"}}]}]}, "single spaces"),
    ({"messages": [HI, {"role": "assistant", "content": [TOOL]}]}, "toolConfig must be defined"),
    ({"messages": [HI], "max_tokens": 5}, "max_tokens is no member"),
    ({"messages": [HI], "system": [{"text": ""}]}, "system.0: the text is blank"),
    ({"messages": [{"role": "user", "content": [{"toolResult": {"content": [{"text": ""}]}}]}], "toolConfig": {"x": 1}},
     "toolResult.content.0: the text is blank"),
])
def test_what_converse_refuses_is_refused_with_its_place(body: dict[str, Any], words: str) -> None:
    with pytest.raises(Unfit, match=words):
        parse_converse("m", body, stream=True)
